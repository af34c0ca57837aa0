//! What must be nowhere but where it belongs: the keys and tokens of an installation, and the text of the pods that it
//! sees.

use std::fs;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::json;

use crate::support::{
    audit,
    cluster::cluster,
    etcd,
    namespace::Namespace,
    planted,
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
    // In the store they are in Secrets, and what is in no Secret is nowhere.
    let (secrets, tokens) = planted.split_at(planted.len() - release.replicas.len());
    let texts = |all: &[String]| etcd::keys_holding(&all.iter().map(String::as_str).collect::<Vec<_>>());
    let found = texts(secrets);
    assert!(found.iter().all(|key| key.starts_with("/registry/secrets/")), "{found:?}");
    for (namespace, name) in [(&namespace, "esc"), (&release.namespace, &*format!("{NAME}-ca"))] {
        let key = format!("/registry/secrets/{}/{name}", namespace.name);
        assert!(found.contains(&key), "{key} is not among {found:?}");
    }
    assert_eq!(texts(tokens), Vec::<String>::new());
    // That the search would find something: our patch, and what the pod itself said, are in the audit log.
    let audit = audit::text();
    assert!(audit.contains("patch.webhook.admission.k8s.io/") && audit.contains(PLANTED_IN_A_POD));
    let controllers = fs::read_to_string(cluster().state.join("logs/kube-controller-manager.log")).unwrap();
    assert!(!controllers.contains(PLANTED_TOKEN));
}

/// The search of etcd can fail: it finds what is there, in every form that objects have it in.
#[test]
#[ignore = "needs a cluster: tests/cluster/up"]
fn a_value_that_lies_in_an_object_is_found_in_etcd() {
    let namespace = Namespace::injected("planted");
    let value = planted::value("object");
    let encoded = |before: &str| STANDARD.encode(format!("{before}{value} and more"));
    let config = |name: &str, text: String| {
        json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"text": text},
        })
    };
    namespace.created(&json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "secret"}, "stringData": {"key": value},
    }));
    for (name, text) in [
        ("plain", format!("before {value} after")),
        ("encoded-0", encoded("")),
        ("encoded-1", encoded("a")),
        ("encoded-2", encoded("ab")),
    ] {
        namespace.created(&config(name, text));
    }
    namespace.created(&config("another", planted::value("object")));
    let mut expected = vec![format!("/registry/secrets/{}/secret", namespace.name)];
    for name in ["encoded-0", "encoded-1", "encoded-2", "plain"] {
        expected.push(format!("/registry/configmaps/{}/{name}", namespace.name));
    }
    let mut found = etcd::keys_holding(&[&value]);
    expected.sort_unstable();
    found.sort_unstable();
    assert_eq!(found, expected);
    // Deleted, they are out of the store, and still in its files, where the other search finds them.
    let delete = ["delete", "secrets,configmaps", "--all", "--wait=true"];
    namespace.kubectl(delete, &serde_json::Value::Null).expect("kubectl delete");
    assert_eq!(etcd::keys_holding(&[&value]), Vec::<String>::new());
    assert!(planted::found_on_disk(&[&value]).iter().any(|file| file.contains("/etcd/member/")));
}
