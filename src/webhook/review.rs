//! The wire form of admission reviews (`admission.k8s.io/v1`): what the API server asks, and what it accepts as an
//! answer.
//!
//! The question is read in two steps. The uid is found first and leniently, since an answer without it looks to the
//! user like a broken webhook; only then is the rest held to the contract. The pod stays raw JSON, and nothing of it
//! is ever quoted in a defect.

use base64::{display::Base64Display, engine::general_purpose::STANDARD};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::lean::Lean;
use crate::inject::problem::one_line;

const API_VERSION: &str = "admission.k8s.io/v1";
const KIND: &str = "AdmissionReview";

/// A question that can be answered.
#[derive(Debug)]
pub struct Review {
    /// The answer must carry it.
    pub uid: String,
    /// What is asked, or why it can't be read.
    pub question: Result<Question, Malformed>,
}

/// What is asked.
pub enum Question {
    /// The creation of a pod.
    Pod(PodCreation),
    /// Something that only a webhook configuration that is not ours sends.
    Other,
}

/// A pod that is being created.
pub struct PodCreation {
    /// The request's namespace; the pod's own may be empty.
    pub namespace: String,
    /// Whether nothing will be stored.
    pub dry_run: bool,
    /// The pod, always a JSON object.
    pub pod: Value,
}

/// A body that can't be answered as an admission, for want of a uid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Not JSON, or nested too deep.
    #[error("the body is not JSON, or nested too deep")]
    NotJson,
    /// JSON without a usable uid.
    #[error("the body has no request.uid")]
    NoUid,
}

/// What is wrong with a review that has a uid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// `apiVersion`.
    #[error("apiVersion is not {API_VERSION}")]
    ApiVersion,
    /// `kind`.
    #[error("kind is not {KIND}")]
    Kind,
    /// `request.resource`.
    #[error("request.resource has no group, version and resource")]
    Resource,
    /// `request.operation`.
    #[error("request.operation is none of CREATE, UPDATE, DELETE, CONNECT")]
    Operation,
    /// `request.namespace`.
    #[error("request.namespace is missing")]
    Namespace,
    /// `request.object`.
    #[error("request.object is not a JSON object")]
    Object,
}

/// Longest uid that is echoed; the API server's are 36 characters.
const MAX_UID: usize = 256;

impl Review {
    /// Reads a request's body.
    pub fn parse(body: &[u8]) -> Result<Self, Unreadable> {
        let Lean { api_version, kind, mut request } = match serde_json::from_slice(body) {
            Ok(review) => review,
            Err(_) => whole(body)?,
        };
        match request.get_mut("uid").map(Value::take) {
            Some(Value::String(uid)) if !uid.is_empty() && uid.len() <= MAX_UID => {
                Ok(Self { uid, question: question(&api_version, &kind, request) })
            }
            _ => Err(Unreadable::NoUid),
        }
    }
}

/// Reads a review that is not as the API server writes it, to find the uid in it all the same.
fn whole(body: &[u8]) -> Result<Lean, Unreadable> {
    let mut review: Value = serde_json::from_slice(body).map_err(|_| Unreadable::NotJson)?;
    let mut take = |key| review.get_mut(key).map(Value::take).unwrap_or_default();
    match take("request") {
        Value::Object(request) => Ok(Lean { api_version: take("apiVersion"), kind: take("kind"), request }),
        _ => Err(Unreadable::NoUid),
    }
}

fn question(
    api_version: &Value,
    kind: &Value,
    mut request: Map<String, Value>,
) -> Result<Question, Malformed> {
    if api_version.as_str() != Some(API_VERSION) {
        return Err(Malformed::ApiVersion);
    }
    if kind.as_str() != Some(KIND) {
        return Err(Malformed::Kind);
    }
    let resource = request.get("resource").ok_or(Malformed::Resource)?;
    let part = |name| resource.get(name).and_then(Value::as_str).ok_or(Malformed::Resource);
    let is_pods = (part("group")?, part("version")?, part("resource")?) == ("", "v1", "pods");
    let is_creation = match request.get("operation").and_then(Value::as_str) {
        Some("CREATE") => true,
        Some("UPDATE" | "DELETE" | "CONNECT") => false,
        _ => return Err(Malformed::Operation),
    };
    let is_whole = request.get("subResource").and_then(Value::as_str).is_none_or(str::is_empty);
    if !(is_pods && is_creation && is_whole) {
        return Ok(Question::Other);
    }
    let dry_run = request.get("dryRun").and_then(Value::as_bool).unwrap_or(false);
    let Some(Value::String(namespace)) = request.get_mut("namespace").map(Value::take) else {
        return Err(Malformed::Namespace);
    };
    if namespace.is_empty() {
        return Err(Malformed::Namespace);
    }
    match request.get_mut("object").map(Value::take) {
        Some(pod @ Value::Object(_)) => Ok(Question::Pod(PodCreation { namespace, dry_run, pod })),
        _ => Err(Malformed::Object),
    }
}

// The pod must not get into a log by way of `{:?}`.
impl std::fmt::Debug for Question {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Pod(_) => "Pod",
            Self::Other => "Other",
        })
    }
}

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
}

/// The kinds of denial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denial {
    /// The review is malformed: 400.
    BadRequest,
    /// An operator's rule forbids it: 403.
    Forbidden,
    /// The pod is malformed: 422.
    Invalid,
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
            Denial::Internal => (500, "InternalError"),
        };
        Self { code, reason, message }
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

