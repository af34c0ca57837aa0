//! Keeping values fresh: what was said of it, and whether the pod and the operator allow it.

use std::time::Duration;

use super::{
    Context, keys::Key, layer::RefreshSettings, pod::Pod, problem::Problem, subject::Subject, values,
    version::Version,
};
use crate::{agent::plan::OnChange, codes::annotations as codes};

/// Longest random delay of a restart unless the pod says otherwise.
const DEFAULT_SPREAD: Duration = Duration::from_secs(300);

/// The first release that restarts all containers of a pod for a sidecar's exit code. Older ones refuse the rule, or
/// drop it in silence.
const RESTARTS_ALL: Version = Version::new(1, 36);

/// How values are kept fresh.
#[derive(Debug, Clone)]
pub struct Refresh {
    /// Time between fetches.
    pub interval: Duration,
    /// What to do once a changed set is visible.
    pub on_change: OnChange,
    /// Longest random delay of a restart.
    pub restart_spread: Duration,
    /// Where the agent serves metrics.
    pub metrics_port: Option<u16>,
}

/// Judges all that was said; `own` is the pod's part of it. Defaults that mean nothing for this pod are for others.
pub fn judge(
    said: RefreshSettings,
    own: &RefreshSettings,
    pod: &Pod<'_>,
    context: &Context<'_>,
    problems: &mut Vec<Problem>,
) -> Option<Refresh> {
    let policy = context.policy;
    let mut refuse = |key: Key, message: &str| {
        problems.push(Problem::invalid(codes::CONTRADICTION, Subject::key(key), message));
    };
    if said.shares_processes() && pod.has_host_pid {
        refuse(
            Key::ShareProcessNamespace,
            "the pod shares the node's processes (hostPID), which excludes it",
        );
    }
    let shares_processes = said.shares_processes() || pod.shares_processes;
    let Some(interval) = said.interval else {
        for (key, is_said) in [
            (Key::OnChange, own.on_change.as_ref().is_some_and(|on_change| *on_change != OnChange::None)),
            (Key::RestartSpread, own.restart_spread.is_some()),
            (Key::MetricsPort, own.metrics_port.is_some()),
        ] {
            if is_said {
                refuse(key, "means nothing without esc.pulumi.com/refresh; add that, or remove this");
            }
        }
        return None;
    };
    let on_change = said.on_change.unwrap_or_default();
    let restarts = matches!(on_change, OnChange::Restart { .. });
    if own.restart_spread.is_some() && !restarts {
        refuse(Key::RestartSpread, "means nothing without esc.pulumi.com/on-change: restart; remove it");
    }
    if matches!(on_change, OnChange::Signal { .. }) {
        if pod.has_host_pid {
            refuse(Key::OnChange, "no signals in a pod that shares the node's processes (hostPID)");
        } else if !shares_processes {
            refuse(Key::OnChange, "a signal needs esc.pulumi.com/share-process-namespace: \"true\"");
        }
    }
    if interval < policy.min_refresh {
        let message = format!("{interval:?} is less than the operator's minimum, {:?}", policy.min_refresh);
        problems.push(Problem::forbidden(codes::REFRESH_TOO_SHORT, Subject::key(Key::Refresh), message));
    }
    if let OnChange::Post { url } = &on_change
        && !values::is_loopback_url(url)
        && !policy.allowed_on_change_urls.contains(url)
    {
        let message = format!("`{url}` is neither on this machine nor on the operator's list");
        problems.push(Problem::forbidden(codes::ON_CHANGE_URL, Subject::key(Key::OnChange), message));
    }
    if restarts && !context.releases().api_server_is_at_least(RESTARTS_ALL) {
        let message = format!(
            "restart needs an API server of {RESTARTS_ALL} or newer, and this one is not known to be; the operator can say so with --min-kubelet {RESTARTS_ALL}"
        );
        problems.push(Problem::invalid(codes::RESTART_UNSUPPORTED, Subject::key(Key::OnChange), message));
    }
    Some(Refresh {
        interval,
        on_change,
        restart_spread: said.restart_spread.unwrap_or(DEFAULT_SPREAD),
        metrics_port: said.metrics_port,
    })
}
