//! A certificate for the webhook, and a client that trusts it.

use std::{fs, path::PathBuf, sync::Arc};

use rcgen::{CertificateParams, KeyPair};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use tempfile::TempDir;

/// What the API server asks for in the handshake.
pub const SERVER_NAME: &str = "esc-injector.esc.svc";

pub struct Certificates {
    directory: TempDir,
    pub client: Arc<ClientConfig>,
}

impl Certificates {
    #[allow(clippy::disallowed_methods, reason = "nobody else reads these files")]
    pub fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let cert = CertificateParams::new(vec![SERVER_NAME.to_owned()]).unwrap().self_signed(&key).unwrap();
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("tls.crt"), cert.pem()).unwrap();
        fs::write(directory.path().join("tls.key"), key.serialize_pem()).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(cert.der().clone()).unwrap();
        let mut client = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        client.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self { directory, client: Arc::new(client) }
    }

    pub fn certificate(&self) -> PathBuf {
        self.directory.path().join("tls.crt")
    }

    pub fn key(&self) -> PathBuf {
        self.directory.path().join("tls.key")
    }
}
