//! How we prove who we are.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;

use super::error::Cause;
use crate::{esc::token_type::TokenType, secret::Secret};

/// Lifetime of the token we ask for, in seconds: the least that ESC's other Kubernetes client asks for. We need it
/// for two requests of each environment, and a sidecar asks for another one when it needs one.
const LIFETIME: u64 = 600;

/// Nobody gives out tokens for longer: ESC's own limit is 25 hours. Clocks have an end.
const LONGEST_LIFETIME: u64 = 7 * 24 * 60 * 60;

/// How long before its end a token is not used any more: as ESC's other Kubernetes client has it.
const MARGIN: Duration = Duration::from_secs(60);

/// The longest file that can be a token. Projected tokens are about 1 KiB.
const LONGEST_TOKEN: u64 = 64 * 1024;

/// What we have to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// A token of another issuer, to be exchanged for one of ESC's (RFC 8693).
    Exchange {
        /// Kind of token to ask for.
        token_type: TokenType,
        /// The file that holds our own token, for each organization whose token may be asked for.
        files: BTreeMap<String, PathBuf>,
    },
    /// A token of another issuer that was given for this one time, to be exchanged as above.
    Held {
        /// Kind of token to ask for.
        token_type: TokenType,
        /// The token.
        token: Secret,
    },
    /// An access token of ESC's.
    Given {
        /// The token.
        token: Secret,
    },
    /// A file with an access token of ESC's.
    Static {
        /// The file.
        file: PathBuf,
    },
}

impl Credentials {
    /// The file with what is shown to an organization, or to get a token for it.
    pub(super) fn file(&self, organization: &str) -> Option<&Path> {
        match self {
            Self::Exchange { files, .. } => files.get(organization).map(PathBuf::as_path),
            Self::Static { file } => Some(file),
            Self::Given { .. } | Self::Held { .. } => None,
        }
    }
}

/// Reads a token alone in its file. Always anew: kubelet renews projected tokens, and people rotate static ones.
pub(super) fn read(file: &Path) -> Result<Secret, Cause> {
    let fail = |why: String| Cause::NoToken { why };
    let metadata = std::fs::metadata(file).map_err(|error| fail(error.to_string()))?;
    // A pipe or a device could block for ever, where no signal would end the wait.
    if !metadata.is_file() {
        return Err(fail("it is no regular file".to_owned()));
    }
    let size = metadata.len();
    if size > LONGEST_TOKEN {
        return Err(fail(format!("the file has {size} bytes, which is no token")));
    }
    let bytes = Secret::new(std::fs::read(file).map_err(|error| fail(error.to_string()))?);
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
        ("expiration", LIFETIME.to_string().into()),
    ]
}

/// A token of ESC's, as an exchange gives it.
pub(super) struct Exchanged {
    pub(super) token: Secret,
    /// How long ESC says that it is valid.
    pub(super) lifetime: Duration,
}

/// The access token in the answer to an exchange.
pub(super) fn exchanged(body: &[u8]) -> Option<Exchanged> {
    #[derive(Deserialize)]
    struct Wire {
        access_token: String,
        // What is no number of seconds is as good as nothing.
        #[serde(default)]
        expires_in: Option<serde_json::Value>,
    }
    let Wire { access_token, expires_in } = serde_json::from_slice(body).ok()?;
    let token = Secret::from(access_token);
    let usable = !token.is_empty() && token.expose().iter().all(u8::is_ascii_graphic);
    let seconds = expires_in.and_then(|seconds| seconds.as_u64()).unwrap_or(LIFETIME);
    usable.then(|| Exchanged { token, lifetime: Duration::from_secs(seconds.min(LONGEST_LIFETIME)) })
}

/// How long a token is used: not to its very end, since clocks differ and the server looks later than we do.
pub(super) fn usable(lifetime: Duration) -> Duration {
    lifetime.saturating_sub(MARGIN.min(lifetime / 4))
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "plain files for tests")]
mod tests {
    use super::*;

    #[test]
    fn reads_a_token_alone_in_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        for (content, expected) in [
            ("pul-1\n", Ok("pul-1")),
            ("  pul-1  ", Ok("pul-1")),
            ("", Err("the file is empty")),
            (" \n", Err("the file is empty")),
            ("two words", Err("the file holds blanks or other characters that no token has")),
            ("a\nb", Err("the file holds blanks or other characters that no token has")),
        ] {
            std::fs::write(&file, content).unwrap();
            let read = read(&file);
            let read = read.as_ref().map(|token| token.expose_str().unwrap()).map_err(ToString::to_string);
            assert_eq!(read, expected.map_err(str::to_owned), "{content:?}");
        }
        std::fs::write(&file, "x".repeat(70_000)).unwrap();
        assert!(read(&file).is_err());
        assert!(read(&dir.path().join("none")).is_err());
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
        for (body, seconds) in [
            (r#"{"access_token":"t","expires_in":7200}"#, 7200),
            (r#"{"access_token":"t"}"#, 600),
            (r#"{"access_token":"t","expires_in":"soon"}"#, 600),
            (r#"{"access_token":"t","expires_in":-1}"#, 600),
            (r#"{"access_token":"t","expires_in":18446744073709551615}"#, LONGEST_LIFETIME),
        ] {
            let exchanged = exchanged(body.as_bytes()).unwrap();
            assert_eq!(exchanged.token, Secret::from("t"));
            assert_eq!(exchanged.lifetime, Duration::from_secs(seconds), "{body}");
        }
        for body in ["{}", "", r#"{"access_token":""}"#, r#"{"access_token":"a b"}"#, r#"{"access_token":1}"#]
        {
            assert!(exchanged(body.as_bytes()).is_none(), "{body}");
        }
    }

    #[test]
    fn a_token_is_not_used_to_its_very_end() {
        for (lifetime, used) in [(600, 540), (7200, 7140), (60, 45), (0, 0)] {
            assert_eq!(usable(Duration::from_secs(lifetime)), Duration::from_secs(used));
        }
    }
}
