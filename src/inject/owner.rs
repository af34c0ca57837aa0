//! As whom the agent runs, and with it who owns the files (interface: "Who owns the files").

use super::{
    pod::{Container, Pod},
    policy::Policy,
    problem::Problem,
    request::Request,
};
use crate::codes::pod as codes;

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
    receivers: &[&Container<'_>],
    request: &Request,
    policy: &Policy,
) -> Result<Owner, Vec<Problem>> {
    let usual = match (pod.run_as_user, policy.agent_user) {
        (Some(uid), _) if uid != 0 => Owner::Inherited,
        (_, Some(uid)) => Owner::Agent(uid),
        (_, None) => Owner::Inherited,
    };
    // Everybody may read most files; the group may where the volume belongs to fsGroup.
    let narrow: Vec<_> = request
        .files
        .iter()
        .filter_map(|file| file.mode.map(|mode| (&file.name, mode)))
        .filter(|(_, mode)| mode & 0o004 == 0 && !(pod.fs_group.is_some() && mode & 0o040 != 0))
        .collect();
    // Without receivers something else is wrong, and said.
    if narrow.is_empty() || receivers.is_empty() {
        return Ok(usual);
    }
    let mut uids = receivers.iter().map(|container| container.run_as_user.or(pod.run_as_user));
    let first = uids.next().flatten().filter(|uid| *uid != 0);
    match first {
        Some(uid) if uids.all(|other| other == Some(uid)) => {
            Ok(if pod.run_as_user == Some(uid) { Owner::Inherited } else { Owner::Receivers(uid) })
        }
        _ => Err(narrow
            .into_iter()
            .map(|(name, mode)| {
                let fs_group = if mode & 0o040 == 0 { "" } else { "set the pod's securityContext.fsGroup, or " };
                Problem::invalid(
                    codes::MODE_OWNER,
                    format!("file {name}, mode {mode:04o}"),
                    format!("nobody would be able to read it: {fs_group}give every receiving container the same runAsUser above 0, or drop the mode"),
                )
            })
            .collect()),
    }
}
