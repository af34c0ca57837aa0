//! An ESC whose values, and whose moods, a test changes while the agent runs.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::harness::{EXCHANGED, SESSION, environment, opened};

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
    /// With these values, byte by byte, this far apart.
    Drip(Duration, String),
}

struct Shared {
    mood: Mutex<Mood>,
    /// The mood of the last open. What was opened is read in it, so that no refresh is half of each.
    opened: Mutex<Option<Mood>>,
    /// With what it proves who it is. Without, it speaks plain http.
    tls: Mutex<Option<Arc<ServerConfig>>>,
    opens: Mutex<Vec<Instant>>,
}

impl Shared {
    fn mood(&self) -> Mood {
        self.mood.lock().unwrap().clone()
    }

    fn mood_of_read(&self) -> Mood {
        self.opened.lock().unwrap().clone().unwrap_or_else(|| self.mood())
    }
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
        Self::listen(mood, None)
    }

    /// The same over TLS, with a connection for each request, so that a change of certificates holds for the next.
    pub fn start_tls(mood: Mood, config: ServerConfig) -> Self {
        Self::listen(mood, Some(Arc::new(config)))
    }

    fn listen(mood: Mood, tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared {
            mood: Mutex::new(mood),
            opened: Mutex::default(),
            tls: Mutex::new(tls),
            opens: Mutex::default(),
        });
        let served = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let served = Arc::clone(&served);
                std::thread::spawn(move || {
                    let Ok(mut stream) = stream else { return };
                    let tls = served.tls.lock().unwrap().clone();
                    match tls {
                        None => while serve(&mut stream, &served, false).is_some() {},
                        Some(config) => {
                            let connection = ServerConnection::new(config).unwrap();
                            let mut stream = StreamOwned::new(connection, stream);
                            let _ = serve(&mut stream, &served, true);
                            stream.conn.send_close_notify();
                            let _ = stream.flush();
                        }
                    }
                });
            }
        });
        Self { url, shared }
    }

    pub fn set(&self, mood: Mood) {
        *self.shared.mood.lock().unwrap() = mood;
    }

    /// From now on it proves who it is with this, or speaks plain http where TLS is expected.
    pub fn prove_by(&self, config: Option<ServerConfig>) {
        *self.shared.tls.lock().unwrap() = config.map(Arc::new);
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
fn serve<S: Read + Write>(stream: &mut S, shared: &Shared, once: bool) -> Option<()> {
    let mut reader = BufReader::new(&mut *stream);
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
    let is_exchange = head[0].starts_with("post /api/oauth/token");
    let number = {
        let mut opens = shared.opens.lock().unwrap();
        if is_open {
            opens.push(Instant::now());
        }
        opens.len()
    };
    let is_read = !is_open && !is_exchange;
    let mood = if is_read { shared.mood_of_read() } else { shared.mood() };
    if is_open {
        *shared.opened.lock().unwrap() = Some(mood.clone());
    }
    if let Mood::Slow(delay, _) = mood {
        std::thread::sleep(delay);
    }
    let drip = if let Mood::Drip(pause, _) = mood { Some(pause) } else { None };
    let (status, headers, body) = match mood {
        Mood::Down => return None,
        _ if is_exchange => (200, "", serde_json::json!({"access_token": EXCHANGED}).to_string()),
        Mood::CutOff if is_read => {
            let cut = b"HTTP/1.1 200 OK\r\ncontent-length: 999\r\n\r\n{\"properties\":{";
            let _ = stream.write_all(cut);
            return None;
        }
        Mood::Status(status, headers) => (status, headers, format!("{{\"message\":\"{SESSION}\"}}")),
        Mood::Values(_) | Mood::Flapping | Mood::CutOff | Mood::Slow(..) | Mood::Drip(..) if is_open => {
            (200, "", opened())
        }
        Mood::Values(values) | Mood::Slow(_, values) | Mood::Drip(_, values) => (200, "", values),
        Mood::Flapping | Mood::CutOff => (200, "", values(number, &number.to_string())),
    };
    let last = if once { "connection: close\r\n" } else { "" };
    let answer =
        format!("HTTP/1.1 {status} Live\r\ncontent-length: {}\r\n{headers}{last}\r\n{body}", body.len());
    match drip {
        None => stream.write_all(answer.as_bytes()).ok(),
        Some(pause) => answer.bytes().try_for_each(|byte| {
            std::thread::sleep(pause);
            stream.write_all(&[byte]).and_then(|()| stream.flush()).ok()
        }),
    }
}
