//! What the kernel says of a process.

use std::{
    fs,
    process::{Child, Command},
    time::Duration,
};

/// What a process used so far.
pub struct Usage {
    pub processor_time: Duration,
    pub resident_mebibytes: f64,
    /// Resident, and not of a file that all agents of the node share.
    pub own_mebibytes: f64,
    /// How often it began to run.
    pub switches: u64,
}

/// Killed when dropped.
pub struct Process(Child);

impl Process {
    pub fn start(command: &mut Command) -> Self {
        Self(command.spawn().unwrap())
    }

    pub fn usage(&self) -> Usage {
        let proc = format!("/proc/{}", self.0.id());
        let (mut nanoseconds, mut switches) = (0, 0);
        for task in fs::read_dir(format!("{proc}/task")).unwrap() {
            // Time on a processor, time waiting for one, and how often it got one.
            let text = fs::read_to_string(task.unwrap().path().join("schedstat")).unwrap();
            let fields: Vec<u64> = text.split_whitespace().map(|field| field.parse().unwrap()).collect();
            nanoseconds += fields[0];
            switches += fields[2];
        }
        let status = fs::read_to_string(format!("{proc}/status")).unwrap();
        let mebibytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim().strip_suffix(" kB").unwrap().parse::<f64>().unwrap() / 1024.0
        };
        Usage {
            processor_time: Duration::from_nanos(nanoseconds),
            resident_mebibytes: mebibytes("VmRSS:"),
            own_mebibytes: mebibytes("RssAnon:"),
            switches,
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// User and system time of all children that have ended, in steps of 10 ms.
pub fn children_processor_time() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    // The second field, in parentheses, may hold anything; cutime and cstime are fields 16 and 17.
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: u64 = fields[13..15].iter().map(|field| field.parse::<u64>().unwrap()).sum();
    // USER_HZ is 100 wherever Linux runs.
    Duration::from_millis(ticks * 10)
}
