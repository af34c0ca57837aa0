//! Several issuers, their policies, and keys that come from the issuer itself.

use std::{
    path::Path,
    sync::{Arc, Mutex},
};

use esc_injector::server::{Storage, identity};
use serde_json::{Value, json};

use crate::{
    harness::{Answer, TestServer, write},
    https::{Asked, Https, Reply},
    issuer::Signer,
};

const FILES: crate::harness::Files<'static> =
    &[("acme/p/e.yaml", "values: {a: 1}"), ("other/p/e.yaml", "values: {a: 2}")];

fn start(file: &str, extra: &[(&str, &str)]) -> TestServer {
    TestServer::start_with(FILES, |config| {
        let Storage::Files(directory) = &config.storage else { unreachable!() };
        for (name, text) in extra {
            write(directory, name, text);
        }
        write(directory, "issuers.yaml", file);
        config.issuers = identity::read(&directory.join("issuers.yaml")).unwrap();
    })
}

fn claims(server: &TestServer, issuer: &str, subject: &str, more: &Value) -> Value {
    let now = server.now();
    let mut claims = json!({"iss": issuer, "sub": subject, "aud": ["urn:pulumi:org:acme", "urn:pulumi:org:other"],
        "iat": now, "exp": now + 600});
    for (name, value) in more.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
}

fn exchange(server: &TestServer, token: &str, organization: &str, kind: &str, scope: &str) -> Answer {
    let fields = json!({
        "audience": format!("urn:pulumi:org:{organization}"),
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token_type": "urn:ietf:params:oauth:token-type:id_token",
        "requested_token_type": format!("urn:pulumi:token-type:access_token:{kind}"),
        "subject_token": token,
        "scope": scope,
    });
    let headers = [("Content-Type", "application/json")];
    server.request("POST", "/api/oauth/token", &headers, fields.to_string().as_bytes())
}

#[test]
fn policies_say_who_gets_which_token() {
    let (one, two) = (Signer::new("k1"), Signer::new("k1"));
    let inline = json!({"keys": [one.jwk()]});
    let file = format!(
        r#"
issuers:
- name: cluster
  url: https://cluster.test
  organization: acme
  jwks: {inline}
  maxExpiration: 10m
  maxTokenAge: 1h
  policies:
  - decision: allow
    tokenType: organization
    rules: {{sub: 'system:serviceaccount:shop:*', '"kubernetes.io".namespace': shop}}
  - decision: deny
    tokenType: organization
    rules: {{'"kubernetes.io".serviceaccount.name': 'legacy-?'}}
  - decision: allow
    tokenType: team
    teamName: pay*
    rules: {{aud: urn:pulumi:org:acme, groups: dev}}
- name: ci
  url: https://ci.test
  jwksFile: ci.json
  policies:
  - decision: allow
    tokenType: personal
    userLogin: bot
    rules: {{sub: 'repo:acme/*:ref:refs/heads/main'}}
"#
    );
    let server = start(&file, &[("ci.json", &json!({"keys": [two.jwk()]}).to_string())]);
    let shop = json!({"kubernetes.io": {"namespace": "shop", "serviceaccount": {"name": "api"}}, "groups": ["ops", "dev"]});
    let legacy = json!({"kubernetes.io": {"namespace": "shop", "serviceaccount": {"name": "legacy-2"}}});
    let (cluster, ci) = ("https://cluster.test", "https://ci.test");
    let (api, main) = ("system:serviceaccount:shop:api", "repo:acme/shop:ref:refs/heads/main");
    let of_team = ("team", "team:payments");
    for (what, signer, issuer, subject, more, organization, (kind, scope), status) in [
        ("allowed", &one, cluster, api, &shop, "acme", ("organization", ""), 200),
        ("no nested claim", &one, cluster, api, &json!({}), "acme", ("organization", ""), 403),
        ("denied", &one, cluster, api, &legacy, "acme", ("organization", ""), 403),
        ("another organization", &one, cluster, api, &shop, "other", ("organization", ""), 401),
        ("a team", &one, cluster, api, &shop, "acme", of_team, 200),
        ("another team", &one, cluster, api, &shop, "acme", ("team", "team:ops"), 403),
        ("a team, but not in the group", &one, cluster, api, &legacy, "acme", of_team, 403),
        ("a user of whom no policy speaks", &one, cluster, api, &shop, "acme", ("personal", "user:bot"), 403),
        ("a user", &two, ci, main, &json!({}), "acme", ("personal", "user:bot"), 200),
        ("a user of any organization", &two, ci, main, &json!({}), "other", ("personal", "user:bot"), 200),
        ("another user", &two, ci, main, &json!({}), "acme", ("personal", "user:root"), 403),
        (
            "another branch",
            &two,
            ci,
            "repo:acme/shop:ref:refs/heads/x",
            &json!({}),
            "acme",
            ("personal", "user:bot"),
            403,
        ),
        ("the key of another issuer", &one, ci, main, &json!({}), "acme", ("personal", "user:bot"), 401),
        (
            "an issuer that nobody knows",
            &one,
            "https://who.test",
            api,
            &shop,
            "acme",
            ("organization", ""),
            401,
        ),
        ("too old", &one, cluster, api, &json!({"iat": 1}), "acme", ("organization", ""), 401),
        ("of unknown age", &one, cluster, api, &json!({"iat": null}), "acme", ("organization", ""), 401),
    ] {
        let token = signer.sign(&claims(&server, issuer, subject, more));
        let answer = exchange(&server, &token, organization, kind, scope);
        assert_eq!(answer.status, status, "{what}: {}", answer.body);
        if status == 200 {
            let lifetime = if issuer == cluster { 600 } else { 7200 };
            assert_eq!(answer.json()["expires_in"], lifetime, "{what}");
        } else {
            assert!(!answer.error(status).contains(&token), "{what}");
        }
    }
}

