//! Definitions in files: `DIR/organization/project/environment.yaml`, read anew each time and never written.
//!
//! Nothing outside of the directory is ever read: names are checked before they become paths, and where
//! symlinks lead is checked after.

use std::{
    fs::{DirEntry, File},
    io::{self, Read},
    path::{Path, PathBuf},
    time::SystemTime,
};

use ring::{digest, hmac, rand::SystemRandom};

use super::{
    super::{
        ConfigError,
        names::{EnvironmentName, Version},
        people::Author,
        random::hex,
        tokens::Token,
        unix_seconds,
    },
    Definition, Environment, EnvironmentId, New, Page, Retraction, Revision, Rule, Store, StoreError,
};
use crate::{esc::reference::check_organization, lang::MAX_DOCUMENT, secret::Secret};

/// In order of preference.
const EXTENSIONS: &[&str] = &["yaml", "yml"];

/// A file has no history: what it holds is its first revision.
const ONLY_REVISION: u64 = 1;

/// What stands for whoever wrote the files.
const OWNER: &str = "files";

/// A directory of definitions.
#[derive(Debug)]
pub(in crate::server) struct Files {
    /// Without symlinks, so that what lies below can be told by its beginning.
    root: PathBuf,
    /// All top-level folders when empty.
    organizations: Vec<String>,
    /// Makes tags of contents that tell nothing about them: a plain digest would let a short secret be guessed.
    tags: hmac::Key,
}

/// A file is somewhere else, and so not ours to read.
#[derive(Debug, thiserror::Error)]
#[error("a symlink leads out of the directory")]
struct LeadsOut;

impl Files {
    /// Checks the directory and the names.
    pub(in crate::server) fn new(directory: &Path, organizations: Vec<String>) -> Result<Self, ConfigError> {
        let known = known(directory).map_err(|source| unusable(directory, source))?;
        // An empty directory may still be filled, as a volume of a pod by another container.
        match organizations.iter().find(|name| !known.contains(name)) {
            Some(name) if !known.is_empty() => Err(no_folder(name, directory, known)),
            _ => Self::of(directory, organizations),
        }
    }

    /// The same for a store that begins with what is there, and may have other organizations beside that. Of all that are
    /// named, one at least has to be there: files that come later are never looked at.
    pub(in crate::server) fn to_import(
        directory: &Path,
        organizations: &[String],
    ) -> Result<Self, ConfigError> {
        let known = known(directory).map_err(|source| unusable(directory, source))?;
        let there: Vec<_> = organizations.iter().filter(|name| known.contains(name)).cloned().collect();
        match organizations.first() {
            Some(name) if there.is_empty() => Err(no_folder(name, directory, known)),
            _ => Self::of(directory, there),
        }
    }

