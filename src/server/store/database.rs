//! Environments in an embedded database: one file, or memory.
//!
//! Every call is one transaction. A change is on the disk, synced, before it is acknowledged; a crash leaves the
//! state before or after it. Readers see one moment and wait for nobody.

use std::path::Path;

use redb::{
    Builder, ReadTransaction, ReadableDatabase, ReadableTable, ReadableTableMetadata, WriteTransaction,
    backends::InMemoryBackend,
};

use super::{
    super::{
        names::{EnvironmentName, Version},
        people::Author,
        tokens::Token,
    },
    Definition, Environment, EnvironmentId, New, Page, Retraction, Revision, Rule, Store, StoreError,
    tables::{
        DEFINITIONS, DELETED, ENVIRONMENTS, META, ORGANIZATIONS, REVISIONS, TOKENS, append, decode, encode,
        failed, find, insert, revision, split,
    },
};
use crate::secret::Secret;

/// Pages that are kept in memory, in bytes. Definitions are a few KiB each.
const CACHE: usize = 16 << 20;

/// Tokens that are kept. All of them are in memory, too.
const MAX_TOKENS: u64 = 100_000;

/// What the tables mean. Raised when that changes.
const FORMAT: u64 = 1;

/// A database of environments.
#[derive(Debug)]
pub(in crate::server) struct Database(redb::Database);

impl Database {
    /// Opens a file, or makes it. Nobody else may have it open.
    pub(in crate::server) fn open(path: &Path) -> Result<Self, StoreError> {
        let opened = Builder::new().set_cache_size(CACHE).create(path);
        Self::prepare(opened.map_err(|error| match error {
            redb::DatabaseError::DatabaseAlreadyOpen => StoreError::Busy,
            error => failed(error),
        })?)
    }

    /// An empty one that is gone when it is dropped.
    pub(in crate::server) fn in_memory() -> Result<Self, StoreError> {
        let backend = InMemoryBackend::new();
        Self::prepare(Builder::new().set_cache_size(CACHE).create_with_backend(backend).map_err(failed)?)
    }

    fn prepare(database: redb::Database) -> Result<Self, StoreError> {
        let this = Self(database);
        this.write(|tables| {
            let mut meta = tables.open_table(META).map_err(failed)?;
            let format = meta.get("format").map_err(failed)?.map(|value| decode::<u64>(value.value()));
            match format.transpose()? {
                None => {
                    meta.insert("format", encode(&FORMAT)?.as_slice()).map_err(failed)?;
                }
                Some(FORMAT) => {}
                Some(_) => return Err(StoreError::Corrupt("another release of this program has written it")),
            }
            // Made once, so that readers never miss one.
            tables.open_table(ORGANIZATIONS).map_err(failed)?;
            tables.open_table(ENVIRONMENTS).map_err(failed)?;
            tables.open_table(DELETED).map_err(failed)?;
            tables.open_table(REVISIONS).map_err(failed)?;
            tables.open_table(DEFINITIONS).map_err(failed)?;
            tables.open_table(TOKENS).map_err(failed)?;
            Ok(())
        })?;
        Ok(this)
    }

    /// What was kept under a name beside the environments.
    pub(in crate::server) fn meta(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let meta = self.read()?.open_table(META).map_err(failed)?;
        let value = meta.get(name).map_err(failed)?.map(|value| value.value().to_vec());
        Ok(value)
    }

    /// Keeps something under a name.
    pub(in crate::server) fn set_meta(&self, name: &str, value: &[u8]) -> Result<(), StoreError> {
        self.write(|tables| {
            tables.open_table(META).map_err(failed)?.insert(name, value).map_err(failed)?;
            Ok(())
        })
    }

    /// Makes sure that these organizations exist.
    pub(in crate::server) fn add_organizations(&self, names: &[String]) -> Result<(), StoreError> {
        self.write(|tables| {
            let mut organizations = tables.open_table(ORGANIZATIONS).map_err(failed)?;
            for name in names {
                organizations.insert(name.as_str(), ()).map_err(failed)?;
            }
            Ok(())
        })
    }

