//! What the agent delivers, and what it asks ESC for.

use std::{fs, os::unix::fs::PermissionsExt, process::Command};

use serde_json::json;

use crate::{
    certificates::Certificates,
    fault::{Server, answer},
    harness::{
        ACCESS_TOKEN, BINARY, CERTIFICATE, EXCHANGED, JWT, PASSWORD, PROJECTED, Pod, SESSION, environment,
        opened,
    },
};

fn healthy() -> Server {
    Server::start(vec![answer(200, &opened()), answer(200, &environment())])
}

#[test]
fn delivers_files_and_variables_with_one_open_and_one_read() {
    let server = healthy();
    let pod = Pod::new(&server.url);
    pod.init().assert_success();
    assert_eq!(fs::read_to_string(pod.path("files/tls/ca.crt")).unwrap(), CERTIFICATE);
    assert_eq!(pod.records(), [format!("+DB_PASSWORD={PASSWORD}"), "+DB_PORT=5432".to_owned()]);
    let mode = |name: &str| fs::metadata(pod.path(name)).unwrap().permissions().mode() & 0o7777;
    assert_eq!([mode("files/tls/ca.crt"), mode("files/tls"), mode("env/environ")], [0o444, 0o755, 0o444]);
    let base = "/api/esc/environments/acme/shop/prod/open";
    assert_eq!(server.lines(), [format!("POST {base}?duration=2h0m0s"), format!("GET {base}/{SESSION}")]);
    for request in server.requests() {
        assert_eq!(request.header("authorization"), Some(format!("token {ACCESS_TOKEN}").as_str()));
        assert_eq!(request.header("accept"), Some("application/vnd.pulumi+8"));
        assert_eq!(request.header("content-type"), Some("application/json"));
        assert_eq!(request.header("user-agent"), Some(concat!("esc-injector/", env!("CARGO_PKG_VERSION"))));
        assert_eq!(request.body, "");
    }
}

#[test]
fn opens_the_pinned_version() {
    let server = healthy();
    let mut pod = Pod::new(&server.url);
    pod.plan["environments"] = json!(["acme/shop/prod@stable"]);
    pod.init().assert_success();
    let base = "/api/esc/environments/acme/shop/prod";
    assert_eq!(
        server.lines(),
        [format!("POST {base}/versions/stable/open?duration=2h0m0s"), format!("GET {base}/open/{SESSION}")]
    );
}

#[test]
fn exchanges_the_pods_token_first() {
    let exchanged = json!({"access_token": EXCHANGED, "token_type": "Bearer", "expires_in": 600}).to_string();
    let server =
        Server::start(vec![answer(200, &exchanged), answer(200, &opened()), answer(200, &environment())]);
    Pod::new(&server.url).exchange().init().assert_success();
    let requests = server.requests();
    assert_eq!(requests[0].line, "POST /api/oauth/token");
    assert_eq!(requests[0].header("authorization"), None);
    assert_eq!(requests[0].header("content-type"), Some("application/x-www-form-urlencoded"));
    let mut form: Vec<_> = requests[0].body.split('&').collect();
    form.sort_unstable();
    assert_eq!(
        form,
        [
            "audience=urn%3Apulumi%3Aorg%3Aacme",
            "expiration=600",
            "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange",
            "requested_token_type=urn%3Apulumi%3Atoken-type%3Aaccess_token%3Ateam",
            "scope=team%3Aops",
            &format!("subject_token={JWT}"),
            "subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aid_token",
        ]
    );
    for request in &requests[1..] {
        assert_eq!(request.header("authorization"), Some(format!("token {EXCHANGED}").as_str()));
    }
}

#[test]
fn projections_arrive_as_esc_run_delivers_them() {
    let server = healthy();
    let mut pod = Pod::new(&server.url);
    *pod.view() = json!({
        "containers": ["app"], "mountPath": "/run/secrets/esc", "projections": "all",
        "filesDir": pod.path("files"), "envDir": pod.path("env"), "wrapper": true,
    });
    pod.init().assert_success();
    assert_eq!(
        pod.records(),
        [format!("?API_KEY={PROJECTED}"), "?CERT=/run/secrets/esc/CERT".to_owned(), "?TIER=gold".to_owned()]
    );
    assert_eq!(fs::read_to_string(pod.path("files/CERT")).unwrap(), CERTIFICATE);
}

