//! The demo keeps its promises: it works without arguments, it fails when something is wrong, and nothing that it
//! prints, logs or serves holds a secret.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    missing_docs,
    reason = "tests fail by panicking"
)]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Command, Output, Stdio},
};

use base64::{Engine, engine::general_purpose::STANDARD};

const PLANTED: &[&str] = &["correct-horse-$taple", "not-a-real-key-4f9d2c"];

fn demo(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_esc-injector"));
    command.arg("demo").args(arguments).env("NO_COLOR", "1").stdin(Stdio::null());
    command
}

fn run(arguments: &[&str]) -> Output {
    demo(arguments).output().expect("the demo starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

/// Every form in which a secret might slip through.
fn forms(secret: &str) -> Vec<String> {
    let json = serde_json::to_string(secret).unwrap();
    let url: String =
        secret
            .bytes()
            .map(|byte| {
                if byte.is_ascii_alphanumeric() {
                    char::from(byte).to_string()
                } else {
                    format!("%{byte:02X}")
                }
            })
            .collect();
    // In base64 a text looks different at each of three offsets; its inner part is what they have in common.
    let base64 = (0..3).map(|offset| {
        let encoded = STANDARD.encode(format!("{}{secret}", "x".repeat(offset)));
        let inner = encoded.trim_end_matches('=');
        inner[4..inner.len() - 2].to_owned()
    });
    [secret.to_owned(), json.trim_matches('"').to_owned(), url].into_iter().chain(base64).collect()
}

fn assert_clean(what: &str, output: &str) {
    for secret in PLANTED {
        for form in forms(secret) {
            assert!(!output.contains(&form), "{what} holds a planted secret as `{form}`");
        }
    }
    // Nobody can plant these, but their beginnings are known: a JSON Web Token, an access token in a header.
    assert!(!output.contains("eyJ"), "{what} holds a token:\n{output}");
}

#[test]
fn canaries_would_be_found() {
    let base64 = STANDARD.encode(format!("{{\"password\":\"{}\"}}", PLANTED[0]));
    let found = forms(PLANTED[0]).into_iter().any(|form| base64.contains(&form));
    assert!(found, "base64 inside a larger text");
    assert!(std::panic::catch_unwind(|| assert_clean("a log", "key=not-a-real-key-4f9d2c")).is_err());
}

#[test]
fn runs_without_arguments_and_delivers_everything() {
    let output = run(&[]);
    let told = text(&output.stdout);
    assert!(output.status.success(), "{told}\n{}", text(&output.stderr));
    for part in [
        "✓ variable DATABASE_URL",
        "✓ variable REPLICA_HOSTS    ◀ replicas[*].host                    [\"replica-1.prod.internal\",\"replica-2.prod.internal\"]",
        "✓ variable LOG_LEVEL        ◀ environmentVariables.LOG_LEVEL      info",
        "✓ variable PAYMENTS_CONFIG",
        "✓ file     db-ca.crt",
        "✓ file     settings.yaml",
        "The shop is open: EUR, log level info.",
        "Database: ••••••",
        "All 6 variables and 3 files arrived as they stand in ESC",
    ] {
        assert!(told.contains(part), "`{part}` is not in\n{told}");
    }
    assert!(!told.contains('✗') && !told.contains('\u{1b}'), "{told}");
    assert_eq!(text(&output.stderr), "");
}

#[test]
fn shows_no_secret_at_any_log_level() {
    let output = run(&["--log-level", "trace"]);
    assert!(output.status.success());
    let (told, logged) = (text(&output.stdout), text(&output.stderr));
    for part in ["outcome=\"injected\"", "\"message\":\"published\"", "TRACE"] {
        assert!(logged.contains(part), "`{part}` is not in\n{logged}");
    }
    assert_clean("standard output", &told);
    assert_clean("standard error", &logged);
    assert!(!logged.contains("pul-"), "{logged}");
}

#[test]
fn the_patch_holds_no_secret() {
    let output = Command::new(env!("CARGO_BIN_EXE_esc-injector"))
        .args(["inject", "--patch", "-f", concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/examples/shop.yaml")])
        .output()
        .unwrap();
    let patch = text(&output.stdout);
    assert!(patch.contains("esc-agent") && patch.contains("db.url"), "{patch}");
    assert_clean("the patch", &patch);
}

#[test]
fn takes_a_manifest_of_the_users() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("pod.yaml");
    let write = |annotations: &str| {
        let manifest = format!(
            "apiVersion: batch/v1\nkind: CronJob\nmetadata: {{name: nightly, namespace: jobs}}\nspec:\n  jobTemplate:\n    spec:\n      template:\n        metadata:\n          annotations:\n{annotations}\n        spec:\n          containers:\n          - name: report\n            image: report:1\n            command: [/does/not/exist/here]\n            env: [{{name: LOG_LEVEL, value: own}}, {{name: URL, value: \"<$(KEY)>\"}}]\n"
        );
        let mut file =
            std::fs::OpenOptions::new().write(true).create(true).truncate(true).open(&file).unwrap();
        file.write_all(manifest.as_bytes()).unwrap();
    };
    let path = file.to_str().unwrap();

    write(
        "            esc.pulumi.com/environment: acme/shop/prod@latest\n            esc.pulumi.com/env.KEY: payments.key\n            esc.pulumi.com/projections: env",
    );
    let output = run(&["--pod", path]);
    let told = text(&output.stdout);
    assert!(output.status.success(), "{told}\n{}", text(&output.stderr));
    assert!(told.contains("CronJob/nightly asks") && told.contains("✓ variable KEY"), "{told}");
    assert!(!told.contains("variable LOG_LEVEL"), "the container's own wins: {told}");
    assert_clean("standard output", &told);

    write(
        "            esc.pulumi.com/environment: acme/shop/prod\n            esc.pulumi.com/env.KEY: payments.kye",
    );
    let output = run(&["--pod", path]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(65), "{said}");
    assert!(said.contains("payments.kye") && said.contains("did you mean"), "{said}");

    write("            esc.pulumi.com/environment: acme/shop/staging");
    let output = run(&["--pod", path]);
    assert!(text(&output.stderr).contains("acme/shop/staging"), "{}", text(&output.stderr));
    assert!(!output.status.success());

    write("            esc.pulumi.com/enviroment: acme/shop/prod");
    let output = run(&["--pod", path]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(65), "{said}");
    assert!(said.contains("[ESC101]") && said.contains("esc-injector explain"), "{said}");
}

#[test]
fn keeps_its_servers_until_it_is_interrupted() {
    let mut child = demo(&["--keep"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut token = String::new();
    let health = loop {
        let line = lines.next().expect("the addresses come before the end").unwrap();
        if let Some((_, rest)) = line.split_once(", token ") {
            token = rest.split(',').next().unwrap().to_owned();
        }
        if let Some((_, rest)) = line.split_once("curl http://") {
            break rest.trim_end_matches("/metrics").to_owned();
        }
    };
    let mut metrics = String::new();
    let mut connection = TcpStream::connect(&health).unwrap();
    connection
        .write_all(format!("GET /metrics HTTP/1.1\r\nHost: {health}\r\nConnection: close\r\n\r\n").as_bytes())
        .unwrap();
    connection.read_to_string(&mut metrics).unwrap();
    assert!(metrics.contains("esc_injector_admissions_total{outcome=\"injected\"} 1"), "{metrics}");
    assert_clean("the metrics", &metrics);
    assert!(token.starts_with("pul-") && !metrics.contains(&token));
    let interrupted = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(interrupted.success());
    assert!(child.wait().unwrap().success());
    assert!(TcpStream::connect(&health).is_err(), "nothing listens any more");
}

#[test]
fn leaves_nothing_behind() {
    let directory = tempfile::tempdir().unwrap();
    let left = || std::fs::read_dir(directory.path()).unwrap().count();
    let output = demo(&[]).env("TMPDIR", directory.path()).output().unwrap();
    assert!(output.status.success());
    assert_eq!(left(), 0);

    let mut child = demo(&["--keep"]).env("TMPDIR", directory.path()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("Both servers stay")));
    assert_eq!(left(), 1);
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    // Reads to the end, so that nothing else can end the demo.
    assert_eq!(lines.filter(Result::is_err).count(), 0);
    assert!(child.wait().unwrap().success());
    assert_eq!(left(), 0);
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let mut child = demo(&[]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(text(&output.stderr), "");
}

#[test]
fn tells_how_the_agent_proved_itself() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("pod.yaml");
    let manifest = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: shop\n  annotations:\n    esc.pulumi.com/environment: acme/shop/prod\n    esc.pulumi.com/access-token-secret: esc\nspec:\n  containers: [{name: app, image: app, command: [app]}]\n";
    std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&file)
        .unwrap()
        .write_all(manifest.as_bytes())
        .unwrap();
    let output = run(&["--pod", file.to_str().unwrap()]);
    let told = text(&output.stdout);
    assert!(output.status.success(), "{told}\n{}", text(&output.stderr));
    assert!(told.contains("access token of the Secret") && !told.contains("it proved"), "{told}");
}
