//! The part of an API server that tells namespaces: lists in pages, watches, and the ways in which both fail.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use esc_injector::webhook::cluster::Cluster;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{AbortHandle, JoinSet},
};

use crate::setup::ANY_PORT;

#[derive(Default)]
struct State {
    version: u64,
    namespaces: BTreeMap<String, Value>,
    /// What happened, with the version that it made.
    events: Vec<(u64, Value)>,
    /// Versions below this one can't be watched from.
    remembers: u64,
    forbids: bool,
    silent: bool,
    lists: Vec<String>,
    watches: Vec<String>,
}

impl State {
    fn happened(&mut self, kind: &str, object: &Value) {
        let event = json!({"type": kind, "object": object});
        self.events.push((self.version, event));
    }
}

/// Serves on one address until it is dropped; may go away and come back meanwhile.
pub struct NamespaceApi {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    /// Sent to when the state changes; the value counts how often all connections were cut.
    changed: watch::Sender<usize>,
    serving: Option<AbortHandle>,
}

impl NamespaceApi {
    pub async fn start() -> Self {
        let listener = TcpListener::bind(ANY_PORT).await.unwrap();
        let mut api = Self {
            address: listener.local_addr().unwrap(),
            state: Arc::new(Mutex::new(State { version: 100, ..State::default() })),
            changed: watch::channel(0).0,
            serving: None,
        };
        api.serve(listener);
        api
    }

    pub fn cluster(&self) -> Cluster {
        let config = kube::Config::new(format!("http://{}", self.address).parse().unwrap());
        Cluster::new(config).unwrap()
    }

    fn serve(&mut self, listener: TcpListener) {
        let (state, changed) = (Arc::clone(&self.state), self.changed.clone());
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                connections.spawn(connection(stream, Arc::clone(&state), changed.subscribe()));
            }
        });
        self.serving = Some(task.abort_handle());
    }

    /// Refuses connections, and has none any more.
    pub fn goes_away(&mut self) {
        self.serving.take().unwrap().abort();
        self.cut();
    }

    pub async fn comes_back(&mut self) {
        // The port is free once the task that held it is gone.
        let listener = loop {
            match TcpListener::bind(self.address).await {
                Ok(listener) => break listener,
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        };
        self.serve(listener);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.changed.send_modify(|_| {});
    }

    /// Cuts every watch.
    pub fn cut(&self) {
        self.changed.send_modify(|cuts| *cuts += 1);
    }

    pub fn forbids(&self, forbids: bool) {
        self.change(|state| state.forbids = forbids);
    }

    /// Watches neither say anything nor end.
    pub fn is_silent(&self, silent: bool) {
        self.change(|state| state.silent = silent);
    }

    /// Forgets all versions but the newest.
    pub fn forgets(&self) {
        self.change(|state| {
            state.version += 1;
            state.remembers = state.version;
            state.events.clear();
        });
    }

    /// Creates or changes a namespace. Keys are without the prefix.
    pub fn says(&self, name: &str, label: &str, annotations: &[(&str, &str)]) {
        let ours = annotations.iter().map(|(key, value)| (format!("esc.pulumi.com/{key}"), json!(value)));
        let annotations: serde_json::Map<_, _> = ours.chain([("theirs/x".to_owned(), json!("y"))]).collect();
        self.change(|state| {
            state.version += 1;
            let object = json!({
                "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
                "metadata": {
                    "name": name, "resourceVersion": state.version.to_string(),
                    "labels": {"kubernetes.io/metadata.name": name, "esc.pulumi.com/injection": label},
                    "annotations": annotations,
                },
            });
            let kind = if state.namespaces.contains_key(name) { "MODIFIED" } else { "ADDED" };
            state.namespaces.insert(name.to_owned(), object.clone());
            state.happened(kind, &object);
        });
    }

    pub fn deletes(&self, name: &str) {
        self.change(|state| {
            state.version += 1;
            let mut object = state.namespaces.remove(name).unwrap();
            object["metadata"]["resourceVersion"] = json!(state.version.to_string());
            state.happened("DELETED", &object);
        });
    }

    /// Tells watches how far the world is, though nothing that they watch changed; gives the version.
    pub fn bookmark(&self) -> u64 {
        self.change(|state| {
            state.version += 1;
            let metadata = json!({"resourceVersion": state.version.to_string(), "creationTimestamp": null});
            let object = json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata});
            state.happened("BOOKMARK", &object);
        });
        self.state().version
    }

    /// Paths and queries of all lists so far.
    pub fn lists(&self) -> Vec<String> {
        self.state().lists.clone()
    }

    /// Paths and queries of all watches so far.
    pub fn watches(&self) -> Vec<String> {
        self.state().watches.clone()
    }
}

