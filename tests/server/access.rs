//! Who gets in, and what they are told about themselves.

use serde_json::json;

use crate::harness::TestServer;

const FILES: crate::harness::Files<'static> =
    &[("acme/p/e.yaml", "values: {a: 1}"), ("zeta/p/e.yaml", "values: {a: 2}"), ("no/p/e.yaml", "")];

#[test]
fn everything_but_the_exchange_needs_a_token() {
    let server = TestServer::start(FILES);
    for (method, path) in [
        ("GET", "/api/user"),
        ("GET", "/api/user/organizations/default"),
        ("POST", "/api/esc/environments/acme/p/e/open"),
        ("POST", "/api/esc/environments/acme/p/e/versions/1/open"),
        ("GET", "/api/esc/environments/acme/p/e/open/x"),
        ("GET", "/api/esc/environments/acme/p/e/open//x"),
    ] {
        for headers in [
            &[] as &[(&str, &str)],
            &[("Authorization", "")],
            &[("Authorization", "token")],
            &[("Authorization", "token ")],
            &[("Authorization", "token wrong")],
            &[("Authorization", "Bearer pul-test-token")],
            &[("Authorization", "pul-test-token")],
        ] {
            let answer = server.request(method, path, headers, b"");
            answer.error(401);
            assert!(!answer.body.contains("wrong"), "{path} {headers:?}");
        }
    }
    let lower = server.request("GET", "/api/user", &[("authorization", "Token pul-test-token")], b"");
    assert_eq!(lower.status, 200);
}

#[test]
fn a_configured_token_is_a_member_of_every_organization() {
    let server = TestServer::start(FILES);
    let user = server.send("GET", "/api/user").json();
    assert_eq!(user["githubLogin"], "dev");
    assert_eq!(
        user["organizations"],
        json!([
            {"name": "acme", "githubLogin": "acme", "avatarUrl": ""},
            {"name": "zeta", "githubLogin": "zeta", "avatarUrl": ""},
        ])
    );
    let default = server.send("GET", "/api/user/organizations/default").json();
    assert_eq!(default, json!({"gitHubLogin": "acme"}));
    assert_eq!(server.values("zeta/p/e"), json!({"a": 2}));
}

#[test]
fn only_named_organizations_exist() {
    let server = TestServer::start_with(FILES, |config| config.organizations = vec!["zeta".to_owned()]);
    let default = server.send("GET", "/api/user/organizations/default").json();
    assert_eq!(default, json!({"gitHubLogin": "zeta"}));
    server.send("POST", "/api/esc/environments/acme/p/e/open").error(404);
}

#[test]
fn a_server_without_organizations_has_no_default() {
    let server = TestServer::start(&[]);
    server.send("GET", "/api/user/organizations/default").error(404);
    assert_eq!(server.send("GET", "/api/user").json()["organizations"], json!([]));
}

#[test]
fn sessions_are_read_only_as_the_environment_they_are() {
    let server = TestServer::start(FILES);
    let id = server.open("acme/p/e");
    assert_eq!(server.read("acme/p/e", &id).status, 200);
    server.read("zeta/p/e", &id).error(404);
    server.read("acme/p/e", &id.to_uppercase()).error(404);
}
