//! What goes wrong in the life of an installation, while pods are created without a pause. Nobody may notice, but where
//! a test says so; the counts end up in the table of `tests/cluster/faults`.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use esc_injector::webhook::certs::Lifetimes;
use serde_json::{Value, json};

use crate::support::{
    cluster::cluster,
    eventually,
    handshakes::{self, Handshakes},
    local::Local,
    proxy::Proxy,
    release::{NAME, Release, bundles, wait_until_injecting},
    replica::{self, Replica, address},
    report::record,
    stream::{Stream, Tally},
};

#[test]
#[ignore = "needs a cluster: tests/cluster/up"]
fn a_rolling_restart_refuses_nobody() {
    let mut release = Release::serving();
    let stream = Stream::start();
    for n in [3, 4] {
        // One more first, as the chart's Deployment does it.
        let mut fresh = release.start_replica(n);
        fresh.wait_until_ready();
        release.endpoints.wait_for(&[address(n - 2), address(n - 1), address(n)]);
        let mut old = std::mem::replace(&mut release.replicas[usize::from(n - 3)], fresh);
        // Kubelet and the controller of endpoints learn of it at the same time; here the signal comes first.
        old.terminate();
        stream.flow();
        release.endpoints.withdraw(old.address);
        assert_eq!(old.wait().code(), Some(0), "{}", old.log());
    }
    stream.flow();
    let tally = stream.stop();
    record("rolling restart of both replicas", &tally, "0", "");
    tally.expect_no_refusal();
}

#[test]
#[ignore = "needs a cluster: tests/cluster/up"]
fn after_a_replica_was_killed_only_what_was_on_its_way_there_is_refused() {
    let mut release = Release::serving();
    let stream = Stream::start();
    release.replicas[0].kill();
    release.endpoints.wait_for(&[address(2)]);
    stream.expect_recovery();
    let tally = stream.stop();
    record("one of two replicas killed", &tally, "in flight", "until its endpoint is withdrawn (0.1 s here)");
    let unreachable = |text: &String| text.contains("failed calling webhook");
    assert!(tally.refused.iter().all(unreachable), "{:#?}", tally.some());
}

#[test]
#[ignore = "needs a cluster: tests/cluster/up"]
fn an_api_server_that_restarts_finds_its_webhook_again() {
    let mut release = Release::serving();
    let stream = Stream::start();
    cluster().restart("kube-apiserver");
    eventually("the API server is back", || cluster().kubectl(["get", "--raw=/readyz"]).ok.then_some(()));
    stream.expect_recovery();
    for replica in &mut release.replicas {
        replica.wait_until_ready();
    }
    let tally = stream.stop();
    record("API server restarted", &tally, "0", "its own refusals are counted apart");
    tally.expect_no_refusal();
}

#[test]
#[ignore = "needs a cluster: tests/cluster/up"]
fn a_replica_whose_watches_were_cut_serves_on_and_goes_on_watching() {
    let mut release = Release::install_default();
    let (own, proxy) = (release.namespace.name.clone(), Proxy::start());
    for n in [1, 2] {
        let replica = Replica::start_through(&own, NAME, n, Some(proxy.address));
        release.endpoints.add(replica.address);
        release.replicas.push(replica);
    }
    release.endpoints.wait_for(&[address(1), address(2)]);
    wait_until_injecting();
    let stream = Stream::start();
    for _ in 0..5 {
        assert!(proxy.cut() > 0, "there was no connection to cut");
        stream.flow();
    }
    // What happens from now on is still seen.
    empty_the_secret(&release);
    eventually("the Secret is filled again", || secret(&release)["ca.crt"].is_string().then_some(()));
    stream.flow();
    let tally = stream.stop();
    record("watches cut five times", &tally, "0", "");
    tally.expect_no_refusal();
}

#[test]
#[ignore = "needs a cluster: tests/cluster/up"]
fn an_emptied_secret_is_put_back_from_memory() {
    let release = Release::serving();
    let before = secret(&release);
    let stream = Stream::start();
    empty_the_secret(&release);
    let after = eventually("the Secret is filled again", || {
        let found = secret(&release);
        found["ca.crt"].is_string().then_some(found)
    });
    stream.flow();
    let tally = stream.stop();
    record("CA Secret emptied", &tally, "0", "");
    assert_eq!(before["ca.crt"], after["ca.crt"], "it is another authority");
    tally.expect_no_refusal();
}

