//! Opening environments and reading what was opened.

use serde_json::{Value, json};

use crate::harness::{Files, TestServer, session};

const SHOP: Files<'static> = &[
    (
        "acme/shop/base.yaml",
        "values:\n  db: {host: db.internal, port: 5432, options: {ssl: true}}\n  features: [a, b]\n  who: base\n",
    ),
    (
        "acme/shop/prod.yaml",
        "imports: [shop/base]\nvalues:\n  db: {password: {fn::secret: \"hun$$ter2\"}}\n  who: ${context.currentEnvironment.name}\n  \
         environmentVariables:\n    URL: pg://${db.host}:${db.port}/?p=${db.password}\n",
    ),
];

const PROD: &str = "/api/esc/environments/acme/shop/prod";

#[test]
fn opens_and_reads_an_environment_with_its_imports() {
    let server = TestServer::start(SHOP);
    assert_eq!(
        server.values("acme/shop/prod"),
        json!({
            "db": {"host": "db.internal", "options": {"ssl": true}, "password": "hun$$ter2", "port": 5432},
            "environmentVariables": {"URL": "pg://db.internal:5432/?p=hun$$ter2"},
            "features": ["a", "b"],
            "who": "shop/prod",
        })
    );
}

#[test]
fn every_wrapper_at_every_depth_is_complete() {
    fn check(wrapper: &Value) -> usize {
        let keys: Vec<_> = wrapper.as_object().unwrap().keys().map(String::as_str).collect();
        assert!(keys == ["value", "trace"] || keys == ["value", "secret", "trace"], "{keys:?}");
        assert!(matches!(wrapper.get("secret"), None | Some(Value::Bool(true))));
        let trace = wrapper["trace"].as_object().unwrap();
        assert_eq!(trace.keys().collect::<Vec<_>>(), ["def"]);
        let def = trace["def"].as_object().unwrap();
        assert_eq!(def.keys().collect::<Vec<_>>(), ["environment", "begin", "end"]);
        assert!(def["environment"].is_string());
        for mark in ["begin", "end"] {
            for part in ["line", "column", "byte"] {
                assert!(def[mark][part].is_u64());
            }
        }
        1 + match &wrapper["value"] {
            Value::Array(items) => items.iter().map(check).sum(),
            Value::Object(properties) => properties.values().map(check).sum(),
            _ => 0,
        }
    }
    let server = TestServer::start(SHOP);
    let answer = server.read("acme/shop/prod", &server.open("acme/shop/prod")).json();
    assert_eq!(answer.as_object().unwrap().keys().collect::<Vec<_>>(), ["properties"]);
    let count: usize = answer["properties"].as_object().unwrap().values().map(check).sum();
    assert_eq!(count, 12);
}

#[test]
fn marks_secrets_and_what_is_made_of_them() {
    let server = TestServer::start(SHOP);
    let properties =
        server.read("acme/shop/prod", &server.open("acme/shop/prod")).json()["properties"].clone();
    let db = &properties["db"];
    assert_eq!(db.get("secret"), None);
    assert_eq!(db["value"]["password"]["secret"], true);
    assert_eq!(db["value"]["host"].get("secret"), None);
    assert_eq!(properties["environmentVariables"]["value"]["URL"]["secret"], true);
    assert_eq!(db["value"]["host"]["trace"]["def"]["environment"], "shop/base");
    assert_eq!(db["value"]["password"]["trace"]["def"]["environment"], "shop/prod");
}

#[test]
fn serves_the_doubled_slash_of_generated_clients_directly() {
    let server = TestServer::start(SHOP);
    let id = server.open("acme/shop/prod");
    let single = server.send("GET", &format!("{PROD}/open/{id}"));
    let doubled = server.send("GET", &format!("{PROD}/open//{id}"));
    assert_eq!((doubled.status, &doubled.body), (200, &single.body));
    let property = server.send("GET", &format!("{PROD}/open//{id}?property=db.port"));
    assert_eq!((property.status, &property.json()["value"]), (200, &json!(5432)));
}

#[test]
fn reads_one_property() {
    let server = TestServer::start(SHOP);
    let id = server.open("acme/shop/prod");
    let read = |query: &str| server.send("GET", &format!("{PROD}/open/{id}?{query}"));
    for (query, expected) in [
        ("property=db.port", json!(5432)),
        ("property=db%5B%22host%22%5D", json!("db.internal")),
        ("property=features%5B1%5D", json!("b")),
        ("other=1&property=db.options.ssl", json!(true)),
    ] {
        assert_eq!(read(query).json()["value"], expected, "{query}");
    }
    for query in [
        "property=db.nope",
        "property=features%5B2%5D",
        "property=features%5B-1%5D",
        "property=who.x",
        "property=%2A",
        // No UTF-8: not as good as no name.
        "property=%ff",
    ] {
        assert!(read(query).error(404).starts_with("there is no property"), "{query}");
    }
    assert!(read("property=db%5B").error(400).contains("no property path"));
    assert!(read("property=").json()["properties"].is_object());
}

