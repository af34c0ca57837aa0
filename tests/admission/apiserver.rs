//! A small API server: one Secret and two webhook configurations with resource versions, watches, server-side apply of
//! `caBundle`, and every trouble that a real one makes. It allows exactly what the chart's roles allow.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use esc_injector::webhook::cluster::Cluster;
use futures_util::stream;
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Frame, Incoming},
    header,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    sync::watch,
    task::{JoinHandle, JoinSet},
};

pub const NAMESPACE: &str = "esc";
pub const SECRET: &str = "/api/v1/namespaces/esc/secrets/esc-injector-ca";
const REGISTRATION: &str = "/apis/admissionregistration.k8s.io/v1";
pub const ENTRIES: [&str; 3] =
    ["pods.inject.esc.pulumi.com", "all.inject.esc.pulumi.com", "workloads.inject.esc.pulumi.com"];

pub fn mutating() -> String {
    format!("{REGISTRATION}/mutatingwebhookconfigurations/esc-injector")
}

pub fn validating() -> String {
    format!("{REGISTRATION}/validatingwebhookconfigurations/esc-injector")
}

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// An answer instead of the right one: for requests of this method whose path contains this text.
#[derive(Clone)]
pub struct Fault {
    pub method: Method,
    pub path: &'static str,
    pub status: u16,
    /// How often; none means until it is taken away.
    pub times: Option<usize>,
}

#[derive(Default)]
struct World {
    version: u64,
    objects: BTreeMap<String, Value>,
    events: Vec<(u64, &'static str, String, Value)>,
    faults: Vec<Fault>,
    /// How far the clock that answers tell is from ours, in seconds.
    pub clock: i64,
    /// What was asked that no role allows.
    forbidden: Vec<String>,
    /// Every write that was done: method, path.
    writes: Vec<(Method, String)>,
    /// Every bundle of the first entry, as of when.
    bundles: Vec<(std::time::Instant, String)>,
}

impl World {
    fn put(&mut self, path: &str, mut object: Value) {
        self.version += 1;
        let kind = if self.objects.contains_key(path) { "MODIFIED" } else { "ADDED" };
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        if path == mutating() {
            let bundle = bundle_of(&object, 0);
            self.bundles.push((std::time::Instant::now(), bundle));
        }
        self.events.push((self.version, kind, path.to_owned(), metadata(&object)));
        self.objects.insert(path.to_owned(), object);
    }

    fn delete(&mut self, path: &str) {
        self.version += 1;
        if let Some(mut object) = self.objects.remove(path) {
            object["metadata"]["resourceVersion"] = json!(self.version.to_string());
            self.events.push((self.version, "DELETED", path.to_owned(), metadata(&object)));
        }
    }
}

fn metadata(object: &Value) -> Value {
    json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": object["metadata"]})
}

fn bundle_of(configuration: &Value, place: usize) -> String {
    let text = configuration["webhooks"][place]["clientConfig"]["caBundle"].as_str().unwrap_or_default();
    String::from_utf8(STANDARD.decode(text).unwrap()).unwrap()
}

/// The API server; it goes when this does.
pub struct ApiServer {
    world: Arc<Mutex<World>>,
    changed: watch::Sender<u64>,
    address: SocketAddr,
    serving: Option<JoinHandle<()>>,
}

impl ApiServer {
    /// With an empty Secret and both configurations, as the chart makes them.
    pub async fn start() -> Self {
        let server = Self::start_empty().await;
        server.create_secret();
        server.create_configurations();
        server
    }

    pub async fn start_empty() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut server = Self { world: Arc::default(), changed: watch::channel(0).0, address, serving: None };
        server.serve(listener);
        server
    }

