//! Rotating secrets: new states become a revision, and nothing that was rotated is lost.

use std::fs;

use esc_injector::server::{Right, Storage};
use serde_json::{Value, json};

use crate::harness::{Answer, TOKEN, TestServer};

const PATH: &str = "/api/esc/environments/acme/p/e";

fn server() -> TestServer {
    TestServer::start_with(&[], |config| {
        let Storage::Files(directory) = &config.storage else { unreachable!() };
        config.audit = Some(directory.join("audit.jsonl"));
        config.storage = Storage::Memory { import: None };
        config.organizations = vec!["acme".to_owned()];
        config.users = Some(Right::Open);
        config.test_providers = true;
    })
}

fn send(server: &TestServer, method: &str, path: &str, body: &str) -> Answer {
    let authorization = format!("token {TOKEN}");
    server.request(method, path, &[("Authorization", &authorization)], body.as_bytes())
}

fn keep(server: &TestServer, definition: &str) {
    let made = send(server, "POST", "/api/esc/environments/acme", r#"{"project":"p","name":"e"}"#);
    assert!(matches!(made.status, 200 | 409));
    let kept = send(server, "PATCH", PATH, definition);
    assert_eq!(kept.status, 200, "{}", kept.body);
}

fn rotate(server: &TestServer, body: &str) -> Value {
    let answer = send(server, "POST", &format!("{PATH}/rotate"), body);
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()["secretRotationEvent"].clone()
}

fn definition(server: &TestServer, form: &str) -> String {
    let answer = send(server, "GET", &format!("{PATH}{form}"), "");
    assert_eq!(answer.status, 200);
    answer.body
}

#[test]
fn a_password_is_rotated_and_the_former_one_is_kept() {
    let server = server();
    let text = "# ours\nvalues:\n  db:\n    password:\n      fn::rotate::password:\n        inputs: {length: 20, special: false} # as they like it\n\n  url: pg://${db.password.current}\n";
    keep(&server, &text.replace("  url: pg://${db.password.current}\n", ""));
    assert_eq!(server.values("acme/p/e"), json!({"db": {"password": {}}}));
    let event = rotate(&server, r#"{"Paths":[]}"#);
    assert_eq!(
        (&event["status"], &event["preRotationRevision"], &event["postRotationRevision"]),
        (&json!("succeeded"), &json!(2), &json!(3))
    );
    assert_eq!(
        (&event["rotations"][0]["environmentPath"], &event["userID"]),
        (&json!("db.password"), &json!("dev"))
    );
    let first = server.values("acme/p/e")["db"]["password"]["current"].as_str().unwrap().to_owned();
    assert!(first.len() == 20 && first.chars().all(|c| c.is_ascii_alphanumeric()), "{first}");
    let sealed = definition(&server, "");
    let plain = definition(&server, "/decrypt");
    assert!(!sealed.contains(&first) && plain.contains(&first), "{sealed}");
    let state = format!("\n        state:\n          current:\n            fn::secret: \"{first}\"");
    assert_eq!(
        plain.replace(&state, ""),
        text.replace("  url: pg://${db.password.current}\n", ""),
        "all else is as it was"
    );
    // By its path, in either form; what is used elsewhere follows.
    keep(
        &server,
        &plain
            .replace("fn::rotate::password:\n", "fn::rotate::password: # here\n")
            .replace("\n\n", "\n  url: pg://${db.password.current}\n\n"),
    );
    rotate(&server, r#"{"paths":["db.password"]}"#);
    rotate(&server, r#"{"Paths":["values.db[\"password\"]"]}"#);
    let values = server.values("acme/p/e");
    let (current, previous) =
        (values["db"]["password"]["current"].clone(), values["db"]["password"]["previous"].clone());
    assert!(current != previous && current != json!(first) && previous != json!(first), "{values}");
    assert_eq!(values["url"], json!(format!("pg://{}", current.as_str().unwrap())));
    assert!(
        definition(&server, "").contains("# as they like it") && definition(&server, "").contains("# here")
    );
    // Each of them is a revision, and secret.
    let old =
        server.send("POST", &format!("{PATH}/versions/3/open")).json()["id"].as_str().unwrap().to_owned();
    let read = server.read("acme/p/e", &format!("{old}?property=db.password.current")).json();
    assert_eq!((&read["value"], &read["secret"]), (&json!(first), &json!(true)));
    let log = fs::read_to_string(server.directory.path().join("audit.jsonl")).unwrap();
    let count = |what: &str| log.lines().filter(|line| line.contains(what)).count();
    assert_eq!(
        (count("\"rotation.begin\""), count("\"secret.rotate\""), count("\"environment.rotate\"")),
        (3, 3, 3),
        "{log}"
    );
    assert!(log.contains(r#""revision":3,"detail":"db.password","status":200"#), "{log}");
    assert!(!log.contains(&first));
}

#[test]
fn one_that_fails_takes_nothing_from_the_others() {
    let server = server();
    keep(
        &server,
        "values:\n  a: {fn::rotate::swap: {inputs: {}, state: {a: x, b: y}}}\n  b: {fn::rotate::password: {inputs: {length: 8, minLower: 9}}}\n  \
         c:\n  - fn::rotate: {provider: echo, inputs: {next: n1}, state: {current: c0}}\n",
    );
    let event = rotate(&server, "{}");
    assert_eq!((&event["status"], &event["postRotationRevision"]), (&json!("failed"), &json!(4)));
    let statuses: Vec<_> = event["rotations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["environmentPath"].clone(), one["status"].clone()))
        .collect();
    assert_eq!(json!(statuses), json!([["a", "succeeded"], ["b", "failed"], ["c[0]", "succeeded"]]));
    assert_eq!(
        event["rotations"][1]["errorMessage"],
        "password: the least numbers of characters are more than `length`"
    );
    assert_eq!(
        server.values("acme/p/e"),
        json!({"a": {"a": "y", "b": "x"}, "b": {}, "c": [{"current": "n1", "previous": "c0"}]})
    );
    // Where nothing could be rotated there is no new revision.
    let event = rotate(&server, r#"{"paths":["b"]}"#);
    assert_eq!((&event["status"], event.get("postRotationRevision")), (&json!("failed"), None));
}

#[test]
fn refuses_before_anything_is_rotated() {
    let server = server();
    let ask = |body: &str| send(&server, "POST", &format!("{PATH}/rotate"), body);
    ask("{}").error(404);
    keep(&server, "values: {a: 1}");
    assert!(ask("{}").error(400).contains("nothing to rotate"));
    keep(&server, "values: {a: {fn::rotate::swap: {inputs: {}, state: {a: x, b: y}}}, b: 1}");
    for misspelt in [r#"{"path":["x"]}"#, r#"{"pats":["a"]}"#] {
        ask(misspelt).error(400);
    }
    for (body, message) in [
        (r#"{"paths":["b"]}"#, "there is no rotator at `b`"),
        (r#"{"paths":["a","none"]}"#, "there is no rotator at `none`"),
        (r#"{"paths":["a["]}"#, "no property path"),
        (r#"{"paths":5}"#, "not the JSON"),
    ] {
        assert!(ask(body).error(400).contains(message), "{body}");
    }
    // What does not evaluate any more: the environment that it imports is gone.
    let base = r#"{"project":"p","name":"base"}"#;
    assert_eq!(send(&server, "POST", "/api/esc/environments/acme", base).status, 200);
    keep(&server, "imports: [p/base]\nvalues: {a: {fn::rotate::swap: {inputs: {}, state: {a: x, b: y}}}}");
    assert_eq!(send(&server, "DELETE", "/api/esc/environments/acme/p/base", "").status, 204);
    assert!(ask("{}").error(400).contains("has errors"));
    let latest = send(&server, "GET", PATH, "");
    assert!(latest.head.contains("pulumi-esc-revision: 4"), "{}", latest.head);
    // Files are never written, and so never rotated.
    let files = TestServer::start_with(
        &[("acme/p/e.yaml", "values: {a: {fn::rotate::password: {inputs: {}}}}")],
        |_| {},
    );
    assert!(send(&files, "POST", &format!("{PATH}/rotate"), "{}").error(403).contains("changes nothing"));
}

#[test]
fn what_might_outgrow_a_definition_is_not_rotated() {
    let server = server();
    let padded = |room: usize| {
        let rotators: String =
            ["a", "b"].map(|key| format!("  {key}: {{fn::rotate::password: {{inputs: {{}}}}}}\n")).concat();
        let rest = "values:\n  pad: \n";
        let pad = "x".repeat((1 << 20) - room - rotators.len() - rest.len());
        format!("values:\n  pad: {pad}\n{rotators}")
    };
    let ask = |body: &str| send(&server, "POST", &format!("{PATH}/rotate"), body);
    keep(&server, &padded(300));
    for body in ["{}", r#"{"paths":["b"]}"#] {
        assert!(ask(body).error(413).contains("make it smaller"));
    }
    let log = fs::read_to_string(server.directory.path().join("audit.jsonl")).unwrap();
    assert!(!log.contains("rotation.begin") && !log.contains("secret.rotate"), "{log}");
    let latest = send(&server, "GET", PATH, "");
    assert!(latest.head.contains("pulumi-esc-revision: 2"), "{}", latest.head);
    // There is room for one of them at a time.
    keep(&server, &padded(12 << 10));
    assert!(ask("{}").error(413).contains("rotate fewer"));
    for path in ["a", "b", "a"] {
        assert_eq!(rotate(&server, &json!({ "paths": [path] }).to_string())["status"], "succeeded");
    }
    assert_eq!(rotate(&server, "{}")["status"], "succeeded");
}

#[test]
fn rotations_and_changes_at_the_same_time_lose_nothing() {
    let server = server();
    keep(&server, "values:\n  n: 0\n  a:\n    fn::rotate::password:\n      inputs: {}\n");
    let done = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (server, done) = (&server, &done);
            scope.spawn(move || {
                for turn in 0..6 {
                    if thread < 2 {
                        let answer = send(server, "POST", &format!("{PATH}/rotate"), "{}");
                        match answer.status {
                            200 => {
                                assert_eq!(answer.json()["secretRotationEvent"]["status"], "succeeded");
                                done.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                            }
                            status => assert_eq!(status, 409, "{}", answer.body),
                        }
                        continue;
                    }
                    // Reads, changes a line, and writes with the tag that it read.
                    let read = send(server, "GET", PATH, "");
                    let tag =
                        read.head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap().to_owned();
                    let line = read.body.lines().find(|line| line.starts_with("  n: ")).unwrap();
                    let changed = read.body.replace(line, &format!("  n: {thread}{turn}"));
                    let authorization = format!("token {TOKEN}");
                    let headers = [("Authorization", authorization.as_str()), ("If-Match", tag.as_str())];
                    let written = server.request("PATCH", PATH, &headers, changed.as_bytes());
                    assert!(matches!(written.status, 200 | 409), "{}", written.body);
                }
            });
        }
    });
    // Every password that was made is the successor of the one before.
    let revisions = send(&server, "GET", &format!("{PATH}/versions?count=500"), "").json();
    let mut states: Vec<Value> = Vec::new();
    for number in 2..=revisions[0]["number"].as_u64().unwrap() {
        let id = server.send("POST", &format!("{PATH}/versions/{number}/open")).json()["id"]
            .as_str()
            .unwrap()
            .to_owned();
        let read = server.read("acme/p/e", &id).json();
        let state = crate::harness::plain(&read["properties"]["a"]);
        if states.last() != Some(&state) {
            states.push(state);
        }
    }
    assert_eq!(states.len() - 1, done.load(std::sync::atomic::Ordering::SeqCst), "{states:?}");
    for pair in states.windows(2) {
        assert_eq!(pair[1].get("previous"), pair[0].get("current"), "{states:?}");
    }
}

#[test]
fn inputs_that_a_rotator_or_provider_has_not_are_not_saved() {
    let server = server();
    send(&server, "POST", "/api/esc/environments/acme", r#"{"project":"p","name":"e"}"#);
    let rotate = |name: &str, inputs: &str| {
        format!("values:\n  a:\n    fn::rotate::{name}:\n      inputs: {inputs}\n")
    };
    let unknown = |key: &str, near: &str| format!("unknown property \"{key}\"; did you mean \"{near}\"?");
    // Each with the begin of what is wrong, and its path.
    for (text, summary, line, column, path) in [
        (rotate("password", "{lenght: 20}"), unknown("lenght", "length"), 4, 24, ".inputs.lenght"),
        (
            rotate("password", "{length: '20'}"),
            "expected number, got string".to_owned(),
            4,
            24,
            ".inputs.length",
        ),
        (
            rotate("password", "{length: 7}"),
            "expected a number greater than or equal to 8".to_owned(),
            4,
            24,
            ".inputs.length",
        ),
        (rotate("password", "{length: 8.5}"), "expected a multiple of 1".to_owned(), 4, 24, ".inputs.length"),
        (
            rotate("password", "{overrideSpecial: ''}"),
            "expected a string of at least length 1".to_owned(),
            4,
            33,
            ".inputs.overrideSpecial",
        ),
        (
            rotate("external", "{url: 'https://x', reqest: {}}"),
            unknown("reqest", "request"),
            4,
            42,
            ".inputs.reqest",
        ),
        (
            rotate("external", "{request: {}}"),
            "missing required properties: url".to_owned(),
            4,
            15,
            ".inputs",
        ),
        (
            rotate("external", "{url: 'https://x', request: [1]}"),
            "expected object, got array".to_owned(),
            4,
            43,
            ".inputs.request",
        ),
        (
            "values:\n  a:\n    fn::open::external: {url: 'https://x', secert: false}\n".to_owned(),
            unknown("secert", "secret"),
            3,
            52,
            ".secert",
        ),
        (
            "values:\n  a:\n    fn::open:\n      provider: external\n      inputs: {url: [1]}\n".to_owned(),
            "expected string, got array".to_owned(),
            5,
            21,
            ".inputs.url",
        ),
    ] {
        let answer = send(&server, "PATCH", PATH, &text);
        answer.error(400);
        let found = &answer.json()["diagnostics"][0];
        let begin = &found["range"]["begin"];
        assert_eq!(found["summary"], summary, "{text}{}", answer.body);
        assert_eq!(
            (&begin["line"], &begin["column"]),
            (&json!(line), &json!(column)),
            "{text}{}",
            answer.body
        );
        assert!(found["path"].as_str().unwrap().ends_with(path), "{text}{}", answer.body);
    }
    let whole = "{length: 20, lower: true, minUpper: 2, overrideSpecial: '+', special: true}";
    assert_eq!(send(&server, "PATCH", PATH, &rotate("password", whole)).status, 200);
}

#[test]
fn inputs_that_no_longer_fit_take_no_value_away_and_are_neither_saved_nor_rotated() {
    let text = "values:\n  a:\n    fn::rotate::password:\n      inputs: {lenght: 20}\n      state: {current: {fn::secret: old}}\n";
    let server = TestServer::start_with(&[("files/acme/p/e.yaml", text)], |config| {
        let Storage::Files(directory) = &config.storage else { unreachable!() };
        // What is imported was saved by somebody who knew nothing of inputs.
        config.storage = Storage::Memory { import: Some(directory.join("files")) };
    });
    let opened = send(&server, "POST", &format!("{PATH}/open"), "");
    assert_eq!(opened.status, 200, "{}", opened.body);
    let told = &opened.json()["diagnostics"][0];
    assert_eq!(told["summary"], "unknown property \"lenght\"; did you mean \"length\"?", "{}", opened.body);
    assert_eq!(server.values("acme/p/e"), json!({"a": {"current": "old"}}));
    send(&server, "PATCH", PATH, text).error(400);
    send(&server, "POST", &format!("{PATH}/rotate"), "{}").error(400);
    // Where there is no state, nothing is lost by an error.
    let (first, _) = text.split_once("      state:").unwrap();
    let open = "/api/esc/environments/acme/yaml/open";
    assert!(send(&server, "POST", open, first).error(400).contains("has errors"));
    assert_eq!(send(&server, "POST", open, text).status, 200);
}
