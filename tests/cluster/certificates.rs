//! The certificates that an installation makes for itself, as they lie in the cluster.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::json;

use crate::support::{
    cluster::cluster,
    eventually, handshakes,
    namespace::Namespace,
    pods::{agent, asks, pod},
    release::{NAME, Release, bundles, chart},
    replica::{self, address},
};

#[test]
#[ignore = "needs a cluster: tests/cluster/up"]
fn replicas_share_an_authority_and_nothing_else() {
    let release = Release::serving();
    let secret = cluster().get("secret", &release.namespace.name, &format!("{NAME}-ca")).unwrap();
    let authority = &secret["data"]["ca.crt"];
    assert!(bundles().iter().all(|bundle| bundle == authority), "{secret:#}");
    let pem = STANDARD.decode(authority.as_str().unwrap()).unwrap();
    assert_eq!(String::from_utf8(pem).unwrap().matches("BEGIN CERTIFICATE").count(), 1);
    let bundle = cluster().block_on(handshakes::bundle()).unwrap();
    let name = format!("{NAME}.{}.svc", release.namespace.name);
    let served = |n| cluster().block_on(handshakes::connect(&bundle, &name, address(n))).unwrap();
    assert_ne!(served(1), served(2), "two replicas have one key");
}

#[test]
#[ignore = "needs a cluster: tests/cluster/up"]
fn it_takes_part_in_the_configurations_by_the_bundle_alone() {
    let release = Release::serving();
    for kind in ["mutatingwebhookconfiguration", "validatingwebhookconfiguration"] {
        let found = cluster()
            .kubectl(["get", kind, NAME, "--output=json", "--show-managed-fields"])
            .expect("kubectl get");
        let found: serde_json::Value = serde_json::from_str(&found).unwrap();
        let ours: Vec<_> = found["metadata"]["managedFields"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|entry| entry["manager"] == "esc-injector")
            .collect();
        let [ours] = ours[..] else { panic!("{found:#}") };
        assert_eq!(ours["operation"], "Apply");
        let entries = ours["fieldsV1"]["f:webhooks"].as_object().unwrap();
        for entry in entries.values() {
            let mut keys: Vec<_> = entry.as_object().unwrap().keys().map(String::as_str).collect();
            keys.sort_unstable();
            assert_eq!(keys, [".", "f:clientConfig", "f:name"]);
            assert_eq!(entry["f:clientConfig"], json!({"f:caBundle": {}}));
        }
    }
    drop(release);
}

#[test]
#[ignore = "needs a cluster: tests/cluster/up"]
fn without_its_secret_it_serves_on_and_a_new_replica_says_what_is_missing() {
    let mut release = Release::serving();
    let (own, secret) = (release.namespace.name.clone(), format!("{NAME}-ca"));
    cluster().kubectl(["delete", "secret", &secret, "--namespace", &own]).expect("deleting the Secret");
    let shop = Namespace::injected("shop");
    assert!(agent(&shop.created(&pod("first", &asks()))).is_some());
    let fresh = release.start_replica(3);
    let reason = eventually("a reason", || {
        let (status, reason) = replica::get(address(3), "/readyz")?;
        assert_ne!(status, 200, "ready without a certificate");
        fresh.log().contains("ESC").then_some(reason)
    });
    eprintln!("{reason}");
    // Whoever deletes it gets it back from the chart.
    release.upgrade(&chart(), &json!({})).expect("helm upgrade");
    release.replicas.push(fresh);
    for replica in &mut release.replicas {
        replica.wait_until_ready();
    }
    assert!(agent(&shop.created(&pod("second", &asks()))).is_some());
}

#[test]
#[ignore = "needs a cluster: tests/cluster/up"]
fn without_its_rights_it_says_which_are_missing() {
    let release = Release::install_default();
    let own = release.namespace.name.as_str();
    cluster().kubectl(["delete", "rolebinding", NAME, "--namespace", own]).expect("taking the rights away");
    let replica = release.start_replica(1);
    eventually("the log says so", || {
        let log = replica.log();
        (log.contains("secrets") && log.contains("forbidden")).then_some(())
    });
    assert!(!replica::is_ready(address(1)));
    release.upgrade(&chart(), &json!({})).expect("helm upgrade");
    let mut replica = replica;
    replica.wait_until_ready();
}
