//! What teams and users may do with single environments, and what those are told who may not.

use std::{fs, process::Command};

use esc_injector::server::{Right, Storage};
use serde_json::{Value, json};

use crate::harness::{Answer, TOKEN, TestServer};

fn server(users: Option<Right>) -> TestServer {
    TestServer::start_with(&[], |config| {
        let Storage::Files(directory) = &config.storage else { unreachable!() };
        config.audit = Some(directory.join("audit.jsonl"));
        config.storage = Storage::Memory { import: None };
        config.organizations = vec!["acme".to_owned(), "other".to_owned()];
        config.users = users;
    })
}

fn send(server: &TestServer, token: &str, method: &str, path: &str, body: &str) -> Answer {
    let authorization = format!("token {token}");
    server.request(method, path, &[("Authorization", &authorization)], body.as_bytes())
}

fn make(server: &TestServer, name: &str) {
    let body = json!({"project": "p", "name": name}).to_string();
    assert_eq!(send(server, TOKEN, "POST", "/api/esc/environments/acme", &body).status, 200);
    let path = format!("/api/esc/environments/acme/p/{name}");
    for text in [
        "values: {a: {fn::secret: c4n4ry}}",
        "values: {a: {fn::secret: c4n4ry}, b: 1, r: {fn::rotate::password: {inputs: {}}}}",
    ] {
        assert_eq!(send(server, TOKEN, "PATCH", &path, text).status, 200);
    }
    let tag = r#"{"name":"t","value":"v"}"#;
    assert_eq!(send(server, TOKEN, "POST", &format!("{path}/tags"), tag).status, 200);
    let tag = r#"{"name":"v1","revision":1}"#;
    assert_eq!(send(server, TOKEN, "POST", &format!("{path}/versions/tags"), tag).status, 204);
}

fn token(server: &TestServer, holder: &Value) -> String {
    let body = json!({"name": "test", "holder": holder}).to_string();
    let answer = send(server, TOKEN, "POST", "/api/esc-injector/tokens", &body);
    answer.json()["token"].as_str().unwrap().to_owned()
}

fn team(server: &TestServer, organization: &str, name: &str) -> String {
    token(server, &json!({"kind": "team", "organization": organization, "team": name}))
}

fn user(server: &TestServer, login: &str) -> String {
    token(server, &json!({"kind": "user", "organization": "acme", "login": login}))
}

fn grant(server: &TestServer, name: &str, grantee: &Value, right: Option<&str>) -> u16 {
    let body = json!({"grantee": grantee, "right": right}).to_string();
    send(server, TOKEN, "PUT", &format!("/api/esc-injector/grants/acme/p/{name}"), &body).status
}

