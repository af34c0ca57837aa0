//! Environments that the server keeps: revisions, tags, settings, and secrets that are sealed.

use serde_json::{Value, json};

use crate::harness::{Answer, TOKEN, TestServer, session};

const E: &str = "/api/esc/environments/acme/p/e";
const CANARY: &str = "c4n4ry-kept";

fn send(server: &TestServer, method: &str, path: &str, body: &Value) -> Answer {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    text(server, method, path, &[], &body)
}

fn text(server: &TestServer, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let token = format!("token {TOKEN}");
    let headers = [&[("Authorization", token.as_str())], headers].concat();
    server.request(method, path, &headers, body.as_bytes())
}

/// A server with an empty environment `acme/p/e`.
fn server() -> TestServer {
    let server = TestServer::in_memory(&["acme", "other"]);
    let created = send(&server, "POST", "/api/esc/environments/acme", &json!({"project": "p", "name": "e"}));
    assert_eq!(created.status, 200, "{}", created.body);
    server
}

fn update(server: &TestServer, definition: &str) {
    let answer = text(server, "PATCH", E, &[], definition);
    assert_eq!(answer.status, 200, "{}", answer.body);
}

fn header(answer: &Answer, name: &str) -> String {
    let line = answer.head.lines().find(|line| line.to_ascii_lowercase().starts_with(&format!("{name}:")));
    line.unwrap_or_else(|| panic!("no {name} in {}", answer.head)).split_once(": ").unwrap().1.to_owned()
}

#[test]
fn a_new_environment_is_empty_and_has_one_revision() {
    let server = server();
    let answer = send(&server, "GET", E, &Value::Null);
    assert_eq!((answer.status, answer.body.as_str()), (200, ""));
    assert_eq!(header(&answer, "pulumi-esc-revision"), "1");
    assert_eq!(header(&answer, "content-type"), "application/x-yaml");
    assert_eq!(send(&server, "HEAD", E, &Value::Null).status, 200);
    assert_eq!(server.read("acme/p/e", &server.open("acme/p/e")).body, "{}");
    let history = send(&server, "GET", &format!("{E}/versions?before=&count="), &Value::Null).json();
    assert_eq!((&history[0]["number"], &history[0]["creatorLogin"]), (&json!(1), &json!("dev")));
    assert_eq!(history[0]["tags"], json!(["latest"]));
    let again = send(&server, "POST", "/api/esc/environments/acme", &json!({"project": "p", "name": "e"}));
    assert_eq!(again.error(409), "environment `acme/p/e` already exists");
}

#[test]
fn names_that_cannot_be_are_refused() {
    let server = server();
    for (project, name) in [
        ("p", ""),
        ("p", ".x"),
        ("p", "a/b"),
        ("p", "open"),
        ("p", "yaml"),
        ("yaml", "x"),
        ("..", "x"),
        ("p", &"x".repeat(101)),
    ] {
        let body = json!({"project": project, "name": name});
        send(&server, "POST", "/api/esc/environments/acme", &body).error(400);
    }
    let organization = send(&server, "POST", "/api/esc/environments/none", &json!({"name": "x"}));
    assert_eq!(organization.error(404), "organization `none` does not exist");
    // Without a project it is the default one, which may be named, too.
    for body in [json!({"name": "x"}), json!({"project": "default", "name": "y"})] {
        assert_eq!(send(&server, "POST", "/api/esc/environments/acme", &body).status, 200);
    }
    assert_eq!(send(&server, "GET", "/api/esc/environments/acme/default/x", &Value::Null).status, 200);
}

