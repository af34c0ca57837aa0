//! Request and pod together: who receives what and as whom the agent runs, or everything that stands in the way.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    mounts,
    names::{self, BINARY, ENV_DIR},
    ours::Earlier,
    owner::{self, Owner},
    pod::{Container, Pod},
    policy::Policy,
    problem::Problem,
    receivers::{self, Placement},
    references::{self, Delivered},
    request::Request,
};
use crate::{
    agent::{plan::OnFailure, wrapper::Wrapping},
    codes::pod as codes,
};

/// The only view that there is as long as entries can't name containers.
pub const VIEW: usize = 0;

/// What was found out.
#[derive(Debug)]
pub struct Fit<'a> {
    /// What the injection looks like; means something only if there is no problem.
    pub shape: Shape<'a>,
    /// What stands in the way.
    pub problems: Vec<Problem>,
    /// Legal but worrying things.
    pub warnings: Vec<String>,
}

/// What the injection looks like, whatever it gets its values from.
#[derive(Debug)]
pub struct Shape<'a> {
    /// Who receives, and where the agent stands.
    pub placement: Placement<'a>,
    /// As whom the agent runs.
    pub owner: Owner,
    /// What each receiver gets.
    pub receivers: Vec<Receiver>,
    /// Whether there may be files.
    pub has_files: bool,
    /// Whether a command is wrapped, which takes the binary and variables.
    pub has_binary: bool,
}

/// What one container gets.
#[derive(Debug)]
pub struct Receiver {
    /// Its name.
    pub name: String,
    /// Its further mounts.
    pub mounts: Vec<Value>,
    /// Its wrapped command, where it gets variables.
    pub command: Option<Vec<String>>,
}

/// Fits the request to the pod (which is given without what is ours).
pub fn fit<'a>(pod: &'a Pod<'a>, request: &Request, policy: &Policy, earlier: Option<&Earlier>) -> Fit<'a> {
    let (placement, mut problems, mut warnings) = receivers::place(pod, request, policy, earlier);
    problems.extend(taken_names(pod));
    let owner = owner::decide(pod, &placement.receivers, request, policy)
        .map_err(|refusals| problems.extend(refusals))
        .unwrap_or(Owner::Inherited);
    let has_files = !request.files.is_empty() || request.projections.files();
    let mut receivers = Vec::new();
    for container in &placement.receivers {
        let command = wrapped_command(container, request, &mut problems, &mut warnings);
        let planned = mounts::of_receiver(request, has_files, command.is_some(), VIEW);
        problems.extend(mounts::conflicts(container, &planned));
        receivers.push(Receiver {
            name: container.name.to_owned(),
            mounts: planned.iter().map(mounts::Planned::to_json).collect(),
            command,
        });
    }
    let has_binary = receivers.iter().any(|receiver| receiver.command.is_some());
    if pod.never_restarts && request.on_failure == OnFailure::Block {
        warnings.push(format!(
            "[{}] restartPolicy is Never: if ESC can't be reached within the timeout, the pod fails for good",
            codes::NEVER_RESTARTS
        ));
    }
    Fit { shape: Shape { placement, owner, receivers, has_files, has_binary }, problems, warnings }
}

/// Names of ours that something else in the pod has.
fn taken_names(pod: &Pod<'_>) -> Vec<Problem> {
    let containers =
        pod.all_containers().map(|container| container.name).filter(|name| *name == names::AGENT);
    let containers = containers.map(|name| format!("container {name}"));
    let volumes =
        pod.volumes.iter().filter(|name| names::is_our_volume(name)).map(|name| format!("volume {name}"));
    containers
        .chain(volumes)
        .map(|subject| {
            Problem::invalid(
                codes::NAME_TAKEN,
                subject,
                "is the pod's own, and the name is the injector's; rename it",
            )
        })
        .collect()
}

/// The command that starts the container's own through the wrapper; none where no variables are delivered to it.
fn wrapped_command(
    container: &Container<'_>,
    request: &Request,
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<String>,
) -> Option<Vec<String>> {
    let needs_variables = !request.variables.is_empty() || request.projections.env();
    if !needs_variables && !request.projections.files() {
        return None;
    }
    let name = container.name;
    let own: BTreeSet<&str> = container.env.iter().map(|(name, _)| *name).collect();
    for entry in &request.variables {
        if own.contains(entry.name.as_str()) {
            let message = format!(
                "container `{name}` sets it in its own env; remove one of the two, or leave the container out with esc.pulumi.com/containers"
            );
            problems.push(Problem::invalid(
                codes::VARIABLE_TAKEN,
                format!("variable {}", entry.name),
                message,
            ));
        }
    }
    let supplied = request.commands.get(name);
    let command: Vec<&str> = match (&container.command, supplied) {
        (Some(command), _) => command.clone(),
        (None, Some(command)) => command.iter().map(String::as_str).collect(),
        (None, None) if needs_variables => {
            problems.push(Problem::invalid(
                codes::NO_COMMAND,
                format!("container {name}"),
                format!(
                    "variables need a command, and its command is only known from the image; add esc.pulumi.com/command.{name}: '[\"/path/to/program\"]', or a `command` in the container"
                ),
            ));
            return None;
        }
        // The files of a projection arrive all the same; only the variables with their paths need a wrapper.
        (None, None) => return None,
    };
    let projects = request.projections.env() || request.projections.files();
    let delivered = Delivered {
        named: request.variables.iter().map(|entry| entry.name.as_str()).collect(),
        any_other: projects,
    };
    let expansions = references::expansions(container, &command, &delivered);
    if expansions.shows_on_command_line {
        warnings.push(format!(
            "[{}] container {name}: its command line refers to a delivered variable, whose value shows in ps",
            codes::ON_COMMAND_LINE
        ));
    }
    let wrapping = Wrapping {
        env_dir: ENV_DIR.to_owned(),
        supplied: container.command.is_none()
            || container.launcher.as_ref().is_some_and(|launcher| launcher.supplied),
        own: own.into_iter().filter(|_| projects).map(str::to_owned).collect(),
        variables: expansions.variables,
        arguments: expansions.arguments,
    };
    let mut wrapped = vec![BINARY.to_owned(), "exec".to_owned()];
    wrapped.extend(wrapping.to_arguments());
    wrapped.extend(command.into_iter().map(str::to_owned));
    Some(wrapped)
}