    /// Whether there never was an environment in it.
    pub(in crate::server) fn is_empty(&self) -> Result<bool, StoreError> {
        let revisions = self.read()?.open_table(REVISIONS).map_err(failed)?;
        let first = revisions.first().map_err(failed)?;
        Ok(first.is_none())
    }

    /// Gives the room of what is no longer there back to the file system, as far as that is possible.
    pub(in crate::server) fn compact(&mut self) -> Result<(), StoreError> {
        // Each round moves what it can; the last one finds nothing to move.
        while self.0.compact().map_err(failed)? {}
        Ok(())
    }

    /// Rewrites every definition, those of deleted environments included, and what is kept under a name: all at
    /// once or nothing. Gives how many definitions there are.
    pub(in crate::server) fn rewrite(
        &self,
        (name, value): (&str, &[u8]),
        rewrite: &mut dyn FnMut(EnvironmentId, Secret) -> Result<Secret, StoreError>,
    ) -> Result<usize, StoreError> {
        self.write(|tables| {
            let mut definitions = tables.open_table(DEFINITIONS).map_err(failed)?;
            let keys = definitions.iter().map_err(failed)?;
            let keys: Vec<_> =
                keys.map(|entry| Ok(entry.map_err(failed)?.0.value())).collect::<Result<_, StoreError>>()?;
            for key in &keys {
                let text =
                    definitions.get(*key).map_err(failed)?.map(|text| Secret::new(text.value().to_vec()));
                let text = text.ok_or(StoreError::Corrupt("a definition is missing"))?;
                let text = rewrite(EnvironmentId(key.0), text)?;
                definitions.insert(*key, text.expose()).map_err(failed)?;
            }
            tables.open_table(META).map_err(failed)?.insert(name, value).map_err(failed)?;
            Ok(keys.len())
        })
    }

    /// Adds several environments, all or none.
    pub(in crate::server) fn create_all(&self, all: &[New]) -> Result<(), StoreError> {
        self.write(|tables| all.iter().try_for_each(|new| insert(tables, new)))
    }

    fn read(&self) -> Result<ReadTransaction, StoreError> {
        self.0.begin_read().map_err(failed)
    }

    /// Runs a change; what fails leaves nothing behind.
    fn write<T>(
        &self,
        change: impl FnOnce(&WriteTransaction) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut transaction = self.0.begin_write().map_err(failed)?;
        // The other way trusts a checksum that somebody who chooses what is written could forge.
        transaction.set_two_phase_commit(true);
        match change(&transaction) {
            Ok(result) => {
                transaction.commit().map_err(failed)?;
                Ok(result)
            }
            Err(error) => {
                transaction.abort().map_err(failed)?;
                Err(error)
            }
        }
    }

    /// Reads an environment, lets it be changed, and writes it back.
    fn change<T>(
        &self,
        name: &EnvironmentName,
        change: impl FnOnce(&WriteTransaction, &mut Environment) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.write(|tables| {
            let key = name.to_string();
            let mut environment = {
                let environments = tables.open_table(ENVIRONMENTS).map_err(failed)?;
                find(&environments, name)?
            };
            let result = change(tables, &mut environment)?;
            let mut environments = tables.open_table(ENVIRONMENTS).map_err(failed)?;
            environments.insert(key.as_str(), encode(&environment)?.as_slice()).map_err(failed)?;
            Ok(result)
        })
    }
}

impl Store for Database {
    fn organizations(&self) -> Result<Vec<String>, StoreError> {
        let organizations = self.read()?.open_table(ORGANIZATIONS).map_err(failed)?;
        let names = organizations.iter().map_err(failed)?;
        names.map(|entry| Ok(entry.map_err(failed)?.0.value().to_owned())).collect()
    }

    fn has_organization(&self, name: &str) -> Result<bool, StoreError> {
        let organizations = self.read()?.open_table(ORGANIZATIONS).map_err(failed)?;
        let found = organizations.get(name).map_err(failed)?;
        Ok(found.is_some())
    }

