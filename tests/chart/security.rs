//! Every pod passes Pod Security `restricted`, whatever the values.

use serde_json::{Value, json};

use crate::helm::render;

/// The pod specifications of everything that makes pods.
fn pods(values: &str) -> Vec<Value> {
    let objects = render(values);
    let pods = objects.0.iter().filter_map(|object| match object["kind"].as_str().unwrap() {
        "Pod" => Some(object["spec"].clone()),
        "Deployment" => Some(object["spec"]["template"]["spec"].clone()),
        "Job" | "CronJob" | "DaemonSet" | "StatefulSet" => panic!("{} is new: judge it too", object["kind"]),
        _ => None,
    });
    pods.collect()
}

#[test]
#[ignore = "needs helm: tests/cluster/install"]
fn pods_are_restricted() {
    for values in [
        "{}",
        "openshift: {enabled: true}",
        "certificates: {mode: certManager}",
        "api: {caBundle: '-----BEGIN CERTIFICATE-----'}",
    ] {
        let pods = pods(values);
        assert_eq!(pods.len(), 2, "the webhook's and the test's");
        for pod in pods {
            let context = &pod["securityContext"];
            assert_eq!(context["runAsNonRoot"], true);
            assert_eq!(context["seccompProfile"]["type"], "RuntimeDefault");
            for field in ["hostNetwork", "hostPID", "hostIPC"] {
                assert!(pod.get(field).is_none(), "{field}");
            }
            for container in pod["containers"].as_array().unwrap() {
                let context = &container["securityContext"];
                assert_eq!(context["allowPrivilegeEscalation"], false);
                assert_eq!(context["readOnlyRootFilesystem"], true);
                assert_eq!(context["capabilities"], json!({"drop": ["ALL"]}));
                assert!(context.get("privileged").is_none());
                assert!(container["resources"]["requests"]["memory"].is_string());
                assert!(container["resources"]["limits"]["memory"].is_string());
                let ports = container["ports"].as_array().into_iter().flatten();
                assert!(ports.into_iter().all(|port| port.get("hostPort").is_none()));
            }
            for volume in pod["volumes"].as_array().into_iter().flatten() {
                assert!(volume.get("hostPath").is_none());
            }
        }
    }
}

#[test]
#[ignore = "needs helm: tests/cluster/install"]
fn openshift_chooses_the_uids() {
    for pod in pods("openshift: {enabled: true}") {
        for field in ["runAsUser", "runAsGroup", "fsGroup"] {
            assert!(pod["securityContext"].get(field).is_none(), "{field}");
        }
    }
    for pod in pods("{}") {
        assert_eq!(pod["securityContext"]["runAsUser"], 65532);
    }
}
