//! The signal: to one process of our own user, found anew each time.

use std::path::Path;

use rustix::{
    io::Errno,
    process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal},
};

use super::{
    super::{
        failure::{Failure, Kind},
        sidecar::pace::Telling,
        signal::SignalName,
    },
    process::{self, NoTarget, Own, Process},
};
use crate::codes::refresh as codes;

const PROC: &str = "/proc";

/// Attempts to find the process: it may be about to start.
const ATTEMPTS: u32 = 3;

/// Sends the signal; gives what the process calls itself, and its id.
pub async fn send(
    signal: SignalName,
    wanted: Option<&str>,
    telling: &Telling,
) -> Result<(String, i32), Failure> {
    let mut pause = telling.again;
    let mut attempt = 1;
    loop {
        match try_send(signal, wanted) {
            // What is unclear may clear up too: a shell ends, a program's second half starts.
            Err(error) if attempt < ATTEMPTS && error.code != codes::NOT_SHARED => {
                tracing::debug!(attempt, "{error}; trying again");
                tokio::time::sleep(pause).await;
                attempt += 1;
                pause *= 2;
            }
            result => return result,
        }
    }
}

fn try_send(signal: SignalName, wanted: Option<&str>) -> Result<(String, i32), Failure> {
    let action = || match wanted {
        Some(name) => format!("sending {signal} to {name}"),
        None => format!("sending {signal} to the container's main process"),
    };
    let own = Own {
        pid: rustix::process::getpid().as_raw_nonzero().get(),
        uid: rustix::process::geteuid().as_raw(),
    };
    let processes = process::list(Path::new(PROC)).map_err(|error| {
        Failure::new(codes::SIGNAL_FAILED, Kind::Temporary, format!("{}: reading {PROC}: {error}", action()))
    })?;
    let target = process::choose(&processes, own, wanted).map_err(|error| {
        let code = match error {
            NoTarget::NotShared | NoTarget::Node => codes::NOT_SHARED,
            NoTarget::Unknown { .. } | NoTarget::Alone | NoTarget::OtherUser { .. } => codes::NO_TARGET,
            NoTarget::Several { .. } => codes::UNCLEAR_TARGET,
        };
        Failure::new(code, Kind::Configuration, format!("{}: {error}", action()))
    })?;
    deliver(target, signal.into()).map_err(|errno| {
        let why = std::io::Error::from(errno);
        Failure::new(codes::SIGNAL_FAILED, Kind::Temporary, format!("{}: {why}", action()))
    })?;
    Ok((target.name.clone(), target.pid))
}

/// Through a handle, so that no other process that got the same id meanwhile is hit.
fn deliver(target: &Process, signal: Signal) -> Result<(), Errno> {
    let pid = Pid::from_raw(target.pid).ok_or(Errno::SRCH)?;
    let handle = match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(handle) => Some(handle),
        // Sandboxes without handles.
        Err(Errno::NOSYS) => None,
        Err(errno) => return Err(errno),
    };
    let directory = Path::new(PROC).join(target.pid.to_string());
    let same = process::read(&directory, target.pid)
        .is_some_and(|now| (now.started, now.uid) == (target.started, target.uid));
    if !same {
        return Err(Errno::SRCH);
    }
    match handle {
        Some(handle) => pidfd_send_signal(handle, signal),
        None => kill_process(pid, signal),
    }
}
