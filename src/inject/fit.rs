//! Request and pod together: who receives what and as whom the agent runs, or everything that stands in the way.

use super::{
    Context,
    env::{self, Way},
    json::Json,
    keys::Key,
    mounts, names,
    ours::Earlier,
    owner::{self, Owner},
    pod::Pod,
    problem::{Problem, Warning},
    receivers,
    request::Request,
    subject::Subject,
    views::{self, View},
};
use crate::{
    agent::plan::{OnChange, OnFailure},
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
    pub warnings: Vec<Warning>,
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
    /// Whether kubelet reads variables of it.
    pub kubelet: bool,
}

impl Fitted<'_> {
    /// Whether its variables are written for anybody.
    pub fn has_variables(&self) -> bool {
        self.wrapper || self.kubelet
    }
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
    pub mounts: Vec<Json<'static>>,
    /// Its wrapped command, where the wrapper sets its variables.
    pub command: Option<Vec<String>>,
    /// Its further variables, where kubelet sets them.
    pub variables: Vec<Json<'static>>,
}

/// Fits the request to the pod (which is given without what is ours).
pub fn fit<'a>(
    pod: &'a Pod<'a>,
    request: &Request,
    context: &Context<'_>,
    earlier: Option<&Earlier>,
) -> Fit<'a> {
    let policy = context.policy;
    let (placement, mut problems, mut warnings) = receivers::place(pod, request, policy, earlier);
    problems.extend(taken_names(pod));
    problems.extend(taken_port(pod, request));
    let views = views::group(&placement.receivers, request);
    let on_change = request.refresh.as_ref().map(|refresh| &refresh.on_change);
    let signals = matches!(on_change, Some(OnChange::Signal { .. }));
    let owner = owner::decide(pod, &views, signals, policy)
        .map_err(|refusals| problems.extend(refusals))
        .unwrap_or(Owner::Inherited);
    let mut receivers = Vec::new();
    let mut fitted = Vec::new();
    for (number, view) in views.into_iter().enumerate() {
        let (mut wrapper, mut kubelet) = (false, false);
        let asked = env::Asked { view: &view, number, request, releases: context.releases() };
        for container in &view.containers {
            let way = asked.way(container, &mut problems, &mut warnings);
            let (command, variables) = match way {
                Way::None => (None, Vec::new()),
                Way::Wrapper(command) => (Some(command), Vec::new()),
                Way::Kubelet(variables) => (None, variables),
            };
            let planned =
                mounts::of_receiver(&request.mount_path, view.has_files(), command.is_some(), number);
            problems.extend(mounts::conflicts(container, &planned));
            wrapper |= command.is_some();
            kubelet |= !variables.is_empty();
            receivers.push(Receiver {
                name: container.name.to_owned(),
                mounts: planned.into_iter().map(mounts::Planned::into_json).collect(),
                command,
                variables,
            });
        }
        fitted.push(Fitted { view, wrapper, kubelet });
    }
    if request.refresh.is_none() && pod.never_restarts && request.on_failure == OnFailure::Block {
        warnings.push(Warning::new(
            codes::NEVER_RESTARTS,
            Subject::Field("spec.restartPolicy".to_owned()),
            "restartPolicy is Never: if ESC can't be reached within the timeout, the pod fails for good",
        ));
    }
    warnings.extend(refresh_warnings(pod, request));
    let shape = Shape { position: placement.position, owner, views: fitted, receivers };
    Fit { shape, problems, warnings }
}

/// What is worrying about keeping values fresh in this pod.
fn refresh_warnings(pod: &Pod<'_>, request: &Request) -> Vec<Warning> {
    let mut warnings = Vec::new();
    if request.shares_processes {
        warnings.push(Warning::new(
            codes::SHARED_PROCESSES,
            Subject::key(Key::ShareProcessNamespace),
            "the pod's containers see each other's processes, and those of the same user their variables and memory too",
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
        let message =
            format!("on-change: restart runs the init containers again each time: {}", again.join(", "));
        warnings.push(Warning::new(codes::INIT_AGAIN, Subject::key(Key::OnChange), message));
    }
    if !restarts && request.files.is_empty() && !request.projections.files() {
        warnings.push(Warning::new(
            codes::REFRESH_UNSEEN,
            Subject::key(Key::Refresh),
            "nothing but variables is delivered, and a running process keeps its own: only a restart brings refreshed ones",
        ));
    }
    warnings
}

/// Names of ours that something else in the pod has.
fn taken_names(pod: &Pod<'_>) -> Vec<Problem> {
    let containers =
        pod.all_containers().map(|container| container.name).filter(|name| *name == names::AGENT);
    let containers = containers.map(Subject::container);
    let volumes = pod
        .volumes
        .iter()
        .filter(|name| names::is_our_volume(name))
        .map(|name| Subject::Volume((*name).to_owned()));
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

/// The port for metrics, where a container of the pod says that it listens there: all of them share one network.
fn taken_port(pod: &Pod<'_>, request: &Request) -> Option<Problem> {
    let port = request.refresh.as_ref()?.metrics_port?;
    let container = pod.all_containers().find(|container| container.ports.contains(&i64::from(port)))?;
    let message = format!("{port} is a port of container `{}`; choose a free one", container.name);
    Some(Problem::invalid(codes::PORT_TAKEN, Subject::key(Key::MetricsPort), message))
}