    fn serve(&mut self, listener: TcpListener) {
        let (world, changed) = (Arc::clone(&self.world), self.changed.clone());
        self.serving = Some(tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (world, changed) = (Arc::clone(&world), changed.clone());
                connections.spawn(async move {
                    let service = service_fn(move |request| {
                        let (world, changed) = (Arc::clone(&world), changed.clone());
                        async move { Ok::<_, Infallible>(answer(&world, &changed, request).await) }
                    });
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        }));
    }

    /// Nothing listens, and every connection is cut.
    pub async fn stop(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.abort();
            let _ = serving.await;
        }
    }

    /// It listens again where it was.
    pub async fn restart(&mut self) {
        self.stop().await;
        let listener = crate::setup::soon(async {
            loop {
                match TcpListener::bind(self.address).await {
                    Ok(listener) => break listener,
                    Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
                }
            }
        })
        .await;
        self.serve(listener);
    }

    pub fn cluster(&self) -> Cluster {
        let uri = format!("http://{}", self.address).parse().unwrap();
        let mut config = kube::Config::new(uri);
        NAMESPACE.clone_into(&mut config.default_namespace);
        Cluster::new(config).unwrap()
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    fn change(&self, change: impl FnOnce(&mut World)) {
        let mut world = self.world();
        change(&mut world);
        self.changed.send_replace(world.version);
    }

    pub fn put(&self, path: &str, object: Value) {
        self.change(|world| world.put(path, object));
    }

    pub fn delete(&self, path: &str) {
        self.change(|world| world.delete(path));
    }

    pub fn create_secret(&self) {
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
            "metadata": {"name": "esc-injector-ca", "namespace": NAMESPACE, "labels": {"kept": "yes"}},
        });
        self.put(SECRET, secret);
    }

    pub fn create_configurations(&self) {
        let entry = |name: &str| json!({"name": name, "clientConfig": {"service": {"name": "esc-injector", "namespace": NAMESPACE}}, "failurePolicy": "Fail"});
        let object = |kind: &str, entries: &[&str]| {
            let foreign = json!({"name": "somebody.elses.example", "clientConfig": {"url": "https://x"}});
            let entries: Vec<_> = entries.iter().map(|name| entry(name)).chain([foreign]).collect();
            json!({
                "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind,
                "metadata": {"name": "esc-injector", "uid": format!("uid-{kind}-{}", self.world().version)},
                "webhooks": entries,
            })
        };
        self.put(&mutating(), object("MutatingWebhookConfiguration", &ENTRIES[..2]));
        self.put(&validating(), object("ValidatingWebhookConfiguration", &ENTRIES[2..]));
    }

    /// The Secret's data, decoded.
    pub fn secret(&self) -> BTreeMap<String, String> {
        let world = self.world();
        let Some(data) = world.objects.get(SECRET).and_then(|secret| secret["data"].as_object()) else {
            return BTreeMap::new();
        };
        let decode = |value: &Value| String::from_utf8(STANDARD.decode(value.as_str().unwrap()).unwrap());
        data.iter().map(|(key, value)| (key.clone(), decode(value).unwrap())).collect()
    }

    /// Replaces the Secret's data, as a hand would.
    pub fn set_secret(&self, data: &[(&str, &str)]) {
        self.change(|world| {
            let mut secret = world.objects[SECRET].clone();
            let data: serde_json::Map<_, _> =
                data.iter().map(|(key, value)| ((*key).to_owned(), json!(STANDARD.encode(value)))).collect();
            secret["data"] = Value::Object(data);
            world.put(SECRET, secret);
        });
    }

    /// An object as it is.
    pub fn object(&self, path: &str) -> Value {
        self.world().objects[path].clone()
    }

    /// The bundle of every entry of ours.
    pub fn bundles(&self) -> [String; 3] {
        let world = self.world();
        let of = |path: &str, place| world.objects.get(path).map(|object| bundle_of(object, place));
        [(mutating(), 0), (mutating(), 1), (validating(), 0)]
            .map(|(path, place)| of(&path, place).unwrap_or_default())
    }

    /// The bundle of the first entry, as an API server knows it that is late by so much.
    pub fn bundle_known(&self, late: Duration) -> Option<String> {
        let world = self.world();
        let known = world.bundles.iter().rev().find(|(since, _)| since.elapsed() >= late);
        known.or(world.bundles.first()).map(|(_, bundle)| bundle.clone()).filter(|bundle| !bundle.is_empty())
    }

    /// Overwrites the bundle of every entry of the mutating configuration, as `manager`.
    pub fn overwrite_bundle(&self, bundle: &str, manager: &str) {
        self.change(|world| {
            let mut object = world.objects[&mutating()].clone();
            for entry in object["webhooks"].as_array_mut().unwrap() {
                entry["clientConfig"]["caBundle"] = json!(STANDARD.encode(bundle));
            }
            object["metadata"]["managedFields"] =
                json!([{"manager": manager, "operation": "Update", "time": "2026-11-22T10:00:00Z",
                    "fieldsV1": {"f:webhooks": {"k": {"f:clientConfig": {"f:caBundle": {}}}}}}]);
            world.put(&mutating(), object);
        });
    }

    pub fn fail(&self, fault: Fault) {
        self.world().faults.push(fault);
    }

    pub fn heal(&self) {
        self.world().faults.clear();
    }

    /// Sets the clock that answers tell, in seconds from ours.
    pub fn set_clock(&self, seconds: i64) {
        self.world().clock = seconds;
    }

    pub fn writes(&self) -> Vec<(Method, String)> {
        self.world().writes.clone()
    }

    /// What was asked that no role of the chart allows.
    pub fn forbidden(&self) -> Vec<String> {
        self.world().forbidden.clone()
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        if let Some(serving) = &self.serving {
            serving.abort();
        }
    }
}