    fn of(directory: &Path, organizations: Vec<String>) -> Result<Self, ConfigError> {
        let root = directory.canonicalize().map_err(|source| unusable(directory, source))?;
        let tags = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())
            .map_err(|_| ConfigError::NoRandomness)?;
        Ok(Self { root, organizations, tags })
    }

    /// Every environment, for another store.
    pub(in crate::server) fn all(&self) -> Result<Vec<(EnvironmentName, Secret)>, StoreError> {
        let mut all = Vec::new();
        for organization in self.organizations()? {
            for name in self.names(&organization)? {
                let text = self.find(&name)?.0;
                all.push((name, text));
            }
        }
        Ok(all)
    }

    fn names(&self, organization: &str) -> Result<Vec<EnvironmentName>, StoreError> {
        let mut names = Vec::new();
        let folder = self.root.join(organization);
        for project in folders(&folder).map_err(StoreError::Directory)? {
            let path = folder.join(&project);
            for entry in path.read_dir().map_err(StoreError::Directory)? {
                let entry = entry.map_err(StoreError::Directory)?;
                let file = entry.path();
                let known =
                    file.extension().is_some_and(|found| EXTENSIONS.iter().any(|known| found == *known));
                if let Some(stem) = file.file_stem().and_then(|stem| stem.to_str())
                    && known
                    && file.is_file()
                    && let Some(name) = EnvironmentName::new(organization, &project, stem)
                {
                    names.push(name);
                }
            }
        }
        names.sort();
        names.dedup();
        Ok(names)
    }

    /// The text of a file, and when it was changed.
    fn find(&self, name: &EnvironmentName) -> Result<(Secret, u64), StoreError> {
        if !self.has_organization(name.organization())? {
            return Err(StoreError::NoOrganization(name.organization().to_owned()));
        }
        let folder = self.root.join(name.organization()).join(name.project());
        for extension in EXTENSIONS {
            let path = folder.join(format!("{}.{extension}", name.environment()));
            match self.read(&path) {
                Ok(found) => return Ok(found),
                Err(error) if is_absent(&error) => {}
                Err(source) => return Err(StoreError::Unreadable { environment: name.clone(), source }),
            }
        }
        Err(StoreError::NoEnvironment(name.clone()))
    }

    /// The same for whoever asks for it by its name: what a symlink outside of the directory stands for is not there.
    fn find_inside(&self, name: &EnvironmentName) -> Result<(Secret, u64), StoreError> {
        self.find(name).map_err(|error| match error {
            StoreError::Unreadable { environment, source }
                if matches!(source.get_ref(), Some(reason) if reason.is::<LeadsOut>()) =>
            {
                tracing::warn!(%environment, error = %source, "an environment is not served");
                StoreError::NoEnvironment(environment)
            }
            error => error,
        })
    }

    fn read(&self, path: &Path) -> io::Result<(Secret, u64)> {
        let path = path.canonicalize()?;
        if !path.starts_with(&self.root) {
            return Err(io::Error::other(LeadsOut));
        }
        // Opening a pipe or a device could block or have effects.
        let metadata = path.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::other("not a regular file"));
        }
        let modified = unix_seconds(metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH));
        // One byte more than a document may have: the language then says that it is too large.
        let limit = MAX_DOCUMENT as u64 + 1;
        let mut text = Vec::new();
        let read = File::open(path)?.take(limit).read_to_end(&mut text);
        let text = Secret::new(text);
        read.map(|_| (text, modified))
    }

    fn describe(&self, name: &EnvironmentName, text: &Secret, modified: u64) -> Environment {
        let digest = digest::digest(&digest::SHA256, name.to_string().as_bytes());
        let id = digest.as_ref().iter().take(16).fold(0, |id, &byte| id << 8 | u128::from(byte));
        let mut environment = Environment::new(EnvironmentId(id), ONLY_REVISION, owner(), modified);
        let tag = hmac::sign(&self.tags, text.expose());
        environment.etag = hex(tag.as_ref());
        environment
    }
}

