//! Who may do what with which environment: decided here and nowhere else.

use super::{names::EnvironmentName, people::Grantee, principal::Principal, right::Right, store::Grants};
use crate::esc::token_type::TokenType;

/// The rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Policy {
    /// Whoever may enter an organization may open its environments: there is nothing to change.
    Files,
    /// By what the token was made for, and by what its team or its user was given.
    Database {
        /// What users may do with every environment of their organization. Teams have nothing that nobody gave them.
        users: Option<Right>,
    },
}

impl Policy {
    /// Whether what was given of an environment matters for somebody.
    pub(super) fn asks_for_grants(self, principal: &Principal) -> bool {
        match (self, principal) {
            (Self::Files, _) | (_, Principal::Dev) => false,
            (Self::Database { .. }, Principal::Workload { token_type, .. }) => {
                *token_type != TokenType::Organization
            }
        }
    }

    /// Whether somebody may do this.
    pub(super) fn allows(
        self,
        principal: &Principal,
        environment: &EnvironmentName,
        grants: &Grants,
        right: Right,
    ) -> bool {
        self.most(principal, environment, Some(grants)).is_some_and(|most| right <= most)
    }

    /// The most that somebody may do with an environment, whether it exists or not; nothing was given of one that does
    /// not.
    pub(super) fn most(
        self,
        principal: &Principal,
        environment: &EnvironmentName,
        grants: Option<&Grants>,
    ) -> Option<Right> {
        if !principal.covers(environment.organization()) {
            return None;
        }
        let everywhere = self.everywhere(principal);
        let (Self::Database { .. }, Principal::Workload { token_type, ceiling, .. }, Some(grants)) =
            (self, principal, grants)
        else {
            return everywhere;
        };
        let given = match token_type {
            TokenType::Organization => None,
            TokenType::Team(name) => grants.team(name),
            TokenType::Personal(login) => grants.user(login),
        };
        everywhere.max(given.map(|given| given.min(*ceiling)))
    }

    /// What somebody may do with every environment of an organization that they may enter.
    fn everywhere(self, principal: &Principal) -> Option<Right> {
        match (self, principal) {
            (_, Principal::Dev) => Some(Right::Admin),
            (Self::Files, Principal::Workload { .. }) => Some(Right::Open),
            (Self::Database { users }, Principal::Workload { token_type, right, ceiling, .. }) => {
                let right = match token_type {
                    TokenType::Personal(_) => users.max(*right),
                    TokenType::Organization | TokenType::Team(_) => *right,
                };
                right.map(|right| right.min(*ceiling))
            }
        }
    }

    /// Whether somebody may add environments to an organization that they may enter.
    pub(super) fn may_create(self, principal: &Principal) -> bool {
        self != Self::Files && self.everywhere(principal) >= Some(Right::Write)
            || *principal == Principal::Dev
    }

    /// Whether somebody may say who may do what in an organization.
    pub(super) fn may_administer(self, principal: &Principal, organization: &str) -> bool {
        principal.covers(organization) && self.everywhere(principal) == Some(Right::Admin)
    }

    /// Gives a user who makes an environment everything of it.
    pub(super) fn welcome(principal: &Principal, grants: &mut Grants) {
        if let Principal::Workload { token_type: TokenType::Personal(login), .. } = principal {
            // There is room: nobody was given anything yet.
            let _ = grants.set(&Grantee::User(login.clone()), Some(Right::Admin));
        }
    }