fn full(status: u16, value: &Value) -> Response<Body> {
    Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(value.to_string())).boxed_unsync())
        .unwrap()
}

fn refusal(status: u16, message: &str) -> Response<Body> {
    let value = json!({"apiVersion": "v1", "kind": "Status", "status": "Failure", "message": message, "code": status,
        "reason": StatusCode::from_u16(status).unwrap().canonical_reason().unwrap_or_default().replace(' ', "")});
    full(status, &value)
}

async fn answer(
    world: &Arc<Mutex<World>>,
    changed: &watch::Sender<u64>,
    request: Request<Incoming>,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let (path, query) = (parts.uri.path().to_owned(), parts.uri.query().unwrap_or_default().to_owned());
    let mut locked = world.lock().unwrap();
    let clock = locked.clock;
    let fault = locked
        .faults
        .iter_mut()
        .find(|fault| fault.method == parts.method && path.contains(fault.path) && fault.times != Some(0));
    let mut response = if let Some(fault) = fault {
        fault.times = fault.times.map(|times| times - 1);
        refusal(fault.status, "a planted fault")
    } else if let Some(name) = collection(&path) {
        if query.contains(&format!("fieldSelector=metadata.name%3D{name}")) && parts.method == Method::GET {
            let one = format!("{path}/{name}");
            if query.contains("watch=true") {
                let from = query.split('&').find_map(|pair| pair.strip_prefix("resourceVersion=")).unwrap();
                let from = from.parse().unwrap();
                drop(locked);
                return watch_stream(Arc::clone(world), changed.subscribe(), one, from);
            }
            list(&locked, &one)
        } else {
            locked.forbidden.push(format!("{} {path}?{query}", parts.method));
            refusal(403, "no such right on the whole collection")
        }
    } else if path == SECRET || path == mutating() || path == validating() {
        let verb_is_allowed = match parts.method {
            Method::GET => true,
            Method::PUT => path == SECRET,
            Method::PATCH => path != SECRET,
            _ => false,
        };
        if !verb_is_allowed {
            locked.forbidden.push(format!("{} {path}", parts.method));
            refusal(403, "no such right")
        } else if parts.method == Method::GET {
            locked.objects.get(&path).map_or_else(|| refusal(404, "not found"), |object| full(200, object))
        } else {
            let response = write(&mut locked, &parts, &path, &query, &body);
            changed.send_replace(locked.version);
            response
        }
    } else {
        locked.forbidden.push(format!("{} {path}", parts.method));
        refusal(403, "no such right")
    };
    let now = std::time::SystemTime::now();
    let shift = Duration::from_secs(clock.unsigned_abs());
    let now = if clock < 0 { now - shift } else { now + shift };
    response.headers_mut().insert(header::DATE, httpdate::fmt_http_date(now).parse().unwrap());
    response
}

