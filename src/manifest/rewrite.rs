//! Injects the pods of manifests, as the webhook would when they are created.

use std::collections::BTreeMap;

use json_patch::{Patch, PatchOperation, jsonptr::PointerBuf};
use serde_json::Value;

use super::{
    objects,
    stream::Stream,
    workload::{self, Template},
};
use crate::{
    codes::admission,
    inject::{self, Context, Namespace, Outcome, Policy, Problem, Warning},
};

/// What became of one object that makes pods.
#[derive(Debug)]
pub struct Rewritten {
    /// `Deployment/web`.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Whether it is of a kind of Kubernetes' own; of others, only where they keep their pod's template is known.
    pub is_known: bool,
    /// What became of its pod.
    pub result: Result<Injected, Vec<Problem>>,
}

/// An object as it was, the patch, and what is worrying.
#[derive(Debug)]
pub struct Injected {
    /// The object before.
    pub before: Value,
    /// The object after.
    pub after: Value,
    /// From the one to the other; empty when nothing changed.
    pub patch: Patch,
    /// Whether it asks, or its namespace asks for all; else it is left as it is.
    pub asks: bool,
    /// Legal but worrying things.
    pub warnings: Vec<Warning>,
}

/// Injects every pod and pod template of the streams. Namespaces among the documents speak for their pods; others are
/// taken to be labelled and without defaults.
pub fn rewrite(streams: &mut [Stream], policy: &Policy, default_namespace: &str) -> Vec<Rewritten> {
    let mut namespaces = BTreeMap::new();
    for document in streams.iter().flat_map(Stream::documents) {
        objects::visit(&document.value, &mut |object, _| {
            if let Some((name, namespace)) = objects::namespace(object) {
                namespaces.insert(name.to_owned(), namespace);
            }
        });
    }
    let mut all = Vec::new();
    for document in streams.iter_mut().flat_map(Stream::documents_mut) {
        let mut value = document.value.clone();
        visit_mut(&mut value, &mut |object| {
            if let Some(rewritten) = rewrite_object(object, policy, default_namespace, &namespaces) {
                if let Ok(injected) = &rewritten.result {
                    object.clone_from(&injected.after);
                }
                all.push(rewritten);
            }
        });
        document.replace(value);
    }
    all
}

fn visit_mut(value: &mut Value, see: &mut impl FnMut(&mut Value)) {
    let Some((key, _)) = objects::items(value) else { return see(value) };
    let items = match key {
        Some(key) => value.get_mut(key),
        None => Some(value),
    };
    items.and_then(Value::as_array_mut).into_iter().flatten().for_each(|item| visit_mut(item, see));
}

fn rewrite_object(
    object: &Value,
    policy: &Policy,
    default_namespace: &str,
    namespaces: &BTreeMap<String, Namespace>,
) -> Option<Rewritten> {
    let template = workload::pod(object)?;
    let Template { path, is_known, .. } = template;
    let namespace =
        object.get("metadata").and_then(|metadata| metadata.get("namespace")).and_then(Value::as_str);
    let namespace = namespace.unwrap_or(default_namespace);
    let known = namespaces.get(namespace);
    let context = Context {
        namespace,
        namespace_annotations: known.map(|known| &known.annotations),
        everyone: known.is_some_and(|known| known.everyone),
        api_server: None,
        policy,
    };
    let (asks, patch, warnings) = match inject::inject(&template.named(), &context) {
        Outcome::Skipped { warnings } => (false, Patch(Vec::new()), warnings),
        Outcome::Injected { patch, warnings } => (true, below(path, patch.into()), warnings),
        Outcome::Refused(problems) => {
            return Some(Rewritten {
                name: workload::name(object),
                namespace: namespace.to_owned(),
                is_known,
                result: Err(problems),
            });
        }
    };
    let mut after = object.clone();
    let result = match json_patch::patch(&mut after, &patch) {
        Ok(()) => Ok(Injected { before: object.clone(), after, patch, asks, warnings }),
        Err(error) => Err(vec![Problem::invalid(
            admission::PATCH_DOES_NOT_APPLY,
            "the patch",
            format!("does not apply: {error}"),
        )]),
    };
    Some(Rewritten { name: workload::name(object), namespace: namespace.to_owned(), is_known, result })
}

/// The same patch for the object that holds the pod at `path`.
fn below(path: &[&str], patch: Patch) -> Patch {
    let prefix = PointerBuf::from_tokens(path.iter().copied());
    let lift = |pointer: &mut PointerBuf| *pointer = prefix.concat(&*pointer);
    let lifted = patch.0.into_iter().map(|mut operation| {
        match &mut operation {
            PatchOperation::Add(operation) => lift(&mut operation.path),
            PatchOperation::Remove(operation) => lift(&mut operation.path),
            PatchOperation::Replace(operation) => lift(&mut operation.path),
            PatchOperation::Test(operation) => lift(&mut operation.path),
            PatchOperation::Move(operation) => {
                lift(&mut operation.path);
                lift(&mut operation.from);
            }
            PatchOperation::Copy(operation) => {
                lift(&mut operation.path);
                lift(&mut operation.from);
            }
        }
        operation
    });
    Patch(lifted.collect())
}
