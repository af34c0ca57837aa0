//! A pod of the webhook's Deployment, played by a process of this machine: the chart's command line, variables, mounted
//! files and ServiceAccount, on an address of its own.

use std::{
    fs::{self, File},
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{cluster::cluster, eventually};

/// Where admissions come in, as in the chart.
pub const PORT: u16 = 10250;

/// Where health and metrics are read, as in the chart.
pub const HEALTH_PORT: u16 = 8080;

/// The address of the nth replica, from 1 to 9: `tests/cluster/up` has given them to the bridge.
pub const fn address(n: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 88, 0, 10 + n)
}

/// A running replica; killed when it is dropped.
pub struct Replica {
    pub address: Ipv4Addr,
    /// What it proves itself with to the API server.
    pub token: String,
    command: Command,
    child: Child,
    log: PathBuf,
    _files: TempDir,
}

impl Replica {
    /// Starts the nth replica of a Deployment.
    pub fn start(namespace: &str, deployment: &str, n: u8) -> Self {
        Self::start_through(namespace, deployment, n, None)
    }

    /// Starts one that reaches the API server on another address.
    pub fn start_through(namespace: &str, deployment: &str, n: u8, through: Option<SocketAddr>) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let address = address(n);
        let found = cluster().get("deployment", namespace, deployment).expect("no such Deployment");
        let pod = &found["spec"]["template"]["spec"];
        let (container, account) = (&pod["containers"][0], pod["serviceAccountName"].as_str().unwrap());
        let files = tempfile::tempdir().unwrap();
        let mounts = materialise(namespace, pod, container, files.path());

        let mut command = Command::new(env!("CARGO_BIN_EXE_esc-injector"));
        let (kubeconfig, token) = kubeconfig(namespace, account, files.path(), through);
        command.env_clear().env("KUBECONFIG", kubeconfig);
        let here = |text: &str| {
            let text = text.replace("[::]:", &format!("{address}:"));
            mounts.iter().fold(text, |text, (inside, outside)| text.replace(inside, outside))
        };
        for argument in strings(&container["args"]) {
            // Kubelet makes one dollar sign of two.
            command.arg(here(&argument.replace("$$", "$")));
        }
        for variable in container["env"].as_array().into_iter().flatten() {
            let value = match variable["valueFrom"]["fieldRef"]["fieldPath"].as_str() {
                Some("metadata.namespace") => namespace,
                Some(other) => panic!("the harness does not play the field {other}"),
                None => variable["value"].as_str().unwrap_or_default(),
            };
            command.env(variable["name"].as_str().unwrap(), here(value));
        }
        cluster().adopt(&mut command);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let log = cluster().state.join(format!("logs/replica-{namespace}-{n}-{count}.log"));
        let child = spawn(&mut command, &log);
        Self { address, token, command, child, log, _files: files }
    }

    /// Waits until it says that it is ready.
    #[track_caller]
    pub fn wait_until_ready(&mut self) {
        eventually("a replica is ready", || {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("the replica ended ({status}): {}", self.log());
            }
            is_ready(self.address).then_some(())
        });
    }

    /// Everything it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Asks it to end, as kubelet does.
    pub fn terminate(&mut self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        eventually("the replica ends", || self.child.try_wait().unwrap())
    }

    /// Starts it again, as kubelet does with a container that has ended. It begins a new log.
    pub fn start_again(&mut self) {
        self.kill();
        self.child = spawn(&mut self.command, &self.log);
    }

    /// Kills it at once.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Whether the replica on this address would get requests.
pub fn is_ready(address: Ipv4Addr) -> bool {
    get(address, "/readyz").is_some_and(|(status, _)| status == 200)
}

/// Status and body of a page of the health port, or nothing if nobody answers.
pub fn get(address: Ipv4Addr, path: &str) -> Option<(u16, String)> {
    let patience = Duration::from_secs(2);
    let mut stream = TcpStream::connect_timeout(&SocketAddr::from((address, HEALTH_PORT)), patience).ok()?;
    stream.set_read_timeout(Some(patience)).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}

/// A metric of the replica on this address, by the whole name with its labels.
pub fn metric(address: Ipv4Addr, name: &str) -> Option<f64> {
    let (_, text) = get(address, "/metrics")?;
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    value.split(' ').next()?.parse().ok()
}

fn spawn(command: &mut Command, log: &Path) -> Child {
    let log = File::create(log).unwrap();
    command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
    command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

fn strings(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str)
}

/// Writes what kubelet would mount, and says which path inside is which outside.
fn materialise(namespace: &str, pod: &Value, container: &Value, root: &Path) -> Vec<(String, String)> {
    let mut mounts = Vec::new();
    for mount in container["volumeMounts"].as_array().into_iter().flatten() {
        let inside = mount["mountPath"].as_str().unwrap().to_owned();
        let outside = root.join(inside.trim_start_matches('/'));
        fs::create_dir_all(&outside).unwrap();
        let volumes = pod["volumes"].as_array().into_iter().flatten();
        for volume in volumes.filter(|volume| volume["name"] == mount["name"]) {
            for (name, content) in contents(namespace, volume) {
                fs::write(outside.join(name), content).unwrap();
            }
        }
        mounts.push((inside, outside.display().to_string()));
    }
    mounts
}

fn contents(namespace: &str, volume: &Value) -> Vec<(String, Vec<u8>)> {
    let object = |kind, name: &Value| {
        let name = name.as_str().unwrap();
        cluster().get(kind, namespace, name).unwrap_or_else(|| panic!("no {kind} {name} to mount"))
    };
    let entries = |data: &Value| data.as_object().cloned().unwrap_or_default();
    if let Some(secret) = volume.get("secret") {
        let found = object("secret", &secret["secretName"]);
        let decode = |value: Value| STANDARD.decode(value.as_str().unwrap()).unwrap();
        entries(&found["data"]).into_iter().map(|(name, value)| (name, decode(value))).collect()
    } else if let Some(map) = volume.get("configMap") {
        let found = object("configmap", &map["name"]);
        let bytes = |value: Value| value.as_str().unwrap().as_bytes().to_vec();
        entries(&found["data"]).into_iter().map(|(name, value)| (name, bytes(value))).collect()
    } else {
        // An emptyDir has nothing in it.
        Vec::new()
    }
}

/// The ServiceAccount's own rights, and none else; gives the token as well.
pub fn kubeconfig(
    namespace: &str,
    account: &str,
    directory: &Path,
    through: Option<SocketAddr>,
) -> (PathBuf, String) {
    let server = through.unwrap_or(SocketAddr::from(([10, 88, 0, 1], 6443)));
    let token = cluster()
        .kubectl(["create", "token", account, "--namespace", namespace, "--duration=4h"])
        .expect("a token of the chart's ServiceAccount");
    let authority = cluster().state.join("pki/ca.crt");
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "pod",
        "clusters": [{"name": "cluster", "cluster": {
            "server": format!("https://{server}"), "certificate-authority": authority,
        }}],
        "users": [{"name": "pod", "user": {"token": token.trim()}}],
        "contexts": [{"name": "pod", "context": {"cluster": "cluster", "user": "pod", "namespace": namespace}}],
    });
    let path = directory.join("kubeconfig");
    fs::write(&path, config.to_string()).unwrap();
    (path, token.trim().to_owned())
}