/// The name that may be listed and watched in a collection.
fn collection(path: &str) -> Option<&'static str> {
    [(SECRET.to_owned(), "esc-injector-ca"), (mutating(), "esc-injector"), (validating(), "esc-injector")]
        .into_iter()
        .find_map(|(one, name)| (one.strip_suffix(&format!("/{name}")) == Some(path)).then_some(name))
}

fn list(world: &World, one: &str) -> Response<Body> {
    let items: Vec<_> = world.objects.get(one).map(metadata).into_iter().collect();
    full(
        200,
        &json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadataList",
            "metadata": {"resourceVersion": world.version.to_string()}, "items": items}),
    )
}

fn write(
    world: &mut World,
    parts: &http::request::Parts,
    path: &str,
    query: &str,
    body: &[u8],
) -> Response<Body> {
    let Some(current) = world.objects.get(path).cloned() else { return refusal(404, "not found") };
    let new: Value = serde_json::from_slice(body).unwrap();
    assert!(query.contains("fieldManager=esc-injector"), "{query}");
    if new["metadata"]["resourceVersion"] != current["metadata"]["resourceVersion"] {
        return refusal(409, "the object has been modified");
    }
    let next = if parts.method == Method::PUT {
        new
    } else {
        assert_eq!(parts.headers[header::CONTENT_TYPE], "application/apply-patch+yaml");
        if new["metadata"]["uid"] != current["metadata"]["uid"] {
            return refusal(409, "uid mismatch");
        }
        let mut next = current;
        for entry in new["webhooks"].as_array().unwrap() {
            assert_eq!(entry.as_object().unwrap().len(), 2, "nothing but name and clientConfig: {entry}");
            assert_eq!(
                entry["clientConfig"].as_object().unwrap().len(),
                1,
                "nothing but the bundle: {entry}"
            );
            let entries = next["webhooks"].as_array_mut().unwrap();
            let entry_there = entries.iter_mut().find(|other| other["name"] == entry["name"]).unwrap();
            entry_there["clientConfig"]["caBundle"] = entry["clientConfig"]["caBundle"].clone();
        }
        next
    };
    world.put(path, next);
    world.writes.push((parts.method.clone(), path.to_owned()));
    full(200, &world.objects[path])
}

fn watch_stream(
    world: Arc<Mutex<World>>,
    changed: watch::Receiver<u64>,
    one: String,
    from: u64,
) -> Response<Body> {
    let events = stream::unfold((world, changed, from), move |(world, mut changed, from)| {
        let one = one.clone();
        async move {
            loop {
                changed.borrow_and_update();
                let next = {
                    let world = world.lock().unwrap();
                    let next =
                        world.events.iter().find(|(version, _, path, _)| *version > from && *path == one);
                    next.map(|(version, kind, _, object)| (*version, json!({"type": kind, "object": object})))
                };
                if let Some((version, event)) = next {
                    let line = Bytes::from(format!("{event}\n"));
                    return Some((Ok::<_, Infallible>(Frame::data(line)), (world, changed, version)));
                }
                changed.changed().await.ok()?;
            }
        }
    });
    Response::builder()
        .header(header::CONTENT_TYPE, "application/json")
        .body(BodyExt::boxed_unsync(StreamBody::new(Box::pin(events))))
        .unwrap()
}
