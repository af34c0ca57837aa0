//! What a server process bears: opens over HTTP on connections that are kept, each followed by a read of the session,
//! as `esc open` and an agent do. Requests are counted, processor time is the kernel's of the whole process.
//!
//! ```console
//! $ cargo bench --bench opens
//! $ cargo bench --bench opens -- --binary target/x86_64-unknown-linux-gnu/dist/esc-injector --opens 500
//! ```
//!
//! The environments are those of `benches/lang`: one alone of 20 and of 100 keys, and a root that imports 10, 25 and
//! 50 of 100 keys each, all beside one another or in a chain. Kept in memory, secrets sealed. As a test
//! (`cargo test --benches`) a few are opened, and nothing is measured.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    missing_docs,
    unreachable_pub,
    reason = "a bench fails by panicking"
)]

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use clap::Parser;

#[path = "../lang/corpus.rs"]
mod corpus;

use corpus::Corpus;

#[derive(Parser)]
#[command(about = "Opens on a server process: rate and processor time")]
struct Args {
    /// The binary to measure [default: the one that cargo built for this bench]
    #[arg(long, value_name = "PATH")]
    binary: Option<PathBuf>,
    /// Opens of each environment
    #[arg(long, default_value_t = 1000)]
    opens: usize,
    /// Connections that are kept, each with one request on its way
    #[arg(long, default_value_t = 4)]
    connections: usize,
    /// Given by `cargo bench`; without it, this is a test
    #[arg(long, hide = true)]
    bench: bool,
}

const TOKEN: &str = "pul-bench";

fn main() {
    let args = Args::parse();
    let binary = args.binary.unwrap_or_else(|| env!("CARGO_BIN_EXE_esc-injector").into());
    let (opens, most) = if args.bench { (args.opens, 50) } else { (3, 10) };
    let mut cases = vec![("alone, 20 keys".to_owned(), corpus::alone(20))];
    cases.push((format!("alone, {} keys", corpus::KEYS), corpus::alone(corpus::KEYS)));
    for imports in [10, 25, 50].into_iter().filter(|imports| *imports <= most) {
        cases.push((format!("flat, {imports} imports"), corpus::flat(imports)));
        cases.push((format!("chain, {imports} imports"), corpus::chain(imports)));
    }
    println!("{opens} opens of each, {} connections", args.connections);
    println!("| environment | opens/s | processor time of an open | of a read | size of the answer |");
    println!("|---|---|---|---|---|");
    for (name, corpus) in cases {
        // A process for each: what one leaves in memory is not the next one's.
        let server = Server::start(&binary);
        server.keep(&corpus);
        let opened = server.run(args.connections, opens, false);
        let read = server.run(args.connections, opens, true);
        let each = |time: Duration| time.as_secs_f64() * 1e3 / opens as f64;
        println!(
            "| {name} | {:.0} | {:.2} ms | {:.2} ms | {} KiB |",
            opens as f64 / opened.took.as_secs_f64(),
            each(opened.processor_time),
            each(read.processor_time.saturating_sub(opened.processor_time)),
            read.bytes / opens / 1024,
        );
    }
}

struct Server {
    child: Child,
    address: String,
}

struct Run {
    took: Duration,
    processor_time: Duration,
    /// Of the bodies that were read.
    bytes: usize,
}

impl Server {
    fn start(binary: &PathBuf) -> Self {
        let mut command = Command::new(binary);
        command.args(["server", "--dev", "--listen", "127.0.0.1:0", "--organization", "acme"]);
        // A line for each request is written, and costs what it costs; nobody reads it.
        command.args(["--token", TOKEN]).env_clear().stdin(Stdio::null()).stderr(Stdio::null());
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on http://").unwrap().to_owned();
        Self { child, address }
    }

    fn keep(&self, corpus: &Corpus) {
        let mut connection = Connection::to(&self.address);
        let root = ("bench/importer".to_owned(), corpus.root.clone());
        // In order of their numbers, so that each is there before it is imported.
        let imports = (0..corpus.imports.len()).map(corpus::name);
        let imports = imports.map(|name| (name.clone(), corpus.imports[&name].clone()));
        for (name, text) in imports.chain([root]) {
            let (project, environment) = name.split_once('/').unwrap();
            let body = format!(r#"{{"project":"{project}","name":"{environment}"}}"#);
            connection.ask("POST", "/api/esc/environments/acme", &body);
            connection.ask("PATCH", &format!("/api/esc/environments/acme/{name}"), &text);
        }
    }

    fn run(&self, connections: usize, opens: usize, read: bool) -> Run {
        const OPEN: &str = "/api/esc/environments/acme/bench/importer/open";
        let (left, bytes) = (AtomicUsize::new(opens), AtomicUsize::new(0));
        let (started, before) = (Instant::now(), self.processor_time());
        thread::scope(|scope| {
            for _ in 0..connections {
                scope.spawn(|| {
                    let mut connection = Connection::to(&self.address);
                    let one = |left: usize| left.checked_sub(1);
                    while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one).is_ok() {
                        let answer = connection.ask("POST", OPEN, "");
                        let id = answer.split('"').nth(3).unwrap().to_owned();
                        if read {
                            let length = connection.ask("GET", &format!("{OPEN}/{id}"), "").len();
                            bytes.fetch_add(length, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        Run {
            took: started.elapsed(),
            processor_time: self.processor_time().saturating_sub(before),
            bytes: bytes.into_inner(),
        }
    }

    /// In user and kernel mode, of all threads; in steps of 10 ms.
    fn processor_time(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        // The second field, in parentheses, may hold anything; utime and stime are fields 14 and 15.
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        let ticks: u64 = fields[11..13].iter().map(|field| field.parse::<u64>().unwrap()).sum();
        // USER_HZ is 100 wherever Linux runs.
        Duration::from_millis(ticks * 10)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One request after another.
struct Connection(BufReader<TcpStream>);

impl Connection {
    fn to(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(BufReader::new(stream))
    }

    /// The body of an answer that is a success.
    fn ask(&mut self, method: &str, path: &str, body: &str) -> String {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: bench\r\nauthorization: token {TOKEN}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        self.0.get_mut().write_all(request.as_bytes()).unwrap();
        let (mut status, mut length) = (String::new(), 0);
        self.0.read_line(&mut status).unwrap();
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line).unwrap();
            match line.trim().to_ascii_lowercase().strip_prefix("content-length:") {
                Some(value) => length = value.trim().parse().unwrap(),
                None if line.trim().is_empty() => break,
                None => {}
            }
        }
        let mut answer = vec![0; length];
        self.0.read_exact(&mut answer).unwrap();
        let answer = String::from_utf8(answer).unwrap();
        assert!(status.starts_with("HTTP/1.1 2"), "{method} {path}: {status}{answer}");
        answer
    }
}