#[test]
fn a_file_has_one_version() {
    let server = TestServer::start(SHOP);
    let open = |version: &str| server.send("POST", &format!("{PROD}/versions/{version}/open"));
    for version in ["1", "01", "latest"] {
        let id = session(&open(version));
        assert_eq!(server.read("acme/shop/prod", &id).status, 200);
    }
    for version in ["0", "2", "stable", "18446744073709551615"] {
        assert!(open(version).error(404).contains("has only revision 1"), "{version}");
    }
    for version in ["1x", "99999999999999999999"] {
        assert!(open(version).error(404).contains("is no revision and no tag"), "{version}");
    }
}

#[test]
fn a_file_is_read_anew_at_each_open_and_a_session_stays_what_it_was() {
    let server = TestServer::start(SHOP);
    let before = server.open("acme/shop/prod");
    server.write("acme/shop/base.yaml", "values: {db: {host: moved, port: 1}}");
    assert_eq!(server.values("acme/shop/prod")["db"]["host"], "moved");
    let old = server.read("acme/shop/prod", &before).json();
    assert_eq!(old["properties"]["db"]["value"]["host"]["value"], "db.internal");
}

#[test]
fn sessions_expire() {
    let server = TestServer::start(SHOP);
    let short = session(&server.send("POST", &format!("{PROD}/open?duration=90s")));
    let default = server.open("acme/shop/prod");
    let status = |id: &str| server.read("acme/shop/prod", id).status;
    server.advance(89);
    assert_eq!(status(&short), 200);
    server.advance(1);
    assert_eq!(status(&short), 404);
    assert_eq!(status(&default), 200);
    server.advance(2 * 3600);
    assert!(server.read("acme/shop/prod", &default).error(404).contains("may have expired"));
}

#[test]
fn durations_have_limits() {
    let server = TestServer::start(SHOP);
    let open = |duration: &str| server.send("POST", &format!("{PROD}/open?duration={duration}"));
    for duration in ["", "2h0m0s", "90m", "24h"] {
        assert_eq!(open(duration).status, 200, "{duration}");
    }
    for duration in ["0s", "-1h", "24h0m1s", "soon", "7", "%ff"] {
        assert!(open(duration).error(400).contains("`duration`"), "{duration}");
    }
}

#[test]
fn large_numbers_keep_their_digits() {
    let server = TestServer::start(&[(
        "acme/p/e.yml",
        "values: {big: 12345678901234567890, real: 1.50, json: {fn::fromJSON: '1.000'}}",
    )]);
    let body = server.read("acme/p/e", &server.open("acme/p/e")).body;
    for text in ["\"value\":12345678901234567890,", "\"value\":1.5,", "\"value\":1.000,"] {
        assert!(body.contains(text), "{text} in {body}");
    }
}

#[test]
fn an_empty_environment_is_an_empty_object() {
    let server = TestServer::start(&[("acme/p/e.yaml", ""), ("acme/p/f.yaml", "values: {}")]);
    for environment in ["acme/p/e", "acme/p/f"] {
        assert_eq!(server.read(environment, &server.open(environment)).body, "{}");
    }
}

#[test]
fn warnings_do_not_keep_an_environment_closed() {
    let server = TestServer::start(&[("acme/p/e.yaml", "valeus: {}\nvalues: {a: 1}")]);
    let opened = server.send("POST", "/api/esc/environments/acme/p/e/open").json();
    assert_eq!(opened["diagnostics"][0]["severity"], "warning");
    assert!(opened["id"].is_string());
}

#[test]
fn imports_find_the_default_project_and_versions() {
    let server = TestServer::start(&[
        ("acme/default/base.yaml", "values: {name: '${context.currentEnvironment.name}'}"),
        ("acme/p/pinned.yaml", "values: {pinned: '${context.currentEnvironment.name}'}"),
        ("acme/p/e.yaml", "imports: [base, p/pinned@1]"),
        ("acme/p/f.yaml", "imports: [p/pinned@2]"),
    ]);
    assert_eq!(server.values("acme/p/e"), json!({"name": "base", "pinned": "p/pinned@1"}));
    let refused = server.send("POST", "/api/esc/environments/acme/p/f/open");
    assert!(refused.json()["diagnostics"][0]["summary"].as_str().unwrap().contains("no version `2`"));
}

#[test]
fn many_clients_open_at_once() {
    let server = TestServer::start(SHOP);
    std::thread::scope(|scope| {
        for _ in 0..50 {
            scope.spawn(|| assert_eq!(server.values("acme/shop/prod")["db"]["port"], 5432));
        }
    });
}
