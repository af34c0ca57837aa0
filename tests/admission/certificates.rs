//! The certificate changes while the webhook serves, and nobody notices but by the certificate.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::task::JoinSet;

use crate::{
    client::{Client, metric},
    reviews::{review, small_pod},
    setup::{Running, eventually, quick, soon},
};

const RELOAD_FAILURES: &str = "esc_injector_certificate_reload_failures_total";
const EXPIRY: &str = "esc_injector_certificate_expiry_timestamp_seconds";

/// The certificate that a new connection gets.
async fn shown(webhook: &Running) -> Vec<u8> {
    soon(Client::connect(webhook.admission, &webhook.tls())).await.unwrap().certificate
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_certificate_is_served_without_a_failed_request() {
    let mut webhook = Running::start(quick()).await;
    let (stop, served) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut load = JoinSet::new();
    for worker in 0..6 {
        let (tls, address) = (webhook.tls(), webhook.admission);
        let (stop, served) = (Arc::clone(&stop), Arc::clone(&served));
        let body = serde_json::to_vec(&review("u-1", &small_pod())).unwrap();
        load.spawn(async move {
            let mut client = Client::connect(address, &tls).await.unwrap();
            while !stop.load(Ordering::Relaxed) {
                // Half of them keep their connection, half take a new one each time.
                if worker % 2 == 0 {
                    client = Client::connect(address, &tls).await.unwrap();
                }
                assert_eq!(client.post("/mutate", body.clone()).await.unwrap().status, 200);
                served.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        });
    }
    for _ in 0..3 {
        let next = webhook.authority.issue();
        webhook.volume.publish(&next.certificate, &next.key);
        eventually(async || shown(&webhook).await == next.der).await;
        // And the load goes on behind the new one.
        let before = served.load(Ordering::Relaxed);
        eventually(async || served.load(Ordering::Relaxed) > before + 20).await;
    }
    stop.store(true, Ordering::Relaxed);
    soon(load.join_all()).await;
    assert_eq!(metric(webhook.health, RELOAD_FAILURES).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_pair_keeps_the_former_certificate_until_it_is_whole() {
    let mut webhook = Running::start(quick()).await;
    let expiry = metric(webhook.health, EXPIRY).await;
    let next = webhook.authority.issue();
    webhook.volume.publish(&next.certificate, &webhook.first.key);
    eventually(async || metric(webhook.health, RELOAD_FAILURES).await >= 2).await;
    assert_eq!(shown(&webhook).await, webhook.first.der);
    assert_eq!(metric(webhook.health, EXPIRY).await, expiry);

    webhook.volume.publish("", "");
    let failures = metric(webhook.health, RELOAD_FAILURES).await;
    eventually(async || metric(webhook.health, RELOAD_FAILURES).await > failures + 1).await;
    assert_eq!(shown(&webhook).await, webhook.first.der);

    webhook.volume.publish(&next.certificate, &next.key);
    eventually(async || shown(&webhook).await == next.der).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_expiry_is_told() {
    let webhook = Running::start(quick()).await;
    // rcgen's default: the end of the year 4095.
    assert_eq!(metric(webhook.health, EXPIRY).await, 67_090_118_400);
}
