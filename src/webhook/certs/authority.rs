//! A certificate authority of our own making, and the serving certificates that it signs.
//!
//! Pure but for the randomness of new keys: no clock, no I/O. All authorities have one name and differ by their keys,
//! which is all that clients look at; whatever has another name was not made here and is not used.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};
use rustls::{
    RootCertStore,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier},
    crypto::ring,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject};
use zeroize::Zeroizing;

use super::{Certificate, CertificateError, Lifetimes, validity};
use crate::secret::Secret;

/// The name of every authority.
const NAME: &str = "esc-injector CA";

/// [`NAME`] as the only part of a distinguished name in DER, without the outermost header.
const NAME_DER: &[u8] = b"\x31\x18\x30\x16\x06\x03\x55\x04\x03\x0c\x0fesc-injector CA";

/// Why texts are no authority, or nothing can be signed. Never quotes them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthorityError {
    /// Certificate and key don't make a pair.
    #[error(transparent)]
    Pair(#[from] CertificateError),
    /// Several certificates where there is one authority.
    #[error("there is more than one certificate")]
    Several,
    /// Somebody else's.
    #[error("the certificate is not one that esc-injector made")]
    Foreign,
    /// The library refused.
    #[error("making a certificate: {0}")]
    Making(String),
}

impl From<rcgen::Error> for AuthorityError {
    fn from(error: rcgen::Error) -> Self {
        // None of the errors quotes a key.
        Self::Making(error.to_string())
    }
}

/// An authority's certificate: what clients trust.
#[derive(Clone, PartialEq, Eq)]
pub struct Root {
    der: CertificateDer<'static>,
    not_before: SystemTime,
    not_after: SystemTime,
}

impl Root {
    /// Reads one certificate of ours.
    pub fn parse(pem: &[u8]) -> Result<Self, AuthorityError> {
        let mut certificates = CertificateDer::pem_slice_iter(pem);
        let der = certificates
            .next()
            .ok_or(CertificateError::NoCertificate)?
            .map_err(|_| CertificateError::DamagedCertificate)?;
        if certificates.next().is_some() {
            return Err(AuthorityError::Several);
        }
        Self::of(der)
    }

    fn of(der: CertificateDer<'static>) -> Result<Self, AuthorityError> {
        let outline = validity::outline(&der).ok_or(CertificateError::Unparsable)?;
        if outline.subject != NAME_DER || outline.issuer != NAME_DER {
            return Err(AuthorityError::Foreign);
        }
        let (not_before, not_after) = (outline.not_before, outline.not_after);
        Ok(Self { der, not_before, not_after })
    }

    /// The certificate's PEM, the same for the same certificate whatever its text looked like.
    pub fn pem(&self) -> String {
        /// As every tool writes it.
        const COLUMNS: usize = 64;
        let text = STANDARD.encode(&self.der);
        let mut pem = String::with_capacity(text.len() + 96);
        pem.push_str("-----BEGIN CERTIFICATE-----\n");
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let (line, more) = rest.split_at_checked(COLUMNS).unwrap_or((rest, ""));
            pem.push_str(line);
            pem.push('\n');
            rest = more;
        }
        pem.push_str("-----END CERTIFICATE-----\n");
        pem
    }

    /// Orders by age: the older first.
    pub fn age_order(&self) -> (SystemTime, &[u8]) {
        (self.not_before, &self.der)
    }

    /// Whether nothing that it signed is good any more.
    pub fn has_ended(&self, now: SystemTime) -> bool {
        now >= self.not_after
    }

    /// When the next authority is to be introduced.
    pub fn due(&self, lifetimes: &Lifetimes) -> SystemTime {
        let before_end = lifetimes.authority / 5;
        self.not_after.checked_sub(before_end).unwrap_or(SystemTime::UNIX_EPOCH)
    }

    /// When it ends.
    pub fn not_after(&self) -> SystemTime {
        self.not_after
    }
}

impl fmt::Debug for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Root").field("not_after", &self.not_after).finish_non_exhaustive()
    }
}

/// An authority that can sign. Clones share the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    root: Root,
    key: Arc<Secret>,
}

impl Authority {
    /// A new one, ECDSA P-256.
    pub fn generate(now: SystemTime, lifetimes: &Lifetimes) -> Result<Self, AuthorityError> {
        let key = new_key()?;
        let mut params = authority_params();
        params.not_before = earlier(now, lifetimes.backdate).into();
        params.not_after = (now + lifetimes.authority).into();
        let root = Root::of(params.self_signed(&*key)?.der().clone())?;
        Ok(Self { root, key: Arc::new(Secret::from(key.serialize_pem())) })
    }

