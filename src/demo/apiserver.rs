//! The API server's part: the pod that a controller would make of a manifest, the admission review, the patch applied.

use std::net::SocketAddr;

use base64::{Engine, engine::general_purpose::STANDARD};
use json_patch::Patch;
use serde_json::{Value, json};

use crate::manifest::{stream::Stream, workload};

/// The name under which the API server would reach the webhook's Service.
pub const WEBHOOK_HOST: &str = "esc-injector.esc-injector.svc";

/// A pod to be admitted.
#[derive(Debug, Clone)]
pub struct Admitted {
    /// `Deployment/shop`, where the pod comes from.
    pub origin: String,
    /// Its namespace.
    pub namespace: String,
    /// Its ServiceAccount.
    pub service_account: String,
    /// The pod, as the webhook is asked about it.
    pub pod: Value,
}

/// What the webhook said.
#[derive(Debug)]
pub enum Verdict {
    /// Allowed, with a patch where there is one.
    Allowed {
        /// The patch.
        patch: Patch,
        /// Its warnings.
        warnings: Vec<String>,
    },
    /// Denied, with the message that a user would see.
    Denied(String),
}

/// The admission did not come about.
#[derive(Debug, thiserror::Error)]
pub enum AdmissionError {
    /// The manifest has no pod.
    #[error("the manifest: {0}")]
    Manifest(String),
    /// The webhook can't be reached.
    #[error("asking the webhook: {0}")]
    Request(#[from] reqwest::Error),
    /// Its answer is no admission review.
    #[error("the webhook's answer: {0}")]
    Answer(String),
}

/// The first object of a manifest that makes pods, and the pod that its controller would create.
pub fn pod_of(manifest: &str) -> Result<Admitted, AdmissionError> {
    let stream = Stream::read(manifest).map_err(|error| AdmissionError::Manifest(error.to_string()))?;
    let mut objects = stream.documents().iter().flat_map(|document| match document.value.get("items") {
        Some(Value::Array(items)) => items.iter().collect::<Vec<_>>(),
        _ => vec![&document.value],
    });
    let (object, path, template) = objects
        .find_map(|object| workload::pod(object).map(|template| (object, template.path, template.pod)))
        .ok_or_else(|| AdmissionError::Manifest("no Pod, and no workload with a pod template".to_owned()))?;
    let text = |value: &Value, path: &[&str]| {
        path.iter().try_fold(value, |value, key| value.get(key)).and_then(Value::as_str).map(str::to_owned)
    };
    let namespace = text(object, &["metadata", "namespace"]).unwrap_or_else(|| "default".to_owned());
    let mut pod = template.clone();
    if let Some(pod) = pod.as_object_mut() {
        pod.insert("apiVersion".to_owned(), json!("v1"));
        pod.insert("kind".to_owned(), json!("Pod"));
        if let Some(metadata) = pod.entry("metadata").or_insert_with(|| json!({})).as_object_mut() {
            metadata.insert("namespace".to_owned(), json!(namespace));
            if !path.is_empty() {
                let name = text(object, &["metadata", "name"]).unwrap_or_else(|| "pod".to_owned());
                metadata.insert("generateName".to_owned(), json!(format!("{name}-5d4f8c7b9-")));
            }
        }
    }
    let service_account = text(&pod, &["spec", "serviceAccountName"]).unwrap_or_else(|| "default".to_owned());
    Ok(Admitted { origin: workload::name(object), namespace, service_account, pod })
}

/// Sends the review, as the API server would: to the Service's name, over HTTP/1.1, trusting what `tls` trusts.
pub async fn admit(
    admitted: &Admitted,
    webhook: SocketAddr,
    tls: rustls::ClientConfig,
) -> Result<Verdict, AdmissionError> {
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .http1_only()
        .no_proxy()
        .resolve(WEBHOOK_HOST, webhook)
        .build()?;
    let review = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "requestKind": {"group": "", "version": "v1", "kind": "Pod"},
            "requestResource": {"group": "", "version": "v1", "resource": "pods"},
            "namespace": admitted.namespace,
            "operation": "CREATE",
            "userInfo": {
                "username": "system:serviceaccount:kube-system:replicaset-controller",
                "groups": ["system:serviceaccounts", "system:authenticated"],
            },
            "object": admitted.pod,
            "oldObject": null,
            "dryRun": false,
            "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
        },
    });
    let url = format!("https://{WEBHOOK_HOST}:{}/mutate?timeout=5s", webhook.port());
    let request = client.post(url).header("Content-Type", "application/json").body(review.to_string());
    let answer = request.send().await?.error_for_status()?.bytes().await?;
    let answer: Value =
        serde_json::from_slice(&answer).map_err(|error| AdmissionError::Answer(error.to_string()))?;
    verdict(&answer).ok_or_else(|| AdmissionError::Answer("it is not an AdmissionReview".to_owned()))
}

fn verdict(answer: &Value) -> Option<Verdict> {
    let response = answer.get("response")?;
    if !response.get("allowed")?.as_bool()? {
        let message = response.get("status")?.get("message")?.as_str()?;
        return Some(Verdict::Denied(message.to_owned()));
    }
    let patch = match response.get("patch") {
        None => Patch(Vec::new()),
        Some(patch) => serde_json::from_slice(&STANDARD.decode(patch.as_str()?).ok()?).ok()?,
    };
    let warnings = response.get("warnings").and_then(Value::as_array).into_iter().flatten();
    let warnings = warnings.filter_map(Value::as_str).map(str::to_owned).collect();
    Some(Verdict::Allowed { patch, warnings })
}
