//! Keys of ours where nobody reads them. No error comes from Kubernetes or from the webhook: nothing happens, and that is
//! what people of every injector report most.

use std::{collections::BTreeSet, fmt};

use serde_json::Value;

use super::{Object, pod::Checker};
use crate::{
    codes::manifest as codes,
    inject::{
        LABEL,
        keys::{self, Key, PREFIX},
    },
    manifest::{
        finding::Severity,
        locate::{Part, Step},
        objects::texts,
        workload::{self, Template},
    },
    prose::a,
};

/// Annotations of ours that stand on some pod of the input.
pub struct Delivered<'m>(BTreeSet<(&'m str, &'m str)>);

impl<'m> Delivered<'m> {
    pub fn of(objects: &[Object<'m>]) -> Self {
        let pods = objects.iter().filter_map(|object| workload::pod(object.value));
        Self(
            pods.filter_map(|template| template.pod.get("metadata"))
                .flat_map(|metadata| ours(metadata, "annotations"))
                .collect(),
        )
    }
}

/// The keys of ours, without the prefix, that ask for something.
pub(super) fn ours<'v>(metadata: &'v Value, list: &str) -> impl Iterator<Item = (&'v str, &'v str)> {
    let ours = texts(metadata, list).filter_map(|(key, value)| Some((key.strip_prefix(PREFIX)?, value)));
    ours.filter(|(key, _)| *key != Key::Status.name())
}

/// Looks for keys of ours on an object, and between it and its pod.
pub fn check(checker: &mut Checker<'_, '_>, object: &Object<'_>, delivered: &Delivered<'_>) {
    let pod = workload::pod(object.value);
    let path = pod.map_or(&[][..], |template| template.path);
    // Everything that has metadata: the object, what a CronJob's job would have, the pod.
    for length in 0..=path.len() {
        let (above, _) = path.split_at(length);
        let holder = above.iter().try_fold(object.value, |value, key| value.get(key));
        let Some(metadata) = holder.and_then(|holder| holder.get("metadata")) else { continue };
        let is_pod = pod.is_some() && length == path.len();
        if !is_pod {
            annotations(checker, object, (above, metadata), pod, delivered);
        }
        labels(checker, object, (above, metadata), is_pod);
        prefixes(checker, object, (above, metadata));
    }
}

/// Keys whose prefix was meant to be ours: to Kubernetes and to the webhook they are somebody else's.
fn prefixes(checker: &mut Checker<'_, '_>, object: &Object<'_>, (above, metadata): (&[&str], &Value)) {
    for list in ["annotations", "labels"] {
        let lost: Vec<&str> =
            texts(metadata, list).map(|(key, _)| key).filter(|key| is_nearly_ours(key)).collect();
        let ours = PREFIX.trim_end_matches('/');
        let words =
            |keys: &Keys| format!("{keys} among the {list}, where nobody looks: the prefix is `{ours}`");
        push_at(checker, object, (above, list), &lost, "", (Severity::Error, words));
    }
}

/// Whether a key's prefix is a slip of the finger away from ours.
fn is_nearly_ours(key: &str) -> bool {
    /// More is another word.
    const SLIPS: usize = 2;
    /// Longer ones are something else, and take time to compare.
    const LONGEST: usize = 64;
    let ours = PREFIX.trim_end_matches('/');
    let Some((prefix, name)) = key.split_once('/') else { return false };
    let lower = prefix.to_ascii_lowercase();
    prefix != ours
        && prefix.len() <= LONGEST
        && !name.is_empty()
        // `esc.pulumi.com.env/A`
        && (lower.strip_prefix(ours).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            || strsim::damerau_levenshtein(&lower, ours) <= SLIPS)
}

