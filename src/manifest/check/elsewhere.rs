//! Annotations of ours deep in objects whose kind only its own operator knows. Its pods are injected like all others:
//! metadata beside a pod's spec is judged as a pod template. Of other metadata nobody here can say what it is for, and
//! silence would look like consent.

use std::fmt::Write;

use serde_json::Value;

use super::{Object, misplaced::ours, pod::Checker};
use crate::{
    codes::manifest as codes,
    inject::keys::PREFIX,
    manifest::{
        finding::Severity,
        locate::{Part, Step},
        workload::{self, Template},
    },
    prose::a,
};

/// Looks for them, but where the object is known to keep its pod.
pub fn check(checker: &mut Checker<'_, '_>, object: &Object<'_>) {
    let template = workload::pod(object.value);
    let kind = object.kind().filter(|kind| !kind.is_empty());
    if template.is_some_and(|template| template.is_known) || kind == Some("Namespace") {
        return;
    }
    let known: Vec<Step> =
        template.into_iter().flat_map(|template| template.path).map(|&key| key.into()).collect();
    let mut found = Vec::new();
    below(object.value, &mut Vec::new(), &mut found);
    found.retain(|found| !found.path.is_empty() && found.path != known && !is_secret(kind, &found.path));
    let (pods, others): (Vec<_>, Vec<_>) = found.into_iter().partition(|found| is_pod(found.holder));
    let mut asks = None;
    for Found { path, holder, .. } in pods {
        let base = [object.base.as_slice(), &path].concat();
        let pod = Template { kind: "Pod", path: &[], pod: holder, is_known: false };
        asks = Some(checker.pod(object, &base, holder, pod) || asks == Some(true));
    }
    // With a template where most have theirs, it was counted.
    if let Some(asks) = asks.filter(|_| template.is_none()) {
        checker.count(object, asks);
    }
    for Found { path: holder, key, .. } in others {
        let text = format!(
            "{PREFIX}{key} stands in {}, and whether {} makes pods of that is not known here: it was not checked",
            describe(&holder),
            kind.map_or_else(|| a("object without a kind"), a),
        );
        let below = ["metadata".into(), "annotations".into(), Step::Key(format!("{PREFIX}{key}"))];
        let path = [object.base.as_slice(), &holder, &below].concat();
        let Some(locator) = checker.manifests.locator(object.file, object.document) else { return };
        let span = locator.field(&path, Part::Key).unwrap_or_else(|| locator.nearest(&path));
        let (name, namespace) = (object.name(), object.namespace(checker.default_namespace).to_owned());
        let at = (object.file, object.document, span);
        let code = codes::UNKNOWN_TEMPLATE;
        checker.collector.push(Severity::Warning, code, at, Some((&name, &namespace)), &text);
    }
}

/// What has metadata with annotations of ours.
struct Found<'v> {
    path: Vec<Step>,
    holder: &'v Value,
    /// The first of them, without the prefix.
    key: &'v str,
}

/// Whether it is made like a pod, or its template.
fn is_pod(holder: &Value) -> bool {
    holder.pointer("/spec/containers").is_some_and(Value::is_array)
}

/// Whether it is the Secret that an operator makes of the object.
fn is_secret(kind: Option<&str>, path: &[Step]) -> bool {
    matches!(kind, Some("ExternalSecret" | "ClusterExternalSecret" | "SealedSecret"))
        && path.last() == Some(&Step::from("template"))
}

/// Looks for them. The reader has limited the depth.
fn below<'v>(value: &'v Value, path: &mut Vec<Step>, found: &mut Vec<Found<'v>>) {
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                path.push(Step::Index(index));
                below(item, path, found);
                path.pop();
            }
        }
        Value::Object(members) => {
            let first = members.get("metadata").and_then(|metadata| ours(metadata, "annotations").next());
            found.extend(first.map(|(key, _)| Found { path: path.clone(), holder: value, key }));
            for (key, member) in members {
                path.push(Step::Key(key.clone()));
                below(member, path, found);
                path.pop();
            }
        }
        _ => {}
    }
}

/// `spec.groups[0].template`.
fn describe(path: &[Step]) -> String {
    let mut text = String::new();
    for step in path {
        // A text takes whatever is written to it.
        let _ = match step {
            Step::Key(key) if text.is_empty() => write!(text, "{key}"),
            Step::Key(key) => write!(text, ".{key}"),
            Step::Index(index) => write!(text, "[{index}]"),
        };
    }
    text
}
