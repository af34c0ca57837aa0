//! The wire form of admission reviews (`admission.k8s.io/v1`): what the API server asks.
//!
//! The question is read in two steps. The uid is found first and leniently, since an answer without it looks to the
//! user like a broken webhook; only then is the rest held to the contract. The object stays raw JSON, and nothing of
//! it is ever quoted in a defect.

use std::fmt;

use serde_json::{Map, Value};

use super::lean;
use crate::inject::document::Document;

pub(super) const API_VERSION: &str = "admission.k8s.io/v1";
pub(super) const KIND: &str = "AdmissionReview";

/// A review that can be answered.
#[derive(Debug)]
pub struct Review<Q> {
    /// The answer must carry it.
    pub uid: String,
    /// What is asked, or why it can't be read; none for something that only a webhook configuration that is not ours
    /// sends.
    pub question: Result<Option<Q>, Malformed>,
}

/// A pod that is being created.
pub struct PodCreation<'a> {
    /// The request's namespace; the pod's own may be empty.
    pub namespace: String,
    /// Whether nothing will be stored.
    pub dry_run: bool,
    /// The pod, always a JSON object.
    pub pod: Document<'a>,
}

/// An object that makes pods, and is being created or changed.
pub struct WorkloadChange {
    /// Its kind; the object's own may be missing.
    pub kind: &'static str,
    /// The request's namespace; the object's own may be empty.
    pub namespace: String,
    /// Whether nothing will be stored.
    pub dry_run: bool,
    /// The object, always a JSON object.
    pub object: Value,
    /// The object as it was; null when it is new.
    pub before: Value,
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
pub(super) const MAX_UID: usize = 256;

impl<'a> Review<PodCreation<'a>> {
    /// Reads a request's body on the creation of a pod.
    pub fn parse(body: &'a [u8]) -> Result<Self, Unreadable> {
        match lean::pod_creation(body) {
            Some(review) => Ok(review),
            None => Self::of(Whole::read(body)?, PodCreation::read),
        }
    }
}

impl Review<WorkloadChange> {
    /// Reads a request's body on the creation or change of an object that makes pods.
    pub fn parse(body: &[u8]) -> Result<Self, Unreadable> {
        Self::of(Whole::read(body)?, WorkloadChange::read)
    }
}

impl<Q> Review<Q> {
    fn of(
        review: Whole,
        read: impl FnOnce(Subject<'_>, &mut Map<String, Value>) -> Result<Option<Q>, Malformed>,
    ) -> Result<Self, Unreadable> {
        let Whole { api_version, kind, mut request } = review;
        let uid = match request.get_mut("uid").map(Value::take) {
            Some(Value::String(uid)) if !uid.is_empty() && uid.len() <= MAX_UID => uid,
            _ => return Err(Unreadable::NoUid),
        };
        let question = match (api_version.as_str(), kind.as_str()) {
            (Some(API_VERSION), Some(KIND)) => question(&mut request, read),
            (Some(API_VERSION), _) => Err(Malformed::Kind),
            _ => Err(Malformed::ApiVersion),
        };
        Ok(Self { uid, question })
    }
}

/// A review as a tree: whatever it is, the uid is found in it.
struct Whole {
    api_version: Value,
    kind: Value,
    request: Map<String, Value>,
}

impl Whole {
    fn read(body: &[u8]) -> Result<Self, Unreadable> {
        let mut review: Value = serde_json::from_slice(body).map_err(|_| Unreadable::NotJson)?;
        let mut take = |key| review.get_mut(key).map(Value::take).unwrap_or_default();
        match take("request") {
            Value::Object(request) => {
                Ok(Self { api_version: take("apiVersion"), kind: take("kind"), request })
            }
            _ => Err(Unreadable::NoUid),
        }
    }
}

/// What a request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Subject<'a> {
    /// Group, version and resource.
    resource: (&'a str, &'a str, &'a str),
    operation: Operation,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Create,
    Update,
    /// Nothing comes into being.
    Other,
}

fn question<Q>(
    request: &mut Map<String, Value>,
    read: impl FnOnce(Subject<'_>, &mut Map<String, Value>) -> Result<Option<Q>, Malformed>,
) -> Result<Option<Q>, Malformed> {
    let resource = request.get_mut("resource").map(Value::take).ok_or(Malformed::Resource)?;
    let part = |name| resource.get(name).and_then(Value::as_str).ok_or(Malformed::Resource);
    let resource = (part("group")?, part("version")?, part("resource")?);
    let operation = match request.get("operation").and_then(Value::as_str) {
        Some("CREATE") => Operation::Create,
        Some("UPDATE") => Operation::Update,
        Some("DELETE" | "CONNECT") => Operation::Other,
        _ => return Err(Malformed::Operation),
    };
    if request.get("subResource").and_then(Value::as_str).is_some_and(|name| !name.is_empty()) {
        return Ok(None);
    }
    read(Subject { resource, operation }, request)
}

/// Namespace, whether it is a dry run, and the object.
fn common(request: &mut Map<String, Value>) -> Result<(String, bool, Value), Malformed> {
    let dry_run = request.get("dryRun").and_then(Value::as_bool).unwrap_or(false);
    let namespace = match request.get_mut("namespace").map(Value::take) {
        Some(Value::String(namespace)) if !namespace.is_empty() => namespace,
        _ => return Err(Malformed::Namespace),
    };
    match request.get_mut("object").map(Value::take) {
        Some(object @ Value::Object(_)) => Ok((namespace, dry_run, object)),
        _ => Err(Malformed::Object),
    }
}

impl PodCreation<'_> {
    fn read(subject: Subject<'_>, request: &mut Map<String, Value>) -> Result<Option<Self>, Malformed> {
        if (subject.resource, subject.operation) != (("", "v1", "pods"), Operation::Create) {
            return Ok(None);
        }
        let (namespace, dry_run, pod) = common(request)?;
        Ok(Some(Self { namespace, dry_run, pod: Document::from(pod) }))
    }
}

impl WorkloadChange {
    fn read(subject: Subject<'_>, request: &mut Map<String, Value>) -> Result<Option<Self>, Malformed> {
        let kind = match subject.resource {
            ("apps", "v1", "deployments") => "Deployment",
            ("apps", "v1", "statefulsets") => "StatefulSet",
            ("apps", "v1", "daemonsets") => "DaemonSet",
            ("apps", "v1", "replicasets") => "ReplicaSet",
            ("batch", "v1", "jobs") => "Job",
            ("batch", "v1", "cronjobs") => "CronJob",
            _ => return Ok(None),
        };
        if subject.operation == Operation::Other {
            return Ok(None);
        }
        let before = request.get_mut("oldObject").map(Value::take).unwrap_or_default();
        let (namespace, dry_run, object) = common(request)?;
        Ok(Some(Self { kind, namespace, dry_run, object, before }))
    }
}

// The objects must not get into a log by way of `{:?}`.
impl fmt::Debug for PodCreation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PodCreation")
    }
}

