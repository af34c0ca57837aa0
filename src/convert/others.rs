//! What still reads a Secret or a mount once the pods are converted, such as an Ingress its certificate: whatever it is,
//! what makes the Secret has to stay.
//!
//! There is no end to the kinds of objects that do, so it goes by how their fields are called. A wrong guess keeps an
//! object that could have gone; a wrong guess the other way would take a secret from an application.

use serde_json::Value;

use super::{
    Options,
    bundle::{Bundle, Kind},
    object,
    report::{Report, below},
};
use crate::manifest::workload;

/// How deep an object is looked at; Kubernetes' own reach about 25.
const DEPTH: usize = 64;

/// Marks the bundles that something here still reads, and tells by whom. The objects are those that come out.
pub fn mark(objects: &[&Value], bundles: &mut [Bundle], options: &Options, report: &mut Report) {
    let describing: Vec<_> = bundles.iter().map(|bundle| bundle.manifest).collect();
    for (index, &value) in objects.iter().enumerate() {
        if object::kind_in(value, super::stores::GROUP).is_some() || describing.contains(&index) {
            continue;
        }
        let is_workload = workload::pod(value).is_some();
        let (own, _) = object::namespaced(value, &options.namespace);
        for bundle in bundles.iter_mut() {
            // What a workload was not relieved of has been told, with the reason.
            if is_workload && bundle.is_kept {
                continue;
            }
            let (namespace, name) = &bundle.name;
            let wanted = Wanted { kind: bundle.kind, namespace, name, own: &own };
            if let Some(field) = wanted.find(value, "", DEPTH) {
                let (what, instead) = match bundle.kind {
                    Kind::Secret => ("Secret", "keep what makes the Secret"),
                    Kind::Class => ("SecretProviderClass", "keep the SecretProviderClass"),
                };
                report.at(index).left(&field, format!("reads {what} {name}, which stays for it"), instead);
                bundle.is_used = true;
                bundle.is_kept = true;
            }
        }
    }
}

/// What is looked for.
struct Wanted<'a> {
    kind: Kind,
    namespace: &'a str,
    name: &'a str,
    /// The namespace of the object that is looked at.
    own: &'a str,
}

impl Wanted<'_> {
    /// The first field that means it.
    fn find(&self, value: &Value, field: &str, depth: usize) -> Option<String> {
        let depth = depth.checked_sub(1)?;
        match value {
            Value::Object(entries) => {
                let is_reference = self.kind == Kind::Secret
                    && object::text(value, "/kind") == Some("Secret")
                    && self.is_named_by(value);
                if is_reference && !field.is_empty() {
                    return Some(field.to_owned());
                }
                entries.iter().find_map(|(key, value)| {
                    let field = below(field, key);
                    if self.is_about(key) && self.is_meant_by(value) {
                        Some(field)
                    } else {
                        self.find(value, &field, depth)
                    }
                })
            }
            Value::Array(items) => {
                let mut items = items.iter().enumerate();
                items.find_map(|(index, item)| self.find(item, &format!("{field}[{index}]"), depth))
            }
            _ => None,
        }
    }

    /// Whether a field of this name may hold its name: `secretName`, `passwordSecret`, `imagePullSecrets`.
    fn is_about(&self, key: &str) -> bool {
        const CLASS: &str = "secretProviderClass";
        match self.kind {
            Kind::Class => key == CLASS,
            Kind::Secret => {
                let key_lower = key.to_ascii_lowercase();
                key != CLASS && (key_lower.contains("secret") || key_lower.contains("certificateref"))
            }
        }
    }

    fn is_meant_by(&self, value: &Value) -> bool {
        match value {
            Value::Array(items) => items.iter().any(|item| self.is_meant_by(item)),
            Value::String(text) => match text.split_once('/') {
                Some((namespace, name)) => (namespace, name) == (self.namespace, self.name),
                None => self.own == self.namespace && text == self.name,
            },
            _ => self.is_named_by(value),
        }
    }

    fn is_named_by(&self, reference: &Value) -> bool {
        object::text(reference, "/name") == Some(self.name)
            && object::text(reference, "/namespace").unwrap_or(self.own) == self.namespace
    }
}
