//! What is done to a data directory while no server has it open: giving back room, and changing the key.
//!
//! The database seals with one key at a time, and holds what tells that key from others. A change of the key
//! rewrites every secret and this mark in one transaction: a crash at any moment leaves all of the secrets under
//! the old key or all of them under the new one, and both key files are there as long as it is not certain which.

use std::{
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use super::{
    ConfigError, StorageError,
    audit::{Audit, Entry},
    audit_log, keyfile, offline,
    storage::{DATABASE, KEY_CHECK, broken},
    store::{Database, StoreError},
    unix_seconds,
    vault::Vault,
};
use crate::secret::Secret;

/// How large a database was, and is, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compacted {
    /// Before.
    pub before: u64,
    /// After.
    pub after: u64,
}

/// What a change of the key has done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rekeyed {
    /// Definitions that were rewritten.
    pub definitions: usize,
    /// The file with the key that is needed from now on.
    pub key: PathBuf,
    /// Where the old key is, if it was moved.
    pub old: Option<PathBuf>,
}

/// Why a key can't be changed.
#[derive(Debug, thiserror::Error)]
pub enum RekeyError {
    /// What was given.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Nothing was ever sealed.
    #[error("{} has no key yet: its first server makes one", .0.display())]
    NoKeyYet(PathBuf),
    /// A secret can't be opened; nothing was changed.
    #[error("a secret in {} can't be opened with the old key: {reason}", path.display())]
    Unreadable {
        /// The database.
        path: PathBuf,
        /// Where, and why.
        reason: String,
    },
    /// The secrets are under the new key, and the files could not be put where they belong.
    #[error("the secrets are sealed with the key in {} now, which can't be moved to {}", from.display(), to.display())]
    Move {
        /// Where the new key is.
        from: PathBuf,
        /// Where it should be.
        to: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Gives the room of what is no longer in a database back to the file system. Blocks.
pub fn compact(data: &Path) -> Result<Compacted, ConfigError> {
    let path = data.join(DATABASE);
    let size = || fs::metadata(&path).map(|metadata| metadata.len()).unwrap_or_default();
    let mut database = existing(data)?;
    record(data, "store.compact")?;
    let before = size();
    database.compact().map_err(|error| broken(&path, &error))?;
    // What is open is as large as it may become next.
    drop(database);
    Ok(Compacted { before, after: size() })
}

/// Seals every secret with another key. Without `new`, the key file is replaced, and the old key kept beside it;
/// with it, both files stay where they are. A call that was cut off is to be made again. Blocks.
pub fn rekey(data: &Path, key: Option<PathBuf>, new: Option<&Path>) -> Result<Rekeyed, RekeyError> {
    let path = data.join(DATABASE);
    let database = existing(data)?;
    let check = database.meta(KEY_CHECK).map_err(|error| broken(&path, &error))?;
    let check = check.ok_or_else(|| RekeyError::NoKeyYet(path.clone()))?;
    let key = key.unwrap_or_else(|| data.join("key"));
    let fresh = new.map_or_else(|| beside(&key, "next"), Path::to_owned);
    let next = if fresh.exists() { Vault::read(&fresh) } else { Vault::create(&fresh) };
    let next = next.map_err(ConfigError::from)?;
    let mut definitions = 0;
    // Otherwise only the files are left to do.
    if !next.passes(&check) {
        let before = Vault::read(&key).map_err(ConfigError::from)?;
        if !before.passes(&check) {
            return Err(ConfigError::from(StorageError::OtherKey { data: path, key }).into());
        }
        record(data, "store.rekey")?;
        definitions = rewrite(&database, &path, &before, &next)?;
    }
    if new.is_some() {
        return Ok(Rekeyed { definitions, key: fresh, old: None });
    }
    let old = replace(&key).map_err(|source| RekeyError::Move { from: fresh, to: key.clone(), source })?;
    Ok(Rekeyed { definitions, key, old: Some(old) })
}

fn rewrite(database: &Database, path: &Path, before: &Vault, next: &Vault) -> Result<usize, RekeyError> {
    let check = next.check().map_err(|_| ConfigError::NoRandomness)?;
    let mut reason = None;
    let rewritten = database.rewrite((KEY_CHECK, &check), &mut |id, text| {
        let text = text.expose_str().ok_or(StoreError::Corrupt("a definition is no text"))?;
        next.reseal(before, id, text).map(Secret::from).map_err(|error| {
            reason = Some(format!("line {} of a definition: {}", error.begin.line, error.summary));
            StoreError::Corrupt("a secret can't be opened")
        })
    });
    rewritten.map_err(|error| match reason {
        Some(reason) => RekeyError::Unreadable { path: path.to_owned(), reason },
        None => broken(path, &error).into(),
    })
}

/// Puts the new key in the place of an old one that no longer is needed: there is a key at any moment.
fn replace(key: &Path) -> io::Result<PathBuf> {
    let old = if key.exists() { keep(key)? } else { beside(key, "old") };
    fs::rename(beside(key, "next"), key)?;
    keyfile::sync_directory(key)?;
    Ok(old)
}

/// Gives a key a second name, in no other's place: there may be backups for every key that ever was.
fn keep(key: &Path) -> io::Result<PathBuf> {
    let kept = fs::read(key).map(Secret::new)?;
    let mut old = beside(key, "old");
    let mut number = 1_u32;
    loop {
        match fs::hard_link(key, &old) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                // A call that was cut off has kept it.
                if fs::read(&old).map(Secret::new).is_ok_and(|old| old.expose() == kept.expose()) {
                    return Ok(old);
                }
                number = number.checked_add(1).ok_or(error)?;
                old = beside(key, &format!("old.{number}"));
            }
            linked => return linked.map(|()| old),
        }
    }
}

/// The new key, if a change to it was cut off when only the files were left to do.
pub(super) fn finish(key: &Path, check: &[u8]) -> Option<Vault> {
    let next = Vault::read(&beside(key, "next")).ok().filter(|next| next.passes(check))?;
    match replace(key) {
        Ok(_) => tracing::warn!("a change of the key was cut off: it is finished now"),
        // It works with the key all the same.
        Err(error) => tracing::warn!(%error, "a change of the key was cut off, and can't be finished"),
    }
    Some(next)
}

fn beside(key: &Path, extension: &str) -> PathBuf {
    let mut name = key.file_name().unwrap_or(OsStr::new("key")).to_owned();
    name.push(".");
    name.push(extension);
    key.with_file_name(name)
}

fn existing(data: &Path) -> Result<Database, ConfigError> {
    let path = data.join(DATABASE);
    if !path.exists() {
        let reason = "there is no such file".to_owned();
        return Err(StorageError::Database { path, reason }.into());
    }
    Database::open(&path).map_err(|error| broken(&path, &error))
}

/// First: what can't be recorded is not done.
fn record(data: &Path, action: &str) -> Result<(), ConfigError> {
    let path = audit_log(data);
    let entry = Entry {
        actor: Some(offline::ACTOR.to_owned()),
        ..Entry::new(unix_seconds(SystemTime::now()), action, 200)
    };
    let failed = |source| super::audit::AuditError { path: path.clone(), source };
    Ok(Audit::open(&path)?.record(&entry).map_err(failed)?)
}
