//! What stands before ESC: passes requests on within a limit, fails while ESC is said to be down, and remembers when
//! what came.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Instant,
};

/// A bucket of permissions that fills at this rate up to the burst.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    pub each_second: u32,
    pub burst: u32,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Answered,
    /// 429.
    Limited,
    /// 503.
    Failed,
}

/// All that came, each with seconds since the start.
#[derive(Default, Clone)]
pub struct Seen {
    pub requests: Vec<(f64, Kind)>,
    /// Opens that succeeded.
    pub opens: usize,
}

impl Seen {
    pub fn count(&self, kind: Kind) -> usize {
        self.requests.iter().filter(|(_, found)| *found == kind).count()
    }

    /// Requests of each second: answered, limited, failed.
    pub fn by_second(&self) -> Vec<[u32; 3]> {
        let end = self.requests.last().map_or(0, |(at, _)| *at as usize + 1);
        let mut seconds = vec![[0; 3]; end];
        for (at, kind) in &self.requests {
            seconds[*at as usize][*kind as usize] += 1;
        }
        seconds
    }

    /// The most within any second between these two moments.
    pub fn most(&self, from: f64, to: f64) -> usize {
        let times: Vec<f64> =
            self.requests.iter().map(|(at, _)| *at).filter(|at| (from..to).contains(at)).collect();
        let within = |(index, at): (usize, &f64)| times[index..].partition_point(|other| *other < at + 1.0);
        times.iter().enumerate().map(within).max().unwrap_or(0)
    }

    /// Requests a second between these two moments.
    pub fn mean(&self, from: f64, to: f64) -> f64 {
        self.requests.iter().filter(|(at, _)| (from..to).contains(at)).count() as f64 / (to - from)
    }
}

struct Shared {
    start: Instant,
    state: Mutex<State>,
    behind: SocketAddr,
}

struct State {
    limit: Option<Limit>,
    permissions: f64,
    filled: Instant,
    down: bool,
    seen: Seen,
}

/// A gate that is open for as long as the process lives.
pub struct Gate {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Gate {
    pub fn start(behind: SocketAddr, limit: Option<Limit>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let now = Instant::now();
        let permissions = limit.map_or(0.0, |limit| f64::from(limit.burst));
        let state = State { limit, permissions, filled: now, down: false, seen: Seen::default() };
        let shared = Arc::new(Shared { start: now, state: Mutex::new(state), behind });
        let served = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let served = Arc::clone(&served);
                thread::spawn(move || {
                    // Whoever goes away in the middle of a request has had enough.
                    let _ = stream.and_then(|stream| serve(&stream, &served));
                });
            }
        });
        Self { address, shared }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn elapsed(&self) -> f64 {
        self.shared.start.elapsed().as_secs_f64()
    }

    pub fn set_down(&self, down: bool) {
        self.shared.state.lock().unwrap().down = down;
    }

    pub fn seen(&self) -> Seen {
        self.shared.state.lock().unwrap().seen.clone()
    }
}

impl Shared {
    /// Decides on a request that is there, and keeps it in mind.
    fn admit(&self) -> Kind {
        let mut state = self.state.lock().unwrap();
        let now = Instant::now();
        let kind = match state.limit {
            _ if state.down => Kind::Failed,
            None => Kind::Answered,
            Some(Limit { each_second, burst }) => {
                let filled = (now - state.filled).as_secs_f64() * f64::from(each_second);
                state.permissions = (state.permissions + filled).min(f64::from(burst));
                state.filled = now;
                if state.permissions >= 1.0 {
                    state.permissions -= 1.0;
                    Kind::Answered
                } else {
                    Kind::Limited
                }
            }
        };
        state.seen.requests.push(((now - self.start).as_secs_f64(), kind));
        kind
    }

    fn opened(&self) {
        self.state.lock().unwrap().seen.opens += 1;
    }
}

/// A request or an answer: its head, and its body as long as the head says.
fn message(from: &mut BufReader<TcpStream>) -> std::io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    let mut length = 0;
    loop {
        let start = bytes.len();
        if from.read_until(b'\n', &mut bytes)? == 0 {
            return Ok(None);
        }
        let line = String::from_utf8_lossy(&bytes[start..]).to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().map_err(std::io::Error::other)?;
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let head = bytes.len();
    bytes.resize(head + length, 0);
    from.read_exact(&mut bytes[head..])?;
    Ok(Some(bytes))
}

fn serve(stream: &TcpStream, shared: &Shared) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut client = BufReader::new(stream.try_clone()?);
    while let Some(request) = message(&mut client)? {
        let answer = match shared.admit() {
            Kind::Failed => b"HTTP/1.1 503 Down\r\ncontent-length: 0\r\n\r\n".to_vec(),
            Kind::Limited => b"HTTP/1.1 429 Limited\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n".to_vec(),
            Kind::Answered => {
                // One for each: the server does not wait as long for a second request as a limited client does.
                let mut behind = BufReader::new(TcpStream::connect(shared.behind)?);
                behind.get_mut().write_all(&request)?;
                let answer = message(&mut behind)?.ok_or(std::io::ErrorKind::UnexpectedEof)?;
                if request.starts_with(b"POST ") && answer.starts_with(b"HTTP/1.1 200") {
                    shared.opened();
                }
                answer
            }
        };
        (&*stream).write_all(&answer)?;
    }
    Ok(())
}
