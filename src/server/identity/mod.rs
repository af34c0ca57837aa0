//! Workload identities: whose identity tokens are exchanged for access tokens.
//!
//! A token counts if it names an issuer that is trusted, that issuer's key signed it, the audience is right, and it
//! is valid now. What its bearer then gets is for the issuer's policies to say.

use std::{
    path::PathBuf,
    time::{Duration, SystemTime},
};

use serde::Deserialize;
use serde_json::Value as Json;

use super::{
    jwt::{self, JwtError},
    unix_seconds,
};
use crate::{
    esc::{pattern::Pattern, token_type::TokenType},
    secret::Secret,
};

mod document;
mod keys;
mod policies;

pub use document::{DocumentError, read};
pub(super) use keys::KeysError;
use keys::Source;
pub use keys::check_key_set;

/// Seconds that our clock and the issuer's may differ.
const LEEWAY: u64 = 30;

/// An issuer of identity tokens, and whom of it we trust.
#[derive(Debug)]
pub struct Issuer {
    /// What operators call it.
    name: String,
    /// The exact `iss`.
    url: String,
    /// The one organization whose tokens it is good for. None: any.
    organization: Option<String>,
    keys: Source,
    /// Audiences that count beside `urn:pulumi:org:ORGANIZATION`.
    audiences: Vec<String>,
    /// Longest life of an access token that is given for one of its tokens.
    max_expiration: Option<Duration>,
    /// How long after it was issued an identity token counts.
    max_token_age: Option<Duration>,
    trust: Trust,
}

/// Who gets what.
#[derive(Debug)]
enum Trust {
    /// These subjects get any token.
    Subjects(Pattern),
    /// As the policies say.
    Policies(Vec<policies::Policy>),
}

impl Issuer {
    /// An issuer whose key set is in a file, which is read at every exchange, and whose subjects of this form get a
    /// token of whatever kind they ask for.
    pub fn of_subjects(url: String, key_set: PathBuf, subject: Pattern, audiences: Vec<String>) -> Self {
        Self {
            name: url.clone(),
            url,
            organization: None,
            keys: Source::File(key_set),
            audiences,
            max_expiration: None,
            max_token_age: None,
            trust: Trust::Subjects(subject),
        }
    }
}

/// Everybody whose word counts.
#[derive(Debug)]
pub(super) struct Issuers(Vec<Issuer>);

/// What is asked for with an identity token.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) organization: &'a str,
    pub(super) token_type: &'a TokenType,
    pub(super) token: &'a Secret,
}

/// Somebody who gets an access token.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) subject: String,
    /// Whether a policy speaks of the very team or user that the token is to act for.
    pub(super) named: bool,
    /// Longest life of the access token.
    pub(super) max_expiration: Option<Duration>,
}

