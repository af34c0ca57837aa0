//! The access tokens that count now, and who asks with each.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::{Duration, SystemTime},
};

use subtle::ConstantTimeEq;

use super::{
    principal::Principal,
    random::{Digest, NoRandomness, digest_of, new_token},
    tokens::Token,
    unix_seconds,
};
use crate::secret::Secret;

/// Issued tokens that are remembered; the oldest goes first. One pod start takes one, so this is more than a
/// small cluster starts within the life of a token, in a few MiB.
const MAX_ISSUED: usize = 16_384;

/// Why a token is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum TokenError {
    #[error("the access token is not known")]
    Unknown,
    #[error("the access token has expired")]
    Expired,
}

/// A token of the store.
#[derive(Debug, Clone)]
struct Kept {
    principal: Principal,
    /// What it is for.
    name: Arc<str>,
    expires: Option<u64>,
}

/// Every token that is accepted.
#[derive(Debug)]
pub(super) struct Tokens {
    configured: Vec<Digest>,
    kept: RwLock<HashMap<Digest, Kept>>,
    issued: Mutex<Issued>,
}

#[derive(Debug, Default)]
struct Issued {
    by_digest: HashMap<Digest, (Principal, SystemTime)>,
    by_age: VecDeque<Digest>,
}

impl Tokens {
    pub(super) fn new(configured: &[Secret]) -> Self {
        let configured = configured.iter().map(|token| digest_of(token.expose())).collect();
        Self { configured, kept: RwLock::default(), issued: Mutex::default() }
    }

    /// Accepts a token of the store from now on.
    pub(super) fn remember(&self, token: &Token) {
        if let Some(digest) = token.digest() {
            let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
            let (principal, name) = (token.principal(), token.name.as_str().into());
            kept.insert(digest, Kept { principal, name, expires: token.expires });
        }
    }

    /// Does not accept it any more.
    pub(super) fn forget(&self, token: &Token) {
        if let Some(digest) = token.digest() {
            self.kept.write().unwrap_or_else(PoisonError::into_inner).remove(&digest);
        }
    }

    /// What a token of the store is for.
    pub(super) fn name(&self, token: &[u8]) -> Option<Arc<str>> {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        kept.get(&digest_of(token)).map(|kept| Arc::clone(&kept.name))
    }

    /// The identity behind a token.
    pub(super) fn authenticate(&self, token: &[u8], now: SystemTime) -> Result<Principal, TokenError> {
        let digest = digest_of(token);
        // All are compared, so that the time does not tell which one was near.
        let configured = self
            .configured
            .iter()
            .fold(subtle::Choice::from(0), |found, known| found | known.as_slice().ct_eq(digest.as_slice()));
        if configured.into() {
            return Ok(Principal::Dev);
        }
        // Looking a digest up tells nothing about the token: nobody can choose a digest.
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner).get(&digest).cloned();
        match kept {
            Some(Kept { expires: Some(end), .. }) if unix_seconds(now) >= end => {
                return Err(TokenError::Expired);
            }
            Some(Kept { principal, .. }) => return Ok(principal),
            None => {}
        }
        let issued = self.issued.lock().unwrap_or_else(PoisonError::into_inner);
        match issued.by_digest.get(&digest) {
            Some((principal, expires)) if now < *expires => Ok(principal.clone()),
            Some(_) => Err(TokenError::Expired),
            None => Err(TokenError::Unknown),
        }
    }

    /// Makes a token for an identity.
    pub(super) fn issue(
        &self,
        principal: Principal,
        lifetime: Duration,
        now: SystemTime,
    ) -> Result<Secret, NoRandomness> {
        let token = new_token()?;
        let digest = digest_of(token.expose());
        let mut issued = self.issued.lock().unwrap_or_else(PoisonError::into_inner);
        let Issued { by_digest, by_age } = &mut *issued;
        if by_age.len() >= MAX_ISSUED
            && let Some(oldest) = by_age.pop_front()
        {
            by_digest.remove(&oldest);
        }
        by_digest.insert(digest, (principal, now + lifetime));
        by_age.push_back(digest);
        Ok(token)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::{MAX_ISSUED, Principal, TokenError, Tokens};
    use crate::{esc::token_type::TokenType, secret::Secret, server::right::Right};

    fn workload() -> Principal {
        Principal::Workload {
            organization: "acme".to_owned(),
            subject: "sub".to_owned(),
            token_type: TokenType::Organization,
            right: Some(Right::Open),
            ceiling: Right::Open,
        }
    }

    #[test]
    fn knows_its_tokens_and_no_others() {
        let now = SystemTime::now();
        let tokens = Tokens::new(&[Secret::from("one"), Secret::from("two")]);
        let issued = tokens.issue(workload(), Duration::from_secs(60), now).unwrap();
        assert_eq!(tokens.authenticate(b"one", now), Ok(Principal::Dev));
        assert_eq!(tokens.authenticate(b"two", now), Ok(Principal::Dev));
        assert_eq!(tokens.authenticate(b"", now), Err(TokenError::Unknown));
        assert_eq!(tokens.authenticate(b"three", now), Err(TokenError::Unknown));
        assert_eq!(tokens.authenticate(issued.expose(), now), Ok(workload()));
        let later = now + Duration::from_secs(60);
        assert_eq!(tokens.authenticate(issued.expose(), later), Err(TokenError::Expired));
    }

    #[test]
    fn forgets_the_oldest_when_there_are_too_many() {
        let now = SystemTime::now();
        let tokens = Tokens::new(&[]);
        let issue = || tokens.issue(workload(), Duration::from_secs(60), now).unwrap();
        let (first, second) = (issue(), issue());
        for _ in 2..=MAX_ISSUED {
            issue();
        }
        assert_eq!(tokens.authenticate(first.expose(), now), Err(TokenError::Unknown));
        assert_eq!(tokens.authenticate(second.expose(), now), Ok(workload()));
    }

    #[test]
    fn a_workload_enters_only_its_own_organization() {
        assert!(workload().covers("acme"));
        assert!(!workload().covers("other"));
        assert!(Principal::Dev.covers("other"));
    }
}