fn owner() -> Author {
    Author { login: OWNER.to_owned(), name: OWNER.to_owned() }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// The organizations that a directory has.
fn known(directory: &Path) -> io::Result<Vec<String>> {
    let mut names = folders(directory)?;
    names.retain(|name| check_organization(name).is_ok());
    Ok(names)
}

fn unusable(directory: &Path, source: io::Error) -> ConfigError {
    ConfigError::Directory { path: directory.to_owned(), source }
}

fn no_folder(name: &str, directory: &Path, known: Vec<String>) -> ConfigError {
    ConfigError::NoFolder { name: name.to_owned(), path: directory.to_owned(), known }
}

/// The names of the folders in a directory.
fn folders(directory: &Path) -> io::Result<Vec<String>> {
    let is_folder = |entry: &DirEntry| entry.path().is_dir();
    let mut names = Vec::new();
    for entry in directory.read_dir()? {
        let entry = entry?;
        if let Some(name) = entry.file_name().to_str()
            && is_folder(&entry)
        {
            names.push(name.to_owned());
        }
    }
    names.sort();
    Ok(names)
}

impl Store for Files {
    fn organizations(&self) -> Result<Vec<String>, StoreError> {
        if !self.organizations.is_empty() {
            return Ok(self.organizations.clone());
        }
        known(&self.root).map_err(StoreError::Directory)
    }

    fn has_organization(&self, name: &str) -> Result<bool, StoreError> {
        Ok(if self.organizations.is_empty() {
            check_organization(name).is_ok() && self.root.join(name).is_dir()
        } else {
            self.organizations.iter().any(|known| known == name)
        })
    }

    fn list(
        &self,
        organization: &str,
        page: Page<Option<&EnvironmentName>>,
    ) -> Result<Vec<(EnvironmentName, Environment)>, StoreError> {
        let names = self.names(organization)?.into_iter();
        names
            .filter(|name| page.after.is_none_or(|after| after < name))
            .filter_map(|name| match self.environment(&name) {
                Ok(environment) => Some(Ok((name, environment))),
                // Removed a moment ago, or the warning is in the log already.
                Err(StoreError::NoEnvironment(_)) => None,
                // One bad file must not hide all others.
                Err(StoreError::Unreadable { environment, source }) => {
                    tracing::warn!(%environment, error = %source, "an environment is not listed");
                    None
                }
                Err(error) => Some(Err(error)),
            })
            .take(page.count)
            .collect()
    }

    fn environment(&self, name: &EnvironmentName) -> Result<Environment, StoreError> {
        let (text, modified) = self.find_inside(name)?;
        Ok(self.describe(name, &text, modified))
    }

    fn definition(&self, name: &EnvironmentName, version: &Version) -> Result<Definition, StoreError> {
        let (text, modified) = self.find_inside(name)?;
        if !matches!(version, Version::Latest | Version::Revision(ONLY_REVISION)) {
            return Err(StoreError::NoVersion {
                environment: name.clone(),
                version: version.clone(),
                hint: ": a file has only revision 1, the latest",
            });
        }
        let environment = self.describe(name, &text, modified);
        Ok(Definition { environment, revision: revision(modified), text })
    }

    fn history(
        &self,
        name: &EnvironmentName,
        page: Page<Option<u64>>,
    ) -> Result<(Environment, Vec<Revision>), StoreError> {
        let environment = self.environment(name)?;
        let wanted = page.count > 0 && page.after.is_none_or(|before| before > ONLY_REVISION);
        let revisions = if wanted { vec![revision(environment.modified)] } else { Vec::new() };
        Ok((environment, revisions))
    }

    fn create(&self, _: New) -> Result<(), StoreError> {
        Err(StoreError::ReadOnly)
    }

    fn update(
        &self,
        _: &EnvironmentName,
        _: Option<&str>,
        _: &Secret,
        _: &Author,
        _: u64,
    ) -> Result<Environment, StoreError> {
        Err(StoreError::ReadOnly)
    }

    fn modify(
        &self,
        _: &EnvironmentName,
        _: &mut dyn FnMut(&mut Environment) -> Result<(), Rule>,
    ) -> Result<Environment, StoreError> {
        Err(StoreError::ReadOnly)
    }

    fn retract(&self, _: &EnvironmentName, _: u64, _: Option<u64>, _: Retraction) -> Result<(), StoreError> {
        Err(StoreError::ReadOnly)
    }

    fn delete(&self, _: &EnvironmentName, _: u64) -> Result<(), StoreError> {
        Err(StoreError::ReadOnly)
    }

    fn deleted(&self, _: &str) -> Result<Vec<(EnvironmentName, Environment)>, StoreError> {
        Ok(Vec::new())
    }

    fn restore(&self, _: &EnvironmentName) -> Result<(), StoreError> {
        Err(StoreError::ReadOnly)
    }

    fn tokens(&self) -> Result<Vec<Token>, StoreError> {
        Ok(Vec::new())
    }

    fn add_token(&self, _: &Token) -> Result<(), StoreError> {
        Err(StoreError::ReadOnly)
    }

    fn remove_token(&self, _: &str) -> Result<Option<Token>, StoreError> {
        Ok(None)
    }
}

fn revision(modified: u64) -> Revision {
    Revision { number: ONLY_REVISION, created: modified, creator: owner(), retracted: None }
}
