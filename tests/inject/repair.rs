//! What happens to a pod that was injected before: others change pods after us, and people copy live pods.

use serde_json::{Value, json};

use crate::support::{injected, pod, run};
use esc_injector::inject::Outcome;

fn asking() -> Value {
    pod(&[("environment", "acme/shop/prod"), ("env.A", "a"), ("file.b", "b")])
}

fn agent(pod: &Value) -> &Value {
    let containers = pod["spec"]["initContainers"].as_array().expect("init containers");
    containers.iter().find(|container| container["name"] == "esc-agent").expect("the agent")
}

fn agent_mut(pod: &mut Value) -> &mut Value {
    let containers = pod["spec"]["initContainers"].as_array_mut().expect("init containers");
    containers.iter_mut().find(|container| container["name"] == "esc-agent").expect("the agent")
}

#[test]
fn a_second_injection_changes_nothing() {
    let (once, _) = injected(&asking());
    match run(&once) {
        Outcome::Injected { patch, .. } => assert_eq!(patch.0, []),
        other => panic!("{other:?}"),
    }
}

#[test]
fn repairs_what_is_ours() {
    let (once, _) = injected(&asking());
    let mut meddled = once.clone();
    agent_mut(&mut meddled)["args"] = json!(["nothing"]);
    agent_mut(&mut meddled)["env"] = json!([{"name": "ESC_INJECTOR_PLAN", "value": "{}"}]);
    agent_mut(&mut meddled)["restartPolicy"] = json!("Always");
    agent_mut(&mut meddled)["volumeMounts"] = json!([]);
    meddled["spec"]["volumes"].as_array_mut().unwrap().retain(|volume| volume["name"] != "esc-token");
    meddled["spec"]["containers"][0]["command"] = json!(["/app"]);
    meddled["spec"]["containers"][0]["volumeMounts"] = json!([]);
    meddled["metadata"]["annotations"]["esc.pulumi.com/status"] = json!("broken");
    let (repaired, _) = injected(&meddled);
    assert_eq!(agent(&repaired), agent(&once));
    assert_eq!(repaired["spec"]["containers"], once["spec"]["containers"]);
    assert_eq!(repaired["metadata"], once["metadata"]);
    let names = |pod: &Value| -> std::collections::BTreeSet<String> {
        pod["spec"]["volumes"].as_array().unwrap().iter().map(|volume| volume["name"].to_string()).collect()
    };
    assert_eq!(names(&repaired), names(&once));
}

#[test]
fn leaves_what_others_did_to_our_container() {
    let (mut pod, _) = injected(&asking());
    let changes = json!({
        "image": "mirror.internal/esc-injector@sha256:1",
        "imagePullPolicy": "Always",
        "resources": {"limits": {"memory": "1Gi"}},
        "securityContext": {"runAsUser": 1, "runAsNonRoot": true},
        "terminationMessagePolicy": "FallbackToLogsOnError",
    });
    agent_mut(&mut pod).as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    agent_mut(&mut pod)["env"]
        .as_array_mut()
        .unwrap()
        .insert(0, json!({"name": "AWS_REGION", "value": "eu"}));
    agent_mut(&mut pod)["volumeMounts"]
        .as_array_mut()
        .unwrap()
        .insert(0, json!({"name": "iam", "mountPath": "/iam"}));
    let (again, _) = injected(&pod);
    assert_eq!(again, pod);
}

#[test]
fn a_container_added_later_receives_nothing() {
    let (mut pod, _) = injected(&asking());
    pod["spec"]["containers"]
        .as_array_mut()
        .unwrap()
        .push(json!({"name": "mesh", "image": "m", "command": ["/m"]}));
    pod["spec"]["initContainers"]
        .as_array_mut()
        .unwrap()
        .insert(0, json!({"name": "mesh-init", "image": "m", "command": ["/m"]}));
    let (again, _) = injected(&pod);
    assert_eq!(again, pod);
    // Unless it is asked for by name.
    pod["metadata"]["annotations"]["esc.pulumi.com/containers"] = json!("app,mesh");
    let (named, _) = injected(&pod);
    assert_eq!(named["spec"]["containers"][1]["command"][0], "/esc/bin/esc-injector");
}

#[test]
fn moves_behind_a_mesh_sidecar_that_came_later() {
    let (mut pod, _) = injected(&asking());
    pod["spec"]["initContainers"]
        .as_array_mut()
        .unwrap()
        .push(json!({"name": "istio-proxy", "image": "i", "restartPolicy": "Always"}));
    let (again, _) = injected(&pod);
    let names: Vec<_> =
        again["spec"]["initContainers"].as_array().unwrap().iter().map(|c| c["name"].clone()).collect();
    assert_eq!(names, ["istio-proxy", "esc-agent"]);
}

#[test]
fn a_pod_that_asks_for_less_gets_less() {
    let (mut pod, _) = injected(&asking());
    pod["metadata"]["annotations"].as_object_mut().unwrap().remove("esc.pulumi.com/env.A");
    let (files_only, _) = injected(&pod);
    assert_eq!(files_only["spec"]["containers"][0]["command"], json!(["/app"]));
    let volumes: Vec<_> =
        files_only["spec"]["volumes"].as_array().unwrap().iter().map(|v| v["name"].clone()).collect();
    assert!(!volumes.contains(&json!("esc-bin")) && !volumes.contains(&json!("esc-env-0")), "{volumes:?}");
    assert!(
        files_only["metadata"]["annotations"]
            .get("cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes")
            .is_none()
    );
}

