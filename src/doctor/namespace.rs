//! A namespace whose pods are to be injected: is it open, are its defaults legal, is a pod injected, were all.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Api, Check, Refusal, is_cut, list, text, unasked};
use crate::{
    codes::{self, installation},
    inject::{self, Context, Outcome, Policy, document::Document, keys::PREFIX},
    probe,
    prose::some,
};

const LABEL: &str = "/metadata/labels/esc.pulumi.com~1injection";

/// Most pods that are looked at.
const PODS: usize = 500;

/// Most names that are told.
const NAMES: usize = 5;

/// Asks what has to be asked beside the namespace itself.
pub async fn check(
    api: &Api,
    namespace: &str,
    object: &Result<Value, Refusal>,
    policy: &Policy,
) -> Vec<Check> {
    let subject = format!("namespace {namespace}");
    let object = match object {
        Ok(object) => object,
        Err(Refusal::Absent) => {
            let check = Check::bad(&subject, "does not exist", installation::ASKED_OUTSIDE);
            return vec![check.fix("Correct --namespace.")];
        }
        Err(refusal) => return vec![unasked(&subject, refusal)],
    };
    let label = label(&subject, namespace, object, policy);
    let is_open = label.verdict == super::Verdict::Good;
    let mut checks = vec![label];
    checks.extend(defaults(&subject, namespace, object, policy));
    if is_open {
        let path = format!("/api/v1/namespaces/{namespace}/pods?dryRun=All");
        checks.push(trial(&api.post(&path, &probe::trial_pod()).await));
        let pods = api.get(&format!("/api/v1/namespaces/{namespace}/pods?limit={PODS}")).await;
        checks.push(pods_of(namespace, &pods, text(object, LABEL) == Some("all"), policy));
    } else {
        checks.push(Check::unknown("trial pod", "not checked: the namespace is not injected"));
    }
    checks
}

fn label(subject: &str, namespace: &str, object: &Value, policy: &Policy) -> Check {
    if policy.own_namespace.as_deref() == Some(namespace) || namespace == "kube-system" {
        let check = Check::bad(subject, "is never injected", installation::ASKED_OUTSIDE);
        return check.fix("Use another namespace.");
    }
    match text(object, LABEL) {
        Some("enabled") => Check::good(subject, "is labelled: pods that ask are injected"),
        Some("all") => Check::good(subject, "is labelled: every pod is injected, and depends on the webhook"),
        found => {
            let told = match found {
                Some(other) => {
                    format!("carries the label esc.pulumi.com/injection={other}, which means nothing")
                }
                None => "is not labelled for injection".to_owned(),
            };
            let fix =
                format!("kubectl label namespace {namespace} --overwrite esc.pulumi.com/injection=enabled");
            Check::bad(subject, told, installation::ASKED_OUTSIDE).fix(fix)
        }
    }
}

/// The namespace's annotations of ours.
pub fn annotations(object: &Value) -> BTreeMap<String, String> {
    let all = object.pointer("/metadata/annotations").and_then(Value::as_object).into_iter().flatten();
    all.filter(|(key, _)| key.starts_with(PREFIX))
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}

/// A pod with nothing wrong in it, so that what is wrong is the namespace's.
fn defaults(subject: &str, namespace: &str, object: &Value, policy: &Policy) -> Vec<Check> {
    let annotations = annotations(object);
    let subject = format!("{subject}, defaults");
    if annotations.is_empty() {
        return Vec::new();
    }
    let context = Context {
        namespace,
        namespace_annotations: Some(&annotations),
        everyone: false,
        api_server: None,
        policy,
    };
    let problems = match inject::inject(&probe::trial_pod(), &context) {
        Outcome::Refused(problems) => problems,
        Outcome::Injected { .. } | Outcome::Skipped { .. } => Vec::new(),
    };
    // The pod's environment is made up, and no allow-list knows it.
    let mut bad: Vec<_> = problems
        .into_iter()
        .filter(|problem| problem.code != codes::annotations::ENVIRONMENT_NOT_ALLOWED)
        .map(|problem| Check::bad(&subject, problem.to_string(), problem.code))
        .collect();
    if bad.is_empty() {
        bad.push(Check::good(subject, "a pod could have all that they say"));
    }
    bad
}

fn trial(answer: &Result<Value, Refusal>) -> Check {
    const SUBJECT: &str = "trial pod";
    let code = installation::TRIAL_POD_NOT_INJECTED;
    match answer {
        Ok(pod) if probe::carries_the_agent(pod) => {
            Check::good(SUBJECT, "was injected by way of the API server (dry run; nothing was created)")
        }
        Ok(_) => Check::bad(SUBJECT, "came back without the agent (dry run)", code),
        // The webhook's own words are proof enough that it is asked.
        Err(Refusal::Forbidden(why) | Refusal::Other(why))
            if why.contains("[ESC1") || why.contains("[ESC2") =>
        {
            Check::good(
                SUBJECT,
                format!("reached the webhook, which has its rules for this namespace: {why}"),
            )
        }
        Err(Refusal::Forbidden(why)) if why.contains("cannot create resource") => {
            Check::unknown(SUBJECT, format!("not checked: {why}"))
        }
        Err(Refusal::Forbidden(why) | Refusal::Other(why)) => {
            Check::bad(SUBJECT, format!("was refused: {why}"), code)
        }
        Err(refusal) => unasked(SUBJECT, refusal),
    }
}

