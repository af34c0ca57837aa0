//! [`Injection`] ▶ patch: brings the pod, whatever an earlier injection and others left in it, to what is planned.
//!
//! Ours are the agent's name, arguments, variables and mounts, what makes it a native sidecar or not, our volumes, our
//! mounts in receivers and the wrapped commands: they are repaired. What others did to our container (image mirror,
//! pull policy, resources, security context, further variables and mounts) stays.

use std::collections::BTreeSet;

use super::{
    document::Document,
    fit::Receiver,
    json::{Json, Members},
    names::{AGENT, BINARY, BINARY_VOLUME, SAFE_TO_EVICT, STATUS, is_our_volume},
    ours::{self, Earlier},
    patch::{Editor, Patch, Step, Step::Index, Step::Key},
    plan::Injection,
    pod::{Container, Pod},
    quantity::Quantity,
    rehearsal::{self, Unappliable},
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
        editor.set(&[SPEC, SHARE_PROCESSES], true.into());
    }
    annotations(&mut editor, found, injection);
    editor.into_patch()
}

/// Tries a patch on as much of the pod as patches touch.
pub fn rehearse(document: &Document<'_>, patch: &Patch) -> Result<(), Unappliable> {
    let touches_variables = patch.0.iter().any(|operation| operation.path().as_str().contains("/env"));
    rehearsal::apply(&mut skeleton(document, touches_variables), patch)
}

/// The pod without what is not written here.
fn skeleton<'a>(document: &Document<'a>, with_variables: bool) -> Json<'a> {
    let root = document.root();
    let mut spec = Members::default();
    if let Some(members) = root.get("spec").and_then(Json::as_object) {
        for (key, value) in members.iter() {
            match key {
                "containers" | "initContainers" => {
                    spec.push(key.to_owned(), containers(value, with_variables));
                }
                "volumes" | "shareProcessNamespace" => spec.push(key.to_owned(), value.clone()),
                _ => {}
            }
        }
    }
    let mut pod = Members::default();
    match root.get("metadata") {
        Some(Json::Object(metadata)) => {
            let annotations = metadata.get("annotations").map(|found| ("annotations", found.clone()));
            pod.push("metadata", annotations.into_iter().collect());
        }
        Some(odd) => pod.push("metadata", odd.clone()),
        None => {}
    }
    pod.push("spec", spec.into());
    pod.into()
}

fn containers<'a>(list: &Json<'a>, with_variables: bool) -> Json<'a> {
    let is_written = |key: &str| {
        matches!(key, "name" | "command" | "args" | "volumeMounts") || (with_variables && key == "env")
    };
    let container = |container: &Json<'a>| match container {
        Json::Object(members) if member(container, "name") != Some(AGENT) => {
            let written = members.iter().filter(|(key, _)| is_written(key));
            written.map(|(key, value)| (key.to_owned(), value.clone())).collect()
        }
        whole => whole.clone(),
    };
    match list {
        Json::List(items) => items.iter().map(container).collect(),
        odd => odd.clone(),
    }
}

/// Position of the element of a list whose `key` is `value`.
fn index_of(editor: &Editor<'_>, list: &[Step<'_>], key: &str, value: &str) -> Option<usize> {
    elements(editor, list).iter().position(|item| member(item, key) == Some(value))
}

fn path<'a>(parts: &[&[Step<'a>]]) -> Vec<Step<'a>> {
    parts.concat()
}

fn volumes(editor: &mut Editor<'_>, found: &Pod<'_>, injection: &Injection) {
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
fn covers(present: &Json<'_>, wanted: &Json<'_>) -> bool {
    match (present, wanted) {
        (Json::Object(present), Json::Object(wanted)) => wanted.iter().all(|(key, wanted)| {
            present.get(key).is_some_and(|present| {
                covers(present, wanted) || (key == "sizeLimit" && is_same_size(present, wanted))
            })
        }),
        (Json::List(present), Json::List(wanted)) => {
            present.len() == wanted.len()
                && present.iter().zip(wanted).all(|(present, wanted)| covers(present, wanted))
        }
        _ => present == wanted,
    }
}

/// The API server writes quantities its own way: 1024Mi comes back as 1Gi.
fn is_same_size(present: &Json<'_>, wanted: &Json<'_>) -> bool {
    let milli = |value: &Json<'_>| value.as_str()?.parse::<Quantity>().ok().map(|quantity| quantity.milli());
    milli(present).is_some_and(|size| milli(wanted) == Some(size))
}

fn agent(editor: &mut Editor<'_>, earlier: Option<&Earlier>, injection: &Injection) {
    match earlier {
        None => editor.insert(INIT_CONTAINERS, injection.position, new_agent(injection)),
        Some(earlier) if earlier.position == injection.position => {}
        Some(earlier) => {
            let at = path(&[INIT_CONTAINERS, &[Index(earlier.position)]]);
            let Some(container) = editor.get(&at).cloned().map(Json::into_owned) else { return };
            editor.remove(&at);
            editor.insert(INIT_CONTAINERS, injection.position, container);
        }
    }
    if earlier.is_none() {
        return;
    }
    let at = path(&[INIT_CONTAINERS, &[Index(injection.position)]]);
    editor.set(&path(&[&at, &[Key("args")]]), words(&injection.arguments));
    for key in LIFECYCLE {
        let field = path(&[&at, &[Key(key)]]);
        match injection.lifecycle.get(key) {
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
        let entry = variable(name, value);
        match index_of(editor, &env, "name", name) {
            Some(index) => editor.set(&path(&[&env, &[Index(index)]]), entry),
            None => editor.push(&env, entry),
        }
    }
    mounts(editor, &at, &injection.mounts);
}

/// Brings our port of the agent to what is planned.
fn port(editor: &mut Editor<'_>, agent: &[Step<'_>], planned: Option<&Json<'static>>) {
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

fn new_agent(injection: &Injection) -> Json<'static> {
    let mut container = Members::default();
    container.push("name", AGENT.into());
    let mut initial = injection.initial.clone();
    if let Some(image) = initial.remove("image") {
        container.push("image", image);
    }
    container.push("args", words(&injection.arguments));
    container.push("env", injection.env.iter().map(|(name, value)| variable(name, value)).collect());
    container.extend(injection.lifecycle.clone());
    if let Some(port) = &injection.port {
        container.push("ports", [port.clone()].into());
    }
    container.extend(initial);
    container.push("volumeMounts", Json::List(injection.mounts.clone()));
    container.into()
}

fn variable(name: &str, value: &str) -> Json<'static> {
    Json::object([("name", name.to_owned().into()), ("value", value.to_owned().into())])
}

