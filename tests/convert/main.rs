//! `esc-injector convert`, as a user runs it: what comes out injects, delivers what the former operator would have, and
//! says what it can't.
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

mod delivery;

const BINARY: &str = env!("CARGO_BIN_EXE_esc-injector");

fn fixture(name: &str) -> String {
    std::fs::read_to_string(format!("{}/tests/convert/fixtures/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn run(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(BINARY)
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

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Both outputs, for people to read in a snapshot.
fn shown(arguments: &[&str], input: &str) -> String {
    let output = run(arguments, input);
    let code = output.status.code().unwrap();
    format!("exit {code}\n----- stdout\n{}----- stderr\n{}", text(&output.stdout), text(&output.stderr))
}

/// The names of the keys of the Secret that `backstage` makes.
const KEYS: &str = "--keys=shop/backstage=my,num,test,test22,test33,x";

#[test]
fn workloads_of_the_operator_get_annotations_instead() {
    insta::assert_snapshot!("eso", shown(&["convert", KEYS], &fixture("eso.yaml")));
}

#[test]
fn pods_with_the_drivers_mounts_get_annotations_instead() {
    insta::assert_snapshot!("csi", shown(&["convert"], &fixture("csi.yaml")));
}

#[test]
fn whatever_has_no_equivalent_is_named_with_its_place_and_a_way_out() {
    insta::assert_snapshot!("leftovers", shown(&["convert"], &fixture("leftovers.yaml")));
}

#[test]
fn what_one_pod_can_not_have_stays_as_it_was() {
    insta::assert_snapshot!("corners", shown(&["convert"], &fixture("corners.yaml")));
}

#[test]
fn objects_that_no_workload_here_uses_come_out_as_annotations_to_paste() {
    let input = fixture("eso.yaml");
    let alone = input.split("---\n# Kept").next().unwrap();
    insta::assert_snapshot!("alone", shown(&["convert", KEYS], alone));
    let store =
        alone.split("---\napiVersion: external-secrets.io/v1beta1\nkind: ExternalSecret").next().unwrap();
    let output = run(&["convert"], store);
    assert!(text(&output.stdout).contains("esc.pulumi.com/environment: acme/shop/prod"), "{output:?}");
}

#[test]
fn what_comes_out_injects() {
    for (name, arguments) in [("eso.yaml", &["convert", KEYS][..]), ("csi.yaml", &["convert"])] {
        let converted = run(arguments, &fixture(name));
        assert!(converted.status.success(), "{name}: {}", text(&converted.stderr));
        let injected = run(&["inject"], &text(&converted.stdout));
        assert!(injected.status.success(), "{name}: {}", text(&injected.stderr));
        assert!(text(&injected.stdout).contains("name: esc-agent"), "{name}");
    }
}

#[test]
fn converting_twice_changes_nothing_more() {
    let once = text(&run(&["convert", KEYS], &fixture("eso.yaml")).stdout);
    let again = run(&["convert"], &once);
    assert_eq!(again.status.code(), Some(65), "nothing is left to convert");
    assert_eq!(text(&again.stdout), "");
}

#[test]
fn exit_codes_tell_scripts_how_it_went() {
    let all = fixture("leftovers.yaml");
    for (arguments, input, code) in [
        (&["convert"][..], all.as_str(), 0),
        (&["convert", "--strict"], &all, 65),
        (&["convert"], "kind: Service\n", 65),
        (&["convert"], "kind: [\n", 65),
        (&["convert", "-f", "/nowhere"], "", 65),
        (&["convert", "--keys", "x"], "", 64),
        (&["convert", "--keys", "nobody=x"], &all, 64),
    ] {
        assert_eq!(run(arguments, input).status.code(), Some(code), "{arguments:?}");
    }
    assert!(run(&["convert", "--strict"], &fixture("csi.yaml")).status.success());
}

#[test]
fn programs_get_the_same_as_json() {
    let output = run(&["convert", "--output", "json"], &fixture("leftovers.yaml"));
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    let whole: Value = serde_json::from_slice(&output.stdout).unwrap();
    let findings = whole["findings"].as_array().unwrap();
    let regexp = findings.iter().find(|finding| finding["field"] == "spec.dataFrom[0].find").unwrap();
    assert_eq!((regexp["level"].as_str(), regexp["line"].as_u64()), (Some("left"), Some(42)));
    assert_eq!(whole["converted"], serde_json::json!(["Pod shop/reader"]));
    assert!(whole["manifests"].as_array().unwrap().iter().any(|manifest| manifest["kind"] == "PushSecret"));
}

#[test]
fn lists_and_json_are_read_too() {
    let output = run(&["convert", "--output", "json"], &fixture("csi.yaml"));
    let whole: Value = serde_json::from_slice(&output.stdout).unwrap();
    let documents: Vec<Value> = serde_saphyr_documents(&fixture("csi.yaml"));
    let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": documents}).to_string();
    let output = run(&["convert", "--output", "json"], &list);
    let from_list: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(from_list["manifests"], whole["manifests"]);
}

/// A store, and what makes Secret `dbs` with the key `KEY` of it.
const DBS: &str = r#"apiVersion: external-secrets.io/v1
kind: SecretStore
metadata: {name: esc, namespace: shop}
spec: {provider: {pulumi: {organization: acme, project: shop, environment: prod, auth: {accessToken: {secretRef: {name: t, key: accessToken}}}}}}
---
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: dbs, namespace: shop}
spec: {secretStoreRef: {name: esc}, data: [{secretKey: KEY, remoteRef: {key: a}}, {secretKey: "no variable", remoteRef: {key: b}}]}
---
"#;

/// A pod of one container.
fn pod(container: &str, spec: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: web, namespace: shop}}\n\
         spec: {{{spec}containers: [{{name: app, image: shop, {container}}}]}}\n"
    )
}

