//! The local ESC, and tokens as the API server would sign them.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, Command, Stdio},
    time::{SystemTime, UNIX_EPOCH},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    rand::SystemRandom,
    signature::{Ed25519KeyPair, KeyPair},
};
use serde_json::{Value, json};
use tempfile::TempDir;

const ISSUER: &str = "https://kubernetes.default.svc";

/// A running server that accepts every `ServiceAccount` of namespace `shop`; stopped when dropped.
pub struct Esc {
    pub url: String,
    process: Child,
    key: Ed25519KeyPair,
    _dir: TempDir,
}

impl Esc {
    pub fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        let key = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap();
        let x = URL_SAFE_NO_PAD.encode(key.public_key());
        let keys = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "1", "x": x}]});
        let jwks = dir.path().join("keys.json");
        let mut file = std::fs::File::create_new(&jwks).unwrap();
        file.write_all(keys.to_string().as_bytes()).unwrap();
        std::fs::create_dir_all(dir.path().join("esc/acme/shop")).unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_esc-injector"))
            .args(["server", "--listen", "127.0.0.1:0", "--oidc-issuer", ISSUER])
            .args(["--oidc-subject", "system:serviceaccount:shop:*"])
            .arg("--dir")
            .arg(dir.path().join("esc"))
            .arg("--oidc-jwks")
            .arg(jwks)
            .env_clear()
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("listening on ").unwrap().to_owned();
        Self { url, process, key, _dir: dir }
    }

    /// A token for organization `acme` that says this of itself.
    pub fn token(&self, subject: &str) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let claims = json!({
            "iss": ISSUER, "sub": subject, "aud": ["urn:pulumi:org:acme"], "iat": now, "nbf": now, "exp": now + 600,
        });
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(json!({"alg": "EdDSA", "kid": "1"})), part(claims));
        let signature = URL_SAFE_NO_PAD.encode(self.key.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }
}

impl Drop for Esc {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
