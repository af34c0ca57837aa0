//! What the API server itself holds, with its policies and its roles, whatever becomes of the webhook.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::json;

use crate::support::{
    authority::Authority,
    cluster::cluster,
    command::Ran,
    eventually,
    namespace::Namespace,
    pods::{asks, deployment, pod},
    release::{NAME, Release},
};

/// Runs kubectl with the rights of the webhook's ServiceAccount.
fn as_webhook(release: &Release, arguments: &[&str]) -> Ran {
    let account = format!("--as=system:serviceaccount:{}:{NAME}", release.namespace.name);
    cluster().kubectl(arguments.iter().copied().chain([account.as_str()]))
}

#[test]
#[ignore = "needs a cluster: tests/cluster/up"]
fn the_webhook_may_do_only_what_it_has_to() {
    let release = Release::install_default();
    let own = release.namespace.name.clone();
    let elsewhere = Namespace::new("shop", json!({}), &json!({}));
    let elsewhere = elsewhere.name.as_str();
    let may = |verb: &str, what: &str, namespace: &str| {
        let ran = as_webhook(&release, &["auth", "can-i", verb, what, "--namespace", namespace]);
        match ran.stdout.trim() {
            "yes" => true,
            "no" => false,
            _ => panic!("{ran:?}"),
        }
    };
    let (ca, configuration) = (format!("secrets/{NAME}-ca"), format!("mutatingwebhookconfigurations/{NAME}"));
    let checking = format!("validatingwebhookconfigurations/{NAME}");
    for (verb, what, namespace) in [
        ("get", ca.as_str(), own.as_str()),
        ("update", &ca, &own),
        ("get", &configuration, ""),
        ("patch", &configuration, ""),
        ("patch", &checking, ""),
        ("list", "namespaces", ""),
        ("watch", "namespaces", ""),
    ] {
        assert!(may(verb, what, namespace), "may not {verb} {what}");
    }
    for (verb, what, namespace) in [
        ("get", "secrets", own.as_str()),
        ("list", "secrets", &own),
        ("create", "secrets", &own),
        ("delete", &ca, &own),
        ("get", "secrets", elsewhere),
        ("get", &ca, elsewhere),
        ("get", "configmaps", elsewhere),
        ("create", "serviceaccounts/token", elsewhere),
        ("create", "serviceaccounts/token", &own),
        ("get", "pods", elsewhere),
        ("create", "pods", &own),
        ("update", "namespaces", ""),
        ("patch", "mutatingwebhookconfigurations/another", ""),
        ("create", "mutatingwebhookconfigurations", ""),
        ("delete", &configuration, ""),
        ("update", &configuration, ""),
        ("list", "mutatingwebhookconfigurations", ""),
        ("patch", "validatingadmissionpolicies", ""),
        ("impersonate", "users", ""),
        ("escalate", "clusterroles", ""),
    ] {
        assert!(!may(verb, what, namespace), "may {verb} {what} in `{namespace}`");
    }
}

#[test]
#[ignore = "needs a cluster: tests/cluster/up"]
fn with_certificates_of_others_it_has_no_right_on_webhook_configurations() {
    let release = Release::with_own_certificate(&Authority::new());
    for kind in ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"] {
        for verb in ["get", "list", "watch", "patch", "update", "delete"] {
            let ran = as_webhook(&release, &["auth", "can-i", verb, &format!("{kind}/{NAME}")]);
            assert_eq!(ran.stdout.trim(), "no", "{verb} {kind}");
        }
    }
    let ran =
        as_webhook(&release, &["auth", "can-i", "get", "secrets", "--namespace", &release.namespace.name]);
    assert_eq!(ran.stdout.trim(), "no");
}

