//! Certificates that the webhook makes itself, against an API server that makes every trouble: whoever calls with the
//! bundle that is published gets through, all the time.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use esc_injector::webhook::{
    Certificates, Config, Webhook, WorkloadChecks,
    certs::{Lifetimes, SelfManaged, authority::Authority, state},
};
use hyper::Method;
use rustls::{
    ClientConfig, RootCertStore, crypto::ring, pki_types::CertificateDer, pki_types::pem::PemObject,
};
use tokio::task::{JoinHandle, JoinSet};

use crate::{
    apiserver::{ApiServer, Fault, NAMESPACE, SECRET, mutating, validating},
    client::{Client, dial, metric, status},
    reviews::{review, small_pod},
    setup::{ANY_PORT, eventually, policy, quick, soon},
};

const STALE: &str = "esc_injector_certificate_sync_stale_seconds";
const OVERWRITTEN: &str = "esc_injector_ca_bundle_overwritten_total";
const EXPIRY: &str = "esc_injector_certificate_expiry_timestamp_seconds";

/// As in production, but for waits.
pub fn lasting() -> Lifetimes {
    Lifetimes {
        overlap: Duration::from_millis(300),
        resync: Duration::from_secs(2),
        retry: Duration::from_millis(50),
        restore: Duration::from_millis(500),
        ..Lifetimes::default()
    }
}

/// Certificates tell whole seconds, so this is about as short as they can live.
pub fn fleeting() -> Lifetimes {
    Lifetimes {
        authority: Duration::from_secs(15),
        leaf: Duration::from_secs(3),
        backdate: Duration::from_secs(5),
        resync: Duration::from_millis(500),
        ..lasting()
    }
}

/// One replica. It crashes when it is dropped: nothing of it runs on.
pub struct Replica {
    pub admission: SocketAddr,
    pub health: SocketAddr,
    task: JoinHandle<()>,
}

impl Replica {
    pub async fn start(api: &ApiServer, lifetimes: Lifetimes) -> Self {
        Self::start_for(api, "esc-injector", lifetimes).await
    }

    /// Whose certificate is for a Service of this name.
    pub async fn start_for(api: &ApiServer, service: &str, lifetimes: Lifetimes) -> Self {
        let certificates = Certificates::SelfManaged(Box::new(SelfManaged {
            cluster: api.cluster(),
            namespace: NAMESPACE.to_owned(),
            service: service.to_owned(),
            secret: "esc-injector-ca".to_owned(),
            configuration: "esc-injector".to_owned(),
            lifetimes,
        }));
        let config = Config {
            listen: ANY_PORT,
            health_listen: ANY_PORT,
            certificates,
            cluster: None,
            policy: policy(),
            workload_checks: WorkloadChecks::default(),
            limits: quick(),
        };
        let webhook = Webhook::bind(config).await.unwrap();
        let (admission, health) = (webhook.admission_addr(), webhook.health_addr());
        Self { admission, health, task: tokio::spawn(webhook.run(std::future::pending())) }
    }

    pub async fn ready(api: &ApiServer, lifetimes: Lifetimes) -> Self {
        let replica = Self::start(api, lifetimes).await;
        replica.is_ready().await;
        replica
    }

    pub async fn is_ready(&self) {
        eventually(async || status(self.health, "/readyz").await == 200).await;
    }

    /// What `/readyz` says.
    async fn says(&self) -> String {
        let reply = Client::connect_plain(self.health).await.unwrap().get("/readyz").await.unwrap();
        String::from_utf8(reply.body.to_vec()).unwrap()
    }

    /// Waits until `/readyz` says all of this.
    pub async fn comes_to_say(&self, parts: &[&str]) {
        eventually(async || {
            let said = self.says().await;
            parts.iter().all(|part| said.contains(part))
        })
        .await;
    }

    /// The leaf that a client gets which trusts this bundle.
    async fn shown(&self, bundle: &str) -> Option<Vec<u8>> {
        let stream = dial(self.admission, &trusting(bundle)).await.ok()?;
        Some(stream.get_ref().1.peer_certificates()?.first()?.to_vec())
    }

    async fn crash(self) {
        self.task.abort();
        let _ = (&mut { self }.task).await;
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The API server as a client, by the bundle that it knows.
fn trusting(bundle: &str) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(bundle.as_bytes()).flatten());
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}

