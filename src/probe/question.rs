//! The made-up pod, and what its admission has to be like. Pure.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::entry::Kind;
use crate::{
    agent::plan,
    inject::{names::AGENT, problem::one_line},
};

/// The uid of the question, which the answer must repeat.
const UID: &str = "00000000-0000-4000-8000-000000000e5c";

/// The namespace of the question: every cluster has it, so the webhook knows it, whatever it thinks of its pods.
const NAMESPACE: &str = "default";

/// A pod that asks for an environment which is never opened, since the pod never runs.
pub fn trial_pod() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": "esc-injector-probe-",
            "annotations": {"esc.pulumi.com/environment": "probe/probe/probe"},
        },
        "spec": {
            "containers": [{
                "name": "probe",
                "image": "probe.invalid/probe",
                "command": ["/probe"],
                "resources": {"requests": {"cpu": "1m", "memory": "1Mi"}, "limits": {"cpu": "1m", "memory": "1Mi"}},
                "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
            }],
            "securityContext": {
                "runAsNonRoot": true,
                "runAsUser": 65532,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
        },
    })
}

/// The review as the API server would write it: the pod, or a Deployment of it.
pub fn review(kind: Kind) -> Value {
    let pod = trial_pod();
    let (group, resource, kind, object) = match kind {
        Kind::Mutating => ("", "pods", "Pod", pod),
        Kind::Validating => {
            let template = json!({"metadata": pod.get("metadata"), "spec": pod.get("spec")});
            let deployment = json!({
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": "esc-injector-probe", "namespace": NAMESPACE},
                "spec": {"template": template},
            });
            ("apps", "deployments", "Deployment", deployment)
        }
    };
    let kind = json!({"group": group, "version": "v1", "kind": kind});
    let resource = json!({"group": group, "version": "v1", "resource": resource});
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": UID,
            "kind": kind,
            "resource": resource,
            "requestKind": kind,
            "requestResource": resource,
            "namespace": NAMESPACE,
            "operation": "CREATE",
            "userInfo": {"username": "esc-injector-probe"},
            "object": object,
            "oldObject": null,
            "dryRun": true,
        },
    })
}

/// What the answer comes to; the error says what a pod would miss.
pub fn outcome(kind: Kind, answer: &Value) -> Result<String, String> {
    let response = answer.get("response").ok_or("it answered no admission review")?;
    if response.get("uid").and_then(Value::as_str) != Some(UID) {
        return Err("it answered another question".to_owned());
    }
    if response.get("allowed").and_then(Value::as_bool) != Some(true) {
        return refused(response);
    }
    match kind {
        Kind::Validating => Ok("answers".to_owned()),
        Kind::Mutating if adds_the_agent(response) => Ok("answers, and injects a trial pod".to_owned()),
        Kind::Mutating => Err("it let a pod that asks pass without the agent".to_owned()),
    }
}

/// A refusal in its own words, for want of a legal pod in this namespace, is an answer too: an operator may limit what
/// pods ask for. Anything else is a failure.
fn refused(response: &Value) -> Result<String, String> {
    let status = response.get("status");
    let code = status.and_then(|status| status.get("code")).and_then(Value::as_u64);
    let message = status.and_then(|status| status.get("message")).and_then(Value::as_str).unwrap_or_default();
    let first = one_line(message.lines().next().unwrap_or_default());
    match code {
        Some(403 | 422) if first.starts_with("[ESC") => {
            Ok(format!("answers, and refuses a trial pod: {first}"))
        }
        _ => Err(format!("it failed with {}: {first}", code.unwrap_or_default())),
    }
}

fn adds_the_agent(response: &Value) -> bool {
    let patch = response.get("patch").and_then(Value::as_str).and_then(|patch| STANDARD.decode(patch).ok());
    let patch: Option<Value> = patch.and_then(|patch| serde_json::from_slice(&patch).ok());
    let operations = patch.as_ref().and_then(Value::as_array).into_iter().flatten();
    operations
        .filter_map(|operation| operation.get("value"))
        .any(|value| is_agent(value) || value.as_array().is_some_and(|values| values.iter().any(is_agent)))
}

fn is_agent(container: &Value) -> bool {
    let variables = container.get("env").and_then(Value::as_array).into_iter().flatten();
    let named = |value: &Value, name: &str| value.get("name").and_then(Value::as_str) == Some(name);
    named(container, AGENT) && variables.into_iter().any(|variable| named(variable, plan::VARIABLE))
}

/// Whether a pod carries the agent.
pub fn carries_the_agent(pod: &Value) -> bool {
    let containers = pod.pointer("/spec/initContainers").and_then(Value::as_array);
    containers.is_some_and(|containers| containers.iter().any(is_agent))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inject::{Context, Outcome, Policy, inject};

    fn response(fields: &Value) -> Value {
        let mut response = json!({"uid": UID});
        response.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        json!({"response": response})
    }

    /// What the webhook would patch into the pod.
    fn patch(everyone: bool) -> String {
        let policy = Policy::default();
        let context = Context {
            namespace: NAMESPACE,
            namespace_annotations: None,
            everyone,
            api_server: None,
            policy: &policy,
        };
        match inject(&trial_pod(), &context) {
            Outcome::Injected { patch, warnings } => {
                assert!(warnings.is_empty(), "{warnings:?}");
                STANDARD.encode(serde_json::to_vec(&patch).unwrap())
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_trial_pod_is_injected_without_a_word() {
        for everyone in [false, true] {
            let answer =
                response(&json!({"allowed": true, "patch": patch(everyone), "patchType": "JSONPatch"}));
            assert_eq!(outcome(Kind::Mutating, &answer).unwrap(), "answers, and injects a trial pod");
        }
    }

    #[test]
    fn an_answer_that_helps_no_pod_fails() {
        let other =
            STANDARD.encode(r#"[{"op":"add","path":"/metadata/labels","value":{"name":"esc-agent"}}]"#);
        for (answer, why) in [
            (json!({}), "no admission review"),
            (json!({"response": {"uid": "other", "allowed": true}}), "another question"),
            (response(&json!({"allowed": true})), "without the agent"),
            (response(&json!({"allowed": true, "patch": other})), "without the agent"),
            (response(&json!({"allowed": true, "patch": "%"})), "without the agent"),
            (response(&json!({"allowed": false})), "failed with 0"),
            (
                response(&json!({"allowed": false, "status": {"code": 503, "message": "[ESC941] later"}})),
                "503",
            ),
            (
                response(&json!({"allowed": false, "status": {"code": 403, "message": "not by us"}})),
                "not by us",
            ),
        ] {
            let failure = outcome(Kind::Mutating, &answer).unwrap_err();
            assert!(failure.contains(why), "{failure}: {answer}");
        }
    }

    #[test]
    fn a_refusal_by_the_operators_rules_is_an_answer() {
        let answer =
            response(&json!({"allowed": false, "status": {"code": 403, "message": "[ESC112] no\nmore"}}));
        let told = outcome(Kind::Mutating, &answer).unwrap();
        assert_eq!(told, "answers, and refuses a trial pod: [ESC112] no");
    }

    #[test]
    fn a_workload_is_asked_about_with_the_same_pod() {
        let object = review(Kind::Validating)["request"]["object"].clone();
        assert_eq!(object["spec"]["template"]["spec"], trial_pod()["spec"]);
        assert_eq!(object["spec"]["template"]["metadata"], trial_pod()["metadata"]);
        assert!(outcome(Kind::Validating, &response(&json!({"allowed": true}))).is_ok());
    }
}
