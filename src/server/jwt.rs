//! Verifies signed JSON Web Tokens (RFC 7515, 7517, 7519) against a key set, strictly.
//!
//! Only what issuers of workload identities use: RS256, ES256 and Ed25519 (`EdDSA`). The key decides the
//! algorithm and the token's header must agree, so neither `none` nor a public key taken for an HMAC secret can
//! pass. Errors never quote the token.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde::{Deserialize, de::DeserializeOwned, de::IgnoredAny};

/// Longest token that is looked at. Kubernetes' are about 1 KiB.
const MAX_TOKEN: usize = 16 << 10;

/// Why a token is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum JwtError {
    #[error("the identity token is malformed: {0}")]
    Malformed(&'static str),
    #[error("no key of the issuer's key set is named in the identity token and fits its algorithm")]
    NoKey,
    #[error("the identity token's signature does not verify")]
    Signature,
}

/// A JSON Web Key Set holds no usable keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no JSON Web Key Set with a usable key (RSA, EC P-256 or Ed25519)")]
pub(super) struct KeySetError;

/// The keys of an issuer.
#[derive(Debug)]
pub(super) struct KeySet(Vec<NamedKey>);

#[derive(Debug)]
struct NamedKey {
    id: Option<String>,
    key: Key,
}

/// A public key; its kind is its algorithm.
#[derive(Debug)]
enum Key {
    Rs256 { modulus: Vec<u8>, exponent: Vec<u8> },
    Es256 { point: Vec<u8> },
    EdDsa { point: Vec<u8> },
}

#[derive(Deserialize)]
struct WireKeySet {
    keys: Vec<WireKey>,
}

#[derive(Deserialize)]
struct WireKey {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<IgnoredAny>,
}

impl KeySet {
    /// Reads a key set. Keys of other kinds and for other uses are passed over, as the standard says.
    pub(super) fn parse(json: &[u8]) -> Result<Self, KeySetError> {
        let wire: WireKeySet = serde_json::from_slice(json).map_err(|_| KeySetError)?;
        let keys: Vec<_> = wire.keys.into_iter().filter_map(NamedKey::from_wire).collect();
        if keys.is_empty() { Err(KeySetError) } else { Ok(Self(keys)) }
    }

    /// The claims of a token that one of the keys has signed, as JSON.
    pub(super) fn verified(&self, token: &[u8]) -> Result<Vec<u8>, JwtError> {
        let [header, claims, signature] = parts(token)?;
        let signed = token.get(..header.len() + 1 + claims.len()).unwrap_or_default();
        let header: Header = json_part(header)?;
        if header.crit.is_some() {
            return Err(JwtError::Malformed("critical extensions"));
        }
        let signature = decoded(signature)?;
        let mut fitting = self
            .0
            .iter()
            .filter(|named| header.kid.is_none() || named.id == header.kid)
            .filter(|named| named.key.algorithm() == header.alg)
            .peekable();
        if fitting.peek().is_none() {
            return Err(JwtError::NoKey);
        }
        if !fitting.any(|named| named.key.has_signed(signed, &signature)) {
            return Err(JwtError::Signature);
        }
        decoded(claims)
    }
}

/// Who a token says has issued it. Nothing of it is verified yet: this is good for choosing the keys to verify it with,
/// and for nothing else.
pub(super) fn claimed_issuer(token: &[u8]) -> Result<String, JwtError> {
    #[derive(Deserialize)]
    struct Claims {
        iss: String,
    }
    let [_, claims, _] = parts(token)?;
    json_part(claims).map(|Claims { iss }| iss)
}

fn parts(token: &[u8]) -> Result<[&[u8]; 3], JwtError> {
    if token.len() > MAX_TOKEN {
        return Err(JwtError::Malformed("too long"));
    }
    let mut parts = token.split(|&byte| byte == b'.');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(header), Some(claims), Some(signature), None) => Ok([header, claims, signature]),
        _ => Err(JwtError::Malformed("not three parts")),
    }
}

fn decoded(part: &[u8]) -> Result<Vec<u8>, JwtError> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| JwtError::Malformed("not base64url"))
}

fn json_part<T: DeserializeOwned>(part: &[u8]) -> Result<T, JwtError> {
    serde_json::from_slice(&decoded(part)?)
        .map_err(|_| JwtError::Malformed("not the JSON of an identity token"))
}

impl NamedKey {
    fn from_wire(wire: WireKey) -> Option<Self> {
        let bytes = |text: &Option<String>| URL_SAFE_NO_PAD.decode(text.as_deref()?).ok();
        // Curve coordinates have exactly the curve's size.
        let coordinate = |text: &Option<String>| bytes(text).filter(|bytes| bytes.len() == 32);
        let key = match (wire.kty.as_str(), wire.crv.as_deref()) {
            ("RSA", None) => Key::Rs256 { modulus: bytes(&wire.n)?, exponent: bytes(&wire.e)? },
            ("EC", Some("P-256")) => {
                // Uncompressed, as SEC 1 writes it.
                let point = [&[4][..], &coordinate(&wire.x)?, &coordinate(&wire.y)?].concat();
                Key::Es256 { point }
            }
            ("OKP", Some("Ed25519")) => Key::EdDsa { point: coordinate(&wire.x)? },
            _ => return None,
        };
        let for_signatures = wire.usage.is_none_or(|usage| usage == "sig");
        let for_this_algorithm = wire.alg.is_none_or(|algorithm| algorithm == key.algorithm());
        (for_signatures && for_this_algorithm).then_some(Self { id: wire.kid, key })
    }
}

