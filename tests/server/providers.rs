//! Providers, rotators and the cipher of tests, through the API.

use serde_json::json;

use crate::harness::{Files, TestServer};

const FILES: Files<'static> = &[
    (
        "acme/p/good.yaml",
        "imports: [p/base]\nvalues:\n  login: {fn::open::test: {token: {fn::secret: t}, n: 1}}\n  \
         all: {fn::open::secret-wrapper: {from: '${login.token}-${base.x}'}}\n  \
         pair: {fn::rotate::swap: {inputs: {}, state: {a: x, b: y}}}\n  \
         hidden: {fn::secret: {ciphertext: ZXNjeAAAAAHz5ePy5fTB4+Pl8/PL5fnJxPD7}}\n",
    ),
    ("acme/p/base.yaml", "values: {base: {fn::open: {provider: test, inputs: {x: y}}}}\n"),
    ("acme/p/bad.yaml", "values:\n  a: {fn::open::error: {why: because}}\n  b: ${a.x}\n"),
    (
        "acme/p/later.yaml",
        "values:\n  a: {fn::open::aws-login: {}}\n  b: {fn::rotate::postgres: {inputs: {}}}\n",
    ),
    ("acme/p/none.yaml", "values:\n  a: {fn::open::nope: {}}\n"),
];

fn errors(server: &TestServer, environment: &str) -> Vec<(String, String)> {
    let answer = server.send("POST", &format!("/api/esc/environments/{environment}/open"));
    answer.error(400);
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let diagnostics = answer.json()["diagnostics"].as_array().unwrap().clone();
    diagnostics.iter().map(|found| (text(&found["summary"]), text(&found["path"]))).collect()
}

fn one(summary: &str, path: &str) -> (String, String) {
    (summary.to_owned(), path.to_owned())
}

#[test]
fn providers_rotators_and_the_cipher_of_tests_work_where_they_are_asked_for() {
    let server = TestServer::start_with(FILES, |config| config.test_providers = true);
    assert_eq!(
        server.values("acme/p/good"),
        json!({
            "all": {"from": "t-y"},
            "base": {"x": "y"},
            "hidden": "secretAccessKey",
            "login": {"n": 1, "token": "t"},
            "pair": {"a": "x", "b": "y"},
        })
    );
    let session = server.open("acme/p/good");
    let read = server.read("acme/p/good", &format!("{session}?property=all")).json();
    assert_eq!((&read["secret"], &read["value"]["from"]["secret"]), (&json!(true), &json!(true)));
    assert_eq!(errors(&server, "acme/p/bad"), [one("because", "values.a")]);
}

#[test]
fn names_of_the_catalogue_are_told_from_names_that_nobody_knows() {
    let server = TestServer::start(FILES);
    assert_eq!(
        errors(&server, "acme/p/later"),
        [
            one("provider \"aws-login\" is not supported by this server yet", "values.a"),
            one("rotator \"postgres\" is not supported by this server yet", "values.b"),
        ]
    );
    assert_eq!(errors(&server, "acme/p/none"), [one("unknown provider \"nope\"", "values.a")]);
    assert_eq!(errors(&server, "acme/p/bad")[0], one("unknown provider \"error\"", "values.a"));
    let hidden = errors(&server, "acme/p/good").pop().unwrap();
    assert!(!hidden.0.contains("ZXNj"), "{}", hidden.0);
}
