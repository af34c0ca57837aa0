//! From one version of the chart to another and back, while pods are created without a pause.

use std::{fs, path::Path, process::Command};

use serde_json::json;
use tempfile::TempDir;

use crate::support::{
    cluster::cluster,
    command::run,
    release::{Helm, NAME, Release, bundles, chart},
    replica::address,
    report::record,
    stream::Stream,
};

/// The chart of the last released version, or, before there is one, this chart at a lower version.
pub fn former_chart() -> (TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let root = env!("CARGO_MANIFEST_DIR");
    let mut git = Command::new("git");
    git.current_dir(root).args(["tag", "--list", "v*", "--sort=-version:refname", "--merged=HEAD"]);
    let tags = run(&git, "");
    let place = directory.path().to_str().unwrap();
    if let Some(tag) = tags.stdout.lines().next().filter(|_| tags.ok) {
        let script = format!("git archive {tag} charts/esc-injector | tar -x -C {place}");
        let mut shell = Command::new("bash");
        shell.current_dir(root).args(["-o", "pipefail", "-c", &script]);
        run(&shell, "").expect("the last tagged chart");
    } else {
        fs::create_dir(directory.path().join("charts")).unwrap();
        let mut copy = Command::new("cp");
        copy.arg("-r").arg(chart()).arg(directory.path().join("charts"));
        run(&copy, "").expect("copying the chart");
        let file = directory.path().join("charts/esc-injector/Chart.yaml");
        let text = fs::read_to_string(&file).unwrap();
        let lower: Vec<_> = text
            .lines()
            .map(|line| if line.starts_with("version: ") { "version: 0.0.1" } else { line })
            .collect();
        fs::write(file, lower.join("\n")).unwrap();
    }
    let chart = directory.path().join("charts/esc-injector").to_str().unwrap().to_owned();
    (directory, chart)
}

/// Replaces the running replicas one by one, as the Deployment's controller does after its template changed.
fn roll_out(release: &mut Release, stream: &Stream) {
    for old in 0..release.replicas.len() {
        let free = (1..=9).find(|n| release.replicas.iter().all(|replica| replica.address != address(*n)));
        let mut fresh = release.start_replica(free.expect("a free address"));
        fresh.wait_until_ready();
        release.endpoints.wait_until_in(fresh.address);
        let mut old = std::mem::replace(&mut release.replicas[old], fresh);
        old.terminate();
        release.endpoints.withdraw(old.address);
        assert_eq!(old.wait().code(), Some(0), "{}", old.log());
        stream.flow();
    }
}

#[test]
#[ignore = "needs a cluster: tests/cluster/up"]
fn upgrade_and_rollback_refuse_nobody() {
    for helm in [Helm::Four, Helm::Three] {
        let (_directory, former) = former_chart();
        let mut release = Release::install_from(Path::new(&former), helm, &json!({}));
        release.start_replicas(2);
        let trusted = bundles();
        let stream = Stream::start();

        release.upgrade(&chart(), &json!({"log": {"level": "debug"}})).expect("helm upgrade");
        assert_eq!(bundles(), trusted, "the upgrade touched the bundles");
        roll_out(&mut release, &stream);
        release.rollback().expect("helm rollback");
        assert_eq!(bundles(), trusted, "the rollback touched the bundles");
        roll_out(&mut release, &stream);

        let tally = stream.stop();
        record(&format!("upgrade and rollback, Helm {helm:?}"), &tally, "0", "with a rollout each");
        tally.expect_no_refusal();
    }
}

#[test]
#[ignore = "needs a cluster: tests/cluster/up"]
fn a_release_of_helm_three_goes_on_under_helm_four() {
    let mut release = Release::install(Helm::Three, &json!({}));
    release.start_replicas(2);
    let trusted = bundles();
    let stream = Stream::start();
    release.helm = Helm::Four;
    release.upgrade(&chart(), &json!({"log": {"level": "debug"}})).expect("helm upgrade");
    assert_eq!(bundles(), trusted);
    // Applied on the server's side from now on, if somebody wants it so.
    let (chart, namespace) = (chart(), release.namespace.name.clone());
    let arguments =
        ["upgrade", NAME, chart.to_str().unwrap(), "--namespace", &namespace, "--server-side=true"];
    Helm::Four
        .run(arguments.into_iter().chain(["--force-conflicts"]), &json!({}))
        .expect("helm upgrade --server-side");
    stream.flow();
    assert_eq!(bundles(), trusted);
    let tally = stream.stop();
    record("from Helm 3 to Helm 4", &tally, "0", "");
    tally.expect_no_refusal();
    let secret = cluster().get("secret", &namespace, &format!("{NAME}-ca")).unwrap();
    assert!(secret["data"]["ca.crt"].is_string());
}