/// The API server cuts a warning at this length once all of a request's warnings together are too long.
const WARNING_RUNES: usize = 256;
/// The API server's limit for all warnings of a request is 4096; other webhooks warn too.
const ALL_WARNINGS_RUNES: usize = 3072;

/// Warnings as the API server passes them on: without control characters (it drops such items), none of them and not
/// all together too long. What doesn't fit is counted in a last warning.
fn presentable(warnings: Vec<String>) -> Vec<String> {
    let mut left = ALL_WARNINGS_RUNES;
    let mut kept = Vec::with_capacity(warnings.len());
    let total = warnings.len();
    for warning in warnings {
        let mut text = one_line(&warning);
        if let Some((cut, _)) = text.char_indices().nth(WARNING_RUNES) {
            let end = text.char_indices().nth(WARNING_RUNES - 1).map_or(cut, |(end, _)| end);
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
    serializer.collect_str(&Base64Display::new(bytes, &STANDARD))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn review() -> Value {
        json!({
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "request": {
                "uid": "u-1", "operation": "CREATE", "namespace": "shop", "dryRun": true,
                "resource": {"group": "", "version": "v1", "resource": "pods"},
                "object": {"kind": "Pod", "metadata": {"namespace": "lie"}},
            },
        })
    }

    fn with(pointer: &str, value: Value) -> Value {
        let mut review = review();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let parent = review.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        match value {
            Value::Null => parent.remove(key),
            value => parent.insert(key.to_owned(), value),
        };
        review
    }

    fn parse(review: &Value) -> Result<Review, Unreadable> {
        Review::parse(review.to_string().as_bytes())
    }

    #[test]
    fn reads_the_creation_of_a_pod() {
        let parsed = parse(&review()).unwrap();
        assert_eq!(parsed.uid, "u-1");
        let Ok(Question::Pod(creation)) = parsed.question else { panic!("{parsed:?}") };
        assert_eq!((creation.namespace.as_str(), creation.dry_run), ("shop", true));
        assert_eq!(creation.pod, review()["request"]["object"]);
    }

    #[test]
    fn bodies_without_a_uid_are_unreadable() {
        let deep = [b"{\"request\":{\"uid\":\"u\",\"object\":".as_slice(), &b"[".repeat(100_000)].concat();
        for body in [b"".as_slice(), b"{", b"\xff\xfe", &deep] {
            assert_eq!(Review::parse(body).unwrap_err(), Unreadable::NotJson);
        }
        for body in [json!([]), json!("x"), json!({}), json!({"request": []}), json!({"request": {}})] {
            assert_eq!(parse(&body).unwrap_err(), Unreadable::NoUid, "{body}");
        }
        for uid in [Value::Null, json!(""), json!(7), json!("x".repeat(300))] {
            assert_eq!(parse(&with("/request/uid", uid)).unwrap_err(), Unreadable::NoUid);
        }
    }

    #[test]
    fn other_defects_keep_the_uid() {
        for (pointer, value, expected) in [
            ("/apiVersion", Value::Null, Malformed::ApiVersion),
            ("/apiVersion", json!("admission.k8s.io/v1beta1"), Malformed::ApiVersion),
            ("/kind", json!("Pod"), Malformed::Kind),
            ("/request/resource", Value::Null, Malformed::Resource),
            ("/request/resource", json!({"resource": "pods"}), Malformed::Resource),
            ("/request/operation", Value::Null, Malformed::Operation),
            ("/request/operation", json!("create"), Malformed::Operation),
            ("/request/namespace", Value::Null, Malformed::Namespace),
            ("/request/namespace", json!(""), Malformed::Namespace),
            ("/request/object", Value::Null, Malformed::Object),
            ("/request/object", json!([1]), Malformed::Object),
            ("/request/object", json!("pod"), Malformed::Object),
        ] {
            let parsed = parse(&with(pointer, value)).unwrap();
            assert_eq!(parsed.uid, "u-1");
            assert_eq!(parsed.question.unwrap_err(), expected, "{pointer}");
        }
    }

    #[test]
    fn other_resources_and_operations_are_no_pod_creations() {
        for (pointer, value) in [
            ("/request/resource", json!({"group": "apps", "version": "v1", "resource": "deployments"})),
            ("/request/resource", json!({"group": "", "version": "v2", "resource": "pods"})),
            ("/request/operation", json!("UPDATE")),
            ("/request/operation", json!("DELETE")),
            ("/request/subResource", json!("ephemeralcontainers")),
        ] {
            let parsed = parse(&with(pointer, value)).unwrap();
            assert!(matches!(parsed.question, Ok(Question::Other)), "{pointer}");
        }
    }

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
    }

    #[test]
    fn warnings_fit_what_the_api_server_passes_on() {
        assert_eq!(presentable(vec!["a\nb\u{7}".to_owned()]), ["a b "]);
        let exact = "ä".repeat(WARNING_RUNES);
        assert_eq!(presentable(vec![exact.clone()]), [exact]);
        let long = presentable(vec!["ä".repeat(WARNING_RUNES + 1)]);
        assert_eq!(long[0].chars().count(), WARNING_RUNES);
        let many = presentable(vec!["w".repeat(200); 50]);
        assert!(many.iter().map(|warning| warning.chars().count()).sum::<usize>() < 4096);
        assert_eq!(many.last().unwrap(), "35 more warnings are not shown");
    }
}