    fn list(
        &self,
        organization: &str,
        page: Page<Option<&EnvironmentName>>,
    ) -> Result<Vec<(EnvironmentName, Environment)>, StoreError> {
        let prefix = format!("{organization}/");
        // Just behind the name: nothing sorts between it and the name with a zero byte.
        let start = page.after.map_or_else(|| prefix.clone(), |name| format!("{name}\0"));
        let environments = self.read()?.open_table(ENVIRONMENTS).map_err(failed)?;
        let mut found = Vec::new();
        for entry in environments.range(start.as_str()..).map_err(failed)?.take(page.count) {
            let (key, record) = entry.map_err(failed)?;
            if !key.value().starts_with(&prefix) {
                break;
            }
            found.push((split(key.value())?, decode(record.value())?));
        }
        Ok(found)
    }

    fn environment(&self, name: &EnvironmentName) -> Result<Environment, StoreError> {
        find(&self.read()?.open_table(ENVIRONMENTS).map_err(failed)?, name)
    }

    fn definition(&self, name: &EnvironmentName, version: &Version) -> Result<Definition, StoreError> {
        let tables = self.read()?;
        let environment = find(&tables.open_table(ENVIRONMENTS).map_err(failed)?, name)?;
        let number = environment.resolve(version).ok_or_else(|| StoreError::NoVersion {
            environment: name.clone(),
            version: version.clone(),
            hint: "",
        })?;
        let revision = revision(&tables.open_table(REVISIONS).map_err(failed)?, &environment, number)?;
        if let Some(retraction) = revision.retracted {
            return Err(StoreError::Retracted {
                environment: name.clone(),
                number,
                replacement: retraction.replacement,
                reason: retraction.reason,
            });
        }
        let definitions = tables.open_table(DEFINITIONS).map_err(failed)?;
        let text = match definitions.get((environment.id.0, number)).map_err(failed)? {
            Some(text) => Secret::new(text.value().to_vec()),
            None => return Err(StoreError::Corrupt("a definition is missing")),
        };
        Ok(Definition { environment, revision, text })
    }

    fn history(
        &self,
        name: &EnvironmentName,
        page: Page<Option<u64>>,
    ) -> Result<(Environment, Vec<Revision>), StoreError> {
        let tables = self.read()?;
        let environment = find(&tables.open_table(ENVIRONMENTS).map_err(failed)?, name)?;
        let id = environment.id.0;
        let end = page.after.unwrap_or(u64::MAX);
        let revisions = tables.open_table(REVISIONS).map_err(failed)?;
        let newest_first = revisions.range((id, 0)..(id, end)).map_err(failed)?.rev().take(page.count);
        let found = newest_first
            .map(|entry| decode(entry.map_err(failed)?.1.value()))
            .collect::<Result<_, StoreError>>()?;
        Ok((environment, found))
    }

    fn create(&self, new: New) -> Result<(), StoreError> {
        self.write(|tables| insert(tables, &new))
    }

    fn update(
        &self,
        name: &EnvironmentName,
        expected: Option<&str>,
        text: &Secret,
        by: &Author,
        now: u64,
    ) -> Result<Environment, StoreError> {
        self.change(name, |tables, environment| {
            if expected.is_some_and(|expected| expected != environment.etag) {
                return Err(StoreError::Changed(name.clone()));
            }
            environment.advance(now);
            let revision =
                Revision { number: environment.latest, created: now, creator: by.clone(), retracted: None };
            append(tables, environment, &revision, text)?;
            Ok(environment.clone())
        })
    }

    fn modify(
        &self,
        name: &EnvironmentName,
        change: &mut dyn FnMut(&mut Environment) -> Result<(), Rule>,
    ) -> Result<Environment, StoreError> {
        self.change(name, |_, environment| {
            change(environment)?;
            Ok(environment.clone())
        })
    }

    fn retract(
        &self,
        name: &EnvironmentName,
        number: u64,
        replacement: Option<u64>,
        mut retraction: Retraction,
    ) -> Result<(), StoreError> {
        self.change(name, |tables, environment| {
            let mut revisions = tables.open_table(REVISIONS).map_err(failed)?;
            let id = environment.id.0;
            let replacement = {
                let of = environment.clone();
                let is_retracted =
                    |number| Ok::<_, StoreError>(revision(&revisions, &of, number)?.retracted.is_some());
                environment.retract(number, replacement, is_retracted)?
            };
            let mut withdrawn = revision(&revisions, environment, number)?;
            retraction.replacement = Some(replacement);
            withdrawn.retracted = Some(retraction);
            revisions.insert((id, number), encode(&withdrawn)?.as_slice()).map_err(failed)?;
            Ok(())
        })
    }

