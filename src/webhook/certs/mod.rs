//! The serving certificate: loaded and checked whole, swapped by one pointer store, never half-changed.
//!
//! Connections ask [`Served`] at every handshake, so a new certificate needs no restart and disturbs nobody.

use std::{sync::Arc, time::SystemTime};

use arc_swap::ArcSwapOption;
use rustls::{
    InconsistentKeys, ServerConfig,
    crypto::ring,
    server::{ClientHello, NoServerSessionStorage, ResolvesServerCert},
    sign::CertifiedKey,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

pub mod authority;
pub mod bundle;
mod clock;
pub mod files;
mod keeper;
mod lifetimes;
mod pace;
pub mod replica;
pub mod state;
mod trouble;
mod validity;
mod watch;

#[cfg(test)]
mod simulation;

pub use keeper::SelfManaged;
pub use lifetimes::Lifetimes;

/// A certificate chain with its key, checked to belong together.
#[derive(Debug, Clone)]
pub struct Certificate {
    key: Arc<CertifiedKey>,
    not_after: Option<SystemTime>,
}

/// Why PEM texts give no usable certificate. Never quotes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// No `CERTIFICATE` block.
    #[error("the certificate file holds no PEM certificate")]
    NoCertificate,
    /// A block that is damaged.
    #[error("the certificate file is damaged PEM")]
    DamagedCertificate,
    /// No key block that this build knows.
    #[error("the key file holds no PEM private key (PKCS#8, PKCS#1 or SEC1, unencrypted)")]
    NoKey,
    /// A kind of key that TLS can't sign with here.
    #[error(
        "the key is of a kind that can't serve TLS: use ECDSA P-256 or P-384, Ed25519, or RSA of 2048 bits or more"
    )]
    UnusableKey,
    /// The key is another certificate's.
    #[error("the key does not belong to the certificate")]
    Mismatch,
    /// The leaf's DER makes no sense.
    #[error("the first certificate can't be parsed")]
    Unparsable,
}

impl Certificate {
    /// Parses a chain (leaf first) and its key, and checks that they belong together.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, CertificateError> {
        let chain = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| CertificateError::DamagedCertificate)?;
        let leaf = chain.first().ok_or(CertificateError::NoCertificate)?;
        let not_after = validity::not_after(leaf);
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| CertificateError::NoKey)?;
        let provider = ring::default_provider();
        let signer =
            provider.key_provider.load_private_key(key).map_err(|_| CertificateError::UnusableKey)?;
        let key = CertifiedKey::new(chain, signer);
        key.keys_match().map_err(|error| match error {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => CertificateError::Mismatch,
            _ => CertificateError::Unparsable,
        })?;
        Ok(Self { key: Arc::new(key), not_after })
    }

    /// The serving certificate itself.
    fn leaf(&self) -> Option<&CertificateDer<'static>> {
        self.key.cert.first()
    }

    /// When it ends, if its DER says so readably.
    pub fn not_after(&self) -> Option<SystemTime> {
        self.not_after
    }
}

/// The certificate that handshakes get now. Until the first one, handshakes fail.
#[derive(Debug, Default)]
pub struct Served(ArcSwapOption<CertifiedKey>);

impl Served {
    /// Handshakes from now on get this one; those that run keep theirs.
    pub fn replace(&self, certificate: &Certificate) {
        self.0.store(Some(Arc::clone(&certificate.key)));
    }
}

impl ResolvesServerCert for Served {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // Whatever name was asked for: the client judges, and says which name it missed.
        self.0.load_full()
    }
}

/// TLS as the API server speaks it.
pub(super) fn server_config(served: Arc<Served>) -> Result<ServerConfig, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(served);
    // The API server speaks only this to webhooks; a client that insists on HTTP/2 learns it in the handshake.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // The API server keeps connections, not sessions: tickets would be made and never used.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::{Certificate, CertificateError};

    fn pair() -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["esc.esc.svc".to_owned()]).unwrap();
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    }

    #[test]
    fn says_what_is_wrong_with_a_pair() {
        let (cert, key) = pair();
        let (_, other) = pair();
        let damaged = cert.replacen("-----END CERTIFICATE-----", "", 1);
        let lying = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let weak = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        for (cert, key, expected) in [
            ("", key.as_str(), CertificateError::NoCertificate),
            (&key, &key, CertificateError::NoCertificate),
            (&damaged, &key, CertificateError::DamagedCertificate),
            (lying, &key, CertificateError::Unparsable),
            (&cert, "", CertificateError::NoKey),
            (&cert, &cert, CertificateError::NoKey),
            (&cert, weak, CertificateError::UnusableKey),
            (&cert, &other, CertificateError::Mismatch),
        ] {
            assert_eq!(Certificate::from_pem(cert.as_bytes(), key.as_bytes()).unwrap_err(), expected);
        }
        assert!(Certificate::from_pem(cert.as_bytes(), key.as_bytes()).unwrap().not_after().is_some());
    }
}
