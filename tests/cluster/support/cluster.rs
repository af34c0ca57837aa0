//! The running cluster, as its administrator sees it.

use std::{
    env, fs,
    path::PathBuf,
    process::Command,
    sync::{Condvar, Mutex, OnceLock, PoisonError},
};

use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::Value;
use tokio::runtime::Runtime;

use super::command::{Ran, run};

/// What `tests/cluster/up` has brought up.
pub struct Cluster {
    /// Everything it owns lies here.
    pub state: PathBuf,
    runtime: Runtime,
    client: Client,
}

/// The running cluster, without what an earlier run has left.
pub fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| {
        let cluster = Cluster::find();
        cluster.sweep();
        cluster
    })
}

/// Webhook configurations and policies hold for the whole cluster: who installs something has it alone.
pub struct Alone(());

/// Whether somebody has the cluster alone, and who waits for that to end. No guard of a mutex: it may be given up by
/// another thread than the one that asked.
static TAKEN: (Mutex<bool>, Condvar) = (Mutex::new(false), Condvar::new());

/// Waits until nobody else has the cluster alone.
pub fn alone() -> Alone {
    let (taken, given_up) = &TAKEN;
    let taken = taken.lock().unwrap_or_else(PoisonError::into_inner);
    *given_up.wait_while(taken, |taken| *taken).unwrap_or_else(PoisonError::into_inner) = true;
    Alone(())
}

impl Drop for Alone {
    fn drop(&mut self) {
        let (taken, given_up) = &TAKEN;
        *taken.lock().unwrap_or_else(PoisonError::into_inner) = false;
        given_up.notify_all();
    }
}

impl Cluster {
    fn find() -> Self {
        let state = env::var_os("ESC_CLUSTER_STATE")
            .map_or_else(|| env::temp_dir().join("esc-cluster"), PathBuf::from);
        assert!(state.join("up").exists(), "no cluster in {}: run tests/cluster/up", state.display());
        let runtime = Runtime::new().unwrap();
        let config = Kubeconfig::read_from(state.join("admin.kubeconfig")).unwrap();
        let client = runtime.block_on(async {
            let config = Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await.unwrap();
            Client::try_from(config).unwrap()
        });
        Self { state, runtime, client }
    }

    /// What a run that was killed has left in the cluster.
    fn sweep(&self) {
        for pid in self.members_named("esc-injector") {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
        let ours = "--selector=app.kubernetes.io/name=esc-injector";
        let kinds = "mutatingwebhookconfigurations,validatingwebhookconfigurations,\
                     validatingadmissionpolicies,validatingadmissionpolicybindings,clusterroles,clusterrolebindings,priorityclasses";
        self.kubectl(["delete", kinds, ours]).expect("removing what an earlier run has left");
        self.kubectl([
            "delete",
            "mutatingwebhookconfigurations,namespaces",
            "--selector=esc-cluster=test",
            "--wait=false",
        ])
        .expect("removing what an earlier run has left");
    }

    /// Processes of the cluster that run this program.
    fn members_named(&self, program: &str) -> Vec<rustix::process::Pid> {
        let mark = self.mark();
        let mut found = Vec::new();
        for process in fs::read_dir("/proc").unwrap().flatten() {
            let directory = process.path();
            let is_program = fs::read_link(directory.join("exe")).is_ok_and(|exe| exe.ends_with(program));
            let is_member = || {
                let environment = fs::read(directory.join("environ")).unwrap_or_default();
                environment.split(|byte| *byte == 0).any(|entry| entry == mark.as_bytes())
            };
            if is_program && is_member() {
                let pid = process.file_name().to_string_lossy().parse().ok();
                found.extend(pid.and_then(rustix::process::Pid::from_raw));
            }
        }
        found
    }

    fn mark(&self) -> String {
        format!("ESC_CLUSTER_MEMBER={}", self.state.display())
    }

    /// Marks a process as the cluster's, so that `tests/cluster/down` finds it if this one is killed.
    pub fn adopt(&self, command: &mut Command) {
        command.env("ESC_CLUSTER_MEMBER", &self.state);
    }

    /// A program of the cluster's tools, with the administrator's rights.
    pub fn tool(&self, name: &str) -> Command {
        let mut command = Command::new(self.state.join("tools").join(name));
        command.env("KUBECONFIG", self.state.join("admin.kubeconfig"));
        for home in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME", "KUBECACHEDIR"] {
            command.env(home, self.state.join(home.to_lowercase()));
        }
        command
    }

    /// Runs kubectl.
    pub fn kubectl<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Ran {
        self.kubectl_with(arguments, "")
    }

    /// Runs kubectl with this on its standard input.
    pub fn kubectl_with<'a>(&self, arguments: impl IntoIterator<Item = &'a str>, input: &str) -> Ran {
        run(self.tool("kubectl").args(arguments), input)
    }

    /// Applies objects, as a user does.
    #[track_caller]
    pub fn apply(&self, objects: &Value) {
        self.kubectl_with(["apply", "-f", "-"], &objects.to_string()).expect("kubectl apply");
    }

    /// An object, or nothing if there is none.
    pub fn get(&self, kind: &str, namespace: &str, name: &str) -> Option<Value> {
        let output = self
            .kubectl(["get", kind, name, "--namespace", namespace, "--ignore-not-found", "-o", "json"])
            .expect("kubectl get");
        (!output.is_empty()).then(|| serde_json::from_str(&output).unwrap())
    }

    /// Objects of a kind in a namespace, or of the whole cluster for an empty one.
    pub fn list(&self, kind: &str, namespace: &str) -> Vec<Value> {
        let place = if namespace.is_empty() {
            "--all-namespaces".to_owned()
        } else {
            format!("--namespace={namespace}")
        };
        let output = self.kubectl(["get", kind, &place, "-o", "json"]).expect("kubectl get");
        let mut list: Value = serde_json::from_str(&output).unwrap();
        match list["items"].take() {
            Value::Array(items) => items,
            _ => Vec::new(),
        }
    }

    /// The administrator's client; for use inside [`Cluster::block_on`] and [`Cluster::spawn`].
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    pub fn spawn<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> tokio::task::JoinHandle<T> {
        self.runtime.spawn(future)
    }

    /// Restarts a process of the control plane.
    pub fn restart(&self, process: &str) {
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/cluster/restart");
        let mut command = Command::new(script);
        command.arg(process).env("ESC_CLUSTER_STATE", &self.state);
        run(&command, "").expect("tests/cluster/restart");
    }
}
