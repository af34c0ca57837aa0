//! Certificates made on the spot.

use rustls::{ServerConfig, crypto::ring};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

/// An authority, and a server certificate that it signed; all PEM.
pub struct Certificates {
    pub ca: String,
    pub chain: String,
    pub key: String,
}

impl Certificates {
    /// For 127.0.0.1.
    pub fn new() -> Self {
        Authority::new().sign("127.0.0.1", false)
    }

    pub fn server(&self) -> ServerConfig {
        let chain = CertificateDer::from_pem_slice(self.chain.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap();
        ServerConfig::builder_with_provider(ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![chain], key)
            .unwrap()
    }
}

/// An authority that signs.
pub struct Authority {
    pub ca: String,
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
}

impl Authority {
    pub fn new() -> Self {
        let ca_key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let ca = params.self_signed(&ca_key).unwrap().pem();
        Self { ca, issuer: rcgen::Issuer::new(params, ca_key) }
    }

    /// For this name or address; expired long ago, or good for long.
    pub fn sign(&self, name: &str, expired: bool) -> Certificates {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut leaf = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        if expired {
            leaf.not_after = rcgen::date_time_ymd(2020, 1, 1);
        }
        let chain = leaf.signed_by(&key, &self.issuer).unwrap().pem();
        Certificates { ca: self.ca.clone(), chain, key: key.serialize_pem() }
    }
}