/// Every route of an environment, with a request that is good, and the right that it needs.
const ROUTES: &[(&str, &str, &str, &str)] = &[
    ("GET", "", "", "read"),
    ("HEAD", "", "", "read"),
    ("GET", "/versions", "", "read"),
    ("GET", "/versions/2", "", "read"),
    ("GET", "/versions/tags", "", "read"),
    ("GET", "/versions/tags/v1", "", "read"),
    ("GET", "/versions/1/tags", "", "read"),
    ("GET", "/settings", "", "read"),
    ("GET", "/metadata", "", "read"),
    ("GET", "/tags", "", "read"),
    ("GET", "/tags/t", "", "read"),
    ("GET", "/referrers", "", "read"),
    ("GET", "/versions/2/referrers", "", "read"),
    ("GET", "/decrypt", "", "open"),
    ("GET", "/versions/2/decrypt", "", "open"),
    ("POST", "/check", "", "open"),
    ("POST", "/versions/2/check", "", "open"),
    ("POST", "/open", "", "open"),
    ("POST", "/versions/2/open", "", "open"),
    ("PATCH", "", "values: {c: 1}", "write"),
    ("POST", "/rotate", "{}", "write"),
    ("POST", "/versions/2/retract", "{}", "write"),
    ("POST", "/versions/tags", r#"{"name":"v2"}"#, "write"),
    ("PATCH", "/versions/tags/v1", r#"{"revision":2}"#, "write"),
    ("DELETE", "/versions/tags/v1", "", "write"),
    ("POST", "/tags", r#"{"name":"u","value":"v"}"#, "write"),
    ("PATCH", "/tags/t", r#"{"currentTag":{"value":"v"},"newTag":{"value":"w"}}"#, "write"),
    ("DELETE", "/tags/t", "", "write"),
    ("PATCH", "/settings", r#"{"deletionProtected":false}"#, "admin"),
    ("DELETE", "", "", "admin"),
];

const RIGHTS: [&str; 4] = ["read", "open", "write", "admin"];

#[test]
fn every_route_asks_for_its_right_and_who_may_not_read_sees_nothing() {
    let server = server(None);
    let (payments, jo) = (team(&server, "acme", "payments"), user(&server, "jo"));
    let rank = |right: &str| RIGHTS.iter().position(|known| *known == right).unwrap();
    let mut number = 0;
    for (who, grantee) in [(&payments, json!({"team": "payments"})), (&jo, json!({"user": "jo"}))] {
        for granted in [None, Some("read"), Some("open"), Some("write"), Some("admin")] {
            let mut name = String::new();
            for (index, (method, rest, body, needed)) in ROUTES.iter().enumerate() {
                // What changes something gets an environment of its own.
                if index == 0 || rank(needed) >= 2 {
                    number += 1;
                    name = format!("e{number}");
                    make(&server, &name);
                    if granted.is_some() {
                        assert_eq!(grant(&server, &name, &grantee, granted), 204);
                    }
                }
                let path = |name: &str| format!("/api/esc/environments/acme/p/{name}{rest}");
                let answer = send(&server, who, method, &path(&name), body);
                let context = format!("{granted:?} {method} {rest}: {} {}", answer.status, answer.body);
                match granted {
                    Some(right) if rank(right) >= rank(needed) => assert!(answer.status < 300, "{context}"),
                    Some(_) => assert_eq!(answer.status, 403, "{context}"),
                    None => {
                        let missing = send(&server, who, method, &path("gone"), body);
                        assert_eq!((answer.status, missing.status), (404, 404), "{context}");
                        assert_eq!(answer.body.replace(&name, "gone"), missing.body, "{context}");
                        let length = |answer: &Answer| answer.head.replace(&name.len().to_string(), "").len();
                        assert!(length(&answer).abs_diff(length(&missing)) <= 1, "{context}");
                    }
                }
            }
        }
    }
}

#[test]
fn who_may_not_read_an_environment_finds_it_nowhere_else() {
    let server = server(None);
    let payments = team(&server, "acme", "payments");
    make(&server, "mine");
    make(&server, "theirs");
    assert_eq!(grant(&server, "mine", &json!({"team": "payments"}), Some("write")), 204);
    let ask = |method: &str, path: &str, body: &str| {
        send(&server, &payments, method, &format!("/api/esc/environments{path}"), body)
    };
    for path in ["", "/acme"] {
        let listed = ask("GET", path, "").json()["environments"].clone();
        assert_eq!((listed.as_array().unwrap().len(), &listed[0]["name"]), (1, &json!("mine")));
    }
    // As an import, by reference, and as a ciphertext that was taken from it.
    let sealed = send(&server, TOKEN, "GET", "/api/esc/environments/acme/p/theirs", "").body;
    let importing = |name: &str| format!("imports: [p/{name}]\nvalues: {{x: 1}}");
    for (stolen, missing) in [
        (importing("theirs"), importing("gone")),
        (
            "values: {x: '${environments.p.theirs.b}'}".to_owned(),
            "values: {x: '${environments.p.gone.b}'}".to_owned(),
        ),
    ] {
        for (method, path) in
            [("PATCH", "/acme/p/mine"), ("POST", "/acme/yaml/open"), ("POST", "/acme/yaml/check")]
        {
            let (refused, absent) = (ask(method, path, &stolen), ask(method, path, &missing));
            let (found, expected) = (refused.body.replace("theirs", "gone"), absent.body.clone());
            assert!(refused.status == 400 && !found.contains("c4n4ry"), "{path} {found}");
            let plain = |text: &str| {
                serde_json::from_str::<Value>(text).unwrap()["diagnostics"][0]["summary"].clone()
            };
            assert_eq!(plain(&found), plain(&expected), "{path}");
        }
    }
    assert_eq!(ask("PATCH", "/acme/p/mine", &sealed).status, 400);
    assert_eq!(ask("POST", "/acme/yaml/open", &sealed).status, 400);
    // Its own can be opened, and in it what may be opened, too.
    assert_eq!(ask("PATCH", "/acme/p/mine", "values: {x: 2}").status, 200);
    assert_eq!(grant(&server, "theirs", &json!({"team": "payments"}), Some("open")), 204);
    assert_eq!(ask("PATCH", "/acme/p/mine", &importing("theirs")).status, 200);
    assert_eq!(grant(&server, "theirs", &json!({"team": "payments"}), None), 204);
    assert_eq!(ask("POST", "/acme/p/mine/open", "").status, 400);
    // Another team, a team of that name elsewhere, and a user of that name have nothing.
    for other in [team(&server, "acme", "ops"), user(&server, "payments")] {
        assert_eq!(send(&server, &other, "GET", "/api/esc/environments/acme/p/mine", "").status, 404);
    }
    let elsewhere = team(&server, "other", "payments");
    assert_eq!(send(&server, &elsewhere, "GET", "/api/esc/environments/acme/p/mine", "").status, 403);
}

#[test]
fn only_administrators_give_rights() {
    let server = server(Some(Right::Write));
    make(&server, "e");
    let admin = token(&server, &json!({"kind": "organization", "organization": "acme", "admin": true}));
    let foreign = token(&server, &json!({"kind": "organization", "organization": "other", "admin": true}));
    let plain = token(&server, &json!({"kind": "organization", "organization": "acme", "admin": false}));
    let (payments, jo) = (team(&server, "acme", "payments"), user(&server, "jo"));
    // An administrator of the environment changes it, and says nothing about others.
    assert_eq!(grant(&server, "e", &json!({"user": "jo"}), Some("admin")), 204);
    let own = "/api/esc-injector/grants/acme/p";
    let team_path = "/api/orgs/acme/teams/payments";
    let body = r#"{"grantee":{"team":"payments"},"right":"open"}"#;
    let cloud = |name: &str, action: &str| {
        json!({action: {"projectName": "p", "envName": name, "permission": "open"}}).to_string()
    };
    for who in [&foreign, &plain, &payments, &jo] {
        for name in ["e", "gone"] {
            assert_eq!(send(&server, who, "GET", &format!("{own}/{name}"), "").status, 403);
            assert_eq!(send(&server, who, "PUT", &format!("{own}/{name}"), body).status, 403);
            let body = cloud(name, "addEnvironmentPermission");
            assert_eq!(send(&server, who, "PATCH", team_path, &body).status, 403);
        }
    }
    for (name, expected) in [("e", 204), ("gone", 404)] {
        assert_eq!(send(&server, &admin, "PUT", &format!("{own}/{name}"), body).status, expected);
        for action in ["addEnvironmentPermission", "editEnvironmentPermission", "removeEnvironment"] {
            assert_eq!(send(&server, &admin, "PATCH", team_path, &cloud(name, action)).status, expected);
        }
    }
    assert_eq!(
        send(&server, &admin, "PATCH", team_path, &cloud("e", "addEnvironmentPermission")).status,
        204
    );
    assert_eq!(
        send(&server, &admin, "GET", &format!("{own}/e"), "").json(),
        json!({"grants": [
            {"grantee": {"team": "payments"}, "right": "open"}, {"grantee": {"user": "jo"}, "right": "admin"},
        ]})
    );
    for bad in [
        "{}",
        r#"{"name":"x"}"#,
        &cloud("e", "addStackPermission"),
        &cloud("e", "removeEnvironment").replace("envName", "x"),
    ] {
        assert_eq!(send(&server, &admin, "PATCH", team_path, bad).status, 400, "{bad}");
    }
    for bad in
        [r#"{"grantee":{"team":""},"right":"open"}"#, r#"{"grantee":{"team":"x"},"right":"own"}"#, "{}"]
    {
        assert_eq!(send(&server, &admin, "PUT", &format!("{own}/e"), bad).status, 400, "{bad}");
    }
    assert_eq!(send(&server, &payments, "POST", "/api/esc/environments/acme/p/e/open", "").status, 200);
    // Everything is in the audit log, refusals too.
    let log = fs::read_to_string(server.directory.path().join("audit.jsonl")).unwrap();
    let lines = || log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    assert!(lines().any(|line| {
        line["action"] == "grant.change"
            && line["target"] == "acme/p/e"
            && line["detail"] == "team:payments open"
            && line["status"] == 204
    }));
    assert!(lines().any(|line| line["action"] == "grant.change"
        && line["outcome"] == "denied"
        && line["actor"] == "jo"));
    assert!(lines().any(|line| line["action"] == "grant.list"));
}

#[test]
fn who_makes_an_environment_has_it_and_a_new_one_of_its_name_begins_anew() {
    let server = server(Some(Right::Write));
    let (jo, kim, payments) = (user(&server, "jo"), user(&server, "kim"), team(&server, "acme", "payments"));
    let path = "/api/esc/environments/acme/p/e";
    let make = r#"{"project":"p","name":"e"}"#;
    assert_eq!(send(&server, &jo, "POST", "/api/esc/environments/acme", make).status, 200);
    assert_eq!(send(&server, &kim, "PATCH", path, "values: {a: 1}").status, 200);
    assert_eq!(send(&server, &kim, "DELETE", path, "").status, 403);
    assert_eq!(grant(&server, "e", &json!({"team": "payments"}), Some("open")), 204);
    assert_eq!(send(&server, &jo, "DELETE", path, "").status, 204);
    assert_eq!(send(&server, &kim, "PUT", "/api/esc/environments/acme/restore", make).status, 403);
    assert_eq!(send(&server, &jo, "PUT", "/api/esc/environments/acme/restore", make).status, 204);
    assert_eq!(send(&server, &payments, "POST", &format!("{path}/open"), "").status, 200);
    assert_eq!(grant(&server, "e", &json!({"team": "payments"}), Some("admin")), 204);
    assert_eq!(send(&server, &jo, "DELETE", path, "").status, 204);
    assert_eq!(send(&server, &kim, "POST", "/api/esc/environments/acme", make).status, 200);
    assert_eq!(send(&server, &jo, "DELETE", path, "").status, 403);
    assert_eq!(send(&server, &payments, "POST", &format!("{path}/open"), "").status, 404);
    // That there is a new one is told to who may see it.
    assert_eq!(send(&server, &jo, "PUT", "/api/esc/environments/acme/restore", make).status, 409);
    assert_eq!(send(&server, &payments, "PUT", "/api/esc/environments/acme/restore", make).status, 404);
}

#[test]
fn the_command_line_gives_rights_to_a_running_server_and_to_a_directory() {
    let server = server(None);
    make(&server, "e");
    let data = tempfile::tempdir().unwrap();
    let directory = data.path().join("data");
    let run = |arguments: &[&str], place: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_esc-injector"));
        command.env_clear().env("PULUMI_ACCESS_TOKEN", TOKEN).arg("server").args(arguments).args(place);
        let output = command.output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let url = format!("http://{}", server.address);
    let running = ["--api-url", url.as_str()];
    let stopped = ["--data", directory.to_str().unwrap()];
    // A directory needs a server once to get an environment.
    {
        let definitions = data.path().join("definitions");
        crate::harness::write(&definitions, "acme/p/e.yaml", "values: {}");
        let _ = TestServer::start_with(&[], |config| {
            config.storage =
                Storage::Data { directory: directory.clone(), key: None, import: Some(definitions) };
        });
    }
    for place in [&running, &stopped] {
        assert_eq!(
            run(&["grant", "acme/p/e", "open", "--team", "payments"], place),
            (Some(0), String::new(), String::new())
        );
        assert_eq!(run(&["grant", "acme/p/e", "read", "--user", "jo"], place).0, Some(0));
        assert_eq!(run(&["revoke", "acme/p/e", "--user", "jo"], place).0, Some(0));
        let (code, out, err) = run(&["grants", "acme/p/e"], place);
        assert_eq!(
            (code, out.as_str()),
            (Some(0), "{\"grantee\":{\"team\":\"payments\"},\"right\":\"open\"}\n"),
            "{err}"
        );
        for (arguments, code) in [
            (&["revoke", "acme/p/e", "--user", "jo"] as &[&str], 65),
            (&["grant", "acme/p/gone", "open", "--team", "x"], 65),
            (&["grant", "acme/p", "open", "--team", "x"], 65),
            (&["grants", "../../../x"], 65),
            (&["grant", "acme/p/e", "own", "--team", "x"], 64),
            (&["grant", "acme/p/e", "open"], 64),
            (&["grant", "acme/p/e", "open", "--team", "x", "--user", "y"], 64),
        ] {
            let (found, out, err) = run(arguments, place);
            assert_eq!((found, out.as_str()), (Some(code), ""), "{arguments:?}: {err}");
        }
    }
    let log = fs::read_to_string(directory.join("audit.jsonl")).unwrap();
    assert!(
        log.contains(
            r#""action":"grant.change","actor":"local","target":"acme/p/e","detail":"team:payments open""#
        ),
        "{log}"
    );
}
