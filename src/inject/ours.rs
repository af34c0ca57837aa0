//! What an earlier injection left in a pod, and the pod without it.
//!
//! A pod comes back to the webhook after other webhooks changed it, and people copy live pods. Everything is decided
//! on the pod as it was before us, so that deciding twice changes nothing.

use super::{
    document::Document,
    json::Json,
    names::{AGENT, BINARY, is_our_volume},
    pod::{Container, Launcher, Pod, WordList},
    problem::Warning,
    subject::Subject,
};
use crate::{
    agent::{
        plan::{self, Plan},
        wrapper::Wrapping,
    },
    codes::pod as codes,
};

/// Our container as it was found.
#[derive(Debug)]
pub struct Earlier {
    /// How many other init containers stand before it.
    pub position: usize,
    /// Who received; empty when its plan can't be read.
    pub receivers: Vec<String>,
}

/// Whether a container is the one that we inject: by its name and the plan in it.
pub fn is_agent(container: &Container<'_>) -> bool {
    container.name == AGENT && container.env.iter().any(|(name, _)| *name == plan::VARIABLE)
}

/// A warning for a pod that is left as it is and carries our container all the same: somebody copied a live pod, and
/// took back what it asked for. Its author wrote the container, so it stays.
pub fn left_behind(document: &Document<'_>) -> Option<Warning> {
    fn find<'a>(list: Option<&'a Json<'a>>, name: &str) -> Option<&'a Json<'a>> {
        list?.as_list()?.iter().find(|item| item.get("name").and_then(Json::as_str) == Some(name))
    }
    let agent = find(document.root().get("spec")?.get("initContainers"), AGENT)?;
    find(agent.get("env"), plan::VARIABLE)?;
    let message = format!(
        "the pod does not ask for injection, and still has the container {AGENT} of an earlier one: remove it and its volumes, or the pod opens the environment as before"
    );
    Some(Warning::new(codes::LEFT_BEHIND, Subject::container(AGENT), message))
}

/// The pod without what is ours, and what was found of it.
pub fn strip(mut pod: Pod<'_>) -> (Pod<'_>, Option<Earlier>) {
    let position = pod.init_containers.iter().position(is_agent);
    let earlier = position.map(|position| {
        let agent = pod.init_containers.remove(position);
        let text = agent.env.iter().find(|(name, _)| *name == plan::VARIABLE).and_then(|(_, value)| *value);
        let plan = text.and_then(|text| Plan::from_variable(text).ok());
        let receivers =
            plan.into_iter().flat_map(|plan| plan.views).flat_map(|view| view.containers).collect();
        Earlier { position, receivers }
    });
    if earlier.is_some() {
        pod.volumes.retain(|name| !is_our_volume(name));
    }
    for container in pod.init_containers.iter_mut().chain(&mut pod.containers) {
        if earlier.is_some() {
            container.mounts.retain(|mount| !is_our_volume(mount.volume));
        }
        unwrap(container);
    }
    (pod, earlier)
}

/// Takes our wrapping off a container's command. Where another webhook has put a launcher before it, in the command
/// or by moving all of it to the arguments, the launcher is remembered and the command is what the wrapping starts.
fn unwrap(container: &mut Container<'_>) {
    let command = container.command.take().unwrap_or_default();
    if let Some(wrapped) = Wrapped::find(&command) {
        let Wrapped { before, inner, supplied } = wrapped;
        container.command = (!supplied).then(|| inner.clone());
        if !before.is_empty() {
            container.launcher = Some(Launcher { list: WordList::Command, before, inner, supplied });
        }
    } else if let Some(wrapped) = Wrapped::find(&container.arguments) {
        let Wrapped { before, inner, supplied } = wrapped;
        // Where the command ends and its own arguments begin is lost; for the command line it is all the same.
        container.command = Some(inner.clone());
        container.arguments.clear();
        container.launcher = Some(Launcher { list: WordList::Arguments, before, inner, supplied });
    } else {
        container.command = Some(command).filter(|command| !command.is_empty());
    }
}

/// Our wrapping among a list of words.
struct Wrapped<'a> {
    before: Vec<&'a str>,
    inner: Vec<&'a str>,
    supplied: bool,
}

impl<'a> Wrapped<'a> {
    fn find(words: &[&'a str]) -> Option<Self> {
        let at = words.windows(2).position(|pair| pair == [BINARY, "exec"])?;
        let (before, ours) = words.split_at_checked(at)?;
        let arguments = ours.get(2..)?;
        let (wrapping, taken) = Wrapping::parse(arguments).ok()?;
        let inner = arguments.get(taken..)?;
        Some(Self { before: before.to_vec(), inner: inner.to_vec(), supplied: wrapping.supplied })
    }
}
