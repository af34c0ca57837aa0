//! Codes of the agent: a pod and an ESC that provoke each, and the same after the fix.

use std::fs;

use serde_json::{Value, json};

use crate::{
    certificates::Certificates,
    codes_in,
    fault::{Server, Step, answer, answer_with},
    harness::{EXCHANGED, Outcome, Pod, environment, opened},
};

/// What ESC answers, request by request.
type Script = fn() -> Vec<Step>;

/// What is done to a pod that a healthy ESC would serve.
type Change = fn(&mut Pod);

/// A pod and an ESC.
type Scene = (Script, Change);

const AS_IT_IS: Change = |_| {};

fn good() -> Vec<Step> {
    vec![answer(200, &opened()), answer(200, &environment())]
}

/// An ESC that signs in first.
fn signs_in() -> Vec<Step> {
    let mut steps = vec![answer(200, &json!({"access_token": EXCHANGED}).to_string())];
    steps.extend(good());
    steps
}

fn refuses(status: u16, message: &str) -> Vec<Step> {
    vec![answer(status, &json!({"code": status, "message": message}).to_string())]
}

/// An environment with these properties, each as ESC writes it.
fn holds(properties: &Value) -> Vec<Step> {
    vec![answer(200, &opened()), answer(200, &json!({ "properties": properties }).to_string())]
}

fn exchange(pod: &mut Pod) {
    let file = pod.path("token/projected");
    pod.plan["auth"] = json!({"kind": "exchange", "tokenType": "organization", "tokens": [{"organization": "acme", "tokenFile": file}]});
}

/// Nothing but these variables.
fn variables(pod: &mut Pod, variables: Value) {
    pod.view()["files"] = json!([]);
    pod.view()["variables"] = variables;
}

/// Nothing but these files.
fn files(pod: &mut Pod, files: Value) {
    pod.view()["files"] = files;
    pod.view()["variables"] = json!([]);
}

/// Nothing but a variable `V` of the property `v`, by way of kubelet.
fn kubelet(pod: &mut Pod) {
    pod.view()["wrapper"] = json!(false);
    pod.view()["kubelet"] = json!(true);
    variables(pod, json!([{"name": "V", "path": "v"}]));
}

/// The same, by way of the wrapper.
fn wrapper(pod: &mut Pod) {
    variables(pod, json!([{"name": "V", "path": "v"}]));
}

/// A file `v` of the property `v`.
fn file(pod: &mut Pod) {
    files(pod, json!([{"name": "v", "path": "v"}]));
}

fn projected(pod: &mut Pod, which: &str) {
    variables(pod, json!([{"name": "DATABASE_URL", "path": "db.url"}]));
    pod.view()["projections"] = json!(which);
}

const QUOTE: Script = || holds(&json!({"v": {"value": "it's"}}));
const CARRIAGE_RETURN: Script = || holds(&json!({"v": {"value": "a\r\nb"}}));
const LONG_LINE: Script = || holds(&json!({"v": {"value": "x".repeat(70_000)}}));
const NUL: Script = || holds(&json!({"v": {"value": "a\0b"}}));
const EMPTY: Script = || holds(&json!({"v": {"value": ""}}));
const SETTINGS: Script = || holds(&json!({"v": {"value": [{"value": "x"}]}}));
const ILLEGAL_NAMES: Script = || {
    holds(&json!({
        "environmentVariables": {"value": {"bad name": {"value": "x"}}},
        "db": {"value": {"url": {"value": "x"}}},
    }))
};

