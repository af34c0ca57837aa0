//! What the API server is told to send, and to hold to.

use serde_json::{Value, json};

use crate::{
    helm::{Helm, refusal, render},
    objects::{FULLNAME, Objects},
};

/// One of each value that could touch the webhook configurations.
const VARIATIONS: &[&str] = &[
    "{}",
    "webhook: {failurePolicy: Ignore, timeoutSeconds: 30, reinvocationPolicy: Never}",
    "webhook: {namespaceSelector: {matchLabels: {a: b}}, objectSelector: {matchLabels: {c: d}}}",
    "webhook: {matchConditions: [{name: mine, expression: 'true'}]}",
    "webhook: {hostNetwork: true}",
    "workloadChecks: deny",
    "workloadChecks: off",
    "excludedNamespaces: [a, b]",
    "policies: {askedMustBeInjected: off, askedInUnlabelledNamespace: off, guardWebhookConfiguration: off}",
    "certificates: {mode: certManager}",
    "certificates: {mode: secret, secretName: a, caBundle: '-----BEGIN CERTIFICATE-----'}",
    "openshift: {enabled: true}",
    "replicas: 0",
];

fn names(objects: &Objects) -> Vec<&str> {
    objects.entries().iter().map(|entry| entry["name"].as_str().unwrap()).collect()
}

#[test]
#[ignore = "needs helm: tests/cluster/install"]
fn the_entries_are_frozen_whatever_the_values() {
    for values in VARIATIONS {
        let objects = render(values);
        assert_eq!(
            names(&objects),
            ["pods.inject.esc.pulumi.com", "all.inject.esc.pulumi.com", "workloads.inject.esc.pulumi.com"],
            "{values}"
        );
        for (entry, path) in objects.entries().iter().zip(["/mutate", "/mutate/all", "/check"]) {
            let service = json!({"name": FULLNAME, "namespace": "esc", "port": 443, "path": path});
            assert_eq!(entry["clientConfig"]["service"], service, "{values}");
            assert_eq!(entry["sideEffects"], "None");
            assert_eq!(entry["matchPolicy"], "Equivalent");
            assert_eq!(entry["admissionReviewVersions"], json!(["v1"]));
        }
    }
}

#[test]
#[ignore = "needs helm: tests/cluster/install"]
fn only_mode_secret_states_the_bundle() {
    let bundles = |values: &str| {
        let objects = render(values);
        objects
            .entries()
            .iter()
            .map(|entry| entry["clientConfig"].get("caBundle").cloned())
            .collect::<Vec<_>>()
    };
    assert_eq!(bundles("{}"), [None, None, None]);
    assert_eq!(bundles("certificates: {mode: certManager}"), [None, None, None]);
    let pem = "-----BEGIN CERTIFICATE-----\nplanted\n";
    let values = format!("certificates: {{mode: secret, secretName: a, caBundle: {}}}", json!(pem));
    let encoded = json!(base64::Engine::encode(&base64::engine::general_purpose::STANDARD, pem));
    assert_eq!(bundles(&values), [Some(encoded.clone()), Some(encoded.clone()), Some(encoded)]);
}

#[test]
#[ignore = "needs helm: tests/cluster/install"]
fn cert_manager_is_told_where_the_ca_goes() {
    let objects = render("certificates: {mode: certManager}");
    for kind in ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"] {
        let annotation = &objects.one(kind)["metadata"]["annotations"]["cert-manager.io/inject-ca-from"];
        assert_eq!(annotation, &format!("esc/{FULLNAME}"));
    }
    assert_eq!(objects.one("Certificate")["spec"]["dnsNames"][0], format!("{FULLNAME}.esc.svc"));
    assert!(render("{}").one("MutatingWebhookConfiguration")["metadata"].get("annotations").is_none());
}

fn expressions(entry: &Value) -> Vec<&str> {
    let selector = entry["namespaceSelector"]["matchExpressions"].as_array().unwrap();
    selector.iter().map(|expression| expression["key"].as_str().unwrap()).collect()
}

