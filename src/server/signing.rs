//! Our own word: tokens that tell others which environment asks them, and the keys to verify these with.
//!
//! With an RSA key tokens are signed with RS256, as Pulumi Cloud's are; with an EC key, which is what is made when none
//! is given, with ES256.

use std::{
    io,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    digest::{SHA256, digest},
    rand::SystemRandom,
    rsa::{KeyPair as RsaKeyPair, PublicKeyComponents},
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256},
};
use rustls_pki_types::{PrivateKeyDer, pem::PemObject};
use serde_json::{Value as Json, json};
use zeroize::Zeroizing;

use super::{Clock, keyfile, random, unix_seconds};
use crate::secret::Secret;

/// Largest key file that is read: a few times an RSA key of 8192 bits in PEM.
const MAX_KEY_FILE: u64 = 32 << 10;

/// Seconds that a token counts. It is made for one request, and clocks differ.
const LIFETIME: u64 = 300;

/// The key set, below our own address: where Pulumi Cloud has its own.
pub(super) const KEY_SET_PATH: &str = "/.well-known/jwks.json";

/// Why there is no key to sign with.
#[derive(Debug, thiserror::Error)]
pub enum SigningKeyError {
    /// Reading or making the file.
    #[error("can't use {} as the signing key", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others could read it.
    #[error("everybody on this machine can use {0}: chmod 600 {0}", path.display())]
    Mode {
        /// The file.
        path: PathBuf,
    },
    /// It holds something else.
    #[error("{} holds no RSA key of 2048 bits or more and no EC key on P-256, in PEM", path.display())]
    Content {
        /// The file.
        path: PathBuf,
    },
    /// The system has none.
    #[error("the system gives no random numbers")]
    NoRandomness,
}

enum Key {
    Rsa(Box<RsaKeyPair>),
    Ec(Box<EcdsaKeyPair>),
}

/// Signs.
pub(super) struct Signer {
    key: Key,
    id: String,
    /// The URL that we are known by: the `iss` of our tokens. Known at the latest when we listen.
    origin: OnceLock<String>,
    clock: Clock,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Signer {
    /// With the key in a file.
    pub(super) fn read(path: &Path, clock: Clock) -> Result<Self, SigningKeyError> {
        let unusable = |source| SigningKeyError::File { path: path.to_owned(), source };
        let pem = keyfile::read(path, MAX_KEY_FILE).map_err(unusable)?;
        let pem = pem.ok_or_else(|| SigningKeyError::Mode { path: path.to_owned() })?;
        let key = PrivateKeyDer::from_pem_slice(pem.expose()).ok().and_then(|der| parse(&der));
        let key = key.ok_or_else(|| SigningKeyError::Content { path: path.to_owned() })?;
        Ok(Self::new(key, clock))
    }

    /// With the key in a file, which is made when it is missing.
    pub(super) fn read_or_create(path: &Path, clock: Clock) -> Result<Self, SigningKeyError> {
        if !path.exists() {
            let key = generate()?;
            create(path, &key).map_err(|source| SigningKeyError::File { path: path.to_owned(), source })?;
        }
        Self::read(path, clock)
    }

    /// With a key that nobody keeps.
    pub(super) fn ephemeral(clock: Clock) -> Result<Self, SigningKeyError> {
        let key = generate()?;
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &key, &SystemRandom::new());
        Ok(Self::new(Key::Ec(Box::new(key.map_err(|_| SigningKeyError::NoRandomness)?)), clock))
    }

    fn new(key: Key, clock: Clock) -> Self {
        let id = digest(&SHA256, public(&key).to_string().as_bytes());
        let id = URL_SAFE_NO_PAD.encode(id.as_ref().get(..12).unwrap_or_default());
        Self { key, id, origin: OnceLock::new(), clock }
    }

    /// Says by which URL we are known. The first word counts.
    pub(super) fn known_as(&self, origin: &str) {
        let _ = self.origin.set(origin.trim_end_matches('/').to_owned());
    }

    fn origin(&self) -> &str {
        self.origin.get().map_or("http://localhost", String::as_str)
    }

    /// What others verify our tokens with.
    pub(super) fn key_set(&self) -> Json {
        let mut key = public(&self.key);
        if let Some(key) = key.as_object_mut() {
            key.insert("kid".to_owned(), json!(self.id));
            key.insert("use".to_owned(), json!("sig"));
            key.insert("alg".to_owned(), json!(self.algorithm()));
        }
        json!({ "keys": [key] })
    }

