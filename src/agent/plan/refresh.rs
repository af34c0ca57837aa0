//! The part of the plan that makes the agent stay: how often to look again, and what to do about a change.

use std::fmt;

use rustix::process::Signal;
use serde::{Deserialize, Serialize};

/// Keep what was delivered fresh.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Refresh {
    /// From one fetch to the next, in seconds.
    pub interval_seconds: u64,
    /// What to do after a changed set is in place.
    #[serde(default)]
    pub on_change: OnChange,
    /// Upper end of the random delay of a restart, in seconds.
    #[serde(default)]
    pub restart_spread_seconds: u64,
    /// Port of the sidecar's metrics; none by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics_port: Option<u16>,
    /// Where the agent keeps its state: a volume that no other container mounts.
    pub state_dir: String,
}

/// How the application learns of a change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", rename_all_fields = "camelCase", tag = "kind")]
pub enum OnChange {
    /// It looks by itself.
    #[default]
    None,
    /// POST to a URL.
    Post {
        /// A loopback address, or what the operator allows.
        url: String,
    },
    /// A signal to one process.
    Signal {
        /// Which one.
        signal: SignalName,
        /// The process' name; the container's main process when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        process: Option<String>,
    },
    /// All containers of the pod restart: the sidecar ends with this code, and the container's rules do the rest.
    Restart {
        /// The code of the rules.
        exit_code: u8,
    },
}

/// A signal that makes sense for an application to receive: it can be caught, and means no defect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "the names say it")]
pub enum SignalName {
    SigHup,
    SigInt,
    SigQuit,
    SigTerm,
    SigUsr1,
    SigUsr2,
    SigWinch,
}

impl SignalName {
    /// As the annotation spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SigHup => "SIGHUP",
            Self::SigInt => "SIGINT",
            Self::SigQuit => "SIGQUIT",
            Self::SigTerm => "SIGTERM",
            Self::SigUsr1 => "SIGUSR1",
            Self::SigUsr2 => "SIGUSR2",
            Self::SigWinch => "SIGWINCH",
        }
    }
}

impl fmt::Display for SignalName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<SignalName> for Signal {
    fn from(name: SignalName) -> Self {
        match name {
            SignalName::SigHup => Self::HUP,
            SignalName::SigInt => Self::INT,
            SignalName::SigQuit => Self::QUIT,
            SignalName::SigTerm => Self::TERM,
            SignalName::SigUsr1 => Self::USR1,
            SignalName::SigUsr2 => Self::USR2,
            SignalName::SigWinch => Self::WINCH,
        }
    }
}
