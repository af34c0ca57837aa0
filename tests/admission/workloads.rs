//! `/check`: what is said of a workload whose pods would be refused.

use esc_injector::webhook::WorkloadChecks;
use serde_json::{Value, json};

use crate::{
    answers::ask,
    client::metric,
    reviews::{asking, review, small_pod},
    setup::{Running, quick},
};

const KINDS: [(&str, &str, &str); 6] = [
    ("apps", "deployments", "Deployment"),
    ("apps", "statefulsets", "StatefulSet"),
    ("apps", "daemonsets", "DaemonSet"),
    ("apps", "replicasets", "ReplicaSet"),
    ("batch", "jobs", "Job"),
    ("batch", "cronjobs", "CronJob"),
];

/// A pod that is injected.
fn good() -> Value {
    asking(small_pod(), &[("environment", "acme/shop/prod"), ("env.DATABASE_URL", "db.url")])
}

/// A pod that is refused, for two reasons.
fn bad() -> Value {
    asking(small_pod(), &[("environment", "acme"), ("enviroment", "acme/shop/prod")])
}

/// A review of a workload of this kind with this pod as its template.
fn workload((group, resource, kind): (&str, &str, &str), pod: &Value) -> Value {
    // As people write it: no mount of a token, no owner.
    let mut spec = pod["spec"].clone();
    for container in spec["containers"].as_array_mut().unwrap() {
        container.as_object_mut().unwrap().remove("volumeMounts");
    }
    let template = json!({"metadata": {"annotations": pod["metadata"]["annotations"]}, "spec": spec});
    let spec = match kind {
        "CronJob" => json!({"schedule": "* * * * *", "jobTemplate": {"spec": {"template": template}}}),
        _ => json!({"template": template}),
    };
    let version = format!("{group}/v1");
    let object = json!({"apiVersion": version, "kind": kind, "metadata": {"name": "shop", "namespace": "shop"}, "spec": spec});
    let mut review = review("w-1", &object);
    review["request"]["kind"] = json!({"group": group, "version": "v1", "kind": kind});
    review["request"]["resource"] = json!({"group": group, "version": "v1", "resource": resource});
    review
}

async fn webhook(checks: WorkloadChecks) -> Running {
    Running::start_as(quick(), |config| config.workload_checks = checks).await
}

