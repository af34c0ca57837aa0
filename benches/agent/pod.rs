//! A pod as far as its sidecar knows it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{esc::Esc, process::Process};

pub struct Pod {
    root: TempDir,
    plan: Value,
}

impl Pod {
    /// Twenty variables and two files, refreshed each so many seconds.
    pub fn new(esc: &Esc, refresh: u64) -> Self {
        let root = tempfile::tempdir().unwrap();
        for name in ["files", "env", "state"] {
            fs::create_dir(root.path().join(name)).unwrap();
        }
        fs::write(root.path().join("token"), "pul-of-the-bench").unwrap();
        let path = |name: &str| root.path().join(name).to_str().unwrap().to_owned();
        let variables: Vec<_> = (0..20)
            .map(|index| json!({"name": format!("V{index}"), "path": format!("v.k{index}")}))
            .collect();
        let plan = json!({
            "version": 1, "api": {"url": esc.url, "ca": esc.ca},
            "auth": {"kind": "token", "tokenFile": path("token")},
            "environments": ["acme/shop/prod"], "timeoutSeconds": 120,
            "views": [{
                "containers": ["app"], "mountPath": "/run/secrets/esc", "filesDir": path("files"), "envDir": path("env"),
                "wrapper": true, "variables": variables,
                "files": [{"name": "ca.crt", "path": "ca"}, {"name": "all.json", "path": "."}],
            }],
            "refresh": {"intervalSeconds": refresh, "restartSpreadSeconds": 0, "stateDir": path("state")},
        });
        Self { root, plan }
    }

    /// The same without a refresh.
    pub fn init_plan(&self) -> String {
        let mut plan = self.plan.clone();
        plan.as_object_mut().unwrap().remove("refresh");
        plan.to_string()
    }

    /// A sidecar that is ready.
    pub fn sidecar(&self, binary: &Path) -> Process {
        let mut command = Command::new(binary);
        command
            .args(["agent", "sidecar"])
            .env_clear()
            .env("ESC_INJECTOR_PLAN", self.plan.to_string())
            .env("ESC_INJECTOR_TERMINATION_LOG", self.path("termination"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let process = Process::start(&mut command);
        while !self.path("state/ready").exists() {
            thread::sleep(Duration::from_millis(5));
        }
        process
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }
}
