//! The signals that the agent can be asked to send. Pure: sending is somebody else's.

use std::{fmt, str::FromStr};

use rustix::process::Signal;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

/// A signal that applications take as a request. Those that stop, or can't be caught, are left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(into = "String")]
pub struct SignalName(&'static str, Signal);

/// Every signal that may be named.
const ALL: [SignalName; 7] = [
    SignalName("SIGHUP", Signal::HUP),
    SignalName("SIGINT", Signal::INT),
    SignalName("SIGQUIT", Signal::QUIT),
    SignalName("SIGUSR1", Signal::USR1),
    SignalName("SIGUSR2", Signal::USR2),
    SignalName("SIGTERM", Signal::TERM),
    SignalName("SIGWINCH", Signal::WINCH),
];

/// The text names no signal that may be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is none of {}", ALL.map(String::from).join(", "))]
pub struct SignalError {
    /// What was given.
    pub text: String,
}

impl From<SignalName> for Signal {
    fn from(name: SignalName) -> Self {
        name.1
    }
}

impl FromStr for SignalName {
    type Err = SignalError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        ALL.into_iter().find(|signal| signal.0 == text).ok_or_else(|| SignalError { text: text.to_owned() })
    }
}

// By hand: the derived one would want its input to live as long as the names.
impl<'de> Deserialize<'de> for SignalName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl From<SignalName> for String {
    fn from(signal: SignalName) -> Self {
        signal.0.to_owned()
    }
}

impl fmt::Display for SignalName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_one_spelling() {
        for signal in ALL {
            assert_eq!(signal.to_string().parse(), Ok(signal));
            let json = serde_json::to_string(&signal).unwrap();
            assert_eq!(serde_json::from_str::<SignalName>(&json).unwrap(), signal);
        }
        for text in ["HUP", "sighup", "SIGKILL", "SIGSTOP", "1", ""] {
            assert!(text.parse::<SignalName>().is_err(), "{text}");
        }
    }
}
