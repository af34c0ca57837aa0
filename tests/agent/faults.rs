//! What goes wrong on the way to ESC, and what the agent makes of it.

use std::fs;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::{
    fault::{Server, Step, answer, answer_with},
    harness::{ACCESS_TOKEN, BINARY, EXCHANGED, PASSWORD, PROJECTED, Pod, SESSION, environment, opened},
};

/// What ESC says when it refuses; the message quotes what must not be passed on.
fn refusal(status: u16, message: &str) -> Step {
    answer(
        status,
        &json!({"code": status, "message": format!("{message} {PASSWORD} {ACCESS_TOKEN}")}).to_string(),
    )
}

fn exchanged() -> Step {
    answer(200, &json!({"access_token": EXCHANGED}).to_string())
}

fn good() -> [Step; 2] {
    [answer(200, &opened()), answer(200, &environment())]
}

#[test]
fn what_passes_is_waited_for() {
    let busy = || answer_with(429, "retry-after", "1");
    let cases: Vec<(&str, Vec<Step>, usize)> = vec![
        ("429 on open", vec![busy(), answer(200, &opened()), answer(200, &environment())], 3),
        ("503 on open", vec![answer(503, ""), answer(200, &opened()), answer(200, &environment())], 3),
        ("reset on open", vec![Step::Reset, answer(200, &opened()), answer(200, &environment())], 3),
        ("429 on read", vec![answer(200, &opened()), busy(), answer(200, &environment())], 3),
        ("500 on read", vec![answer(200, &opened()), answer(500, ""), answer(200, &environment())], 3),
        ("cut off read", vec![answer(200, &opened()), Step::CutOff, answer(200, &environment())], 3),
        ("reset on read", vec![answer(200, &opened()), Step::Reset, answer(200, &environment())], 3),
    ];
    for (what, script, requests) in cases {
        let server = Server::start(script);
        let pod = Pod::new(&server.url);
        let outcome = pod.init();
        assert_eq!(outcome.code, Some(0), "{what}: {}", outcome.stderr);
        assert_eq!(server.lines().len(), requests, "{what}");
        assert_eq!(pod.records().len(), 2, "{what}");
    }
}

#[test]
fn the_exchange_is_repeated_when_esc_is_busy() {
    // Unlike an open, it has no effects that matter twice: whatever went wrong, it is tried again.
    for step in [answer(502, ""), answer(500, ""), answer_with(429, "retry-after", "0"), Step::CutOff] {
        let [open, read] = good();
        let server = Server::start(vec![step, exchanged(), open, read]);
        Pod::new(&server.url).exchange().init().assert_success();
    }
}

#[test]
fn an_expired_exchanged_token_is_exchanged_once_more() {
    let [open, read] = good();
    let server = Server::start(vec![exchanged(), refusal(401, "expired"), exchanged(), open, read]);
    Pod::new(&server.url).exchange().init().assert_success();

    let server = Server::start(vec![exchanged(), refusal(401, "x"), exchanged(), refusal(401, "x")]);
    let pod = Pod::new(&server.url).exchange();
    pod.init().assert_failure(77, "ESC308");
    assert_eq!(server.lines().len(), 4);
    assert!(pod.listing().is_empty());
}

#[test]
fn a_vanished_session_is_opened_once_more() {
    let [open, read] = good();
    let server = Server::start(vec![answer(200, &opened()), refusal(404, "no session"), open, read]);
    Pod::new(&server.url).init().assert_success();

    let gone = || [answer(200, &opened()), refusal(404, "no session")];
    let server = Server::start(gone().into_iter().chain(gone()).collect());
    let pod = Pod::new(&server.url);
    pod.init().assert_failure(75, "ESC315");
    assert_eq!(server.lines().len(), 4);
    assert!(pod.listing().is_empty());
}

