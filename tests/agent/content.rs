//! What arrives: several environments, templates, optional entries, kubelet's variables, every format.

use std::fs;

use serde_json::{Value, json};

use crate::{
    fault::{Server, Step, answer, answer_with},
    harness::{EXCHANGED, PASSWORD, PROJECTED, Pod, SESSION, environment, opened},
};

/// An environment of these values, each a string.
fn with(values: &Value) -> Step {
    fn wrap(value: &Value) -> Value {
        match value {
            Value::Object(entries) => {
                let entries: serde_json::Map<_, _> =
                    entries.iter().map(|(key, value)| (key.clone(), wrap(value))).collect();
                json!({ "value": entries })
            }
            Value::Array(items) => json!({"value": items.iter().map(wrap).collect::<Vec<_>>()}),
            scalar => json!({ "value": scalar }),
        }
    }
    answer(200, &json!({"properties": wrap(values)["value"]}).to_string())
}

fn open() -> Step {
    answer(200, &opened())
}

fn exchanged(seconds: u64) -> Step {
    answer(200, &json!({"access_token": EXCHANGED, "expires_in": seconds}).to_string())
}

fn refused(status: u16) -> Step {
    answer(status, &json!({"code": status, "message": "no"}).to_string())
}

/// A pod that gets its variables from kubelet.
fn kubelet(url: &str) -> Pod {
    let mut pod = Pod::new(url);
    pod.view()["wrapper"] = json!(false);
    pod.view()["kubelet"] = json!(true);
    pod
}

#[test]
fn several_environments_are_opened_once_each_and_folded_in_order() {
    let server = Server::start(vec![
        open(),
        with(&json!({"db": {"password": "base", "port": 1, "host": "h"}, "tls": {"ca": "base"}})),
        open(),
        with(&json!({"db": {"password": PASSWORD, "port": 2}})),
    ]);
    let mut pod = Pod::new(&server.url);
    pod.plan["environments"] = json!(["acme/shop/base", "acme/shop/over@3", "acme/shop/base"]);
    pod.view()["variables"].as_array_mut().unwrap().push(json!({"name": "HOST", "path": "db.host"}));
    pod.init().assert_success();
    // Laid over the others once more, the first one wins, and is not opened for that.
    assert_eq!(pod.records(), ["+DB_PASSWORD=base", "+DB_PORT=1", "+HOST=h"]);
    let base = "/api/esc/environments/acme/shop";
    assert_eq!(
        server.lines(),
        [
            format!("POST {base}/base/open?duration=2h0m0s"),
            format!("GET {base}/base/open/{SESSION}"),
            format!("POST {base}/over/versions/3/open?duration=2h0m0s"),
            format!("GET {base}/over/open/{SESSION}"),
        ]
    );
}

#[test]
fn every_organization_gets_one_exchange_with_its_own_token() {
    let values = json!({"db": {"password": "p", "port": 1}, "tls": {"ca": "c"}});
    let server = Server::start(vec![
        exchanged(600),
        open(),
        with(&values),
        open(),
        with(&json!({})),
        exchanged(600),
        open(),
        with(&json!({})),
    ]);
    let mut pod = Pod::new(&server.url).exchange();
    fs::write(pod.path("token/other"), "other.canary.token").unwrap();
    pod.plan["environments"] = json!(["acme/shop/prod", "acme/shop/more", "other/shop/prod"]);
    let second = json!({"organization": "other", "tokenFile": pod.path("token/other")});
    pod.plan["auth"]["tokens"].as_array_mut().unwrap().push(second);
    pod.init().assert_success();
    let requests = server.requests();
    assert_eq!(requests.len(), 8);
    assert!(requests[0].body.contains("audience=urn%3Apulumi%3Aorg%3Aacme&"));
    assert!(requests[5].body.contains("audience=urn%3Apulumi%3Aorg%3Aother&"));
    assert!(requests[5].body.contains("subject_token=other.canary.token"));
}

#[test]
fn a_token_that_ended_is_exchanged_anew_from_the_file_as_it_is_then() {
    // It ends at once: each request needs another one.
    let server = Server::start(vec![exchanged(0), open(), exchanged(0), answer(200, &environment())]);
    Pod::new(&server.url).exchange().init().assert_success();
    let lines = server.lines();
    assert_eq!([&lines[0], &lines[2]], ["POST /api/oauth/token"; 2]);
}

