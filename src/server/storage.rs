//! Opens what a server keeps: a directory of files, a data directory, or memory.

use std::{
    fs::{self, DirBuilder},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use super::{
    ConfigError,
    datadir::{DATABASE, KEY_CHECK, StorageError, audit_log, broken, guarded_or_narrowed, restrict},
    keychange,
    people::Author,
    random::random,
    store::{Database, Environment, EnvironmentId, Files, New, Revision, Store, StoreError},
    vault::Vault,
};
use crate::{lang::MAX_DOCUMENT, secret::Secret};

/// The organization that exists when none is named.
const DEFAULT_ORGANIZATION: &str = "dev";

/// Where definitions lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Storage {
    /// In files, which are read anew each time and never written.
    Files(PathBuf),
    /// In a data directory.
    Data {
        /// The directory; made when it is missing.
        directory: PathBuf,
        /// The file with the key that secrets are sealed with. Made in the directory when none is given.
        key: Option<PathBuf>,
        /// Files to begin with, when nothing was ever kept in the directory.
        import: Option<PathBuf>,
    },
    /// In memory.
    Memory {
        /// Files to begin with.
        import: Option<PathBuf>,
    },
}

impl Storage {
    /// Where the key that tokens are signed with lies.
    pub(super) fn signing_key(&self) -> Option<PathBuf> {
        match self {
            Self::Data { directory, .. } => Some(directory.join("signing-key.pem")),
            Self::Files(_) | Self::Memory { .. } => None,
        }
    }
}

/// What a server works with.
pub(super) struct Opened {
    pub(super) store: Box<dyn Store>,
    pub(super) vault: Vault,
    /// Whether it can be changed.
    pub(super) writable: bool,
    /// Where the audit log of the data directory is.
    pub(super) audit: Option<PathBuf>,
}

/// Opens it.
pub(super) fn open(storage: Storage, organizations: Vec<String>, now: u64) -> Result<Opened, ConfigError> {
    match storage {
        Storage::Files(directory) => Ok(Opened {
            store: Box::new(Files::new(&directory, organizations)?),
            // Nothing is kept: this only hides the secrets of a definition from those who may read but not open it.
            vault: Vault::ephemeral()?,
            writable: false,
            audit: None,
        }),
        Storage::Memory { import } => {
            let database = Database::in_memory().map_err(|error| broken(Path::new("memory"), &error))?;
            let vault = Vault::ephemeral()?;
            fill(&database, &vault, organizations, import.as_deref(), now)?;
            Ok(Opened { store: Box::new(database), vault, writable: true, audit: None })
        }
        Storage::Data { directory, key, import } => {
            let (database, vault) = open_data(&directory, key)?;
            fill(&database, &vault, organizations, import.as_deref(), now)?;
            let audit = Some(audit_log(&directory));
            Ok(Opened { store: Box::new(database), vault, writable: true, audit })
        }
    }
}

/// Opens a data directory, or makes it.
pub(super) fn open_data(directory: &Path, key: Option<PathBuf>) -> Result<(Database, Vault), ConfigError> {
    let unusable = |source| StorageError::Directory { path: directory.to_owned(), source };
    // What is in it is for its owner alone.
    DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(unusable)?;
    guarded_or_narrowed(directory, &fs::metadata(directory).map_err(unusable)?)?;
    let path = directory.join(DATABASE);
    let database = Database::open(&path).map_err(|error| broken(&path, &error))?;
    restrict(&path).map_err(unusable)?;
    let key = key.unwrap_or_else(|| directory.join("key"));
    let vault = unlock(&database, &path, &key)?;
    Ok((database, vault))
}

/// The key of a database: the one it was sealed with, or a new one for a new database.
fn unlock(database: &Database, data: &Path, key: &Path) -> Result<Vault, ConfigError> {
    let stored = |error: StoreError| broken(data, &error);
    match database.meta(KEY_CHECK).map_err(stored)? {
        Some(check) => {
            if !key.exists() {
                return Err(StorageError::NoKey { data: data.to_owned(), key: key.to_owned() }.into());
            }
            let vault = Vault::read(key)?;
            if !vault.passes(&check) {
                // A change of the key that was cut off at its very end.
                if let Some(next) = keychange::finish(key, &check) {
                    return Ok(next);
                }
                return Err(StorageError::OtherKey { data: data.to_owned(), key: key.to_owned() }.into());
            }
            Ok(vault)
        }
        None => {
            let vault = if key.exists() { Vault::read(key)? } else { Vault::create(key)? };
            let check = vault.check().map_err(|_| ConfigError::NoRandomness)?;
            database.set_meta(KEY_CHECK, &check).map_err(stored)?;
            Ok(vault)
        }
    }
}

/// Makes sure of the organizations, and imports files if there never was anything.
fn fill(
    database: &Database,
    vault: &Vault,
    mut organizations: Vec<String>,
    import: Option<&Path>,
    now: u64,
) -> Result<(), ConfigError> {
    let stored = |error: StoreError| broken(Path::new("the database"), &error);
    let import = if database.is_empty().map_err(stored)? { import } else { None };
    let files = import.map(|path| Files::to_import(path, &organizations)).transpose()?;
    let failed = |what: &dyn ToString, reason: &dyn ToString| {
        ConfigError::from(StorageError::Import { what: what.to_string(), reason: reason.to_string() })
    };
    if let Some(files) = &files {
        organizations.extend(files.organizations().map_err(|error| failed(&"the files", &error))?);
    }
    if organizations.is_empty() && database.organizations().map_err(stored)?.is_empty() {
        organizations.push(DEFAULT_ORGANIZATION.to_owned());
    }
    database.add_organizations(&organizations).map_err(stored)?;
    let Some(files) = files else { return Ok(()) };
    let mut all = Vec::new();
    for (name, text) in files.all().map_err(|error| failed(&"the files", &error))? {
        let id = new_id().map_err(|_| ConfigError::NoRandomness)?;
        let owner = Author { login: "import".to_owned(), name: "import".to_owned() };
        let too_large = || failed(&name, &StoreError::TooLarge);
        if text.len() > MAX_DOCUMENT {
            return Err(too_large());
        }
        let text = text.expose_str().ok_or_else(|| failed(&name, &"it is no UTF-8 text"))?;
        let sealed = vault
            .seal(id, text, &mut |_| false)
            .map_err(|error| failed(&name, &format!("line {}: {}", error.begin.line, error.summary)))?;
        if sealed.len() > MAX_DOCUMENT {
            return Err(too_large());
        }
        let revision = Revision { number: 1, created: now, creator: owner.clone(), retracted: None };
        let environment = Environment::new(id, 1, owner, now);
        all.push(New { name, environment, revisions: vec![(revision, Secret::from(sealed))] });
    }
    database.create_all(&all).map_err(stored)
}

/// An id that was never used.
pub(super) fn new_id() -> Result<EnvironmentId, super::random::NoRandomness> {
    Ok(EnvironmentId(u128::from_be_bytes(random::<16>()?)))
}
