//! `esc-injector probe` against an API server and a webhook of the test's own, through real sockets.
#![allow(
    clippy::unwrap_in_result,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub,
    reason = "tests fail by panicking, and nobody else reads them"
)]

mod cluster;

use cluster::{Answering, Cluster, Trial, Trust};
use esc_injector::probe::{ProbeError, Settings, probe};

fn settings(cluster: &Cluster, namespace: Option<&str>) -> Settings {
    Settings {
        configuration: "esc-injector".to_owned(),
        namespace: namespace.map(str::to_owned),
        address: Some(cluster.webhook),
    }
}

async fn code_of(cluster: &Cluster, namespace: Option<&str>) -> String {
    let error = probe(&cluster.client(), &settings(cluster, namespace)).await.unwrap_err();
    let told = format!("{error}");
    assert!(!told.is_empty() && !told.contains("planted"), "{told}");
    error.code().id().to_owned()
}

#[tokio::test]
async fn a_working_installation_is_found_to_work() {
    let cluster = Cluster::start(Trust::Issuer, Trial::Injected).await;
    let findings = probe(&cluster.client(), &settings(&cluster, Some("shop"))).await.unwrap();
    let told: Vec<_> = findings.iter().map(|finding| (&*finding.subject, &*finding.outcome)).collect();
    assert_eq!(
        told,
        [
            ("pods.inject.esc.pulumi.com", "answers, and injects a trial pod"),
            ("all.inject.esc.pulumi.com", "answers, and injects a trial pod"),
            ("workloads.inject.esc.pulumi.com", "answers"),
            ("namespace shop", "the API server had a trial pod injected (dry run)"),
        ]
    );
    // What changes nothing needs no more than this.
    let asked = cluster.asked();
    assert_eq!(
        asked,
        [
            "GET /apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/esc-injector",
            "GET /apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/esc-injector",
            "POST /api/v1/namespaces/shop/pods?dryRun=All",
        ]
    );
}

#[tokio::test]
async fn a_certificate_that_the_bundle_does_not_vouch_for_is_not_trusted() {
    let cluster = Cluster::start(Trust::SomebodyElse, Trial::Injected).await;
    assert_eq!(code_of(&cluster, None).await, "ESC814");
}

#[tokio::test]
async fn an_empty_bundle_is_told() {
    let cluster = Cluster::start(Trust::Nobody, Trial::Injected).await;
    assert_eq!(code_of(&cluster, None).await, "ESC813");
}

#[tokio::test]
async fn a_webhook_that_is_not_there_is_told() {
    let mut cluster = Cluster::start(Trust::Issuer, Trial::Injected).await;
    // Bound and never accepted on would hang; closed, its port refuses.
    cluster.webhook = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_eq!(code_of(&cluster, None).await, "ESC814");
}

#[tokio::test]
async fn a_webhook_that_answers_what_helps_no_pod_is_told() {
    for answering in [Answering::Nothing, Answering::AnotherProgram] {
        let cluster = Cluster::start_with(Trust::Issuer, Trial::Injected, answering).await;
        assert_eq!(code_of(&cluster, None).await, "ESC815", "{answering:?}");
    }
}

#[tokio::test]
async fn a_missing_configuration_is_told() {
    let cluster = Cluster::start(Trust::Issuer, Trial::Injected).await;
    let settings = Settings { configuration: "other".to_owned(), ..settings(&cluster, None) };
    let error = probe(&cluster.client(), &settings).await.unwrap_err();
    assert!(matches!(error, ProbeError::Configuration { .. }), "{error:?}");
    assert_eq!(error.code().id(), "ESC812");
}

#[tokio::test]
async fn an_api_server_that_does_not_inject_is_told() {
    for trial in [Trial::Refused, Trial::Untouched] {
        let cluster = Cluster::start(Trust::Issuer, trial).await;
        assert_eq!(code_of(&cluster, Some("shop")).await, "ESC816", "{trial:?}");
        // Only where it was asked for.
        assert!(probe(&cluster.client(), &settings(&cluster, None)).await.is_ok());
    }
}

#[test]
fn the_command_says_what_it_needs() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_esc-injector"))
        .args(["probe", "--timeout", "0s"])
        .env_clear()
        .env("KUBECONFIG", "/nowhere/kubeconfig")
        .output()
        .unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(69), "{told}");
    assert!(told.contains("[ESC811]") && told.contains("Fix:"), "{told}");
    assert!(told.ends_with("\nMore: esc-injector explain ESC811\n"), "{told}");
}
