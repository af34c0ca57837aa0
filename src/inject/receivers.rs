//! Where the agent stands among the init containers, and which containers receive.

use std::collections::BTreeSet;

use super::{
    keys::{self, Key},
    ours::Earlier,
    pod::{Container, Pod},
    policy::Policy,
    problem::{Problem, Warning},
    request::Request,
    subject::Subject,
};
use crate::{codes::pod as codes, prose::some};

/// Who receives, and where the agent stands.
#[derive(Debug)]
pub struct Placement<'a> {
    /// How many of the pod's init containers start before the agent.
    pub position: usize,
    /// Containers that receive, in the order in which they start.
    pub receivers: Vec<Receiving<'a>>,
}

/// A container that receives.
#[derive(Debug, Clone, Copy)]
pub struct Receiving<'a> {
    /// The container.
    pub container: &'a Container<'a>,
    /// Whether it gets what is for all receivers, or only what names it.
    pub of_everything: bool,
}

/// Decides both, together with what is wrong and what is worrying.
pub fn place<'a>(
    pod: &'a Pod<'a>,
    request: &Request,
    policy: &Policy,
    earlier: Option<&Earlier>,
) -> (Placement<'a>, Vec<Problem>, Vec<Warning>) {
    let position = position(pod, request, policy, earlier);
    let too_early: Vec<&str> =
        pod.init_containers.iter().take(position).map(|container| container.name).collect();
    let candidates = pod.init_containers.iter().skip(position).chain(&pod.containers);
    let excluded = |name: &str| policy.excluded_containers.iter().any(|known| known == name);
    let mut problems = Vec::new();
    let mut warnings = Vec::new();
    let mut check = |subject: &Subject, names: &[String]| {
        for name in names {
            if too_early.contains(&name.as_str()) {
                let message =
                    format!("init container `{name}` starts before the agent, when nothing is there yet");
                problems.push(Problem::invalid(codes::STARTS_BEFORE, subject.clone(), message));
            } else if !pod.all_containers().any(|container| container.name == name) {
                problems.push(unknown(pod, subject.clone(), name));
            }
        }
    };
    if let Some(names) = &request.containers {
        check(&Subject::key(Key::Containers), names);
    }
    let mut named: BTreeSet<&str> = BTreeSet::new();
    for (subject, names) in request.named_containers() {
        check(&Subject::Receivers(Box::new(subject)), names);
        named.extend(names.iter().map(String::as_str));
    }
    let known = earlier.map(|earlier| earlier.receivers.as_slice()).filter(|names| !names.is_empty());
    let of_everything = |name: &str| match &request.containers {
        Some(names) => names.iter().any(|listed| listed == name),
        None => !excluded(name) && known.is_none_or(|names| names.iter().any(|known| known == name)),
    };
    let receivers: Vec<_> = candidates
        .map(|container| Receiving { container, of_everything: of_everything(container.name) })
        .filter(|receiving| receiving.of_everything || named.contains(receiving.container.name))
        .collect();
    if request.containers.is_none() && request.init_first {
        for name in too_early
            .iter()
            .filter(|name| !excluded(name) && !policy.start_after.iter().any(|first| first == *name))
        {
            let message = format!(
                "init container {name} starts before the mesh sidecar, so before the agent, and receives nothing"
            );
            warnings.push(Warning::new(codes::RECEIVES_NOTHING, Subject::container(name), message));
        }
    }
    for name in request.commands.keys() {
        if !pod.all_containers().any(|container| container.name == name) {
            problems.push(unknown(pod, Subject::own(format!("command.{name}")), name));
        }
    }
    let is_readable = request.containers.as_ref().is_none_or(|names| !names.is_empty());
    if receivers.is_empty() && problems.is_empty() && is_readable {
        let message = "every container is excluded or starts before the agent; name the receivers";
        problems.push(Problem::invalid(codes::NO_RECEIVER, Subject::key(Key::Containers), message));
    }
    (Placement { position, receivers }, problems, warnings)
}

fn position(pod: &Pod<'_>, request: &Request, policy: &Policy, earlier: Option<&Earlier>) -> usize {
    if !request.init_first {
        return pod.init_containers.len();
    }
    let must_precede = |container: &Container<'_>| {
        container.is_native_sidecar && policy.start_after.iter().any(|name| name == container.name)
    };
    let first = pod.init_containers.iter().rposition(must_precede).map_or(0, |last| last + 1);
    // Another webhook may have put a container of its own before ours: it stays there, unless one of ours would wait.
    match earlier {
        Some(earlier) if earlier.position >= first => {
            let in_time = pod
                .init_containers
                .iter()
                .take(earlier.position)
                .all(|container| !earlier.receivers.iter().any(|name| name == container.name));
            if in_time { earlier.position } else { first }
        }
        _ => first,
    }
}

/// Most names of containers that a refusal lists.
const SHOWN: usize = 20;

fn unknown(pod: &Pod<'_>, subject: Subject, name: &str) -> Problem {
    let names: Vec<&str> = pod.all_containers().map(|container| container.name).collect();
    let hint = keys::nearest(name, names.iter().copied()).map_or_else(
        || format!("the pod has {}", some(&names, SHOWN)),
        |near| format!("did you mean `{near}`?"),
    );
    Problem::invalid(codes::UNKNOWN_CONTAINER, subject, format!("the pod has no container `{name}`; {hint}"))
}
