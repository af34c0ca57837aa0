//! How we prove who we are.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::error::Cause;
use crate::{esc::token_type::TokenType, secret::Secret};

/// Lifetime of the token we ask for, in seconds: the least that ESC's other Kubernetes client asks for. We need it
/// for two requests.
const LIFETIME: &str = "600";

/// The longest file that can be a token. Projected tokens are about 1 KiB.
const LONGEST_TOKEN: u64 = 64 * 1024;

/// What we have to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// A token of another issuer, to be exchanged for one of ESC's (RFC 8693).
    Exchange {
        /// The organization whose token is asked for.
        organization: String,
        /// Kind of token to ask for.
        token_type: TokenType,
        /// The file that holds our own token.
        file: PathBuf,
    },
    /// A file with an access token of ESC's.
    Static {
        /// The file.
        file: PathBuf,
    },
}

impl Credentials {
    pub(super) fn file(&self) -> &Path {
        match self {
            Self::Exchange { file, .. } | Self::Static { file } => file,
        }
    }

    /// Reads the file anew: kubelet renews projected tokens.
    pub(super) fn read(&self) -> Result<Secret, Cause> {
        let fail = |why: String| Cause::NoToken { why };
        let metadata = std::fs::metadata(self.file()).map_err(|error| fail(error.to_string()))?;
        // A pipe or a device could block for ever, where no signal would end the wait.
        if !metadata.is_file() {
            return Err(fail("it is no regular file".to_owned()));
        }
        let size = metadata.len();
        if size > LONGEST_TOKEN {
            return Err(fail(format!("the file has {size} bytes, which is no token")));
        }
        let bytes = Secret::new(std::fs::read(self.file()).map_err(|error| fail(error.to_string()))?);
        let token = bytes.expose().trim_ascii();
        if token.is_empty() {
            return Err(fail("the file is empty".to_owned()));
        }
        // What goes into a header has to be one printable line.
        if !token.iter().all(u8::is_ascii_graphic) {
            return Err(fail("the file holds blanks or other characters that no token has".to_owned()));
        }
        Ok(Secret::new(token.to_vec()))
    }
}

/// The form of an exchange.
pub(super) fn form<'a>(
    organization: &str,
    token_type: &'a TokenType,
    subject: &'a str,
) -> [(&'static str, std::borrow::Cow<'a, str>); 7] {
    [
        ("audience", format!("urn:pulumi:org:{organization}").into()),
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange".into()),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:id_token".into()),
        ("subject_token", subject.into()),
        ("requested_token_type", token_type.urn().into()),
        ("scope", token_type.scope().into()),
        ("expiration", LIFETIME.into()),
    ]
}

/// The access token in the answer to an exchange.
pub(super) fn access_token(body: &[u8]) -> Option<Secret> {
    #[derive(Deserialize)]
    struct Exchanged {
        access_token: String,
    }
    let exchanged: Exchanged = serde_json::from_slice(body).ok()?;
    let usable = !exchanged.access_token.is_empty()
        && exchanged.access_token.bytes().all(|byte| byte.is_ascii_graphic());
    usable.then(|| Secret::from(exchanged.access_token))
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "plain files for tests")]
mod tests {
    use super::*;

    #[test]
    fn reads_a_token_alone_in_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        let credentials = Credentials::Static { file: file.clone() };
        for (content, expected) in [
            ("pul-1\n", Ok("pul-1")),
            ("  pul-1  ", Ok("pul-1")),
            ("", Err("the file is empty")),
            (" \n", Err("the file is empty")),
            ("two words", Err("the file holds blanks or other characters that no token has")),
            ("a\nb", Err("the file holds blanks or other characters that no token has")),
        ] {
            std::fs::write(&file, content).unwrap();
            let read = credentials.read();
            let read = read.as_ref().map(|token| token.expose_str().unwrap()).map_err(ToString::to_string);
            assert_eq!(read, expected.map_err(str::to_owned), "{content:?}");
        }
        std::fs::write(&file, "x".repeat(70_000)).unwrap();
        assert!(credentials.read().is_err());
        assert!(Credentials::Static { file: dir.path().join("none") }.read().is_err());
    }

    #[test]
    fn asks_for_the_token_that_the_plan_names() {
        let team = TokenType::Team("ops".to_owned());
        let form = form("acme", &team, "jwt");
        let get = |name| form.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_ref());
        assert_eq!(get("audience"), Some("urn:pulumi:org:acme"));
        assert_eq!(get("requested_token_type"), Some("urn:pulumi:token-type:access_token:team"));
        assert_eq!(get("scope"), Some("team:ops"));
        assert_eq!(get("subject_token"), Some("jwt"));
    }

    #[test]
    fn takes_only_a_usable_access_token() {
        assert_eq!(access_token(br#"{"access_token":"t","expires_in":600}"#), Some(Secret::from("t")));
        for body in [
            &b"{}"[..],
            b"",
            br#"{"access_token":""}"#,
            br#"{"access_token":"a b"}"#,
            br#"{"access_token":1}"#,
        ] {
            assert_eq!(access_token(body), None);
        }
    }
}
