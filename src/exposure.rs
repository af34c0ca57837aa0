//! Who else can use a file that holds a secret: judged by its mode, and by whose it is.
//!
//! Of a file of our own, nobody else needs anything. Of somebody else's, such as what kubelet mounts for a pod that does
//! not run as root, the group may be how we get at it: there, only what the group can change and what everybody can do is
//! too much. Even of our own, what the group can do is told and not refused: `fsGroup` gives the group every file of a
//! volume each time a pod mounts it, and a server that had made its key there would not start a second time.

use std::{
    fs::{self, Metadata},
    os::unix::fs::MetadataExt,
    path::Path,
};

/// What the group, and everybody, can change.
const OTHERS_WRITE: u32 = 0o022;

/// The part of a mode that lets somebody in who need not be.
pub fn excess(metadata: &Metadata) -> u32 {
    metadata.mode() & if is_ours(metadata) { 0o077 } else { 0o037 }
}

/// Whether everybody could change what is in a directory: its files can be replaced, whatever their own modes are.
pub fn can_be_changed_by_everybody(metadata: &Metadata) -> bool {
    metadata.mode() & 0o002 != 0
}

/// Whether everybody can do anything with a file.
pub fn is_everybodys(metadata: &Metadata) -> bool {
    metadata.mode() & 0o007 != 0
}

/// Whether a file belongs to the user that we run as.
pub fn is_ours(metadata: &Metadata) -> bool {
    metadata.uid() == rustix::process::geteuid().as_raw()
}

/// What to know of a file that holds a token or a key, and others can use: `what` names it. Nothing of a pipe, which
/// is gone once it is read.
pub fn warning(what: &str, path: &Path) -> Option<String> {
    let metadata = fs::metadata(path).ok().filter(Metadata::is_file)?;
    let excess = excess(&metadata);
    if excess == 0 {
        return None;
    }
    let mode = metadata.mode() & 0o7777;
    let done = if excess & OTHERS_WRITE == 0 { "read" } else { "change" };
    let narrow = if is_ours(&metadata) { "600" } else { "640" };
    Some(format!(
        "{what} {path} has mode {mode:04o}, so that others can {done} it: chmod {narrow} {path}, or in a volume of a pod \
         `defaultMode: 0{volume}`",
        path = path.display(),
        volume = if is_ours(&metadata) { "400" } else { "440" },
    ))
}