#[test]
fn all_refusals_are_told_each_with_its_environment() {
    let server = Server::start(vec![refused(403), open(), answer(200, &environment()), refused(404)]);
    let mut pod = Pod::new(&server.url);
    pod.plan["environments"] = json!(["acme/shop/secret", "acme/shop/prod", "acme/shop/none"]);
    let outcome = pod.init();
    outcome.assert_failure(77, "ESC309");
    for part in ["acme/shop/secret", "[ESC311] opening acme/shop/none"] {
        assert!(outcome.termination.contains(part), "{part} in {}", outcome.termination);
    }
    assert!(!outcome.termination.contains("acme/shop/prod"));
    assert!(pod.listing().is_empty());
}

#[test]
fn a_refusal_blocks_even_where_an_outage_would_not() {
    let server = Server::start(vec![refused(403), answer(503, "")]);
    let mut pod = Pod::new(&server.url).timeout(1);
    pod.plan["onFailure"] = json!("start");
    pod.plan["environments"] = json!(["acme/shop/secret", "acme/shop/prod"]);
    let outcome = pod.init();
    outcome.assert_failure(77, "ESC309");
    assert!(!outcome.termination.contains("ESC303") && pod.listing().is_empty());
}

#[test]
fn what_esc_asks_of_one_request_holds_for_the_next() {
    let server =
        Server::start(vec![answer_with(403, "retry-after", "1"), open(), answer(200, &environment())]);
    let mut pod = Pod::new(&server.url);
    pod.plan["environments"] = json!(["acme/shop/secret", "acme/shop/prod"]);
    let outcome = pod.init();
    outcome.assert_failure(77, "ESC309");
    let waited = outcome.log().iter().any(|line| {
        line["message"].as_str().is_some_and(|text| text.contains("as ESC has asked"))
            && line["pause_ms"].as_u64() > Some(500)
    });
    assert!(waited, "{}", outcome.stderr);
}

#[test]
fn a_static_token_that_is_replaced_meanwhile_is_used() {
    // The first token is refused; by then there is another one in the file. A fifo can't stand for it: it is read
    // twice. So the test replaces it while the server holds the first request back.
    let server = Server::start(vec![Step::Hold(401), open(), answer(200, &environment())]);
    let pod = Pod::new(&server.url);
    let child = pod.command().spawn().unwrap();
    server.wait_for_requests(1);
    fs::write(pod.path("token/static"), "pul-rotated-canary").unwrap();
    server.release();
    pod.wait(child).assert_success();
    let requests = server.requests();
    assert_eq!(requests[1].header("authorization"), Some("token pul-rotated-canary"));
}

#[test]
fn a_log_line_says_which_authorities_are_trusted() {
    let pod = Pod::new("https://127.0.0.1:1").timeout(1);
    let outcome = pod.init();
    let lines: Vec<_> =
        outcome.log().into_iter().filter(|line| line["message"] == "trusted authorities").collect();
    assert_eq!(lines.len(), 1, "{}", outcome.stderr);
    assert!(lines[0]["public"].as_u64() > Some(10) && lines[0]["own"] == 0, "{lines:?}");
}

#[test]
fn files_come_from_templates() {
    let server = Server::start(vec![open(), answer(200, &environment())]);
    let mut pod = Pod::new(&server.url);
    pod.view()["files"] = json!([
        {"name": "app.toml", "template": "password = {{ values.db.password | tojson }}\nport = {{ values.db.port }}\n", "mode": 0o440},
        {"name": "key.bin", "template": "{{ 'AP/+' }}", "decode": "base64"},
    ]);
    pod.init().assert_success();
    let expected = format!("password = {}\nport = 5432\n", json!(PASSWORD));
    assert_eq!(fs::read_to_string(pod.path("files/app.toml")).unwrap(), expected);
    assert_eq!(fs::read(pod.path("files/key.bin")).unwrap(), b"\x00\xff\xfe");
}

#[test]
fn templates_fail_with_their_own_codes_and_tell_no_value() {
    for (template, code, part) in [
        (
            "{{ values.db.pasword }}",
            "ESC404",
            "line 1: `db.pasword` does not exist: `db` has no `pasword`; did you mean `password`?",
        ),
        ("{{ values.db.password | int }}", "ESC420", "line 1: a value does not allow what is done with it"),
        ("\n{{ values.db.password", "ESC420", "line 2: the template can't be read"),
        ("{{ values.db.password * 100000000 }}", "ESC421", "does too much"),
    ] {
        let server = Server::start(vec![open(), answer(200, &environment())]);
        let mut pod = Pod::new(&server.url);
        pod.view()["files"] = json!([{"name": "app.toml", "template": template}]);
        let outcome = pod.init();
        outcome.assert_failure(65, code);
        assert!(outcome.termination.contains(part), "{}", outcome.termination);
        assert!(outcome.termination.contains("file app.toml") && pod.listing().is_empty());
    }
}

