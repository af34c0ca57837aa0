//! What an earlier injection left in a pod, and the pod without it.
//!
//! A pod comes back to the webhook after other webhooks changed it, and people copy live pods. Everything is decided
//! on the pod as it was before us, so that deciding twice changes nothing.

use super::{
    names::{AGENT, BINARY, is_our_volume},
    pod::{Container, Pod},
};
use crate::agent::{
    plan::{self, Plan},
    wrapper::Wrapping,
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
        container.command = container.command.take().and_then(unwrap);
    }
    (pod, earlier)
}

/// The command inside our wrapping; none when the wrapping was made for a container that stated no command.
fn unwrap(command: Vec<&str>) -> Option<Vec<&str>> {
    if command.first() != Some(&BINARY) || command.get(1) != Some(&"exec") {
        return Some(command);
    }
    let arguments: Vec<String> = command.iter().skip(2).map(|&word| word.to_owned()).collect();
    match Wrapping::parse(&arguments) {
        Ok((wrapping, _)) if wrapping.supplied => None,
        Ok((_, taken)) => Some(command.into_iter().skip(2 + taken).collect()),
        Err(_) => Some(command),
    }
}
