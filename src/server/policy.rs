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
    /// By what the token was made for. Teams have nothing that nobody gave them.
    Database,
}

impl Policy {
    /// Whether somebody may do this.
    pub(super) fn allows(self, principal: &Principal, environment: &EnvironmentName, right: Right) -> bool {
        self.most(principal, environment).is_some_and(|most| right <= most)
    }

    /// The most that somebody may do with an environment, whether it exists or not.
    pub(super) fn most(self, principal: &Principal, environment: &EnvironmentName) -> Option<Right> {
        match (self, principal) {
            (_, Principal::Dev) => Some(Right::Admin),
            (_, Principal::Workload { organization, .. }) if organization != environment.organization() => {
                None
            }
            (Self::Files, Principal::Workload { .. }) => Some(Right::Open),
            (Self::Database, Principal::Workload { right, .. }) => *right,
        }
    }

    /// Whether somebody may add environments to an organization that they may enter.
    pub(super) fn may_create(self, principal: &Principal) -> bool {
        match (self, principal) {
            (_, Principal::Dev) => true,
            (Self::Files, Principal::Workload { .. }) => false,
            (Self::Database, Principal::Workload { right, .. }) => *right >= Some(Right::Write),
        }
    }

    /// What a token that was got in an exchange may do. The identity token says who asks, and nothing of what they
    /// may do, so that it is what pods need.
    pub(super) fn exchanged(token_type: &TokenType) -> Option<Right> {
        match token_type {
            TokenType::Organization | TokenType::Personal(_) => Some(Right::Open),
            TokenType::Team(_) => None,
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

    #[test]
    fn everybody_has_what_the_table_says() {
        let workload = |right| Principal::Workload {
            organization: "acme".to_owned(),
            subject: "s".to_owned(),
            token_type: TokenType::Organization,
            right,
        };
        for (principal, files, database, create) in [
            (Principal::Dev, Some(Right::Admin), Some(Right::Admin), true),
            (workload(None), Some(Right::Open), None, false),
            (workload(Some(Right::Open)), Some(Right::Open), Some(Right::Open), false),
            (workload(Some(Right::Write)), Some(Right::Open), Some(Right::Write), true),
            (workload(Some(Right::Admin)), Some(Right::Open), Some(Right::Admin), true),
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

    #[test]
    fn an_exchange_never_gives_the_right_to_change() {
        for (token_type, right) in [
            (TokenType::Organization, Some(Right::Open)),
            (TokenType::Personal("jo".to_owned()), Some(Right::Open)),
            (TokenType::Team("t".to_owned()), None),
        ] {
            assert_eq!(Policy::exchanged(&token_type), right);
        }
    }
}
