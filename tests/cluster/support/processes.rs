//! Processes of pods, as this machine sees them: images have no shell in which somebody could look for one.

use std::{fs, path::Path};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Kills the process of a pod whose command line has these words.
#[track_caller]
pub fn kill(pod: &Value, words: &str) {
    let uid = pod["metadata"]["uid"].as_str().unwrap();
    let is_it = |directory: &Path| {
        let read = |name: &str| fs::read_to_string(directory.join(name)).unwrap_or_default();
        read("cmdline").replace('\0', " ").contains(words) && read("cgroup").contains(uid)
    };
    let mut processes = fs::read_dir("/proc").unwrap().flatten();
    let found = processes.find(|process| is_it(&process.path()));
    let found = found.unwrap_or_else(|| panic!("no process `{words}` in the pod {uid}"));
    let pid = found.file_name().to_string_lossy().parse().ok().and_then(Pid::from_raw).unwrap();
    kill_process(pid, Signal::KILL).unwrap();
}
