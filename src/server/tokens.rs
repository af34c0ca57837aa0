//! Access tokens that are kept: made and revoked by people, and known here only by their digests.

use serde::{Deserialize, Serialize};

use super::{
    people::{Author, Grantee},
    principal::Principal,
    random::{NoRandomness, digest_of, hex, new_token, random},
    rfc3339,
    right::Right,
};
use crate::{
    esc::{reference::check_organization, token_type::TokenType},
    secret::Secret,
};

/// Longest name of a token, of a team and of a login, in bytes.
const MAX_NAME: usize = 100;

/// Longest life of a token that ends, in seconds: ten years.
const MAX_LIFETIME: u64 = 10 * 365 * 24 * 3600;

/// A token without itself. Times are seconds since the epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// What it is revoked by.
    pub id: String,
    /// What it is for, in somebody's words.
    pub name: String,
    /// Whose it is.
    pub holder: Holder,
    /// When it was made.
    pub created: u64,
    /// When it ends, if ever.
    pub expires: Option<u64>,
    /// SHA-256, in hexadecimal. A token is 160 random bits: there is nothing to guess, and so nothing to salt.
    digest: String,
    creator: Author,
}

/// Whose a token is, and so what it may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Holder {
    /// Everything in every organization, tokens included.
    Operator,
    /// An organization: opens its environments.
    Organization {
        /// Its name.
        organization: String,
        /// Whether it may do everything in it.
        admin: bool,
    },
    /// A team of an organization.
    Team {
        /// Its organization.
        organization: String,
        /// Its name.
        team: String,
    },
    /// A user of an organization: does what users may, and what this one was given.
    User {
        /// Their organization.
        organization: String,
        /// Their login.
        login: String,
    },
}

impl Holder {
    /// The one organization that it is of.
    pub(super) fn organization(&self) -> Option<&str> {
        match self {
            Self::Operator => None,
            Self::Organization { organization, .. }
            | Self::Team { organization, .. }
            | Self::User { organization, .. } => Some(organization),
        }
    }
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Operator => f.write_str("operator"),
            Self::Organization { organization, admin: false } => write!(f, "organization:{organization}"),
            Self::Organization { organization, admin: true } => {
                write!(f, "organization:{organization} admin")
            }
            Self::Team { organization, team } => write!(f, "team:{organization}/{team}"),
            Self::User { organization, login } => write!(f, "user:{organization}/{login}"),
        }
    }
}

/// Why no token is made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenRefusal {
    /// A name that can't be one.
    #[error("{what} must have 1 to {MAX_NAME} characters, without control characters")]
    Name {
        /// Which one.
        what: &'static str,
    },
    /// No organization can be called so.
    #[error("`{name}` is no organization name: {reason}")]
    Organization {
        /// As it was given.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// It would never count, or for longer than anybody can mean.
    #[error("a token that ends must live for more than 0 seconds and at most ten years")]
    Lifetime,
    /// The system has none.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

impl Token {
    /// Makes a token: what is kept of it, and itself, which is shown once.
    pub(super) fn new(
        name: String,
        holder: Holder,
        expires: Option<u64>,
        creator: Author,
        now: u64,
    ) -> Result<(Self, Secret), TokenRefusal> {
        check_name("the token's name", &name)?;
        if expires.is_some_and(|expires| !(1..=MAX_LIFETIME).contains(&expires.saturating_sub(now))) {
            return Err(TokenRefusal::Lifetime);
        }
        if let Some(name) = holder.organization() {
            check_organization(name)
                .map_err(|reason| TokenRefusal::Organization { name: name.to_owned(), reason })?;
        }
        match &holder {
            Holder::Operator | Holder::Organization { .. } => {}
            Holder::Team { team, .. } => check_name("the team", team)?,
            Holder::User { login, .. } => check_name("the user", login)?,
        }
        let token = new_token()?;
        let id = hex(&random::<8>()?);
        let digest = hex(&digest_of(token.expose()));
        Ok((Self { id, name, holder, created: now, expires, digest, creator }, token))
    }

    /// What may be shown of it.
    pub fn described(&self) -> serde_json::Value {
        serde_json::json!({
            "id": self.id,
            "name": self.name,
            "holder": self.holder,
            "created": rfc3339(self.created),
            "expires": self.expires.map(rfc3339),
        })
    }

    /// What the audit log says of it: nothing that it could be guessed from.
    pub(super) fn noted(&self) -> String {
        format!("{} {}", self.id, self.holder)
    }

    /// The digest, if it is one.
    pub(super) fn digest(&self) -> Option<[u8; 32]> {
        let mut out = [0; 32];
        let pairs = self.digest.as_bytes().chunks(2);
        if pairs.len() != out.len() {
            return None;
        }
        for (byte, pair) in out.iter_mut().zip(pairs) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(out)
    }

    /// Who asks with it.
    pub(super) fn principal(&self) -> Principal {
        let workload = |organization: &str, token_type, right| Principal::Workload {
            organization: organization.to_owned(),
            subject: self.name.clone(),
            token_type,
            right,
            ceiling: Right::Admin,
        };
        match &self.holder {
            Holder::Operator => Principal::Dev,
            Holder::Organization { organization, admin } => {
                let right = if *admin { Right::Admin } else { Right::Open };
                workload(organization, TokenType::Organization, Some(right))
            }
            Holder::Team { organization, team } => {
                workload(organization, TokenType::Team(team.clone()), None)
            }
            Holder::User { organization, login } => {
                workload(organization, TokenType::Personal(login.clone()), None)
            }
        }
    }
}

/// Whether somebody can be called so.
pub(super) fn check_grantee(grantee: &Grantee) -> Result<(), TokenRefusal> {
    match grantee {
        Grantee::Team(name) => check_name("the team", name),
        Grantee::User(login) => check_name("the user", login),
    }
}

fn check_name(what: &'static str, name: &str) -> Result<(), TokenRefusal> {
    if name.is_empty() || name.len() > MAX_NAME || name.chars().any(char::is_control) {
        return Err(TokenRefusal::Name { what });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Holder, MAX_LIFETIME, Token, TokenRefusal};
    use crate::server::{people::Author, random::digest_of};

    #[test]
    fn keeps_the_digest_and_not_the_token() {
        let jo = Author { login: "jo".to_owned(), name: "Jo".to_owned() };
        let make = |name: &str, holder| Token::new(name.to_owned(), holder, None, jo.clone(), 1);
        let (kept, token) = make("ci", Holder::Operator).unwrap();
        let record = serde_json::to_string(&kept).unwrap();
        assert!(!record.contains(token.expose_str().unwrap().trim_start_matches("pul-")), "{record}");
        assert_eq!(kept.digest(), Some(digest_of(token.expose())));
        assert!(matches!(make("", Holder::Operator), Err(TokenRefusal::Name { .. })));
        let until =
            |expires| Token::new("ci".to_owned(), Holder::Operator, Some(expires), jo.clone(), 1).map(|_| ());
        assert_eq!(until(MAX_LIFETIME + 1), Ok(()));
        for never in [0, 1, MAX_LIFETIME + 2] {
            assert_eq!(until(never), Err(TokenRefusal::Lifetime), "{never}");
        }
        let nowhere = Holder::Organization { organization: "..".to_owned(), admin: true };
        assert!(matches!(make("x", nowhere), Err(TokenRefusal::Organization { .. })));
    }
}
