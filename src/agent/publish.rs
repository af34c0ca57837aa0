//! Publishes a set of files into a directory: all of it or nothing.
//!
//! The layout is that of kubelet's own volumes, so that whatever watches a `ConfigMap` can watch this:
//!
//! ```text
//! ca.crt -> ..data/ca.crt            relative links, one for each first path component
//! ..data -> ..1763823851123456789    renamed over in one step: the moment of publication
//! ..1763823851123456789/ca.crt       the files, in a directory that nothing refers to before that moment
//! ```
//!
//! [`stage`] does everything that can run out of space, and leaves the former set as it was; [`Staged::publish`]
//! only renames and removes. One writer at a time: another one is refused. Everything is relative to a file
//! descriptor of the directory and follows no link.
//! Nothing is synced: the directory is memory, and what a crash leaves behind is swept by the next [`stage`].

use std::{
    collections::BTreeSet,
    ffi::{OsStr, OsString},
    io::Write,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::{AtFlags, CWD, Dir, FileType, FlockOperation, Mode, OFlags},
    io::Errno,
};

use crate::{esc::names::FileName, secret::Secret};

mod compare;

pub use compare::is_published;

/// The link that points at the current set.
const DATA: &str = "..data";

/// The link that is about to replace it.
const NEXT: &str = "..data_tmp";

/// Files may be narrower, but their names are no secret.
const DIRECTORY_MODE: u32 = 0o755;

/// For looking into a directory without following a link to it.
const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// A file of the set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name below the directory.
    pub name: FileName,
    /// What it holds.
    pub content: Secret,
    /// Its permission bits.
    pub mode: u32,
}

/// Why a set can't be published.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{action} {}: {}", path.display(), std::io::Error::from(*errno))]
pub struct PublishError {
    /// What was attempted.
    pub action: &'static str,
    /// On what.
    pub path: PathBuf,
    /// What the operating system said.
    pub errno: Errno,
}

/// A set that is written and not yet visible. Dropped, it leaves no trace.
#[derive(Debug)]
pub struct Staged {
    directory: Directory,
    /// The directory that holds the files.
    set: OsString,
    /// The directory that held the former set.
    former: Option<OsString>,
    /// The names that are to be visible.
    names: BTreeSet<OsString>,
    /// The links of those that were not visible before.
    linked: Vec<OsString>,
    published: bool,
}

/// An open directory and what to call it in errors. Locked: two writers at once would sweep each other's sets. The
/// kernel lets go of the lock with the file descriptor, however its process ends.
#[derive(Debug)]
struct Directory {
    fd: OwnedFd,
    path: PathBuf,
}

/// Writes a set next to the one that is there.
pub fn stage(path: &Path, entries: &[Entry]) -> Result<Staged, PublishError> {
    let directory = Directory::open(path)?;
    let former = directory.current()?;
    directory.sweep(former.as_deref())?;
    let set = directory.make_set()?;
    let names = entries.iter().map(|entry| first_component(&entry.name)).collect();
    let mut staged = Staged { directory, set, former, names, linked: Vec::new(), published: false };
    staged.write(entries)?;
    staged.link()?;
    Ok(staged)
}

/// The name of the set that is published in the directory: another set, another name.
pub fn current(path: &Path) -> Option<String> {
    let name = std::fs::read_link(path.join(DATA)).ok()?.into_os_string().into_string().ok()?;
    (is_set_name(name.as_bytes()) && path.join(&name).is_dir()).then_some(name)
}

/// Removes the former sets, which [`Staged::publish_beside`] leaves.
pub fn tidy(path: &Path) -> Result<(), PublishError> {
    let directory = Directory::open(path)?;
    let current = directory.current()?;
    directory.sweep(current.as_deref())
}

/// Whether a set with this file is published in the directory.
pub fn holds(path: &Path, name: &str) -> bool {
    path.join(DATA).join(name).is_file()
}