#[test]
#[ignore = "needs a cluster: tests/cluster/up"]
fn an_emptied_bundle_is_repaired() {
    let release = Release::serving();
    let stream = Stream::start();
    for (kind, entries) in [("mutatingwebhookconfiguration", 2), ("validatingwebhookconfiguration", 1)] {
        let patch: Vec<_> = (0..entries)
            .map(|n| json!({"op": "replace", "path": format!("/webhooks/{n}/clientConfig/caBundle"), "value": ""}))
            .collect();
        let patch = Value::Array(patch).to_string();
        cluster()
            .kubectl(["patch", kind, NAME, "--type=json", "--patch", &patch])
            .expect("emptying the bundle");
    }
    eventually("every entry has its bundle again", || bundles().iter().all(Value::is_string).then_some(()));
    stream.expect_recovery();
    let tally = stream.stop();
    record("bundles overwritten with nothing", &tally, "until repaired", "");
    drop(release);
}

/// Lifetimes that a test can wait for.
fn short() -> Lifetimes {
    Lifetimes {
        authority: Duration::from_secs(3600),
        leaf: Duration::from_secs(12),
        backdate: Duration::from_secs(60),
        overlap: Duration::from_secs(4),
        resync: Duration::from_secs(2),
        retry: Duration::from_millis(100),
        restore: Duration::from_secs(3),
    }
}

/// Two replicas inside this process.
fn local_replicas(lifetimes: Lifetimes) -> (Release, Vec<Local>) {
    let release = Release::install_default();
    let replicas: Vec<_> = [1, 2].iter().map(|n| Local::start(&release, *n, lifetimes)).collect();
    for replica in &replicas {
        replica.wait_until_ready();
    }
    release.endpoints.wait_for(&[address(1), address(2)]);
    wait_until_injecting();
    (release, replicas)
}

#[test]
#[ignore = "needs a cluster: tests/cluster/up"]
fn certificates_that_run_out_are_renewed_in_time() {
    let (release, replicas) = local_replicas(short());
    let (stream, both) = (Stream::start(), [address(1), address(2)]);
    let handshakes = Handshakes::start(&release, &both);
    let mut renewals = 0;
    let mut last = expiry();
    while renewals < 4 {
        last = eventually("a certificate is renewed", || {
            let now = expiry();
            (now > last).then_some(now)
        });
        renewals += 1;
    }
    let (tally, count) = (stream.stop(), handshakes.stop());
    let note = format!("{renewals} renewals, {} handshakes, {} failed", count.good, count.failed.len());
    record("serving certificates of 12 s", &tally, "0", &note);
    tally.expect_no_refusal();
    count.expect_no_failure();
    drop(replicas);
}

/// When the first replica's certificate ends, in seconds.
fn expiry() -> f64 {
    replica::metric(address(1), "esc_injector_certificate_expiry_timestamp_seconds").unwrap_or(0.0)
}

#[test]
#[ignore = "needs a cluster: tests/cluster/up"]
fn an_authority_is_replaced_while_everybody_is_served() {
    // Rotated when a fifth is left, and it lives on for long enough: 48 s, then 12 s in which two overlaps fit.
    let lifetimes = Lifetimes { authority: Duration::from_secs(60), ..short() };
    let (release, replicas) = local_replicas(lifetimes);
    let (stream, both) = (Stream::start(), [address(1), address(2)]);
    let handshakes = Handshakes::start(&release, &both);
    let first = secret(&release)["ca.crt"].clone();
    let mut stages = Vec::new();
    eventually_twice("a new authority alone", || {
        let stage = stage(&secret(&release), &first);
        if stages.last() != Some(&stage) {
            stages.push(stage);
        }
        (stage == Stage::Replaced).then_some(())
    });
    stream.flow();
    let (tally, count) = (stream.stop(), handshakes.stop());
    let note = format!("{} handshakes, {} failed", count.good, count.failed.len());
    record("authority rotated", &tally, "0", &note);
    assert_eq!(stages, [Stage::First, Stage::Introducing, Stage::Retiring, Stage::Replaced]);
    tally.expect_no_refusal();
    count.expect_no_failure();
    drop(replicas);
}

