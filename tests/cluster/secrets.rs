//! What must be nowhere: the keys and tokens of an installation, and the text of the pods that it sees.

use std::fs;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::json;

use crate::support::{
    audit,
    cluster::cluster,
    namespace::Namespace,
    pods::{agent, asks, deployment, pod},
    release::{NAME, Release},
    replica,
};

/// Stands in a pod that is refused and in one that is not. The API server logs what users send; we must not.
const PLANTED_IN_A_POD: &str = "planted-in-a-pod-4711";

/// The static token of a namespace.
const PLANTED_TOKEN: &str = "planted-access-token-4712";

#[test]
#[ignore = "needs a cluster: tests/cluster/up"]
fn no_key_and_no_token_is_in_logs_audit_log_events_or_metrics() {
    // As talkative as it can be.
    let mut release = Release::install_default();
    release
        .upgrade(&crate::support::release::chart(), &json!({"log": {"level": "trace"}}))
        .expect("helm upgrade");
    release.start_replicas(2);
    let namespace = Namespace::injected("shop");
    namespace.created(&json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "esc"},
        "stringData": {"accessToken": PLANTED_TOKEN},
    }));
    let mut with_token = asks();
    with_token["esc.pulumi.com/access-token-secret"] = json!("esc");
    let wrong = json!({"esc.pulumi.com/environment": "acme"});
    for (name, annotations, admitted) in
        [("plain", &asks(), true), ("with-token", &with_token, true), ("wrong", &wrong, false)]
    {
        for mut object in [pod(name, annotations), deployment(name, annotations)] {
            let is_pod = object["kind"] == "Pod";
            let spec = if is_pod { &mut object["spec"] } else { &mut object["spec"]["template"]["spec"] };
            spec["containers"][0]["env"] = json!([{"name": "PLANTED", "value": PLANTED_IN_A_POD}]);
            let ran = namespace.create(&object);
            assert_eq!(ran.ok, admitted || !is_pod, "{ran:?}");
            assert!(!ran.stderr.contains(PLANTED_IN_A_POD), "{}", ran.stderr);
            if ran.ok && is_pod {
                assert!(agent(&serde_json::from_str(&ran.stdout).unwrap()).is_some());
            }
        }
    }

    let secret = cluster().get("secret", &release.namespace.name, &format!("{NAME}-ca")).unwrap();
    let key = secret["data"]["ca.key"].as_str().expect("the authority's key").to_owned();
    let pem = String::from_utf8(STANDARD.decode(&key).unwrap()).unwrap();
    // A line of its middle: the first one is the same in every key.
    let line = pem.lines().nth(2).unwrap().to_owned();
    let mut planted = vec![PLANTED_TOKEN.to_owned(), STANDARD.encode(PLANTED_TOKEN), key, line];
    planted.extend(release.replicas.iter().map(|replica| replica.token.clone()));

    let events = serde_json::to_string(&cluster().list("events", "")).unwrap();
    let mut places = vec![("the audit log".to_owned(), audit::text()), ("events".to_owned(), events)];
    for replica in &release.replicas {
        let log = replica.log();
        assert!(
            log.contains("\"outcome\":\"injected\"") || log.contains("\"level\":\"TRACE\""),
            "it logs nothing"
        );
        assert!(!log.contains(PLANTED_IN_A_POD), "the log of a replica quotes a pod");
        places.push((format!("the log of {}", replica.address), log));
        let (_, metrics) = replica::get(replica.address, "/metrics").unwrap();
        assert!(!metrics.contains(PLANTED_IN_A_POD) && !metrics.contains(&namespace.name), "{metrics}");
        places.push((format!("the metrics of {}", replica.address), metrics));
    }
    for (place, text) in &places {
        for value in &planted {
            assert!(!text.contains(value.as_str()), "{place} holds a planted value");
        }
    }
    // That the search would find something: our patch, and what the pod itself said, are in the audit log.
    let audit = audit::text();
    assert!(audit.contains("patch.webhook.admission.k8s.io/") && audit.contains(PLANTED_IN_A_POD));
    let controllers = fs::read_to_string(cluster().state.join("logs/kube-controller-manager.log")).unwrap();
    assert!(!controllers.contains(PLANTED_TOKEN));
}
