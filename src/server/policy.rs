//! Who may do what with which environment: decided here and nowhere else.

use super::{access::Principal, names::EnvironmentName};
use crate::esc::token_type::TokenType;

/// What somebody may do with an environment. Each includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Right {
    /// See the definition, its ciphertexts, its revisions and tags.
    Read,
    /// See the values.
    Open,
    /// Change it.
    Write,
    /// Take it away, bring it back, change its settings.
    Admin,
}

/// The rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Policy {
    /// Whoever may enter an organization may open its environments: there is nothing to change.
    Files,
    /// By the kind of token. Teams have nothing that nobody gave them.
    Database,
}

impl Policy {
    /// Whether somebody may do this.
    pub(super) fn allows(self, principal: &Principal, environment: &EnvironmentName, right: Right) -> bool {
        self.most(principal, environment).is_some_and(|most| right <= most)
    }

    /// The most that somebody may do with an environment, whether it exists or not.
    pub(super) fn most(self, principal: &Principal, environment: &EnvironmentName) -> Option<Right> {
        match principal {
            Principal::Dev => Some(Right::Admin),
            Principal::Workload { organization, .. } if organization != environment.organization() => None,
            Principal::Workload { admin: true, .. } => Some(Right::Admin),
            Principal::Workload { token_type, .. } => match (self, token_type) {
                (Self::Files, _) | (Self::Database, TokenType::Organization) => Some(Right::Open),
                (Self::Database, TokenType::Personal(_)) => Some(Right::Write),
                (Self::Database, TokenType::Team(_)) => None,
            },
        }
    }

    /// Whether somebody may add environments to an organization that they may enter.
    pub(super) fn may_create(self, principal: &Principal) -> bool {
        match principal {
            Principal::Dev | Principal::Workload { admin: true, .. } => true,
            Principal::Workload { token_type, .. } => matches!(token_type, TokenType::Personal(_)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Policy, Right};
    use crate::{
        esc::token_type::TokenType,
        server::{access::Principal, names::EnvironmentName},
    };

    fn workload(token_type: TokenType, admin: bool) -> Principal {
        Principal::Workload { organization: "acme".to_owned(), subject: "s".to_owned(), token_type, admin }
    }

    #[test]
    fn everybody_has_what_the_table_says() {
        let (team, jo) = (TokenType::Team("t".to_owned()), TokenType::Personal("jo".to_owned()));
        for (principal, files, database, create) in [
            (Principal::Dev, Some(Right::Admin), Some(Right::Admin), true),
            (workload(TokenType::Organization, false), Some(Right::Open), Some(Right::Open), false),
            (workload(TokenType::Organization, true), Some(Right::Admin), Some(Right::Admin), true),
            (workload(team, false), Some(Right::Open), None, false),
            (workload(jo, false), Some(Right::Open), Some(Right::Write), true),
        ] {
            let own = EnvironmentName::new("acme", "p", "e").unwrap();
            assert_eq!(Policy::Files.most(&principal, &own), files, "{principal:?}");
            assert_eq!(Policy::Database.most(&principal, &own), database, "{principal:?}");
            assert_eq!(Policy::Database.may_create(&principal), create, "{principal:?}");
            let other = EnvironmentName::new("other", "p", "e").unwrap();
            let everywhere = principal == Principal::Dev;
            assert_eq!(Policy::Files.allows(&principal, &other, Right::Read), everywhere, "{principal:?}");
        }
        assert!(Right::Read < Right::Open && Right::Open < Right::Write && Right::Write < Right::Admin);
    }
}
