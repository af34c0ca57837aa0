//! [`Injection`] ▶ patch: brings the pod, whatever an earlier injection and others left in it, to what is planned.
//!
//! Ours are the agent's name, arguments, variables and mounts, what makes it a native sidecar or not, our volumes, our
//! mounts in receivers and the wrapped commands: they are repaired. What others did to our container (image mirror,
//! pull policy, resources, security context, further variables and mounts) stays.

use std::collections::BTreeSet;

use json_patch::{Patch, PatchError};
use serde_json::{Map, Value, json};

use super::{
    document::{Document, Json},
    fit::Receiver,
    names::{AGENT, BINARY, BINARY_VOLUME, SAFE_TO_EVICT, STATUS, is_our_volume},
    ours::{self, Earlier},
    patch::{Editor, Step, Step::Index, Step::Key},
    plan::Injection,
    pod::{Container, Pod},
    quantity::Quantity,
    sidecar::METRICS_PORT,
};

const SPEC: Step<'static> = Key("spec");
const VOLUMES: &[Step<'static>] = &[SPEC, Key("volumes")];
const INIT_CONTAINERS: &[Step<'static>] = &[SPEC, Key("initContainers")];
const SHARE_PROCESSES: Step<'static> = Key("shareProcessNamespace");
const ANNOTATIONS: &[Step<'static>] = &[Key("metadata"), Key("annotations")];

/// What makes a container a native sidecar, and with which rules: ours in the agent.
const LIFECYCLE: &[&str] = &["restartPolicy", "restartPolicyRules", "startupProbe"];

/// What else the API server refuses on a plain init container, and webhooks that add to every container may leave there.
/// A native sidecar may have it.
const NOT_IN_INIT_CONTAINERS: &[&str] = &["livenessProbe", "readinessProbe", "lifecycle", "resizePolicy"];

/// The patch from the pod as it stands to the pod as planned. `found` is the pod as it stands, `stripped` the same
/// without what is ours.
pub fn patch(
    document: &Document<'_>,
    found: &Pod<'_>,
    stripped: &Pod<'_>,
    earlier: Option<&Earlier>,
    injection: &Injection,
) -> Patch {
    let from_kubelet = found.all_containers().any(|container| container.has_our_variables)
        || injection.receivers.iter().any(|receiver| !receiver.variables.is_empty());
    let mut editor = Editor::new(skeleton(document, from_kubelet));
    volumes(&mut editor, found, injection);
    agent(&mut editor, earlier, injection);
    // Containers after the agent moved: indices come from the copy.
    for (list, containers) in [("initContainers", &found.init_containers), ("containers", &found.containers)]
    {
        for container in containers.iter().filter(|container| !ours::is_agent(container)) {
            let Some(index) = index_of(&editor, &[SPEC, Key(list)], "name", container.name) else { continue };
            let plain = stripped.all_containers().find(|plain| plain.name == container.name);
            let receiver = injection.receivers.iter().find(|receiver| receiver.name == container.name);
            self::container(&mut editor, &[SPEC, Key(list), Index(index)], plain, receiver);
        }
    }
    if injection.shares_processes {
        editor.set(&[SPEC, SHARE_PROCESSES], json!(true));
    }
    annotations(&mut editor, found, injection);
    editor.into_patch()
}

/// Applies a patch as the API server will, to as much of the pod as patches touch. The API server answers one that does
/// not apply with a failure that no `failurePolicy` softens and that doesn't say whose it is.
pub fn rehearse(document: &Document<'_>, patch: &Patch) -> Result<(), PatchError> {
    let touches_variables = patch.0.iter().any(|operation| operation.path().as_str().contains("/env"));
    json_patch::patch_unsafe(&mut skeleton(document, touches_variables), patch)
}

/// The pod without what is not written here.
fn skeleton(document: &Document<'_>, with_variables: bool) -> Value {
    let root = document.root();
    let mut spec = Map::new();
    if let Some(members) = root.get("spec").and_then(Json::as_object) {
        for (key, value) in members.iter() {
            let value = match key {
                "containers" | "initContainers" => containers(value, with_variables),
                "volumes" | "shareProcessNamespace" => value.to_value(),
                _ => continue,
            };
            spec.insert(key.to_owned(), value);
        }
    }
    let mut pod = Map::new();
    match root.get("metadata") {
        Some(Json::Object(metadata)) => {
            let annotations =
                metadata.get("annotations").map(|found| ("annotations".to_owned(), found.to_value()));
            pod.insert("metadata".to_owned(), Value::Object(annotations.into_iter().collect()));
        }
        Some(odd) => {
            pod.insert("metadata".to_owned(), odd.to_value());
        }
        None => {}
    }
    pod.insert("spec".to_owned(), Value::Object(spec));
    Value::Object(pod)
}

fn containers(list: &Json<'_>, with_variables: bool) -> Value {
    let is_written = |key: &str| {
        matches!(key, "name" | "command" | "args" | "volumeMounts") || (with_variables && key == "env")
    };
    let container = |container: &Json<'_>| match container {
        Json::Object(members) if container.get("name").and_then(Json::as_str) != Some(AGENT) => {
            let written = members.iter().filter(|(key, _)| is_written(key));
            Value::Object(written.map(|(key, value)| (key.to_owned(), value.to_value())).collect())
        }
        whole => whole.to_value(),
    };
    match list {
        Json::List(items) => Value::Array(items.iter().map(container).collect()),
        odd => odd.to_value(),
    }
}

/// Position of the element of a list whose `key` is `value`.
fn index_of(editor: &Editor, list: &[Step<'_>], key: &str, value: &str) -> Option<usize> {
    elements(editor, list).iter().position(|item| member(item, key) == Some(value))
}

fn path<'a>(parts: &[&[Step<'a>]]) -> Vec<Step<'a>> {
    parts.concat()
}

