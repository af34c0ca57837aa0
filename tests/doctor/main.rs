//! `esc-injector doctor`, as a user runs it, against an API server of the test's own and, for identities, the local ESC.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    missing_docs,
    unreachable_pub,
    reason = "tests fail by panicking, and nobody else reads them"
)]

mod cluster;
mod issuer;

use std::process::Output;

use cluster::Cluster;
use issuer::Esc;
use serde_json::{Value, json};

fn told(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Has the line, and ended with the code.
#[track_caller]
fn assert_told(output: &Output, code: i32, line: &str) {
    let told = told(output);
    assert_eq!(output.status.code(), Some(code), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(told.lines().any(|found| found.starts_with(line)), "no `{line}` in\n{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_healthy_installation_has_nothing_to_mend() {
    let cluster = Cluster::healthy().start().await;
    let output = cluster.doctor(&["-n", "shop"]);
    assert_eq!(output.status.code(), Some(0));
    insta::assert_snapshot!("healthy", told(&output));
    // What it may do: read, and one dry run.
    let writes: Vec<_> = cluster.asked().into_iter().filter(|asked| !asked.starts_with("GET ")).collect();
    assert_eq!(writes, ["POST /api/v1/namespaces/shop/pods?dryRun=All"]);
    assert!(!told(&output).contains("planted"));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_thing_that_is_broken_is_named_with_its_code_and_fix() {
    let bundle = |object: &mut Value| object["webhooks"][0]["clientConfig"]["caBundle"] = json!("");
    let conditions = |object: &mut Value| object["webhooks"][0]["matchConditions"] = json!([]);
    let empty = |object: &mut Value| *object = json!({"items": []});
    let bare = |object: &mut Value| object["spec"] = json!({});
    let healthy = Cluster::healthy;
    for (cluster, line) in [
        (healthy().change("/version", |object| object["minor"] = json!("29")), "✗ API server: [ESC821]"),
        (
            healthy().refuse("/mutatingwebhookconfigurations/esc-injector", 404, "not found"),
            "✗ entry pods.inject.esc.pulumi.com: [ESC812]",
        ),
        (healthy().change("/mutatingwebhook", bundle), "✗ entry pods.inject.esc.pulumi.com: [ESC813]"),
        (healthy().change("/mutatingwebhook", conditions), "✗ entry pods.inject.esc.pulumi.com: [ESC822]"),
        (
            healthy().refuse("/deployments/esc-injector", 404, "not found"),
            "✗ webhook's settings: [ESC823] there is no Deployment esc-injector",
        ),
        (healthy().change("/endpointslices", empty), "✗ Service esc-injector/esc-injector: [ESC823]"),
        (
            healthy().change("/validatingadmissionpolicybindings", empty),
            "✗ policy asked-must-be-injected: [ESC824]",
        ),
        (
            healthy().change("/deployments/", |object| {
                let arguments = &mut object["spec"]["template"]["spec"]["containers"][0]["args"];
                arguments.as_array_mut().unwrap().push(json!("--min-kubelet=1.37"));
            }),
            "✗ kubelets: [ESC825]",
        ),
        (
            healthy().change("/namespaces/shop", |object| object["metadata"]["labels"] = json!({})),
            "✗ namespace shop: [ESC802]",
        ),
        (
            healthy().change("GET /api/v1/namespaces/shop", |object| {
                object["metadata"]["annotations"]["esc.pulumi.com/refersh"] = json!("5m");
            }),
            "✗ namespace shop, defaults: [ESC101]",
        ),
        (healthy().change("dryRun=All", bare), "✗ trial pod: [ESC816]"),
        (healthy().refuse("dryRun=All", 500, "failed calling webhook"), "✗ trial pod: [ESC816]"),
        (
            healthy().change("pods?limit", |object| object["items"][0]["spec"] = json!({})),
            "✗ pods of shop: [ESC801] 1 of 1 that ask carry no agent: web-1",
        ),
    ] {
        let output = cluster.start().await.doctor(&["-n", "shop"]);
        assert_told(&output, 78, line);
        assert!(told(&output).contains("  fix: "), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_webhook_itself_is_asked_where_it_can_be_reached() {
    let output = Cluster::healthy().start().await.doctor(&["--address", "127.0.0.1:1"]);
    // Its bundle is none, so that it is trusted nowhere; tests/probe has the answers.
    assert_told(&output, 78, "✗ webhook's answer: [ESC813]");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_read_is_neither_good_nor_bad() {
    let mut cluster = Cluster::healthy();
    let paths: Vec<_> = cluster.answers.keys().filter(|key| !key.contains("/version")).cloned().collect();
    for path in &paths {
        cluster = cluster.refuse(path, 403, "User \"ann\" cannot create resource, nor read one");
    }
    let output =
        cluster.start().await.doctor(&["-n", "shop", "--service-account", "web", "--output", "json"]);
    assert_eq!(output.status.code(), Some(0));
    let whole: Value = serde_json::from_slice(&output.stdout).unwrap();
    for check in whole["checks"].as_array().unwrap() {
        let expected = if check["subject"] == "API server" { "good" } else { "unknown" };
        assert_eq!(check["verdict"], expected, "{check}");
        assert!(
            expected == "good" || check["found"].as_str().unwrap().starts_with("not checked: "),
            "{check}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_that_does_not_answer_is_all_there_is_to_say() {
    let cluster = Cluster::healthy().start().await;
    let output = cluster.run(&["doctor", "--context", "nowhere", "-n", "shop"]);
    assert_told(&output, 69, "✗ API server: [ESC811]");
    let output = cluster.run(&["doctor", "--context", "unheard-of"]);
    assert_eq!(output.status.code(), Some(78), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("[ESC811]"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_that_does_not_know_who_asks_is_refusal_enough() {
    let refused = |code: u16| {
        let cluster = Cluster::healthy();
        let paths: Vec<_> = cluster.answers.keys().cloned().collect();
        paths.iter().fold(cluster, |cluster, path| cluster.refuse(path, code, "planned"))
    };
    let output = refused(401).start().await.doctor(&["-n", "shop"]);
    assert_told(&output, 77, "✗ API server: [ESC826]");
    let output = refused(500).start().await.doctor(&["-n", "shop"]);
    assert_told(&output, 69, "✗ API server: [ESC811]");
    // Who may look at nothing has not found that all is well.
    let output = refused(403).start().await.doctor(&["-n", "shop"]);
    assert_told(&output, 77, "- API server: not checked");
}

#[test]
fn a_damaged_kubeconfig_is_told_without_what_it_holds() {
    let dir = tempfile::tempdir().unwrap();
    let user = |user: &str| format!("apiVersion: v1\nkind: Config\nusers:\n- name: u\n  user:\n    {user}\n");
    let exec = |script: &str| {
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "users": [{"name": "u", "user": {"exec": {
                "apiVersion": "client.authentication.k8s.io/v1", "command": "/bin/sh", "args": ["-c", script],
                "interactiveMode": "Never",
            }}}],
        });
        config.to_string()
    };
    for (number, text) in [
        user("token: [CANARY]"),
        user("token: CANARY\n     client-key-data: CANARY"),
        user("token: CANARY\n    client-key-data: {CANARY: x}"),
        exec("echo '{\"status\": {\"token\": [\"CANARY\"]}}'"),
        exec("echo CANARY; exit 1"),
    ]
    .into_iter()
    .enumerate()
    {
        let path = dir.path().join(format!("config-{number}"));
        std::fs::File::create_new(&path)
            .and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes()))
            .unwrap();
        for (arguments, code) in [
            (&["doctor"][..], "ESC811"),
            (&["probe", "--timeout", "0s"], "ESC811"),
            (&["webhook", "--listen=127.0.0.1:0", "--health-listen=127.0.0.1:0"], "ESC950"),
        ] {
            let output = std::process::Command::new(env!("CARGO_BIN_EXE_esc-injector"))
                .args(arguments)
                .env_clear()
                .env("KUBECONFIG", &path)
                .output()
                .unwrap();
            let told = format!(
                "{}{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            );
            let exit = if arguments == ["probe", "--timeout", "0s"] { 69 } else { 78 };
            assert_eq!(output.status.code(), Some(exit), "{arguments:?}: {told}");
            assert!(told.contains(code) && told.contains("kubeconfig"), "{told}");
            assert!(!told.contains("CANARY"), "{arguments:?}: {told}");
        }
    }
}

/// The healthy cluster with this ESC, and a token of its ServiceAccount `web` with this subject.
fn with_esc(esc: &Esc, subject: &str) -> Cluster {
    let url = format!("--api-url={}", esc.url);
    let cluster = Cluster::healthy().change("/deployments/", |object| {
        let arguments = object["spec"]["template"]["spec"]["containers"][0]["args"].as_array_mut().unwrap();
        for argument in
            arguments.iter_mut().filter(|argument| argument.as_str().unwrap().starts_with("--api-url="))
        {
            *argument = json!(url);
        }
    });
    cluster.token(&esc.token(subject))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identity_is_tried_as_a_pod_would_show_it() {
    let esc = Esc::start();
    let subject = "system:serviceaccount:shop:web";
    let cluster = with_esc(&esc, subject).start().await;
    let output = cluster.doctor(&["-n", "shop", "--service-account", "web"]);
    assert_told(&output, 0, "✓ exchange: ESC takes the identity for organization acme (organization)");
    assert_told(
        &output,
        0,
        "✓ ServiceAccount shop/web: its token says iss https://kubernetes.default.svc, sub system:serviceaccount:shop:web, aud urn:pulumi:org:acme",
    );
    assert!(!told(&output).contains("eyJ"), "{}", told(&output));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_identity_says_what_pulumi_has_to_allow() {
    let esc = Esc::start();
    let cluster = with_esc(&esc, "system:serviceaccount:other:web").start().await;
    let output = cluster.doctor(&["-n", "shop", "--service-account", "web"]);
    assert_told(&output, 77, "✗ exchange: [ESC307]");
    let fix = "register issuer https://kubernetes.default.svc";
    assert!(told(&output).contains(fix) && told(&output).contains("sub system:serviceaccount:other:web"));
    assert!(!told(&output).contains("eyJ") && output.stderr.is_empty(), "{output:?}");
    drop(esc);
    let output = cluster.doctor(&["-n", "shop", "--service-account", "web"]);
    assert_told(&output, 69, "✗ ESC at http://127.0.0.1:");
    assert_told(&output, 69, "- exchange: not checked");
}