impl Staged {
    /// What [`current`] is going to tell.
    pub fn name(&self) -> String {
        // Made of dots and digits.
        self.set.to_string_lossy().into_owned()
    }

    /// Where the set is.
    pub fn path(&self) -> &Path {
        &self.directory.path
    }

    /// Makes the set the visible one, in one step, and leaves the former beside it until [`tidy`] or the next
    /// [`stage`]: a reader that is in the middle of it comes to its end.
    pub fn publish_beside(mut self) -> Result<(), PublishError> {
        self.switch()
    }

    fn switch(&mut self) -> Result<(), PublishError> {
        let directory = &self.directory;
        rustix::fs::renameat(&directory.fd, NEXT, &directory.fd, DATA)
            .map_err(|errno| directory.error("switching", DATA, errno))?;
        self.published = true;
        // The set is in place. What is left of the former one is untidy, and swept by the next run.
        if let Err(error) = self.directory.unlink_strangers(&self.names) {
            tracing::warn!("{error}");
        }
        Ok(())
    }

    /// Makes the set the visible one, in one step, and removes the former.
    pub fn publish(mut self) -> Result<(), PublishError> {
        self.switch()?;
        if let Some(former) = &self.former
            && let Err(errno) = remove_tree(self.directory.fd.as_fd(), former)
        {
            tracing::warn!("{}", self.directory.error("removing", former, errno));
        }
        Ok(())
    }

    fn write(&self, entries: &[Entry]) -> Result<(), PublishError> {
        let root = self.directory.open_below(&self.set)?;
        for entry in entries {
            let fail = |errno| self.directory.error("writing", entry.name.as_str(), errno);
            write_entry(root.as_fd(), entry).map_err(fail)?;
        }
        Ok(())
    }

    fn link(&mut self) -> Result<(), PublishError> {
        let directory = &self.directory;
        for name in &self.names {
            let target = Path::new(DATA).join(name);
            match rustix::fs::symlinkat(&target, &directory.fd, name) {
                Ok(()) => self.linked.push(name.clone()),
                Err(Errno::EXIST) if directory.points_at(name, target.as_os_str()) => {}
                Err(errno) => return Err(directory.error("linking", name, errno)),
            }
        }
        rustix::fs::symlinkat(&self.set, &directory.fd, NEXT)
            .map_err(|errno| directory.error("linking", NEXT, errno))
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if self.published {
            return;
        }
        // Best effort: what can't be removed now is swept by the next run.
        for name in self.linked.iter().map(OsString::as_os_str).chain([OsStr::new(NEXT)]) {
            let _ = rustix::fs::unlinkat(&self.directory.fd, name, AtFlags::empty());
        }
        let _ = remove_tree(self.directory.fd.as_fd(), &self.set);
    }
}

impl Directory {
    fn open(path: &Path) -> Result<Self, PublishError> {
        let fail = |action| move |errno| PublishError { action, path: path.to_owned(), errno };
        let fd = rustix::fs::openat(CWD, path, DIRECTORY, Mode::empty()).map_err(fail("opening"))?;
        rustix::fs::flock(&fd, FlockOperation::NonBlockingLockExclusive).map_err(fail("locking"))?;
        Ok(Self { fd, path: path.to_owned() })
    }

    fn open_below(&self, name: &OsStr) -> Result<OwnedFd, PublishError> {
        rustix::fs::openat(&self.fd, name, DIRECTORY, Mode::empty())
            .map_err(|errno| self.error("opening", name, errno))
    }

    fn error(&self, action: &'static str, name: impl AsRef<OsStr>, errno: Errno) -> PublishError {
        PublishError { action, path: self.path.join(name.as_ref()), errno }
    }

