//! Which pods the API server sends, and what becomes of them.

use serde_json::{Value, json};

use crate::support::{
    audit,
    cluster::cluster,
    eventually,
    namespace::Namespace,
    pods::{self, agent, asks, deployment, pod},
    release::Release,
};

const POLICY_LEVEL: &str = "pod-security.kubernetes.io/enforce";

#[test]
#[ignore = "needs a cluster: tests/cluster/up"]
fn pods_that_ask_are_injected_and_others_are_never_sent() {
    let _release = Release::serving();
    let labelled = Namespace::injected("shop");
    let unlabelled = Namespace::new("shop", json!({}), &json!({}));
    let mut opted_out = asks();
    opted_out["esc.pulumi.com/inject"] = json!("false");
    let mark_only = json!({"esc.pulumi.com/status": "injected"});
    for (name, namespace, annotations, injected) in [
        ("asks", &labelled, asks(), true),
        ("says-nothing", &labelled, json!({"example.com/esc.pulumi.com": "yes"}), false),
        ("has-no-annotations", &labelled, json!(null), false),
        ("opted-out", &labelled, opted_out, false),
        ("mark-only", &labelled, mark_only, false),
        ("asks", &unlabelled, asks(), false),
    ] {
        let created = namespace.created(&pod(name, &annotations));
        assert_eq!(agent(&created).is_some(), injected, "{name} in {}", namespace.name);
        let sent: Vec<_> = audit::pod_requests(&namespace.name)
            .iter()
            .filter(|event| event["objectRef"]["name"] == name)
            .flat_map(audit::webhooks)
            .collect();
        if injected {
            assert_eq!(sent, ["pods.inject.esc.pulumi.com"], "{name}");
        } else {
            assert!(sent.is_empty(), "{name} went to {sent:?}");
        }
    }
}

#[test]
#[ignore = "needs a cluster: tests/cluster/up"]
fn the_installation_and_the_system_depend_on_nobody() {
    // No replica runs: whoever is sent fails.
    let release = Release::install_default();
    let label = json!({"metadata": {"labels": {"esc.pulumi.com/injection": "enabled"}}}).to_string();
    for namespace in [release.namespace.name.as_str(), "kube-system"] {
        cluster().kubectl(["patch", "namespace", namespace, "--patch", &label]).expect("labelling");
        let asking = pod("asks", &asks());
        let created = cluster().kubectl_with(
            ["create", "--namespace", namespace, "-f", "-", "--dry-run=server"],
            &asking.to_string(),
        );
        cluster().kubectl(["label", "namespace", namespace, "esc.pulumi.com/injection-"]).expect("labelling");
        created.expect("a pod of an excluded namespace");
    }
    let labelled = Namespace::injected("shop");
    labelled.create(&pod("says-nothing", &json!({}))).expect("a pod that does not ask");
    let refused = labelled.create(&pod("asks", &asks())).expect_refusal("a pod that asks");
    assert!(refused.contains("failed calling webhook \"pods.inject.esc.pulumi.com\""), "{refused}");
}

#[test]
#[ignore = "needs a cluster: tests/cluster/up"]
fn a_refusal_says_every_reason_and_a_way_out() {
    let _release = Release::serving();
    let namespace = Namespace::injected("shop");
    let annotations = json!({
        "esc.pulumi.com/enviroment": "acme/shop/prod",
        "esc.pulumi.com/environment": "acme",
        "esc.pulumi.com/timeout": "soon",
    });
    let refused = namespace.create(&pod("shop", &annotations)).expect_refusal("a pod with three mistakes");
    for expected in [
        "admission webhook \"pods.inject.esc.pulumi.com\" denied the request",
        "[ESC101]",
        "did you mean",
        "esc.pulumi.com/environment",
        "esc.pulumi.com/timeout",
    ] {
        assert!(refused.contains(expected), "{expected} is not in: {refused}");
    }
    assert_eq!(cluster().list("pods", &namespace.name).len(), 0);
}