/// Annotations that are on no pod and on no namespace.
fn annotations(
    checker: &mut Checker<'_, '_>,
    object: &Object<'_>,
    (above, metadata): (&[&str], &Value),
    pod: Option<Template<'_>>,
    delivered: &Delivered<'_>,
) {
    let kind = object.kind().filter(|kind| !kind.is_empty()).unwrap_or("object without a kind");
    let found = ours(metadata, "annotations");
    let Some(Template { path, pod, .. }) = pod else {
        // What a tool puts on all objects reaches the pods as well.
        let lost: Vec<&str> = found.filter(|pair| !delivered.0.contains(pair)).map(|(key, _)| key).collect();
        if kind != "Namespace" {
            let words = |keys: &Keys| {
                format!("{keys} on {}, where nobody looks: only pods and namespaces are read", a(kind))
            };
            push(checker, object, (above, "annotations"), &lost, (Severity::Warning, words));
        }
        return;
    };
    let on_pod: BTreeSet<&str> = pod
        .get("metadata")
        .into_iter()
        .flat_map(|metadata| ours(metadata, "annotations"))
        .map(|(key, _)| key)
        .collect();
    let lost: Vec<&str> = found.map(|(key, _)| key).filter(|key| !on_pod.contains(key)).collect();
    let holder = if above.is_empty() { format!("the {kind}") } else { above.join(".") };
    let words = |keys: &Keys| {
        let them = if keys.more == 0 { "it" } else { "them" };
        format!(
            "{keys} on {holder}, and only its pods are looked at: move {them} to {}.metadata.annotations",
            path.join(".")
        )
    };
    push(checker, object, (above, "annotations"), &lost, (Severity::Error, words));
}

/// Labels: they are read of namespaces only, and there is but one.
fn labels(
    checker: &mut Checker<'_, '_>,
    object: &Object<'_>,
    (above, metadata): (&[&str], &Value),
    is_pod: bool,
) {
    let kind = object.kind().filter(|kind| !kind.is_empty()).unwrap_or("object without a kind");
    let is_namespace = kind == "Namespace";
    let annotated: BTreeSet<&str> = ours(metadata, "annotations").map(|(key, _)| key).collect();
    // A pod that has both gets what it wants.
    let is_lost = |key: &&str| !(is_namespace && *key == LABEL || is_pod && annotated.contains(key));
    let lost: Vec<&str> = ours(metadata, "labels").map(|(key, _)| key).filter(is_lost).collect();
    let words = |keys: &Keys| {
        if is_namespace && let Some(near) = keys::nearest(&keys.first, [LABEL]) {
            return format!("{keys} among the labels; did you mean `{PREFIX}{near}`?");
        }
        if keys.first == LABEL {
            return format!("{keys} among the labels of {}, and is read of namespaces only", a(kind));
        }
        format!("{keys} among the labels, where nobody looks: annotations are read")
    };
    push(checker, object, (above, "labels"), &lost, (Severity::Error, words));
}

/// Keys that stand somewhere: the first, and how many more.
struct Keys {
    /// What stands before the first; nothing where it is not ours.
    prefix: &'static str,
    first: String,
    more: usize,
}

impl fmt::Display for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.more {
            0 => write!(f, "{}{} stands", self.prefix, self.first),
            more => write!(f, "{}{} and {more} more stand", self.prefix, self.first),
        }
    }
}

/// One finding for all keys of a list, at the first.
fn push(
    checker: &mut Checker<'_, '_>,
    object: &Object<'_>,
    (above, list): (&[&str], &str),
    keys: &[&str],
    found: (Severity, impl Fn(&Keys) -> String),
) {
    push_at(checker, object, (above, list), keys, PREFIX, found);
}

fn push_at(
    checker: &mut Checker<'_, '_>,
    object: &Object<'_>,
    (above, list): (&[&str], &str),
    keys: &[&str],
    prefix: &'static str,
    (severity, words): (Severity, impl Fn(&Keys) -> String),
) {
    let Some((first, more)) = keys.split_first() else { return };
    let text = words(&Keys { prefix, first: (*first).to_owned(), more: more.len() });
    let key = format!("{prefix}{first}");
    let below = [above, &["metadata", list, key.as_str()]].concat();
    let path: Vec<Step> = object.base.iter().cloned().chain(below.into_iter().map(Step::from)).collect();
    let Some(locator) = checker.manifests.locator(object.file, object.document) else { return };
    let span = locator.field(&path, Part::Key).unwrap_or_else(|| locator.nearest(&path));
    let (name, namespace) = (object.name(), object.namespace(checker.default_namespace).to_owned());
    let at = (object.file, object.document, span);
    checker.collector.push(severity, codes::MISPLACED, at, Some((&name, &namespace)), &text);
}
