//! The access tokens of a data directory that no server has open.

use std::{
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use super::{
    ConfigError, StorageError, access,
    audit::{Audit, AuditError, Entry, Outcome},
    audit_log, rfc3339,
    storage::{DATABASE, open_data},
    store::{Author, Database, Store, StoreError},
    tokens::{Holder, Token, TokenRefusal},
    unix_seconds,
};
use crate::secret::Secret;

/// Who does what is done without a server: whoever may write the directory.
pub(super) const ACTOR: &str = "local";

/// The tokens, while nobody else has them.
#[derive(Debug)]
pub struct KeptTokens {
    database: Database,
    audit: Audit,
}

/// Why tokens can't be managed.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct KeptTokensError(#[from] Kind);

#[derive(Debug, thiserror::Error)]
enum Kind {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Refused(#[from] TokenRefusal),
    #[error(transparent)]
    Audit(#[from] AuditError),
}

impl KeptTokens {
    /// Opens a data directory that is there. Blocks.
    pub fn open(directory: &Path, key: Option<PathBuf>) -> Result<Self, ConfigError> {
        let path = directory.join(DATABASE);
        if !path.exists() {
            let reason = "there is no such file".to_owned();
            return Err(StorageError::Database { path, reason }.into());
        }
        Self::open_or_create(directory, key)
    }

    /// Opens a data directory, or makes it. Blocks.
    pub fn open_or_create(directory: &Path, key: Option<PathBuf>) -> Result<Self, ConfigError> {
        let (database, _) = open_data(directory, key)?;
        Ok(Self { database, audit: Audit::open(&audit_log(directory))? })
    }

    /// All of them.
    pub fn list(&self) -> Result<Vec<Token>, KeptTokensError> {
        Ok(self.database.tokens().map_err(Kind::from)?)
    }

    /// Makes one: its id, and the token itself.
    pub fn create(
        &self,
        name: String,
        holder: Holder,
        lifetime: Option<Duration>,
    ) -> Result<(String, Secret), KeptTokensError> {
        let now = unix_seconds(SystemTime::now());
        let expires = lifetime.map(|lifetime| now.saturating_add(lifetime.as_secs()));
        let creator = Author { login: access::DEV_USER.to_owned(), name: ACTOR.to_owned() };
        let (kept, token) = Token::new(name, holder, expires, creator, now).map_err(Kind::from)?;
        // First: what can't be recorded is not done.
        self.record("token.create", now)?;
        self.database.add_token(&kept).map_err(Kind::from)?;
        Ok((kept.id, token))
    }

    /// Takes one away; tells whether it was there.
    pub fn revoke(&self, id: &str) -> Result<bool, KeptTokensError> {
        self.record("token.revoke", unix_seconds(SystemTime::now()))?;
        Ok(self.database.remove_token(id).map_err(Kind::from)?.is_some())
    }

    fn record(&self, action: &str, now: u64) -> Result<(), Kind> {
        let entry = Entry {
            time: rfc3339(now),
            action: action.to_owned(),
            actor: Some(ACTOR.to_owned()),
            subject: None,
            target: None,
            revision: None,
            status: 200,
            outcome: Outcome::Allowed,
            from: None,
        };
        let failed = |source| AuditError { path: PathBuf::from("audit.jsonl"), source };
        Ok(self.audit.record(&entry).map_err(failed)?)
    }
}