#[test]
fn what_is_absent_null_or_empty_is_left_out_or_replaced() {
    let values = json!({"null": null, "empty": "", "list": [], "there": PASSWORD, "environmentVariables": {"A": "projected"},
        "files": {"a": PROJECTED}});
    let server = Server::start(vec![open(), with(&values)]);
    let mut pod = Pod::new(&server.url);
    let paths = ["absent.at.all", "null", "empty", "there"];
    let entries = |prefix: &str, extra: Value| -> Vec<Value> {
        let named = |(index, path): (usize, &&str)| {
            let mut entry = json!({"name": format!("{prefix}{index}"), "path": path});
            entry.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
            entry
        };
        paths.iter().enumerate().map(named).collect()
    };
    let optional = || json!({"optional": true});
    let default = || json!({"default": "in its place"});
    let mut variables = [entries("O", optional()), entries("D", default())].concat();
    // It was asked for by name, and the projection's is not what was asked for.
    variables.push(json!({"name": "A", "path": "absent", "optional": true}));
    variables.push(json!({"name": "RAW", "path": "list", "format": "raw", "optional": true}));
    variables.push(json!({"name": "JSON", "path": "list", "optional": true}));
    variables.push(json!({"name": "NULL", "path": "null"}));
    let mut files = [entries("o", optional()), entries("d", default())].concat();
    files.push(json!({"name": "a", "path": "absent", "optional": true}));
    files.push(json!({"name": "b", "template": "{{ values.empty }}", "optional": true}));
    files.push(json!({"name": "c", "template": "{{ values.empty }}", "default": "c"}));
    *pod.view() = json!({
        "containers": ["app"], "mountPath": "/m", "filesDir": pod.path("files"), "envDir": pod.path("env"), "wrapper": true,
        "projections": "all", "files": files, "variables": variables,
    });
    pod.init().assert_success();
    let value = |name: &str| format!("+{name}=in its place");
    let mut records = pod.records();
    records.retain(|record| !record.starts_with('?'));
    assert_eq!(
        records,
        [
            value("D0"),
            value("D1"),
            value("D2"),
            format!("+D3={PASSWORD}"),
            "+JSON=[]".to_owned(),
            "+NULL=".to_owned(),
            format!("+O3={PASSWORD}")
        ]
    );
    let content = |name: &str| fs::read_to_string(pod.path("files").join(name)).ok();
    for name in ["o0", "o1", "o2", "a", "b"] {
        assert_eq!(content(name), None, "{name}");
    }
    for name in ["d0", "d1", "d2"] {
        assert_eq!(content(name).as_deref(), Some("in its place"), "{name}");
    }
    assert_eq!(
        [content("o3").unwrap(), content("d3").unwrap(), content("c").unwrap()],
        [PASSWORD, PASSWORD, "c"]
    );
}

#[test]
fn kubelet_gets_the_variables_that_are_named_at_the_link_that_the_pod_names() {
    let values = json!({"a": "a b $HOME $(K) \"q\" \\ #x", "b": "l1\nl2", "c": "it's", "environmentVariables": {"P": "it's"}});
    let server = Server::start(vec![open(), with(&values)]);
    let mut pod = kubelet(&server.url);
    pod.view()["files"] = json!([{"name": "f", "path": "c"}]);
    pod.view()["projections"] = json!("all");
    pod.view()["variables"] = json!([
        {"name": "A", "path": "a"}, {"name": "B", "path": "b"}, {"name": "C", "path": "none", "optional": true},
        {"name": "D", "path": "none", "default": "d"},
    ]);
    pod.init().assert_success();
    let expected = "A='a b $HOME $(K) \"q\" \\ #x'\nB='l1\nl2'\nD='d'\n";
    assert_eq!(fs::read_to_string(pod.path("env/env")).unwrap(), expected);
    // kubelet follows no link that leaves the volume, so not an absolute one.
    assert_eq!(fs::read_link(pod.path("env/env")).unwrap().to_str(), Some("..data/env"));
    assert!(!pod.path("env/environ").exists());
}

#[test]
fn a_view_can_serve_wrapper_and_kubelet_at_once() {
    let server =
        Server::start(vec![open(), with(&json!({"db": {"password": "p", "port": 1}, "tls": {"ca": "c"}}))]);
    let mut pod = kubelet(&server.url);
    pod.view()["wrapper"] = json!(true);
    pod.init().assert_success();
    assert_eq!(pod.records(), ["+DB_PASSWORD=p", "+DB_PORT=1"]);
    assert_eq!(fs::read_to_string(pod.path("env/env")).unwrap(), "DB_PASSWORD='p'\nDB_PORT='1'\n");
}

