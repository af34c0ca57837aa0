//! Copies the agent's own binary to where the exec wrapper is started from.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

use rustix::fs::{CWD, FlockOperation, Mode, OFlags};

/// Name of the copy.
pub const NAME: &str = "esc-injector";

/// Name of the copy before it is whole.
const PARTIAL: &str = ".esc-injector.partial";

/// Everybody may run it, nobody may change it.
const MODE: Mode = Mode::from_raw_mode(0o555);

/// Why the binary can't be copied.
#[derive(Debug, thiserror::Error)]
#[error("copying the wrapper to {}: {source}", target.display())]
pub struct CopyError {
    /// Where to.
    pub target: PathBuf,
    /// Why.
    #[source]
    pub source: io::Error,
}

/// Copies `executable` to `directory`, whole or not at all. Of two at once, one is refused: they would write to the
/// same unfinished copy.
///
/// A copy of an earlier run is replaced by a new file: applications that run from it keep the old one, which could
/// not be written to anyway (`ETXTBSY`).
pub fn copy(executable: &Path, directory: &Path) -> Result<(), CopyError> {
    let target = directory.join(NAME);
    let partial = directory.join(PARTIAL);
    let _lock = match lock(directory) {
        Ok(lock) => lock,
        Err(source) => return Err(CopyError { target, source }),
    };
    write(executable, &partial).and_then(|()| std::fs::rename(&partial, &target)).map_err(|source| {
        // What can't be removed now is removed by the next run.
        let _ = std::fs::remove_file(&partial);
        CopyError { target, source }
    })
}

/// Held until it is dropped, or the process ends.
fn lock(directory: &Path) -> io::Result<File> {
    let directory = File::open(directory)?;
    rustix::fs::flock(&directory, FlockOperation::NonBlockingLockExclusive)?;
    Ok(directory)
}

fn write(executable: &Path, partial: &Path) -> io::Result<()> {
    match std::fs::remove_file(partial) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut source = File::open(executable)?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut copy = File::from(rustix::fs::openat(CWD, partial, flags, MODE)?);
    rustix::fs::fchmod(&copy, MODE)?;
    io::copy(&mut source, &mut copy)?;
    Ok(())
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "plain files for tests")]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    #[test]
    fn copies_whole_and_executable_also_over_a_former_copy() {
        let source = tempfile::tempdir().unwrap();
        let target = tempfile::tempdir().unwrap();
        for content in ["one", "three"] {
            let executable = source.path().join(content);
            fs::write(&executable, content).unwrap();
            copy(&executable, target.path()).unwrap();
            let copied = target.path().join(NAME);
            assert_eq!(fs::read_to_string(&copied).unwrap(), content);
            assert_eq!(fs::metadata(&copied).unwrap().permissions().mode() & 0o777, 0o555);
            assert_eq!(fs::read_dir(target.path()).unwrap().count(), 1);
        }
    }

    #[test]
    fn leaves_nothing_when_it_fails() {
        let target = tempfile::tempdir().unwrap();
        let error = copy(Path::new("/does/not/exist"), target.path()).unwrap_err();
        assert_eq!(error.target, target.path().join(NAME));
        assert_eq!(fs::read_dir(target.path()).unwrap().count(), 0);
    }
}
