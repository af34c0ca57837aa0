//! Manifests against Kubernetes' own types: fields that it does not know, and values of the wrong kind.

use k8s_openapi::api::{
    apps::v1::{DaemonSet, Deployment, StatefulSet},
    batch::v1::{CronJob, Job},
    core::v1::{ConfigMap, Namespace, Pod, Secret, Service, ServiceAccount},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

/// What Kubernetes would not understand of a manifest. Of kinds that are not its own, only that they say what they are.
pub fn wrong(object: &Value) -> Vec<String> {
    let kind = object.get("kind").and_then(Value::as_str).unwrap_or_default();
    match kind {
        "Pod" => compare::<Pod>(object),
        "Deployment" => compare::<Deployment>(object),
        "StatefulSet" => compare::<StatefulSet>(object),
        "DaemonSet" => compare::<DaemonSet>(object),
        "Job" => compare::<Job>(object),
        "CronJob" => compare::<CronJob>(object),
        "Namespace" => compare::<Namespace>(object),
        "ServiceAccount" => compare::<ServiceAccount>(object),
        "ConfigMap" => compare::<ConfigMap>(object),
        "Secret" => compare::<Secret>(object),
        "Service" => compare::<Service>(object),
        _ if object.get("apiVersion").is_some() => Vec::new(),
        kind => vec![format!("a {kind} without apiVersion")],
    }
}

fn compare<T: DeserializeOwned + Serialize>(object: &Value) -> Vec<String> {
    // The types insist on what an excerpt may leave out.
    let mut whole = object.clone();
    if whole.get("apiVersion").is_none() {
        whole["apiVersion"] = match whole["kind"].as_str() {
            Some("Deployment" | "StatefulSet" | "DaemonSet") => "apps/v1",
            Some("Job" | "CronJob") => "batch/v1",
            _ => "v1",
        }
        .into();
    }
    match serde_json::from_value::<T>(whole.clone()) {
        Err(error) => vec![error.to_string()],
        Ok(known) => {
            let mut out = Vec::new();
            lost(&whole, &serde_json::to_value(known).unwrap(), "", &mut out);
            out
        }
    }
}

/// Fields that the types have dropped.
fn lost(said: &Value, understood: &Value, path: &str, out: &mut Vec<String>) {
    match (said, understood) {
        (Value::Object(said), Value::Object(understood)) => {
            for (key, value) in said {
                match understood.get(key) {
                    Some(below) => lost(value, below, &format!("{path}.{key}"), out),
                    None => out.push(format!("Kubernetes knows no {path}.{key}")),
                }
            }
        }
        (Value::Array(said), Value::Array(understood)) => {
            for (index, (said, understood)) in said.iter().zip(understood).enumerate() {
                lost(said, understood, &format!("{path}[{index}]"), out);
            }
        }
        _ => {}
    }
}

#[test]
fn misspelt_fields_are_noticed() {
    use serde_json::json;
    let pod =
        |spec: Value| json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": spec});
    assert_eq!(wrong(&pod(json!({"containers": [{"name": "a", "image": "b"}]}))), Vec::<String>::new());
    assert_eq!(wrong(&pod(json!({"containers": [{"name": "a", "img": "b"}]}))).len(), 1);
    assert_eq!(wrong(&pod(json!({"containers": "a"}))).len(), 1);
    assert_eq!(wrong(&json!({"kind": "Application"})).len(), 1);
}