/// Brings our mounts of a container to what is planned; other mounts stay where they are.
fn mounts(editor: &mut Editor<'_>, container: &[Step<'_>], planned: &[Json<'static>]) {
    let list = path(&[container, &[Key("volumeMounts")]]);
    let in_the_way = |mount: &Json<'_>| {
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
fn variables(editor: &mut Editor<'_>, container: &[Step<'_>], planned: &[Json<'static>]) {
    let list = path(&[container, &[Key("env")]]);
    let key = |entry: &Json<'_>| -> Option<(String, String, bool)> {
        let reference = entry.get("valueFrom")?.get("fileKeyRef")?;
        // The API server writes down what is the default.
        let is_optional = reference.get("optional").and_then(Json::as_bool) == Some(true);
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
fn is_our_variable(entry: &Json<'_>) -> bool {
    let reference = entry.get("valueFrom").and_then(|source| source.get("fileKeyRef"));
    reference.and_then(|reference| member(reference, "volumeName")).is_some_and(is_our_volume)
}

/// A member that is text.
fn member<'o>(object: &'o Json<'_>, key: &str) -> Option<&'o str> {
    object.get(key).and_then(Json::as_str)
}

/// The elements of a list; none where there is no list.
fn elements<'e, 'a>(editor: &'e Editor<'a>, list: &[Step<'_>]) -> &'e [Json<'a>] {
    editor.get(list).and_then(Json::as_list).unwrap_or_default()
}

fn words(words: impl IntoIterator<Item = impl Into<String>>) -> Json<'static> {
    words.into_iter().map(|word| Json::from(word.into())).collect()
}

fn container(
    editor: &mut Editor<'_>,
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
        let all = words(before.chain(started));
        editor.set(&path(&[at, &[Key(launcher.list.field())]]), all);
        return;
    }
    let command = path(&[at, &[Key("command")]]);
    match wrapped {
        Some(wrapped) => editor.set(&command, words(wrapped)),
        // Undoes an earlier wrapping; a command that never was wrapped is left alone by the comparison in `set`.
        None => match plain.and_then(|plain| plain.command.as_ref()) {
            Some(own) => editor.set(&command, words(own.iter().copied())),
            None if elements(editor, &command).first().and_then(Json::as_str) == Some(BINARY) => {
                editor.remove(&command);
            }
            None => {}
        },
    }
}

fn annotations(editor: &mut Editor<'_>, found: &Pod<'_>, injection: &Injection) {
    editor.ensure_object(&[Key("metadata")]);
    editor.ensure_object(ANNOTATIONS);
    editor.set(&path(&[ANNOTATIONS, &[Key(STATUS)]]), "injected".into());
    let safe = path(&[ANNOTATIONS, &[Key(SAFE_TO_EVICT)]]);
    let listed: Vec<&str> = found
        .annotation(SAFE_TO_EVICT)
        .map(|list| list.split(',').map(str::trim).filter(|name| !name.is_empty()).collect())
        .unwrap_or_default();
    let is_listed = listed.contains(&BINARY_VOLUME);
    if injection.has_binary && !is_listed {
        let list: Vec<_> = listed.into_iter().chain([BINARY_VOLUME]).collect();
        editor.set(&safe, list.join(",").into());
    } else if !injection.has_binary && is_listed {
        let list: Vec<_> = listed.into_iter().filter(|name| *name != BINARY_VOLUME).collect();
        if list.is_empty() {
            editor.remove(&safe);
        } else {
            editor.set(&safe, list.join(",").into());
        }
    }
}