    /// The directory of the published set.
    fn current(&self) -> Result<Option<OsString>, PublishError> {
        let target = match rustix::fs::readlinkat(&self.fd, DATA, Vec::new()) {
            Ok(target) => OsString::from_vec(target.into_bytes()),
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(self.error("reading", DATA, errno)),
        };
        // What it names is removed later: it must be one of ours, and not somewhere else.
        if !is_set_name(target.as_bytes()) {
            return Err(self.error("following", DATA, Errno::INVAL));
        }
        match rustix::fs::statat(&self.fd, &target, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Ok(Some(target)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(self.error("reading", &target, errno)),
        }
    }

    fn points_at(&self, name: &OsStr, target: &OsStr) -> bool {
        rustix::fs::readlinkat(&self.fd, name, Vec::new())
            .is_ok_and(|found| found.as_bytes() == target.as_bytes())
    }

    /// Removes what a crashed run left: sets that nothing refers to, and links into sets that were never published.
    fn sweep(&self, former: Option<&OsStr>) -> Result<(), PublishError> {
        for (name, _) in self.entries()? {
            if name.as_bytes().starts_with(b"..") && name != DATA && Some(name.as_os_str()) != former {
                remove_tree(self.fd.as_fd(), &name).map_err(|errno| self.error("removing", &name, errno))?;
            }
        }
        let visible = match former {
            None => BTreeSet::new(),
            Some(former) => {
                let set = self.open_below(former)?;
                let entries = list(set.as_fd()).map_err(|errno| self.error("listing", former, errno))?;
                entries.into_iter().map(|(name, _)| name).collect()
            }
        };
        self.unlink_strangers(&visible)
    }

    /// Removes our links to names that are not in the set. What is no link of ours stays.
    fn unlink_strangers(&self, names: &BTreeSet<OsString>) -> Result<(), PublishError> {
        for (name, kind) in self.entries()? {
            let ours = kind == FileType::Symlink
                && !name.as_bytes().starts_with(b"..")
                && self.points_at(&name, Path::new(DATA).join(&name).as_os_str());
            if ours && !names.contains(&name) {
                rustix::fs::unlinkat(&self.fd, &name, AtFlags::empty())
                    .map_err(|errno| self.error("removing", &name, errno))?;
            }
        }
        Ok(())
    }

    fn entries(&self) -> Result<Vec<(OsString, FileType)>, PublishError> {
        list(self.fd.as_fd()).map_err(|errno| self.error("listing", "", errno))
    }

    /// Makes an empty directory for a set, under a name that no set has.
    fn make_set(&self) -> Result<OsString, PublishError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        // The former set is the only other one, so that the second try succeeds even if the clock stands still.
        for stamp in [now, now + 1] {
            let name = OsString::from(format!("..{stamp}"));
            match make_directory(self.fd.as_fd(), &name) {
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(self.error("making", &name, errno)),
                Ok(_) => return Ok(name),
            }
        }
        Err(self.error("making", "..", Errno::EXIST))
    }
}

/// Dots and a time.
fn is_set_name(name: &[u8]) -> bool {
    name.strip_prefix(b"..").is_some_and(|stamp| !stamp.is_empty() && stamp.iter().all(u8::is_ascii_digit))
}

fn first_component(name: &FileName) -> OsString {
    OsString::from(name.as_str().split('/').next().unwrap_or_default())
}

fn write_entry(root: BorrowedFd<'_>, entry: &Entry) -> Result<(), Errno> {
    let (directories, file) = match entry.name.as_str().rsplit_once('/') {
        Some((directories, file)) => (Some(directories), file),
        None => (None, entry.name.as_str()),
    };
    let mut directory = root.try_clone_to_owned().map_err(|error| errno(&error))?;
    for name in directories.into_iter().flat_map(|directories| directories.split('/')) {
        directory = match make_directory(directory.as_fd(), OsStr::new(name)) {
            Err(Errno::EXIST) => rustix::fs::openat(&directory, name, DIRECTORY, Mode::empty())?,
            other => other?,
        };
    }
    let mode = Mode::from_raw_mode(entry.mode);
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(&directory, file, flags, mode)?;
    // The umask may have narrowed it.
    rustix::fs::fchmod(&file, mode)?;
    std::fs::File::from(file).write_all(entry.content.expose()).map_err(|error| errno(&error))
}