fn pods_of(namespace: &str, pods: &Result<Value, Refusal>, everyone: bool, policy: &Policy) -> Check {
    let subject = format!("pods of {namespace}");
    let pods = match pods {
        Ok(pods) => pods,
        Err(refusal) => return unasked(&subject, refusal),
    };
    let context = Context { namespace, namespace_annotations: None, everyone, api_server: None, policy };
    let (mut asked, mut without) = (0, Vec::new());
    for pod in list(pods, "/items") {
        let is_over = matches!(text(pod, "/status/phase"), Some("Succeeded" | "Failed"));
        if is_over || !inject::concerns(&Document::from(pod.clone()), &context) {
            continue;
        }
        asked += 1;
        if !probe::carries_the_agent(pod) {
            without.push(text(pod, "/metadata/name").unwrap_or("?"));
        }
    }
    let looked = if is_cut(pods) { format!(" (of the first {PODS} pods)") } else { String::new() };
    if without.is_empty() {
        return Check::good(subject, format!("{asked} ask, and all carry the agent{looked}"));
    }
    let names = some(&without, NAMES);
    let told = format!("{} of {asked} that ask carry no agent: {names}{looked}", without.len());
    let check = Check::bad(subject, told, installation::ASKED_NOT_INJECTED);
    check.fix("They were made before the namespace was labelled, or while the webhook was passed over: make them anew (`kubectl rollout restart`).")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::doctor::Verdict;

    fn codes(checks: &[Check]) -> Vec<(Verdict, Option<&'static str>)> {
        checks.iter().map(|check| (check.verdict, check.code.map(crate::codes::Code::id))).collect()
    }

    #[test]
    fn a_label_opens_a_namespace_and_nothing_else_does() {
        let policy = Policy { own_namespace: Some("esc".to_owned()), ..Policy::default() };
        for (namespace, value, verdict) in [
            ("shop", json!("enabled"), Verdict::Good),
            ("shop", json!("all"), Verdict::Good),
            ("shop", json!("true"), Verdict::Bad),
            ("shop", Value::Null, Verdict::Bad),
            ("esc", json!("enabled"), Verdict::Bad),
            ("kube-system", json!("enabled"), Verdict::Bad),
        ] {
            let object = json!({"metadata": {"labels": {"esc.pulumi.com/injection": value}}});
            assert_eq!(label("n", namespace, &object, &policy).verdict, verdict, "{namespace} {value}");
        }
    }

    #[test]
    fn defaults_that_would_keep_pods_out_are_told_with_their_own_codes() {
        let judge = |annotations: Value| {
            let object = json!({"metadata": {"annotations": annotations}});
            codes(&defaults("n", "shop", &object, &Policy::default()))
        };
        assert_eq!(judge(json!({"other": "x"})), []);
        let legal = json!({"esc.pulumi.com/environment": "a", "x": "y"});
        assert_eq!(judge(legal), [(Verdict::Bad, Some("ESC104"))]);
        let legal =
            json!({"esc.pulumi.com/refresh": "5m", "esc.pulumi.com/allowed-environments": "acme/*/*"});
        assert_eq!(judge(legal), [(Verdict::Good, None)]);
    }

    #[test]
    fn a_trial_pod_tells_how_the_api_server_treats_pods() {
        let injected = json!({"spec": {"initContainers": [{"name": "esc-agent", "env": [{"name": "ESC_INJECTOR_PLAN"}]}]}});
        for (answer, verdict) in [
            (Ok(injected), Verdict::Good),
            (Ok(json!({"spec": {}})), Verdict::Bad),
            (Err(Refusal::Forbidden("denied the request: [ESC112] x".to_owned())), Verdict::Good),
            (Err(Refusal::Forbidden("User x cannot create resource \"pods\"".to_owned())), Verdict::Unknown),
            (Err(Refusal::Forbidden("exceeded quota".to_owned())), Verdict::Bad),
            (Err(Refusal::Other("failed calling webhook".to_owned())), Verdict::Bad),
            (Err(Refusal::Silent("gone".to_owned())), Verdict::Bad),
        ] {
            assert_eq!(trial(&answer).verdict, verdict, "{answer:?}");
        }
    }

    #[test]
    fn pods_that_ask_and_carry_nothing_are_named() {
        let pod = |name: &str, key: &str, phase: &str| json!({"metadata": {"name": name, "annotations": {key: "x"}}, "spec": {}, "status": {"phase": phase}});
        let ours = "esc.pulumi.com/environment";
        let pods =
            json!({"items": [pod("a", ours, "Running"), pod("b", "c", "Running"), pod("d", ours, "Failed")]});
        let check = pods_of("shop", &Ok(pods.clone()), false, &Policy::default());
        assert!(check.found.starts_with("1 of 1 that ask carry no agent: a"), "{}", check.found);
        let check = pods_of("shop", &Ok(pods), true, &Policy::default());
        assert!(check.found.starts_with("2 of 2"), "{}", check.found);
        let none = pods_of("shop", &Ok(json!({"items": []})), false, &Policy::default());
        assert_eq!(none.verdict, Verdict::Good);
    }
}
