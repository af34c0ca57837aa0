//! What to inject: a pure function of the pod, its namespace and the operator's policy.
//!
//! annotations ▶ `layer`s ▶ `request` ▶ `fit` ▶ `plan` ▶ `patch`. No I/O, no clock, nothing spawned; the pod is
//! raw JSON, because a typed round trip would drop fields that this build does not know.
//!
//! `inject(p) = plan(p without ours)`: an earlier injection is recognised (`ours`), everything is decided on the pod
//! as it was before, and `reconcile` writes only what differs.

use std::collections::BTreeMap;

use serde_json::Value;

mod annotations;
mod config;
pub mod document;
mod env;
mod fit;
pub mod json;
pub mod keys;
mod layer;
mod mounts;
pub mod names;
mod namespace;
mod origin;
mod ours;
mod owner;
pub mod patch;
mod plan;
mod pod;
pub mod policy;
pub mod problem;
mod quantity;
mod receivers;
mod reconcile;
pub mod references;
mod refresh;
mod rehearsal;
mod request;
mod resources;
mod schema;
mod sidecar;
pub mod subject;
mod values;
pub mod version;
mod views;

use document::Document;
use json::Json;
pub use namespace::{LABEL, Namespace, Opening};
use patch::Patch;
use pod::{Malformed, Pod};
pub use policy::Policy;
pub use problem::{Problem, Warning};
pub use reconcile::rehearse;
use request::Asked;
pub use schema::config_schema;
use subject::Subject;
use version::{Releases, Version};

use crate::codes::pod as codes;

/// Where the pod is created.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The namespace of the admission request (the pod's own may be empty).
    pub namespace: &'a str,
    /// The namespace's `esc.pulumi.com/…` annotations, if they are known.
    pub namespace_annotations: Option<&'a BTreeMap<String, String>>,
    /// Whether every pod of the namespace is injected (label `injection: all`).
    pub everyone: bool,
    /// Release of the API server, as far as it is known.
    pub api_server: Option<Version>,
    /// What the operator settled.
    pub policy: &'a Policy,
}

impl Context<'_> {
    /// What is known of the cluster's releases.
    fn releases(&self) -> Releases {
        Releases { api_server: self.api_server, min_kubelet: self.policy.min_kubelet }
    }
}

/// What becomes of a pod.
#[derive(Debug)]
pub enum Outcome {
    /// Not ours, or nothing to do: allowed as it is.
    Skipped {
        /// Legal but worrying things.
        warnings: Vec<Warning>,
    },
    /// Injected; an empty patch when it already was.
    Injected {
        /// RFC 6902; applies to the pod as given.
        patch: Patch,
        /// Legal but worrying things.
        warnings: Vec<Warning>,
    },
    /// It asked and can't have it. Never empty.
    Refused(Vec<Problem>),
}

/// The annotation with which kubelet marks the API's picture of a static pod, which no one may change.
const MIRROR: &str = "kubernetes.io/config.mirror";

/// Whether a pod is ours to decide on, before anything but its annotations is looked at: a pod that does not ask is
/// none of our business, however odd it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Concern {
    /// It asks.
    Asks,
    /// It does not ask, and its namespace asks for all.
    Everyone,
    /// It is left as it is.
    None,
    /// It is left as it is, by its own annotations.
    Declined,
}

/// Who asks and who is left alone. The chart's policies say the same in CEL: change both or neither.
fn concern(document: &Document<'_>, context: &Context<'_>) -> Concern {
    let annotations = document.annotations();
    let annotation = |key: &str| annotations.and_then(|map| map.get(key));
    if context.policy.own_namespace.as_deref() == Some(context.namespace) || annotation(MIRROR).is_some() {
        return Concern::None;
    }
    let inject = annotation(&format!("{}{}", keys::PREFIX, keys::Key::Inject)).and_then(Json::as_str);
    let asks = annotations.is_some_and(|map| annotations::ask(map.iter().map(|(key, _)| key)));
    match (inject, asks) {
        (Some("false"), _) => Concern::Declined,
        (_, true) => Concern::Asks,
        (_, false) if context.everyone => Concern::Everyone,
        (_, false) => Concern::Declined,
    }
}

/// Whether [`inject`] looks at more than the pod's annotations, so that what its namespace says may matter.
pub fn concerns(document: &Document<'_>, context: &Context<'_>) -> bool {
    matches!(concern(document, context), Concern::Asks | Concern::Everyone)
}

/// Decides what becomes of a pod.
pub fn inject(pod: &Value, context: &Context<'_>) -> Outcome {
    decide(&Document::from(pod.clone()), context)
}

/// Decides what becomes of a pod as it was sent.
pub fn decide(document: &Document<'_>, context: &Context<'_>) -> Outcome {
    let asks = match concern(document, context) {
        Concern::Asks => true,
        Concern::Everyone => false,
        Concern::None => return Outcome::Skipped { warnings: Vec::new() },
        Concern::Declined => {
            let warnings = ours::left_behind(document).into_iter().collect();
            return Outcome::Skipped { warnings };
        }
    };
    let found = match Pod::read(document) {
        Ok(pod) => pod,
        Err(Malformed { field, expected }) => {
            let message = format!("expected {expected}");
            return Outcome::Refused(vec![Problem::invalid(
                codes::MALFORMED,
                Subject::Field(field),
                message,
            )]);
        }
    };
    if found.is_windows {
        let why = "runs on Windows, and the agent runs on Linux only";
        return if asks {
            Outcome::Refused(vec![Problem::invalid(codes::WINDOWS, "the pod", why)])
        } else {
            let message = format!("not injected: the pod {why}");
            Outcome::Skipped { warnings: vec![Warning::new(codes::WINDOWS, "the pod", message)] }
        };
    }
    let (stripped, earlier) = ours::strip(found.clone());
    let Asked { request, origin, mut problems, mut warnings } = request::read(&found, context);
    // The pod is judged even where an annotation is wrong: all problems are told at once.
    let fit = fit::fit(&stripped, &request, context, earlier.as_ref());
    problems.extend(fit.problems);
    warnings.extend(fit.warnings);
    let injection = origin.map(|origin| plan::plan(&stripped, &request, &origin, context.policy, fit.shape));
    match injection {
        Some(Ok(injection)) if problems.is_empty() => {
            let patch = reconcile::patch(document, &found, &stripped, earlier.as_ref(), &injection);
            Outcome::Injected { patch, warnings }
        }
        injection => {
            problems.extend(injection.and_then(Result::err));
            Outcome::Refused(problems)
        }
    }
}