#[test]
fn explicit_entries_win_over_projections() {
    let server = healthy();
    let mut pod = Pod::new(&server.url);
    pod.view()["projections"] = json!("all");
    pod.view()["variables"] = json!([{"name": "CERT", "path": "db.port"}, {"name": "TIER", "path": "db"}]);
    pod.view()["files"] = json!([{"name": "CERT", "path": "db.port", "mode": 0o440}]);
    pod.init().assert_success();
    let object = json!({"password": PASSWORD, "port": 5432});
    let records = pod.records();
    assert_eq!(records[..2], [format!("?API_KEY={PROJECTED}"), "+CERT=5432".to_owned()]);
    let value: serde_json::Value = serde_json::from_str(records[2].strip_prefix("+TIER=").unwrap()).unwrap();
    assert_eq!(value, object);
    assert_eq!(fs::read_to_string(pod.path("files/CERT")).unwrap(), "5432");
    assert_eq!(fs::metadata(pod.path("files/CERT")).unwrap().permissions().mode() & 0o777, 0o440);
}

#[test]
fn illegal_projected_names_are_listed_in_one_failure() {
    let wire = json!({"properties": {
        "environmentVariables": {"value": {"bad name": {"value": PROJECTED}, "a=b": {"value": "x"}, "GOOD": {"value": "x"}}},
        "files": {"value": {"..": {"value": "x"}, "a-b": {"value": "x"}}},
    }});
    let server = Server::start(vec![answer(200, &opened()), answer(200, &wire.to_string())]);
    let mut pod = Pod::new(&server.url);
    *pod.view() = json!({
        "containers": ["app"], "mountPath": "/run/secrets/esc", "projections": "all",
        "filesDir": pod.path("files"), "envDir": pod.path("env"), "wrapper": true,
    });
    let outcome = pod.init();
    outcome.assert_failure(65, "ESC408");
    for name in ["`bad name`", "`a=b`", "`..`", "`a-b`"] {
        assert!(outcome.termination.contains(name), "{}", outcome.termination);
    }
    assert!(outcome.termination.contains("esc.pulumi.com/projections"));
    assert!(pod.listing().is_empty());
}

#[test]
fn every_missing_path_is_told_at_once_with_the_nearest_name() {
    let server = healthy();
    let mut pod = Pod::new(&server.url);
    pod.view()["variables"] =
        json!([{"name": "A", "path": "db.pasword"}, {"name": "B", "path": "nowhere.at.all"}]);
    pod.view()["files"] = json!([{"name": "tls.crt", "path": "tls.cert"}, {"name": "ok", "path": "tls.ca"}]);
    let outcome = pod.init();
    outcome.assert_failure(65, "ESC404");
    for part in ["variable A", "db.pasword", "`password`", "variable B", "file tls.crt"] {
        assert!(outcome.termination.contains(part), "{part} in {}", outcome.termination);
    }
    // What exists there is for the log only.
    assert!(!outcome.termination.contains("port"), "{}", outcome.termination);
    assert!(outcome.log().iter().any(|line| line["exists"] == "password, port"), "{}", outcome.stderr);
    assert!(pod.listing().is_empty());
}

#[test]
fn a_missing_path_in_a_large_object_is_told_in_a_line_of_moderate_length() {
    let wire = json!({"properties": (0..200).map(|n| (format!("key{n}"), json!({"value": n}))).collect::<serde_json::Map<_, _>>()});
    let server = Server::start(vec![answer(200, &opened()), answer(200, &wire.to_string())]);
    let mut pod = Pod::new(&server.url);
    pod.view()["files"] = json!([]);
    pod.view()["variables"] = json!([{"name": "A", "path": "nowhere"}]);
    let outcome = pod.init();
    outcome.assert_failure(65, "ESC404");
    let log = outcome.log();
    let told = log.iter().find_map(|line| line["exists"].as_str()).unwrap();
    assert!(told.starts_with("key0, key1, ") && told.ends_with(" and 150 more"), "{told}");
}

#[test]
fn values_that_no_variable_or_format_can_hold_are_refused() {
    let wire = json!({"properties": {
        "nul": {"value": "a\0b"}, "gone": {"unknown": true}, "list": {"value": [{"value": "x"}]},
    }});
    let cases = [
        (json!([{"name": "A", "path": "nul"}]), json!([]), "ESC407"),
        (json!([{"name": "A", "path": "gone"}]), json!([]), "ESC405"),
        (json!([]), json!([{"name": "a", "path": "list", "format": "dotenv"}]), "ESC406"),
        (json!([]), json!([{"name": "a", "path": "nul", "decode": "base64"}]), "ESC406"),
        (json!([]), json!([{"name": "a", "path": "list"}, {"name": "a/b", "path": "list"}]), "ESC409"),
    ];
    for (variables, files, code) in cases {
        let server = Server::start(vec![answer(200, &opened()), answer(200, &wire.to_string())]);
        let mut pod = Pod::new(&server.url);
        pod.view()["variables"] = variables;
        pod.view()["files"] = files;
        pod.init().assert_failure(65, code);
        assert!(pod.listing().is_empty(), "{code}");
    }
}

