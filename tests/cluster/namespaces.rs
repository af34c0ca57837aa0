//! What namespaces say for their pods, and what is said of workloads before they have any.

use serde_json::{Value, json};

use crate::support::{
    cluster::cluster,
    eventually,
    namespace::Namespace,
    pods::{agent, asks, deployment, pod},
    release::{Helm, Release},
};

#[test]
#[ignore = "needs a cluster: tests/cluster/up"]
fn annotations_of_the_namespace_are_defaults_of_its_pods() {
    let _release = Release::serving();
    let label = json!({"esc.pulumi.com/injection": "enabled"});
    let namespace = Namespace::new("defaults", label, &asks());
    let opts_in = json!({"esc.pulumi.com/inject": "true"});
    assert!(agent(&namespace.created(&pod("asks", &opts_in))).is_some());
    assert!(agent(&namespace.created(&pod("does-not-ask", &json!({})))).is_none());

    // A limit that comes later holds soon.
    let limit = "esc.pulumi.com/allowed-environments=acme/other/*";
    cluster().kubectl(["annotate", "namespace", &namespace.name, limit]).expect("annotating");
    let refused = eventually("the limit holds", || {
        let ran = namespace.kubectl(["create", "-f", "-", "--dry-run=server"], &pod("later", &opts_in));
        (!ran.ok).then_some(ran.stderr)
    });
    assert!(refused.contains("acme/shop/prod") && refused.contains("[ESC114]"), "{refused}");
}

#[test]
#[ignore = "needs a cluster: tests/cluster/up"]
fn a_namespace_made_a_moment_ago_is_known_or_tried_again() {
    let _release = Release::serving();
    for _ in 0..10 {
        // kubectl itself tries again when it is told to.
        let namespace = Namespace::injected("fresh");
        assert!(agent(&namespace.created(&pod("shop", &asks()))).is_some());
    }
}

#[test]
#[ignore = "needs a cluster: tests/cluster/up"]
fn a_namespace_may_have_all_its_pods_injected() {
    let _release = Release::serving();
    let namespace = Namespace::new("all", json!({"esc.pulumi.com/injection": "all"}), &asks());
    assert!(agent(&namespace.created(&pod("says-nothing", &json!({})))).is_some());
    let out = json!({"esc.pulumi.com/inject": "false"});
    assert!(agent(&namespace.created(&pod("opted-out", &out))).is_none());
    let wrong = json!({"esc.pulumi.com/environment": "acme"});
    namespace.create(&pod("wrong", &wrong)).expect_refusal("a mistake");
}

fn workload(kind: &str, annotations: &Value) -> Value {
    let mut object = deployment("web", annotations);
    let template = object["spec"]["template"].clone();
    let job = |mut template: Value| {
        template["metadata"] = json!({"annotations": annotations});
        template["spec"]["restartPolicy"] = json!("OnFailure");
        template
    };
    object["kind"] = json!(kind);
    match kind {
        "Job" | "CronJob" => {
            object["apiVersion"] = json!("batch/v1");
            let template = json!({"template": job(template)});
            object["spec"] = match kind {
                "Job" => template,
                _ => json!({"schedule": "@yearly", "jobTemplate": {"spec": template}}),
            };
        }
        "StatefulSet" => object["spec"]["serviceName"] = json!("web"),
        _ => {}
    }
    object
}

const KINDS: [&str; 6] = ["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "CronJob"];

#[test]
#[ignore = "needs a cluster: tests/cluster/up"]
fn a_workload_whose_pods_would_be_refused_is_warned_of() {
    let _release = Release::serving();
    let wrong = json!({"esc.pulumi.com/environment": "acme"});
    for kind in KINDS {
        let namespace = Namespace::injected("work");
        let ran = namespace.create(&workload(kind, &wrong));
        assert!(ran.ok && ran.stderr.contains("Warning: [ESC1"), "{kind}: {ran:?}");
        let fine = Namespace::injected("work");
        let ran = fine.create(&workload(kind, &asks()));
        assert!(ran.ok && ran.stderr.is_empty(), "{kind}: {ran:?}");
    }
    // A change that is none of ours is not asked about again.
    let namespace = Namespace::injected("work");
    namespace.created(&workload("Deployment", &wrong));
    let ran = namespace.kubectl(["scale", "deployment", "web", "--replicas=2"], &Value::Null);
    assert!(ran.ok && ran.stderr.is_empty(), "{ran:?}");
}

#[test]
#[ignore = "needs a cluster: tests/cluster/up"]
fn a_workload_whose_pods_would_be_refused_can_be_denied() {
    let mut release = Release::install(Helm::Four, &json!({"workloadChecks": "deny"}));
    release.start_replicas(1);
    let namespace = Namespace::injected("work");
    let wrong = json!({"esc.pulumi.com/environment": "acme"});
    for kind in KINDS {
        let refused = namespace.create(&workload(kind, &wrong)).expect_refusal(kind);
        assert!(
            refused.contains("workloads.inject.esc.pulumi.com") && refused.contains("[ESC1"),
            "{refused}"
        );
    }
    drop(release);
    let mut release = Release::install(Helm::Four, &json!({"workloadChecks": "off"}));
    release.start_replicas(1);
    let ran = namespace.create(&workload("Deployment", &wrong));
    assert!(ran.ok && ran.stderr.is_empty(), "{ran:?}");
}