#[test]
fn refusals_fail_at_once_each_with_its_own_code() {
    let diagnostics = json!({"code": 400, "message": PASSWORD, "diagnostics": [
        {"range": {"environment": "shop/prod", "begin": {"line": 3, "column": 5}}, "summary": "provider login failed",
         "detail": PASSWORD},
    ]});
    let cases = [
        (answer(400, &diagnostics.to_string()), 65, "ESC312"),
        (refusal(400, "bad"), 78, "ESC313"),
        (refusal(401, "bad token"), 77, "ESC308"),
        (refusal(403, "forbidden"), 77, "ESC309"),
        (refusal(403, "an approved open request is required"), 77, "ESC310"),
        (refusal(404, "unknown environment"), 78, "ESC311"),
        (refusal(409, "conflict"), 75, "ESC314"),
        (answer_with(302, "location", "http://127.0.0.1:1/steal"), 78, "ESC316"),
        (answer(200, "<html>sign in</html>"), 78, "ESC316"),
        (answer(200, "{\"id\":\"\"}"), 78, "ESC316"),
        (answer(500, PASSWORD), 75, "ESC303"),
        (Step::CutOff, 69, "ESC301"),
        (Step::Endless, 65, "ESC317"),
        (answer_with(200, "x-note", PASSWORD.trim_end_matches("äöü +&")), 78, "ESC316"),
    ];
    for (step, exit, code) in cases {
        for on_failure in ["block", "start"] {
            // Outages are another test.
            if on_failure == "start" && matches!(code, "ESC301" | "ESC303") {
                continue;
            }
            let step = match &step {
                Step::Answer(status, headers, body) => Step::Answer(*status, headers.clone(), body.clone()),
                Step::Endless => Step::Endless,
                _ => Step::CutOff,
            };
            let server = Server::start(vec![step]);
            let mut pod = Pod::new(&server.url);
            pod.plan["onFailure"] = json!(on_failure);
            let outcome = pod.init();
            outcome.assert_failure(exit, code);
            assert!(outcome.termination.contains("opening acme/shop/prod"), "{}", outcome.termination);
            // Which ESC: it may be the wrong one.
            if matches!(code, "ESC301" | "ESC303") {
                assert!(outcome.termination.contains(&server.url), "{}", outcome.termination);
            }
            assert_eq!(server.lines().len(), 1, "{code} is not repeated");
            assert!(pod.listing().is_empty(), "{code}");
        }
    }
}

#[test]
fn diagnostics_show_position_and_summary_only() {
    let body = json!({"code": 400, "message": PASSWORD, "diagnostics": [
        {"range": {"environment": "shop/prod", "begin": {"line": 3, "column": 5}}, "summary": "provider login failed",
         "detail": PASSWORD, "severity": "error"},
    ]});
    let server = Server::start(vec![answer(400, &body.to_string())]);
    let outcome = Pod::new(&server.url).init();
    assert!(outcome.termination.contains("shop/prod:3:5: provider login failed"), "{}", outcome.termination);
}

#[test]
fn a_refused_identity_has_its_own_code() {
    for status in [400, 401, 403] {
        let server = Server::start(vec![refusal(status, "no policy matches")]);
        let pod = Pod::new(&server.url).exchange();
        let outcome = pod.init();
        outcome.assert_failure(77, "ESC307");
        // What the token says of its holder can't be read.
        assert!(outcome.termination.contains("`sub: system:serviceaccount:NAMESPACE:NAME`"), "{outcome:#?}");
        assert_eq!(server.lines(), ["POST /api/oauth/token"]);
    }
}

#[test]
fn answers_that_are_no_environment_are_refused_without_quoting_them() {
    let cut = environment().replace("\"properties\"", "\"properties\":[");
    for body in [
        &cut,
        "",
        "[]",
        PASSWORD,
        "{\"properties\":7}",
        "{\"properties\":{\"a\":\"canary-projected-value\"}}",
    ] {
        let server = Server::start(vec![answer(200, &opened()), answer(200, body)]);
        let pod = Pod::new(&server.url);
        let outcome = pod.init();
        outcome.assert_failure(78, "ESC316");
        assert!(!outcome.termination.contains(SESSION));
        assert!(pod.listing().is_empty());
    }
    // Small on the wire, but not in memory.
    let many = format!("{{\"properties\":{{\"a\":{{\"value\":[{}{{}}]}}}}}}", "{},".repeat(100_000));
    for answer_to_read in [Step::Endless, answer(200, &many)] {
        let server = Server::start(vec![answer(200, &opened()), answer_to_read]);
        Pod::new(&server.url).init().assert_failure(65, "ESC317");
    }
}

