//! Definitions in files: `DIR/organization/project/environment.yaml`, read anew each time.
//!
//! Nothing outside of the directory is ever read: names are checked before they become paths, and where
//! symlinks lead is checked after.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    super::{
        ConfigError,
        names::{EnvironmentName, ImportName, Version},
    },
    StoreError,
};
use crate::{
    esc::reference::check_organization,
    lang::{Load, LoadError, MAX_DOCUMENT},
    secret::Secret,
};

/// In order of preference.
const EXTENSIONS: &[&str] = &["yaml", "yml"];

/// A file has no history: what it holds is its first revision.
const ONLY_REVISION: u64 = 1;

/// A directory of definitions.
#[derive(Debug)]
pub(in crate::server) struct Files {
    /// Without symlinks, so that what lies below can be told by its beginning.
    root: PathBuf,
    /// All top-level folders when empty.
    organizations: Vec<String>,
}

impl Files {
    /// Checks the directory and the names.
    pub(in crate::server) fn new(directory: &Path, organizations: Vec<String>) -> Result<Self, ConfigError> {
        let unusable = |source| ConfigError::Directory { path: directory.to_owned(), source };
        let root = directory.canonicalize().map_err(unusable)?;
        // Fails now rather than at the first request.
        root.read_dir().map_err(unusable)?;
        for name in &organizations {
            check_organization(name)
                .map_err(|reason| ConfigError::OrganizationName { name: name.clone(), reason })?;
        }
        Ok(Self { root, organizations })
    }

    /// The organizations that exist now, in order of their names.
    pub(in crate::server) fn organizations(&self) -> io::Result<Vec<String>> {
        if !self.organizations.is_empty() {
            return Ok(self.organizations.clone());
        }
        let mut names = Vec::new();
        for entry in self.root.read_dir()? {
            let entry = entry?;
            if let Some(name) = entry.file_name().to_str()
                && check_organization(name).is_ok()
                && entry.path().is_dir()
            {
                names.push(name.to_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    /// Whether an organization exists now.
    pub(in crate::server) fn has_organization(&self, name: &str) -> bool {
        if self.organizations.is_empty() {
            check_organization(name).is_ok() && self.root.join(name).is_dir()
        } else {
            self.organizations.iter().any(|known| known == name)
        }
    }

    /// The text of an environment's definition.
    pub(in crate::server) fn definition(
        &self,
        name: &EnvironmentName,
        version: &Version,
    ) -> Result<Secret, StoreError> {
        if !self.has_organization(name.organization()) {
            return Err(StoreError::NoOrganization(name.organization().to_owned()));
        }
        let folder = self.root.join(name.organization()).join(name.project());
        for extension in EXTENSIONS {
            let path = folder.join(format!("{}.{extension}", name.environment()));
            match self.read(&path) {
                Ok(text) => {
                    return match version {
                        Version::Latest | Version::Revision(ONLY_REVISION) => Ok(text),
                        Version::Revision(_) | Version::Tag(_) => {
                            Err(StoreError::NoVersion { environment: name.clone(), version: version.clone() })
                        }
                    };
                }
                Err(error) if is_absent(&error) => {}
                Err(source) => return Err(StoreError::Unreadable { environment: name.clone(), source }),
            }
        }
        Err(StoreError::NoEnvironment(name.clone()))
    }

    /// What an environment of `organization` imports.
    pub(in crate::server) fn imports_of(
        self: &Arc<Self>,
        organization: &str,
    ) -> impl Load + Send + Sync + 'static {
        Imports { files: Arc::clone(self), organization: organization.to_owned() }
    }

    fn read(&self, path: &Path) -> io::Result<Secret> {
        let path = path.canonicalize()?;
        if !path.starts_with(&self.root) {
            return Err(io::Error::other("a symlink leads out of the directory"));
        }
        // Opening a pipe or a device could block or have effects.
        if !path.metadata()?.is_file() {
            return Err(io::Error::other("not a regular file"));
        }
        // One byte more than a document may have: the language then says that it is too large.
        let limit = MAX_DOCUMENT as u64 + 1;
        let mut text = Vec::new();
        let read = File::open(path)?.take(limit).read_to_end(&mut text);
        let text = Secret::new(text);
        read.map(|_| text)
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

struct Imports {
    files: Arc<Files>,
    organization: String,
}

impl Load for Imports {
    fn load(&self, name: &str) -> Result<Secret, LoadError> {
        let import = ImportName::parse(&self.organization, name)
            .ok_or_else(|| LoadError(format!("`{name}` is no environment name")))?;
        self.files
            .definition(&import.environment, &import.version)
            .map_err(|error| LoadError(error.to_string()))
    }
}