fn volumes(editor: &mut Editor, found: &Pod<'_>, injection: &Injection) {
    for name in found.volumes.iter().filter(|name| is_our_volume(name)) {
        if injection.volumes.iter().all(|(planned, _)| planned != name)
            && let Some(index) = index_of(editor, VOLUMES, "name", name)
        {
            editor.remove(&path(&[VOLUMES, &[Index(index)]]));
        }
    }
    for (name, volume) in &injection.volumes {
        match index_of(editor, VOLUMES, "name", name) {
            Some(index) => {
                let at = path(&[VOLUMES, &[Index(index)]]);
                // The API server adds defaults to what it stores; they are no reason to write it anew.
                if !editor.get(&at).is_some_and(|present| covers(present, volume)) {
                    editor.set(&at, volume.clone());
                }
            }
            None => editor.push(VOLUMES, volume.clone()),
        }
    }
}

/// Whether `present` says everything that `wanted` says; it may say more.
fn covers(present: &Value, wanted: &Value) -> bool {
    match (present, wanted) {
        (Value::Object(present), Value::Object(wanted)) => wanted.iter().all(|(key, wanted)| {
            present.get(key).is_some_and(|present| {
                covers(present, wanted) || (key == "sizeLimit" && is_same_size(present, wanted))
            })
        }),
        (Value::Array(present), Value::Array(wanted)) => {
            present.len() == wanted.len()
                && present.iter().zip(wanted).all(|(present, wanted)| covers(present, wanted))
        }
        _ => present == wanted,
    }
}

/// The API server writes quantities its own way: 1024Mi comes back as 1Gi.
fn is_same_size(present: &Value, wanted: &Value) -> bool {
    let milli = |value: &Value| value.as_str()?.parse::<Quantity>().ok().map(|quantity| quantity.milli());
    milli(present).is_some_and(|size| milli(wanted) == Some(size))
}

