//! Workload identities: whose identity tokens are exchanged for access tokens.
//!
//! A token counts if the issuer's key signed it, the issuer and the audience are the configured ones, it is valid
//! now, and its subject matches the operator's pattern.

use std::{
    fs::File,
    io::{self, Read},
    path::PathBuf,
    time::SystemTime,
};

use serde::Deserialize;

use super::{
    jwt::{JwtError, KeySet},
    unix_seconds,
};
use crate::{esc::pattern::Pattern, secret::Secret};

/// Seconds that our clock and the issuer's may differ.
const LEEWAY: u64 = 30;

/// Largest key set that is read. A cluster's has one or two keys.
const MAX_KEY_SET: u64 = 1 << 20;

/// An issuer of identity tokens, and whom of it we trust.
#[derive(Debug, Clone)]
pub struct Issuer {
    /// The exact `iss`.
    pub url: String,
    /// A file with the issuer's JSON Web Key Set; read at every exchange, so that keys can be rotated.
    pub key_set: PathBuf,
    /// Which subjects may have a token.
    pub subject: Pattern,
    /// Audiences that count beside `urn:pulumi:org:ORGANIZATION`.
    pub audiences: Vec<String>,
}

/// Why an identity is not accepted.
#[derive(Debug, thiserror::Error)]
pub(super) enum IdentityError {
    #[error("the issuer's key set {} can't be used: {reason}", path.display())]
    KeySet { path: PathBuf, reason: String },
    #[error(transparent)]
    Token(#[from] JwtError),
    #[error("the identity token's issuer is not `{expected}`")]
    Issuer { expected: String },
    #[error("the identity token's audience is not `{expected}`")]
    Audience { expected: String },
    #[error("the identity token has expired")]
    Expired,
    #[error("the identity token is not valid yet")]
    NotYetValid,
    #[error("the subject `{subject}` does not match `{pattern}`")]
    Subject { subject: String, pattern: String },
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Audience,
    exp: u64,
    nbf: Option<u64>,
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

impl Issuer {
    /// The subject of an identity token that may act for `organization`. Reads a file.
    pub(super) fn verify(
        &self,
        organization: &str,
        token: &Secret,
        now: SystemTime,
    ) -> Result<String, IdentityError> {
        let claims: Claims = self.keys()?.verify(token.expose())?;
        if claims.iss != self.url {
            return Err(IdentityError::Issuer { expected: self.url.clone() });
        }
        let expected = audience_of(organization);
        if !claims.aud.contains(&expected) && !self.audiences.iter().any(|known| claims.aud.contains(known)) {
            return Err(IdentityError::Audience { expected });
        }
        let now = unix_seconds(now);
        if now >= claims.exp.saturating_add(LEEWAY) {
            return Err(IdentityError::Expired);
        }
        if claims.nbf.is_some_and(|from| now.saturating_add(LEEWAY) < from) {
            return Err(IdentityError::NotYetValid);
        }
        if !self.subject.matches(&claims.sub) {
            return Err(IdentityError::Subject {
                subject: claims.sub,
                pattern: self.subject.as_str().to_owned(),
            });
        }
        Ok(claims.sub)
    }

    fn keys(&self) -> Result<KeySet, IdentityError> {
        let unusable = |reason| IdentityError::KeySet { path: self.key_set.clone(), reason };
        let mut json = Vec::new();
        File::open(&self.key_set)
            .and_then(|file| file.take(MAX_KEY_SET).read_to_end(&mut json))
            .map_err(|error: io::Error| unusable(error.to_string()))?;
        KeySet::parse(&json).map_err(|error| unusable(error.to_string()))
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
