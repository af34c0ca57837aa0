//! The API server's audit log: what it was asked, whom it asked in turn, and what they changed.

use std::fs;

use serde_json::Value;

use super::cluster::cluster;

/// The whole log.
pub fn text() -> String {
    fs::read_to_string(cluster().state.join("logs/audit.log")).unwrap()
}

/// What was written about requests for pods of this namespace.
pub fn pod_requests(namespace: &str) -> Vec<Value> {
    let events = text();
    let events = events.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    events
        .filter(|event| {
            let object = &event["objectRef"];
            object["resource"] == "pods" && object["namespace"] == namespace
        })
        .collect()
}

/// Names of the webhooks that saw a request, from the marks that the API server leaves.
pub fn webhooks(event: &Value) -> Vec<String> {
    let annotations = event["annotations"].as_object();
    let marks = annotations.into_iter().flatten();
    marks
        .filter(|(key, _)| key.starts_with("mutation.webhook.admission.k8s.io/"))
        .filter_map(|(_, value)| serde_json::from_str::<Value>(value.as_str()?).ok())
        .filter_map(|mark| mark["webhook"].as_str().map(str::to_owned))
        .collect()
}