fn agent(editor: &mut Editor, earlier: Option<&Earlier>, injection: &Injection) {
    match earlier {
        None => editor.insert(INIT_CONTAINERS, injection.position, new_agent(injection)),
        Some(earlier) if earlier.position == injection.position => {}
        Some(earlier) => {
            let at = path(&[INIT_CONTAINERS, &[Index(earlier.position)]]);
            let Some(container) = editor.get(&at).cloned() else { return };
            editor.remove(&at);
            editor.insert(INIT_CONTAINERS, injection.position, container);
        }
    }
    if earlier.is_none() {
        return;
    }
    let at = path(&[INIT_CONTAINERS, &[Index(injection.position)]]);
    editor.set(&path(&[&at, &[Key("args")]]), json!(injection.arguments));
    for key in LIFECYCLE {
        let field = path(&[&at, &[Key(key)]]);
        match injection.lifecycle.get(*key) {
            Some(wanted) if editor.get(&field).is_some_and(|present| covers(present, wanted)) => {}
            Some(wanted) => editor.set(&field, wanted.clone()),
            None => editor.remove(&field),
        }
    }
    if injection.lifecycle.is_empty() {
        for key in NOT_IN_INIT_CONTAINERS {
            editor.remove(&path(&[&at, &[Key(key)]]));
        }
    }
    port(editor, &at, injection.port.as_ref());
    let env = path(&[&at, &[Key("env")]]);
    for (name, value) in &injection.env {
        let entry = json!({"name": name, "value": value});
        match index_of(editor, &env, "name", name) {
            Some(index) => editor.set(&path(&[&env, &[Index(index)]]), entry),
            None => editor.push(&env, entry),
        }
    }
    mounts(editor, &at, &injection.mounts);
}