#[test]
fn secrets_are_sealed_and_everything_else_stays() {
    let server = server();
    let definition = format!(
        "# why\nvalues:\n  db:\n    password: {{fn::secret: {CANARY}}} # note\n    pem:\n      fn::secret: |\n        one\n          two\n  url: \"pg://${{db.password}}\"\n"
    );
    update(&server, &definition);
    let sealed = send(&server, "GET", E, &Value::Null);
    assert!(!sealed.body.contains(CANARY) && !sealed.body.contains("two"), "{}", sealed.body);
    assert!(sealed.body.starts_with("# why\nvalues:\n  db:\n    password: {fn::secret: {ciphertext: ZXNje"));
    assert_eq!(send(&server, "GET", &format!("{E}/decrypt"), &Value::Null).body, definition);
    assert_eq!(server.values("acme/p/e")["url"], format!("pg://{CANARY}"));
    assert_eq!(server.values("acme/p/e")["db"]["pem"], "one\n  two\n");
    // What was read can be written back, and means the same.
    update(&server, &sealed.body);
    assert_eq!(send(&server, "GET", E, &Value::Null).body, sealed.body);
    assert_eq!(server.values("acme/p/e")["url"], format!("pg://{CANARY}"));
}

#[test]
fn a_stored_secret_is_the_text_as_it_was_written() {
    let server = server();
    update(&server, "values: {a: {fn::secret: 'cost $$5'}, b: {fn::secret: 'v${x}'}}");
    assert_eq!(server.values("acme/p/e"), json!({"a": "cost $$5", "b": "v${x}"}));
}

#[test]
fn a_ciphertext_opens_only_where_it_belongs() {
    let server = server();
    update(&server, &format!("values: {{a: {{fn::secret: {CANARY}}}}}"));
    let sealed = send(&server, "GET", E, &Value::Null).body;
    // Another environment of somebody who may open both: it is sealed anew for that one.
    let other = "/api/esc/environments/acme/p/f";
    send(&server, "POST", "/api/esc/environments/acme", &json!({"project": "p", "name": "f"}));
    assert_eq!(text(&server, "PATCH", other, &[], &sealed).status, 200);
    let moved = send(&server, "GET", other, &Value::Null).body;
    assert_ne!(moved, sealed);
    assert_eq!(server.values("acme/p/f"), json!({"a": CANARY}));
    // Another organization has no business with it.
    send(&server, "POST", "/api/esc/environments/other", &json!({"project": "p", "name": "e"}));
    let foreign = text(&server, "PATCH", "/api/esc/environments/other/p/e", &[], &sealed);
    foreign.error(400);
    let summary = foreign.json()["diagnostics"][0]["summary"].clone();
    assert_eq!(summary, "decrypting: invalid ciphertext: it does not belong to this environment");
    for (envelope, expected) in [
        ("AAAA", "invalid ciphertext: EOF"),
        ("'!!'", "invalid ciphertext: illegal base64 data at input byte 0"),
        (
            "ZXNjeAAAAAHz5ePy5fTB4+Pl8/PL5fnJxPD7",
            "decrypting: invalid ciphertext: it does not belong to this environment",
        ),
    ] {
        let broken = text(
            &server,
            "PATCH",
            E,
            &[],
            &format!("values: {{a: {{fn::secret: {{ciphertext: {envelope}}}}}}}"),
        );
        broken.error(400);
        assert_eq!(broken.json()["diagnostics"][0]["summary"], expected);
    }
}

#[test]
fn what_would_not_open_is_not_kept() {
    let server = server();
    for (definition, summary) in [
        ("values: {a: '${nope}'}", "unknown property \"nope\""),
        ("values: {a: {FN::secret: x}}", "'fn::' is a reserved prefix"),
        ("values: {a: {fn::secret: 5}}", "secret values must be string literals"),
        ("values: [", "yaml: line 1"),
        ("imports: [p/none]", "environment `acme/p/none` does not exist"),
    ] {
        let refused = text(&server, "PATCH", E, &[], definition);
        assert_eq!(refused.error(400), "environment `acme/p/e` has errors");
        let found = refused.json()["diagnostics"][0]["summary"].as_str().unwrap().to_owned();
        assert!(found.contains(summary), "{definition}: {found}");
    }
    assert_eq!(header(&send(&server, "GET", E, &Value::Null), "pulumi-esc-revision"), "1");
    let warned = text(&server, "PATCH", E, &[], "valeus: {}\nvalues: {a: 1}");
    assert_eq!((warned.status, &warned.json()["diagnostics"][0]["severity"]), (200, &json!("warning")));
    text(&server, "PATCH", E, &[("Content-Encoding", "gzip")], "values: {}").error(415);
    assert_eq!(
        server.request("PATCH", E, &[("Authorization", &format!("token {TOKEN}"))], b"\xff").status,
        400
    );
}

