//! The tables of the database, and how records lie in them.

use std::sync::Arc;

use redb::{ReadableTable, TableDefinition, WriteTransaction};
use serde::{Serialize, de::DeserializeOwned};

use super::{super::names::EnvironmentName, Environment, New, Revision, StoreError};
use crate::{lang::MAX_DOCUMENT, secret::Secret};

pub(super) const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
pub(super) const ORGANIZATIONS: TableDefinition<'_, &str, ()> = TableDefinition::new("organizations");
/// By full name. No name holds a slash, so those of an organization lie side by side.
pub(super) const ENVIRONMENTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("environments");
/// By full name and the environment's id: a name may be used and deleted again and again.
pub(super) const DELETED: TableDefinition<'_, (&str, u128), &[u8]> = TableDefinition::new("deleted");
pub(super) const REVISIONS: TableDefinition<'_, (u128, u64), &[u8]> = TableDefinition::new("revisions");
pub(super) const TOKENS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("tokens");
pub(super) const DEFINITIONS: TableDefinition<'_, (u128, u64), &[u8]> = TableDefinition::new("definitions");

pub(super) fn failed(error: impl Into<redb::Error>) -> StoreError {
    StoreError::Database(Arc::new(error.into()))
}

pub(super) fn encode(record: &impl Serialize) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(record).map_err(|_| StoreError::Corrupt("a record can't be written"))
}

pub(super) fn decode<T: DeserializeOwned>(record: &[u8]) -> Result<T, StoreError> {
    // The reason could quote the record.
    serde_json::from_slice(record).map_err(|_| StoreError::Corrupt("a record can't be read"))
}

pub(super) fn split(key: &str) -> Result<EnvironmentName, StoreError> {
    let mut parts = key.splitn(3, '/');
    parts
        .next()
        .zip(parts.next())
        .zip(parts.next())
        .and_then(|((organization, project), environment)| {
            EnvironmentName::new(organization, project, environment)
        })
        .ok_or(StoreError::Corrupt("a name can't be read"))
}

pub(super) fn find(
    environments: &impl ReadableTable<&'static str, &'static [u8]>,
    name: &EnvironmentName,
) -> Result<Environment, StoreError> {
    match environments.get(name.to_string().as_str()).map_err(failed)? {
        Some(record) => decode(record.value()),
        None => Err(StoreError::NoEnvironment(name.clone())),
    }
}

pub(super) fn revision(
    revisions: &impl ReadableTable<(u128, u64), &'static [u8]>,
    environment: &Environment,
    number: u64,
) -> Result<Revision, StoreError> {
    match revisions.get((environment.id.0, number)).map_err(failed)? {
        Some(record) => decode(record.value()),
        None => Err(StoreError::Corrupt("a revision is missing")),
    }
}

pub(super) fn insert(tables: &WriteTransaction, new: &New) -> Result<(), StoreError> {
    let organization = new.name.organization();
    if tables.open_table(ORGANIZATIONS).map_err(failed)?.get(organization).map_err(failed)?.is_none() {
        return Err(StoreError::NoOrganization(organization.to_owned()));
    }
    let key = new.name.to_string();
    let mut environments = tables.open_table(ENVIRONMENTS).map_err(failed)?;
    if environments.get(key.as_str()).map_err(failed)?.is_some() {
        return Err(StoreError::Exists(new.name.clone()));
    }
    environments.insert(key.as_str(), encode(&new.environment)?.as_slice()).map_err(failed)?;
    for (revision, text) in &new.revisions {
        append(tables, &new.environment, revision, text)?;
    }
    Ok(())
}

pub(super) fn append(
    tables: &WriteTransaction,
    environment: &Environment,
    revision: &Revision,
    text: &Secret,
) -> Result<(), StoreError> {
    // It could be read, and never opened.
    if text.len() > MAX_DOCUMENT {
        return Err(StoreError::TooLarge);
    }
    let key = (environment.id.0, revision.number);
    let mut revisions = tables.open_table(REVISIONS).map_err(failed)?;
    revisions.insert(key, encode(revision)?.as_slice()).map_err(failed)?;
    let mut definitions = tables.open_table(DEFINITIONS).map_err(failed)?;
    definitions.insert(key, text.expose()).map_err(failed)?;
    Ok(())
}
