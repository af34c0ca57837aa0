//! Volumes that are full, read-only or somebody else's: nothing, or the whole former set.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf, process::Command};

use serde_json::json;

use crate::{
    fault::{Server, Step, answer},
    harness::{Pod, environment, opened},
};

/// A tmpfs over one of the pod's directories, unmounted when dropped.
pub struct Mount(PathBuf);

impl Mount {
    /// `None` where mounting is not allowed.
    pub fn new(test: &str, path: PathBuf, options: &str) -> Option<Self> {
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(&path).output();
        match mount {
            Ok(output) if output.status.success() => Some(Self(path)),
            _ => {
                eprintln!("SKIPPED {test}: mounting a tmpfs is not allowed here");
                None
            }
        }
    }

    fn remount(&self, options: &str) {
        let status =
            Command::new("mount").args(["-o", &format!("remount,{options}")]).arg(&self.0).status().unwrap();
        assert!(status.success());
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

fn good() -> [Step; 2] {
    [answer(200, &opened()), answer(200, &environment())]
}

/// An environment with a value of this size where the plan of the tests looks for one.
fn large(size: usize) -> [Step; 2] {
    let wire = json!({"properties": {
        "db": {"value": {"password": {"value": "x"}, "port": {"value": 1}}},
        "tls": {"value": {"ca": {"value": "x".repeat(size)}}},
    }});
    [answer(200, &opened()), answer(200, &wire.to_string())]
}

#[test]
fn a_full_volume_leaves_nothing_or_the_whole_former_set() {
    // Files, variables: whichever is full, both stay as they were.
    for (dir, options) in
        [("files", "size=64k"), ("files", "size=1m,nr_inodes=5"), ("env", "size=4k,nr_inodes=3")]
    {
        let server =
            Server::start(large(300_000).into_iter().chain(large(9)).chain(large(300_000)).collect());
        let mut pod = Pod::new(&server.url);
        if dir == "env" {
            pod.view()["variables"] = json!([{"name": "CA", "path": "tls.ca"}]);
        }
        let Some(mount) = Mount::new("a_full_volume", pod.path(dir), options) else { return };
        pod.init().assert_failure(78, "ESC410");
        assert!(pod.listing().is_empty(), "{options}: {:?}", pod.listing());

        // With room for it, a small set; then none again.
        mount.remount("size=64k,nr_inodes=20");
        pod.init().assert_success();
        let before = pod.listing();
        pod.init().assert_failure(78, "ESC410");
        assert_eq!(pod.listing(), before, "{options}");
    }
}

#[test]
fn a_read_only_volume_leaves_nothing_or_the_whole_former_set() {
    let script = good().into_iter().chain(good()).chain(good()).collect();
    let server = Server::start(script);
    let pod = Pod::new(&server.url);
    // The second of the two volumes: the first is staged already when it fails.
    let Some(mount) = Mount::new("a_read_only_volume", pod.path("env"), "size=1m,ro") else { return };
    pod.init().assert_failure(78, "ESC411");
    assert!(pod.listing().is_empty());
    mount.remount("rw");
    pod.init().assert_success();
    let before = pod.listing();
    mount.remount("ro");
    pod.init().assert_failure(78, "ESC411");
    assert_eq!(pod.listing(), before);
}

#[test]
fn a_read_only_or_full_place_for_the_binary_fails_before_anything_is_asked() {
    for (options, code) in [("size=1m,ro", "ESC411"), ("size=64k", "ESC410")] {
        let server = Server::start(Vec::new());
        let mut pod = Pod::new(&server.url);
        pod.plan["binaryDir"] = json!(pod.path("bin"));
        let Some(_mount) = Mount::new("a_place_for_the_binary", pod.path("bin"), options) else { return };
        pod.init().assert_failure(78, code);
        assert!(pod.listing().is_empty());
        assert!(server.lines().is_empty());
    }
}

#[test]
fn two_views_in_one_directory_leave_the_whole_former_set() {
    let server = Server::start(good().into_iter().chain(good()).collect());
    let mut pod = Pod::new(&server.url);
    pod.init().assert_success();
    let before = pod.listing();
    let twin = pod.view().clone();
    pod.plan["views"].as_array_mut().unwrap().push(twin);
    pod.init().assert_failure(75, "ESC412");
    assert_eq!(pod.listing(), before);
}

#[test]
fn a_directory_that_is_not_there_or_not_ours_is_told() {
    let server = Server::start(good().into_iter().chain(good()).collect());
    let mut pod = Pod::new(&server.url);
    fs::create_dir(pod.path("files/tls")).unwrap();
    let outcome = pod.init();
    outcome.assert_failure(75, "ESC412");
    assert!(outcome.termination.contains("files/tls"), "{}", outcome.termination);
    assert_eq!(pod.listing().len(), 1, "what is not ours stays");
    pod.view()["filesDir"] = json!(pod.path("nowhere"));
    pod.init().assert_failure(75, "ESC412");
}

#[test]
fn narrow_modes_and_directories_survive_a_umask() {
    let server = Server::start(good().into());
    let mut pod = Pod::new(&server.url);
    pod.view()["files"] =
        json!([{"name": "a/b", "path": "tls.ca", "mode": 0o440}, {"name": "c", "path": "tls.ca"}]);
    let inner = pod.command();
    let mut command = Command::new("sh");
    command
        .args(["-c", "umask 0777; exec \"$0\" \"$@\""])
        .arg(inner.get_program())
        .args(inner.get_args())
        .env_clear();
    command.envs(inner.get_envs().filter_map(|(name, value)| value.map(|value| (name, value))));
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    pod.wait(command.spawn().unwrap());
    let mode = |name: &str| fs::metadata(pod.path(name)).unwrap().permissions().mode() & 0o7777;
    assert_eq!(
        [mode("files/a"), mode("files/a/b"), mode("files/c"), mode("files/..data/")],
        [0o755, 0o440, 0o444, 0o755]
    );
}
