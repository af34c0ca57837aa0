//! What somebody may do with an environment.

use serde::{Deserialize, Serialize};

/// What somebody may do with an environment. Each includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Right {
    /// See the definition, its ciphertexts, its revisions and tags.
    Read,
    /// See the values.
    Open,
    /// Change it.
    Write,
    /// Take it away, bring it back, change its settings.
    Admin,
}

impl Right {
    /// As people write it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Open => "open",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }
}
