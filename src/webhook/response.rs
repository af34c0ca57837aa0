//! Answers to admission reviews, as the API server accepts them.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Serialize, Serializer};

use super::review::{API_VERSION, KIND};
use crate::{
    codes,
    inject::{Problem, Warning, problem::one_line},
};

/// The answer to one review.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Response<'a> {
    uid: &'a str,
    allowed: bool,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    patch: Option<PatchField>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

/// A patch and its type: the API server refuses one without the other.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct PatchField {
    patch_type: &'static str,
    #[serde(serialize_with = "base64")]
    patch: Vec<u8>,
}

/// Why it is denied, as kubectl and controllers read it.
#[derive(Debug, Serialize)]
pub struct Status {
    code: u16,
    reason: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Details>,
}

/// What clients act on.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Details {
    retry_after_seconds: u32,
}

/// Seconds, after which clients of Kubernetes (`kubectl`, controllers) ask again by themselves. The API server makes
/// a `Retry-After` header of it; what we wait for takes milliseconds, and less can't be said.
const RETRY_AFTER: u32 = 1;

/// The kinds of denial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denial {
    /// The review is malformed: 400.
    BadRequest,
    /// An operator's rule forbids it: 403.
    Forbidden,
    /// The pod is malformed: 422.
    Invalid,
    /// It can't be decided yet: 503, with the advice to ask again.
    Unavailable,
    /// A defect of ours: 500.
    Internal,
}

impl Status {
    fn new(denial: Denial, message: String) -> Self {
        // Reasons are those of Kubernetes' own errors, so that clients can tell them apart.
        let (code, reason) = match denial {
            Denial::BadRequest => (400, "BadRequest"),
            Denial::Forbidden => (403, "Forbidden"),
            Denial::Invalid => (422, "Invalid"),
            Denial::Unavailable => (503, "ServiceUnavailable"),
            Denial::Internal => (500, "InternalError"),
        };
        let details = (denial == Denial::Unavailable).then_some(Details { retry_after_seconds: RETRY_AFTER });
        Self { code, reason, message, details }
    }
}

impl<'a> Response<'a> {
    /// Allowed as it is.
    pub fn allow(uid: &'a str, warnings: Vec<String>) -> Self {
        Self { uid, allowed: true, patch: None, status: None, warnings: presentable(warnings) }
    }

    /// Allowed with a JSON patch, given as its JSON text.
    pub fn allow_patched(uid: &'a str, patch: Vec<u8>, warnings: Vec<String>) -> Self {
        let patch = Some(PatchField { patch_type: "JSONPatch", patch });
        Self { patch, ..Self::allow(uid, warnings) }
    }

    /// Denied.
    pub fn deny(uid: &'a str, denial: Denial, message: String) -> Self {
        let status = Some(Status::new(denial, message));
        Self { uid, allowed: false, patch: None, status, warnings: Vec::new() }
    }

    /// The whole review that carries this answer.
    pub fn into_body(self) -> Result<Vec<u8>, serde_json::Error> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Envelope<'a> {
            api_version: &'static str,
            kind: &'static str,
            response: Response<'a>,
        }
        serde_json::to_vec(&Envelope { api_version: API_VERSION, kind: KIND, response: self })
    }
}

/// The API server cuts warnings at this length once all of a request's warnings together are too long.
const WARNING_RUNES: usize = 256;
/// The API server's limit for all warnings of a request is 4096; other webhooks warn too.
const ALL_WARNINGS_RUNES: usize = 3072;

/// Warnings as the API server passes them on: without control characters (it drops such items), and not all together
/// too long. If they are, each is cut as the API server would; what doesn't fit then is counted in a last warning.
fn presentable(warnings: Vec<String>) -> Vec<String> {
    let whole: Vec<String> = warnings.into_iter().map(|warning| one_line(&warning)).collect();
    if whole.iter().map(|text| text.chars().count()).sum::<usize>() <= ALL_WARNINGS_RUNES {
        return whole;
    }
    let mut left = ALL_WARNINGS_RUNES;
    let mut kept = Vec::with_capacity(whole.len());
    let total = whole.len();
    for mut text in whole {
        if text.char_indices().nth(WARNING_RUNES).is_some() {
            let end = text.char_indices().nth(WARNING_RUNES - 1).map_or(text.len(), |(end, _)| end);
            text.truncate(end);
            text.push('…');
        }
        let runes = text.chars().count();
        if runes > left {
            let more = total - kept.len();
            kept.push(format!("{more} more warnings are not shown"));
            break;
        }
        left -= runes;
        kept.push(text);
    }
    kept
}

fn base64<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    // In one piece: written bit by bit, every bit would be searched for what JSON escapes.
    serializer.serialize_str(&STANDARD.encode(bytes))
}

/// Warnings as the API server passes them on.
pub fn texts(warnings: &[Warning]) -> Vec<String> {
    warnings.iter().map(ToString::to_string).collect()
}

/// All problems, one a line, and where to read on.
pub fn refusal(problems: &[Problem]) -> (Denial, String) {
    let forbidden = problems.iter().any(|problem| problem.forbidden);
    let denial = if forbidden { Denial::Forbidden } else { Denial::Invalid };
    let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
    (denial, with_hint(lines.join("\n")))
}

/// The message, and on a line of its own where to read on.
pub fn with_hint(mut message: String) -> String {
    if let Some(hint) = codes::hint(&message) {
        message.push('\n');
        message.push_str(&hint);
    }
    message
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn patch_and_its_type_come_together_or_not_at_all() {
        let body = |response: Response<'_>| -> Value {
            serde_json::from_slice(&response.into_body().unwrap()).unwrap()
        };
        let patched = body(Response::allow_patched("u", br#"[{"op":"test"}]"#.to_vec(), Vec::new()));
        assert_eq!(
            patched,
            json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": {
                "uid": "u", "allowed": true, "patchType": "JSONPatch", "patch": "W3sib3AiOiJ0ZXN0In1d",
            }})
        );
        assert_eq!(body(Response::allow("u", Vec::new()))["response"], json!({"uid": "u", "allowed": true}));
        assert_eq!(
            body(Response::deny("u", Denial::Invalid, "no".to_owned()))["response"],
            json!({"uid": "u", "allowed": false, "status": {"code": 422, "reason": "Invalid", "message": "no"}})
        );
        assert_eq!(
            body(Response::deny("u", Denial::Unavailable, "later".to_owned()))["response"]["status"],
            json!({"code": 503, "reason": "ServiceUnavailable", "message": "later", "details": {"retryAfterSeconds": 1}})
        );
    }

    #[test]
    fn warnings_fit_what_the_api_server_passes_on() {
        assert_eq!(presentable(vec!["a\nb\u{7}".to_owned()]), ["a b "]);
        let long = "ä".repeat(WARNING_RUNES + 1);
        let exact = "ä".repeat(WARNING_RUNES);
        let whole = vec![long.clone(), exact.clone()];
        assert_eq!(presentable(whole.clone()), whole);
        let cut = presentable([vec![exact.clone()], vec![long; 15]].concat());
        assert_eq!(cut[0], exact);
        assert_eq!((cut[1].chars().count(), cut[1].chars().last()), (WARNING_RUNES, Some('…')));
        let many = presentable(vec!["w".repeat(200); 50]);
        assert!(many.iter().map(|warning| warning.chars().count()).sum::<usize>() < 4096);
        assert_eq!(many.last().unwrap(), "35 more warnings are not shown");
    }
}
