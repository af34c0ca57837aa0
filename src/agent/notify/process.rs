//! Finds the one process that a signal is meant for, or says why there is none. [`choose`] is pure; [`list`] reads
//! `/proc`.
//!
//! In a pod whose containers share a process namespace, pid 1 is the pod's own `pause`, and a container's main
//! process has parent 0, since what started it is outside. Of two processes that fit it is neither: the wrong one
//! might die of the signal.

use std::{collections::BTreeSet, fs, io, path::Path};

use crate::agent::binary;

/// A process as `/proc` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub pid: i32,
    /// Who started it; zero if that is outside of the namespace.
    pub parent: i32,
    /// The program's name, cut to 15 bytes by the kernel.
    pub name: String,
    /// The last part of its first argument.
    pub argument: String,
    /// Its user, if all of its user ids are one.
    pub uid: Option<u32>,
    /// When it started, in the kernel's ticks since boot.
    pub started: u64,
    /// Its control groups: those of its container.
    pub group: String,
}

/// Who is looking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Own {
    /// Our process.
    pub pid: i32,
    /// Our user.
    pub uid: u32,
}

/// Why no process is meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoTarget {
    /// We see our own container only.
    #[error("the pod's containers don't share a process namespace")]
    NotShared,
    /// We see the whole node.
    #[error("the pod shares the node's process namespace, where others' processes are too")]
    Node,
    /// Nobody has the name.
    #[error("no process is named {name}")]
    Unknown {
        /// The name.
        name: String,
    },
    /// There is nothing but ourselves.
    #[error("no other container's main process is there")]
    Alone,
    /// The one that is meant is another user's.
    #[error("{name} runs as another user than the agent ({uid})")]
    OtherUser {
        /// Its name.
        name: String,
        /// Our user.
        uid: u32,
    },
    /// More than one fits.
    #[error("{} processes fit: {}", names.len(), names.join(", "))]
    Several {
        /// Their names and ids.
        names: Vec<String>,
    },
}

/// The one process that is meant: by its name, or the only container's main process.
pub fn choose<'a>(processes: &'a [Process], own: Own, wanted: Option<&str>) -> Result<&'a Process, NoTarget> {
    if own.pid == 1 {
        return Err(NoTarget::NotShared);
    }
    if processes.iter().any(|process| process.pid == 2 && process.parent == 0 && process.name == "kthreadd") {
        return Err(NoTarget::Node);
    }
    let fits: Vec<&Process> = processes
        .iter()
        // Never pause, ourselves, or the probe that kubelet starts in our container.
        .filter(|process| process.pid > 1 && process.pid != own.pid && process.name != binary::NAME)
        .filter(|process| match wanted {
            Some(wanted) => process.is_named(wanted),
            None => process.parent == 0,
        })
        .collect();
    let ours: Vec<&Process> = fits.iter().copied().filter(|process| process.uid == Some(own.uid)).collect();
    match (fits.first(), ours.is_empty()) {
        (None, _) => Err(match wanted {
            Some(name) => NoTarget::Unknown { name: name.to_owned() },
            None => NoTarget::Alone,
        }),
        (Some(other), true) => Err(NoTarget::OtherUser { name: other.shown(), uid: own.uid }),
        (Some(_), false) => only(&leaders(&ours, wanted.is_none())),
    }
}

/// Of a family of processes the one that started the others. What was started into a container later (a probe, a
/// shell of `kubectl exec`) has no parent either: of those the first is the main process.
fn leaders<'a>(fits: &[&'a Process], first_only: bool) -> Vec<&'a Process> {
    let pids: BTreeSet<i32> = fits.iter().map(|process| process.pid).collect();
    let is_leader = |process: &&&Process| !pids.contains(&process.parent);
    let is_first = |process: &Process| {
        !fits.iter().any(|other| {
            other.group == process.group && (other.started, other.pid) < (process.started, process.pid)
        })
    };
    fits.iter().filter(is_leader).copied().filter(|process| !first_only || is_first(process)).collect()
}

