//! What teams and users were given of an environment. It goes with the environment: who makes another one of the same
//! name later begins with nothing. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    super::{people::Grantee, right::Right},
    rule::Rule,
};

/// Teams, and users, that may have been given something. They are read with every open.
const MAX_GRANTS: usize = 256;

/// What the audit log says of a grant.
pub(in crate::server) fn described(grantee: &Grantee, right: Option<Right>) -> String {
    format!("{grantee} {}", right.map_or("none", Right::word))
}

/// Everything that was given.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(in crate::server) struct Grants {
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    teams: BTreeMap<String, Right>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    users: BTreeMap<String, Right>,
}

impl Grants {
    /// What a team was given.
    pub(in crate::server) fn team(&self, name: &str) -> Option<Right> {
        self.teams.get(name).copied()
    }

    /// What a user was given.
    pub(in crate::server) fn user(&self, login: &str) -> Option<Right> {
        self.users.get(login).copied()
    }

    /// Gives something instead of what was given before; nothing takes that away.
    pub(in crate::server) fn set(&mut self, grantee: &Grantee, right: Option<Right>) -> Result<(), Rule> {
        let (all, name) = match grantee {
            Grantee::Team(name) => (&mut self.teams, name),
            Grantee::User(login) => (&mut self.users, login),
        };
        match right {
            None => {
                all.remove(name).ok_or_else(|| Rule::NoGrant(grantee.to_string()))?;
            }
            Some(_) if all.len() >= MAX_GRANTS && !all.contains_key(name) => return Err(Rule::TooManyGrants),
            Some(right) => {
                all.insert(name.clone(), right);
            }
        }
        Ok(())
    }

    /// All of them, teams first, in order of their names.
    pub(in crate::server) fn all(&self) -> impl Iterator<Item = (Grantee, Right)> {
        let teams = self.teams.iter().map(|(name, right)| (Grantee::Team(name.clone()), *right));
        teams.chain(self.users.iter().map(|(login, right)| (Grantee::User(login.clone()), *right)))
    }
}

#[cfg(test)]
mod tests {
    use super::{Grants, MAX_GRANTS};
    use crate::server::{people::Grantee, right::Right, store::Rule};

    #[test]
    fn a_team_and_a_user_of_one_name_are_two() {
        let mut grants = Grants::default();
        let (team, user) = (Grantee::Team("pay".to_owned()), Grantee::User("pay".to_owned()));
        grants.set(&team, Some(Right::Open)).unwrap();
        assert_eq!((grants.team("pay"), grants.user("pay")), (Some(Right::Open), None));
        grants.set(&user, Some(Right::Read)).unwrap();
        grants.set(&team, Some(Right::Write)).unwrap();
        assert!(grants.all().eq([(team.clone(), Right::Write), (user.clone(), Right::Read)]));
        grants.set(&team, None).unwrap();
        assert!(matches!(grants.set(&team, None), Err(Rule::NoGrant(_))));
        assert_eq!((grants.team("pay"), grants.user("pay")), (None, Some(Right::Read)));
        for number in 1..MAX_GRANTS {
            grants.set(&Grantee::User(number.to_string()), Some(Right::Read)).unwrap();
        }
        assert_eq!(
            grants.set(&Grantee::User("one more".to_owned()), Some(Right::Read)),
            Err(Rule::TooManyGrants)
        );
        grants.set(&user, Some(Right::Admin)).unwrap();
    }
}
