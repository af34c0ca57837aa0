//! A server over a directory of fixtures, and a plain HTTP client that sends exactly what it is told.

use std::{
    fmt::Write as _,
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, SystemTime},
};

use esc_injector::{
    secret::Secret,
    server::{Clock, Config, Right, Server, Storage, identity::Issuer},
};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{net::TcpListener, sync::oneshot};

pub(crate) const TOKEN: &str = "pul-test-token";

/// A running server. Stops when dropped.
pub(crate) struct TestServer {
    pub(crate) address: SocketAddr,
    pub(crate) directory: TempDir,
    clock: Arc<AtomicU64>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        assert!(self.head.contains("content-type: application/json"), "{}", self.head);
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {}", self.body))
    }

    /// The error JSON, checked to say the same as the status.
    pub(crate) fn error(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{}", self.body);
        let json = self.json();
        assert_eq!(json["code"], status);
        json["message"].as_str().unwrap().to_owned()
    }
}

/// Files by their path in the directory.
pub(crate) type Files<'f> = &'f [(&'f str, &'f str)];

impl TestServer {
    /// Serves these files to the holder of [`TOKEN`].
    pub(crate) fn start(files: Files<'_>) -> Self {
        Self::start_with(files, |_| {})
    }

    /// Serves these files, and exchanges tokens of an issuer.
    pub(crate) fn start_with_issuer(files: Files<'_>, issuer: impl FnOnce(&Path) -> Issuer) -> Self {
        let directory = directory(files);
        let issuer = issuer(directory.path());
        Self::run(directory, |config| config.issuers = vec![issuer])
    }

    pub(crate) fn start_with(files: Files<'_>, change: impl FnOnce(&mut Config)) -> Self {
        Self::run(directory(files), change)
    }

    /// Keeps environments of these organizations in memory.
    pub(crate) fn in_memory(organizations: &[&str]) -> Self {
        Self::run(tempfile::tempdir().unwrap(), |config| {
            config.storage = Storage::Memory { import: None };
            config.organizations = organizations.iter().map(|&name| name.to_owned()).collect();
        })
    }

    fn run(directory: TempDir, change: impl FnOnce(&mut Config)) -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        let clock = Arc::new(AtomicU64::new(now));
        let reading = Arc::clone(&clock);
        let mut config = Config {
            storage: Storage::Files(directory.path().to_owned()),
            organizations: Vec::new(),
            tokens: vec![Secret::from(TOKEN)],
            users: Some(Right::Write),
            issuers: Vec::new(),
            audit: None,
            external: esc_injector::server::External::default(),
            test_providers: false,
            tls: None,
            clock: Clock::new(move || {
                SystemTime::UNIX_EPOCH + Duration::from_secs(reading.load(Ordering::SeqCst))
            }),
        };
        change(&mut config);
        let server = Server::new(config).unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            runtime.block_on(server.serve(listener, async {
                let _ = stopped.await;
            }));
        });
        Self { address, directory, clock, stop: Some(stop), thread: Some(thread) }
    }

    /// What the server takes for now, in seconds since the epoch.
    pub(crate) fn now(&self) -> u64 {
        self.clock.load(Ordering::SeqCst)
    }

    pub(crate) fn advance(&self, seconds: u64) {
        self.clock.fetch_add(seconds, Ordering::SeqCst);
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        write(self.directory.path(), path, text);
    }

    /// Sends a request with [`TOKEN`].
    pub(crate) fn send(&self, method: &str, path: &str) -> Answer {
        self.send_as(TOKEN, method, path)
    }

    pub(crate) fn send_as(&self, token: &str, method: &str, path: &str) -> Answer {
        self.request(method, path, &[("Authorization", &format!("token {token}"))], b"")
    }

    pub(crate) fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let stream = TcpStream::connect(self.address).unwrap();
        exchange(stream, &request(method, path, headers, body))
    }

    /// Opens an environment (`acme/shop/prod`) and gives the session's id.
    pub(crate) fn open(&self, environment: &str) -> String {
        session(&self.send("POST", &format!("/api/esc/environments/{environment}/open")))
    }

    pub(crate) fn read(&self, environment: &str, session: &str) -> Answer {
        self.send("GET", &format!("/api/esc/environments/{environment}/open/{session}"))
    }

    /// Opens and reads, and gives the values without their wrappers.
    pub(crate) fn values(&self, environment: &str) -> Value {
        let answer = self.read(environment, &self.open(environment));
        assert_eq!(answer.status, 200, "{}", answer.body);
        plain(&serde_json::json!({ "value": answer.json()["properties"] }))
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
        self.thread.take().unwrap().join().unwrap();
    }
}

fn directory(files: Files<'_>) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (path, text) in files {
        write(directory.path(), path, text);
    }
    directory
}

pub(crate) fn write(directory: &Path, path: &str, text: &str) {
    let path = directory.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// The bytes of a request.
pub(crate) fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut request = format!("{method} {path} HTTP/1.1\r\nHost: esc.test\r\nConnection: close\r\n");
    for (name, value) in headers {
        write!(request, "{name}: {value}\r\n").unwrap();
    }
    if !body.is_empty() {
        write!(request, "Content-Length: {}\r\n", body.len()).unwrap();
    }
    request.push_str("\r\n");
    [request.as_bytes(), body].concat()
}

/// Sends bytes and reads an answer to the end of the connection.
pub(crate) fn exchange(mut stream: impl Read + Write, request: &[u8]) -> Answer {
    // A server that refuses early may close before it has read everything.
    let _ = stream.write_all(request);
    let _ = stream.flush();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}

pub(crate) fn session(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()["id"].as_str().unwrap().to_owned()
}

/// A wrapped value without its wrappers, levels alternating.
pub(crate) fn plain(wrapper: &Value) -> Value {
    match &wrapper["value"] {
        Value::Array(items) => items.iter().map(plain).collect(),
        Value::Object(properties) => {
            properties.iter().map(|(key, value)| (key.clone(), plain(value))).collect()
        }
        scalar => scalar.clone(),
    }
}
