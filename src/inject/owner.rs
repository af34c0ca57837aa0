//! As whom the agent runs, and with it who owns the files (interface: "Who owns the files").

use std::collections::BTreeMap;

use super::{
    keys::Key,
    pod::{Container, Pod},
    policy::Policy,
    problem::Problem,
    subject::Subject,
    views::View,
};
use crate::{agent::plan::FileEntry, codes::pod as codes, esc::names::FileName};

/// The agent's uid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// The pod's own, which is set and is not root; or the platform decides.
    Inherited,
    /// The operator's uid for agents, with the group of the same number.
    Agent(u32),
    /// The one uid of all receivers, so that they can read what only the owner may.
    Receivers(i64),
}

/// Decides as whom the agent runs.
pub fn decide(
    pod: &Pod<'_>,
    views: &[View<'_>],
    signals: bool,
    policy: &Policy,
) -> Result<Owner, Vec<Problem>> {
    let usual = match (pod.run_as_user, policy.agent_user) {
        (Some(uid), _) if uid != 0 => Owner::Inherited,
        (_, Some(uid)) => Owner::Agent(uid),
        (_, None) => Owner::Inherited,
    };
    // Everybody may read most files; the group may where the volume belongs to fsGroup.
    let is_narrow = |file: &FileEntry| {
        let narrow = |mode: u32| mode & 0o004 == 0 && !(pod.fs_group.is_some() && mode & 0o040 != 0);
        file.mode.is_some_and(narrow)
    };
    let mut narrow: BTreeMap<&FileName, u32> = BTreeMap::new();
    let mut readers: Vec<&Container<'_>> = Vec::new();
    for view in views {
        let mut files = view.files.iter().filter(|file| is_narrow(file)).peekable();
        if files.peek().is_some() {
            readers.extend(&view.containers);
        }
        narrow.extend(files.filter_map(|file| Some((&file.name, file.mode?))));
    }
    let mut refusals = Vec::new();
    if !narrow.is_empty() && common_uid(pod, &readers).is_none() {
        refusals.extend(narrow.iter().map(|(name, mode)| {
            let fs_group = if mode & 0o040 == 0 { "" } else { "set the pod's securityContext.fsGroup, or " };
            Problem::invalid(
                codes::MODE_OWNER,
                Subject::File { name: name.to_string(), mode: Some(*mode) },
                format!("nobody would be able to read it: {fs_group}give every receiving container the same runAsUser above 0, or drop the mode"),
            )
        }));
    }
    if signals {
        // What lives on beside the agent can be signalled; which of them it will be is not known here.
        let is_running = |container: &&Container<'_>| {
            container.is_native_sidecar || pod.containers.iter().any(|other| other.name == container.name)
        };
        let targets = views.iter().flat_map(|view| &view.containers).copied();
        readers.extend(targets.filter(is_running));
        if common_uid(pod, &readers).is_none() {
            let message = "the agent can only signal processes of its own user: give every receiving container the same runAsUser above 0";
            refusals.push(Problem::invalid(
                codes::SIGNAL_USER,
                Subject::Words("on-change: signal", Some(Key::OnChange)),
                message,
            ));
        }
    }
    if !refusals.is_empty() {
        return Err(refusals);
    }
    Ok(match common_uid(pod, &readers) {
        Some(uid) if pod.run_as_user != Some(uid) => Owner::Receivers(uid),
        Some(_) => Owner::Inherited,
        None => usual,
    })
}

/// The uid above 0 that all of them are known to run as.
fn common_uid(pod: &Pod<'_>, containers: &[&Container<'_>]) -> Option<i64> {
    let mut uids = containers.iter().map(|container| container.run_as_user.or(pod.run_as_user));
    let first = uids.next().flatten().filter(|uid| *uid != 0)?;
    uids.all(|other| other == Some(first)).then_some(first)
}
