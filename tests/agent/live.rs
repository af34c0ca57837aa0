//! An ESC whose values, and whose moods, a test changes while the agent runs.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use crate::harness::{SESSION, environment, opened};

/// How the server answers.
#[derive(Clone)]
pub enum Mood {
    /// With these values, on the wire.
    Values(String),
    /// With other values at each open: `db.port` and `tls.ca` hold the number of the open.
    Flapping,
    /// With this status and header lines.
    Status(u16, &'static str),
    /// Closes without an answer.
    Down,
    /// Announces more than it sends, in what is read of a session.
    CutOff,
    /// With these values, each answer later by this.
    Slow(Duration, String),
}

struct Shared {
    mood: Mutex<Mood>,
    opens: Mutex<Vec<Instant>>,
}

/// The server; its threads end with the test process.
pub struct Live {
    pub url: String,
    shared: Arc<Shared>,
}

/// The environment of the tests, with this port and this certificate.
pub fn values(port: usize, certificate: &str) -> String {
    let mut wire: serde_json::Value = serde_json::from_str(&environment()).unwrap();
    wire["properties"]["db"]["value"]["port"]["value"] = port.into();
    wire["properties"]["tls"]["value"]["ca"]["value"] = certificate.into();
    wire.to_string()
}

impl Live {
    pub fn start(mood: Mood) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared { mood: Mutex::new(mood), opens: Mutex::default() });
        let served = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let served = Arc::clone(&served);
                std::thread::spawn(move || while serve(&stream, &served).is_some() {});
            }
        });
        Self { url, shared }
    }

    pub fn set(&self, mood: Mood) {
        *self.shared.mood.lock().unwrap() = mood;
    }

    /// Requests to open, answered or not.
    pub fn opens(&self) -> usize {
        self.shared.opens.lock().unwrap().len()
    }

    /// From each open to the next.
    pub fn gaps(&self) -> Vec<Duration> {
        self.shared.opens.lock().unwrap().windows(2).map(|pair| pair[1] - pair[0]).collect()
    }

    /// Waits for so many opens more than there were.
    pub fn wait_for_more(&self, more: usize) {
        let wanted = self.opens() + more;
        wait("more opens", || self.opens() >= wanted);
    }
}

/// Waits until it is true, long enough for a busy machine.
#[track_caller]
pub fn wait(what: &str, mut is_true: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_true() {
        assert!(start.elapsed() < Duration::from_secs(120), "{what}: waited too long");
        std::thread::sleep(Duration::from_millis(3));
    }
}

/// Answers one request; `None` when the connection is over.
fn serve(stream: &std::io::Result<TcpStream>, shared: &Shared) -> Option<()> {
    let stream = stream.as_ref().ok()?;
    let mut reader = BufReader::new(stream);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line.trim().is_empty() {
            break;
        }
        head.push(line.to_ascii_lowercase());
    }
    let length = head.iter().find_map(|line| line.strip_prefix("content-length:"));
    let mut body = vec![0; length.map_or(0, |length| length.trim().parse().unwrap())];
    reader.read_exact(&mut body).ok()?;
    let is_open = head[0].starts_with("post") && head[0].contains("/open");
    let number = {
        let mut opens = shared.opens.lock().unwrap();
        if is_open {
            opens.push(Instant::now());
        }
        opens.len()
    };
    let mood = shared.mood.lock().unwrap().clone();
    if let Mood::Slow(delay, _) = mood {
        std::thread::sleep(delay);
    }
    let (status, headers, body) = match mood {
        Mood::Down => return None,
        Mood::CutOff if !is_open => {
            let cut = b"HTTP/1.1 200 OK\r\ncontent-length: 999\r\n\r\n{\"properties\":{";
            let _ = (&mut &*stream).write_all(cut);
            return None;
        }
        Mood::Status(status, headers) => (status, headers, format!("{{\"message\":\"{SESSION}\"}}")),
        Mood::Values(_) | Mood::Flapping | Mood::CutOff | Mood::Slow(..) if is_open => (200, "", opened()),
        Mood::Values(values) | Mood::Slow(_, values) => (200, "", values),
        Mood::Flapping | Mood::CutOff => (200, "", values(number, &number.to_string())),
    };
    let answer = format!("HTTP/1.1 {status} Live\r\ncontent-length: {}\r\n{headers}\r\n{body}", body.len());
    (&mut &*stream).write_all(answer.as_bytes()).ok()
}
