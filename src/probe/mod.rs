//! Whether an installation works, tried as the API server would use it: find the webhook by its configurations, trust
//! nothing but their `caBundle`, ask about a made-up pod. What `helm test` runs, so it needs nothing but this binary.
//!
//! It changes nothing, and asks for `get` on two named objects only.

use std::net::SocketAddr;

use http::Request;
use kube::Client;
use serde_json::Value;

mod entry;
mod error;
mod question;

pub use error::ProbeError;

use entry::{Entry, Kind};
pub(crate) use question::{carries_the_agent, trial_pod};

/// What to try.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The name of both webhook configurations.
    pub configuration: String,
    /// A labelled namespace in which a pod is created as a dry run, by way of the API server.
    pub namespace: Option<String>,
    /// Where the webhook is, instead of what DNS says of its Service.
    pub address: Option<SocketAddr>,
}

/// What was found to work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was tried.
    pub subject: String,
    /// How it went.
    pub outcome: String,
}

/// Tries everything once, and stops at the first thing that does not work.
pub async fn probe(client: &Client, settings: &Settings) -> Result<Vec<Finding>, ProbeError> {
    let mut findings = Vec::new();
    for kind in [Kind::Mutating, Kind::Validating] {
        let configuration = configuration(client, kind, &settings.configuration).await?;
        for entry in entry::read(kind, &settings.configuration, &configuration)? {
            let outcome = ask(&entry, settings.address).await?;
            findings.push(Finding { subject: entry.name, outcome });
        }
    }
    if let Some(namespace) = &settings.namespace {
        create(client, namespace).await?;
        let outcome = "the API server had a trial pod injected (dry run)".to_owned();
        findings.push(Finding { subject: format!("namespace {namespace}"), outcome });
    }
    Ok(findings)
}

async fn configuration(client: &Client, kind: Kind, name: &str) -> Result<Value, ProbeError> {
    let wrap = |source| ProbeError::from_reading(kind.resource(), name, source);
    let path = format!("/apis/admissionregistration.k8s.io/v1/{}/{name}", kind.resource());
    let request = Request::get(path).body(Vec::new()).map_err(|error| wrap(kube::Error::HttpError(error)))?;
    client.request(request).await.map_err(wrap)
}

/// Asks the webhook itself, over a connection that trusts the entry's bundle and nothing else.
async fn ask(entry: &Entry, address: Option<SocketAddr>) -> Result<String, ProbeError> {
    let unanswered =
        |source| ProbeError::NoAnswer { entry: entry.name.clone(), url: entry.url.clone(), source };
    let mut builder = reqwest::Client::builder()
        .tls_backend_preconfigured(entry.tls()?)
        .http1_only()
        .no_proxy()
        .timeout(entry.timeout);
    if let Some(address) = address {
        builder = builder.resolve(&entry.host, address);
    }
    let mut url = entry.url.clone();
    if let Some(address) = address {
        // The port of an overridden address is part of it.
        url.set_port(Some(address.port())).map_err(|()| entry.wrong("its address has no port"))?;
    }
    let request = builder
        .build()
        .map_err(unanswered)?
        .post(url)
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(question::review(entry.kind).to_string());
    let response = request.send().await.map_err(unanswered)?;
    let status = response.status();
    let body = response.bytes().await.map_err(unanswered)?;
    if !status.is_success() {
        return Err(entry.wrong(format!("it answered {status}")));
    }
    let answer = serde_json::from_slice(&body).map_err(|_| entry.wrong("it answered no JSON"))?;
    question::outcome(entry.kind, &answer).map_err(|why| entry.wrong(why))
}

/// Creates a pod that asks, as a dry run.
async fn create(client: &Client, namespace: &str) -> Result<(), ProbeError> {
    let refused = |source| ProbeError::from_creating(namespace, source);
    let pod = question::trial_pod().to_string().into_bytes();
    let request = Request::post(format!("/api/v1/namespaces/{namespace}/pods?dryRun=All"))
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(pod)
        .map_err(|error| refused(kube::Error::HttpError(error)))?;
    let created: Value = client.request(request).await.map_err(refused)?;
    if question::carries_the_agent(&created) {
        return Ok(());
    }
    Err(ProbeError::TrialNotInjected { namespace: namespace.to_owned() })
}
