//! Changes of a pod: annotations in, references out.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{
    object,
    uses::{Container, Read, Use},
};

/// Adds annotations to a pod.
pub fn annotate(pod: &mut Value, annotations: Map<String, Value>) {
    let Some(pod) = pod.as_object_mut() else { return };
    if pod.get("metadata").is_none_or(Value::is_null) {
        // Where people look for it.
        pod.shift_insert(0, "metadata".to_owned(), Value::Object(Map::new()));
    }
    let Some(metadata) = pod.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    match metadata.get_mut("annotations") {
        Some(Value::Object(present)) => present.extend(annotations),
        _ => {
            metadata.insert("annotations".to_owned(), Value::Object(annotations));
        }
    }
}

/// Takes out what is delivered now, and volumes that nobody mounts any more.
pub fn remove<'u>(spec: &mut Value, done: impl Iterator<Item = &'u Use>) {
    let mut volumes = BTreeSet::new();
    let mut gone: Vec<(&Container, &str, usize)> = Vec::new();
    for one in done {
        let (list, kind) = match &one.read {
            Read::Variable { .. } => ("env", None),
            Read::Variables { .. } => ("envFrom", None),
            Read::Files { volume, .. } => ("volumeMounts", Some(volume.name.as_str())),
        };
        volumes.extend(kind);
        let index = one.field.rsplit_once('[').and_then(|(_, rest)| rest.trim_end_matches(']').parse().ok());
        gone.extend(index.map(|index| (&one.container, list, index)));
    }
    // From the end, so that places stay true.
    gone.sort_by_key(|(_, _, index)| std::cmp::Reverse(*index));
    for (container, list, index) in gone {
        let place = format!("/{}/{}", container.list, container.index);
        if let Some(container) = spec.pointer_mut(&place) {
            take(container, list, |at, _| at == index);
        }
    }
    let lists = ["/initContainers", "/containers"].into_iter().flat_map(|list| object::list(spec, list));
    let mounts = lists.flat_map(|container| object::list(container, "/volumeMounts"));
    let mounted: BTreeSet<String> =
        mounts.filter_map(|mount| object::text(mount, "/name")).map(str::to_owned).collect();
    take(spec, "volumes", |_, volume| {
        object::text(volume, "/name").is_some_and(|name| volumes.contains(name) && !mounted.contains(name))
    });
}

/// Takes elements out of a list, and the list with the last.
fn take(object: &mut Value, list: &str, is_gone: impl Fn(usize, &Value) -> bool) {
    let Some(object) = object.as_object_mut() else { return };
    let Some(Value::Array(items)) = object.get_mut(list) else { return };
    let mut at = 0;
    items.retain(|item| {
        at += 1;
        !is_gone(at - 1, item)
    });
    if items.is_empty() {
        object.shift_remove(list);
    }
}