fn make_directory(parent: BorrowedFd<'_>, name: &OsStr) -> Result<OwnedFd, Errno> {
    rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(DIRECTORY_MODE))?;
    let fd = rustix::fs::openat(parent, name, DIRECTORY, Mode::empty())?;
    // The umask may have narrowed it. The set-group-ID bit, inherited from a volume with `fsGroup`, has to stay.
    let inherited = Mode::from_raw_mode(rustix::fs::fstat(&fd)?.st_mode) & Mode::SGID;
    rustix::fs::fchmod(&fd, Mode::from_raw_mode(DIRECTORY_MODE) | inherited)?;
    Ok(fd)
}

/// Names and kinds of a directory's entries.
fn list(directory: BorrowedFd<'_>) -> Result<Vec<(OsString, FileType)>, Errno> {
    let mut entries = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name == b"." || name == b".." {
            continue;
        }
        let kind = match entry.file_type() {
            FileType::Unknown => {
                let stat = rustix::fs::statat(directory, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW)?;
                FileType::from_raw_mode(stat.st_mode)
            }
            known => known,
        };
        entries.push((OsStr::from_bytes(name).to_owned(), kind));
    }
    Ok(entries)
}

/// Removes a file, a link or a directory with all that is in it, following no link.
fn remove_tree(parent: BorrowedFd<'_>, name: &OsStr) -> Result<(), Errno> {
    let stat = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
        return rustix::fs::unlinkat(parent, name, AtFlags::empty());
    }
    let directory = rustix::fs::openat(parent, name, DIRECTORY, Mode::empty())?;
    for (child, _) in list(directory.as_fd())? {
        remove_tree(directory.as_fd(), &child)?;
    }
    rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR)
}

