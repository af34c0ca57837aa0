//! Namespaces that go when their test ends.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::{cluster::cluster, command::Ran};

/// A namespace with a name that no other test has.
pub struct Namespace {
    pub name: String,
}

/// A name that no other test has, and no other run that left something behind.
pub fn unique(prefix: &str) -> String {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    format!("{prefix}-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

impl Namespace {
    /// One whose pods are injected when they ask.
    pub fn injected(prefix: &str) -> Self {
        Self::new(prefix, json!({"esc.pulumi.com/injection": "enabled"}), &json!({}))
    }

    /// One whose pods stay Pending.
    pub fn new(prefix: &str, labels: Value, annotations: &Value) -> Self {
        let mut annotations = annotations.clone();
        // The API server gives it to every pod; no node is so labelled.
        annotations["scheduler.alpha.kubernetes.io/node-selector"] = json!("esc-cluster=nobody");
        Self::with(prefix, labels, &annotations)
    }

    /// One whose pods run, at Pod Security restricted unless its labels say otherwise.
    pub fn running(prefix: &str, mut labels: Value) -> Self {
        let level = &mut labels["pod-security.kubernetes.io/enforce"];
        if level.is_null() {
            *level = json!("restricted");
        }
        Self::with(prefix, labels, &json!({}))
    }

    fn with(prefix: &str, mut labels: Value, annotations: &Value) -> Self {
        let name = unique(prefix);
        labels["esc-cluster"] = json!("test");
        let metadata = json!({"name": name, "labels": labels, "annotations": annotations});
        cluster().apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}));
        // Until it has its ServiceAccount, its pods are refused.
        cluster()
            .kubectl([
                "wait",
                "--for=create",
                "serviceaccount/default",
                "--namespace",
                &name,
                "--timeout=50s",
            ])
            .expect("waiting for the ServiceAccount");
        Self { name }
    }

    /// Runs kubectl here.
    pub fn kubectl<'a>(&'a self, arguments: impl IntoIterator<Item = &'a str>, input: &Value) -> Ran {
        let here = ["--namespace", self.name.as_str()];
        cluster().kubectl_with(here.into_iter().chain(arguments), &input.to_string())
    }

    /// `kubectl create` of one object.
    pub fn create(&self, object: &Value) -> Ran {
        self.kubectl(["create", "-f", "-", "-o", "json"], object)
    }

    /// `kubectl create` of an object that is accepted, as it is afterwards.
    #[track_caller]
    pub fn created(&self, object: &Value) -> Value {
        serde_json::from_str(&self.create(object).expect("kubectl create")).unwrap()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        cluster().kubectl(["delete", "namespace", &self.name, "--wait=false"]);
    }
}
