//! What is done to a data directory while no server has it open: giving back room, and changing the key.
//!
//! The database seals with one key at a time, and holds what tells that key from others. A change of the key
//! rewrites every secret and this mark in one transaction: a crash at any moment leaves all of the secrets under
//! the old key or all of them under the new one, and both key files are there as long as it is not certain which.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use super::{
    ConfigError,
    audit::{self, Audit, AuditError, Entry},
    datadir::{DATABASE, KEY_CHECK, StorageError, audit_log, broken, existing},
    keychange,
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
    let fresh = new.map_or_else(|| keychange::beside(&key, "next"), Path::to_owned);
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
    let old = keychange::replace(&key).map_err(|source| RekeyError::Move {
        from: fresh,
        to: key.clone(),
        source,
    })?;
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

/// First: what can't be recorded is not done.
fn record(data: &Path, action: &str) -> Result<(), ConfigError> {
    let path = audit_log(data);
    let entry = Entry {
        actor: Some(audit::LOCAL.to_owned()),
        ..Entry::new(unix_seconds(SystemTime::now()), action, 200)
    };
    let failed = |source| AuditError { path: path.clone(), source };
    Ok(Audit::open(&path)?.record(&entry).map_err(failed)?)
}
