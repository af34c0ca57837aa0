//! The webhook as a process of its own, and what the kernel says of it.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use tokio::runtime::Builder;

use crate::{client, tls::Certificates};

pub struct Webhook {
    child: Child,
    pub address: SocketAddr,
    /// From the start of the process to the end of the first TLS handshake.
    pub first_handshake: Duration,
}

/// Longer than any start takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// How often a connection is tried: the precision of the first handshake.
const TRY_EVERY: Duration = Duration::from_micros(100);

impl Webhook {
    /// Starts the binary, on one core alone where that is wanted, and waits until it answers.
    pub fn start(binary: &Path, certificates: &Certificates, core: Option<usize>) -> Self {
        let (address, health) = (free_port(), free_port());
        let mut command = match core {
            Some(core) => {
                let mut command = Command::new("taskset");
                command.args(["-c", &core.to_string()]).arg(binary);
                command
            }
            None => Command::new(binary),
        };
        command
            .args(["webhook", "--kubernetes=off"])
            .arg(format!("--listen={address}"))
            .arg(format!("--health-listen={health}"))
            .arg("--tls-cert")
            .arg(certificates.certificate())
            .arg("--tls-key")
            .arg(certificates.key())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            // A line an admission is written, and costs what it costs; nobody reads it.
            .stderr(Stdio::null());
        let started = Instant::now();
        let mut webhook = Self { child: command.spawn().unwrap(), address, first_handshake: Duration::ZERO };
        // A runtime of its own: it is the caller's business whether there is one around it.
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        while runtime.block_on(client::connect(address, certificates)).is_err() {
            assert!(webhook.child.try_wait().unwrap().is_none(), "the webhook ended");
            assert!(started.elapsed() < PATIENCE, "the webhook does not answer");
            thread::sleep(TRY_EVERY);
        }
        webhook.first_handshake = started.elapsed();
        webhook
    }

    /// `VmRSS`.
    pub fn resident_mebibytes(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        let kibibytes: u32 = line.trim().strip_suffix(" kB").unwrap().parse().unwrap();
        f64::from(kibibytes) / 1024.0
    }

    /// In user and kernel mode, of all threads; in steps of 10 ms.
    pub fn processor_time(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        // The second field, in parentheses, may hold anything; utime and stime are fields 14 and 15.
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        let ticks: u64 = fields[11..13].iter().map(|field| field.parse::<u64>().unwrap()).sum();
        // USER_HZ is 100 wherever Linux runs.
        Duration::from_millis(ticks * 10)
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that nobody had a moment ago.
fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Moves this process away from the first core and gives that one to the webhook, on machines that have one to spare and
/// `taskset` to say so.
pub fn leave_a_core() -> Option<usize> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    if cores < 2 {
        return None;
    }
    let mut taskset = Command::new("taskset");
    taskset.args(["-apc", &format!("1-{}", cores - 1), &std::process::id().to_string()]);
    let moved = taskset.stdout(Stdio::null()).status().is_ok_and(|status| status.success());
    moved.then_some(0)
}
