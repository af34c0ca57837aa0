//! What is wrong with an installation, asked of the cluster that it is in. Read-only: it asks for objects, for one dry
//! run, and, where a ServiceAccount is named, for a token of it, which it shows to ESC and to nobody else.
//!
//! `fetch` asks, one file for each subject judges what was answered, without asking itself. A check that can't be made
//! says so, and is neither good nor bad.

use std::net::SocketAddr;

use kube::Client;
use serde_json::Value;

use crate::{
    codes::{Code, installation},
    inject::Policy,
};

mod cluster;
mod configuration;
mod expected;
mod fetch;
mod identity;
mod namespace;
mod replicas;

use fetch::{Api, Refusal};

/// What to look at.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The name of all objects of the installation.
    pub name: String,
    /// The namespace of the installation.
    pub home: String,
    /// A namespace whose pods are to be injected.
    pub namespace: Option<String>,
    /// A `ServiceAccount` in it whose identity is tried.
    pub account: Option<String>,
    /// The organization that the identity is shown to, where the namespace's annotations name none.
    pub organization: Option<String>,
    /// Whether this process runs in the cluster, so that it reaches Services.
    pub is_inside: bool,
    /// Where the webhook is, instead of what DNS says of its Service.
    pub address: Option<SocketAddr>,
    /// What the webhook's arguments say of injection.
    pub policy: fn(&[String]) -> Result<Policy, String>,
}

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is as it should be.
    Good,
    /// It works, and somebody should look at it.
    Doubtful,
    /// It does not work.
    Bad,
    /// It could not be checked.
    Unknown,
}

/// One line of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What was looked at.
    pub subject: String,
    /// How it went.
    pub verdict: Verdict,
    /// What was found, or why nothing could be.
    pub found: String,
    /// What explains it; nothing for what is good.
    pub code: Option<Code>,
    /// What to do; the code's own where nothing better is known.
    pub fix: String,
}

impl Check {
    fn good(subject: impl Into<String>, found: impl Into<String>) -> Self {
        Self {
            subject: subject.into(),
            verdict: Verdict::Good,
            found: found.into(),
            code: None,
            fix: String::new(),
        }
    }

    fn bad(subject: impl Into<String>, found: impl Into<String>, code: Code) -> Self {
        let (verdict, fix) = (Verdict::Bad, code.entry().fix.to_owned());
        Self { subject: subject.into(), verdict, found: found.into(), code: Some(code), fix }
    }

    fn doubtful(subject: impl Into<String>, found: impl Into<String>, code: Code) -> Self {
        Self { verdict: Verdict::Doubtful, ..Self::bad(subject, found, code) }
    }

    fn unknown(subject: impl Into<String>, why: impl Into<String>) -> Self {
        Self { verdict: Verdict::Unknown, ..Self::good(subject, why) }
    }

    fn fix(self, fix: impl Into<String>) -> Self {
        Self { fix: fix.into(), ..self }
    }
}

/// What could not be asked, as a check: forbidden is unknown; an API server that is silent is bad, and so is one that
/// does not know who asks.
fn unasked(subject: &str, refusal: &Refusal) -> Check {
    match refusal {
        Refusal::Unauthenticated(why) => {
            Check::bad(subject, why.clone(), installation::UNKNOWN_TO_API_SERVER)
        }
        Refusal::Forbidden(why) => Check::unknown(subject, format!("not checked: {why}")),
        Refusal::Absent => Check::unknown(subject, "not checked: there is no such object"),
        Refusal::Other(why) => Check::unknown(subject, format!("not checked: the API server said: {why}")),
        Refusal::Silent(why) => Check::bad(subject, why.clone(), installation::NO_API_SERVER),
    }
}

/// Looks at everything once, in the order in which things depend on each other.
pub async fn examine(client: Client, settings: &Settings) -> Vec<Check> {
    let api = Api::new(client);
    let version = api.get("/version").await;
    if let Err(refusal @ (Refusal::Silent(_) | Refusal::Unauthenticated(_))) = &version {
        // Nothing else can be asked either.
        return vec![unasked("API server", refusal)];
    }
    let mut checks = vec![cluster::version(&version)];
    let release = version.as_ref().ok().and_then(cluster::release);
    checks.extend(configuration::check(&api, settings).await);
    let deployment = api.get(&fetch::deployment(settings)).await;
    let arguments = replicas::arguments(&deployment);
    let mut policy = (settings.policy)(&arguments);
    if let (Ok(policy), Some(_)) = (&mut policy, replicas::flag(&arguments, "ca-file")) {
        let map = api.get(&replicas::config_map(settings)).await;
        policy.ca_pem = map.ok().as_ref().and_then(replicas::certificates);
    }
    checks.extend(replicas::check(&api, settings).await);
    let policy = match (policy, &deployment) {
        (Ok(policy), Ok(_)) => Some(policy),
        (Err(why), _) => {
            checks.push(Check::unknown("webhook's settings", format!("not checked: {why}")));
            None
        }
        (Ok(_), Err(refusal)) => {
            checks.push(replicas::no_deployment(refusal, settings));
            None
        }
    };
    checks.extend(cluster::kubelets(&api.get("/api/v1/nodes?limit=500").await, release, policy.as_ref()));
    let Some(namespace) = &settings.namespace else {
        checks.push(Check::unknown("namespace", "not checked: name one with --namespace"));
        return checks;
    };
    let object = api.get(&format!("/api/v1/namespaces/{namespace}")).await;
    checks.extend(namespace::check(&api, namespace, &object, &policy.clone().unwrap_or_default()).await);
    checks.extend(identity::check(&api, settings, &object, policy.as_ref()).await);
    checks
}

/// Whether a list goes on after what was asked for: clusters have tens of thousands of things.
fn is_cut(list: &Value) -> bool {
    text(list, "/metadata/continue").is_some_and(|rest| !rest.is_empty())
}

/// A text in an object, by JSON pointer.
fn text<'a>(object: &'a Value, pointer: &str) -> Option<&'a str> {
    object.pointer(pointer)?.as_str()
}

/// A list in an object, by JSON pointer; empty if there is none.
fn list<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    object.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}
