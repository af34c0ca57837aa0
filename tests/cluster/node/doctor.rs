//! `esc-injector doctor` finds nothing where all is well, and what is not where it is not.

use serde_json::{Value, json};

use crate::support::{
    cluster::cluster,
    command::{Ran, run},
    installation::{Installation, shared},
    release::NAME,
};

fn doctor(installation: &Installation, namespace: &str) -> Ran {
    let mut doctor = std::process::Command::new(env!("CARGO_BIN_EXE_esc-injector"));
    doctor
        .args(["doctor", "--name", NAME, "--installed-in", &installation.namespace.name, "-n", namespace])
        .env("KUBECONFIG", cluster().state.join("admin.kubeconfig"));
    run(&doctor, "")
}

#[test]
#[ignore = "needs a cluster: tests/cluster/up"]
fn a_real_installation_is_healthy_and_an_unlabelled_namespace_is_told() {
    let installation = shared();
    let shop = installation.shop(&json!({"a": "b"}));
    let told = doctor(&installation, &shop.namespace.name).expect("a healthy installation");
    for line in [
        "✓ entry pods.inject.esc.pulumi.com:",
        "✓ policy guard-webhook-configuration:",
        "✓ trial pod: was injected",
        ", 0 doubtful, 0 bad, ",
    ] {
        assert!(told.contains(line), "no `{line}` in\n{told}");
    }
    let name = shop.namespace.name.as_str();
    shop.namespace
        .kubectl(["label", "namespace", name, "esc.pulumi.com/injection-"], &Value::Null)
        .expect("the label is gone");
    let ran = doctor(&installation, name);
    assert!(!ran.ok && ran.stdout.contains(&format!("✗ namespace {name}: [ESC802]")), "{ran:?}");
}
