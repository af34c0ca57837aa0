//! Rendering depends on the values alone.

use std::process::Command;

use crate::helm::{Helm, KUBERNETES, program, root};

/// Everything on, as far as it goes together.
const EVERYTHING: &str = "
replicas: 3
api: {caBundle: '-----BEGIN CERTIFICATE-----', allowedUrls: [https://b.example, https://a.example]}
defaults: {timeout: 30s, on-failure: start, volume-size: 8Mi, agent-cpu-request: 1m}
excludedNamespaces: [b, a]
labels: {b: first, a: second}
autoscaling: {enabled: true}
networkPolicy: {enabled: true}
metrics: {serviceMonitor: {enabled: true}}
test: {namespace: shop}
";

const CERT_MANAGER: &str = "certificates: {mode: certManager}";
const SECRET: &str = "certificates: {mode: secret, secretName: a, caBundle: '-----BEGIN CERTIFICATE-----'}";

#[test]
#[ignore = "needs helm: tests/cluster/install"]
fn two_renders_are_byte_identical() {
    for values in ["{}", EVERYTHING, CERT_MANAGER, SECRET] {
        for helm in Helm::both() {
            assert_eq!(helm.text(values).unwrap(), helm.text(values).unwrap(), "{values}");
        }
    }
}

#[test]
#[ignore = "needs helm: tests/cluster/install"]
fn helm_3_and_helm_4_make_the_same_objects() {
    for values in ["{}", EVERYTHING, CERT_MANAGER, SECRET] {
        let [three, four] = Helm::both().map(|helm| helm.objects(values));
        assert_eq!(three, four, "{values}");
    }
}

#[test]
#[ignore = "needs helm: tests/cluster/install"]
fn lint_finds_nothing() {
    for helm in Helm::both() {
        for values in ["{}", EVERYTHING, CERT_MANAGER, SECRET] {
            let output =
                helm.run(&["lint", "--strict", "--kube-version", KUBERNETES, "charts/esc-injector"], values);
            assert!(output.status.success(), "{values}: {}", String::from_utf8_lossy(&output.stdout));
        }
    }
}

#[test]
#[ignore = "needs helm: tests/cluster/install"]
fn an_older_kubernetes_is_refused_and_a_managed_one_is_not() {
    for helm in Helm::both() {
        let template = |version| {
            helm.run(&["template", "inj", "charts/esc-injector", "--kube-version", version], "{}")
                .status
                .success()
        };
        assert!(!template("1.29.9"));
        assert!(template("1.30.1-gke.1000") && template("1.33.2-eks-abcdef"));
    }
}

#[test]
#[ignore = "needs helm: tests/cluster/install"]
fn nothing_is_rendered_from_a_cluster_or_from_chance() {
    let templates = root().join("charts/esc-injector/templates");
    let mut folders = vec![templates];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            files += 1;
            let text = std::fs::read_to_string(&path).unwrap();
            for function in
                ["lookup ", "genCA", "genSelfSigned", "genSigned", "genPrivateKey", "rand", "uuidv4", "now "]
            {
                assert!(!text.contains(&format!("{{{{ {function}")), "{}: {function}", path.display());
                assert!(!text.contains(&format!("({function}")), "{}: {function}", path.display());
            }
        }
    }
    assert!(files > 20);
}

#[test]
#[ignore = "needs helm: tests/cluster/install"]
fn the_plain_manifests_are_in_step() {
    let output = Command::new(root().join("deploy/render"))
        .arg("--check")
        .env("HELM", program("helm4"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
#[ignore = "needs helm: tests/cluster/install"]
fn no_object_is_without_its_labels() {
    let objects = Helm::v4().objects(EVERYTHING);
    for object in &objects.0 {
        let labels = &object["metadata"]["labels"];
        for name in ["name", "instance", "component", "managed-by", "part-of"] {
            assert!(labels[format!("app.kubernetes.io/{name}")].is_string(), "{}: {name}", object["kind"]);
        }
        assert_eq!(labels["a"], "second");
    }
}
