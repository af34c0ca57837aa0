//! Other mutating webhooks, before us and after us.

use serde_json::{Value, json};

use crate::support::{
    namespace::Namespace,
    neighbour::Neighbour,
    pods::{agent, asks, pod},
    release::{Helm, Release},
};

/// The place of the agent in a pod, as a JSON pointer.
fn agent_pointer(pod: &Value) -> Option<String> {
    let containers = pod["spec"]["initContainers"].as_array()?;
    let index = containers.iter().position(|container| container["name"] == "esc-agent")?;
    Some(format!("/spec/initContainers/{index}"))
}

#[test]
#[ignore = "needs a cluster: tests/cluster/up"]
fn what_another_webhook_does_to_our_container_is_kept() {
    let _release = Release::serving();
    let namespace = Namespace::injected("mesh");
    // Idempotent, as ours has to be: both are asked again after the other changed something.
    let _mirror = Neighbour::register("z-mirror", &namespace, |pod| {
        let Some(agent) = agent_pointer(pod) else { return Vec::new() };
        let found = pod.pointer(&agent).unwrap();
        if found["image"].as_str().unwrap().starts_with("mirror.example.com/") {
            return Vec::new();
        }
        vec![
            json!({"op": "replace", "path": format!("{agent}/image"), "value": "mirror.example.com/esc-injector:1"}),
            json!({"op": "add", "path": format!("{agent}/env/-"), "value": {"name": "CLOUD_ROLE", "value": "shop"}}),
            json!({"op": "add", "path": format!("{agent}/volumeMounts/-"),
                   "value": {"name": "cloud", "mountPath": "/var/run/cloud"}}),
            json!({"op": "add", "path": "/spec/volumes/-", "value": {"name": "cloud", "emptyDir": {}}}),
            json!({"op": "add", "path": "/spec/containers/-",
                   "value": {"name": "late", "image": "mesh.example.com/proxy:1", "command": ["/proxy"]}}),
        ]
    });
    let mut last = Value::Null;
    let created = crate::support::eventually("the other webhook is asked", || {
        let ran =
            namespace.kubectl(["create", "-f", "-", "-o", "json", "--dry-run=server"], &pod("shop", &asks()));
        last = serde_json::from_str(&ran.expect("create")).unwrap();
        (last["spec"]["containers"].as_array()?.len() == 2).then(|| last.clone())
    });
    let agent = agent(&created).unwrap();
    assert_eq!(agent["image"], "mirror.example.com/esc-injector:1");
    let has = |list: &Value, name: &str| list.as_array().unwrap().iter().any(|item| item["name"] == name);
    assert!(has(&agent["env"], "CLOUD_ROLE") && has(&agent["volumeMounts"], "cloud"), "{agent:#}");

    let [app, late] = &created["spec"]["containers"].as_array().unwrap()[..] else { panic!("{created:#}") };
    assert!(has(&app["volumeMounts"], "esc-files-0"), "{app:#}");
    // Whoever came after the plan was made gets nothing.
    let mounts = late["volumeMounts"].as_array().unwrap();
    assert!(!mounts.iter().any(|mount| mount["name"].as_str().unwrap().starts_with("esc-")), "{late:#}");
    assert_eq!(late["command"], json!(["/proxy"]));
}

#[test]
#[ignore = "needs a cluster: tests/cluster/up"]
fn annotations_that_come_before_us_count_and_those_after_us_are_refused() {
    let _release = Release::serving();
    let ask = |pod: &Value| {
        if pod["metadata"]["annotations"]["esc.pulumi.com/environment"].is_string() {
            return Vec::new();
        }
        vec![json!({"op": "add", "path": "/metadata/annotations", "value": asks()})]
    };
    let early = Namespace::injected("early");
    let _early = Neighbour::register("a-policy", &early, ask);
    let object = pod("shop", &Value::Null);
    crate::support::eventually("a pod that was made to ask is injected", || {
        let ran = early.kubectl(["create", "-f", "-", "-o", "json", "--dry-run=server"], &object);
        agent(&serde_json::from_str(&ran.stdout).ok()?).map(|_| ())
    });

    let late = Namespace::injected("late");
    let _late = Neighbour::register("z-policy", &late, ask);
    let refused = crate::support::eventually("the pod is refused", || {
        let ran = late.kubectl(["create", "-f", "-", "--dry-run=server"], &object);
        (!ran.ok).then_some(ran.stderr)
    });
    assert!(refused.contains("[ESC801]") && refused.contains("Fix:"), "{refused}");
}

#[test]
#[ignore = "needs a cluster: tests/cluster/up"]
fn a_sidecar_that_another_webhook_took_apart_is_whole_again_and_accepted() {
    let mut release = Release::install(Helm::Four, &json!({"minKubelet": "1.36"}));
    release.start_replicas(2);
    let namespace = Namespace::injected("mesh");
    // As one does that was built with types older than these fields.
    let _old = Neighbour::register("z-old-types", &namespace, |pod| {
        let Some(agent) = agent_pointer(pod) else { return Vec::new() };
        let found = pod.pointer(&agent).unwrap();
        let lost = ["restartPolicy", "restartPolicyRules", "startupProbe"];
        let lost = lost.into_iter().filter(|field| !found[*field].is_null());
        let mut patch: Vec<_> =
            lost.map(|field| json!({"op": "remove", "path": format!("{agent}/{field}")})).collect();
        patch.push(json!({"op": "add", "path": "/metadata/labels", "value": {"old-types": "yes"}}));
        patch
    });
    let mut annotations = asks();
    for (key, value) in [
        ("env.PASSWORD", "db.password"),
        ("env-mode", "kubelet"),
        ("refresh", "30m"),
        ("on-change", "restart"),
    ] {
        annotations[format!("esc.pulumi.com/{key}")] = json!(value);
    }
    let created = crate::support::eventually("the other webhook is asked", || {
        let ran = namespace
            .kubectl(["create", "-f", "-", "-o", "json", "--dry-run=server"], &pod("shop", &annotations));
        let created: Value = serde_json::from_str(&ran.expect("create")).unwrap();
        created["metadata"]["labels"]["old-types"].is_string().then_some(created)
    });
    let agent = agent(&created).unwrap();
    assert_eq!(agent["restartPolicy"], "Always");
    assert_eq!(agent["restartPolicyRules"][0]["action"], "RestartAllContainers", "{agent:#}");
    assert!(agent["startupProbe"]["exec"]["command"].is_array(), "{agent:#}");
    // What kubelet is asked to read came through the API server as it was written.
    let variable = &created["spec"]["containers"][0]["env"][0];
    assert_eq!(variable["name"], "PASSWORD");
    assert_eq!(variable["valueFrom"]["fileKeyRef"]["key"], "PASSWORD", "{variable:#}");
}
