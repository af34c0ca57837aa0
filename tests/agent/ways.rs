//! What goes wrong on the way to ESC while values are kept fresh: names, certificates, trickles. docs/refresh.md shows the
//! same lines as a table.

use std::{fs, path::PathBuf, process::Command, time::Duration};

use serde_json::{Value, json};

use crate::{
    certificates::{Authority, Certificates},
    harness::Pod,
    live::{Live, Mood, values, wait},
};

fn none() -> Value {
    json!({"kind": "none"})
}

/// The trouble is told with code and cause, and the values stay.
fn assert_kept(live: &Live, pod: &Pod, code: &str, cause: &str) {
    let before = pod.told(code);
    wait("a warning", || pod.told(code) > before);
    let said = pod.said();
    let told = format!("\"code\":\"{code}\"");
    let last = said.lines().rfind(|line| line.contains("\"WARN\"") && line.contains(&told)).unwrap();
    assert!(last.contains(cause) && last.contains("the values in place stay"), "{cause} in {last}");
    assert_eq!(pod.certificate(), "one", "{code}");
    wait("the state", || pod.state().stale_since.is_some());
    assert!(pod.is_ready());
    live.set(Mood::Values(values(1, "one")));
}

fn assert_fresh(pod: &Pod) {
    wait("freshness", || pod.state().stale_since.is_none());
}

#[test]
fn an_answer_that_trickles_is_taken_if_it_ends_in_time_and_else_the_values_stay() {
    let live = Live::start(Mood::Values(values(1, "one")));
    let pod = Pod::refreshing(&live.url, &none());
    // Long for whoever answers at once, and too short for a byte a second.
    let running = pod.quick_sidecar_within(10, 5000);
    running.wait_until_ready();
    live.set(Mood::Drip(Duration::from_secs(1), values(2, "two")));
    assert_kept(&live, &pod, "ESC601", "[ESC301]");
    assert!(pod.said().contains("no answer within"), "{}", pod.said());
    assert_fresh(&pod);
    live.set(Mood::Drip(Duration::from_millis(1), values(2, "two")));
    wait("the change", || pod.certificate() == "two");
    drop(running);
}

#[test]
fn a_certificate_that_proves_nothing_any_more_is_no_reason_to_lose_the_values() {
    let ours = Authority::new();
    let good = || ours.sign("127.0.0.1", false).server();
    let live = Live::start_tls(Mood::Values(values(1, "one")), good());
    let mut pod = Pod::refreshing(&live.url, &none());
    pod.plan["api"]["ca"] = json!(ours.ca);
    let running = pod.quick_sidecar(10);
    running.wait_until_ready();
    let cases = [
        ("another authority", Some(Certificates::new().server()), "ESC602", "[ESC304]"),
        ("expired", Some(ours.sign("127.0.0.1", true).server()), "ESC602", "[ESC304]"),
        ("plain http where TLS is expected", None, "ESC601", "[ESC301]"),
        ("another name", Some(ours.sign("esc.example", false).server()), "ESC602", "[ESC304]"),
    ];
    for (what, certificate, code, cause) in cases {
        eprintln!("{what}");
        live.prove_by(certificate);
        assert_kept(&live, &pod, code, cause);
        live.prove_by(Some(good()));
        assert_fresh(&pod);
    }
    live.set(Mood::Values(values(1, "two")));
    wait("the change", || pod.certificate() == "two");
    drop(running);
}

/// Names that a process of its own namespace knows: those in a file that the test writes. No name server is asked.
struct Names(PathBuf);

impl Names {
    const NAME: &str = "esc.cluster.test";

    /// `None` where namespaces are not allowed.
    fn new(test: &str, pod: &Pod) -> Option<Self> {
        let names = Self(pod.path("hosts"));
        names.forget();
        fs::write(pod.path("nsswitch.conf"), "hosts: files\n").unwrap();
        if names.command(pod).arg("true").output().is_ok_and(|output| output.status.success()) {
            return Some(names);
        }
        eprintln!("SKIPPED {test}: namespaces are not allowed here");
        None
    }

    fn know(&self) {
        fs::write(&self.0, format!("127.0.0.1 {}\n", Self::NAME)).unwrap();
    }

    fn forget(&self) {
        fs::write(&self.0, "").unwrap();
    }

    /// Runs what follows with these names.
    fn command(&self, pod: &Pod) -> Command {
        let mut command = Command::new("unshare");
        let mounts = "mount --bind \"$0\" /etc/hosts && mount --bind \"$1\" /etc/nsswitch.conf && shift && exec \"$@\"";
        command
            .args(["--user", "--map-root-user", "--mount", "sh", "-c", mounts])
            .args([&self.0, &pod.path("nsswitch.conf")]);
        command
    }
}

#[test]
fn a_name_that_stops_resolving_is_an_outage_like_any_other() {
    let certificates = Authority::new();
    let server = certificates.sign(Names::NAME, false).server();
    let live = Live::start_tls(Mood::Values(values(1, "one")), server);
    let port = live.url.rsplit(':').next().unwrap();
    let mut pod = Pod::refreshing(&format!("https://{}:{port}", Names::NAME), &none());
    pod.plan["api"]["ca"] = json!(certificates.ca);
    let Some(names) = Names::new("a_name_that_stops_resolving_is_an_outage_like_any_other", &pod) else {
        return;
    };
    // It never resolved.
    let outcome = pod.sidecar_by(names.command(&pod)).end();
    assert_eq!(outcome.code, Some(69), "{}", outcome.stderr);
    assert!(
        outcome.termination.starts_with("[ESC301] ") && outcome.termination.contains("lookup"),
        "{outcome:?}"
    );
    assert!(!pod.is_ready());
    names.know();
    let running = pod.sidecar_by(names.command(&pod));
    running.wait_until_ready();
    names.forget();
    assert_kept(&live, &pod, "ESC601", "[ESC301]");
    names.know();
    assert_fresh(&pod);
    live.set(Mood::Values(values(1, "two")));
    wait("the change", || pod.certificate() == "two");
    drop(running);
}