    fn delete(&self, name: &EnvironmentName, now: u64) -> Result<(), StoreError> {
        self.write(|tables| {
            let key = name.to_string();
            let mut environments = tables.open_table(ENVIRONMENTS).map_err(failed)?;
            let mut environment = find(&environments, name)?;
            if environment.protected {
                return Err(StoreError::Protected(name.clone()));
            }
            environments.remove(key.as_str()).map_err(failed)?;
            environment.deleted = Some(now);
            let mut deleted = tables.open_table(DELETED).map_err(failed)?;
            let record = encode(&environment)?;
            deleted.insert((key.as_str(), environment.id.0), record.as_slice()).map_err(failed)?;
            Ok(())
        })
    }

    fn deleted(&self, organization: &str) -> Result<Vec<(EnvironmentName, Environment)>, StoreError> {
        let prefix = format!("{organization}/");
        let deleted = self.read()?.open_table(DELETED).map_err(failed)?;
        let mut found: Vec<(EnvironmentName, Environment)> = Vec::new();
        for entry in deleted.range((prefix.as_str(), 0)..).map_err(failed)? {
            let (key, record) = entry.map_err(failed)?;
            let (name, _) = key.value();
            if !name.starts_with(&prefix) {
                break;
            }
            found.push((split(name)?, decode(record.value())?));
        }
        found.sort_by_key(|(_, environment)| std::cmp::Reverse(environment.deleted));
        Ok(found)
    }

    fn restore(&self, name: &EnvironmentName) -> Result<(), StoreError> {
        self.write(|tables| {
            let key = name.to_string();
            let mut environments = tables.open_table(ENVIRONMENTS).map_err(failed)?;
            if environments.get(key.as_str()).map_err(failed)?.is_some() {
                return Err(StoreError::Exists(name.clone()));
            }
            let mut deleted = tables.open_table(DELETED).map_err(failed)?;
            let mut newest: Option<Environment> = None;
            for entry in deleted.range((key.as_str(), 0)..=(key.as_str(), u128::MAX)).map_err(failed)? {
                let environment: Environment = decode(entry.map_err(failed)?.1.value())?;
                if newest.as_ref().is_none_or(|newest| newest.deleted < environment.deleted) {
                    newest = Some(environment);
                }
            }
            let mut environment = newest.ok_or_else(|| StoreError::NoEnvironment(name.clone()))?;
            deleted.remove((key.as_str(), environment.id.0)).map_err(failed)?;
            environment.deleted = None;
            environments.insert(key.as_str(), encode(&environment)?.as_slice()).map_err(failed)?;
            Ok(())
        })
    }

    fn tokens(&self) -> Result<Vec<Token>, StoreError> {
        let tokens = self.read()?.open_table(TOKENS).map_err(failed)?;
        let all = tokens.iter().map_err(failed)?;
        all.map(|entry| decode(entry.map_err(failed)?.1.value())).collect()
    }

    fn add_token(&self, token: &Token) -> Result<(), StoreError> {
        self.write(|tables| {
            let mut tokens = tables.open_table(TOKENS).map_err(failed)?;
            if tokens.len().map_err(failed)? >= MAX_TOKENS {
                return Err(StoreError::TooManyTokens);
            }
            tokens.insert(token.id.as_str(), encode(token)?.as_slice()).map_err(failed)?;
            Ok(())
        })
    }

    fn remove_token(&self, id: &str) -> Result<Option<Token>, StoreError> {
        self.write(|tables| {
            let mut tokens = tables.open_table(TOKENS).map_err(failed)?;
            let removed = tokens.remove(id).map_err(failed)?;
            removed.map(|record| decode(record.value())).transpose()
        })
    }
}
