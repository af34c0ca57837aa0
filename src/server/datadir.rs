//! A data directory: what lies in it, who else can get at it, and why it can't be used.

use std::{
    fs::{self, Metadata, Permissions},
    io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use super::{
    ConfigError,
    store::{Database, StoreError},
};
use crate::exposure;

/// The database in a data directory.
pub(super) const DATABASE: &str = "esc.redb";

/// Where the database keeps what tells its key from others.
pub(super) const KEY_CHECK: &str = "key-check";

/// Why what is kept can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The data directory.
    #[error("can't use {} as the data directory", path.display())]
    Directory {
        /// As it was given.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Anybody could put another database or key into it.
    #[error("everybody on this machine can change what is in the data directory {0}: chmod 700 {0}, or, where that can't be, as with \
             volumes of pods, give --data a directory in it", path.display())]
    Mode {
        /// As it was given.
        path: PathBuf,
    },
    /// The database in it.
    #[error("can't open {}: {reason}", path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// There are secrets, and not the key that they were sealed with.
    #[error("the secrets in {} are sealed with another key than the one in {}", data.display(), key.display())]
    OtherKey {
        /// The database.
        data: PathBuf,
        /// The key file.
        key: PathBuf,
    },
    /// There is a database, and no key.
    #[error("{} is missing, and the secrets in {} can't be read without it", key.display(), data.display())]
    NoKey {
        /// The database.
        data: PathBuf,
        /// Where the key should be.
        key: PathBuf,
    },
    /// A file to begin with.
    #[error("can't import {what}: {reason}")]
    Import {
        /// Which one.
        what: String,
        /// Why.
        reason: String,
    },
}

/// The audit log in a data directory.
pub fn audit_log(data: &Path) -> PathBuf {
    data.join("audit.jsonl")
}

/// The database of a directory that has one, and that nobody else can change. Blocks.
pub(super) fn database(data: &Path) -> Result<PathBuf, ConfigError> {
    let path = data.join(DATABASE);
    if !path.exists() {
        let reason = format!(
            "there is no such file: make an operator's token with `esc-injector server token create --name NAME --data {0}`, \
             then start a server with `--data {0}` and `--organization NAME`",
            data.display()
        );
        return Err(StorageError::Database { path, reason }.into());
    }
    let unusable = |source| StorageError::Directory { path: data.to_owned(), source };
    guarded(data, &fs::metadata(data).map_err(unusable)?)?;
    Ok(path)
}

/// Opens a database that is there. Blocks.
pub(super) fn existing(data: &Path) -> Result<Database, ConfigError> {
    let path = database(data)?;
    Database::open(&path).map_err(|error| broken(&path, &error))
}

/// Refuses a directory of ours that everybody can change, and warns of what is less, or is not for us to mend: the volumes
/// of pods are often root's, and open to everybody.
pub(super) fn guarded(path: &Path, metadata: &Metadata) -> Result<(), StorageError> {
    let (ours, mode) = (exposure::is_ours(metadata), format!("{:04o}", metadata.mode() & 0o7777));
    match (exposure::can_be_changed_by_everybody(metadata), ours) {
        (true, true) => return Err(StorageError::Mode { path: path.to_owned() }),
        (true, false) => tracing::warn!(
            path = %path.display(),
            mode,
            "everybody on this machine can change what is in the data directory: give --data a directory in it, which \
             is made for its owner alone"
        ),
        (false, true) if exposure::excess(metadata) != 0 => tracing::warn!(
            path = %path.display(),
            mode,
            "others can get at what is in the data directory: chmod 700 it"
        ),
        (false, _) => {}
    }
    Ok(())
}

/// The same for a server or whoever else may begin with it. One that is ours, open to everybody and empty, as the volumes
/// of pods are at first, is closed; what lies in an open one could be anybody's.
pub(super) fn guarded_or_narrowed(path: &Path, metadata: &Metadata) -> Result<(), StorageError> {
    let is_empty = || fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none());
    let open = exposure::is_ours(metadata) && exposure::can_be_changed_by_everybody(metadata);
    if !open || !is_empty() || fs::set_permissions(path, Permissions::from_mode(0o700)).is_err() {
        return guarded(path, metadata);
    }
    if !is_empty() {
        // Somebody was quicker: the next start must not take it for ours either.
        let _ = fs::set_permissions(path, metadata.permissions());
        return guarded(path, metadata);
    }
    tracing::warn!(path = %path.display(), "everybody could change the data directory, which is empty: it has mode 0700 now");
    Ok(())
}

/// Names and tags are nobody else's business, though secrets are sealed.
pub(super) fn restrict(path: &Path) -> io::Result<()> {
    fs::set_permissions(path, Permissions::from_mode(0o600))
}

/// What it means that a database fails.
pub(super) fn broken(path: &Path, error: &StoreError) -> ConfigError {
    use std::error::Error;
    let reason = error.source().map_or_else(|| error.to_string(), ToString::to_string);
    StorageError::Database { path: path.to_owned(), reason }.into()
}
