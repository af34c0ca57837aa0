//! `esc-injector inject` and `explain`, as a user runs them, by either of its names.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    missing_docs,
    reason = "tests fail by panicking"
)]

use std::{
    io::Write,
    process::{Command, Output, Stdio},
};

use serde_json::Value;

mod invocation;

fn run(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_esc-injector"))
        .args(arguments)
        .env("NO_COLOR", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It may refuse its arguments before it reads.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn write(path: &std::path::Path, text: &str) {
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", stderr(output));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A workload of this kind whose pod asks.
fn workload(kind: &str) -> String {
    let pod = "metadata: {annotations: {esc.pulumi.com/environment: acme/shop/prod, esc.pulumi.com/file.a: a}}, spec: {containers: [{name: app, image: shop}]}";
    let body = match kind {
        "Pod" => pod.to_owned(),
        "CronJob" => {
            format!("metadata: {{name: w}}, spec: {{jobTemplate: {{spec: {{template: {{{pod}}}}}}}}}")
        }
        "PodTemplate" => format!("metadata: {{name: w}}, template: {{{pod}}}"),
        _ => format!("metadata: {{name: w}}, spec: {{template: {{{pod}}}}}"),
    };
    format!("{{kind: {kind}, apiVersion: v1, {body}}}\n")
}

#[test]
fn injects_every_kind_that_makes_pods() {
    for kind in [
        "Pod",
        "Deployment",
        "StatefulSet",
        "DaemonSet",
        "ReplicaSet",
        "ReplicationController",
        "Job",
        "CronJob",
        "PodTemplate",
    ] {
        let yaml = workload(kind).replacen('{', "---\n{", 1);
        let out = stdout(&run(&["inject"], &yaml));
        assert!(out.contains("name: esc-agent"), "{kind}: {out}");
    }
    for kind in ["ConfigMap", "Service"] {
        let yaml = format!("# kept\n---\n{{kind: {kind}, spec: {{template: {{a: b}}}}}}\n");
        assert_eq!(stdout(&run(&["inject"], &yaml)), yaml);
    }
}

#[test]
fn kinds_of_other_operators_are_injected_where_check_judges_them() {
    let rollout = workload("Rollout").replacen('{', "\n{", 1);
    let output = run(&["inject"], &rollout);
    assert!(stdout(&output).contains("name: esc-agent"), "{output:?}");
    assert_eq!(
        stderr(&output),
        "warning: Rollout/w: its kind is not one of Kubernetes' own; spec.template was taken for its pod's\n"
    );
    for (how, words) in
        [("--diff", "+++ b/Rollout/w"), ("--patch", "\"Rollout/w\""), ("--explain", "Rollout/w in")]
    {
        assert!(stdout(&run(&["inject", how], &rollout)).contains(words), "{how}");
    }
    let said = run(&["check"], &rollout);
    assert!(stdout(&said).contains("1 asks for injection"), "{said:?}");
    // Who does not ask is nobody's to warn of.
    let silent = rollout.replace("esc.pulumi.com", "example.com");
    let output = run(&["inject"], &silent);
    assert_eq!((stdout(&output), stderr(&output)), (silent, String::new()));
}

#[test]
fn containers_that_get_their_names_of_their_operator_keep_nothing_from_being_injected() {
    let knative = |annotations: &str, containers: &str| {
        format!(
            "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {{name: k}}\nspec:\n  template:\n    metadata: {{annotations: {{{annotations}}}}}\n    spec: {{containers: [{containers}]}}\n"
        )
    };
    let asking = "esc.pulumi.com/environment: acme/shop/prod";
    for (annotations, containers, names) in [
        ("", "{image: i}", &[] as &[&str]),
        (asking, "{image: i, command: [x]}", &["user-container"]),
        (
            asking,
            "{command: [x]}, {name: user-container-0, command: [x]}, {command: [x]}",
            &["user-container-0", "user-container-1", "user-container-2"],
        ),
    ] {
        let service = knative(annotations, containers);
        let stream = format!("{service}---\n{}", workload("Pod"));
        let output = run(&["inject"], &stream);
        let injected = stdout(&output);
        let agents = if names.is_empty() { 1 } else { 2 };
        assert_eq!(injected.matches("name: esc-agent").count(), agents, "{output:?}");
        assert!(injected.contains("kind: Pod"), "{output:?}");
        // What has been done is not done again, nor refused.
        assert_eq!(stdout(&run(&["inject"], &injected)), injected, "{service}");
        let said = run(&["check"], &service);
        assert!(said.status.success() && stdout(&said).contains("0 errors, 0 warnings"), "{said:?}");
        let explained = stdout(&run(&["inject", "--explain"], &service));
        for name in names {
            assert!(explained.contains(name), "{name}: {explained}");
        }
    }
    // Of Kubernetes' own kinds the API server refuses them.
    let pod = "kind: Pod\nmetadata: {annotations: {esc.pulumi.com/environment: a/b/c}}\nspec: {containers: [{command: [x]}]}\n";
    let output = run(&["inject"], pod);
    assert!(stderr(&output).contains("[ESC211]"), "{output:?}");
}

#[test]
fn keeps_documents_in_order_and_untouched_ones_to_the_letter() {
    let input = format!(
        "# first\nkind: ConfigMap\ndata: {{mode: 0644}}   # as written\n---\n---\n{}---\nkind: Service\n",
        workload("Pod").replacen('{', "\n{", 1)
    );
    let out = stdout(&run(&["inject"], &input));
    let documents: Vec<_> = out.split("---\n").collect();
    assert_eq!(documents.len(), 4, "{out}");
    assert_eq!(documents[0], "# first\nkind: ConfigMap\ndata: {mode: 0644}   # as written\n");
    assert!(documents[2].contains("esc-agent"));
    assert_eq!(documents[3], "kind: Service\n");
}

#[test]
fn json_in_is_json_out_and_lists_are_followed() {
    let pod = r#"{"kind":"Pod","metadata":{"name":"p","annotations":{"esc.pulumi.com/environment":"acme/shop/prod","esc.pulumi.com/file.a":"a"}},"spec":{"big":12345678901234567890123,"containers":[{"name":"app","image":"x"}]}}"#;
    let list = format!(r#"{{"kind":"List","apiVersion":"v1","items":[{{"kind":"Secret"}},{pod}]}}"#);
    let out: Value = serde_json::from_str(&stdout(&run(&["inject", "-f", "-"], &list))).expect("JSON");
    assert_eq!(out["items"][0]["kind"], "Secret");
    assert_eq!(out["items"][1]["spec"]["initContainers"][0]["name"], "esc-agent");
    assert_eq!(out["items"][1]["spec"]["big"].to_string(), "12345678901234567890123");
}

#[test]
fn no_document_is_lost() {
    // Two documents without a marker between them: kubectl sees one of them only.
    let output = run(&["inject"], "kind: A\n...\nkind: B\n");
    assert_eq!((output.status.code(), output.stdout.len()), (Some(65), 0));
    assert!(stderr(&output).contains("line 1") && stderr(&output).contains("`---`"), "{}", stderr(&output));
    // Documents of YAML that look like JSON.
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in [("a.yaml", "{kind: A}\n"), ("b.yaml", "{kind: B}\n")] {
        write(&directory.path().join(name), text);
    }
    let out = stdout(&run(&["inject", "-f", directory.path().to_str().unwrap()], ""));
    assert_eq!(out, "{kind: A}\n---\n{kind: B}\n");
}

#[test]
fn what_it_prints_is_a_fixed_point() {
    let once = stdout(&run(&["inject"], &workload("Deployment").replacen('{', "\n{", 1)));
    assert_eq!(stdout(&run(&["inject"], &once)), once);
}

#[test]
fn prints_the_patch_or_the_difference_instead() {
    let input = workload("Deployment").replacen('{', "\n{", 1);
    let patch: Value = serde_json::from_str(&stdout(&run(&["inject", "--patch"], &input))).expect("JSON");
    assert_eq!(patch["object"], "Deployment/w");
    let paths: Vec<_> =
        patch["patch"].as_array().unwrap().iter().map(|op| op["path"].as_str().unwrap()).collect();
    assert!(paths.contains(&"/spec/template/spec/initContainers"), "{paths:?}");
    let diff = stdout(&run(&["inject", "--diff"], &input));
    assert!(diff.contains("+      - name: esc-agent") && diff.contains("--- a/Deployment/w"), "{diff}");
    assert!(
        !diff.lines().any(|line| line.starts_with("-  ") && !line.starts_with("---")),
        "nothing of the user's goes: {diff}"
    );
}

#[test]
fn names_can_not_write_to_the_terminal() {
    let input = "kind: Pod\nmetadata: {name: \"x\\n::error::pwn\\e[2J\", annotations: {esc.pulumi.com/environment: acme/shop/prod, esc.pulumi.com/file.a: a}}\nspec: {restartPolicy: Never, containers: [{name: app, image: x}]}\n";
    for input in [input.to_owned(), input.replace("acme/shop/prod", "acme")] {
        let output = run(&["inject", "--diff"], &input);
        let both = [output.stdout, output.stderr].concat();
        let both = String::from_utf8(both).unwrap();
        assert!(both.contains("Pod/x ::error::pwn"), "{both}");
        assert!(!both.contains("\n::error::") && !both.contains('\u{1b}'), "{both}");
    }
}

#[test]
fn a_diff_of_nothing_says_so() {
    for input in ["kind: Pod\nspec: {containers: []}\n", "kind: Service\n", ""] {
        for how in ["--diff", "--patch"] {
            let output = run(&["inject", how], input);
            assert_eq!((output.status.code(), output.stdout.len()), (Some(0), 0));
            assert!(
                stderr(&output).contains("asks for injection; `esc-injector check`"),
                "{}",
                stderr(&output)
            );
        }
    }
    let asks = workload("Deployment").replacen('{', "\n{", 1);
    assert_eq!(stderr(&run(&["inject", "--diff"], &asks)), "");
}

#[test]
fn a_proxys_password_is_not_shown() {
    for command in ["check", "inject", "webhook"] {
        let output = Command::new(env!("CARGO_BIN_EXE_esc-injector"))
            .args([command, "--help"])
            .env("ESC_INJECTOR_HTTPS_PROXY", "http://user:planted-7f3a@proxy:3128")
            .output()
            .unwrap();
        assert!(!stdout(&output).contains("planted-7f3a"), "{command}");
    }
    let input = workload("Pod").replacen('{', "\n{", 1);
    for (proxy, code) in [
        ("http://proxy.example:3128", 0),
        ("https://user:planted-7f3a@[::1]:3128", 0),
        ("proxy.example:3128", 0),
        ("", 0),
        ("ht!tp://user:planted-7f3a@proxy", 78),
        ("socks5://user:planted-7f3a@proxy", 78),
        ("http://user:planted-7f3a@[bad", 78),
    ] {
        let output = run(&["inject", "--https-proxy", proxy], &input);
        assert_eq!(output.status.code(), Some(code), "{proxy}: {}", stderr(&output));
        assert!(!stderr(&output).contains("planted-7f3a"), "{}", stderr(&output));
    }
}

#[test]
fn namespaces_in_the_stream_speak_for_their_pods() {
    let input = "kind: Namespace\nmetadata: {name: shop, labels: {esc.pulumi.com/injection: all}, annotations: {esc.pulumi.com/environment: acme/shop/prod, esc.pulumi.com/projections: files}}\n---\nkind: Pod\nmetadata: {name: silent, namespace: shop}\nspec: {containers: [{name: app, image: x}]}\n";
    assert!(stdout(&run(&["inject"], input)).contains("esc-agent"));
}

#[test]
fn operator_settings_are_the_webhooks() {
    let out = stdout(&run(
        &[
            "inject",
            "--agent-image",
            "r.example/a:1",
            "--api-url",
            "https://esc.internal/api/esc",
            "--audience",
            "mine",
            "--agent-user",
            "",
        ],
        &workload("Pod").replacen('{', "\n{", 1),
    ));
    for part in ["image: r.example/a:1", "https://esc.internal\\\"", "audience: mine"] {
        assert!(out.contains(part), "{part} is not in {out}");
    }
    assert!(!out.contains("runAsUser") && !out.contains("/api/esc"), "{out}");
}

#[test]
fn refusals_list_every_problem_and_print_nothing() {
    let input = "kind: Pod\nmetadata: {name: p, annotations: {esc.pulumi.com/environment: acme, esc.pulumi.com/frob: x}}\nspec: {containers: [{name: app, image: x}]}\n";
    let output = run(&["inject"], input);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(65), 0));
    let said = stderr(&output);
    assert!(
        said.contains("Pod/p: [ESC101]") && said.contains("Pod/p: [ESC104]") && said.contains("explain"),
        "{said}"
    );
}

#[test]
fn unreadable_input_is_named_with_its_line() {
    let output = run(&["inject"], "kind: Pod\n---\nkind: [\n");
    assert_eq!(output.status.code(), Some(65));
    assert!(stderr(&output).contains("standard input: line "), "{}", stderr(&output));
    let output = run(&["inject", "-f", "/does/not/exist.yaml"], "");
    assert!(stderr(&output).contains("/does/not/exist.yaml"), "{}", stderr(&output));
    assert_eq!(run(&["inject", "--frob"], "").status.code(), Some(64));
}

#[test]
fn explains_every_code() {
    let list = stdout(&run(&["explain"], ""));
    assert!(list.lines().count() > 40, "{list}");
    let codes: Vec<_> = list.lines().filter_map(|line| line.split_whitespace().next()).collect();
    let arguments: Vec<String> = codes.iter().map(|code| code.to_lowercase()).collect();
    let arguments: Vec<_> = ["explain"].into_iter().chain(arguments.iter().map(String::as_str)).collect();
    let told = stdout(&run(&arguments, ""));
    for code in &codes {
        assert!(told.contains(&format!("{code}: ")), "{code}");
    }
    assert_eq!(told.matches("\nCause\n").count(), codes.len());
    assert_eq!(told.matches("\nFix\n").count(), codes.len());
    let json: Value = serde_json::from_str(&stdout(&run(&["explain", "--output", "json"], ""))).unwrap();
    let listed: Vec<_> =
        json.as_array().unwrap().iter().map(|entry| entry["code"].as_str().unwrap()).collect();
    assert_eq!(listed, codes);
}

#[test]
fn operator_settings_that_would_fail_every_pod_are_refused_at_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        write(&path, text);
        path.to_str().unwrap().to_owned()
    };
    let key = file("key.pem", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
    let text = file("text.pem", "no certificate\n");
    let large = file("large.pem", &"x".repeat(40 * 1024));
    for (flag, value, words) in [
        ("--api-url", "http://esc.example", "only https"),
        ("--allow-api-url", "esc.example", "no address of ESC"),
        ("--default", "tiemout=3s", "did you mean `esc.pulumi.com/timeout`?"),
        ("--default", "timeout=soon", "ESC106"),
        ("--default", "refresh=soon", "ESC106"),
        ("--default", "allowed-environments=acme/shop/*", "belongs on the namespace"),
        ("--ca-file", &key, "something else than certificates"),
        ("--ca-file", &text, "no PEM certificate"),
        ("--ca-file", &large, "32 KiB"),
    ] {
        let output = run(&["inject", flag, value], &workload("Pod").replacen('{', "\n{", 1));
        let said = stderr(&output);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(78), 0), "{flag} {value}: {said}");
        assert!(said.contains(flag) && said.contains(words), "{flag} {value}: {said}");
    }
}

