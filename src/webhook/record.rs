//! What is told of an admission, in the log and the metrics. Never annotations, variables, a patch, or any other text
//! of the pod than the name of who made it.

use crate::{
    codes::{Code, admission},
    inject::{document::Document, json::Json},
};

/// Where the question came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// `/mutate`: pods that asked.
    Asked,
    /// `/mutate/all`: every pod of namespaces labelled `injection: all`.
    All,
    /// `/check`: workloads whose pods will ask.
    Workloads,
}

/// How an admission, or the check of a workload, ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// A pod, allowed with the agent in it.
    Injected,
    /// A workload, allowed: its pods will be injected.
    Passed,
    /// A workload, allowed with warnings: its pods will be refused.
    Warned,
    /// Allowed as it was.
    Skipped,
    /// Denied, for something that its author can fix or that passes.
    Rejected,
    /// Not answered as the API server hopes: a malformed review, an overrun, a defect.
    Error,
}

impl Outcome {
    /// The label's value, and the log's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Injected => "injected",
            Self::Passed => "passed",
            Self::Warned => "warned",
            Self::Skipped => "skipped",
            Self::Rejected => "rejected",
            Self::Error => "error",
        }
    }
}

/// What is told of an admission.
#[derive(Debug)]
pub struct Record {
    /// How it ended.
    pub outcome: Outcome,
    /// The request's namespace; empty when unknown.
    pub namespace: String,
    /// Who makes the pod, as `ReplicaSet/shop-5d4f`, or `Pod/NAME` of a pod that nobody else makes; a workload itself
    /// when that is what was asked about. Empty when unknown.
    pub owner: String,
    /// Whether nothing will be stored.
    pub dry_run: bool,
    /// Codes of all problems, in order.
    pub codes: Vec<Code>,
    /// What went wrong, when it is no refusal. In our own words.
    pub error: Option<String>,
}

impl Record {
    /// An admission that ended like this, and nothing more of it.
    pub fn new(outcome: Outcome) -> Self {
        Self {
            outcome,
            namespace: String::new(),
            owner: String::new(),
            dry_run: false,
            codes: Vec::new(),
            error: None,
        }
    }

    /// An admission that was not answered as the API server hopes.
    pub fn error(code: Code, error: impl Into<String>) -> Self {
        Self { codes: vec![code], error: Some(error.into()), ..Self::new(Outcome::Error) }
    }

    /// The same, of this object.
    pub fn about(self, namespace: &str, owner: String, dry_run: bool) -> Self {
        Self { namespace: clean(namespace), owner, dry_run, ..self }
    }

    /// Whether nobody but us can have caused it.
    pub fn is_our_defect(&self) -> bool {
        self.codes.iter().any(|code| [admission::PATCH_DOES_NOT_APPLY, admission::INTERNAL].contains(code))
    }
}

/// Who makes a pod: its controller, of which it has at most one, or itself.
pub fn owner_of(pod: &Document<'_>) -> String {
    let references = pod.metadata("ownerReferences").and_then(Json::as_list).unwrap_or_default();
    let text = |object: &Json<'_>, key: &str| object.get(key).and_then(Json::as_str).map(clean);
    let name = |key| pod.metadata(key).and_then(Json::as_str);
    references
        .iter()
        .filter(|reference| reference.get("controller").and_then(Json::as_bool) == Some(true))
        .find_map(|reference| Some(format!("{}/{}", text(reference, "kind")?, text(reference, "name")?)))
        .unwrap_or_else(|| named("Pod", name("name"), name("generateName")))
}

/// `Deployment/shop`, or what the name will begin with.
pub fn named(kind: &str, name: Option<&str>, prefix: Option<&str>) -> String {
    let given = |name: Option<&str>| name.filter(|name| !name.is_empty()).map(clean);
    let name = given(name).or_else(|| given(prefix));
    format!("{kind}/{}", name.unwrap_or_else(|| "(unnamed)".to_owned()))
}

/// At most as long as a name in Kubernetes, and of its characters: whoever posts here must not fill the log, nor write
/// what a terminal takes for something else.
fn clean(name: &str) -> String {
    /// Longest DNS subdomain.
    const MAX: usize = 253;
    let shown =
        |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | ':') { c } else { '?' };
    name.chars().take(MAX).map(shown).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn pods_are_told_by_who_makes_them() {
        let owner = |references: Value| {
            owner_of(&Document::from(
                json!({"metadata": {"generateName": "shop-5d4f-", "ownerReferences": references}}),
            ))
        };
        let reference = |kind: Value, controller: Value| json!({"kind": kind, "name": "shop-5d4f", "controller": controller});
        let (set, other) = (json!("ReplicaSet"), json!("Backup"));
        assert_eq!(
            owner(json!([reference(other.clone(), json!(false)), reference(set.clone(), json!(true))])),
            "ReplicaSet/shop-5d4f"
        );
        for nobody in [
            Value::Null,
            json!([]),
            json!([reference(other, Value::Null)]),
            json!([reference(json!(7), json!(true))]),
            json!([reference(set, json!("true"))]),
        ] {
            assert_eq!(owner(nobody.clone()), "Pod/shop-5d4f-", "{nobody}");
        }
    }

    #[test]
    fn names_in_the_log_are_bounded_and_plain() {
        assert_eq!(named("Pod", Some(""), Some("shop-")), "Pod/shop-");
        assert_eq!(named("Pod", Some(&"x".repeat(1000)), None).len(), "Pod/".len() + 253);
        assert_eq!(named("Job", None, None), "Job/(unnamed)");
        let odd = json!({"kind": "\u{1b}[31mA b", "name": "a\n\"ü", "controller": true});
        assert_eq!(
            owner_of(&Document::from(json!({"metadata": {"ownerReferences": [odd]}}))),
            "??31mA?b/a???"
        );
    }
}
