//! Where environments come from and where they are kept: one trait, a directory of files and a database.
//!
//! A store knows nothing of secrets, identities or the wire: it keeps texts whose secrets are ciphertexts already,
//! and says what it has. The rules of revisions and tags stand in [`environment`], so that no store has its own.

use std::{fmt, io, sync::Arc};

use super::{
    names::{EnvironmentName, Version, listed},
    people::Author,
    tokens::Token,
};
use crate::{lang::MAX_DOCUMENT, secret::Secret};

mod database;
pub(super) mod environment;
mod files;
mod grants;
mod rule;
mod tables;

pub(super) use database::Database;
pub(super) use environment::{Environment, EnvironmentId};
pub(super) use files::Files;
pub(super) use grants::{Grants, described};
pub(super) use rule::Rule;

/// A definition with everything that is known of it.
#[derive(Debug, Clone)]
pub(super) struct Definition {
    /// The environment as it was when the definition was read.
    pub(super) environment: Environment,
    /// The revision that was found.
    pub(super) revision: Revision,
    /// Its text. Secrets of a database are ciphertexts; those of files are as people wrote them.
    pub(super) text: Secret,
}

pub(super) use environment::{Retraction, Revision};

/// A new environment.
#[derive(Debug)]
pub(super) struct New {
    pub(super) name: EnvironmentName,
    pub(super) environment: Environment,
    /// Its revisions, from 1 on, with their texts. At least one.
    pub(super) revisions: Vec<(Revision, Secret)>,
}

/// Which answers are wanted of a list: those after a name, so many of them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Page<T> {
    pub(super) after: T,
    pub(super) count: usize,
}

/// Keeps environments. Every call blocks; every change is durable when it returns, whole or not at all.
pub(super) trait Store: fmt::Debug + Send + Sync {
    /// The organizations, in order of their names.
    fn organizations(&self) -> Result<Vec<String>, StoreError>;

    /// Whether there is such an organization.
    fn has_organization(&self, name: &str) -> Result<bool, StoreError>;

    /// The environments of an organization in order of their names.
    fn list(
        &self,
        organization: &str,
        page: Page<Option<&EnvironmentName>>,
    ) -> Result<Vec<(EnvironmentName, Environment)>, StoreError>;

    /// An environment without its texts.
    fn environment(&self, name: &EnvironmentName) -> Result<Environment, StoreError>;

    /// One revision, all of it from one moment.
    fn definition(&self, name: &EnvironmentName, version: &Version) -> Result<Definition, StoreError>;

    /// Revisions below a number, newest first.
    fn history(
        &self,
        name: &EnvironmentName,
        page: Page<Option<u64>>,
    ) -> Result<(Environment, Vec<Revision>), StoreError>;

    /// Adds an environment.
    fn create(&self, new: New) -> Result<(), StoreError>;

    /// Adds a revision on top, if `expected` still is the newest one's tag. Gives its number.
    fn update(
        &self,
        name: &EnvironmentName,
        expected: Option<&str>,
        text: &Secret,
        by: &Author,
        now: u64,
    ) -> Result<Environment, StoreError>;

    /// Changes what is kept of an environment beside its revisions.
    fn modify(
        &self,
        name: &EnvironmentName,
        change: &mut dyn FnMut(&mut Environment) -> Result<(), Rule>,
    ) -> Result<Environment, StoreError>;

    /// Withdraws a revision.
    fn retract(
        &self,
        name: &EnvironmentName,
        number: u64,
        replacement: Option<u64>,
        retraction: Retraction,
    ) -> Result<(), StoreError>;

    /// Takes an environment away; it can be restored.
    fn delete(&self, name: &EnvironmentName, now: u64) -> Result<(), StoreError>;

    /// What was taken away and can be restored, the latest first.
    fn deleted(&self, organization: &str) -> Result<Vec<(EnvironmentName, Environment)>, StoreError>;

    /// Brings back the environment of this name that was taken away last.
    fn restore(&self, name: &EnvironmentName) -> Result<(), StoreError>;

    /// The access tokens that are kept, in no particular order.
    fn tokens(&self) -> Result<Vec<Token>, StoreError>;

    /// Keeps an access token.
    fn add_token(&self, token: &Token) -> Result<(), StoreError>;

    /// Takes a token away, and gives it if it was there.
    fn remove_token(&self, id: &str) -> Result<Option<Token>, StoreError>;
}

/// Refuses an organization that is not there, in words for somebody who may know all of them.
pub(super) fn require_organization(store: &dyn Store, name: &str) -> Result<(), StoreError> {
    if store.has_organization(name)? {
        return Ok(());
    }
    Err(StoreError::UnknownOrganization { name: name.to_owned(), known: store.organizations()? })
}

/// Why a store can't do what it should.
#[derive(Debug, thiserror::Error)]
pub(super) enum StoreError {
    #[error("organization `{0}` does not exist")]
    NoOrganization(String),
    #[error("organization `{name}` does not exist: there {}{}", listed(known), made_by(name, known))]
    UnknownOrganization { name: String, known: Vec<String> },
    #[error("environment `{0}` does not exist")]
    NoEnvironment(EnvironmentName),
    #[error("environment `{environment}` has no version `{version}`{hint}")]
    NoVersion { environment: EnvironmentName, version: Version, hint: &'static str },
    #[error("revision {number} of `{environment}` was retracted{}{}", because(reason.as_deref()), instead(*replacement))]
    Retracted { environment: EnvironmentName, number: u64, replacement: Option<u64>, reason: Option<String> },
    #[error("environment `{0}` already exists")]
    Exists(EnvironmentName),
    #[error("environment `{0}` has changed since it was read")]
    Changed(EnvironmentName),
    #[error("environment `{0}` is protected from deletion: take the protection off in its settings first")]
    Protected(EnvironmentName),
    #[error("this server reads files and changes nothing: start it with --data DIR or --dev")]
    ReadOnly,
    #[error("the definition, with its secrets sealed, is larger than {MAX_DOCUMENT} bytes")]
    TooLarge,
    #[error("there are as many access tokens as can be kept: revoke some")]
    TooManyTokens,
    #[error(transparent)]
    Rule(#[from] Rule),
    #[error("the definition of `{environment}` can't be read")]
    Unreadable { environment: EnvironmentName, source: io::Error },
    #[error("the directory can't be read")]
    Directory(#[source] io::Error),
    #[error(
        "another process has it open, probably a server: stop that, or ask it with --api-url where the command has it"
    )]
    Busy,
    #[error("the database fails")]
    Database(#[source] Arc<redb::Error>),
    #[error("what the database holds can't be understood: {0}")]
    Corrupt(&'static str),
}

fn made_by(name: &str, known: &[String]) -> String {
    let hint = || format!(" yet; the server makes it when it is started with --organization {name}");
    if known.is_empty() { hint() } else { String::new() }
}

fn because(reason: Option<&str>) -> String {
    reason.map(|reason| format!(": {reason}")).unwrap_or_default()
}

fn instead(replacement: Option<u64>) -> String {
    replacement.map(|number| format!("; revision {number} replaces it")).unwrap_or_default()
}
