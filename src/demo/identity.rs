//! The cluster's token issuer, as far as the demo needs one: a signing key, its public half, and tokens that say which
//! ServiceAccount a pod runs as.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use serde_json::{Value, json};

/// The issuer's name in its tokens.
pub const ISSUER: &str = "https://kubernetes.demo.invalid";
/// Seconds; as long as the projected volume asks for.
const LIFETIME: u64 = 600;
const KEY_ID: &str = "demo";

/// A key that signs tokens.
pub struct TokenIssuer {
    key: EcdsaKeyPair,
    random: SystemRandom,
}

/// The key could not be made or used; ring says no more.
#[derive(Debug, thiserror::Error)]
#[error("signing a token for the demo's pod failed")]
pub struct SigningError;

impl TokenIssuer {
    /// A new key.
    pub fn new() -> Result<Self, SigningError> {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random)
            .map_err(|_| SigningError)?;
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random)
            .map_err(|_| SigningError)?;
        Ok(Self { key, random })
    }

    /// The public key as a JSON Web Key Set.
    pub fn key_set(&self) -> Value {
        // An uncompressed point: one byte that says so, then both coordinates.
        let point = self.key.public_key().as_ref().get(1..).unwrap_or_default();
        let (x, y) = point.split_at(point.len() / 2);
        json!({"keys": [{
            "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": KEY_ID,
            "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
        }]})
    }

    /// A token for a ServiceAccount, as kubelet would project it.
    pub fn token(
        &self,
        namespace: &str,
        service_account: &str,
        audience: &str,
    ) -> Result<String, SigningError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|_| SigningError)?.as_secs();
        let header = json!({"alg": "ES256", "kid": KEY_ID, "typ": "JWT"});
        let claims = json!({
            "iss": ISSUER,
            "sub": format!("system:serviceaccount:{namespace}:{service_account}"),
            "aud": [audience],
            "iat": now,
            "nbf": now,
            "exp": now + LIFETIME,
            "kubernetes.io": {"namespace": namespace, "serviceaccount": {"name": service_account}},
        });
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&header), part(&claims));
        let signature = self.key.sign(&self.random, signed.as_bytes()).map_err(|_| SigningError)?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref())))
    }
}