/// An issuer that publishes its keys, and what it was asked for.
fn publishing(keys: &Arc<Mutex<Vec<Value>>>, status: &Arc<Mutex<u16>>) -> Https {
    let (keys, status) = (Arc::clone(keys), Arc::clone(status));
    Https::start(move |asked: &Asked| -> Reply {
        let origin = format!("https://{}", asked.header("host").unwrap());
        let body = match asked.line.as_str() {
            "GET /.well-known/openid-configuration" => {
                json!({"issuer": origin, "jwks_uri": format!("{origin}/keys")})
            }
            _ => json!({"keys": *keys.lock().unwrap()}),
        };
        (*status.lock().unwrap(), String::new(), body.to_string())
    })
}

#[test]
fn keys_are_fetched_kept_and_fetched_anew_when_one_is_unknown() {
    let (one, two, stranger) = (Signer::new("k1"), Signer::new("k2"), Signer::new("k3"));
    let (keys, status) = (Arc::new(Mutex::new(vec![one.jwk()])), Arc::new(Mutex::new(200)));
    let issuer = publishing(&keys, &status);
    let url = issuer.url("");
    let file = format!(
        "issuers:\n- name: i\n  url: {url}\n  jwks: fetch\n  caFile: ca.pem\n  jwksTokenFile: token\n  policies: \
         [{{decision: allow, tokenType: organization, rules: {{sub: '*'}}}}]\n"
    );
    let server = start(&file, &[("ca.pem", &issuer.authority), ("token", "t0ken\n")]);
    let try_with = |signer: &Signer| {
        let token = signer.sign(&claims(&server, &url, "s", &json!({})));
        exchange(&server, &token, "acme", "organization", "").status
    };
    let count = || issuer.asked().len();
    assert_eq!((try_with(&one), count()), (200, 2));
    assert_eq!(issuer.asked()[0].header("authorization"), Some("Bearer t0ken"));
    // Kept; and an unknown key does not make it ask again at once.
    assert_eq!((try_with(&one), count()), (200, 2));
    assert_eq!((try_with(&stranger), try_with(&stranger), count()), (401, 401, 2));
    keys.lock().unwrap().push(two.jwk());
    server.advance(11);
    assert_eq!((try_with(&two), count()), (200, 4));
    // While the issuer fails, what is known of it counts on, for a day.
    *status.lock().unwrap() = 500;
    server.advance(3600);
    assert_eq!((try_with(&one), try_with(&two), count()), (200, 200, 5));
    server.advance(24 * 3600);
    assert_eq!(try_with(&one), 503);
}

#[test]
fn who_can_not_prove_to_be_the_issuer_gives_no_keys() {
    let signer = Signer::new("k1");
    let (keys, status) = (Arc::new(Mutex::new(vec![signer.jwk()])), Arc::new(Mutex::new(200)));
    let issuer = publishing(&keys, &status);
    let other = Https::start(|_| {
        (200, String::new(), json!({"issuer": "https://x", "jwks_uri": "https://x"}).to_string())
    });
    let redirecting = {
        let place = issuer.url("/keys");
        Https::start(move |_| (302, format!("Location: {place}\r\n"), String::new()))
    };
    let huge = Https::start(|_| (200, String::new(), " ".repeat((1 << 20) + 1)));
    for (url, authority) in [
        (issuer.url(""), None),
        (other.url(""), Some(&other.authority)),
        (redirecting.url(""), Some(&redirecting.authority)),
        (huge.url(""), Some(&huge.authority)),
        (format!("https://localhost:{}", free_port()), Some(&issuer.authority)),
    ] {
        let ca = if authority.is_some() { "  caFile: ca.pem\n" } else { "" };
        let file = format!(
            "issuers:\n- name: i\n  url: {url}\n  jwks: fetch\n{ca}  policies: [{{decision: allow, tokenType: \
             organization, rules: {{sub: '*'}}}}]\n"
        );
        let server = start(&file, &[("ca.pem", authority.map_or("", |pem| pem.as_str()))]);
        let token = signer.sign(&claims(&server, &url, "s", &json!({})));
        let answer = exchange(&server, &token, "acme", "organization", "");
        assert!(answer.error(503).contains("see the server's log"), "{url}");
    }
    assert!(redirecting.asked().len() == 1 && issuer.asked().is_empty(), "redirects are not followed");
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn a_file_that_is_wrong_keeps_the_server_from_starting() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), "issuers.yaml", "issuers:\n- name: x\n  url: http://plain.test\n");
    let path: &Path = directory.path();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_esc-injector"))
        .env_clear()
        .args(["server", "--dev", "--listen", "127.0.0.1:0", "--issuers"])
        .arg(path.join("issuers.yaml"))
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(78), "{said}");
    assert!(said.contains("issuers.yaml:3:8: it must be an https URL"), "{said}");
}

#[test]
fn a_server_for_trying_things_out_prints_a_token_beside_issuers_too() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), "keys.json", include_str!("fixtures/rs256.jwks.json"));
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_esc-injector"));
    command.env_clear().args(["server", "--dev", "--listen", "127.0.0.1:0"]);
    command.args(["--oidc-issuer", "https://issuer.test", "--oidc-subject", "*", "--oidc-jwks"]);
    command.arg(directory.path().join("keys.json"));
    let mut child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    assert!(lines.next().unwrap().unwrap().starts_with("listening on "));
    assert!(lines.next().unwrap().unwrap().starts_with("access token pul-"));
    child.kill().unwrap();
    child.wait().unwrap();
}