#[test]
fn every_view_receives_its_own_set() {
    let server = healthy();
    let mut pod = Pod::new(&server.url);
    let second = json!({
        "containers": ["worker"], "mountPath": "/esc", "filesDir": pod.path("bin"),
        "files": [{"name": "port", "path": "db.port"}],
    });
    pod.plan["views"].as_array_mut().unwrap().push(second);
    pod.init().assert_success();
    assert_eq!(fs::read_to_string(pod.path("bin/port")).unwrap(), "5432");
    assert!(!pod.path("bin/tls").exists() && pod.path("files/tls/ca.crt").exists());
    assert_eq!(server.lines().len(), 2);
}

#[test]
fn running_again_gives_the_same_set() {
    let server = Server::start(vec![
        answer(200, &opened()),
        answer(200, &environment()),
        answer(200, &opened()),
        answer(200, &environment()),
    ]);
    let mut pod = Pod::new(&server.url);
    pod.plan["binaryDir"] = json!(pod.path("bin"));
    pod.init().assert_success();
    let first = (pod.records(), pod.listing().len());
    pod.init().assert_success();
    assert_eq!((pod.records(), pod.listing().len()), first);
}

#[test]
fn copies_itself_for_the_wrapper() {
    let server = healthy();
    let mut pod = Pod::new(&server.url);
    pod.plan["binaryDir"] = json!(pod.path("bin"));
    pod.init().assert_success();
    let copy = pod.path("bin/esc-injector");
    assert_eq!(fs::metadata(&copy).unwrap().permissions().mode() & 0o7777, 0o555);
    assert_eq!(fs::read(&copy).unwrap(), fs::read(BINARY).unwrap());
    let output = Command::new(&copy)
        .args([
            "exec",
            &format!("--env-dir={}", pod.path("env").display()),
            "--",
            "sh",
            "-c",
            "printf %s \"$DB_PASSWORD\"",
        ])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), PASSWORD);
}

#[test]
fn works_as_any_user() {
    use std::os::unix::process::CommandExt;
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED works_as_any_user: only root can become another user");
        return;
    }
    let server = healthy();
    let mut pod = Pod::new(&server.url);
    pod.plan["binaryDir"] = json!(pod.path("bin"));
    for dir in ["files", "env", "bin"] {
        fs::set_permissions(pod.path(dir), fs::Permissions::from_mode(0o1777)).unwrap();
    }
    // The build directory may be closed to others.
    let binary = pod.path("esc-injector");
    fs::copy(BINARY, &binary).unwrap();
    fs::write(pod.path("termination"), "").unwrap();
    fs::set_permissions(pod.path("termination"), fs::Permissions::from_mode(0o666)).unwrap();
    let mut command = Command::new(&binary);
    command.args(["agent", "init"]).uid(65532).gid(65532).stdout(std::process::Stdio::piped());
    command.stderr(std::process::Stdio::piped()).env("ESC_INJECTOR_PLAN", pod.plan.to_string());
    pod.wait(command.spawn().unwrap()).assert_success();
    assert_eq!(pod.records().len(), 2);
    assert!(pod.path("bin/esc-injector").exists());
}

#[test]
fn trusts_the_plans_authority_and_nobody_unknown() {
    let certificates = Certificates::new();
    let server =
        Server::start_tls(vec![answer(200, &opened()), answer(200, &environment())], certificates.server());
    let mut pod = Pod::new(&server.url);
    pod.plan["api"]["ca"] = json!(certificates.ca);
    pod.init().assert_success();

    let server = Server::start_tls(vec![answer(200, &opened())], certificates.server());
    let pod = Pod::new(&server.url);
    let outcome = pod.init();
    outcome.assert_failure(78, "ESC304");
    assert!(server.requests().is_empty(), "no token for a stranger");
    assert!(pod.listing().is_empty());
}

#[test]
fn reaches_esc_through_the_proxy_of_the_plan() {
    let proxy = Server::start(vec![answer(403, "")]);
    let mut pod = Pod::new("https://esc.example").timeout(1);
    pod.plan["api"]["httpsProxy"] = json!(proxy.url);
    pod.plan["api"]["noProxy"] = json!("other.example,.cluster.local");
    pod.init().assert_failure(69, "ESC301");
    assert_eq!(proxy.lines()[0], "CONNECT esc.example:443");

    // What is on this machine no proxy can reach.
    let server = healthy();
    let mut pod = Pod::new(&server.url);
    pod.plan["api"]["httpsProxy"] = json!(proxy.url);
    pod.init().assert_success();
}