#[test]
fn a_change_over_something_else_is_refused() {
    let server = server();
    let read = send(&server, "GET", E, &Value::Null);
    let tag = header(&read, "etag");
    let first = text(&server, "PATCH", E, &[("ETag", &tag)], "values: {a: 1}");
    assert_eq!((first.status, header(&first, "pulumi-esc-revision")), (200, "2".to_owned()));
    for name in ["ETag", "If-Match"] {
        let late = text(&server, "PATCH", E, &[(name, &tag)], "values: {a: 2}");
        assert_eq!(late.error(409), "environment `acme/p/e` has changed since it was read");
    }
    let next = header(&first, "etag");
    assert_eq!(text(&server, "PATCH", E, &[("If-Match", &next)], "values: {a: 3}").status, 200);
    // Without a tag the last one wins.
    assert_eq!(text(&server, "PATCH", E, &[], "values: {a: 4}").status, 200);
    assert_eq!(server.values("acme/p/e"), json!({"a": 4}));
}

#[test]
fn revisions_stay_what_they_were_and_tags_name_them() {
    let server = server();
    for number in 2..=4 {
        update(&server, &format!("values: {{n: {number}, s: {{fn::secret: {CANARY}{number}}}}}"));
    }
    let get = |path: &str| send(&server, "GET", &format!("{E}/versions{path}"), &Value::Null);
    let n = |version: &str| {
        let id = session(&send(&server, "POST", &format!("{E}/versions/{version}/open"), &Value::Null));
        server.read("acme/p/e", &id).json()["properties"]["n"]["value"].clone()
    };
    let tag = |method: &str, path: &str, body: Value| {
        send(&server, method, &format!("{E}/versions/tags{path}"), &body)
    };
    assert_eq!(tag("POST", "", json!({"name": "stable", "revision": 2})).status, 204);
    assert_eq!(tag("POST", "", json!({"name": "newest"})).status, 204);
    tag("POST", "", json!({"name": "stable", "revision": 3})).error(409);
    tag("POST", "", json!({"name": "latest", "revision": 3})).error(400);
    tag("POST", "", json!({"name": "1st"})).error(400);
    tag("PATCH", "/none", json!({"revision": 1})).error(404);
    tag("PATCH", "/stable", json!({"revision": 9})).error(400);
    tag("DELETE", "/latest", Value::Null).error(400);
    assert_eq!((n("stable"), n("3"), n("latest"), n("newest")), (json!(2), json!(3), json!(4), json!(4)));
    assert_eq!(tag("PATCH", "/stable", json!({"revision": 3})).status, 204);
    assert_eq!((n("stable"), get("/tags/stable").json()["revision"].clone()), (json!(3), json!(3)));
    assert_eq!(get("/tags/latest").json()["revision"], 4);
    assert_eq!(get("/stable").body, get("/3").body);
    assert!(get("/2/decrypt").body.contains(&format!("{CANARY}2")));
    assert_eq!(get("/3/tags").json()["tags"][0]["name"], "stable");
    // Pages end with an empty one.
    let names = |path: &str| {
        let tags = get(path).json()["tags"].clone();
        tags.as_array()
            .unwrap()
            .iter()
            .map(|tag| tag["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(names("/tags?after=&count=2"), ["latest", "newest"]);
    assert_eq!(names("/tags?after=newest&count=2"), ["stable"]);
    assert!(names("/tags?after=stable&count=2").is_empty());
    let numbers = |path: &str| {
        let page = get(path).json();
        page.as_array().unwrap().iter().map(|one| one["number"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(numbers("?before=0&count=3"), [4, 3, 2]);
    assert_eq!(numbers("?before=2&count=3"), [1]);
    assert!(numbers("?before=1&count=3").is_empty());
    get("?before=x").error(400);
    assert_eq!(tag("DELETE", "/stable", Value::Null).status, 204);
    get("/stable").error(404);
}

#[test]
fn a_retracted_revision_gives_way_to_its_replacement() {
    let server = server();
    for number in 2..=4 {
        update(&server, &format!("values: {{n: {number}}}"));
    }
    let post = |path: &str, body: Value| send(&server, "POST", &format!("{E}/versions/{path}"), &body);
    post("tags", json!({"name": "stable", "revision": 3}));
    send(&server, "POST", "/api/esc/environments/acme", &json!({"project": "p", "name": "user"}));
    let user = "/api/esc/environments/acme/p/user";
    assert_eq!(text(&server, "PATCH", user, &[], "imports: [p/e@3]").status, 200);
    post("4/retract", json!({})).error(400);
    post("stable/retract", json!({})).error(400);
    post("9/retract", json!({})).error(400);
    assert_eq!(post("3/retract", json!({"reason": "wrong"})).status, 204);
    post("3/retract", json!({})).error(400);
    let opened = post("3/open", Value::Null).error(404);
    assert_eq!(opened, "revision 3 of `acme/p/e` was retracted: wrong; revision 2 replaces it");
    send(&server, "GET", &format!("{E}/versions/3"), &Value::Null).error(404);
    let stable = send(&server, "GET", &format!("{E}/versions/tags/stable"), &Value::Null);
    assert_eq!(stable.json()["revision"], 2);
    // Who pinned it gets the replacement.
    assert_eq!(server.values("acme/p/user"), json!({"n": 2}));
    // And the replacement's, when that goes, too.
    assert_eq!(post("2/retract", json!({"replacement": 4})).status, 204);
    assert_eq!(server.values("acme/p/user"), json!({"n": 4}));
    let history = send(&server, "GET", &format!("{E}/versions"), &Value::Null).json();
    let retracted = &history[1]["retracted"];
    assert_eq!((&retracted["replacement"], &retracted["reason"]), (&json!(2), &json!("wrong")));
}

#[test]
fn what_grows_too_large_when_it_is_sealed_is_not_kept() {
    let server = server();
    let many: Vec<_> = (0..9000).map(|number| format!("  a{number}: {{fn::secret: x}}\n")).collect();
    let definition = format!("values:\n{}", many.concat());
    assert!(definition.len() < 300_000);
    let refused = text(&server, "PATCH", E, &[], &definition).error(413);
    assert!(refused.contains("with its secrets sealed"), "{refused}");
    assert_eq!(server.send("POST", &format!("{E}/open")).status, 200);
}

#[test]
fn tags_of_environments_are_kept() {
    let server = server();
    let at = |method: &str, path: &str, body: Value| send(&server, method, &format!("{E}/tags{path}"), &body);
    assert_eq!(at("GET", "?after=&count=", Value::Null).json(), json!({"tags": {}, "nextToken": "0"}));
    assert_eq!(at("POST", "", json!({"name": "team", "value": "a"})).json()["value"], "a");
    at("POST", "", json!({"name": "team", "value": "a"})).error(409);
    at("POST", "", json!({"name": "tier", "value": "1"}));
    // Clients clean paths before they send them: nobody could ask for such a tag again.
    for name in [".", ".."] {
        at("POST", "", json!({"name": name, "value": "a"})).error(400);
        send(&server, "POST", &format!("{E}/versions/tags"), &json!({"name": name})).error(400);
    }
    let change = json!({"currentTag": {"name": "", "value": "a"}, "newTag": {"name": "squad", "value": "b"}});
    assert_eq!(at("PATCH", "/team", change.clone()).json()["name"], "squad");
    at("PATCH", "/team", change.clone()).error(404);
    at("PATCH", "/squad", change).error(409);
    assert_eq!(at("GET", "/squad", Value::Null).json()["value"], "b");
    let first = at("GET", "?count=1", Value::Null).json();
    assert_eq!((first["tags"].as_object().unwrap().len(), &first["nextToken"]), (1, &json!("squad")));
    let rest = at("GET", "?count=1&after=squad", Value::Null).json();
    assert_eq!((&rest["tags"]["tier"]["value"], &rest["nextToken"]), (&json!("1"), &json!("0")));
    let listed = send(&server, "GET", "/api/esc/environments/acme", &Value::Null).json();
    assert_eq!(listed["environments"][0]["tags"], json!({"squad": "b", "tier": "1"}));
    let all = send(&server, "GET", "/api/esc/environments/acme/tags", &Value::Null).json();
    assert_eq!(all["tags"][1], json!({"name": "tier", "values": ["1"]}));
    assert_eq!(at("DELETE", "/tier", Value::Null).status, 204);
    at("GET", "/tier", Value::Null).error(404);
}

#[test]
fn a_copy_is_an_environment_of_its_own() {
    let server = server();
    update(&server, &format!("values: {{s: {{fn::secret: {CANARY}}}}}"));
    update(&server, "values: {n: 3}");
    send(&server, "POST", &format!("{E}/versions/2/retract"), &json!({"replacement": 3}));
    update(&server, &format!("values: {{n: 4, s: {{fn::secret: {CANARY}}}}}"));
    send(&server, "POST", &format!("{E}/tags"), &json!({"name": "team", "value": "a"}));
    send(&server, "POST", &format!("{E}/versions/tags"), &json!({"name": "stable", "revision": 3}));
    let clone = |body: Value| send(&server, "POST", &format!("{E}/clone"), &body);
    assert_eq!(clone(json!({"project": "q", "name": "copy"})).status, 204);
    clone(json!({"project": "q", "name": "copy"})).error(409);
    clone(json!({"name": "open"})).error(400);
    clone(json!({"name": "misspelt", "preserveHistroy": true})).error(400);
    assert!(clone(json!({"name": "shared", "preserveAccess": true})).error(400).contains("grants"));
    send(&server, "GET", "/api/esc/environments/acme/p/misspelt", &Value::Null).error(404);
    assert_eq!(server.values("acme/q/copy"), json!({"n": 4, "s": CANARY}));
    assert_eq!(clone(json!({"name": "old", "version": 3})).status, 204);
    assert_eq!(server.values("acme/p/old"), json!({"n": 3}));
    let whole = json!({
        "name": "whole", "preserveHistory": true, "preserveEnvironmentTags": true, "preserveRevisionTags": true,
    });
    assert_eq!(clone(whole).status, 204);
    let get =
        |path: &str| send(&server, "GET", &format!("/api/esc/environments/acme/p/whole{path}"), &Value::Null);
    assert_eq!(get("/versions").json().as_array().unwrap().len(), 4);
    get("/versions/2").error(404);
    assert_eq!(
        (get("/versions/tags/stable").json()["revision"].clone(), get("/tags/team").status),
        (json!(3), 200)
    );
    // The original can go; the copy's secrets are its own.
    assert_eq!(send(&server, "DELETE", E, &Value::Null).status, 204);
    assert_eq!(server.values("acme/p/whole"), json!({"n": 4, "s": CANARY}));
}

#[test]
fn what_was_deleted_can_be_restored() {
    let server = server();
    update(&server, &format!("values: {{s: {{fn::secret: {CANARY}}}}}"));
    let settings = format!("{E}/settings");
    assert_eq!(send(&server, "GET", &settings, &Value::Null).json(), json!({"deletionProtected": false}));
    send(&server, "PATCH", &settings, &json!({"deletionProtectd": true})).error(400);
    let on = send(&server, "PATCH", &settings, &json!({"deletionProtected": true}));
    assert_eq!(on.json(), json!({"deletionProtected": true}));
    assert!(send(&server, "DELETE", E, &Value::Null).error(409).contains("protected from deletion"));
    send(&server, "PATCH", &settings, &json!({"deletionProtected": false}));
    assert_eq!(send(&server, "DELETE", E, &Value::Null).status, 204);
    send(&server, "DELETE", E, &Value::Null).error(404);
    send(&server, "GET", E, &Value::Null).error(404);
    let restore = "/api/esc/environments/acme/restore";
    let gone = send(&server, "GET", restore, &Value::Null).json();
    assert_eq!(gone["environments"][0]["name"], "e");
    assert!(gone["environments"][0]["deletedAt"].is_string());
    // Meanwhile the name may be used by another.
    let again = json!({"project": "p", "name": "e"});
    assert_eq!(send(&server, "POST", "/api/esc/environments/acme", &again).status, 200);
    send(&server, "PUT", restore, &again).error(409);
    assert_eq!(send(&server, "DELETE", E, &Value::Null).status, 204);
    server.advance(1);
    assert_eq!(send(&server, "PUT", restore, &again).status, 204);
    send(&server, "PUT", restore, &json!({"project": "p", "name": "never"})).error(404);
}

#[test]
fn lists_come_in_pages() {
    let server = server();
    for index in 0..501 {
        let body = json!({"project": "many", "name": format!("e{index:03}")});
        assert_eq!(send(&server, "POST", "/api/esc/environments/acme", &body).status, 200);
    }
    send(&server, "POST", "/api/esc/environments/other", &json!({"project": "p", "name": "x"}));
    let names = |path: &str| {
        let page = send(&server, "GET", path, &Value::Null).json();
        let names: Vec<_> = page["environments"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| format!("{}/{}", one["organization"].as_str().unwrap(), one["name"].as_str().unwrap()))
            .collect();
        (names, page["nextToken"].as_str().unwrap().to_owned())
    };
    for (path, total) in [("/api/esc/environments", 503), ("/api/esc/environments/acme", 502)] {
        let (mut all, mut next) = names(&format!("{path}?continuationToken="));
        assert_eq!(all.len(), 500);
        while !next.is_empty() {
            let (more, then) = names(&format!("{path}?continuationToken={next}"));
            all.extend(more);
            next = then;
        }
        assert_eq!(all.len(), total, "{path}");
        all.sort();
        all.dedup();
        assert_eq!(all.len(), total, "{path}");
    }
    send(&server, "GET", "/api/esc/environments?continuationToken=x", &Value::Null).error(400);
}

#[test]
fn definitions_that_are_not_kept_are_checked_and_opened() {
    let server = server();
    update(&server, &format!("values: {{s: {{fn::secret: {CANARY}}}, n: 1}}"));
    let sealed = send(&server, "GET", E, &Value::Null).body;
    let post = |path: &str, body: &str| {
        text(&server, "POST", &format!("/api/esc/environments/acme/yaml/{path}"), &[], body)
    };
    let shown = post("check?showSecrets=true", &sealed).json();
    assert_eq!(shown["properties"]["s"]["value"], CANARY);
    assert_eq!(shown["exprs"]["n"]["range"]["environment"], "<yaml>");
    assert_eq!(shown["exprs"]["s"]["builtin"]["name"], "fn::secret");
    assert_eq!(shown["schema"]["properties"]["s"], json!({"type": "string"}));
    let context = &shown["executionContext"]["properties"]["currentEnvironment"]["value"]["name"];
    assert_eq!(context["value"], "<yaml>");
    let over = post("check", "imports: [p/e]\nvalues: {s: plain, n: 2}").json();
    let base = |name: &str| over["properties"][name]["trace"]["base"].clone();
    assert_eq!((&base("n")["value"], &base("n")["trace"]["def"]["environment"]), (&json!(1), &json!("p/e")));
    assert_eq!((&base("s")["value"], &base("s")["secret"]), (&json!("[secret]"), &json!(true)));
    assert_eq!(over["exprs"]["n"]["base"]["literal"], 1);
    assert!(!over.to_string().contains(CANARY), "{over}");
    let hidden = post("check?showSecrets=false", &sealed);
    assert_eq!(hidden.json()["properties"]["s"]["value"], "[secret]");
    assert!(!hidden.body.contains(CANARY));
    let both = "imports: [p/e]\nvalues: {list: {fn::split: [',', '${s},b']}, o: {k: '${s}'}}";
    let hidden = post("check", both);
    assert!(!hidden.body.contains(CANARY), "{}", hidden.body);
    assert_eq!(hidden.json()["properties"]["list"]["value"], "[secret]");
    let missing = post("check", "imports: [p/none]\nvalues: {a: {b: 1}}").json();
    assert_eq!(missing["properties"]["a"]["value"]["b"]["trace"].get("base"), None);
    let wrong = post("check", "values: {a: '${nope}'}");
    wrong.error(400);
    assert_eq!(wrong.json()["diagnostics"][0]["range"]["environment"], "<yaml>");
    let id = session(&post("open?duration=1h0m0s", both));
    for slash in ["/", "//"] {
        let path = format!("/api/esc/environments/acme/yaml/open{slash}{id}?property=o.k");
        assert_eq!(send(&server, "GET", &path, &Value::Null).json()["value"], CANARY);
    }
    send(&server, "GET", &format!("/api/esc/environments/other/yaml/open/{id}"), &Value::Null).error(404);
    let check = send(&server, "POST", &format!("{E}/check"), &Value::Null);
    assert_eq!(check.json()["properties"]["s"]["value"], "[secret]");
    let check = send(&server, "POST", &format!("{E}/versions/2/check?showSecrets=true"), &Value::Null);
    assert_eq!(check.json()["properties"]["s"]["value"], CANARY);
}

#[test]
fn definitions_in_files_are_read_and_never_changed() {
    let text_of = format!("values: {{s: {{fn::secret: {CANARY}}}}} # note\n");
    let server = TestServer::start(&[("acme/p/e.yaml", &text_of), ("acme/p/f.yml", "values: {}")]);
    let sealed = send(&server, "GET", E, &Value::Null);
    assert!(!sealed.body.contains(CANARY) && sealed.body.ends_with(" # note\n"));
    assert_eq!(send(&server, "GET", &format!("{E}/decrypt"), &Value::Null).body, text_of);
    let checked =
        text(&server, "POST", "/api/esc/environments/acme/yaml/check?showSecrets=true", &[], &sealed.body);
    assert_eq!(checked.json()["properties"]["s"]["value"], CANARY);
    let tag = header(&sealed, "etag");
    assert_eq!(header(&send(&server, "GET", E, &Value::Null), "etag"), tag);
    server.write("acme/p/e.yaml", "values: {n: 2}");
    assert_ne!(header(&send(&server, "GET", E, &Value::Null), "etag"), tag);
    let listed = send(&server, "GET", "/api/esc/environments/acme", &Value::Null).json();
    assert_eq!(listed["environments"].as_array().unwrap().len(), 2);
    for (method, path, body) in [
        ("PATCH", E.to_owned(), Value::Null),
        ("DELETE", E.to_owned(), Value::Null),
        ("POST", "/api/esc/environments/acme".to_owned(), json!({"name": "x"})),
        ("POST", format!("{E}/clone"), json!({"name": "x"})),
        ("POST", format!("{E}/tags"), json!({"name": "x", "value": ""})),
        ("POST", format!("{E}/versions/tags"), json!({"name": "x"})),
        ("PATCH", format!("{E}/settings"), json!({"deletionProtected": true})),
    ] {
        let refused = send(&server, method, &path, &body);
        assert!(refused.error(403).contains("changes nothing"), "{method} {path}");
    }
}

#[test]
fn tells_who_imports_an_environment() {
    let server = server();
    update(&server, "values: {n: 1}");
    for (name, definition) in [
        ("one", "imports: [p/e]"),
        ("two", "imports: [{p/e@2: {merge: false}}, p/one]"),
        ("three", "imports: [p/two]"),
    ] {
        send(&server, "POST", "/api/esc/environments/acme", &json!({"project": "p", "name": name}));
        let path = format!("/api/esc/environments/acme/p/{name}");
        assert_eq!(text(&server, "PATCH", &path, &[], definition).status, 200);
    }
    let get =
        |path: &str| send(&server, "GET", &format!("{E}{path}"), &Value::Null).json()["referrers"].clone();
    let referrer = |name: &str| json!([{"environment": {"project": "p", "name": name, "revision": 2}}]);
    assert_eq!(get("/referrers"), json!({"latest": referrer("one"), "2": referrer("two")}));
    assert_eq!(get("/versions/2/referrers"), json!({"2": referrer("two")}));
    send(&server, "GET", "/api/esc/environments/acme/p/none/referrers", &Value::Null).error(404);
}

#[test]
fn single_secrets_are_sealed_for_their_environment_and_opened_again() {
    let server = server();
    let post = |path: &str, body: &Value| send(&server, "POST", &format!("{E}{path}"), body);
    let texts = json!([CANARY, "", "two\nlines ü", "v${x} $$"]);
    let sealed = post("/encrypt-secrets", &json!({ "plaintexts": texts })).json()["ciphertexts"].clone();
    assert!(!sealed.to_string().contains(CANARY));
    let opened = post("/decrypt-secrets", &json!({ "ciphertexts": sealed }));
    assert_eq!(opened.json(), json!({ "plaintexts": texts }));
    // The definition takes them as they are.
    update(
        &server,
        &format!("values: {{s: {{fn::secret: {{ciphertext: {}}}}}}}", sealed[0].as_str().unwrap()),
    );
    let read = server.read("acme/p/e", &server.open("acme/p/e")).json();
    assert_eq!(read["properties"]["s"]["value"], CANARY);
    let decrypted = send(&server, "GET", &format!("{E}/decrypt"), &Value::Null).body;
    assert_eq!(decrypted, format!("values: {{s: {{fn::secret: \"{CANARY}\"}}}}"));
    // They are nothing to another environment, nor is what was changed.
    send(&server, "POST", "/api/esc/environments/acme", &json!({"project": "p", "name": "f"}));
    let elsewhere = E.replace("/p/e", "/p/f");
    let refused =
        send(&server, "POST", &format!("{elsewhere}/decrypt-secrets"), &json!({ "ciphertexts": sealed }));
    assert_eq!(
        refused.error(400),
        "ciphertexts[0]: invalid ciphertext: it does not belong to this environment"
    );
    for wrong in ["", "AAAA", "not base64"] {
        let refused = post("/decrypt-secrets", &json!({ "ciphertexts": [sealed[0], wrong] })).error(400);
        assert!(refused.starts_with("ciphertexts[1]: invalid ciphertext: "), "{refused}");
    }
    post("/encrypt-secrets", &json!({})).error(400);
    post("/encrypt-secrets", &json!({ "plaintexts": [5] })).error(400);
    post("/encrypt-secrets", &json!({ "plaintexts": ["x".repeat(1 << 20)] })).error(413);
}