/// Each code, what provokes it, and what does after the fix.
const PAIRS: &[(&str, Scene, Scene)] = &[
    // Nobody listens; then the network is open.
    ("ESC301", (Vec::new, |pod| pod.plan["api"]["url"] = json!("http://127.0.0.1:1")), (good, AS_IT_IS)),
    // Too little patience; then more of it.
    (
        "ESC302",
        (|| (0..100).map(|_| answer_with(429, "retry-after", "3600")).collect(), AS_IT_IS),
        (patience_pays, |pod| pod.plan["timeoutSeconds"] = json!(20)),
    ),
    ("ESC303", (|| (0..200).map(|_| answer(500, "")).collect(), AS_IT_IS), (good, AS_IT_IS)),
    ("ESC305", (Vec::new, |pod| pod.plan["api"]["url"] = json!("http://esc.example")), (good, AS_IT_IS)),
    ("ESC306", (Vec::new, |pod| fs::write(pod.path("token/static"), "").unwrap()), (good, AS_IT_IS)),
    ("ESC307", (|| refuses(403, "no policy"), exchange), (signs_in, exchange)),
    (
        "ESC308",
        (|| refuses(401, "expired"), AS_IT_IS),
        (good, |pod| fs::write(pod.path("token/static"), "pul-valid").unwrap()),
    ),
    ("ESC309", (|| refuses(403, "forbidden"), AS_IT_IS), (good, AS_IT_IS)),
    ("ESC310", (|| refuses(403, "an approved open request is required"), AS_IT_IS), (good, AS_IT_IS)),
    (
        "ESC311",
        (|| refuses(404, "unknown"), AS_IT_IS),
        (good, |pod| pod.plan["environments"] = json!(["acme/shop/prod@stable"])),
    ),
    (
        "ESC312",
        (
            || vec![answer(400, r#"{"code":400,"diagnostics":[{"summary":"provider login failed"}]}"#)],
            AS_IT_IS,
        ),
        (good, AS_IT_IS),
    ),
    (
        "ESC313",
        (|| refuses(400, "bad"), AS_IT_IS),
        (good, |pod| pod.plan["environments"] = json!(["acme/shop/prod@1"])),
    ),
    ("ESC314", (|| refuses(409, "conflict"), AS_IT_IS), (good, AS_IT_IS)),
    ("ESC315", (sessions_vanish, AS_IT_IS), (good, AS_IT_IS)),
    ("ESC316", (|| vec![answer(200, "<html>")], AS_IT_IS), (good, AS_IT_IS)),
    ("ESC317", (|| vec![Step::Endless], AS_IT_IS), (good, AS_IT_IS)),
    // The mesh's proxy takes the connection and is not there; then ESC is taken out of the redirection.
    ("ESC318", (Vec::new, in_a_mesh_without_its_proxy), (good, |pod| pod.plan["mesh"] = json!("istio"))),
    ("ESC401", (Vec::new, |pod| pod.plan = json!({})), (good, AS_IT_IS)),
    ("ESC402", (Vec::new, |pod| pod.plan["version"] = json!(2)), (good, AS_IT_IS)),
    (
        "ESC404",
        (good, |pod| variables(pod, json!([{"name": "A", "path": "db.pasword"}]))),
        (good, |pod| variables(pod, json!([{"name": "A", "path": "db.password"}]))),
    ),
    (
        "ESC405",
        (|| holds(&json!({"v": {"unknown": true}})), wrapper),
        (|| holds(&json!({"v": {"value": "known"}})), wrapper),
    ),
    (
        "ESC406",
        (SETTINGS, |pod| files(pod, json!([{"name": "settings.json", "path": "v", "format": "dotenv"}]))),
        (SETTINGS, |pod| files(pod, json!([{"name": "settings.json", "path": "v", "format": "json"}]))),
    ),
    ("ESC407", (NUL, wrapper), (NUL, file)),
    ("ESC408", (ILLEGAL_NAMES, |pod| projected(pod, "all")), (ILLEGAL_NAMES, |pod| projected(pod, "none"))),
    (
        "ESC409",
        (good, |pod| {
            files(pod, json!([{"name": "tls", "path": "tls"}, {"name": "tls/ca.crt", "path": "tls.ca"}]));
        }),
        (good, |pod| {
            files(
                pod,
                json!([{"name": "tls.json", "path": "tls"}, {"name": "tls/ca.crt", "path": "tls.ca"}]),
            );
        }),
    ),
    // Something that is not ours lies in the volume; then it does not.
    ("ESC412", (good, |pod| fs::create_dir(pod.path("files/tls")).unwrap()), (good, AS_IT_IS)),
    ("ESC415", (QUOTE, kubelet), (QUOTE, wrapper)),
    (
        "ESC416",
        (EMPTY, kubelet),
        (EMPTY, |pod| {
            kubelet(pod);
            pod.view()["variables"][0]["optional"] = json!(true);
        }),
    ),
    ("ESC417", (CARRIAGE_RETURN, kubelet), (CARRIAGE_RETURN, file)),
    ("ESC418", (LONG_LINE, kubelet), (LONG_LINE, file)),
    (
        "ESC420",
        (good, |pod| {
            files(pod, json!([{"name": "app.toml", "template": "url = {{ values.db.password | unknown }}"}]));
        }),
        (good, |pod| {
            files(pod, json!([{"name": "app.toml", "template": "url = {{ values.db.password | tojson }}"}]));
        }),
    ),
    (
        "ESC421",
        (good, |pod| {
            files(pod, json!([{"name": "big", "template": "{{ values.db.password * 100000000 }}"}]));
        }),
        (good, |pod| files(pod, json!([{"name": "small", "template": "{{ values.db.password }}"}]))),
    ),
];

fn patience_pays() -> Vec<Step> {
    let mut steps = vec![answer_with(429, "retry-after", "1")];
    steps.extend(good());
    steps
}

fn sessions_vanish() -> Vec<Step> {
    let gone = || vec![answer(200, &opened()), answer(404, r#"{"code":404,"message":"no session"}"#)];
    [gone(), gone()].into_iter().flatten().collect()
}

fn in_a_mesh_without_its_proxy(pod: &mut Pod) {
    pod.plan["mesh"] = json!("istio");
    pod.plan["api"]["url"] = json!("http://127.0.0.1:1");
}

/// One certificate that the plan does not vouch for, and then does.
const UNTRUSTED: &str = "ESC304";

pub fn codes() -> Vec<String> {
    PAIRS.iter().map(|(code, ..)| (*code).to_owned()).chain([UNTRUSTED.to_owned()]).collect()
}

fn run((script, change): Scene) -> Outcome {
    let server = Server::start(script());
    let mut pod = Pod::new(&server.url).timeout(1);
    change(&mut pod);
    pod.init()
}

#[track_caller]
fn assert_provoked(code: &str, outcome: &Outcome) {
    assert_eq!(codes_in(&outcome.termination), [code], "{outcome:#?}");
    outcome.assert_failure(outcome.code.unwrap_or_default(), code);
    assert_ne!(outcome.code, Some(0));
}

#[test]
fn each_scene_provokes_its_code_alone_and_the_fixed_one_succeeds() {
    for &(code, broken, fixed) in PAIRS {
        assert_provoked(code, &run(broken));
        let outcome = run(fixed);
        assert_eq!(
            (outcome.code, outcome.termination.as_str()),
            (Some(0), ""),
            "{code}, fixed: {}",
            outcome.stderr
        );
    }
}

#[test]
fn a_certificate_of_somebody_unknown_is_trusted_once_the_plan_carries_its_authority() {
    let certificates = Certificates::new();
    let server = Server::start_tls(good(), certificates.server());
    assert_provoked(UNTRUSTED, &Pod::new(&server.url).timeout(1).init());
    let server = Server::start_tls(good(), certificates.server());
    let mut pod = Pod::new(&server.url);
    pod.plan["api"]["ca"] = json!(certificates.ca);
    pod.init().assert_success();
}
