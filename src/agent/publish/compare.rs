//! Whether a set is the one that is published: by its bytes, so that no hash of a secret has to be kept.

use std::{io::Read, path::Path};

use rustix::{
    fd::{AsFd, BorrowedFd},
    fs::{FileType, Mode, OFlags},
    io::Errno,
};
use zeroize::Zeroizing;

use super::{DATA, DIRECTORY, Directory, Entry, PublishError, errno, first_component, list};

/// Whether exactly these files are published in the directory: names, modes and contents.
pub fn is_published(path: &Path, entries: &[Entry]) -> Result<bool, PublishError> {
    let directory = Directory::open(path)?;
    let Some(set) = directory.current()? else { return Ok(false) };
    let root = directory.open_below(&set)?;
    let linked = |entry: &Entry| {
        let name = first_component(&entry.name);
        directory.points_at(&name, Path::new(DATA).join(&name).as_os_str())
    };
    let fail = |errno| directory.error("comparing", &set, errno);
    if count(root.as_fd()).map_err(fail)? != entries.len() || !entries.iter().all(linked) {
        return Ok(false);
    }
    for entry in entries {
        if !holds_entry(root.as_fd(), entry).map_err(fail)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Files below a directory.
fn count(directory: BorrowedFd<'_>) -> Result<usize, Errno> {
    let mut files = 0;
    for (name, kind) in list(directory)? {
        files += match kind {
            FileType::Directory => {
                count(rustix::fs::openat(directory, &name, DIRECTORY, Mode::empty())?.as_fd())?
            }
            _ => 1,
        };
    }
    Ok(files)
}

/// Whether the file is there as it should be.
fn holds_entry(root: BorrowedFd<'_>, entry: &Entry) -> Result<bool, Errno> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = match rustix::fs::openat(root, entry.name.as_str(), flags, Mode::empty()) {
        Ok(file) => std::fs::File::from(file),
        // Modes may shut us out of our own files; then they are written anew.
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::ACCESS) => return Ok(false),
        Err(errno) => return Err(errno),
    };
    let stat = rustix::fs::fstat(&file)?;
    let same_mode = Mode::from_raw_mode(stat.st_mode) == Mode::from_raw_mode(entry.mode);
    if !same_mode || u64::try_from(stat.st_size).ok() != u64::try_from(entry.content.len()).ok() {
        return Ok(false);
    }
    let mut buffer = Zeroizing::new([0_u8; 8192]);
    let mut rest = entry.content.expose();
    while !rest.is_empty() {
        let read = file.read(buffer.as_mut_slice()).map_err(|error| errno(&error))?;
        match (buffer.get(..read), rest.split_at_checked(read)) {
            (Some(found), Some((wanted, after))) if read > 0 && found == wanted => rest = after,
            _ => return Ok(false),
        }
    }
    Ok(true)
}