/// Brings our port of the agent to what is planned.
fn port(editor: &mut Editor, agent: &[Step<'_>], planned: Option<&Value>) {
    let list = path(&[agent, &[Key("ports")]]);
    match (index_of(editor, &list, "name", METRICS_PORT), planned) {
        (Some(index), planned) => {
            let at = path(&[&list, &[Index(index)]]);
            match planned {
                Some(planned) if editor.get(&at).is_some_and(|present| covers(present, planned)) => {}
                Some(planned) => editor.set(&at, planned.clone()),
                None if elements(editor, &list).len() == 1 => editor.remove(&list),
                None => editor.remove(&at),
            }
        }
        (None, Some(planned)) => editor.push(&list, planned.clone()),
        (None, None) => {}
    }
}

fn new_agent(injection: &Injection) -> Value {
    let mut container = serde_json::Map::new();
    container.insert("name".to_owned(), json!(AGENT));
    let mut initial = injection.initial.clone();
    if let Some(image) = initial.shift_remove("image") {
        container.insert("image".to_owned(), image);
    }
    container.insert("args".to_owned(), json!(injection.arguments));
    let env: Vec<_> =
        injection.env.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
    container.insert("env".to_owned(), Value::Array(env));
    container.extend(injection.lifecycle.clone());
    if let Some(port) = &injection.port {
        container.insert("ports".to_owned(), json!([port]));
    }
    container.extend(initial);
    container.insert("volumeMounts".to_owned(), Value::Array(injection.mounts.clone()));
    Value::Object(container)
}

/// Brings our mounts of a container to what is planned; other mounts stay where they are.
fn mounts(editor: &mut Editor, container: &[Step<'_>], planned: &[Value]) {
    let list = path(&[container, &[Key("volumeMounts")]]);
    let in_the_way = |mount: &Value| {
        let is_ours = member(mount, "name").is_some_and(is_our_volume);
        // Two mounts at one path are refused by the API server; only our own container can get here with them.
        let at_our_path =
            planned.iter().any(|planned| member(planned, "mountPath") == member(mount, "mountPath"));
        (is_ours || at_our_path) && !planned.iter().any(|planned| covers(mount, planned))
    };
    let present = elements(editor, &list).iter().enumerate();
    let doomed: Vec<_> = present.filter(|(_, mount)| in_the_way(mount)).map(|(index, _)| index).collect();
    for index in doomed.into_iter().rev() {
        editor.remove(&path(&[&list, &[Index(index)]]));
    }
    for planned in planned {
        if !elements(editor, &list).iter().any(|mount| covers(mount, planned)) {
            editor.push(&list, planned.clone());
        }
    }
}

/// Brings the variables that kubelet takes from our volumes to what is planned: before the container's own, which may
/// refer to them.
fn variables(editor: &mut Editor, container: &[Step<'_>], planned: &[Value]) {
    let list = path(&[container, &[Key("env")]]);
    let key = |entry: &Value| -> Option<(String, String, bool)> {
        let reference = entry.pointer("/valueFrom/fileKeyRef")?;
        // The API server writes down what is the default.
        let is_optional = reference.get("optional") == Some(&Value::Bool(true));
        Some((member(entry, "name")?.to_owned(), member(reference, "volumeName")?.to_owned(), is_optional))
    };
    let wanted: BTreeSet<_> = planned.iter().filter_map(key).collect();
    let mut present = BTreeSet::new();
    let mut doomed = Vec::new();
    for (index, entry) in
        elements(editor, &list).iter().enumerate().filter(|(_, entry)| is_our_variable(entry))
    {
        let is_planned = key(entry).is_some_and(|key| wanted.contains(&key) && present.insert(key));
        if !is_planned {
            doomed.push(index);
        }
    }
    for index in doomed.iter().rev() {
        editor.remove(&path(&[&list, &[Index(*index)]]));
    }
    for (index, planned) in planned.iter().enumerate() {
        if key(planned).is_none_or(|key| !present.contains(&key)) {
            editor.insert(&list, index, planned.clone());
        }
    }
    if !doomed.is_empty() && elements(editor, &list).is_empty() {
        editor.remove(&list);
    }
}

/// Whether kubelet takes a variable from a volume of ours.
fn is_our_variable(entry: &Value) -> bool {
    let volume = entry.pointer("/valueFrom/fileKeyRef/volumeName");
    volume.and_then(Value::as_str).is_some_and(is_our_volume)
}

/// A member that is text.
fn member<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object.get(key).and_then(Value::as_str)
}

/// The elements of a list; none where there is no list.
fn elements<'a>(editor: &'a Editor, list: &[Step<'_>]) -> &'a [Value] {
    editor.get(list).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn container(
    editor: &mut Editor,
    at: &[Step<'_>],
    plain: Option<&Container<'_>>,
    receiver: Option<&Receiver>,
) {
    mounts(editor, at, receiver.map_or(&[], |receiver| &receiver.mounts));
    variables(editor, at, receiver.map_or(&[], |receiver| &receiver.variables));
    let wrapped = receiver.and_then(|receiver| receiver.command.as_deref());
    // What another webhook put before our wrapping stays there.
    if let Some(launcher) = plain.and_then(|plain| plain.launcher.as_ref()) {
        let before = launcher.before.iter().map(|&word| word.to_owned());
        let started = match wrapped {
            Some(wrapped) => wrapped.to_vec(),
            None => launcher.inner.iter().map(|&word| word.to_owned()).collect(),
        };
        let words: Vec<String> = before.chain(started).collect();
        editor.set(&path(&[at, &[Key(launcher.list.field())]]), json!(words));
        return;
    }
    let command = path(&[at, &[Key("command")]]);
    match wrapped {
        Some(wrapped) => editor.set(&command, json!(wrapped)),
        // Undoes an earlier wrapping; a command that never was wrapped is left alone by the comparison in `set`.
        None => match plain.and_then(|plain| plain.command.as_ref()) {
            Some(own) => editor.set(&command, json!(own)),
            None if editor.get(&command).is_some_and(|command| command.get(0) == Some(&json!(BINARY))) => {
                editor.remove(&command);
            }
            None => {}
        },
    }
}

fn annotations(editor: &mut Editor, found: &Pod<'_>, injection: &Injection) {
    editor.ensure_object(&[Key("metadata")]);
    editor.ensure_object(ANNOTATIONS);
    editor.set(&path(&[ANNOTATIONS, &[Key(STATUS)]]), json!("injected"));
    let safe = path(&[ANNOTATIONS, &[Key(SAFE_TO_EVICT)]]);
    let listed: Vec<&str> = found
        .annotation(SAFE_TO_EVICT)
        .map(|list| list.split(',').map(str::trim).filter(|name| !name.is_empty()).collect())
        .unwrap_or_default();
    let is_listed = listed.contains(&BINARY_VOLUME);
    if injection.has_binary && !is_listed {
        let list: Vec<_> = listed.into_iter().chain([BINARY_VOLUME]).collect();
        editor.set(&safe, json!(list.join(",")));
    } else if !injection.has_binary && is_listed {
        let list: Vec<_> = listed.into_iter().filter(|name| *name != BINARY_VOLUME).collect();
        if list.is_empty() {
            editor.remove(&safe);
        } else {
            editor.set(&safe, json!(list.join(",")));
        }
    }
}
