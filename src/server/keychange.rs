//! The files of a key that takes another one's place: there is a key at any moment, and every old one is kept.

use std::{
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
};

use super::{keyfile, vault::Vault};
use crate::secret::Secret;

/// Puts the new key in the place of an old one that no longer is needed: there is a key at any moment.
pub(super) fn replace(key: &Path) -> io::Result<PathBuf> {
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

pub(super) fn beside(key: &Path, extension: &str) -> PathBuf {
    let mut name = key.file_name().unwrap_or(OsStr::new("key")).to_owned();
    name.push(".");
    name.push(extension);
    key.with_file_name(name)
}
