//! The webhook itself: has its Service somebody who answers, and does the answer convince.

use serde_json::Value;

use super::{Api, Check, Refusal, Settings, list, text, unasked};
use crate::{
    codes::installation as codes,
    kubeconfig::describe,
    probe::{self, ProbeError},
};

/// The arguments of the webhook's container; none if they are not known.
pub fn arguments(deployment: &Result<Value, Refusal>) -> Vec<String> {
    let Ok(deployment) = deployment else { return Vec::new() };
    let arguments = list(deployment, "/spec/template/spec/containers/0/args");
    // Kubelet reads a doubled dollar sign as one.
    arguments.iter().filter_map(Value::as_str).map(|argument| argument.replace("$$", "$")).collect()
}

/// The Deployment can't be read, so that the webhook's settings are not known.
pub fn no_deployment(refusal: &Refusal, settings: &Settings) -> Check {
    const SUBJECT: &str = "webhook's settings";
    match refusal {
        Refusal::Absent => {
            let told = format!("there is no Deployment {} in namespace {}", settings.name, settings.home);
            Check::bad(SUBJECT, told, codes::NO_REPLICA).fix(
                "Restore it with `helm upgrade`; if the installation is elsewhere or has another name, pass --installed-in and --name.",
            )
        }
        refusal => unasked(SUBJECT, refusal),
    }
}

/// Asks for the Service's endpoints, and the webhook itself where it can be reached from here.
pub async fn check(api: &Api, settings: &Settings) -> Vec<Check> {
    let Settings { name, home, .. } = settings;
    let path = format!(
        "/apis/discovery.k8s.io/v1/namespaces/{home}/endpointslices?labelSelector=kubernetes.io%2Fservice-name%3D{name}"
    );
    let mut checks = vec![endpoints(&api.get(&path).await, settings)];
    if settings.is_inside || settings.address.is_some() {
        let question =
            probe::Settings { configuration: name.clone(), namespace: None, address: settings.address };
        checks.extend(answers(probe::probe(api.client(), &question).await));
    } else {
        let why = "not checked: Services are reached from inside the cluster only; forward its port and pass --address, or see the trial pod";
        checks.push(Check::unknown("webhook's answer", why));
    }
    checks
}

fn endpoints(answer: &Result<Value, Refusal>, settings: &Settings) -> Check {
    let subject = format!("Service {}/{}", settings.home, settings.name);
    let slices = match answer {
        Ok(slices) => slices,
        Err(refusal) => return unasked(&subject, refusal),
    };
    let endpoints = list(slices, "/items").iter().flat_map(|slice| list(slice, "/endpoints"));
    // Unset means ready.
    let is_ready = |endpoint: &&Value| endpoint.pointer("/conditions/ready") != Some(&Value::Bool(false));
    let (ready, all) =
        endpoints.fold((0, 0), |(ready, all), endpoint| (ready + usize::from(is_ready(&endpoint)), all + 1));
    match (ready, all) {
        (0, 0) => Check::bad(subject, "has no endpoints", codes::NO_REPLICA),
        (0, all) => Check::bad(subject, format!("has {all} endpoints, and none is ready"), codes::NO_REPLICA),
        (1, 1) => Check::good(subject, "has one endpoint, and it is ready"),
        (ready, all) => Check::good(subject, format!("has {all} endpoints, of which {ready} are ready")),
    }
}

fn answers(result: Result<Vec<probe::Finding>, ProbeError>) -> Vec<Check> {
    const SUBJECT: &str = "webhook's answer";
    match result {
        Ok(findings) => findings
            .into_iter()
            .map(|finding| Check::good(format!("webhook at {}", finding.subject), finding.outcome))
            .collect(),
        Err(
            error
            @ (ProbeError::ApiServer(_) | ProbeError::Configuration { .. } | ProbeError::NoEntry { .. }),
        ) => {
            vec![Check::unknown(SUBJECT, format!("not checked: {}", describe(&error)))]
        }
        Err(error) => vec![Check::bad(SUBJECT, describe(&error), error.code())],
    }
}

/// The value of a flag in the webhook's arguments.
pub fn flag<'a>(arguments: &'a [String], name: &str) -> Option<&'a str> {
    let of = |argument: &'a String| argument.strip_prefix("--")?.strip_prefix(name)?.strip_prefix('=');
    arguments.iter().find_map(of)
}

/// The name of the Deployment's `ConfigMap` with what ESC's certificate is held against.
pub fn config_map(deployment: &Settings) -> String {
    format!("/api/v1/namespaces/{}/configmaps/{}-esc-ca", deployment.home, deployment.name)
}

/// The certificates in it.
pub fn certificates(map: &Value) -> Option<String> {
    text(map, "/data/ca.crt").map(str::to_owned)
}