    /// Reads certificate and key, and checks that they belong together.
    pub fn parse(certificate: &[u8], key: &[u8]) -> Result<Self, AuthorityError> {
        let root = Root::parse(certificate)?;
        Certificate::from_pem(certificate, key)?;
        let authority = Self { root, key: Arc::new(Secret::new(key.to_vec())) };
        authority.key_pair()?;
        Ok(authority)
    }

    /// What clients trust.
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// The key's PEM.
    pub fn key(&self) -> &Secret {
        &self.key
    }

    /// A new serving certificate for these names, the first of which is checked.
    pub fn issue(
        &self,
        names: &[String],
        now: SystemTime,
        lifetimes: &Lifetimes,
    ) -> Result<Leaf, AuthorityError> {
        let (not_after, pem, key) = self.sign(names, now, lifetimes)?;
        let certificate = Certificate::from_pem(pem.as_bytes(), key.as_bytes())?;
        // Two thirds of what it has, which is less than a leaf's lifetime when the authority ends before.
        let lifetime = not_after.duration_since(now).unwrap_or_default();
        Ok(Leaf { certificate, signed_by: self.root.clone(), made: now, renew: now + lifetime * 2 / 3 })
    }

    /// A certificate's end and PEM, and its key's PEM.
    pub(crate) fn sign(
        &self,
        names: &[String],
        now: SystemTime,
        lifetimes: &Lifetimes,
    ) -> Result<(SystemTime, String, Zeroizing<String>), AuthorityError> {
        let key = new_key()?;
        let not_after = (now + lifetimes.leaf).min(self.root.not_after);
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "esc-injector");
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        params.not_before = earlier(now, lifetimes.backdate).into();
        params.not_after = not_after.into();
        let (signer, issuer) = (self.key_pair()?, authority_params());
        let certificate = params.signed_by(&*key, &Issuer::from_params(&issuer, &*signer))?;
        Ok((not_after, certificate.pem(), Zeroizing::new(key.serialize_pem())))
    }

    fn key_pair(&self) -> Result<Zeroizing<KeyPair>, AuthorityError> {
        let pem = self.key.expose_str().ok_or(CertificateError::NoKey)?;
        KeyPair::from_pem(pem).map(Zeroizing::new).map_err(|_| CertificateError::UnusableKey.into())
    }
}

/// A serving certificate, with what its renewal depends on.
#[derive(Debug, Clone)]
pub struct Leaf {
    certificate: Certificate,
    signed_by: Root,
    made: SystemTime,
    renew: SystemTime,
}

impl Leaf {
    /// What handshakes get.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Whether it is this authority's.
    pub fn is_of(&self, root: &Root) -> bool {
        self.signed_by == *root
    }

    /// Whether it is time for the next one: two thirds of it are over, or the clock was set back to before it.
    pub fn is_due(&self, now: SystemTime, lifetimes: &Lifetimes) -> bool {
        now >= self.renew || now < earlier(self.made, lifetimes.backdate)
    }

    /// When it is time for the next one.
    pub fn renew(&self) -> SystemTime {
        self.renew
    }

    /// Whether a client that trusts this bundle and calls this name would accept it, as the API server judges.
    pub fn is_trusted(&self, bundle: &[u8], name: &str, now: SystemTime) -> bool {
        let mut roots = RootCertStore::empty();
        // What is no certificate is passed over, as the API server does.
        roots.add_parsable_certificates(CertificateDer::pem_slice_iter(bundle).flatten());
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::new(ring::default_provider()))
                .build();
        let (Ok(verifier), Ok(name), Ok(since)) =
            (verifier, ServerName::try_from(name), now.duration_since(SystemTime::UNIX_EPOCH))
        else {
            return false;
        };
        let now_in_time = UnixTime::since_unix_epoch(since);
        // The library takes a root for good for ever; the API server looks at its dates.
        !self.signed_by.has_ended(now)
            && self
                .certificate
                .leaf()
                .is_some_and(|leaf| verifier.verify_server_cert(leaf, &[], &name, &[], now_in_time).is_ok())
    }
}

/// The names of a Service, the one that the API server checks first.
pub fn service_names(service: &str, namespace: &str) -> Vec<String> {
    vec![
        format!("{service}.{namespace}.svc"),
        service.to_owned(),
        format!("{service}.{namespace}"),
        format!("{service}.{namespace}.svc.cluster.local"),
    ]
}

fn new_key() -> Result<Zeroizing<KeyPair>, AuthorityError> {
    Ok(Zeroizing::new(KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?))
}

/// What all authorities have in common.
fn authority_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, NAME);
    // It signs serving certificates and no further authorities.
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

fn earlier(time: SystemTime, by: Duration) -> SystemTime {
    time.checked_sub(by).unwrap_or(SystemTime::UNIX_EPOCH)
}