#[test]
#[ignore = "needs helm: tests/cluster/install"]
fn own_conditions_are_added_to_and_never_replaced() {
    let values = "
excludedNamespaces: [vendor]
webhook:
  namespaceSelector: {matchLabels: {tier: app}, matchExpressions: [{key: canary, operator: Exists}]}
  objectSelector: {matchLabels: {a: b}}
  matchConditions: [{name: mine, expression: 'object.spec.hostNetwork != true'}]
";
    let (plain, own) = (render("{}"), render(values));
    for (before, after) in plain.entries().into_iter().zip(own.entries()) {
        assert_eq!(expressions(after), ["esc.pulumi.com/injection", "kubernetes.io/metadata.name", "canary"]);
        assert_eq!(after["namespaceSelector"]["matchLabels"], json!({"tier": "app"}));
        let excluded = &after["namespaceSelector"]["matchExpressions"][1];
        assert_eq!(excluded["operator"], "NotIn");
        assert_eq!(excluded["values"], json!(["kube-system", "esc", "vendor"]));
        let conditions = |entry: &Value| entry["matchConditions"].as_array().unwrap().clone();
        let mut expected = conditions(before);
        if before["name"] == "workloads.inject.esc.pulumi.com" {
            // Conditions on pods say nothing about workloads.
            assert_eq!(after["objectSelector"], json!({}));
        } else {
            expected.push(json!({"name": "mine", "expression": "object.spec.hostNetwork != true"}));
            assert_eq!(after["objectSelector"], json!({"matchLabels": {"a": "b"}}));
        }
        assert_eq!(conditions(after), expected);
    }
    let message = refusal("webhook: {matchConditions: [{name: asks, expression: 'true'}]}");
    assert!(message.contains("matchConditions"), "{message}");
}

#[test]
#[ignore = "needs helm: tests/cluster/install"]
fn the_policies_leave_out_the_same_namespaces() {
    let objects = render("excludedNamespaces: [vendor]");
    let name = format!("{FULLNAME}-asked-must-be-injected");
    let policy = objects.find("ValidatingAdmissionPolicy", &name).unwrap();
    let selector = &policy["spec"]["matchConstraints"]["namespaceSelector"]["matchExpressions"];
    assert_eq!(selector[1]["values"], json!(["kube-system", "esc", "vendor"]));
    let name = format!("{FULLNAME}-asked-in-unlabelled-namespace");
    let policy = objects.find("ValidatingAdmissionPolicy", &name).unwrap();
    assert_eq!(
        policy["spec"]["variables"][1]["expression"],
        r#"request.namespace in ["kube-system","esc","vendor"]"#
    );
}

#[test]
#[ignore = "needs helm: tests/cluster/install"]
fn policies_deny_or_warn_as_they_are_told() {
    for (value, action) in [("deny", "Deny"), ("warn", "Warn")] {
        let objects = render(&format!(
            "policies: {{askedMustBeInjected: {value}, askedInUnlabelledNamespace: {value}, guardWebhookConfiguration: {value}}}"
        ));
        let bindings = objects.0.iter().filter(|object| object["kind"] == "ValidatingAdmissionPolicyBinding");
        let actions: Vec<_> = bindings.map(|binding| binding["spec"]["validationActions"].clone()).collect();
        assert_eq!(actions, [json!([action]), json!([action]), json!([action])]);
    }
}

#[test]
#[ignore = "needs helm: tests/cluster/install"]
fn the_guard_is_there_where_the_right_is() {
    let guard = |values: &str| {
        render(values)
            .find("ValidatingAdmissionPolicy", &format!("{FULLNAME}-guard-webhook-configuration"))
            .cloned()
    };
    let condition = &guard("{}").unwrap()["spec"]["matchConditions"][0]["expression"];
    assert_eq!(condition, &format!("request.userInfo.username == 'system:serviceaccount:esc:{FULLNAME}'"));
    assert!(guard("certificates: {mode: certManager}").is_none());
}

#[test]
#[ignore = "needs helm: tests/cluster/install"]
fn messages_carry_codes_that_can_be_explained() {
    let objects = render("{}");
    let text = Helm::v4().text("{}").unwrap();
    let codes: std::collections::BTreeSet<_> =
        text.match_indices("[ESC").map(|(at, _)| &text[at + 1..at + 7]).collect();
    assert_eq!(codes.into_iter().collect::<Vec<_>>(), ["ESC801", "ESC802", "ESC803"]);
    for code in ["ESC801", "ESC802", "ESC803"] {
        assert!(esc_injector::codes::find(code).is_some());
    }
    assert!(objects.has("ValidatingAdmissionPolicy"));
    // And each message ends with what explains it: as many hints as there are codes, a message of CEL has its own.
    for code in ["ESC801", "ESC802", "ESC803"] {
        let hints = text.matches(&format!("More: esc-injector explain {code}")).count();
        assert_eq!(hints, text.matches(&format!("[{code}]")).count(), "{code}");
    }
}