    /// What a token that was got in an exchange may do with every environment, and at most with any. The identity token
    /// says who asks. If no policy names the very team or user, it only opens, which is what pods need.
    pub(super) fn exchanged(token_type: &TokenType, named: bool) -> (Option<Right>, Right) {
        match token_type {
            TokenType::Organization => (Some(Right::Open), Right::Open),
            TokenType::Team(_) | TokenType::Personal(_) if named => (None, Right::Admin),
            TokenType::Team(_) | TokenType::Personal(_) => (None, Right::Open),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Policy;
    use crate::{
        esc::token_type::TokenType,
        server::{
            names::EnvironmentName, people::Grantee, principal::Principal, right::Right, store::Grants,
        },
    };

    fn workload(token_type: TokenType, right: Option<Right>, ceiling: Right) -> Principal {
        let (organization, subject) = ("acme".to_owned(), "s".to_owned());
        Principal::Workload { organization, subject, token_type, right, ceiling }
    }

    #[test]
    fn everybody_has_what_the_table_says() {
        use Right::{Admin, Open, Read, Write};
        let team = || TokenType::Team("pay".to_owned());
        let user = || TokenType::Personal("jo".to_owned());
        let everybody = Policy::Database { users: Some(Write) };
        let invited = Policy::Database { users: None };
        let org = TokenType::Organization;
        // Without grants; with `write` for team and user; may create; may administer.
        for (policy, principal, bare, given, create, administer) in [
            (Policy::Files, Principal::Dev, Some(Admin), Some(Admin), true, true),
            (Policy::Files, workload(team(), None, Admin), Some(Open), Some(Open), false, false),
            (Policy::Files, workload(org.clone(), Some(Admin), Admin), Some(Open), Some(Open), false, false),
            (invited, Principal::Dev, Some(Admin), Some(Admin), true, true),
            (invited, workload(org.clone(), Some(Open), Open), Some(Open), Some(Open), false, false),
            (invited, workload(org.clone(), Some(Admin), Admin), Some(Admin), Some(Admin), true, true),
            (invited, workload(team(), None, Admin), None, Some(Write), false, false),
            (invited, workload(team(), None, Open), None, Some(Open), false, false),
            (invited, workload(TokenType::Team("jo".to_owned()), None, Admin), None, None, false, false),
            (invited, workload(user(), None, Admin), None, Some(Write), false, false),
            (everybody, workload(user(), None, Admin), Some(Write), Some(Write), true, false),
            (everybody, workload(user(), None, Open), Some(Open), Some(Open), false, false),
            (everybody, workload(team(), None, Admin), None, Some(Write), false, false),
            (
                Policy::Database { users: Some(Read) },
                workload(user(), None, Admin),
                Some(Read),
                Some(Write),
                false,
                false,
            ),
        ] {
            let own = EnvironmentName::new("acme", "p", "e").unwrap();
            let mut grants = Grants::default();
            let context = format!("{policy:?} {principal:?}");
            assert_eq!(policy.most(&principal, &own, None), bare, "{context}");
            assert_eq!(policy.most(&principal, &own, Some(&grants)), bare, "{context}");
            grants.set(&Grantee::Team("pay".to_owned()), Some(Write)).unwrap();
            grants.set(&Grantee::User("jo".to_owned()), Some(Write)).unwrap();
            assert_eq!(policy.most(&principal, &own, Some(&grants)), given, "{context}");
            assert_eq!(policy.may_create(&principal), create, "{context}");
            assert_eq!(policy.may_administer(&principal, "acme"), administer, "{context}");
            let other = EnvironmentName::new("other", "p", "e").unwrap();
            let everywhere = principal == Principal::Dev;
            assert_eq!(policy.allows(&principal, &other, &grants, Read), everywhere, "{context}");
            assert_eq!(policy.may_administer(&principal, "other"), everywhere, "{context}");
        }
        assert!(Read < Open && Open < Write && Write < Admin);
    }

    #[test]
    fn an_exchange_gives_the_right_to_change_only_where_a_policy_names_somebody() {
        let team = TokenType::Team("t".to_owned());
        let user = TokenType::Personal("jo".to_owned());
        for (token_type, named, expected) in [
            (TokenType::Organization, false, (Some(Right::Open), Right::Open)),
            (TokenType::Organization, true, (Some(Right::Open), Right::Open)),
            (user.clone(), false, (None, Right::Open)),
            (user, true, (None, Right::Admin)),
            (team.clone(), false, (None, Right::Open)),
            (team, true, (None, Right::Admin)),
        ] {
            assert_eq!(Policy::exchanged(&token_type, named), expected);
        }
    }
}