/// Why an identity is not accepted.
#[derive(Debug, thiserror::Error)]
pub(super) enum IdentityError {
    #[error(transparent)]
    Keys(#[from] KeysError),
    #[error(transparent)]
    Token(#[from] JwtError),
    #[error("the identity token's issuer is not `{expected}`")]
    Issuer { expected: String },
    #[error("the identity token's issuer is none that this server trusts for `{organization}`")]
    NoIssuer { organization: String },
    #[error("the identity token's audience is not `{expected}`")]
    Audience { expected: String },
    #[error("the identity token has expired")]
    Expired,
    #[error("the identity token is not valid yet")]
    NotYetValid,
    #[error("the identity token was issued too long ago")]
    TooOld,
    #[error("the subject `{subject}` does not match `{pattern}`")]
    Subject { subject: String, pattern: String },
    #[error("the policies of the issuer `{issuer}` give `{subject}` no token of the kind `{token_type}`")]
    NotAllowed { issuer: String, subject: String, token_type: TokenType },
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Audience,
    exp: u64,
    nbf: Option<u64>,
    iat: Option<u64>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Audience {
    fn contains(&self, name: &str) -> bool {
        match self {
            Self::One(one) => one == name,
            Self::Many(many) => many.iter().any(|one| one == name),
        }
    }
}

impl Issuers {
    pub(super) fn new(issuers: Vec<Issuer>) -> Self {
        Self(issuers)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Who an identity token belongs to, if they may have what they ask for. Reads files, and may ask the issuer.
    pub(super) async fn verify(&self, asked: Asked<'_>, now: SystemTime) -> Result<Identity, IdentityError> {
        let claimed = jwt::claimed_issuer(asked.token.expose())?;
        let of = |organization: Option<&str>| {
            let found =
                |issuer: &&Issuer| issuer.url == claimed && issuer.organization.as_deref() == organization;
            self.0.iter().find(found)
        };
        match of(Some(asked.organization)).or_else(|| of(None)) {
            Some(issuer) => issuer.verify(asked, now).await,
            None => Err(match self.0.as_slice() {
                [only] if only.url != claimed => IdentityError::Issuer { expected: only.url.clone() },
                _ => IdentityError::NoIssuer { organization: asked.organization.to_owned() },
            }),
        }
    }
}

impl Issuer {
    async fn verify(&self, asked: Asked<'_>, now: SystemTime) -> Result<Identity, IdentityError> {
        let json = self.claims(asked.token, now).await?;
        // Twice: a claim of ours that is there twice is refused, one that only policies look at is as it is.
        let malformed = |_| JwtError::Malformed("not the JSON of an identity token");
        let claims: Claims = serde_json::from_slice(&json).map_err(malformed)?;
        let all: Json = serde_json::from_slice(&json).map_err(malformed)?;
        if claims.iss != self.url {
            return Err(IdentityError::Issuer { expected: self.url.clone() });
        }
        let expected = audience_of(asked.organization);
        if !claims.aud.contains(&expected) && !self.audiences.iter().any(|known| claims.aud.contains(known)) {
            return Err(IdentityError::Audience { expected });
        }
        self.in_time(&claims, unix_seconds(now))?;
        let Claims { sub: subject, .. } = claims;
        let named = match &self.trust {
            Trust::Subjects(pattern) if !pattern.matches(&subject) => {
                return Err(IdentityError::Subject { subject, pattern: pattern.as_str().to_owned() });
            }
            Trust::Subjects(_) => false,
            Trust::Policies(policies) if !policies::allow(policies, asked.token_type, &all) => {
                let (issuer, token_type) = (self.name.clone(), asked.token_type.clone());
                return Err(IdentityError::NotAllowed { issuer, subject, token_type });
            }
            Trust::Policies(_) => true,
        };
        Ok(Identity { subject, named, max_expiration: self.max_expiration })
    }

    fn in_time(&self, claims: &Claims, now: u64) -> Result<(), IdentityError> {
        if now >= claims.exp.saturating_add(LEEWAY) {
            return Err(IdentityError::Expired);
        }
        let later = now.saturating_add(LEEWAY);
        if claims.nbf.is_some_and(|from| later < from) {
            return Err(IdentityError::NotYetValid);
        }
        match (self.max_token_age, claims.iat) {
            (None, _) => Ok(()),
            (Some(_), Some(issued)) if later < issued => Err(IdentityError::NotYetValid),
            (Some(age), Some(issued))
                if now <= issued.saturating_add(age.as_secs()).saturating_add(LEEWAY) =>
            {
                Ok(())
            }
            // Of a token that does not say when it was issued nobody knows how old it is.
            (Some(_), _) => Err(IdentityError::TooOld),
        }
    }

    /// The claims of a token that one of our keys has signed.
    async fn claims(&self, token: &Secret, now: SystemTime) -> Result<Vec<u8>, IdentityError> {
        let keys = self.keys.keys(false, now).await?;
        match keys.verified(token.expose()) {
            Err(JwtError::NoKey) if self.keys.may_have_others() => {
                let keys = self.keys.keys(true, now).await?;
                Ok(keys.verified(token.expose())?)
            }
            verified => Ok(verified?),
        }
    }
}

/// The audience that stands for an organization.
fn audience_of(organization: &str) -> String {
    format!("urn:pulumi:org:{organization}")
}

/// The organization that an audience stands for.
pub(super) fn organization_of(audience: &str) -> Option<&str> {
    audience.strip_prefix("urn:pulumi:org:").filter(|name| !name.is_empty())
}