#[test]
fn a_supplied_command_is_taken_back_with_the_wrapping() {
    let mut pod = pod(&[("environment", "acme/shop/prod"), ("env.A", "a"), ("command.app", "[\"/entry\"]")]);
    pod["spec"]["containers"][0].as_object_mut().unwrap().remove("command");
    let (mut once, _) = injected(&pod);
    once["metadata"]["annotations"]["esc.pulumi.com/command.app"] = json!("[\"/other\"]");
    let (again, _) = injected(&once);
    let command = again["spec"]["containers"][0]["command"].as_array().unwrap();
    assert_eq!(command.last(), Some(&json!("/other")));
    assert!(!command.contains(&json!("/entry")));
}

#[test]
fn a_size_that_comes_back_in_other_words_is_no_change() {
    let mut asking = asking();
    asking["metadata"]["annotations"]["esc.pulumi.com/volume-size"] = json!("1024Mi");
    let (mut stored, _) = injected(&asking);
    for volume in stored["spec"]["volumes"].as_array_mut().unwrap() {
        if volume["emptyDir"]["sizeLimit"] == "1024Mi" {
            volume["emptyDir"]["sizeLimit"] = json!("1Gi");
        }
    }
    assert_eq!(injected(&stored).0, stored);
}

#[test]
fn what_an_init_container_may_not_have_is_taken_off_ours() {
    let (once, _) = injected(&asking());
    let probe = json!({"exec": {"command": ["/probe"]}});
    for (field, value) in [
        ("restartPolicy", json!("Always")),
        (
            "restartPolicyRules",
            json!([{"action": "Restart", "exitCodes": {"operator": "In", "values": [1]}}]),
        ),
        ("startupProbe", probe.clone()),
        ("livenessProbe", probe.clone()),
        ("readinessProbe", probe),
        ("lifecycle", json!({"preStop": {"exec": {"command": ["/bye"]}}})),
        ("resizePolicy", json!([{"resourceName": "cpu", "restartPolicy": "NotRequired"}])),
    ] {
        let mut meddled = once.clone();
        agent_mut(&mut meddled)[field] = value;
        assert_eq!(injected(&meddled).0, once, "{field}");
    }
}

/// A pod whose injected container another webhook starts through a launcher: in front of the command, or with all
/// that was the command moved to the arguments.
fn launched(moved: bool, asking: &Value) -> Value {
    let (mut pod, _) = injected(asking);
    let container = &mut pod["spec"]["containers"][0];
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let (command, arguments) = (list(&container["command"]), list(&container["args"]));
    if moved {
        container["command"] = json!(["/launcher"]);
        container["args"] = json!([vec![json!("--")], command, arguments].concat());
    } else {
        container["command"] = json!([vec![json!("/launcher"), json!("--")], command].concat());
    }
    pod
}

#[test]
fn a_launcher_before_our_wrapping_stays_before_it() {
    let mut asking = asking();
    asking["spec"]["containers"][0]["env"] = json!([{"name": "URL", "value": "pg://$(A)"}]);
    asking["spec"]["containers"][0]["args"] = json!(["--url=$(URL)", "--a=$(A)"]);
    let mut supplied = asking.clone();
    supplied["spec"]["containers"][0].as_object_mut().unwrap().remove("command");
    supplied["metadata"]["annotations"]["esc.pulumi.com/command.app"] = json!("[\"/entry\", \"$(A)\"]");
    for asking in [asking, supplied] {
        for moved in [false, true] {
            let pod = launched(moved, &asking);
            match run(&pod) {
                Outcome::Injected { patch, .. } => assert_eq!(patch.0, [], "moved: {moved}"),
                other => panic!("{other:?}"),
            }
        }
    }
}

#[test]
fn what_a_launcher_starts_is_brought_up_to_date_behind_it() {
    let list = |moved| if moved { "args" } else { "command" };
    for moved in [false, true] {
        let mut pod = launched(moved, &asking());
        // One variable more, and a reference to it.
        pod["metadata"]["annotations"]["esc.pulumi.com/env.B"] = json!("b");
        pod["spec"]["containers"][0]["env"] = json!([{"name": "URL", "value": "$(B)"}]);
        let (again, _) = injected(&pod);
        let words = again["spec"]["containers"][0][list(moved)].as_array().unwrap();
        assert_eq!(words.iter().filter(|word| *word == "/esc/bin/esc-injector").count(), 1, "{words:?}");
        assert!(words.contains(&json!("--set=URL")), "{words:?}");
        assert_eq!(words.last(), Some(&json!("/app")));
        assert_eq!(injected(&again).0, again);
        // No variable at all: the launcher starts the command itself.
        for key in ["env.A", "env.B"] {
            pod["metadata"]["annotations"].as_object_mut().unwrap().remove(&format!("esc.pulumi.com/{key}"));
        }
        let (files_only, _) = injected(&pod);
        let container = &files_only["spec"]["containers"][0];
        let expected = if moved { json!(["--", "/app"]) } else { json!(["/launcher", "--", "/app"]) };
        assert_eq!(container[list(moved)], expected);
    }
}

#[test]
fn a_launcher_whose_words_are_not_ours_is_a_command_like_any_other() {
    for words in [json!(["/launcher", "/esc/bin/esc-injector", "exec"]), json!(["/launcher", "exec", "--"])] {
        let mut pod = asking();
        pod["spec"]["containers"][0]["command"] = words.clone();
        let (once, _) = injected(&pod);
        let command = once["spec"]["containers"][0]["command"].as_array().unwrap();
        assert_eq!(command[0], "/esc/bin/esc-injector");
        assert!(command.ends_with(words.as_array().unwrap()), "{command:?}");
        assert_eq!(injected(&once).0, once);
    }
}
