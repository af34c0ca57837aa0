//! An issuer of identity tokens, good ones and bad ones.

use std::path::Path;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use esc_injector::{esc::pattern::Pattern, server::identity::Issuer};
use ring::{
    hmac,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair},
};
use serde_json::{Value, json};

pub(crate) const URL: &str = "https://issuer.test";

/// An ES256 key with a name.
pub(crate) struct Signer {
    id: String,
    key: EcdsaKeyPair,
}

impl Signer {
    pub(crate) fn new(id: &str) -> Self {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let key =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random).unwrap();
        Self { id: id.to_owned(), key }
    }

    pub(crate) fn jwk(&self) -> Value {
        let point = self.key.public_key().as_ref();
        json!({
            "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.id,
            "x": encode(&point[1..33]), "y": encode(&point[33..]),
        })
    }

    pub(crate) fn sign(&self, claims: &Value) -> String {
        self.sign_with(&json!({"alg": "ES256", "kid": self.id, "typ": "JWT"}), claims)
    }

    pub(crate) fn sign_with(&self, header: &Value, claims: &Value) -> String {
        let signed = unsigned(header, claims);
        let signature = self.key.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", encode(signature.as_ref()))
    }

    /// A token whose HMAC was made with the public key, for verifiers that let the token choose.
    pub(crate) fn confuse(&self, claims: &Value) -> String {
        let signed = unsigned(&json!({"alg": "HS256", "kid": self.id}), claims);
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.key.public_key().as_ref());
        format!("{signed}.{}", encode(hmac::sign(&key, signed.as_bytes()).as_ref()))
    }
}

/// A new Ed25519 key, its JWK, and a token that it signed.
pub(crate) fn ed25519(claims: &Value) -> (Value, String) {
    let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    let key = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap();
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": encode(key.public_key().as_ref())});
    let signed = unsigned(&json!({"alg": "EdDSA", "kid": "ed"}), claims);
    let token = format!("{signed}.{}", encode(key.sign(signed.as_bytes()).as_ref()));
    (jwk, token)
}

pub(crate) fn unsigned(header: &Value, claims: &Value) -> String {
    format!("{}.{}", encode(header.to_string().as_bytes()), encode(claims.to_string().as_bytes()))
}

pub(crate) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The configuration that trusts this signer; its key set lies in the directory.
pub(crate) fn trusting(directory: &Path, subject: &str, signer: &Signer) -> Issuer {
    write_keys(directory, &[signer.jwk()]);
    Issuer::of_subjects(
        URL.to_owned(),
        directory.join("jwks.json"),
        Pattern::new(subject),
        vec!["https://esc.test".to_owned()],
    )
}

pub(crate) fn write_keys(directory: &Path, keys: &[Value]) {
    crate::harness::write(directory, "jwks.json", &json!({ "keys": keys }).to_string());
}