#[test]
#[ignore = "needs a cluster: tests/cluster/up"]
fn a_dry_run_is_answered_as_the_real_request() {
    let _release = Release::serving();
    let namespace = Namespace::injected("shop");
    let object = pod("shop", &asks());
    let dry = namespace.kubectl(["create", "-f", "-", "-o", "json", "--dry-run=server"], &object);
    assert_eq!(dry.stderr, "");
    let dry = comparable(&serde_json::from_str(&dry.expect("a dry run")).unwrap());
    assert_eq!(cluster().list("pods", &namespace.name).len(), 0);
    let real = comparable(&namespace.created(&object));
    assert_eq!(dry, real);

    let wrong = pod("shop", &json!({"esc.pulumi.com/environment": "acme"}));
    let dry =
        namespace.kubectl(["create", "-f", "-", "--dry-run=server"], &wrong).expect_refusal("a dry run");
    let real = namespace.create(&wrong).expect_refusal("a mistake");
    assert_eq!(dry, real);
}

/// A pod without what is random or of the moment.
fn comparable(pod: &Value) -> Value {
    let mut spec = pod["spec"].clone();
    let random = |value: &Value| value["name"].as_str().unwrap_or_default().starts_with("kube-api-access-");
    let without = |list: &mut Value| list.as_array_mut().unwrap().retain(|item| !random(item));
    without(&mut spec["volumes"]);
    for containers in ["initContainers", "containers"] {
        for container in spec[containers].as_array_mut().unwrap() {
            without(&mut container["volumeMounts"]);
        }
    }
    json!({"annotations": pod["metadata"]["annotations"], "spec": spec})
}

#[test]
#[ignore = "needs a cluster: tests/cluster/up"]
fn every_way_of_making_a_pod_ends_in_an_injected_one() {
    let _release = Release::serving();
    let namespace = Namespace::injected("shop");

    let mut generated = pod("", &asks());
    generated["metadata"] = json!({"generateName": "shop-", "annotations": asks()});
    assert!(agent(&namespace.created(&generated)).is_some());

    // Applied twice on the server's side: what the webhook added is nobody's to take back.
    let applied = pod("applied", &asks());
    let apply = ["apply", "--server-side", "-f", "-", "-o", "json"];
    let first: Value = serde_json::from_str(&namespace.kubectl(apply, &applied).expect("apply")).unwrap();
    assert!(agent(&first).is_some());
    let second: Value = serde_json::from_str(&namespace.kubectl(apply, &applied).expect("apply")).unwrap();
    assert_eq!(first["spec"], second["spec"]);

    let job = json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "migrate"},
        "spec": {"template": {
            "metadata": {"annotations": asks()},
            "spec": pods::with_restart_policy("OnFailure"),
        }},
    });
    namespace.created(&job);
    namespace.created(&deployment("web", &asks()));
    for owner in ["migrate-", "web-"] {
        let made = eventually("the controller makes a pod", || {
            let mut pods = cluster().list("pods", &namespace.name).into_iter();
            pods.find(|pod| pod["metadata"]["name"].as_str().unwrap().starts_with(owner))
        });
        assert!(agent(&made).is_some(), "{made:#}");
    }
}

#[test]
#[ignore = "needs a cluster: tests/cluster/up"]
fn a_controller_that_is_refused_says_so_in_its_events() {
    let _release = Release::serving();
    let namespace = Namespace::injected("shop");
    let wrong = json!({"esc.pulumi.com/environment": "acme"});
    namespace.created(&deployment("web", &wrong));
    let event = eventually("the ReplicaSet complains", || {
        let events = cluster().list("events", &namespace.name);
        events.into_iter().find(|event| event["reason"] == "FailedCreate")
    });
    let message = event["message"].as_str().unwrap();
    assert!(message.contains("[ESC1") && message.contains("esc.pulumi.com/environment"), "{message}");
    assert_eq!(event["involvedObject"]["kind"], "ReplicaSet");
}

