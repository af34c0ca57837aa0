//! Pods as users write them.

use serde_json::{Value, json};

/// Annotations that ask for one file.
pub fn asks() -> Value {
    json!({"esc.pulumi.com/environment": "acme/shop/prod", "esc.pulumi.com/file.password": "db.password"})
}

/// A pod that passes Pod Security restricted.
pub fn pod(name: &str, annotations: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "annotations": annotations},
        "spec": template_spec(),
    })
}

/// A Deployment of such pods.
pub fn deployment(name: &str, annotations: &Value) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}, "annotations": annotations},
                "spec": template_spec(),
            },
        },
    })
}

fn template_spec() -> Value {
    json!({
        "securityContext": {
            "runAsNonRoot": true, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [{
            "name": "app", "image": "registry.example.com/shop:1", "command": ["/shop"],
            "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
        }],
    })
}

/// What such a pod consists of, for the template of a Job.
pub fn with_restart_policy(policy: &str) -> Value {
    let mut spec = template_spec();
    spec["restartPolicy"] = json!(policy);
    spec
}

/// The injected container of a pod.
pub fn agent(pod: &Value) -> Option<&Value> {
    pod["spec"]["initContainers"].as_array()?.iter().find(|container| container["name"] == "esc-agent")
}
