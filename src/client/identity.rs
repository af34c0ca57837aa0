//! Whom a pod's token speaks of, for the person who has to allow it. The claims are read and believed by nobody: ESC
//! verifies the token, and what is read here only ever ends up in a message.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;

use crate::secret::Secret;

/// Longest claim that is shown, in bytes. A subject has two Kubernetes names of at most 253 and 63 bytes; an issuer is an
/// address that somebody typed.
const LONGEST_CLAIM: usize = 512;

/// What a token says of its holder: the three claims that a policy of ESC's looks at. None of them is a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// `iss`: who signed it.
    pub issuer: String,
    /// `sub`: whom it speaks of.
    pub subject: String,
    /// `aud`: who it is meant for; several are parted by commas.
    pub audience: String,
}

impl Identity {
    /// The claims of a token, if all three are there and fit to be shown.
    pub(super) fn of(token: &Secret) -> Option<Self> {
        #[derive(Deserialize)]
        struct Claims {
            iss: String,
            sub: String,
            aud: Audience,
        }
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Audience {
            One(String),
            Many(Vec<String>),
        }
        let mut parts = token.expose_str()?.split('.');
        let (Some(_), Some(claims), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return None;
        };
        // Two thirds of the token: it is treated as the token is.
        let claims = Secret::new(URL_SAFE_NO_PAD.decode(claims).ok()?);
        let claims: Claims = serde_json::from_slice(claims.expose()).ok()?;
        let audience = match claims.aud {
            Audience::One(audience) => audience,
            Audience::Many(audiences) => audiences.join(","),
        };
        let identity = Self { issuer: claims.iss, subject: claims.sub, audience };
        let all = [&identity.issuer, &identity.subject, &identity.audience];
        let is_fit = all.into_iter().all(|claim| is_fit_to_be_shown(claim));
        is_fit.then_some(identity)
    }
}

/// Whether it is what it is taken for, between backticks, wherever it is shown.
fn is_fit_to_be_shown(claim: &str) -> bool {
    let is_fit = |byte: u8| byte.is_ascii_graphic() && byte != b'`';
    !claim.is_empty() && claim.len() <= LONGEST_CLAIM && claim.bytes().all(is_fit)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SUBJECT: &str = "system:serviceaccount:shop:default";

    fn token(claims: &str) -> Secret {
        Secret::from(format!("header.{}.signature", URL_SAFE_NO_PAD.encode(claims)))
    }

    #[test]
    fn reads_what_a_policy_looks_at() {
        for (audience, expected) in [
            (json!("urn:pulumi:org:acme"), "urn:pulumi:org:acme"),
            (json!(["urn:pulumi:org:acme"]), "urn:pulumi:org:acme"),
            (json!(["a", "b"]), "a,b"),
        ] {
            let claims = json!({"iss": "https://issuer.example", "sub": SUBJECT, "aud": audience, "exp": 1});
            assert_eq!(
                Identity::of(&token(&claims.to_string())),
                Some(Identity {
                    issuer: "https://issuer.example".to_owned(),
                    subject: SUBJECT.to_owned(),
                    audience: expected.to_owned(),
                })
            );
        }
    }

    #[test]
    fn shows_nothing_of_what_is_no_such_token() {
        let with = |subject: &str| json!({"iss": "https://i", "sub": subject, "aud": "a"}).to_string();
        for claims in [
            String::new(),
            "7".to_owned(),
            "{}".to_owned(),
            json!({"iss": "https://i", "sub": SUBJECT}).to_string(),
            json!({"iss": "https://i", "sub": SUBJECT, "aud": []}).to_string(),
            json!({"iss": 7, "sub": SUBJECT, "aud": "a"}).to_string(),
            with(""),
            with("two words"),
            with("a\u{1b}[2Jb"),
            with("a`b"),
            with("ä"),
            with(&"x".repeat(LONGEST_CLAIM + 1)),
        ] {
            assert_eq!(Identity::of(&token(&claims)), None, "{claims}");
        }
        let whole = URL_SAFE_NO_PAD.encode(with(SUBJECT));
        for token in [format!("a.{whole}"), whole.clone(), format!("a.{whole}.c.d"), "a.!.c".to_owned()] {
            assert_eq!(Identity::of(&Secret::from(token)), None);
        }
    }
}