impl Drop for NamespaceApi {
    fn drop(&mut self) {
        if let Some(serving) = &self.serving {
            serving.abort();
        }
    }
}

/// One request after the other.
async fn connection(mut stream: TcpStream, state: Arc<Mutex<State>>, mut changed: watch::Receiver<usize>) {
    let cuts = *changed.borrow_and_update();
    let mut seen = changed.clone();
    let serve = async {
        while let Some(path) = head(&mut stream).await {
            let query = |key: &str| {
                let (_, query) = path.split_once('?')?;
                query.split('&').find_map(|pair| pair.strip_prefix(key)?.strip_prefix('=')).map(str::to_owned)
            };
            if path == "/version" {
                let version = json!({"major": "1", "minor": "36+", "gitVersion": "v1.36.3"});
                answer(&mut stream, "200 OK", &version).await?;
            } else if state.lock().unwrap().forbids {
                let status = json!({
                    "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": 403,
                    "reason": "Forbidden", "message": "namespaces is forbidden: User \"esc\" cannot list resource",
                });
                answer(&mut stream, "403 Forbidden", &status).await?;
            } else if query("watch").is_some() {
                state.lock().unwrap().watches.push(path.clone());
                let from: u64 = query("resourceVersion")?.parse().ok()?;
                let seconds: u64 = query("timeoutSeconds")?.parse().ok()?;
                watched(&mut stream, &state, &mut seen, (from, Duration::from_secs(seconds))).await?;
            } else {
                let list = {
                    let mut state = state.lock().unwrap();
                    state.lists.push(path.clone());
                    page(&state, query("limit")?.parse().ok()?, query("continue").as_deref())
                };
                answer(&mut stream, "200 OK", &list).await?;
            }
        }
        Some(())
    };
    let cut = async { changed.wait_for(|now| *now > cuts).await.map(drop) };
    tokio::select! {
        _ = serve => {}
        _ = cut => {}
    }
}

/// The path and query of the next request, which has no body.
async fn head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let path = head.split(' ').nth(1)?;
    if path == "/version" {
        return Some(path.to_owned());
    }
    assert!(head.to_lowercase().contains("as=partialobjectmetadata"), "only metadata may be read: {head}");
    assert!(path.starts_with("/api/v1/namespaces?"), "nothing else may be read: {head}");
    Some(path.to_owned())
}

async fn answer(stream: &mut TcpStream, status: &str, body: &Value) -> Option<()> {
    let body = body.to_string();
    let text = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(text.as_bytes()).await.ok()
}

fn page(state: &State, limit: usize, after: Option<&str>) -> Value {
    let rest: Vec<_> =
        state.namespaces.iter().filter(|(name, _)| after.is_none_or(|after| name.as_str() > after)).collect();
    let items: Vec<_> = rest.iter().take(limit).map(|(_, object)| *object).collect();
    let mut metadata = json!({"resourceVersion": state.version.to_string()});
    if rest.len() > limit {
        metadata["continue"] = json!(rest[limit - 1].0);
    }
    json!({"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": metadata, "items": items})
}

async fn watched(
    stream: &mut TcpStream,
    state: &Mutex<State>,
    changed: &mut watch::Receiver<usize>,
    (mut from, lasts): (u64, Duration),
) -> Option<()> {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await.ok()?;
    let end = tokio::time::Instant::now() + lasts;
    loop {
        let (lines, silent) = {
            let state = state.lock().unwrap();
            if from < state.remembers {
                let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 410, "reason": "Expired", "message": "too old resource version"});
                (vec![json!({"type": "ERROR", "object": status})], state.silent)
            } else {
                let new = state.events.iter().filter(|(version, _)| *version > from);
                let new = new.map(|(_, event)| event.clone()).collect();
                from = state.version;
                (new, state.silent)
            }
        };
        for line in lines.iter().filter(|_| !silent) {
            let line = format!("{line}\n");
            let chunk = format!("{:x}\r\n{line}\r\n", line.len());
            stream.write_all(chunk.as_bytes()).await.ok()?;
        }
        tokio::select! {
            () = tokio::time::sleep_until(end), if !silent => {
                return stream.write_all(b"0\r\n\r\n").await.ok();
            }
            change = changed.changed() => change.ok()?,
        }
    }
}