fn warnings(response: &Value) -> Vec<&str> {
    response["warnings"].as_array().into_iter().flatten().map(|warning| warning.as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workload_whose_pods_would_be_refused_is_allowed_with_a_warning_for_each_problem() {
    let webhook = webhook(WorkloadChecks::Warn).await;
    for kind in KINDS {
        for operation in ["CREATE", "UPDATE"] {
            let mut review = workload(kind, &bad());
            review["request"]["operation"] = json!(operation);
            review["request"]["oldObject"] = workload(kind, &good())["request"]["object"].clone();
            let response = ask(&webhook, "/check", &review).await;
            assert_eq!((&response["allowed"], response.get("patch")), (&json!(true), None), "{kind:?}");
            let said = warnings(&response);
            let begins =
                |code: &str| format!("[{code}] pods of this {} will be refused: esc.pulumi.com/", kind.2);
            assert_eq!(said.len(), 3, "{said:#?}");
            assert!(
                said[0].starts_with(&begins("ESC104")) && said[1].starts_with(&begins("ESC101")),
                "{said:#?}"
            );
            assert!(said[1].contains("did you mean `esc.pulumi.com/environment`?"), "{said:#?}");
            assert_eq!(said[2], "More: esc-injector explain ESC104 ESC101");
        }
    }
    assert_eq!(metric(webhook.health, "esc_injector_workload_checks_total{outcome=\"warned\"}").await, 12);
    assert_eq!(metric(webhook.health, "esc_injector_admissions_total{outcome=\"rejected\"}").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_denied_as_its_pods_would_be_where_the_operator_wants_that() {
    let webhook = webhook(WorkloadChecks::Deny).await;
    for kind in KINDS {
        let response = ask(&webhook, "/check", &workload(kind, &bad())).await;
        let pods = ask(&webhook, "/mutate", &review("p-1", &bad())).await;
        let status = &response["status"];
        assert_eq!((&response["allowed"], &status["code"]), (&json!(false), &pods["status"]["code"]));
        let expected = format!(
            "pods of this {} would be refused:\n{}",
            kind.2,
            pods["status"]["message"].as_str().unwrap()
        );
        assert_eq!(status["message"], expected);
    }
    let forbidden = asking(good(), &[("api-url", "https://elsewhere.example")]);
    let response = ask(&webhook, "/check", &workload(KINDS[0], &forbidden)).await;
    assert_eq!(response["status"]["code"], 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_said_where_nothing_is_checked() {
    let off = webhook(WorkloadChecks::Off).await;
    assert_eq!(
        ask(&off, "/check", &workload(KINDS[0], &bad())).await,
        json!({"uid": "w-1", "allowed": true})
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_nobodys_business_passes_in_silence() {
    let webhook = webhook(WorkloadChecks::Deny).await;
    let silent = workload(KINDS[0], &small_pod());
    let opted_out = workload(KINDS[0], &asking(bad(), &[("inject", "false")]));
    let with = |pointer: &str, value: Value| {
        let mut review = workload(KINDS[0], &bad());
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        review.pointer_mut(parent).unwrap()[key] = value;
        review
    };
    let owner = json!([{"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop", "controller": true}]);
    let mut unchanged = with("/request/operation", json!("UPDATE"));
    unchanged["request"]["oldObject"] = unchanged["request"]["object"].clone();
    unchanged["request"]["object"]["metadata"]["labels"] = json!({"new": "label"});
    unchanged["request"]["object"]["spec"]["replicas"] = json!(0);
    for (what, review) in [
        ("a template that does not ask", silent),
        ("one that opts out", opted_out),
        (
            "an object that goes away",
            with("/request/object/metadata/deletionTimestamp", json!("2026-11-22T10:00:00Z")),
        ),
        ("one that a controller makes", with("/request/object/metadata/ownerReferences", owner)),
        ("one whose template stays", unchanged),
        ("a deletion", with("/request/operation", json!("DELETE"))),
        ("a subresource", with("/request/subResource", json!("scale"))),
        ("another kind", with("/request/resource/resource", json!("services"))),
        ("no template", with("/request/object/spec", json!({}))),
    ] {
        let response = ask(&webhook, "/check", &review).await;
        assert_eq!(response, json!({"uid": "w-1", "allowed": true}), "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_its_pods_would_be_warned_of_is_said_and_dry_run_changes_nothing() {
    let webhook = webhook(WorkloadChecks::Warn).await;
    let mut once = good();
    once["spec"]["restartPolicy"] = json!("Never");
    let mut job = workload(KINDS[4], &once);
    job["request"]["object"]["metadata"] = json!({"generateName": "shop-"});
    let real = ask(&webhook, "/check", &job).await;
    assert!(matches!(warnings(&real).as_slice(), [one] if one.starts_with("[ESC212]")), "{real}");
    job["request"]["dryRun"] = json!(true);
    assert_eq!(ask(&webhook, "/check", &job).await, real);
    assert_eq!(metric(webhook.health, "esc_injector_workload_checks_total{outcome=\"passed\"}").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_template_is_judged_as_the_pod_that_its_controller_makes() {
    let webhook = webhook(WorkloadChecks::Deny).await;
    // A StatefulSet's claims are volumes of its pods.
    let mut claims = workload(KINDS[1], &good());
    claims["request"]["object"]["spec"]["volumeClaimTemplates"] =
        json!([{"metadata": {"name": "esc-token"}}]);
    // The controller tells an indexed Job's pods their number.
    let mut index = workload(KINDS[4], &asking(good(), &[("env.JOB_COMPLETION_INDEX", "a")]));
    index["request"]["object"]["spec"]["completionMode"] = json!("Indexed");
    // The API server mounts the ServiceAccount's token.
    let mut token = workload(KINDS[0], &asking(good(), &[("file.a", "a"), ("mount-path", "/run/secrets")]));
    token["request"]["object"]["spec"]["template"]["spec"]["automountServiceAccountToken"] = json!(true);
    for (review, code) in [(&claims, "ESC204"), (&index, "ESC203"), (&token, "ESC205")] {
        let response = ask(&webhook, "/check", review).await;
        assert_eq!(response["allowed"], false, "{code}: {response}");
        assert!(response["status"]["message"].as_str().unwrap().contains(code), "{response}");
    }
    // Unless the ServiceAccount says otherwise, which nobody here can know: a warning, and no denial.
    let spec = token["request"]["object"]["spec"]["template"]["spec"].as_object_mut().unwrap();
    spec.remove("automountServiceAccountToken");
    let response = ask(&webhook, "/check", &token).await;
    assert_eq!(response["allowed"], true);
    assert!(warnings(&response)[0].contains("unless their ServiceAccount mounts no token"), "{response}");
}