fn only<'a>(leaders: &[&'a Process]) -> Result<&'a Process, NoTarget> {
    match leaders {
        [one] => Ok(one),
        several => {
            // More would not help to find the right one.
            const SHOWN: usize = 8;
            Err(NoTarget::Several { names: several.iter().take(SHOWN).map(|found| found.shown()).collect() })
        }
    }
}

impl Process {
    fn is_named(&self, wanted: &str) -> bool {
        /// The kernel's limit of names.
        const LONGEST: usize = 15;
        let cut = wanted.as_bytes().get(..LONGEST).unwrap_or(wanted.as_bytes());
        self.argument == wanted || self.name.as_bytes() == cut
    }

    /// For messages: what the process calls itself may be any text.
    fn shown(&self) -> String {
        format!("{} ({})", self.name.escape_debug(), self.pid)
    }
}

/// All processes that can be seen, in the order of their ids. Those that end meanwhile are left out.
pub fn list(proc: &Path) -> io::Result<Vec<Process>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(proc)? {
        let name = entry?.file_name();
        if let Some(pid) = name.to_str().and_then(|name| name.parse().ok())
            && let Some(process) = read(&proc.join(&name), pid)
        {
            found.push(process);
        }
    }
    found.sort_by_key(|process| process.pid);
    Ok(found)
}

/// What `/proc` tells of a process, if it is still there.
pub fn read(directory: &Path, pid: i32) -> Option<Process> {
    let text = |name: &str| {
        fs::read(directory.join(name)).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    };
    let stat = text("stat")?;
    // The name stands in parentheses and may hold some itself.
    let (head, rest) = stat.rsplit_once(") ")?;
    let (_, name) = head.split_once('(')?;
    let mut fields = rest.split(' ');
    let state = fields.next()?;
    if state == "Z" || state == "X" {
        return None;
    }
    let parent = fields.next()?.parse().ok()?;
    // The 22nd field; name and state are the second and the third.
    let started = fields.nth(17)?.parse().ok()?;
    let argument = text("cmdline").unwrap_or_default();
    let argument = argument.split('\0').next().unwrap_or_default();
    Some(Process {
        pid,
        parent,
        name: name.to_owned(),
        argument: argument.rsplit('/').next().unwrap_or_default().to_owned(),
        uid: uid(&text("status")?),
        started,
        group: text("cgroup").unwrap_or_default(),
    })
}

