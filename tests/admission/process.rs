//! The real binary: what it says when it can't start, and how it leaves.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use esc_injector::webhook::{
    Certificates, Config, Limits, Webhook, WorkloadChecks,
    certs::{Certificate, files::CertificateFiles},
};
use rustls::ClientConfig;
use serde_json::Value;
use tokio::{io::AsyncWriteExt, task::JoinSet};

use crate::{
    client::{Client, dial, is_closed, status},
    reviews::{CANARY, asking, review, small_pod},
    setup::{ANY_PORT, Authority, Running, SecretVolume, eventually, policy, quick, soon},
};

fn command(files: &CertificateFiles) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_esc-injector"));
    command
        .args([
            "webhook",
            "--listen=127.0.0.1:0",
            "--health-listen=127.0.0.1:0",
            "--log-level=trace",
            "--kubernetes=off",
        ])
        .arg("--tls-cert")
        .arg(&files.certificate)
        .arg("--tls-key")
        .arg(&files.key)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// A webhook process; killed when a test fails.
struct Process {
    child: Child,
    admission: SocketAddr,
    health: SocketAddr,
    log: thread::JoinHandle<String>,
}

impl Process {
    fn start(files: &CertificateFiles) -> Self {
        let mut child = command(files).spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut text = String::new();
        let start = loop {
            let from = text.len();
            assert!(log.read_line(&mut text).unwrap() > 0, "it ended: {text}");
            let line: Value = serde_json::from_str(&text[from..]).unwrap();
            if line["message"] == "serving" {
                break line;
            }
        };
        let address = |name: &str| start[name].as_str().unwrap().parse().unwrap();
        let (admission, health) = (address("admission"), address("health"));
        let log = thread::spawn(move || {
            for line in log.lines() {
                text.push_str(&line.unwrap());
                text.push('\n');
            }
            text
        });
        Self { child, admission, health, log }
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let process = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(process, signal).unwrap();
    }

    /// Waits for the end; gives the exit code and all that was logged.
    async fn end(mut self) -> (Option<i32>, String) {
        eventually(async || self.child.try_wait().unwrap().is_some()).await;
        let status = self.child.wait().unwrap();
        let log = std::mem::replace(&mut self.log, thread::spawn(String::new));
        (status.code(), log.join().unwrap())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
    }
}

fn body() -> Vec<u8> {
    let pod = asking(small_pod(), &[("inject", "false"), ("command.app-0", CANARY)]);
    serde_json::to_vec(&review("u-1", &pod)).unwrap()
}

