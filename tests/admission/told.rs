//! What only the log tells: each with its code, and no more once its cause is gone.

use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::json;
use tracing::subscriber::DefaultGuard;

use crate::{
    apiserver::{ApiServer, mutating},
    authority::{Replica, fill_with_authority_made, fleeting, lasting},
    client::dial,
    setup::{Authority, Running, eventually, quick},
};

/// What is logged on this thread, as long as this lives. A runtime of one thread has all of its tasks there.
struct Log {
    lines: Lines,
    _guard: DefaultGuard,
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn begin() -> Self {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt().json().with_writer(move || writer.clone()).finish();
        Self { lines, _guard: tracing::subscriber::set_default(subscriber) }
    }

    fn text(&self) -> String {
        String::from_utf8(self.lines.0.lock().unwrap().clone()).unwrap()
    }

    /// How often this code was told.
    fn told(&self, code: &str) -> usize {
        self.text().matches(&format!("\"code\":\"{code}\"")).count()
    }

    async fn comes_to_tell(&self, code: &str) {
        eventually(async || self.told(code) > 0).await;
    }
}

#[tokio::test]
async fn a_secret_that_was_put_back_is_told_once() {
    let (log, api) = (Log::begin(), ApiServer::start().await);
    let _replica = Replica::ready(&api, lasting()).await;
    let before = api.secret();
    assert_eq!(log.told("ESC962"), 0);
    api.set_secret(&[]);
    log.comes_to_tell("ESC962").await;
    eventually(async || api.secret() == before).await;
    assert_eq!(log.told("ESC962"), 1);
}

#[tokio::test]
async fn an_authority_that_had_ended_is_told_once() {
    let (log, api) = (Log::begin(), ApiServer::start().await);
    fill_with_authority_made(&api, Duration::from_secs(100), &fleeting());
    let _one = Replica::ready(&api, lasting()).await;
    assert_eq!(log.told("ESC963"), 1);
    let _other = Replica::ready(&api, lasting()).await;
    assert_eq!(log.told("ESC963"), 1);
}

#[tokio::test]
async fn a_configuration_without_our_entries_is_told_until_it_has_them() {
    let api = ApiServer::start().await;
    let foreign = json!({"name": "somebody.elses.example", "clientConfig": {"url": "https://x"}});
    let mut configuration = api.object(&mutating());
    configuration["webhooks"] = json!([foreign]);
    api.put(&mutating(), configuration);
    let replica = Replica::start(&api, lasting()).await;
    replica.comes_to_say(&["ESC965", "MutatingWebhookConfiguration esc-injector"]).await;
    api.create_configurations();
    replica.is_ready().await;
}

#[tokio::test]
async fn an_overwritten_bundle_is_told_with_whoever_wrote_last() {
    let (log, api) = (Log::begin(), ApiServer::start().await);
    let _replica = Replica::ready(&api, lasting()).await;
    let right = api.bundles();
    // Overwriting counts once the bundle is known to have settled.
    eventually(async || {
        api.overwrite_bundle("", "helm");
        eventually(async || api.bundles() == right).await;
        log.told("ESC966") > 0
    })
    .await;
    assert!(log.text().contains("`helm`"), "{}", log.text());
}

#[tokio::test]
async fn a_certificate_that_can_not_be_made_is_told_and_one_for_a_real_name_is_made() {
    let api = ApiServer::start().await;
    let replica = Replica::start_for(&api, "größe", lasting()).await;
    replica.comes_to_say(&["ESC967"]).await;
    drop(replica);
    Replica::ready(&api, lasting()).await;
}

#[tokio::test]
async fn a_clock_that_is_apart_is_told_and_one_that_is_right_is_not() {
    for (seconds, times) in [(0, 0), (1000, 1)] {
        let (log, api) = (Log::begin(), ApiServer::start().await);
        api.set_clock(seconds);
        let _replica = Replica::ready(&api, lasting()).await;
        assert_eq!(log.told("ESC968"), times, "{seconds}: {}", log.text());
    }
}

#[tokio::test]
async fn a_torn_pair_of_files_is_told_once_and_a_whole_one_is_served() {
    let log = Log::begin();
    let mut webhook = Running::start(quick()).await;
    let next = webhook.authority.issue();
    webhook.volume.publish(&next.certificate, &webhook.first.key);
    log.comes_to_tell("ESC931").await;
    webhook.volume.publish(&next.certificate, &next.key);
    eventually(async || log.text().contains("serving the changed certificate")).await;
    assert_eq!(log.told("ESC931"), 1);
}

#[tokio::test]
async fn a_client_that_does_not_trust_the_certificate_is_told_and_one_that_does_gets_through() {
    let log = Log::begin();
    let webhook = Running::start(quick()).await;
    assert!(dial(webhook.admission, &Authority::new().client(&[])).await.is_err());
    log.comes_to_tell("ESC933").await;
    dial(webhook.admission, &webhook.tls()).await.unwrap();
    assert_eq!(log.told("ESC933"), 1);
}
