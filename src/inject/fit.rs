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
    receivers,
    references::{self, Delivered},
    request::Request,
    views::{self, View},
};
use crate::{
    agent::{
        plan::{OnChange, OnFailure},
        wrapper::Wrapping,
    },
    codes::pod as codes,
};

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
    /// How many of the pod's own init containers start before the agent.
    pub position: usize,
    /// As whom the agent runs.
    pub owner: Owner,
    /// Who gets what; a view's place is its number.
    pub views: Vec<Fitted<'a>>,
    /// What each receiver gets.
    pub receivers: Vec<Receiver>,
}

/// A view and how its variables are read.
#[derive(Debug)]
pub struct Fitted<'a> {
    /// The view.
    pub view: View<'a>,
    /// Whether a command of it is wrapped, which takes the binary and variables.
    pub wrapper: bool,
}

impl Shape<'_> {
    /// Whether a command is wrapped, which takes the binary.
    pub fn has_binary(&self) -> bool {
        self.views.iter().any(|fitted| fitted.wrapper)
    }
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
    let views = views::group(&placement.receivers, request);
    let on_change = request.refresh.as_ref().map(|refresh| &refresh.on_change);
    let signals = matches!(on_change, Some(OnChange::Signal { .. }));
    let owner = owner::decide(pod, &views, signals, policy)
        .map_err(|refusals| problems.extend(refusals))
        .unwrap_or(Owner::Inherited);
    let mut receivers = Vec::new();
    let mut fitted = Vec::new();
    for (number, view) in views.into_iter().enumerate() {
        let mut wrapper = false;
        for container in &view.containers {
            let command = wrapped_command(container, &view, request, &mut problems, &mut warnings);
            let planned =
                mounts::of_receiver(&request.mount_path, view.has_files(), command.is_some(), number);
            problems.extend(mounts::conflicts(container, &planned));
            wrapper |= command.is_some();
            receivers.push(Receiver {
                name: container.name.to_owned(),
                mounts: planned.iter().map(mounts::Planned::to_json).collect(),
                command,
            });
        }
        fitted.push(Fitted { view, wrapper });
    }
    if request.refresh.is_none() && pod.never_restarts && request.on_failure == OnFailure::Block {
        warnings.push(format!(
            "[{}] restartPolicy is Never: if ESC can't be reached within the timeout, the pod fails for good",
            codes::NEVER_RESTARTS
        ));
    }
    warnings.extend(refresh_warnings(pod, request));
    let shape = Shape { position: placement.position, owner, views: fitted, receivers };
    Fit { shape, problems, warnings }
}

/// What is worrying about keeping values fresh in this pod.
fn refresh_warnings(pod: &Pod<'_>, request: &Request) -> Vec<String> {
    let mut warnings = Vec::new();
    if request.shares_processes {
        warnings.push(format!(
            "[{}] the pod's containers see each other's processes, and those of the same user their variables and memory too",
            codes::SHARED_PROCESSES
        ));
    }
    let Some(refresh) = &request.refresh else { return warnings };
    let restarts = matches!(refresh.on_change, OnChange::Restart { .. });
    let again: Vec<&str> = pod
        .init_containers
        .iter()
        .filter(|container| !container.is_native_sidecar)
        .map(|container| container.name)
        .collect();
    if restarts && !again.is_empty() {
        warnings.push(format!(
            "[{}] on-change: restart runs the init containers again each time: {}",
            codes::INIT_AGAIN,
            again.join(", ")
        ));
    }
    if !restarts && request.files.is_empty() && !request.projections.files() {
        warnings.push(format!(
            "[{}] nothing but variables is delivered, and a running process keeps its own: only a restart brings refreshed ones",
            codes::REFRESH_UNSEEN
        ));
    }
    warnings
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
    view: &View<'_>,
    request: &Request,
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<String>,
) -> Option<Vec<String>> {
    let needs_variables = view.needs_variables();
    if !needs_variables && !view.projections.files() {
        return None;
    }
    let name = container.name;
    let own: BTreeSet<&str> = container.env.iter().map(|(name, _)| *name).collect();
    for entry in &view.variables {
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
    let projects = view.projections.env() || view.projections.files();
    let delivered = Delivered {
        named: view.variables.iter().map(|entry| entry.name.as_str()).collect(),
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