/// The user, if real, effective, saved and file system user are the same.
fn uid(status: &str) -> Option<u32> {
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    let mut ids = line.split_whitespace();
    let first = ids.next()?;
    ids.all(|id| id == first).then(|| first.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: Own = Own { pid: 7, uid: 65532 };

    fn process(pid: i32, parent: i32, name: &str, group: &str) -> Process {
        Process {
            pid,
            parent,
            name: name.to_owned(),
            argument: String::new(),
            uid: Some(OWN.uid),
            started: u64::try_from(pid).unwrap(),
            group: group.to_owned(),
        }
    }

    /// A pod's processes: pause, the agent with a probe, and nginx with two workers.
    fn pod() -> Vec<Process> {
        vec![
            Process { uid: Some(65535), ..process(1, 0, "pause", "pause") },
            process(7, 0, "esc-injector", "agent"),
            process(9, 0, "esc-injector", "agent"),
            process(20, 0, "nginx", "app"),
            process(21, 20, "nginx", "app"),
            process(22, 20, "nginx", "app"),
        ]
    }

    fn chosen(processes: &[Process], wanted: Option<&str>) -> Result<i32, String> {
        choose(processes, OWN, wanted).map(|process| process.pid).map_err(|error| error.to_string())
    }

    #[test]
    fn finds_the_main_process_and_the_head_of_a_family() {
        assert_eq!(chosen(&pod(), None), Ok(20));
        assert_eq!(chosen(&pod(), Some("nginx")), Ok(20));
    }

    #[test]
    fn a_shell_in_the_container_is_not_its_main_process() {
        let mut pod = pod();
        pod.push(process(90, 0, "sh", "app"));
        assert_eq!(chosen(&pod, None), Ok(20));
        assert_eq!(chosen(&pod, Some("sh")), Ok(90));
    }

    #[test]
    fn a_title_hides_no_program_and_long_names_are_cut_as_the_kernel_does() {
        let mut pod = pod();
        pod.push(Process { argument: "server.py".to_owned(), ..process(30, 0, "python3", "b") });
        pod.push(process(31, 0, "a-very-long-nam", "c"));
        assert_eq!(chosen(&pod, Some("server.py")), Ok(30));
        assert_eq!(chosen(&pod, Some("a-very-long-name-of-a-program")), Ok(31));
    }

    #[test]
    fn several_that_fit_are_none() {
        let mut pod = pod();
        pod.push(process(40, 0, "nginx", "other"));
        let several = Err("2 processes fit: nginx (20), nginx (40)".to_owned());
        assert_eq!(chosen(&pod, None), several);
        assert_eq!(chosen(&pod, Some("nginx")), several);
    }

    #[test]
    fn never_signals_pause_the_agent_or_another_user() {
        assert_eq!(chosen(&pod(), Some("pause")), Err("no process is named pause".to_owned()));
        assert_eq!(chosen(&pod(), Some("esc-injector")), Err("no process is named esc-injector".to_owned()));
        let root: Vec<_> = pod().into_iter().map(|process| Process { uid: Some(0), ..process }).collect();
        let other = Err("nginx (20) runs as another user than the agent (65532)".to_owned());
        assert_eq!(chosen(&root, None), other);
        assert_eq!(chosen(&root, Some("nginx")), other);
        let mixed: Vec<_> = pod().into_iter().map(|process| Process { uid: None, ..process }).collect();
        assert_eq!(chosen(&mixed, None), other);
        assert_eq!(chosen(&pod()[..3], None), Err("no other container's main process is there".to_owned()));
    }

    #[test]
    fn signals_nobody_outside_of_the_pods_own_namespace() {
        let alone = Own { pid: 1, ..OWN };
        assert_eq!(choose(&pod(), alone, None), Err(NoTarget::NotShared));
        let mut node = pod();
        node.push(process(2, 0, "kthreadd", ""));
        assert_eq!(choose(&node, OWN, Some("nginx")), Err(NoTarget::Node));
    }

    #[test]
    fn reads_what_the_kernel_tells_of_ourselves() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let processes = list(Path::new("/proc")).unwrap();
        let own = processes.iter().find(|process| process.pid == pid).unwrap();
        assert_eq!(own.uid, Some(rustix::process::getuid().as_raw()));
        assert_eq!(own.parent, std::os::unix::process::parent_id().cast_signed());
        let executable = std::env::current_exe().unwrap();
        assert_eq!(own.argument, executable.file_name().unwrap().to_str().unwrap());
        assert!(own.started > 0 && !own.name.is_empty());
    }

    #[test]
    fn names_may_hold_anything() {
        let dir = tempfile::tempdir().unwrap();
        let stat = "5 (a) b (c) S 3 5 5 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 77 0 0 0";
        let write = |name: &str, text: &str| {
            #[expect(clippy::disallowed_methods, reason = "plain files for tests")]
            fs::write(dir.path().join(name), text).unwrap();
        };
        write("stat", stat);
        write("status", "Name:\tx\nUid:\t5\t5\t0\t5\n");
        let process = read(dir.path(), 5).unwrap();
        assert_eq!((process.name.as_str(), process.parent, process.started), ("a) b (c", 3, 77));
        assert_eq!(process.uid, None, "a set-user-ID program");
        write("stat", &stat.replace(" S ", " Z "));
        assert_eq!(read(dir.path(), 5), None, "a zombie");
    }
}