    /// Where they find that, and what else there is to know.
    pub(super) fn discovery(&self) -> Json {
        json!({
            "issuer": self.origin(),
            "jwks_uri": format!("{}{KEY_SET_PATH}", self.origin()),
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": [self.algorithm()],
        })
    }

    fn algorithm(&self) -> &'static str {
        match self.key {
            Key::Rsa(_) => "RS256",
            Key::Ec(_) => "ES256",
        }
    }

    /// A token for one request to `audience`, with these claims beside the usual ones.
    pub(super) fn sign(
        &self,
        audience: &str,
        subject: &str,
        claims: Json,
    ) -> Result<Secret, random::NoRandomness> {
        let now = unix_seconds(self.clock.now());
        let mut all = json!({
            "iss": self.origin(),
            "sub": subject,
            "aud": audience,
            "iat": now,
            "exp": now.saturating_add(LIFETIME),
            "jti": random::hex(&random::random::<16>()?),
        });
        if let (Some(all), Json::Object(claims)) = (all.as_object_mut(), claims) {
            all.extend(claims);
        }
        let header = json!({ "alg": self.algorithm(), "kid": self.id, "typ": "JWT" });
        let part = |json: &Json| URL_SAFE_NO_PAD.encode(json.to_string());
        let signed = format!("{}.{}", part(&header), part(&all));
        let random = SystemRandom::new();
        let signature = match &self.key {
            Key::Rsa(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, signed.as_bytes(), &mut signature)
                    .map_err(|_| random::NoRandomness)?;
                signature
            }
            Key::Ec(key) => {
                key.sign(&random, signed.as_bytes()).map_err(|_| random::NoRandomness)?.as_ref().to_vec()
            }
        };
        Ok(Secret::from(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))))
    }
}

/// Whether a server can be known by a URL: others put the path of the key set behind it.
pub(super) fn is_origin(text: &str) -> bool {
    reqwest::Url::parse(text).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
    })
}

fn parse(der: &PrivateKeyDer<'_>) -> Option<Key> {
    match der {
        PrivateKeyDer::Pkcs1(der) => {
            RsaKeyPair::from_der(der.secret_pkcs1_der()).ok().map(|key| Key::Rsa(Box::new(key)))
        }
        PrivateKeyDer::Pkcs8(der) => {
            let der = der.secret_pkcs8_der();
            let ec = || EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der, &SystemRandom::new());
            match RsaKeyPair::from_pkcs8(der) {
                Ok(key) => Some(Key::Rsa(Box::new(key))),
                Err(_) => ec().ok().map(|key| Key::Ec(Box::new(key))),
            }
        }
        _ => None,
    }
}

fn public(key: &Key) -> Json {
    let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    match key {
        Key::Rsa(key) => {
            let PublicKeyComponents::<Vec<u8>> { n, e } = key.public().into();
            json!({ "kty": "RSA", "n": text(&n), "e": text(&e) })
        }
        Key::Ec(key) => {
            // Uncompressed, as SEC 1 writes it: a byte that says so, and two coordinates.
            let point = key.public_key().as_ref().get(1..).unwrap_or_default();
            let (x, y) = point.split_at(point.len() / 2);
            json!({ "kty": "EC", "crv": "P-256", "x": text(x), "y": text(y) })
        }
    }
}

fn generate() -> Result<Zeroizing<Vec<u8>>, SigningKeyError> {
    let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
    key.map(|key| Zeroizing::new(key.as_ref().to_vec())).map_err(|_| SigningKeyError::NoRandomness)
}

fn create(path: &Path, key: &[u8]) -> io::Result<()> {
    use base64::engine::general_purpose::STANDARD;
    let text = Zeroizing::new(STANDARD.encode(key));
    let mut pem = Zeroizing::new(String::from("-----BEGIN PRIVATE KEY-----\n"));
    for line in text.as_bytes().chunks(64) {
        pem.push_str(std::str::from_utf8(line).unwrap_or_default());
        pem.push('\n');
    }
    pem.push_str("-----END PRIVATE KEY-----\n");
    keyfile::create(path, pem.as_bytes())
}