#[test]
#[ignore = "needs a cluster: tests/cluster/up"]
fn a_rotation_is_carried_on_after_a_crash_at_any_step() {
    let lifetimes = Lifetimes { authority: Duration::from_secs(60), ..short() };
    let (release, mut replicas) = local_replicas(lifetimes);
    let stream = Stream::start();
    let first = secret(&release)["ca.crt"].clone();
    let (mut last, mut crashes, mut n) = (Stage::First, 0, 2);
    eventually_twice("a new authority alone", || {
        let now = stage(&secret(&release), &first);
        if now != last {
            last = now;
            // Both, one after the other: whoever has just made the step is among them. What the API server has under
            // way on its connection to it fails, as with every crash.
            for _ in 0..2 {
                n = n % 9 + 1;
                let fresh = Local::start(&release, n, lifetimes);
                fresh.wait_until_ready();
                replicas.push(fresh);
                let mut serving: Vec<_> = replicas.iter().map(|replica| replica.address).collect();
                serving.sort_unstable();
                release.endpoints.wait_for(&serving);
                replicas.remove(0).crash_unseen(&release, || stream.flow());
                crashes += 1;
            }
        }
        (now == Stage::Replaced).then_some(())
    });
    stream.flow();
    let tally = stream.stop();
    record("authority rotated, crash after each step", &tally, "in flight", &format!("{crashes} crashes"));
    assert!(crashes >= 6);
    let distrusts = |text: &String| ["x509", "tls:", "certificate"].iter().any(|word| text.contains(word));
    assert!(!tally.refused.iter().any(distrusts), "{:#?}", tally.refused);
}

#[test]
#[ignore = "needs a cluster: tests/cluster/up"]
fn two_that_start_at_once_from_nothing_agree_on_one_authority() {
    const ROUNDS: usize = 100;
    let release = Release::install_default();
    let name = format!("{NAME}.{}.svc", release.namespace.name);
    let mut replicas = [release.start_replica(1), release.start_replica(2)];
    for round in 1..=ROUNDS {
        for replica in &mut replicas {
            replica.wait_until_ready();
        }
        let authority = secret(&release)["ca.crt"].clone();
        assert!(authority.is_string());
        let found = bundles();
        assert!(found.iter().all(|bundle| *bundle == authority), "round {round}: {found:#?}");
        let bundle = STANDARD.decode(authority.as_str().unwrap()).unwrap();
        for replica in &replicas {
            let served = handshakes::connect(&bundle, &name, replica.address);
            cluster().block_on(served).unwrap_or_else(|error| panic!("round {round}: {error}"));
        }
        if round == ROUNDS {
            break;
        }
        // Back to what a new installation is.
        for replica in &mut replicas {
            replica.kill();
        }
        empty_the_secret(&release);
        remove_the_bundles();
        for replica in &mut replicas {
            replica.start_again();
        }
    }
    let note = format!("{ROUNDS} rounds, one authority in each");
    record("two replicas started at once from nothing", &Tally::default(), "0", &note);
}

/// Where a rotation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    First,
    Introducing,
    Retiring,
    Replaced,
}

fn stage(secret: &Value, first: &Value) -> Stage {
    match (&secret["ca.crt"] == first, secret["next.crt"].is_string(), secret["previous.crt"].is_string()) {
        (true, false, _) => Stage::First,
        (true, true, _) => Stage::Introducing,
        (false, _, true) => Stage::Retiring,
        (false, _, false) => Stage::Replaced,
    }
}

/// For what takes longer than a minute by itself.
fn eventually_twice(what: &str, mut answer: impl FnMut() -> Option<()>) {
    let begun = std::time::Instant::now();
    while answer().is_none() {
        assert!(begun.elapsed() < Duration::from_secs(300), "still not so: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn secret(release: &Release) -> Value {
    let found = cluster().get("secret", &release.namespace.name, &format!("{NAME}-ca"));
    found.expect("the chart's Secret")["data"].take()
}

fn remove_the_bundles() {
    for (kind, entries) in [("mutatingwebhookconfiguration", 2), ("validatingwebhookconfiguration", 1)] {
        let entry = |n| json!({"op": "remove", "path": format!("/webhooks/{n}/clientConfig/caBundle")});
        let patch = Value::Array((0..entries).map(entry).collect()).to_string();
        cluster()
            .kubectl(["patch", kind, NAME, "--type=json", "--patch", &patch])
            .expect("removing the bundles");
    }
}

fn empty_the_secret(release: &Release) {
    let name = format!("{NAME}-ca");
    let patch = ["patch", "secret", &name, "--type=merge", "--patch", r#"{"data":null}"#];
    release.namespace.kubectl(patch, &Value::Null).expect("emptying the Secret");
}