/// Admissions over new connections, all the time, by the bundle of now and by that of a while ago.
struct Load {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicUsize>,
    failures: Arc<std::sync::Mutex<Vec<String>>>,
    tasks: JoinSet<()>,
}

impl Load {
    fn start(api: &Arc<ApiServer>, replicas: &[SocketAddr]) -> Self {
        let mut load = Self {
            stop: Arc::default(),
            done: Arc::default(),
            failures: Arc::default(),
            tasks: JoinSet::new(),
        };
        for &address in replicas {
            for late in [Duration::ZERO, Duration::from_millis(150)] {
                let (api, stop) = (Arc::clone(api), Arc::clone(&load.stop));
                let (done, failures) = (Arc::clone(&load.done), Arc::clone(&load.failures));
                load.tasks.spawn(async move {
                    let body = serde_json::to_vec(&review("u-1", &small_pod())).unwrap();
                    while !stop.load(Ordering::Relaxed) {
                        let Some(bundle) = api.bundle_known(late) else {
                            // That API server knows of no bundle yet, and so calls nobody.
                            tokio::time::sleep(Duration::from_millis(5)).await;
                            continue;
                        };
                        match soon(admit(address, &bundle, &body)).await {
                            Ok(()) => _ = done.fetch_add(1, Ordering::Relaxed),
                            Err(error) => failures.lock().unwrap().push(format!("late by {late:?}: {error}")),
                        }
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                });
            }
        }
        load
    }

    /// Waits for more admissions than now.
    async fn goes_on(&self) {
        let before = self.done.load(Ordering::Relaxed);
        eventually(async || self.done.load(Ordering::Relaxed) > before + 20).await;
    }

    async fn ends_without_failure(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = soon(self.tasks.join_next()).await {
            ended.unwrap();
        }
        let failures = self.failures.lock().unwrap();
        assert!(
            failures.is_empty(),
            "{} of {} failed: {:?}",
            failures.len(),
            self.done.load(Ordering::Relaxed),
            failures.first()
        );
        assert!(self.done.load(Ordering::Relaxed) > 0);
    }
}

async fn admit(address: SocketAddr, bundle: &str, body: &[u8]) -> Result<(), String> {
    let mut client =
        Client::connect(address, &trusting(bundle)).await.map_err(|error| format!("handshake: {error}"))?;
    let reply = client.post("/mutate", body.to_vec()).await.map_err(|error| error.to_string())?;
    if reply.status == 200 { Ok(()) } else { Err(reply.status.to_string()) }
}

/// The Secret's data as the state machine reads it.
fn state_of(data: &BTreeMap<String, String>) -> state::State {
    let data = data.iter().map(|(key, value)| (key.clone(), value.as_str().into())).collect();
    state::State::parse(&data)
}

/// Which keys are in the Secret, in one word each.
fn keys(api: &ApiServer) -> Vec<String> {
    api.secret().into_keys().collect()
}

/// Fills the Secret with an authority that was made so long ago.
pub fn fill_with_authority_made(api: &ApiServer, ago: Duration, lifetimes: &Lifetimes) -> Authority {
    let authority = Authority::generate(SystemTime::now() - ago, lifetimes).unwrap();
    let trust = state::Trust::of(authority.clone());
    let data = trust.data();
    let data: Vec<_> = data.iter().map(|(key, value)| (key.as_str(), value.expose_str().unwrap())).collect();
    api.set_secret(&data);
    authority
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_replica_fills_the_secret_and_every_entry_and_serves() {
    let api = ApiServer::start().await;
    let replica = Replica::ready(&api, lasting()).await;
    assert_eq!(keys(&api), ["ca.crt", "ca.key"]);
    let [first, second, third] = api.bundles();
    assert_eq!((&first, &first), (&second, &third));
    assert_eq!(first, api.secret()["ca.crt"]);
    let body = serde_json::to_vec(&review("u-1", &small_pod())).unwrap();
    soon(admit(replica.admission, &first, &body)).await.unwrap();
    // Nothing else was touched, and nothing was asked that the chart does not allow.
    assert_eq!(api.object(SECRET)["metadata"]["labels"]["kept"], "yes");
    let foreign = &api.object(&mutating())["webhooks"][2];
    assert_eq!(foreign["clientConfig"], serde_json::json!({"url": "https://x"}));
    assert_eq!(api.forbidden(), Vec::<String>::new());
    // And no more was written than had to be.
    assert_eq!(
        api.writes(),
        [(Method::PUT, SECRET.to_owned()), (Method::PATCH, mutating()), (Method::PATCH, validating())]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_that_start_at_once_agree_on_one_authority() {
    for _ in 0..10 {
        let api = ApiServer::start().await;
        let mut replicas = Vec::new();
        for _ in 0..3 {
            replicas.push(Replica::start(&api, lasting()).await);
        }
        for replica in &replicas {
            replica.is_ready().await;
        }
        let puts = api.writes().iter().filter(|(method, _)| *method == Method::PUT).count();
        assert_eq!(puts, 1);
        for replica in &replicas {
            assert!(replica.shown(&api.bundles()[0]).await.is_some());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn until_the_first_certificate_handshakes_fail_and_readyz_says_why() {
    let api = ApiServer::start_empty().await;
    let replica = Replica::start(&api, lasting()).await;
    replica.comes_to_say(&["starting", "ESC960", "esc-injector-ca", NAMESPACE]).await;
    assert!(dial(replica.admission, &trusting("")).await.is_err());
    api.create_secret();
    replica.comes_to_say(&["ESC964", "MutatingWebhookConfiguration esc-injector"]).await;
    // The Secret is filled meanwhile: one thing less to wait for.
    eventually(async || keys(&api) == ["ca.crt", "ca.key"]).await;
    api.create_configurations();
    replica.is_ready().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_do_not_depend_on_the_configuration_that_only_advises() {
    let api = ApiServer::start().await;
    api.delete(&validating());
    let replica = Replica::ready(&api, lasting()).await;
    let root = api.secret()["ca.crt"].clone();
    assert_eq!(api.bundles()[..2], [root.clone(), root.clone()]);
    api.overwrite_bundle("", "somebody");
    eventually(async || api.bundles()[..2] == [root.clone(), root.clone()]).await;
    assert_eq!(metric(replica.health, OVERWRITTEN).await, 1);
    // It is told all the same: nothing is in order.
    assert!(metric_text(replica.health, STALE).await > 0.0);
    api.create_configurations();
    eventually(async || api.bundles() == [root.clone(), root.clone(), root.clone()]).await;
    assert!(replica.shown(&root).await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_that_was_made_anew_is_not_told_as_overwritten() {
    let api = ApiServer::start().await;
    let replica = Replica::ready(&api, lasting()).await;
    let root = api.secret()["ca.crt"].clone();
    let all = [root.clone(), root.clone(), root];
    eventually(async || api.bundles() == all && metric_text(replica.health, STALE).await < 1.0).await;
    // As after an emergency, by helm upgrade.
    api.delete(&mutating());
    api.delete(&validating());
    api.create_configurations();
    eventually(async || api.bundles() == all).await;
    assert_eq!(metric(replica.health, OVERWRITTEN).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_api_server_refuses_is_said_with_its_code() {
    let api = ApiServer::start().await;
    for (method, path, status, expected) in [
        (Method::GET, "secrets/", 403, ["ESC952", "reading Secret"]),
        (Method::GET, "secrets/", 401, ["ESC952", "reading Secret"]),
        (Method::GET, "mutating", 503, ["ESC951", "reading MutatingWebhookConfiguration"]),
        (Method::PUT, "secrets/", 403, ["ESC952", "writing Secret"]),
        (Method::PUT, "secrets/", 500, ["ESC953", "a planted fault"]),
        (Method::PATCH, "validating", 403, ["ESC952", "setting the caBundle of Validating"]),
    ] {
        api.fail(Fault { method, path, status, times: None });
        let replica = Replica::start(&api, lasting()).await;
        replica.comes_to_say(&expected).await;
        api.heal();
        replica.is_ready().await;
        // The next round begins as this one did.
        replica.crash().await;
        api.set_secret(&[]);
        api.create_configurations();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emptied_secret_is_put_back_and_no_admission_fails() {
    let api = Arc::new(ApiServer::start().await);
    let (one, other) = (Replica::ready(&api, lasting()).await, Replica::ready(&api, lasting()).await);
    let load = Load::start(&api, &[one.admission, other.admission]);
    let before = api.secret();
    for empty in [&[][..], &[("ca.crt", ""), ("ca.key", "")], &[("ca.crt", "nonsense"), ("ca.key", "x")]] {
        load.goes_on().await;
        api.set_secret(empty);
        eventually(async || api.secret() == before).await;
    }
    // Deleted, and made again by the chart.
    api.delete(SECRET);
    load.goes_on().await;
    api.create_secret();
    eventually(async || api.secret() == before).await;
    load.goes_on().await;
    load.ends_without_failure().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_knows_no_authority_leaves_an_emptied_secret_to_one_that_does() {
    let api = ApiServer::start().await;
    let old = Replica::ready(&api, lasting()).await;
    let before = api.secret();
    // The old one does not see it yet; the new one sees nothing but it.
    let patient = Lifetimes { restore: Duration::from_secs(20), ..lasting() };
    api.set_secret(&[]);
    let new = Replica::ready(&api, patient).await;
    assert_eq!(api.secret(), before);
    // Without anybody who knows, it takes a new one after a while.
    old.crash().await;
    new.crash().await;
    api.set_secret(&[]);
    let _alone = Replica::ready(&api, lasting()).await;
    assert_ne!(api.secret(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_secret_that_nobody_remembers_is_left_alone_and_told() {
    let api = ApiServer::start().await;
    api.set_secret(&[("ca.crt", "a corporate authority"), ("ca.key", "its key")]);
    let before = api.secret();
    let replica = Replica::start(&api, lasting()).await;
    replica.comes_to_say(&["ESC961", "ca.crt"]).await;
    assert!(!replica.says().await.contains("corporate"));
    assert_eq!(api.secret(), before);
    // The fix that the code names.
    api.set_secret(&[]);
    replica.is_ready().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_overwritten_bundle_is_put_back_at_once_and_more_slowly_each_time() {
    let api = ApiServer::start().await;
    let lifetimes = Lifetimes { overlap: Duration::from_secs(60), ..lasting() };
    let replica = Replica::ready(&api, lifetimes).await;
    // Settled, so that it knows what belongs there.
    eventually(async || metric_text(replica.health, STALE).await < 1.0).await;
    let right = api.bundles();
    let from = std::time::Instant::now();
    for round in 1..=4 {
        api.overwrite_bundle("", "helm");
        eventually(async || api.bundles() == right).await;
        eventually(async || metric(replica.health, OVERWRITTEN).await == round).await;
    }
    // The first at once, then not before 100, 200 and 400 ms after the one before.
    assert!(from.elapsed() > Duration::from_millis(700));
    // It stays ready: readiness is a latch.
    assert_eq!(status(replica.health, "/readyz").await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn conflicts_send_a_replica_back_to_look() {
    let api = ApiServer::start().await;
    for path in ["mutating", "validating", "secrets/"] {
        for method in [Method::PATCH, Method::PUT] {
            api.fail(Fault { method, path, status: 409, times: Some(2) });
        }
    }
    let _one = Replica::ready(&api, lasting()).await;
    let _other = Replica::ready(&api, lasting()).await;
    let bundle = api.secret()["ca.crt"].clone();
    assert_eq!(api.bundles(), [bundle.clone(), bundle.clone(), bundle]);
}

#[tokio::test(flavor = "multi_thread")]
async fn authorities_change_one_after_the_other_and_no_admission_fails() {
    let api = Arc::new(ApiServer::start().await);
    let lifetimes = fleeting();
    let first = fill_with_authority_made(&api, Duration::from_secs(11), &lifetimes);
    let (one, other) = (Replica::ready(&api, lifetimes).await, Replica::ready(&api, lifetimes).await);
    let load = Load::start(&api, &[one.admission, other.admission]);
    // Two whole changes, so that the second is of an authority that came by the first.
    let mut seen = vec![first.root().pem()];
    while seen.len() < 3 || keys(&api) != ["ca.crt", "ca.key"] {
        let bundle = api.bundles()[0].clone();
        let ca = api.secret()["ca.crt"].clone();
        if seen.last() != Some(&ca) {
            // It was known before it signed.
            assert!(bundle.contains(&ca) && bundle.contains(seen.last().unwrap()));
            seen.push(ca);
        }
        soon(tokio::time::sleep(Duration::from_millis(10))).await;
    }
    load.goes_on().await;
    load.ends_without_failure().await;
    assert_eq!(api.forbidden(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_authorities_survives_crashes_on_its_way() {
    let lifetimes = fleeting();
    let api = Arc::new(ApiServer::start().await);
    let first = fill_with_authority_made(&api, Duration::from_secs(11), &lifetimes);
    // It serves all the time, and sees what the others write, but can write nothing itself.
    let mut steps = 0;
    let mut replica = Replica::ready(&api, lifetimes).await;
    let mut done = api.writes().len();
    let is_over =
        |api: &ApiServer| keys(api) == ["ca.crt", "ca.key"] && api.secret()["ca.crt"] != first.root().pem();
    while !is_over(&api) {
        eventually(async || api.writes().len() > done || is_over(&api)).await;
        done = api.writes().len();
        replica.crash().await;
        steps += 1;
        replica = Replica::ready(&api, lifetimes).await;
        // What is published trusts what is served, after each crash.
        assert!(replica.shown(&api.bundles()[0]).await.is_some(), "after step {steps}");
    }
    // Introduce, publish twice, stamp, promote, stamp, retire: some fall together, more of them on a busy machine. Each
    // single one is crashed after in the simulation.
    assert!(steps >= 2, "{steps} steps");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_of_a_hand_is_introduced_like_any_other() {
    let api = Arc::new(ApiServer::start().await);
    let replica = Replica::ready(&api, lasting()).await;
    let load = Load::start(&api, &[replica.admission]);
    load.goes_on().await;
    let next = Authority::generate(SystemTime::now(), &lasting()).unwrap();
    let mut data = api.secret();
    data.insert("next.crt".into(), next.root().pem());
    data.insert("next.key".into(), next.key().expose_str().unwrap().to_owned());
    let data: Vec<_> = data.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    api.set_secret(&data);
    // Its predecessor retires for as long as leaves live, a day: the test does not wait for that.
    eventually(async || api.secret().contains_key("previous.crt")).await;
    assert_eq!(api.secret()["ca.crt"], next.root().pem());
    eventually(async || replica.shown(&next.root().pem()).await.is_some()).await;
    load.goes_on().await;
    load.ends_without_failure().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_that_has_ended_is_replaced_at_once() {
    let api = ApiServer::start().await;
    let lifetimes = fleeting();
    let old = fill_with_authority_made(&api, Duration::from_secs(100), &lifetimes);
    let replica = Replica::ready(&api, lasting()).await;
    assert_ne!(api.secret()["ca.crt"], old.root().pem());
    assert!(replica.shown(&api.bundles()[0]).await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_api_server_it_serves_on_and_renews_and_tells_the_staleness() {
    let mut api = ApiServer::start().await;
    // A leaf of three seconds of an authority of years.
    let lifetimes = Lifetimes { leaf: Duration::from_secs(3), ..lasting() };
    let replica = Replica::ready(&api, lifetimes).await;
    let bundle = api.bundles()[0].clone();
    let (leaf, expiry) = (replica.shown(&bundle).await, metric(replica.health, EXPIRY).await);
    api.stop().await;
    eventually(async || metric(replica.health, EXPIRY).await > expiry + 4).await;
    let renewed = replica.shown(&bundle).await;
    assert!(renewed.is_some() && renewed != leaf);
    assert_eq!(status(replica.health, "/readyz").await, 200);
    eventually(async || metric_text(replica.health, STALE).await > 2.5).await;
    // And it finds its way back, and goes on with what was to do.
    api.restart().await;
    eventually(async || metric_text(replica.health, STALE).await < 2.5).await;
    api.set_secret(&[]);
    eventually(async || state_of(&api.secret()) != state::State::Empty).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_far_off_makes_certificates_by_the_api_servers() {
    let api = ApiServer::start().await;
    // Ten years, in which an authority of ours ends twice.
    let decade = 10 * 365 * 24 * 60 * 60;
    api.set_clock(decade);
    let replica = Replica::start(&api, lasting()).await;
    replica.is_ready().await;
    let expiry = metric(replica.health, EXPIRY).await;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let expected = now + u64::try_from(decade).unwrap() + 24 * 60 * 60;
    assert!(expiry.abs_diff(expected) < 120, "{expiry} is not about {expected}");
    assert_eq!(keys(&api), ["ca.crt", "ca.key"]);
}

/// The value of a metric that is no whole number.
async fn metric_text(address: SocketAddr, name: &str) -> f64 {
    let reply = Client::connect_plain(address).await.unwrap().get("/metrics").await.unwrap();
    let text = std::str::from_utf8(&reply.body).unwrap();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("{name} not in\n{text}")).parse().unwrap()
}
