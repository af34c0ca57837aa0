//! As much of ESC as a refresh needs, over TLS, with values that stay or change.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use rustls::{ServerConnection, StreamOwned};
use serde_json::{Map, json};

use crate::certificates::Certificates;

#[derive(Default)]
struct Shared {
    changes: AtomicBool,
    reads: AtomicUsize,
    connections: AtomicUsize,
}

pub struct Esc {
    pub url: String,
    pub ca: String,
    shared: Arc<Shared>,
}

impl Esc {
    pub fn start() -> Self {
        let certificates = Certificates::new();
        let config = Arc::new(certificates.server());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let shared: Arc<Shared> = Arc::default();
        let served = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (served, config) = (Arc::clone(&served), Arc::clone(&config));
                thread::spawn(move || {
                    served.connections.fetch_add(1, Ordering::Relaxed);
                    let connection = ServerConnection::new(config).unwrap();
                    let mut stream = BufReader::new(StreamOwned::new(connection, stream.unwrap()));
                    while serve(&mut stream, &served).is_some() {}
                });
            }
        });
        Self { url, ca: certificates.ca, shared }
    }

    pub fn change_each_time(&self, changes: bool) {
        self.shared.changes.store(changes, Ordering::Relaxed);
    }

    /// How often the environment was read.
    pub fn reads(&self) -> usize {
        self.shared.reads.load(Ordering::Relaxed)
    }

    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Relaxed)
    }
}

/// Answers one request; `None` when the connection is over, as after each read: the next refresh is minutes away in a pod,
/// and pays for a handshake.
fn serve(stream: &mut (impl BufRead + WriteBack), shared: &Shared) -> Option<()> {
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let start = head.len();
        if stream.read_line(&mut head).ok()? == 0 {
            return None;
        }
        let line = head[start..].to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line.trim().is_empty() {
            break;
        }
    }
    stream.read_exact(&mut vec![0; length]).ok()?;
    let is_open = head.starts_with("POST");
    let (body, last) = if is_open {
        (json!({"id": "session"}).to_string(), "")
    } else {
        let read = shared.reads.fetch_add(1, Ordering::Relaxed);
        let number = if shared.changes.load(Ordering::Relaxed) { read } else { 0 };
        (environment(number), "connection: close\r\n")
    };
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n{last}\r\n{body}", body.len());
    stream.write_back(answer.as_bytes())?;
    is_open.then_some(())
}

/// Forty values, as long as passwords, and a certificate.
fn environment(number: usize) -> String {
    let trace = json!({"def": {"environment": "shop/prod", "begin": {"line": 3, "column": 5}}});
    let value = |index: usize| json!({"value": format!("value {index} of {number:020}"), "secret": true, "trace": trace});
    let values: Map<String, _> = (0..40).map(|index| (format!("k{index}"), value(index))).collect();
    json!({"properties": {"v": {"value": values, "trace": trace}, "ca": {"value": "c".repeat(1600), "trace": trace}}}).to_string()
}

trait WriteBack {
    fn write_back(&mut self, bytes: &[u8]) -> Option<()>;
}

impl<S: Read + Write> WriteBack for BufReader<S> {
    fn write_back(&mut self, bytes: &[u8]) -> Option<()> {
        self.get_mut().write_all(bytes).ok()?;
        self.get_mut().flush().ok()
    }
}
