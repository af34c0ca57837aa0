//! Pods and the operator's policy, for tests.

use std::collections::BTreeMap;

use esc_injector::{
    inject::{Context, Outcome, Policy, Problem, inject},
    yaml::{self, Dialect},
};
use serde_json::Value;

pub fn policy() -> Policy {
    let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    Policy {
        agent_image: "registry.example/esc-injector:1.2.3".to_owned(),
        allowed_api_urls: names(&["https://esc.internal"]),
        own_namespace: Some("esc-injector".to_owned()),
        ..Policy::default()
    }
}

/// An operator whose kubelets can deliver variables, and restart whole pods.
pub fn new_kubelets_everywhere() -> Policy {
    Policy { min_kubelet: Some("1.36".parse().expect("a release")), ..policy() }
}

pub fn read(text: &str) -> Value {
    let documents = yaml::parse(text).expect("YAML");
    yaml::to_json(&documents[0], Dialect::Kubernetes).expect("JSON")
}

/// A pod with one container that has a command, and these annotations (without the prefix).
pub fn pod(annotations: &[(&str, &str)]) -> Value {
    let annotations: serde_json::Map<String, Value> = annotations
        .iter()
        .map(|(key, value)| (format!("esc.pulumi.com/{key}"), Value::String((*value).to_owned())))
        .collect();
    serde_json::json!({
        "metadata": {"name": "web", "annotations": annotations},
        "spec": {"containers": [{"name": "app", "image": "shop:1", "command": ["/app"]}]},
    })
}

pub fn context(policy: &Policy) -> Context<'_> {
    Context { namespace: "shop", namespace_annotations: None, everyone: false, api_server: None, policy }
}

pub fn run(pod: &Value) -> Outcome {
    inject(pod, &context(&policy()))
}

/// The pod after injection, with the warnings; panics when it was refused.
pub fn injected(pod: &Value) -> (Value, Vec<String>) {
    apply(pod, run(pod))
}

pub fn apply(pod: &Value, outcome: Outcome) -> (Value, Vec<String>) {
    match outcome {
        Outcome::Injected { patch, warnings } => {
            let mut patched = pod.clone();
            let patch = json_patch::Patch::from(patch);
            json_patch::patch(&mut patched, &patch).expect("the patch applies");
            (patched, warnings.iter().map(ToString::to_string).collect())
        }
        other => panic!("not injected: {other:?}"),
    }
}

/// The problems of a refused pod.
pub fn refused(outcome: Outcome) -> Vec<Problem> {
    match outcome {
        Outcome::Refused(problems) => problems,
        other => panic!("not refused: {other:?}"),
    }
}

/// The agent's plan in an injected pod.
pub fn plan(pod: &Value) -> Value {
    let containers = pod["spec"]["initContainers"].as_array().expect("init containers");
    let agent = containers.iter().find(|container| container["name"] == "esc-agent").expect("the agent");
    let entry =
        agent["env"].as_array().expect("env").iter().find(|entry| entry["name"] == "ESC_INJECTOR_PLAN");
    serde_json::from_str(entry.expect("the plan")["value"].as_str().expect("text")).expect("JSON")
}

pub fn without_prefix(annotations: &[(&str, &str)]) -> BTreeMap<String, String> {
    annotations.iter().map(|(key, value)| (format!("esc.pulumi.com/{key}"), (*value).to_owned())).collect()
}
