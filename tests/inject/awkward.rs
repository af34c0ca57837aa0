//! A set of awkward pods, each as a snapshot of its patch and of the pod that comes out.

use std::fmt::Write;

use esc_injector::{
    inject::{Outcome, inject},
    yaml,
};
use serde_json::Value;

use crate::support::{apply, context, new_kubelets_everywhere, policy, read};

#[test]
fn awkward_pods_come_out_as_recorded() {
    insta::glob!("pods/*.yaml", |path| {
        let pod = read(&std::fs::read_to_string(path).unwrap());
        let is_new = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("kubelet"));
        let policy = if is_new { new_kubelets_everywhere() } else { policy() };
        let outcome = inject(&pod, &context(&policy));
        let mut text = String::new();
        if let Outcome::Injected { patch, warnings } = &outcome {
            for warning in warnings {
                writeln!(text, "warning: {warning}").unwrap();
            }
            for operation in &patch.0 {
                let operation = serde_json::to_value(operation).unwrap();
                writeln!(
                    text,
                    "{} {}",
                    operation["op"].as_str().unwrap(),
                    operation["path"].as_str().unwrap()
                )
                .unwrap();
            }
        }
        let (mut patched, _) = apply(&pod, outcome);
        spread_plan(&mut patched);
        text.push_str("---\n");
        text.push_str(&yaml::emit(&patched));
        insta::with_settings!({ prepend_module_to_snapshot => false, snapshot_path => "snapshots", omit_expression => true }, {
            insta::assert_snapshot!(text);
        });
    });
}

/// Shows the plan as a tree: on one line nobody would review it.
fn spread_plan(pod: &mut Value) {
    let containers = pod["spec"].get_mut("initContainers").and_then(Value::as_array_mut);
    for container in containers.into_iter().flatten() {
        for entry in container.get_mut("env").and_then(Value::as_array_mut).into_iter().flatten() {
            if entry["name"] == "ESC_INJECTOR_PLAN" {
                entry["value"] = serde_json::from_str(entry["value"].as_str().unwrap()).unwrap();
            }
        }
    }
}
