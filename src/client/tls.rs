//! Whom we trust to be ESC.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore, crypto::ring};
use rustls_pki_types::{CertificateDer, pem::PemObject};

/// The TLS settings of the client; the error says which certificates are unusable.
///
/// Trusted are the operator's own authorities if given, and besides them the public ones: the system's, or where
/// the image has none (ours holds nothing but the binary) the ones that are built in.
pub(super) fn config(own: Option<&str>) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    let (usable, _) = roots.add_parsable_certificates(native.certs);
    if usable == 0 {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    let public = roots.len();
    if let Some(pem) = own {
        add_own(&mut roots, pem)?;
    }
    // Who wonders why a certificate is not trusted looks for this line first.
    let source = if usable == 0 { "built in" } else { "the system's" };
    tracing::info!(public, source, own = roots.len() - public, "trusted authorities");
    with_roots(roots)
}

/// Settings that trust nobody, for an address without TLS.
pub(super) fn unused() -> Result<ClientConfig, String> {
    with_roots(RootCertStore::empty())
}

fn add_own(roots: &mut RootCertStore, pem: &str) -> Result<(), String> {
    let mut count = 0;
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate.map_err(|error| format!("the CA certificates are no PEM: {error}"))?;
        roots.add(certificate).map_err(|error| format!("a CA certificate is unusable: {error}"))?;
        count += 1;
    }
    if count == 0 {
        return Err("the CA certificates hold no certificate".to_owned());
    }
    Ok(())
}

fn with_roots(roots: RootCertStore) -> Result<ClientConfig, String> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS can't be set up: {error}"))?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_ca_certificates_that_are_none() {
        for pem in ["", "hello", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            assert!(add_own(&mut RootCertStore::empty(), pem).is_err(), "{pem}");
        }
    }

    #[test]
    fn adds_the_operators_authorities_to_the_public_ones() {
        let key = rcgen::KeyPair::generate().unwrap();
        let own = rcgen::CertificateParams::new(Vec::new()).unwrap().self_signed(&key).unwrap().pem();
        let mut roots = RootCertStore::empty();
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        let public = roots.len();
        add_own(&mut roots, &own).unwrap();
        assert_eq!(roots.len(), public + 1);
    }
}
