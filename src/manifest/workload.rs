//! Which kinds make pods, and where they keep the pod's template.

use serde_json::Value;

/// The members that lead from an object of this kind to its pod; `None` for a kind that makes no pods.
pub fn pod_path(kind: &str) -> Option<&'static [&'static str]> {
    match kind {
        "Pod" => Some(&[]),
        "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "ReplicationController" | "Job" => {
            Some(&["spec", "template"])
        }
        "CronJob" => Some(&["spec", "jobTemplate", "spec", "template"]),
        "PodTemplate" => Some(&["template"]),
        _ => None,
    }
}

/// The pod, or pod template, of an object.
pub fn pod(object: &Value) -> Option<(&'static [&'static str], &Value)> {
    let path = pod_path(object.get("kind")?.as_str()?)?;
    let pod = path.iter().try_fold(object, |value, key| value.get(key))?;
    Some((path, pod))
}

/// `Deployment/web`, for messages.
pub fn name(object: &Value) -> String {
    let text = |path: &[&str]| path.iter().try_fold(object, |value, key| value.get(key))?.as_str();
    let kind = text(&["kind"]).unwrap_or("object");
    let name =
        text(&["metadata", "name"]).or_else(|| text(&["metadata", "generateName"])).unwrap_or("(unnamed)");
    format!("{kind}/{name}")
}
