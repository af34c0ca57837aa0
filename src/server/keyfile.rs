//! Files with a key in them: there whole or not at all, for their owner alone, and never in the place of another file.

use std::{
    fs::File,
    io::{self, Read, Write},
    path::Path,
};

use crate::{exposure, secret::Secret};

/// Reads a key file, at most so many bytes of it. None if everybody can use it.
pub(super) fn read(path: &Path, most: u64) -> io::Result<Option<Secret>> {
    let file = File::open(path)?;
    if exposure::is_everybodys(&file.metadata()?) {
        return Ok(None);
    }
    if let Some(warning) = exposure::warning("the key", path) {
        tracing::warn!("{warning}");
    }
    let mut text = Vec::new();
    let read = file.take(most).read_to_end(&mut text);
    // Wiped, whatever became of reading it.
    let text = Secret::new(text);
    read.map(|_| Some(text))
}

/// Makes a key file, which must not be there yet. It is on the disk when this returns.
pub(super) fn create(path: &Path, text: &[u8]) -> io::Result<()> {
    // A random name: whatever else lies in the directory is not ours. Made with mode 0600.
    let mut file = tempfile::Builder::new().prefix(".key-").tempfile_in(directory(path))?;
    file.write_all(text)?;
    file.as_file().sync_all()?;
    // Refuses to replace a key that came up meanwhile.
    file.persist_noclobber(path).map_err(|error| error.error)?;
    sync_directory(path)
}

/// Has the disk know what a file's directory holds.
pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(directory(path))?.sync_all()
}

/// Where a file lies. A bare name has an empty parent, which can't be opened.
fn directory(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a file of somebody else's, which is left alone")]
mod tests {
    use std::{fs, io::ErrorKind, os::unix::fs::PermissionsExt, path::Path};

    use super::{create, directory};

    #[test]
    fn a_key_file_replaces_nothing_and_touches_no_neighbour() {
        let place = tempfile::tempdir().unwrap();
        let (path, neighbour) = (place.path().join("esc.key"), place.path().join("esc.new"));
        fs::write(&neighbour, "mine").unwrap();
        create(&path, b"one").unwrap();
        assert_eq!(create(&path, b"two").unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"one");
        assert_eq!(fs::read(&neighbour).unwrap(), b"mine");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        create(&place.path().join("k.new"), b"three").unwrap();
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 3);
    }

    #[test]
    fn a_bare_name_lies_in_the_working_directory() {
        for (path, expected) in [("key", "."), ("./key", "."), ("a/key", "a"), ("/key", "/")] {
            assert_eq!(directory(Path::new(path)), Path::new(expected), "{path}");
        }
    }
}