impl fmt::Debug for WorkloadChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind)
    }
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

    fn parse(review: &Value) -> Result<Review<PodCreation<'static>>, Unreadable> {
        // Tests are short: what they read may stay.
        Review::<PodCreation<'_>>::parse(review.to_string().into_bytes().leak())
    }

    #[test]
    fn reads_the_creation_of_a_pod() {
        let parsed = parse(&review()).unwrap();
        assert_eq!(parsed.uid, "u-1");
        let Ok(Some(creation)) = parsed.question else { panic!("{parsed:?}") };
        assert_eq!((creation.namespace.as_str(), creation.dry_run), ("shop", true));
        assert_eq!(creation.pod.root().to_value(), json!({"metadata": {}}));
    }

    #[test]
    fn bodies_without_a_uid_are_unreadable() {
        let deep = [b"{\"request\":{\"uid\":\"u\",\"object\":".as_slice(), &b"[".repeat(100_000)].concat();
        for body in [b"".as_slice(), b"{", b"\xff\xfe", &deep] {
            assert_eq!(Review::<PodCreation<'_>>::parse(body).unwrap_err(), Unreadable::NotJson);
            assert_eq!(Review::<WorkloadChange>::parse(body).unwrap_err(), Unreadable::NotJson);
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
            assert!(matches!(parsed.question, Ok(None)), "{pointer}");
        }
    }

    #[test]
    fn reads_the_creation_and_change_of_what_makes_pods() {
        let parse = |pointer: &str, value: Value| {
            let mut review = with(
                "/request/resource",
                json!({"group": "apps", "version": "v1", "resource": "deployments"}),
            );
            review["request"]["oldObject"] = json!({"old": true});
            *review.pointer_mut(pointer).unwrap() = value;
            Review::<WorkloadChange>::parse(review.to_string().as_bytes()).unwrap().question.unwrap()
        };
        for operation in ["CREATE", "UPDATE"] {
            let change = parse("/request/operation", json!(operation)).unwrap();
            assert_eq!(
                (change.kind, change.namespace.as_str(), change.dry_run),
                ("Deployment", "shop", true)
            );
            assert_eq!(
                (change.object, change.before),
                (review()["request"]["object"].clone(), json!({"old": true}))
            );
        }
        for (pointer, value) in [
            ("/request/operation", json!("DELETE")),
            ("/request/resource/resource", json!("deployments/scale")),
            ("/request/resource/resource", json!("services")),
            ("/request/resource/group", json!("batch")),
            ("/request/resource/version", json!("v1beta1")),
        ] {
            assert!(parse(pointer, value).is_none(), "{pointer}");
        }
    }
}
