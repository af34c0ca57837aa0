//! The access tokens and the grants of a data directory that no server has open.

use std::{
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use super::{
    ConfigError,
    audit::{self, Audit, AuditError, Entry},
    datadir::{self, audit_log},
    names::EnvironmentName,
    people::{Author, Grantee},
    principal::DEV_USER,
    right::Right,
    storage::open_data,
    store::{Database, Environment, Store, StoreError, described, require_organization},
    tokens::{Holder, Token, TokenRefusal, check_grantee},
    unix_seconds,
};
use crate::secret::Secret;

/// What is kept, while nobody else has it.
#[derive(Debug)]
pub struct Kept {
    database: Database,
    audit: Audit,
}

/// Why it can't be managed.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct KeptError(#[from] Kind);

#[derive(Debug, thiserror::Error)]
enum Kind {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Refused(#[from] TokenRefusal),
    #[error("`{0}` is no organization/project/environment")]
    Name(String),
    #[error(transparent)]
    Audit(#[from] AuditError),
}

impl Kept {
    /// Opens a data directory that is there. Blocks.
    pub fn open(directory: &Path, key: Option<PathBuf>) -> Result<Self, ConfigError> {
        datadir::database(directory)?;
        Self::open_or_create(directory, key)
    }

    /// Opens a data directory, or makes it. Blocks.
    pub fn open_or_create(directory: &Path, key: Option<PathBuf>) -> Result<Self, ConfigError> {
        let (database, _) = open_data(directory, key)?;
        Ok(Self { database, audit: Audit::open(&audit_log(directory))? })
    }

    /// All of them.
    pub fn list(&self) -> Result<Vec<Token>, KeptError> {
        Ok(self.database.tokens().map_err(Kind::from)?)
    }

    /// Makes one: its id, and the token itself.
    pub fn create(
        &self,
        name: String,
        holder: Holder,
        lifetime: Option<Duration>,
    ) -> Result<(String, Secret), KeptError> {
        let now = unix_seconds(SystemTime::now());
        let expires = lifetime.map(|lifetime| now.saturating_add(lifetime.as_secs()));
        let creator = Author { login: DEV_USER.to_owned(), name: audit::LOCAL.to_owned() };
        let (kept, token) = Token::new(name, holder, expires, creator, now).map_err(Kind::from)?;
        if let Some(organization) = kept.holder.organization() {
            require_organization(&self.database, organization).map_err(Kind::from)?;
        }
        // First: what can't be recorded is not done.
        self.record("token.create", None, kept.noted(), now)?;
        self.database.add_token(&kept).map_err(Kind::from)?;
        Ok((kept.id, token))
    }

    /// Takes one away; tells whether it was there.
    pub fn revoke(&self, id: &str) -> Result<bool, KeptError> {
        let tokens = self.database.tokens().map_err(Kind::from)?;
        // Nobody else has the database: what is there now is there when it is taken away.
        let Some(token) = tokens.iter().find(|token| token.id == id) else { return Ok(false) };
        self.record("token.revoke", None, token.noted(), unix_seconds(SystemTime::now()))?;
        Ok(self.database.remove_token(id).map_err(Kind::from)?.is_some())
    }

    /// What teams and users were given of an environment (`organization/project/environment`).
    pub fn grants(&self, environment: &str) -> Result<Vec<(Grantee, Right)>, KeptError> {
        let name = named(environment)?;
        Ok(self.database.environment(&name).map_err(Kind::from)?.grants.all().collect())
    }

    /// Gives a right on an environment, or takes away what was given.
    pub fn grant(&self, environment: &str, grantee: &Grantee, right: Option<Right>) -> Result<(), KeptError> {
        let name = named(environment)?;
        check_grantee(grantee).map_err(Kind::from)?;
        require_organization(&self.database, name.organization()).map_err(Kind::from)?;
        // On a copy first: what is refused has not happened, and must not be told as if it had.
        let mut tried = self.database.environment(&name).map_err(Kind::from)?;
        tried.grants.set(grantee, right).map_err(|rule| Kind::from(StoreError::from(rule)))?;
        let detail = described(grantee, right);
        self.record("grant.change", Some(&name), detail, unix_seconds(SystemTime::now()))?;
        let set = &mut |environment: &mut Environment| environment.grants.set(grantee, right);
        self.database.modify(&name, set).map_err(Kind::from)?;
        Ok(())
    }

    fn record(
        &self,
        action: &str,
        target: Option<&EnvironmentName>,
        detail: String,
        now: u64,
    ) -> Result<(), Kind> {
        let entry = Entry {
            actor: Some(audit::LOCAL.to_owned()),
            target: target.map(ToString::to_string),
            detail: Some(detail),
            ..Entry::new(now, action, 200)
        };
        let failed = |source| AuditError { path: PathBuf::from("audit.jsonl"), source };
        Ok(self.audit.record(&entry).map_err(failed)?)
    }
}

fn named(text: &str) -> Result<EnvironmentName, Kind> {
    let mut parts = text.split('/');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(organization), Some(project), Some(environment), None) => {
            EnvironmentName::new(organization, project, environment)
        }
        _ => None,
    }
    .ok_or_else(|| Kind::Name(text.to_owned()))
}