#[test]
#[ignore = "needs a cluster: tests/cluster/up"]
fn an_injected_pod_passes_pod_security_restricted() {
    let _release = Release::serving();
    let labels = json!({"esc.pulumi.com/injection": "enabled", POLICY_LEVEL: "restricted"});
    let namespace = Namespace::new("strict", labels, &json!({}));
    let ran = namespace.create(&pod("shop", &asks()));
    assert_eq!(ran.stderr, "", "warnings");
    let created: Value = serde_json::from_str(&ran.expect("create")).unwrap();
    assert!(agent(&created).is_some());
}

#[test]
#[ignore = "needs a cluster: tests/cluster/up"]
fn the_agent_gets_no_token_of_the_api_server() {
    let _release = Release::serving();
    let namespace = Namespace::injected("shop");
    let created = namespace.created(&pod("shop", &asks()));
    let mounts = agent(&created).unwrap()["volumeMounts"].as_array().unwrap();
    let at_the_usual_place: Vec<_> = mounts
        .iter()
        .filter(|mount| mount["mountPath"] == "/var/run/secrets/kubernetes.io/serviceaccount")
        .map(|mount| mount["name"].as_str().unwrap())
        .collect();
    assert_eq!(at_the_usual_place, ["esc-no-token"]);
    // The application has its own, as ever.
    let app = created["spec"]["containers"][0]["volumeMounts"].as_array().unwrap();
    assert!(app.iter().any(|mount| mount["name"].as_str().unwrap().starts_with("kube-api-access-")));
}

#[test]
#[ignore = "needs a cluster: tests/cluster/up"]
fn quotas_and_limit_ranges_let_injected_pods_in() {
    let _release = Release::serving();
    let namespace = Namespace::injected("quota");
    namespace.created(&json!({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "quota"},
        "spec": {"hard": {
            "requests.cpu": "1", "requests.memory": "1Gi", "limits.memory": "1Gi", "limits.cpu": "2", "pods": "10",
        }},
    }));
    eventually("the quota is in force", || {
        cluster().get("resourcequota", &namespace.name, "quota")?["status"]["hard"].as_object().map(|_| ())
    });
    let mut object = pod("shop", &asks());
    object["spec"]["containers"][0]["resources"] = json!({
        "requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"cpu": "200m", "memory": "128Mi"},
    });
    // A quota of processor limits wants one of every container, and the agent has none unless it is asked for.
    let refused =
        namespace.create(&object).expect_refusal("a container without a limit that the quota counts");
    assert!(refused.contains("must specify limits.cpu for: esc-agent"), "{refused}");
    object["metadata"]["annotations"]["esc.pulumi.com/agent-cpu-limit"] = json!("50m");
    let created = namespace.created(&object);
    let resources = &agent(&created).unwrap()["resources"];
    assert_eq!(resources["limits"]["cpu"], "50m");

    // A LimitRange gives the agent what nobody settled, and leaves the rest.
    namespace.created(&json!({
        "apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "limits"},
        "spec": {"limits": [{
            "type": "Container", "default": {"cpu": "100m", "memory": "256Mi"},
            "defaultRequest": {"cpu": "20m", "memory": "64Mi"}, "max": {"cpu": "1", "memory": "512Mi"},
        }]},
    }));
    let plain = pod("plain", &asks());
    let created = eventually("the limit range is in force", || {
        let ran = namespace.create(&plain);
        ran.ok.then(|| serde_json::from_str::<Value>(&ran.stdout).unwrap())
    });
    let resources = &agent(&created).unwrap()["resources"];
    assert_eq!(resources["limits"]["cpu"], "100m");
    assert_ne!(resources["limits"]["memory"], "256Mi");
    assert_eq!(created["spec"]["containers"][0]["resources"]["limits"]["memory"], "256Mi");
}
