//! Pods as far as the agent knows them: directories, a plan, a process.

use std::{
    collections::VecDeque,
    fs,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::esc::TOKEN;

/// How often processes and files are looked at: the precision of every time here.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(600);

pub struct Pods {
    binary: PathBuf,
    all: Vec<Pod>,
    _root: TempDir,
}

pub struct Pod {
    directory: PathBuf,
    plan: Value,
}

impl Pods {
    /// With a refresh each so many seconds, or without.
    pub fn new(binary: PathBuf, url: &str, count: usize, refresh: Option<u64>) -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("token"), TOKEN).unwrap();
        let token = root.path().join("token");
        let pods = (0..count).map(|number| {
            let directory = root.path().join(number.to_string());
            for name in ["files", "env", "state"] {
                fs::create_dir_all(directory.join(name)).unwrap();
            }
            let path = |name: &str| directory.join(name).to_str().unwrap().to_owned();
            let mut plan = json!({
                "version": 1, "api": {"url": url}, "auth": {"kind": "token", "tokenFile": token},
                "environments": ["acme/shop/prod"], "timeoutSeconds": 120,
                "views": [{
                    "containers": ["app"], "mountPath": "/run/secrets/esc", "filesDir": path("files"),
                    "envDir": path("env"), "wrapper": true, "files": [{"name": "ca.crt", "path": "tls.ca"}],
                    "variables": [{"name": "DB_URL", "path": "db.url"}],
                }],
            });
            if let Some(seconds) = refresh {
                plan["refresh"] =
                    json!({"intervalSeconds": seconds, "restartSpreadSeconds": 0, "stateDir": path("state")});
            }
            Pod { directory: directory.clone(), plan }
        });
        Self { binary, all: pods.collect(), _root: root }
    }

    /// Runs the init agent of each pod to its end, so many at a time; how long each took, from its start.
    pub fn run_all(&self, at_once: usize) -> Vec<Duration> {
        let mut waiting: VecDeque<&Pod> = self.all.iter().collect();
        let mut running: Vec<(Child, Instant)> = Vec::new();
        let mut times = Vec::new();
        while !(waiting.is_empty() && running.is_empty()) {
            while running.len() < at_once
                && let Some(pod) = waiting.pop_front()
            {
                running.push((pod.start(&self.binary, "init"), Instant::now()));
            }
            thread::sleep(LOOK_EVERY);
            running.retain_mut(|(process, started)| match process.try_wait().unwrap() {
                None => true,
                Some(status) => {
                    assert!(status.success(), "an agent ended with {status}");
                    times.push(started.elapsed());
                    false
                }
            });
        }
        times
    }

    /// Starts the sidecar of each pod.
    pub fn start_all(&self) -> Running<'_> {
        Running {
            pods: self,
            processes: self.all.iter().map(|pod| pod.start(&self.binary, "sidecar")).collect(),
        }
    }
}

/// Sidecars; killed when dropped.
pub struct Running<'a> {
    pods: &'a Pods,
    processes: Vec<Child>,
}

impl Running<'_> {
    /// Waits until it is true of every pod.
    pub fn wait_until(&self, is_true: impl Fn(&Pod) -> bool) {
        let start = Instant::now();
        for pod in &self.pods.all {
            while !is_true(pod) {
                assert!(start.elapsed() < PATIENCE, "waited too long");
                thread::sleep(LOOK_EVERY);
            }
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        for process in &mut self.processes {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

impl Pod {
    fn start(&self, binary: &PathBuf, role: &str) -> Child {
        Command::new(binary)
            .args(["agent", role])
            .env_clear()
            .env("ESC_INJECTOR_PLAN", self.plan.to_string())
            .env("ESC_INJECTOR_LOG_LEVEL", "error")
            .env("ESC_INJECTOR_TERMINATION_LOG", self.directory.join("termination"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    pub fn is_ready(&self) -> bool {
        self.directory.join("state/ready").exists()
    }

    /// Whether the values may be old, as the sidecar itself has it.
    pub fn is_stale(&self) -> bool {
        let state = fs::read(self.directory.join("state/state.json")).unwrap();
        let state: Value = serde_json::from_slice(&state).unwrap();
        !state["staleSince"].is_null()
    }
}
