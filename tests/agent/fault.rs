//! A scripted ESC: answers one canned step per request, and keeps what was asked.

use std::{
    collections::VecDeque,
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// What the server does with one request.
pub enum Step {
    /// Answers with status, extra headers and body.
    Answer(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// Announces more than it sends, then closes.
    CutOff,
    /// Sends until the client has enough, without announcing a size.
    Endless,
    /// Says nothing and keeps the connection.
    Hang,
    /// Closes without reading, which resets the connection.
    Reset,
    /// Answers with this status once [`Server::release`] is called.
    Hold(u16),
}

pub fn answer(status: u16, body: &str) -> Step {
    Step::Answer(status, Vec::new(), body.as_bytes().to_vec())
}

pub fn answer_with(status: u16, header: &'static str, value: &str) -> Step {
    Step::Answer(status, vec![(header, value.to_owned())], Vec::new())
}

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct Request {
    pub line: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// The server; its thread ends with the test process.
pub struct Server {
    pub url: String,
    requests: Arc<Mutex<Vec<Request>>>,
    released: Arc<AtomicBool>,
}

impl Server {
    /// Plain http. Steps beyond the script answer 599, which no test expects.
    pub fn start(script: Vec<Step>) -> Self {
        Self::listen(script, None)
    }

    pub fn start_tls(script: Vec<Step>, config: ServerConfig) -> Self {
        Self::listen(script, Some(Arc::new(config)))
    }

    fn listen(script: Vec<Step>, tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        let released = Arc::new(AtomicBool::new(false));
        let go = Arc::clone(&released);
        std::thread::spawn(move || {
            let mut script = VecDeque::from(script);
            let mut kept = Vec::new();
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                let step = script.pop_front().unwrap_or_else(|| answer(599, ""));
                if let Step::Reset = step {
                    // Unread bytes make the kernel answer with a reset.
                    stream.peek(&mut [0]).unwrap();
                    seen.lock().unwrap().push(Request {
                        line: "RESET".into(),
                        headers: vec![],
                        body: String::new(),
                    });
                    continue;
                }
                match &tls {
                    None => kept.extend(serve(stream, step, &seen, &go)),
                    Some(config) => {
                        let connection = ServerConnection::new(Arc::clone(config)).unwrap();
                        serve(StreamOwned::new(connection, stream), step, &seen, &go);
                    }
                }
            }
        });
        Self { url, requests, released }
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// Lets what is held back be answered.
    pub fn release(&self) {
        self.released.store(true, Ordering::Release);
    }

    /// Method and path of every request.
    pub fn lines(&self) -> Vec<String> {
        self.requests().iter().map(|request| request.line.clone()).collect()
    }

    pub fn wait_for_requests(&self, count: usize) {
        let start = Instant::now();
        while self.requests().len() < count {
            assert!(start.elapsed() < Duration::from_secs(30), "the request did not arrive");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Gives the stream back if it is to be kept open.
fn serve<S: Read + Write>(
    stream: S,
    step: Step,
    seen: &Mutex<Vec<Request>>,
    released: &AtomicBool,
) -> Option<S> {
    let mut reader = BufReader::new(stream);
    // A client that does not trust the certificate sends no request.
    let request = read_request(&mut reader)?;
    seen.lock().unwrap().push(request);
    let mut stream = reader.into_inner();
    // The client may go away at any time.
    let _ = match step {
        Step::Answer(status, headers, body) => {
            let mut head = format!(
                "HTTP/1.1 {status} Scripted\r\nconnection: close\r\ncontent-length: {}\r\n",
                body.len()
            );
            for (name, value) in headers {
                head.extend([name, ": ", &value, "\r\n"]);
            }
            stream.write_all((head + "\r\n").as_bytes()).and_then(|()| stream.write_all(&body))
        }
        Step::CutOff => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 9999\r\n\r\n{\"id\":")
        }
        Step::Endless => {
            let filler = vec![b' '; 65536];
            let mut result = stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n");
            while result.is_ok() {
                result = stream.write_all(&filler);
            }
            Ok(())
        }
        Step::Hang => return Some(stream),
        Step::Hold(status) => {
            while !released.load(Ordering::Acquire) {
                std::thread::sleep(Duration::from_millis(5));
            }
            let head =
                format!("HTTP/1.1 {status} Scripted\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
            stream.write_all(head.as_bytes())
        }
        Step::Reset => Ok(()),
    };
    let _ = stream.flush();
    None
}

fn read_request(reader: &mut impl BufRead) -> Option<Request> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end().to_owned();
        if line.is_empty() {
            break;
        }
        lines.push(line);
    }
    let headers: Vec<(String, String)> = lines[1..]
        .iter()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let mut body = vec![0; length.map_or(0, |(_, value)| value.parse().unwrap())];
    reader.read_exact(&mut body).ok()?;
    let line = lines[0].trim_end_matches(" HTTP/1.1").to_owned();
    Some(Request { line, headers, body: String::from_utf8(body).unwrap() })
}