fn errno(error: &std::io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt};

    use proptest::prelude::*;

    use super::*;

    fn entry(name: &str, content: &str, mode: u32) -> Entry {
        Entry { name: name.parse().unwrap(), content: Secret::from(content), mode }
    }

    fn publish(path: &Path, entries: &[Entry]) {
        stage(path, entries).unwrap().publish().unwrap();
    }

    /// Everything a reader sees below the directory: file contents by path, without the machinery.
    fn visible(path: &Path) -> BTreeMap<String, String> {
        fn walk(base: &Path, path: &Path, found: &mut BTreeMap<String, String>) {
            for entry in fs::read_dir(path).unwrap() {
                let path = entry.unwrap().path();
                let name = path.strip_prefix(base).unwrap().to_str().unwrap().to_owned();
                if name.starts_with("..") {
                    continue;
                }
                if path.is_dir() {
                    walk(base, &path, found);
                } else {
                    found.insert(name, fs::read_to_string(&path).unwrap_or_else(|error| error.to_string()));
                }
            }
        }
        let mut found = BTreeMap::new();
        walk(path, path, &mut found);
        found
    }

    /// Every name in the directory itself.
    fn raw(path: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(path)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn publishes_files_links_and_modes() {
        let dir = tempfile::tempdir().unwrap();
        publish(
            dir.path(),
            &[entry("ca.crt", "1", 0o444), entry("tls/deep/key", "2", 0o400), entry("tls/x", "3", 0o646)],
        );
        let expected = [("ca.crt", "1"), ("tls/deep/key", "2"), ("tls/x", "3")];
        assert_eq!(
            visible(dir.path()),
            expected.map(|(name, text)| (name.to_owned(), text.to_owned())).into()
        );
        let mode = |name: &str| fs::metadata(dir.path().join(name)).unwrap().permissions().mode() & 0o7777;
        assert_eq!(
            [mode("ca.crt"), mode("tls/deep/key"), mode("tls/x"), mode("tls/deep")],
            [0o444, 0o400, 0o646, 0o755]
        );
        assert_eq!(fs::read_link(dir.path().join("tls")).unwrap(), Path::new("..data/tls"));
        assert_eq!(raw(dir.path()).len(), 4, "one set, ..data and two links");
    }

    #[test]
    fn takes_one_writer_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let first = stage(dir.path(), &[entry("a", "1", 0o444)]).unwrap();
        assert_eq!(stage(dir.path(), &[entry("a", "2", 0o444)]).unwrap_err().action, "locking");
        first.publish().unwrap();
        assert_eq!(visible(dir.path()), [("a".to_owned(), "1".to_owned())].into());
        publish(dir.path(), &[entry("a", "2", 0o444)]);
    }

    #[test]
    fn replaces_the_former_set_and_leaves_nothing_of_it() {
        let dir = tempfile::tempdir().unwrap();
        publish(
            dir.path(),
            &[entry("old", "1", 0o444), entry("both", "1", 0o444), entry("d/old", "1", 0o444)],
        );
        publish(dir.path(), &[entry("both", "2", 0o444), entry("d/new", "2", 0o444)]);
        assert_eq!(
            visible(dir.path()),
            [("both", "2"), ("d/new", "2")].map(|(n, t)| (n.to_owned(), t.to_owned())).into()
        );
        assert_eq!(raw(dir.path()).len(), 4);
        publish(dir.path(), &[]);
        assert_eq!(visible(dir.path()), BTreeMap::new());
        assert_eq!(raw(dir.path()).len(), 2);
    }

    #[test]
    fn a_dropped_stage_leaves_no_trace() {
        let dir = tempfile::tempdir().unwrap();
        drop(stage(dir.path(), &[entry("a", "1", 0o444)]).unwrap());
        assert_eq!(raw(dir.path()), Vec::<String>::new());
        publish(dir.path(), &[entry("a", "1", 0o444)]);
        let before = raw(dir.path());
        drop(stage(dir.path(), &[entry("a", "2", 0o444), entry("b/c", "2", 0o444)]).unwrap());
        assert_eq!(raw(dir.path()), before);
        assert_eq!(visible(dir.path()), [("a".to_owned(), "1".to_owned())].into());
    }

    #[test]
    fn a_set_left_beside_the_next_can_be_read_until_it_is_tidied() {
        let dir = tempfile::tempdir().unwrap();
        publish(dir.path(), &[entry("a", "1", 0o444), entry("b/c", "1", 0o444)]);
        let former = current(dir.path()).unwrap();
        let staged = stage(dir.path(), &[entry("a", "2", 0o444)]).unwrap();
        let name = staged.name();
        staged.publish_beside().unwrap();
        assert_eq!(current(dir.path()), Some(name));
        assert_eq!(fs::read_to_string(dir.path().join(&former).join("b/c")).unwrap(), "1");
        assert_eq!(visible(dir.path()), [("a".to_owned(), "2".to_owned())].into());
        tidy(dir.path()).unwrap();
        assert!(!dir.path().join(former).exists());
        assert_eq!(visible(dir.path()), [("a".to_owned(), "2".to_owned())].into());
    }

    #[test]
    fn tells_a_published_set_from_any_other() {
        let dir = tempfile::tempdir().unwrap();
        let large = "x".repeat(20_000);
        let set = [entry("a", &large, 0o444), entry("b/c", "", 0o440)];
        assert_eq!(is_published(dir.path(), &set), Ok(false));
        publish(dir.path(), &set);
        assert_eq!(is_published(dir.path(), &set), Ok(true));
        let other_end = format!("{}y", &large[1..]);
        for other in [
            vec![],
            vec![set[0].clone()],
            vec![set[0].clone(), entry("b/c", "", 0o444)],
            vec![set[0].clone(), entry("b/d", "", 0o440)],
            vec![set[0].clone(), entry("b", "", 0o440)],
            vec![set[0].clone(), entry("b/c", "1", 0o440)],
            vec![entry("a", &other_end, 0o444), set[1].clone()],
            vec![set[0].clone(), set[1].clone(), entry("d", "", 0o444)],
        ] {
            assert_eq!(is_published(dir.path(), &other), Ok(false), "{other:?}");
        }
        fs::remove_file(dir.path().join("a")).unwrap();
        assert_eq!(is_published(dir.path(), &set), Ok(false), "without its link");
    }

    #[test]
    fn sweeps_what_a_crash_left() {
        let dir = tempfile::tempdir().unwrap();
        publish(dir.path(), &[entry("a", "1", 0o444)]);
        // As if the process had died between staging and publishing: the kernel lets go of the lock, and that is all.
        let staged = stage(dir.path(), &[entry("b", "2", 0o444)]).unwrap();
        rustix::fs::flock(&staged.directory.fd, FlockOperation::Unlock).unwrap();
        std::mem::forget(staged);
        publish(dir.path(), &[entry("c", "3", 0o444)]);
        assert_eq!(visible(dir.path()), [("c".to_owned(), "3".to_owned())].into());
        assert_eq!(raw(dir.path()).len(), 3);
    }

    #[test]
    fn never_writes_through_or_over_what_is_not_its_own() {
        let outside = tempfile::tempdir().unwrap();
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(outside.path(), dir.path().join("tls")).unwrap();
        let error = stage(dir.path(), &[entry("tls/key", "1", 0o444)]).unwrap_err();
        assert_eq!((error.action, error.errno), ("linking", Errno::EXIST));
        assert_eq!(raw(outside.path()), Vec::<String>::new());
        assert_eq!(raw(dir.path()), ["tls"]);
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(outside.path(), &link).unwrap();
        assert_eq!(stage(&link, &[]).unwrap_err().action, "opening");
    }

    #[test]
    fn a_link_to_elsewhere_is_not_followed_and_a_dangling_one_is_no_obstacle() {
        let outside = tempfile::tempdir().unwrap();
        for target in [outside.path().to_str().unwrap(), "..", "../x", "tls"] {
            let dir = tempfile::tempdir().unwrap();
            std::os::unix::fs::symlink(target, dir.path().join(DATA)).unwrap();
            let error = stage(dir.path(), &[]).unwrap_err();
            assert_eq!((error.action, error.errno), ("following", Errno::INVAL), "{target}");
        }
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("..123", dir.path().join(DATA)).unwrap();
        publish(dir.path(), &[entry("a", "1", 0o444)]);
        assert_eq!(visible(dir.path()), [("a".to_owned(), "1".to_owned())].into());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn the_last_set_is_all_there_is(
            sets in prop::collection::vec(prop::collection::btree_map("[ab](/[cd]/[ef])?", ".{0,9}", 0..5), 1..4)
        ) {
            let dir = tempfile::tempdir().unwrap();
            let mut last = BTreeMap::new();
            for mut set in sets {
                // A file is no directory; the agent refuses such sets before.
                for name in ["a", "b"] {
                    if set.keys().any(|other| other.starts_with(&format!("{name}/"))) {
                        set.remove(name);
                    }
                }
                let entries: Vec<_> = set.iter().map(|(name, text)| entry(name, text, 0o444)).collect();
                publish(dir.path(), &entries);
                last = set;
            }
            let links: BTreeSet<_> = last.keys().map(|name| name.split('/').next()).collect();
            prop_assert_eq!(raw(dir.path()).len(), 2 + links.len());
            prop_assert_eq!(visible(dir.path()), last);
        }
    }

    #[test]
    fn keeps_the_group_of_a_volume_with_fsgroup() {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o2777)).unwrap();
        publish(dir.path(), &[entry("d/e/f", "1", 0o440)]);
        for name in ["..data/", "d", "d/e"] {
            let mode = fs::metadata(dir.path().join(name)).unwrap().permissions().mode() & 0o7777;
            assert_eq!(mode, 0o2755, "{name}");
        }
    }
}
