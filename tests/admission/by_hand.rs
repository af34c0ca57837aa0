//! `esc-injector certs`: what it makes serves, and what is there already is never touched.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command, sync::Arc};

use esc_injector::webhook::{Certificates, Config, Webhook, WorkloadChecks, certs::files::CertificateFiles};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::setup::{ANY_PORT, policy, quick};

const FILES: [&str; 4] = ["ca.crt", "ca.key", "tls.crt", "tls.key"];

fn certs(out: &Path, more: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_esc-injector"))
        .args(["certs", "--namespace=esc", "--out"])
        .arg(out)
        .args(more)
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

fn listing(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_serves_with_what_was_made_by_every_name_of_its_service() {
    let root = tempfile::tempdir().unwrap();
    let out = root.path().join("new");
    let (code, said) = certs(&out, &["--dns=more.example,10.1.2.3", "--days=3"]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(listing(&out), FILES);
    for name in FILES {
        assert!(said.contains(&out.join(name).display().to_string()), "{said}");
        let mode = fs::metadata(out.join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, if name.contains("key") { 0o600 } else { 0o644 }, "{name}");
    }
    let files = CertificateFiles { certificate: out.join("tls.crt"), key: out.join("tls.key") };
    let config = Config {
        listen: ANY_PORT,
        health_listen: ANY_PORT,
        certificates: Certificates::Files(files),
        cluster: None,
        policy: policy(),
        workload_checks: WorkloadChecks::default(),
        limits: quick(),
    };
    let webhook = Webhook::bind(config).await.unwrap();
    let address = webhook.admission_addr();
    let _serving = tokio::spawn(webhook.run(std::future::pending()));

    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(out.join("ca.crt")).unwrap()).unwrap();
    let client = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let client = TlsConnector::from(Arc::new(client));
    for (name, is_served) in [
        ("esc-injector.esc.svc", true),
        ("esc-injector", true),
        ("esc-injector.esc", true),
        ("esc-injector.esc.svc.cluster.local", true),
        ("more.example", true),
        ("10.1.2.3", true),
        ("esc-injector.other.svc", false),
    ] {
        let stream = TcpStream::connect(address).await.unwrap();
        let name_of_server = ServerName::try_from(name).unwrap();
        assert_eq!(client.connect(name_of_server, stream).await.is_ok(), is_served, "{name}");
    }
}

#[test]
fn it_writes_all_or_nothing_and_never_over_a_file() {
    for there in FILES {
        let directory = tempfile::tempdir().unwrap();
        crate::setup::write(&directory.path().join(there), "mine");
        let (code, said) = certs(directory.path(), &[]);
        assert_eq!(code, Some(65), "{said}");
        assert!(said.contains(there) && said.contains("nothing was written"), "{said}");
        assert_eq!(listing(directory.path()), [there]);
        assert_eq!(fs::read_to_string(directory.path().join(there)).unwrap(), "mine");
    }
}

#[test]
fn names_that_no_service_can_have_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    for flag in ["--service-name=A", "--service-name=a.b", "--days=0", "--days=40000"] {
        let (code, said) = certs(directory.path(), &[flag]);
        assert_eq!(code, Some(64), "{flag}: {said}");
    }
    assert!(listing(directory.path()).is_empty());
}