impl Key {
    fn algorithm(&self) -> &'static str {
        match self {
            Self::Rs256 { .. } => "RS256",
            Self::Es256 { .. } => "ES256",
            Self::EdDsa { .. } => "EdDSA",
        }
    }

    fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Rs256 { modulus, exponent } => RsaPublicKeyComponents { n: modulus, e: exponent }
                .verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
                .is_ok(),
            Self::Es256 { point } => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature).is_ok()
            }
            Self::EdDsa { point } => {
                UnparsedPublicKey::new(&ED25519, point).verify(message, signature).is_ok()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{JwtError, KeySet, KeySetError};

    /// The example of RFC 8037, appendix A.4.
    const ED25519_KEYS: &str =
        r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    const ED25519_TOKEN: &str = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";

    /// A key set as clusters publish it, and a token that its private key, long gone, has signed.
    const RSA_KEYS: &str = include_str!("../../tests/server/fixtures/rs256.jwks.json");
    const RSA_TOKEN: &str = include_str!("../../tests/server/fixtures/rs256.jwt");

    #[derive(Debug, serde::Deserialize)]
    struct Claims {
        iss: String,
        exp: u64,
    }

    fn keys(json: &str) -> KeySet {
        KeySet::parse(json.as_bytes()).unwrap()
    }

    fn verify(json: &str, token: &str) -> Result<Claims, JwtError> {
        let claims = keys(json).verified(token.as_bytes())?;
        serde_json::from_slice(&claims).map_err(|_| JwtError::Malformed("not the JSON of an identity token"))
    }

    #[test]
    fn accepts_what_a_key_has_signed() {
        let claims = verify(RSA_KEYS, RSA_TOKEN).unwrap();
        assert_eq!((claims.iss.as_str(), claims.exp), ("https://issuer.test", 4_102_444_800));
        // Its signature verifies, but what it signs is no JSON.
        let error = verify(ED25519_KEYS, ED25519_TOKEN).unwrap_err();
        assert_eq!(error, JwtError::Malformed("not the JSON of an identity token"));
        // A token that names no key is tried with all that fit.
        let named = ED25519_KEYS.replace("\"kty\"", "\"kid\":\"k\",\"use\":\"sig\",\"kty\"");
        let error = verify(&named, ED25519_TOKEN).unwrap_err();
        assert_eq!(error, JwtError::Malformed("not the JSON of an identity token"));
    }

    #[test]
    fn refuses_what_is_not_signed() {
        let (signed, signature) = RSA_TOKEN.rsplit_once('.').unwrap();
        let (header, claims) = signed.split_once('.').unwrap();
        let other = if signature.starts_with('A') { 'B' } else { 'A' };
        let flipped = format!("{signed}.{other}{}", &signature[1..]);
        assert_eq!(verify(RSA_KEYS, &flipped).unwrap_err(), JwtError::Signature);
        let other_claims = format!("{header}.{}.{signature}", claims.replace("eyJpc3Mi", "eyJpc3Ni"));
        assert_eq!(verify(RSA_KEYS, &other_claims).unwrap_err(), JwtError::Signature);
        for (token, expected) in [
            ("", JwtError::Malformed("not three parts")),
            ("a.b", JwtError::Malformed("not three parts")),
            ("a.b.c.d", JwtError::Malformed("not three parts")),
            ("!.e30.", JwtError::Malformed("not base64url")),
            // {"alg":"none"}
            ("eyJhbGciOiJub25lIn0.e30.", JwtError::NoKey),
            // {"alg":"HS256"}
            ("eyJhbGciOiJIUzI1NiJ9.e30.AAAA", JwtError::NoKey),
            // {"alg":"RS256","kid":"x"}
            ("eyJhbGciOiJSUzI1NiIsImtpZCI6IngifQ.e30.AAAA", JwtError::NoKey),
            // {"alg":"RS256","crit":["b64"]}
            ("eyJhbGciOiJSUzI1NiIsImNyaXQiOlsiYjY0Il19.e30.AAAA", JwtError::Malformed("critical extensions")),
            // {"alg":"RS256","alg":"none"}
            (
                "eyJhbGciOiJSUzI1NiIsImFsZyI6Im5vbmUifQ.e30.AAAA",
                JwtError::Malformed("not the JSON of an identity token"),
            ),
        ] {
            assert_eq!(verify(RSA_KEYS, token).unwrap_err(), expected, "{token}");
        }
        let padded = format!("{RSA_TOKEN}==");
        assert_eq!(verify(RSA_KEYS, &padded).unwrap_err(), JwtError::Malformed("not base64url"));
        let long = format!("{RSA_TOKEN}{}", "A".repeat(super::MAX_TOKEN));
        assert_eq!(verify(RSA_KEYS, &long).unwrap_err(), JwtError::Malformed("too long"));
    }

    #[test]
    fn passes_over_keys_for_other_uses() {
        for keys in [
            "",
            "[]",
            r#"{"keys":[]}"#,
            r#"{"keys":[{"kty":"oct","k":"AAAA"}]}"#,
            r#"{"keys":[{"kty":"RSA","n":"AQAB"}]}"#,
            r#"{"keys":[{"kty":"EC","crv":"P-256","x":"AQAB","y":"AQAB"}]}"#,
            &RSA_KEYS.replace("\"sig\"", "\"enc\""),
            &RSA_KEYS.replace("\"RS256\"", "\"RS512\""),
        ] {
            assert_eq!(KeySet::parse(keys.as_bytes()).unwrap_err(), KeySetError, "{keys}");
        }
    }
}
