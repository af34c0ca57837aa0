//! A client that costs little, so that it does not take the processor from what it measures: requests are bytes that lie
//! ready, and of an answer only status and length are looked at once the first of its kind was read in full.

use std::{
    cell::Cell,
    net::SocketAddr,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use rustls::pki_types::ServerName;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::LocalSet,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{
    bodies::Post,
    tls::{Certificates, SERVER_NAME},
};

/// When a volley ends.
#[derive(Clone, Copy)]
pub enum Until {
    /// After this many answers.
    Answers(usize),
    /// After this time.
    Passed(Duration),
}

/// What came of it.
pub struct Fired {
    /// Of each answer, in microseconds.
    pub latencies: Vec<u32>,
    pub took: Duration,
}

/// Open connections.
pub struct Volley(Vec<Connection>);

struct Connection {
    stream: TlsStream<TcpStream>,
    buffer: Vec<u8>,
}

/// One TLS connection, or none while nobody listens yet.
pub async fn connect(
    address: SocketAddr,
    certificates: &Certificates,
) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let name = ServerName::try_from(SERVER_NAME).unwrap();
    TlsConnector::from(Arc::clone(&certificates.client)).connect(name, stream).await
}

impl Volley {
    pub async fn connect(address: SocketAddr, certificates: &Certificates, connections: usize) -> Self {
        let mut all = Vec::new();
        for _ in 0..connections {
            let stream = connect(address, certificates).await.unwrap();
            all.push(Connection { stream, buffer: vec![0; 64 * 1024] });
        }
        Self(all)
    }

    /// Every connection sends, waits for the answer, and sends again.
    pub async fn fire(&mut self, posts: Vec<Rc<Post>>, until: Until) -> Fired {
        let volley = Rc::new(Shared {
            started: Instant::now(),
            until,
            sent: Cell::new(0),
            lengths: vec![Cell::new(None); posts.len()],
            posts,
        });
        let local = LocalSet::new();
        let tasks: Vec<_> = self
            .0
            .drain(..)
            .map(|connection| local.spawn_local(drive(connection, Rc::clone(&volley))))
            .collect();
        local.await;
        let mut latencies = Vec::with_capacity(volley.sent.get());
        for task in tasks {
            let (connection, of_connection) = task.await.unwrap();
            self.0.push(connection);
            latencies.extend(of_connection);
        }
        Fired { latencies, took: volley.started.elapsed() }
    }
}

/// What all connections of a volley share.
struct Shared {
    posts: Vec<Rc<Post>>,
    started: Instant,
    until: Until,
    sent: Cell<usize>,
    /// Length of the answer to each request, from the first one, which is read in full.
    lengths: Vec<Cell<Option<usize>>>,
}

impl Shared {
    /// Which request comes next, while there is one.
    fn next(&self) -> Option<usize> {
        let goes_on = match self.until {
            Until::Answers(count) => self.sent.get() < count,
            Until::Passed(time) => self.started.elapsed() < time,
        };
        goes_on.then(|| self.sent.replace(self.sent.get() + 1) % self.posts.len())
    }
}

/// Gives the connection back, and the latency of each answer in microseconds.
async fn drive(mut connection: Connection, volley: Rc<Shared>) -> (Connection, Vec<u32>) {
    let mut latencies = Vec::new();
    while let Some(kind) = volley.next() {
        let (post, length) = (&volley.posts[kind], &volley.lengths[kind]);
        let begun = Instant::now();
        let answer = connection.post(post).await;
        latencies.push(u32::try_from(begun.elapsed().as_micros()).unwrap());
        match length.get() {
            Some(length) => assert_eq!(answer.len(), length, "an answer differs from the first"),
            None => {
                check(answer, post.is_patched);
                length.set(Some(answer.len()));
            }
        }
    }
    (connection, latencies)
}

fn check(answer: &[u8], is_patched: bool) {
    let answer: Value = serde_json::from_slice(answer).unwrap();
    assert_eq!(answer["response"]["allowed"], true, "{answer}");
    assert_eq!(answer["response"]["patch"].is_string(), is_patched, "{answer}");
}

impl Connection {
    /// The body of the answer.
    async fn post(&mut self, post: &Post) -> &[u8] {
        self.stream.write_all(&post.bytes).await.unwrap();
        self.stream.flush().await.unwrap();
        let mut filled = 0;
        let mut expected = None;
        loop {
            if let Some((head, length)) = expected
                && filled >= head + length
            {
                return &self.buffer[head..head + length];
            }
            assert!(filled < self.buffer.len(), "an answer is too long");
            let read = self.stream.read(&mut self.buffer[filled..]).await.unwrap();
            assert!(read > 0, "the webhook closed a connection");
            filled += read;
            if expected.is_none() {
                expected = head(&self.buffer[..filled]);
            }
        }
    }
}

/// Length of the head and of the body, once the head is there.
fn head(answer: &[u8]) -> Option<(usize, usize)> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    Some((end, announced_length(std::str::from_utf8(&answer[..end]).ok()?)))
}

fn announced_length(head: &str) -> usize {
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    length.parse().unwrap()
}