#[test]
fn what_the_output_still_reads_is_kept() {
    const READS: &str = "command: [/app], env: [{name: X, valueFrom: {secretKeyRef: {name: dbs, key: KEY}}}]";
    let custom = |spec: &str| {
        let reader = pod(READS, "");
        format!(
            "apiVersion: example.com/v1\nkind: Custom\nmetadata: {{name: x, namespace: shop}}\nspec: {spec}\n---\n{reader}"
        )
    };
    for object in [
        pod("command: [/app], env: [{name: KEY, value: own}], envFrom: [{secretRef: {name: dbs}}]", ""),
        pod(READS, "volumes: [{name: unmounted, secret: {secretName: dbs}}], "),
        pod(READS, "volumes: [{name: disk, csi: {driver: x, nodePublishSecretRef: {name: dbs}}}], "),
        custom("{valuesFrom: [{kind: Secret, name: dbs}]}"),
        custom("{authentication: {passwordSecret: dbs}}"),
        custom("{template: {existingSecretName: dbs}}"),
        custom("{listeners: [{tls: {certificateRefs: [{name: dbs, namespace: shop}]}}]}"),
    ] {
        let output = run(&["convert", "--output", "json"], &format!("{DBS}{object}"));
        let manifests = text(&output.stdout);
        let told = text(&output.stderr);
        // Where nothing could be converted, there is nothing to apply instead.
        if output.status.code() == Some(65) {
            assert!(told.contains("nothing was converted"), "{object}: {told}");
        }
        let whole: Value = serde_json::from_str(&manifests).unwrap();
        assert_eq!(whole["replaced"], serde_json::json!([]), "{object}: {manifests}");
        assert!(whole["findings"].as_array().unwrap().iter().any(|finding| finding["level"] == "left"));
    }
    // The same names in another namespace, or of something else, are none of it.
    for spec in ["{secretRef: {name: dbs, namespace: other}}", "{ref: {kind: ConfigMap, name: dbs}}"] {
        let output = run(&["convert", "--output", "json"], &format!("{DBS}{}", custom(spec)));
        let whole: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(whole["replaced"].as_array().unwrap().len(), 2, "{spec}: {whole}");
    }
}

#[test]
fn what_the_webhook_would_refuse_stays_as_it_was() {
    // No command: by its image only.
    let object = pod("env: [{name: X, valueFrom: {secretKeyRef: {name: dbs, key: KEY}}}]", "");
    let output = run(&["convert", "--output", "json"], &format!("{DBS}{object}"));
    assert_eq!(output.status.code(), Some(65), "{output:?}");
    let whole: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&whole["converted"], &whole["replaced"]), (&serde_json::json!([]), &serde_json::json!([])));
    assert!(whole["manifests"][2].to_string().contains("secretKeyRef"), "{whole}");
    assert!(whole["findings"].to_string().contains("[ESC202]"), "{whole}");
    let output = run(&["convert", "--min-kubelet", "1.35", "--output", "json"], &format!("{DBS}{object}"));
    assert!(output.status.success(), "{output:?}");
    let whole: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(whole["converted"], serde_json::json!(["Pod shop/web"]));
    assert_eq!(whole["replaced"].as_array().unwrap().len(), 2, "{whole}");
}

#[test]
fn pods_of_other_operators_are_converted_with_a_note() {
    let reads = "command: [/app], env: [{name: X, valueFrom: {secretKeyRef: {name: dbs, key: KEY}}}]";
    let told = |kind: &str, container: &str| {
        let workload = format!(
            "kind: {kind}\nmetadata: {{name: web, namespace: shop}}\nspec: {{template: {{spec: {{containers: [{{{container}image: shop, {reads}}}]}}}}}}\n"
        );
        let output = run(&["convert", "--output", "json"], &format!("{DBS}{workload}"));
        let whole: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(whole["converted"], serde_json::json!([format!("{kind} shop/web")]), "{whole}");
        let findings = whole["findings"].as_array().unwrap().clone();
        let is_it = |finding: &&Value| finding["what"].as_str().unwrap().contains("Kubernetes' own");
        findings.iter().find(is_it).map(|finding| finding["level"].clone())
    };
    assert_eq!(told("Rollout", "name: app, "), Some("note".into()));
    assert_eq!(told("Deployment", "name: app, "), None);
    // Knative's containers need no name.
    assert_eq!(told("Service", ""), Some("note".into()));
}

/// The documents of a stream, by another reader than ours.
fn serde_saphyr_documents(text: &str) -> Vec<Value> {
    text.split("---\n").map(|document| serde_saphyr::from_str(document).unwrap()).collect()
}