#[test]
fn what_kubelet_can_not_read_keeps_the_application_from_starting_and_is_told_together() {
    let long = "x".repeat(70_000);
    let values =
        json!({"quote": "it's", "empty": "", "crlf": "a\r\nb", "long": long, "nul": "a\0b", "fine": "f"});
    for (path, code) in
        [("quote", "ESC415"), ("empty", "ESC416"), ("crlf", "ESC417"), ("long", "ESC418"), ("nul", "ESC407")]
    {
        let server = Server::start(vec![open(), with(&values)]);
        let mut pod = kubelet(&server.url);
        pod.view()["files"] = json!([]);
        pod.view()["variables"] = json!([{"name": "V", "path": path}, {"name": "FINE", "path": "fine"}]);
        let outcome = pod.init();
        outcome.assert_failure(65, code);
        assert!(outcome.termination.contains("variable V ") && !outcome.termination.contains("FINE"));
        assert!(pod.listing().is_empty());
    }
    let server = Server::start(vec![open(), with(&values)]);
    let mut pod = kubelet(&server.url);
    pod.view()["files"] = json!([]);
    pod.view()["variables"] = json!([
        {"name": "Q", "path": "quote"}, {"name": "E", "path": "empty"}, {"name": "M", "path": "missing"},
    ]);
    let outcome = pod.init();
    outcome.assert_failure(65, "ESC404");
    for part in ["variable M", "[ESC415] variable Q holds a single quote", "[ESC416] variable E is empty"] {
        assert!(outcome.termination.contains(part), "{part} in {}", outcome.termination);
    }
}

#[test]
fn an_outage_leaves_kubelet_a_file_without_variables_when_the_pod_may_start() {
    let server = Server::start(vec![open(), answer(200, &environment())]);
    let mut pod = kubelet(&server.url).timeout(1);
    pod.plan["onFailure"] = json!("start");
    let mut down = kubelet("http://127.0.0.1:1").timeout(1);
    down.plan["onFailure"] = json!("start");
    let outcome = down.init();
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert_eq!(fs::read_to_string(down.path("env/env")).unwrap(), "");
    assert!(!down.path("env/degraded").exists());
    // The next run of the pod may have more luck, and then less: what it had stays.
    pod.view()["variables"] = json!([{"name": "PORT", "path": "db.port"}]);
    pod.init().assert_success();
    pod.plan["api"]["url"] = json!("http://127.0.0.1:1");
    pod.init().assert_success();
    assert_eq!(fs::read_to_string(pod.path("env/env")).unwrap(), "PORT='5432'\n");
}

#[test]
fn a_view_holds_what_its_entries_ask_for_and_nothing_of_the_others() {
    let server = Server::start(vec![open(), answer(200, &environment())]);
    let mut pod = Pod::new(&server.url);
    fs::create_dir(pod.path("env/second")).unwrap();
    let second = json!({
        "containers": ["worker"], "mountPath": "/esc", "envDir": pod.path("env/second"), "wrapper": true,
        "variables": [{"name": "PORT", "path": "db.port"}],
    });
    pod.plan["views"].as_array_mut().unwrap().push(second);
    pod.init().assert_success();
    assert_eq!(fs::read_to_string(pod.path("env/second/environ")).unwrap(), "+PORT=5432\0");
    assert_eq!(pod.records().len(), 2);

    // What can't be delivered is told over all views, and what two of them ask for is told once.
    let server = Server::start(vec![open(), answer(200, &environment())]);
    let mut pod = Pod::new(&server.url);
    fs::create_dir(pod.path("env/second")).unwrap();
    let view = |dir: &str, name: &str| {
        json!({"containers": [name], "mountPath": "/m", "envDir": pod.path(dir), "wrapper": true, "variables": [
            {"name": "SAME", "path": "nowhere"}, {"name": name, "path": "gone"},
        ]})
    };
    pod.plan["views"] = json!([view("env", "ONE"), view("env/second", "TWO")]);
    let outcome = pod.init();
    outcome.assert_failure(65, "ESC404");
    assert_eq!(outcome.termination.matches("variable SAME").count(), 1, "{}", outcome.termination);
    assert!(outcome.termination.contains("variable ONE") && outcome.termination.contains("variable TWO"));
}
