//! Those whom revisions, tags and grants name.

use serde::{Deserialize, Serialize};

/// Who did something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::server) struct Author {
    pub(in crate::server) login: String,
    pub(in crate::server) name: String,
}

/// To whom something is given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Grantee {
    /// A team of the environment's organization, by its name.
    Team(String),
    /// A user of the environment's organization, by their login.
    User(String),
}

impl std::fmt::Display for Grantee {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Team(name) => write!(f, "team:{name}"),
            Self::User(login) => write!(f, "user:{login}"),
        }
    }
}