#[test]
fn a_default_may_hold_commas() {
    let arguments = ["inject", "--default", "containers=app,other", "--default", "timeout=30s"];
    let output = run(&arguments, &workload("Pod").replacen('{', "\n{", 1));
    assert!(
        stderr(&output).contains("[ESC201]") && stderr(&output).contains("`other`"),
        "{}",
        stderr(&output)
    );
}

/// A pod of the injector's own tests, explained. It has a name and a namespace.
fn explained(file: &str, arguments: &[&str], columns: &str) -> String {
    let path = format!("{}/tests/inject/pods/{file}.yaml", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    let text = if text.contains("kind: Pod") { text } else { format!("kind: Pod\n{text}") };
    let mut child = Command::new(env!("CARGO_BIN_EXE_esc-injector"))
        .args(["inject", "--explain", "--namespace", "shop"])
        .args(arguments)
        .env("COLUMNS", columns)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    stdout(&child.wait_with_output().unwrap())
}

#[test]
fn explains_to_somebody_who_never_saw_it() {
    for file in [
        "bare",
        "views",
        "refresh",
        "istio-native",
        "static-token",
        "whole-environment",
        "supplied-command",
        "config",
    ] {
        insta::assert_snapshot!(
            format!("explain-{file}"),
            explained(file, &["--min-kubelet", "1.36"], "100")
        );
    }
    insta::assert_snapshot!("explain-kubelet", explained("kubelet", &["--min-kubelet", "1.36"], "100"));
    insta::assert_snapshot!("explain-narrow", explained("views", &[], "50"));
}

#[test]
fn explains_what_is_left_as_it_is() {
    let out = stdout(&run(
        &["inject", "--explain"],
        "kind: Pod\nmetadata: {name: p}\nspec: {containers: [{name: a}]}\n---\nkind: Service\n",
    ));
    assert_eq!(out, "Pod/p in namespace default\n  does not ask for injection, and stays as it is.\n");
}

#[test]
fn a_diff_can_be_read_and_applied() {
    let input = workload("Pod").replacen('{', "---\n{", 1);
    let out = stdout(&run(&["inject", "--diff"], &input));
    assert!(out.starts_with("--- a/Pod/(unnamed)\n+++ b/Pod/(unnamed)\n@@ -"), "{out}");
    assert!(out.lines().all(|line| line.starts_with(['-', '+', ' ', '@'])), "{out}");
    let (before, after) = ["-", "+"].into();
    let side = |other: &str| -> usize { out.lines().skip(3).filter(|line| !line.starts_with(other)).count() };
    assert!(side(before) > side(after), "injection adds");
    for combination in [["--diff", "--patch"], ["--diff", "--explain"], ["--patch", "--explain"]] {
        assert_eq!(run(&["inject", combination[0], combination[1]], &input).status.code(), Some(64));
    }
}