#[test]
fn outages_for_the_whole_budget_block_with_their_own_codes() {
    type Case = (fn() -> Step, i32, &'static str);
    let cases: [Case; 5] = [
        (|| answer_with(503, "x-pulumi-request-id", "req-42"), 75, "ESC303"),
        (|| answer_with(429, "retry-after", "3600"), 75, "ESC302"),
        (|| answer(429, ""), 75, "ESC302"),
        (|| Step::Reset, 69, "ESC301"),
        (|| Step::Hang, 69, "ESC301"),
    ];
    for (step, exit, code) in cases {
        let server = Server::start((0..100).map(|_| step()).collect());
        let pod = Pod::new(&server.url).timeout(1);
        let outcome = pod.init();
        outcome.assert_failure(exit, code);
        assert!(pod.listing().is_empty(), "{code}");
        if code == "ESC303" {
            assert!(outcome.termination.contains("request id req-42"), "{}", outcome.termination);
        }
    }
}

#[test]
fn nobody_listening_is_unreachable() {
    let pod = Pod::new("http://127.0.0.1:1").timeout(1);
    let outcome = pod.init();
    outcome.assert_failure(69, "ESC301");
    assert!(outcome.termination.contains("refused"), "{}", outcome.termination);
}

#[test]
fn a_connection_that_is_turned_away_in_a_mesh_names_the_meshs_exclusion() {
    let meshes = [
        (
            "istio",
            "Istio",
            "`traffic.sidecar.istio.io/excludeOutboundPorts` or `traffic.sidecar.istio.io/excludeOutboundIPRanges`",
        ),
        ("linkerd", "Linkerd", "`config.linkerd.io/skip-outbound-ports`"),
        ("consul", "Consul", "`consul.hashicorp.com/transparent-proxy-exclude-outbound-ports`"),
        ("kuma", "Kuma", "`traffic.kuma.io/exclude-outbound-ports`"),
    ];
    for (mesh, name, exclusion) in meshes {
        let mut pod = Pod::new("http://127.0.0.1:1").timeout(1);
        pod.plan["mesh"] = json!(mesh);
        let outcome = pod.init();
        outcome.assert_failure(69, "ESC318");
        assert!(outcome.termination.contains(name) && outcome.termination.contains(exclusion), "{outcome:?}");
        assert!(outcome.termination.contains("refused"), "{outcome:?}");
    }
    // Reset by whoever took it, also when the token is exchanged.
    let server = Server::start((0..100).map(|_| Step::Reset).collect());
    let mut pod = Pod::new(&server.url).exchange().timeout(1);
    pod.plan["mesh"] = json!("istio");
    pod.init().assert_failure(69, "ESC318");
    // Whoever does not answer is no mesh, and neither is ESC when it answers.
    for (step, exit, code) in [(Step::Hang, 69, "ESC301"), (answer(403, ""), 77, "ESC309")] {
        let server = Server::start(vec![step]);
        let mut pod = Pod::new(&server.url).timeout(1);
        pod.plan["mesh"] = json!("istio");
        pod.init().assert_failure(exit, code);
    }
    // It is an outage as any other.
    let mut pod = Pod::new("http://127.0.0.1:1").timeout(1);
    pod.plan["mesh"] = json!("linkerd");
    pod.plan["onFailure"] = json!("start");
    pod.init().assert_success();
    assert_eq!(fs::read_to_string(pod.path("env/degraded")).unwrap(), "ESC318");
}

/// More failures than fit into a second.
fn failing() -> Vec<Step> {
    (0..200).map(|_| answer(500, "")).collect()
}

#[test]
fn an_outage_starts_the_application_without_where_the_pod_asked_for_it() {
    for (steps, code) in [(vec![Step::Hang], "ESC301"), (failing(), "ESC303")] {
        let server = Server::start(steps);
        let mut pod = Pod::new(&server.url).timeout(1);
        pod.plan["onFailure"] = json!("start");
        let outcome = pod.init();
        outcome.assert_success();
        assert!(outcome.log().iter().any(|line| line["level"] == "WARN" && line["code"] == code));
        assert_eq!(fs::read_to_string(pod.path("env/degraded")).unwrap(), code);
        assert!(!pod.path("env/environ").exists());
        assert_eq!(fs::read_dir(pod.path("files")).unwrap().count(), 0);
    }
}

#[test]
fn to_start_without_is_only_right_after_the_whole_budget() {
    let [open, read] = good();
    let server = Server::start(vec![answer(500, ""), Step::CutOff, open, read]);
    let mut pod = Pod::new(&server.url);
    pod.plan["onFailure"] = json!("start");
    pod.init().assert_success();
    assert!(pod.path("env/environ").exists() && !pod.path("env/degraded").exists());
}

#[test]
fn an_outage_on_a_rerun_keeps_the_former_set() {
    let [open, read] = good();
    let server = Server::start([open, read].into_iter().chain(failing()).collect());
    let mut pod = Pod::new(&server.url).timeout(1);
    pod.init().assert_success();
    let before = pod.listing();
    pod.init().assert_failure(75, "ESC303");
    assert_eq!(pod.listing(), before);
    pod.plan["onFailure"] = json!("start");
    pod.init().assert_success();
    assert_eq!(pod.listing(), before);
}

#[test]
fn a_mark_of_an_outage_goes_when_values_come() {
    let failing = Server::start(failing());
    let mut pod = Pod::new(&failing.url).timeout(1);
    pod.plan["onFailure"] = json!("start");
    pod.init().assert_success();
    assert!(pod.path("env/degraded").exists());
    let [open, read] = good();
    let working = Server::start(vec![open, read]);
    pod.plan["api"]["url"] = json!(working.url);
    pod.init().assert_success();
    assert!(!pod.path("env/degraded").exists() && pod.path("env/environ").exists());
}

#[test]
fn misconfigured_addresses_are_refused_before_anything_is_sent() {
    let user = format!("https://user:{PROJECTED}@esc.example");
    for url in ["http://esc.example", "http://10.0.0.1:8087", "esc.example", "ftp://127.0.0.1", &user] {
        let pod = Pod::new(url);
        pod.init().assert_failure(78, "ESC305");
        assert!(pod.listing().is_empty());
    }
    let mut pod = Pod::new("https://esc.example");
    pod.plan["api"]["httpsProxy"] = json!(format!("http://user:{PROJECTED}@[proxy"));
    pod.init().assert_failure(78, "ESC305");
    let mut pod = Pod::new("https://esc.example");
    pod.plan["api"]["ca"] = json!("no certificate");
    pod.init().assert_failure(78, "ESC305");
}

#[test]
fn a_missing_or_useless_token_has_its_own_code() {
    let pod = Pod::new("http://127.0.0.1:1");
    for content in ["", " \n", "two words", "multi\nline"] {
        fs::write(pod.path("token/static"), content).unwrap();
        pod.init().assert_failure(78, "ESC306");
    }
    fs::remove_file(pod.path("token/static")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", pod.path("token/static")).unwrap();
    let child = pod.command().spawn().unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(78));
    assert!(String::from_utf8(output.stderr).unwrap().contains("it is no regular file"));
    fs::remove_file(pod.path("token/static")).unwrap();
    let outcome = pod.init();
    outcome.assert_failure(78, "ESC306");
    assert!(outcome.termination.contains("token/static"), "{}", outcome.termination);
}

#[test]
fn unreadable_plans_have_their_own_codes() {
    let pod = Pod::new("http://127.0.0.1:1");
    let mut several = pod.plan.clone();
    several["environments"] = json!(["acme/shop/prod", "other/shop/more"]);
    several["auth"] = json!({"kind": "exchange", "tokenType": "organization", "tokens": [
        {"organization": "acme", "tokenFile": "/t"},
    ]});
    let with = |field: &str, value: serde_json::Value| {
        let mut plan = pod.plan.clone();
        plan["views"][0][field] = value;
        plan.to_string()
    };
    let mut newer = pod.plan.clone();
    newer["version"] = json!(2);
    newer["somethingNew"] = json!(true);
    let mut unknown = pod.plan.clone();
    unknown["somethingNew"] = json!(true);
    let mut homeless = pod.plan.clone();
    homeless["views"][0].as_object_mut().unwrap().remove("envDir");
    let mut empty = pod.plan.clone();
    empty["views"] = json!([]);
    let cases = [
        (String::new(), "ESC401"),
        ("{}".to_owned(), "ESC401"),
        (unknown.to_string(), "ESC401"),
        (homeless.to_string(), "ESC401"),
        (empty.to_string(), "ESC401"),
        (newer.to_string(), "ESC402"),
        (several.to_string(), "ESC401"),
        (with("wrapper", json!(false)), "ESC401"),
        (with("files", json!([{"name": "a"}])), "ESC401"),
        (with("files", json!([{"name": "a", "path": "b", "template": "c"}])), "ESC401"),
        (with("files", json!([{"name": "a", "template": "c", "format": "json"}])), "ESC401"),
    ];
    for (plan, code) in cases {
        let child = pod.command().env("ESC_INJECTOR_PLAN", plan).spawn().unwrap();
        pod.wait(child).assert_failure(78, code);
    }
    let child = pod.command().env_remove("ESC_INJECTOR_PLAN").spawn().unwrap();
    pod.wait(child).assert_failure(78, "ESC401");
}

#[test]
fn sigterm_ends_a_fetch_without_a_trace() {
    let server = Server::start([Step::Hang].into_iter().chain(good()).collect());
    let pod = Pod::new(&server.url);
    let child = pod.command().spawn().unwrap();
    server.wait_for_requests(1);
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    pod.wait(child).assert_failure(143, "ESC413");
    assert!(pod.listing().is_empty());
    // Nothing is in the way of the next.
    pod.init().assert_success();
}

#[test]
fn a_termination_log_that_can_not_be_written_changes_nothing() {
    let pod = Pod::new("http://127.0.0.1:1").timeout(1);
    let child = pod.command().env("ESC_INJECTOR_TERMINATION_LOG", "/proc/no/such").spawn().unwrap();
    let outcome = pod.wait(child);
    assert_eq!(outcome.code, Some(69));
    assert_eq!(outcome.termination, "");
}

#[test]
fn log_lines_can_be_text() {
    let mut command = std::process::Command::new(BINARY);
    let output = command.args(["agent", "init", "--log-format", "text"]).env_clear().output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("ERROR") && stderr.contains("ESC401"), "{stderr}");
    assert_eq!(output.status.code(), Some(78));
}