#[test]
#[ignore = "needs a cluster: tests/cluster/up"]
fn of_its_webhook_configurations_it_may_change_the_bundle_and_nothing_else() {
    let release = Release::install_default();
    let bundle = STANDARD.encode(Authority::new().pem());
    for (kind, entries, other_policy) in
        [("mutatingwebhookconfiguration", 2, "Ignore"), ("validatingwebhookconfiguration", 1, "Fail")]
    {
        let patch = |kind_of_patch: &str, patch: &serde_json::Value| {
            let patch = patch.to_string();
            as_webhook(&release, &["patch", kind, NAME, kind_of_patch, "--patch", &patch])
        };
        let relaxed = json!([{"op": "replace", "path": "/webhooks/0/failurePolicy", "value": other_policy}]);
        // A policy is in force a moment after it was made.
        eventually("the policy is in force", || {
            let patch = relaxed.to_string();
            let ran = as_webhook(
                &release,
                &["patch", kind, NAME, "--type=json", "--patch", &patch, "--dry-run=server"],
            );
            (!ran.ok).then_some(())
        });
        for entry in 0..entries {
            let path = format!("/webhooks/{entry}/clientConfig/caBundle");
            patch("--type=json", &json!([{"op": "add", "path": path, "value": bundle}]))
                .expect("setting a bundle");
        }
        let mut changes = vec![
            relaxed,
            json!([{"op": "replace", "path": "/webhooks/0/clientConfig/service/path", "value": "/elsewhere"}]),
            json!([{"op": "replace", "path": "/webhooks/0/clientConfig/service/namespace", "value": "default"}]),
            json!([{"op": "add", "path": "/webhooks/0/rules/0/resources/-", "value": "secrets"}]),
            json!([{"op": "add", "path": "/webhooks/0/rules/0/apiGroups", "value": ["*"]}]),
            json!([{"op": "remove", "path": "/webhooks/0/matchConditions"}]),
            json!([{"op": "remove", "path": "/webhooks/0/namespaceSelector"}]),
            json!([{"op": "add", "path": "/webhooks/0/objectSelector", "value": {"matchLabels": {"a": "b"}}}]),
            json!([{"op": "add", "path": "/webhooks/0/timeoutSeconds", "value": 29}]),
            json!([{"op": "remove", "path": "/webhooks/0"}]),
            json!([{"op": "copy", "from": "/webhooks/0", "path": "/webhooks/-"},
                   {"op": "add", "path": format!("/webhooks/{entries}/name"), "value": "more.inject.esc.pulumi.com"}]),
            json!([{"op": "add", "path": "/metadata/labels/a", "value": "b"}]),
            json!([{"op": "add", "path": "/metadata/annotations", "value": {"a": "b"}}]),
            json!([{"op": "add", "path": "/metadata/finalizers", "value": ["example.com/stay"]}]),
            json!([{"op": "add", "path": "/metadata/ownerReferences", "value": [
                {"apiVersion": "v1", "kind": "Namespace", "name": "default", "uid": "0"}]}]),
        ];
        // A URL in place of the Service, with a bundle that fits.
        changes.push(json!([{"op": "replace", "path": "/webhooks/0/clientConfig",
            "value": {"url": "https://example.com/", "caBundle": bundle}}]));
        for change in &changes {
            let refused = patch("--type=json", change).expect_refusal(&format!("{kind}: {change}"));
            assert!(refused.contains("[ESC803]"), "{change}: {refused}");
        }
    }
}

#[test]
#[ignore = "needs a cluster: tests/cluster/up"]
fn a_pod_that_asks_never_starts_bare_when_the_webhook_is_not_asked() {
    let _release = Release::serving();
    let namespace = Namespace::injected("shop");
    cluster().kubectl(["delete", "mutatingwebhookconfiguration", NAME]).expect("deleting the configuration");
    let refused = eventually("the API server has forgotten the webhook", || {
        let ran = namespace.create(&pod("asks", &asks()));
        assert!(!ran.ok || ran.stdout.contains("esc-agent"), "a bare pod: {}", ran.stdout);
        if ran.ok {
            namespace.kubectl(["delete", "pod", "asks", "--wait=false"], &json!(null));
        }
        (!ran.ok).then_some(ran.stderr)
    });
    for expected in ["ValidatingAdmissionPolicy", "[ESC801]", "esc-agent", "Fix:"] {
        assert!(refused.contains(expected), "{expected} is not in: {refused}");
    }
    namespace.create(&pod("says-nothing", &json!({}))).expect("a pod that does not ask");
    let mut opted_out = asks();
    opted_out["esc.pulumi.com/inject"] = json!("false");
    namespace.create(&pod("opted-out", &opted_out)).expect("a pod that opted out");
}

#[test]
#[ignore = "needs a cluster: tests/cluster/up"]
fn who_asks_in_a_namespace_that_is_not_injected_is_warned() {
    let _release = Release::serving();
    let labelled = Namespace::injected("shop");
    let bare = Namespace::new("shop", json!({}), &json!({}));
    let misspelt = Namespace::new("shop", json!({"esc.pulumi.com/injection": "true"}), &json!({}));
    for (namespace, expected) in [
        (&labelled, None),
        (&bare, Some(format!("kubectl label namespace {} esc.pulumi.com/injection=enabled", bare.name))),
        (&misspelt, Some("esc.pulumi.com/injection=true".to_owned())),
    ] {
        for object in [pod("shop", &asks()), deployment("shop", &asks())] {
            let ran = namespace.create(&object);
            assert!(ran.ok, "{ran:?}");
            match &expected {
                None => assert_eq!(ran.stderr, "", "{}", object["kind"]),
                Some(expected) => {
                    assert!(ran.stderr.contains("Warning:") && ran.stderr.contains("[ESC802]"), "{ran:?}");
                    assert!(ran.stderr.contains(expected.as_str()), "{expected} is not in {ran:?}");
                }
            }
        }
        let quiet = namespace.create(&pod("says-nothing", &json!({})));
        assert_eq!(quiet.stderr, "");
    }
}