/// Posts until told to stop, as an API server does: goes on with a connection until it is asked to close it.
async fn load(
    address: SocketAddr,
    tls: Arc<ClientConfig>,
    stop: Arc<AtomicBool>,
    closes: Arc<AtomicUsize>,
) -> usize {
    let mut served = 0;
    let mut client = None;
    while !stop.load(Ordering::Relaxed) {
        let mut connection = match client.take() {
            Some(connection) => connection,
            None => Client::connect(address, &tls).await.unwrap(),
        };
        let reply = connection.post("/mutate", body()).await.unwrap();
        assert_eq!(reply.status, 200);
        served += 1;
        if reply.asks_to_close() {
            closes.fetch_add(1, Ordering::Relaxed);
        } else {
            client = Some(connection);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    served
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_under_load_fails_no_request() {
    let authority = Authority::new();
    let volume = SecretVolume::new(&authority.issue());
    let process = Process::start(&volume.files());
    assert_eq!(status(process.health, "/readyz").await, 200);

    let (stop, closes) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut clients = JoinSet::new();
    for _ in 0..8 {
        let tls = authority.client(&["http/1.1"]);
        clients.spawn(load(process.admission, tls, Arc::clone(&stop), Arc::clone(&closes)));
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(closes.load(Ordering::Relaxed), 0);
    process.signal(rustix::process::Signal::TERM);
    eventually(async || status(process.health, "/readyz").await == 503).await;
    // Endpoints are removed a while after.
    tokio::time::sleep(Duration::from_secs(2)).await;
    stop.store(true, Ordering::Relaxed);
    let served = soon(clients.join_all()).await;
    assert!(served.iter().all(|served| *served > 0), "{served:?}");
    assert!(closes.load(Ordering::Relaxed) > 8);

    let (code, log) = process.end().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(
        log.contains("\"outcome\":\"skipped\"") && log.contains("\"owner\":\"ReplicaSet/shop-6d4cf56db6\""),
        "{log}"
    );
    assert!(!log.contains(CANARY), "the log quotes the pod");
}

#[tokio::test(flavor = "multi_thread")]
async fn sigint_ends_it_as_well() {
    let volume = SecretVolume::new(&Authority::new().issue());
    let process = Process::start(&volume.files());
    process.signal(rustix::process::Signal::INT);
    let (code, log) = process.end().await;
    assert_eq!(code, Some(0), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_in_flight_are_answered_before_it_ends() {
    let webhook = Running::start(quick()).await;
    let (address, health) = (webhook.admission, webhook.health);
    let mut stream = dial(address, &webhook.tls()).await.unwrap();
    let body = body();
    let head = format!(
        "POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&body[..100]).await.unwrap();
    stream.flush().await.unwrap();
    let name = "esc_injector_inflight_requests";
    eventually(async || crate::client::metric(health, name).await == 1).await;
    let mut resting = webhook.client().await;
    assert_eq!(resting.post("/mutate", body.clone()).await.unwrap().status, 200);

    let end = webhook.shut_down();
    // Those at rest go at once, new ones are refused, and the one in flight holds the end up.
    eventually(async || is_closed(&mut resting).await).await;
    eventually(async || tokio::net::TcpStream::connect(address).await.is_err()).await;
    assert!(!end.is_finished());
    stream.write_all(&body[100..]).await.unwrap();
    stream.flush().await.unwrap();
    let mut said = String::new();
    let _ = soon(tokio::io::AsyncReadExt::read_to_string(&mut stream, &mut said)).await;
    assert!(said.starts_with("HTTP/1.1 200") && said.contains("\"allowed\":true"), "{said}");
    soon(end).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_never_ends_does_not_hold_up_the_end_forever() {
    let webhook = Running::start(Limits { drain: Duration::from_millis(300), ..quick() }).await;
    let mut stream = dial(webhook.admission, &webhook.tls()).await.unwrap();
    let head = "POST /mutate?timeout=30s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    soon(webhook.shut_down()).await.unwrap();
}

#[test]
fn what_keeps_it_from_starting_is_said_with_the_file_and_the_reason() {
    let authority = Authority::new();
    let (one, other) = (authority.issue(), authority.issue());
    let mut mixed = SecretVolume::new(&one);
    mixed.publish(&one.certificate, &other.key);
    let good = SecretVolume::new(&one);
    let missing = CertificateFiles { key: "/nowhere/tls.key".into(), ..good.files() };
    for (files, expected) in [
        (missing, ["ESC930", "/nowhere/tls.key", "No such file"]),
        (mixed.files(), ["ESC930", "tls.crt", "does not belong"]),
    ] {
        let output = command(&files).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(78), "{said}");
        assert!(expected.iter().all(|part| said.contains(part)), "{said}");
    }
}

#[test]
fn flags_that_leave_it_without_certificates_are_refused_with_the_way_out() {
    for (flags, code, expected) in [
        (&["--kubernetes=auto"][..], 78, ["ESC950", "--kubernetes off"]),
        (&["--kubernetes=off"], 78, ["ESC954", "--tls-cert"]),
        (&["--kubernetes=off", "--tls-cert=/tls.crt"], 64, ["--tls-key", "required"]),
        (&["--kubernetes=off", "--tls-key=/tls.key"], 64, ["--tls-cert", "required"]),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_esc-injector"));
        let output = command
            .args(["webhook", "--listen=127.0.0.1:0", "--health-listen=127.0.0.1:0"])
            .args(flags)
            .env("KUBECONFIG", "/nowhere/kubeconfig")
            .env_remove("KUBERNETES_SERVICE_HOST")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{flags:?}: {said}");
        assert!(expected.iter().all(|part| said.contains(part)), "{flags:?}: {said}");
    }
}

#[tokio::test]
async fn a_socket_for_ipv6_answers_ipv4_too() {
    let authority = Authority::new();
    let volume = SecretVolume::new(&authority.issue());
    let config = Config {
        listen: "[::]:0".parse().unwrap(),
        health_listen: "[::]:0".parse().unwrap(),
        certificates: Certificates::Files(volume.files()),
        cluster: None,
        policy: policy(),
        workload_checks: WorkloadChecks::default(),
        limits: quick(),
    };
    // Also on a machine that has no IPv6 at all.
    let webhook = Webhook::bind(config).await.unwrap();
    let (admission, health) = (webhook.admission_addr(), webhook.health_addr());
    let task = tokio::spawn(webhook.run(std::future::pending()));
    let of_ipv4 = |address: SocketAddr| SocketAddr::from(([127, 0, 0, 1], address.port()));
    assert_eq!(status(of_ipv4(health), "/readyz").await, 200);
    dial(of_ipv4(admission), &authority.client(&[])).await.unwrap();
    task.abort();
}

#[tokio::test]
async fn an_address_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind(ANY_PORT).unwrap();
    let pair = Authority::new().issue();
    let certificate = Certificate::from_pem(pair.certificate.as_bytes(), pair.key.as_bytes()).unwrap();
    let config = |health_listen| Config {
        listen: ANY_PORT,
        health_listen,
        certificates: Certificates::Fixed(certificate.clone()),
        cluster: None,
        policy: policy(),
        workload_checks: WorkloadChecks::default(),
        limits: quick(),
    };
    let address = taken.local_addr().unwrap();
    let error = Webhook::bind(config(address)).await.err().unwrap().to_string();
    assert!(error.contains("ESC932") && error.contains(&address.to_string()), "{error}");
    assert!(Webhook::bind(config(ANY_PORT)).await.is_ok(), "another address is free");
}
