//! The one who asks.

use super::{people::Author, right::Right};
use crate::esc::token_type::TokenType;

/// The user behind configured tokens.
pub(super) const DEV_USER: &str = "dev";

/// The one who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Principal {
    /// The holder of a configured token, or of an operator's: the user `dev`, a member of every organization.
    Dev,
    /// The holder of an exchanged token.
    Workload {
        /// The only organization that the token covers.
        organization: String,
        /// Who the identity token said it was.
        subject: String,
        /// What the token acts for.
        token_type: TokenType,
        /// What it may do by itself with every environment of a store that can be changed. None: only what its
        /// team or its user may.
        right: Option<Right>,
        /// The most that it may ever do, whatever somebody was given.
        ceiling: Right,
    },
}

impl Principal {
    /// Whom revisions and tags name.
    pub(super) fn author(&self) -> Author {
        let (login, name) = match self {
            Self::Dev => (DEV_USER, DEV_USER),
            Self::Workload { token_type: TokenType::Personal(login), subject, .. } => {
                (login.as_str(), subject.as_str())
            }
            Self::Workload { organization, subject, .. } => (organization.as_str(), subject.as_str()),
        };
        Author { login: login.to_owned(), name: name.to_owned() }
    }

    /// Whether the token covers an organization.
    pub(super) fn covers(&self, name: &str) -> bool {
        match self {
            Self::Dev => true,
            Self::Workload { organization, .. } => organization == name,
        }
    }
}
