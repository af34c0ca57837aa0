//! Objects that read a Secret by themselves, such as an Ingress its certificate: a pod's files are no help to them.

use serde_json::Value;

use super::{
    Options,
    bundle::{Bundle, Kind},
    input::Manifest,
    object,
    report::{Report, below},
};
use crate::manifest::workload;

/// Fields that hold the name of a Secret.
const NAMES: &[&str] = &["secretName", "secretname"];

/// Fields that hold references to Secrets, one or several.
const REFERENCES: &[&str] = &[
    "secretRef",
    "secretKeyRef",
    "certificateRef",
    "certificateRefs",
    "imagePullSecrets",
    "secrets",
    "secret",
];

/// How deep an object is looked at; Kubernetes' own reach about 25.
const DEPTH: usize = 64;

/// Marks the bundles that something else than pods reads, and tells by whom.
pub fn mark(manifests: &[Manifest], bundles: &mut [Bundle], options: &Options, report: &mut Report) {
    let describing: Vec<_> = bundles.iter().map(|bundle| bundle.manifest).collect();
    for (index, manifest) in manifests.iter().enumerate() {
        let is_workload = workload::pod(&manifest.value).is_some();
        let of_the_operator = object::kind_in(&manifest.value, super::stores::GROUP).is_some();
        if is_workload || of_the_operator || describing.contains(&index) {
            continue;
        }
        let (namespace, _) = object::namespaced(&manifest.value, &options.namespace);
        for bundle in
            bundles.iter_mut().filter(|bundle| bundle.kind == Kind::Secret && bundle.name.0 == namespace)
        {
            let name = &bundle.name.1;
            if let Some(field) = find(&manifest.value, name, "", DEPTH) {
                bundle.is_used = true;
                bundle.is_kept = true;
                let what = format!("reads Secret {name}, which stays for it");
                report.at(index).left(&field, what, "keep what makes the Secret");
            }
        }
    }
}

/// The first field that means the Secret of this name.
fn find(value: &Value, name: &str, field: &str, depth: usize) -> Option<String> {
    let depth = depth.checked_sub(1)?;
    match value {
        Value::Object(entries) => entries.iter().find_map(|(key, value)| {
            let field = below(field, key);
            let is_name = NAMES.contains(&key.as_str()) && value.as_str() == Some(name);
            let is_reference = REFERENCES.contains(&key.as_str()) && refers(value, name);
            if is_name || is_reference { Some(field) } else { find(value, name, &field, depth) }
        }),
        Value::Array(items) => {
            let mut items = items.iter().enumerate();
            items.find_map(|(index, item)| find(item, name, &format!("{field}[{index}]"), depth))
        }
        _ => None,
    }
}

fn refers(value: &Value, name: &str) -> bool {
    match value {
        Value::Array(items) => items.iter().any(|item| refers(item, name)),
        Value::String(text) => text == name,
        _ => object::text(value, "/name") == Some(name),
    }
}
