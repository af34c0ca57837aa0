//! A pod that is injected takes its patch, and is left alone the second time; one that is refused is told why.

use esc_injector::inject::{Context, Outcome, Policy, inject};
use serde_json::{Map, Value, json};

/// Annotations, one a line: the key without its prefix, `=`, the value, in which `\n` is a newline.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    decide(pairs.map(|(key, value)| (key.to_owned(), value.replace("\\n", "\n"))));
}

/// Injects a pod that has these annotations.
pub fn decide(annotations: impl Iterator<Item = (String, String)>) {
    let annotations: Map<String, Value> =
        annotations.map(|(key, value)| (format!("esc.pulumi.com/{key}"), Value::String(value))).collect();
    let pod = json!({
        "metadata": {"name": "web", "annotations": annotations},
        "spec": {
            "initContainers": [{"name": "migrate", "image": "i", "args": ["$(A)"]}],
            "containers": [{"name": "app", "image": "i", "command": ["/app", "$(A)"], "env": [{"name": "OWN", "value": "$(A)"}]}],
        },
    });
    for min_kubelet in [None, Some("1.36".parse().expect("a release"))] {
        let policy = Policy { min_kubelet, ..Policy::default() };
        holds(&pod, &policy);
    }
}

fn holds(pod: &Value, policy: &Policy) {
    let context =
        Context { namespace: "shop", namespace_annotations: None, everyone: false, api_server: None, policy };
    match inject(pod, &context) {
        Outcome::Skipped { .. } => {}
        Outcome::Refused(problems) => assert!(!problems.is_empty(), "refused without a reason"),
        Outcome::Injected { patch, .. } => {
            let mut patched = pod.clone();
            json_patch::patch(&mut patched, &json_patch::Patch::from(patch)).expect("the patch applies");
            match inject(&patched, &context) {
                Outcome::Injected { patch, .. } => assert!(patch.0.is_empty(), "patched again: {patch:?}"),
                other => panic!("injected, and then {other:?}"),
            }
        }
    }
}
