//! What still reads a Secret or a mount once the pods are converted, such as an Ingress its certificate: whatever it is,
//! what makes the Secret has to stay.
//!
//! There is no end to the kinds of objects that do, so it goes by how their fields are called. A wrong guess keeps an
//! object that could have gone; a wrong guess the other way would take a secret from an application.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{
    Options,
    bundle::{Bundle, Kind, Names},
    object,
    report::{Report, below},
};
use crate::manifest::workload;

/// How deep an object is looked at; Kubernetes' own reach about 25.
const DEPTH: usize = 64;

/// Marks the bundles that something here still reads, and tells by whom. The objects are those that come out.
pub fn mark(
    objects: &[&Value],
    (bundles, names): (&mut [Bundle], &Names),
    options: &Options,
    report: &mut Report,
) {
    let describing: BTreeSet<_> = bundles.iter().map(|bundle| bundle.manifest).collect();
    for (index, &value) in objects.iter().enumerate() {
        if object::kind_in(value, super::stores::GROUP).is_some() || describing.contains(&index) {
            continue;
        }
        let is_workload = workload::pod(value).is_some();
        let (own, _) = object::namespaced(value, &options.namespace);
        let mut reader = Reader { names, own: &own, found: BTreeMap::new() };
        reader.read(value, "", DEPTH);
        for (number, field) in reader.found {
            let Some(bundle) = bundles.get_mut(number) else { continue };
            // What a workload was not relieved of has been told, with the reason.
            if is_workload && bundle.is_kept {
                continue;
            }
            let (what, instead) = match bundle.kind {
                Kind::Secret => ("Secret", "keep what makes the Secret"),
                Kind::Class => ("SecretProviderClass", "keep the SecretProviderClass"),
            };
            let name = &bundle.name.1;
            report.at(index).left(&field, format!("reads {what} {name}, which stays for it"), instead);
            bundle.is_used = true;
            bundle.is_kept = true;
        }
    }
}

/// Goes through an object.
struct Reader<'a> {
    names: &'a Names,
    /// The object's namespace.
    own: &'a str,
    /// Bundles, by number, and the first field that means each.
    found: BTreeMap<usize, String>,
}

impl Reader<'_> {
    fn read(&mut self, value: &Value, field: &str, depth: usize) {
        let Some(depth) = depth.checked_sub(1) else { return };
        match value {
            Value::Object(entries) => {
                if !field.is_empty() && object::text(value, "/kind") == Some("Secret") {
                    self.reference(Kind::Secret, value, field);
                }
                for (key, value) in entries {
                    let field = below(field, key);
                    if let Some(kind) = about(key) {
                        self.meant(kind, value, &field);
                    }
                    self.read(value, &field, depth);
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.read(item, &format!("{field}[{index}]"), depth);
                }
            }
            _ => {}
        }
    }

    /// What a field means that is about a bundle.
    fn meant(&mut self, kind: Kind, value: &Value, field: &str) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| self.meant(kind, item, field)),
            Value::String(text) => match text.split_once('/') {
                Some((namespace, name)) => self.found(kind, namespace, name, field),
                None => self.found(kind, self.own, text, field),
            },
            _ => self.reference(kind, value, field),
        }
    }

    fn reference(&mut self, kind: Kind, reference: &Value, field: &str) {
        if let Some(name) = object::text(reference, "/name") {
            self.found(kind, object::text(reference, "/namespace").unwrap_or(self.own), name, field);
        }
    }

    fn found(&mut self, kind: Kind, namespace: &str, name: &str, field: &str) {
        for number in self.names.find(kind, namespace, name) {
            self.found.entry(*number).or_insert_with(|| field.to_owned());
        }
    }
}

/// What a field of this name may hold the name of: `secretName`, `passwordSecret`, `imagePullSecrets`.
fn about(key: &str) -> Option<Kind> {
    if key == "secretProviderClass" {
        return Some(Kind::Class);
    }
    let key = key.to_ascii_lowercase();
    (key.contains("secret") || key.contains("certificateref")).then_some(Kind::Secret)
}
