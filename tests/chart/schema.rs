//! The schema refuses what the chart does not know.

use esc_injector::yaml::{self, Dialect};
use serde_json::Value;

use crate::helm::{Helm, refusal, root};

#[test]
#[ignore = "needs helm: tests/cluster/install"]
fn typos_are_refused_by_both_versions_of_helm() {
    for helm in Helm::both() {
        for values in [
            "replica: 3",
            "image: {tags: x}",
            "agent: {image: {pullPolicy: Always}}",
            "agents: {}",
            "api: {URL: x}",
            "auth: {tokentype: organization}",
            "proxy: {http: x}",
            "webhook: {failurepolicy: Fail}",
            "webhook: {namespaceSelector: {matchLabel: {}}}",
            "webhook: {matchConditions: [{name: a, expression: b, message: c}]}",
            "certificates: {certmanager: {}}",
            "certificates: {certManager: {issuer: x}}",
            "policies: {askedMustBeinjected: deny}",
            "log: {levels: info}",
            "podDisruptionBudget: {minAvailable: 1}",
            "autoscaling: {max: 3}",
            "priorityClass: {class: x}",
            "openshift: {enable: true}",
            "networkPolicy: {enable: true}",
            "metrics: {servicemonitor: {}}",
            "metrics: {serviceMonitor: {scrapeInterval: 1m}}",
            "resources: {request: {}}",
            "test: {ns: x}",
        ] {
            let message = helm.text(values).expect_err(values);
            assert!(message.contains("additional properties"), "{values}: {message}");
        }
    }
}

#[test]
#[ignore = "needs helm: tests/cluster/install"]
fn values_of_the_wrong_kind_are_refused() {
    for values in [
        "replicas: two",
        "replicas: -1",
        "image: {digest: 'sha256:abc'}",
        "image: {pullPolicy: Sometimes}",
        "agent: {user: 0}",
        "auth: {mode: oauth}",
        "auth: {tokenType: 'team:'}",
        "auth: {accessTokenSecret: 'A/b/c'}",
        "api: {url: esc.example.com}",
        "api: {caBundle: hello}",
        "webhook: {failurePolicy: fail}",
        "webhook: {timeoutSeconds: 31}",
        "webhook: {timeoutSeconds: 0}",
        "webhook: {port: 443}",
        "workloadChecks: maybe",
        "certificates: {mode: selfsigned}",
        "policies: {guardWebhookConfiguration: true}",
        "minRefresh: 60",
        "minKubelet: 1.35",
        "log: {level: verbose}",
        "priorityClass: {value: 2000000000}",
        "excludedNamespaces: [Kube_System]",
        "labels: {app.kubernetes.io/name: x}",
        "podLabels: {app.kubernetes.io/instance: x}",
        "defaults: {timeout: 30}",
        "networkPolicy: {apiServerCidrs: [everywhere]}",
        "extraObjects: [{kind: ConfigMap}]",
        "nameOverride: 'a: b'",
        "fullnameOverride: '1e3'",
        "image: {repository: 'ghcr.io/mine/esc-injector:1.0'}",
        "agent: {image: {repository: 'mine:1.0'}}",
        "nodeSelector: {kubernetes.io/os: windows}",
        "certificates: {certManager: {issuerRef: {kind: ClusterIssuer}}}",
    ] {
        let message = refusal(values);
        assert!(message.contains("values don't meet the specifications"), "{values}: {message}");
    }
}

/// Helm takes null for "without the default". Without it a template sees nothing, and nothing is 0 replicas, or a policy
/// that only warns.
#[test]
#[ignore = "needs helm: tests/cluster/install"]
fn a_value_that_is_null_is_refused_by_both_versions_of_helm() {
    for helm in Helm::both() {
        for (values, key) in [
            ("replicas: null", "replicas"),
            ("policies: {askedMustBeInjected: null}", "askedMustBeInjected"),
            ("certificates: {mode: null}", "mode"),
            ("excludedNamespaces: null", "excludedNamespaces"),
            ("webhook: null", "webhook"),
            ("log: {format: null}", "format"),
        ] {
            let message = helm.text(values).expect_err(values);
            assert!(message.contains("missing propert") && message.contains(key), "{values}: {message}");
        }
    }
}

#[test]
#[ignore = "needs helm: tests/cluster/install"]
fn values_that_contradict_each_other_are_refused_in_plain_words() {
    for (values, words) in [
        ("certificates: {mode: secret}", "set certificates.secretName"),
        ("certificates: {mode: secret, secretName: a}", "set certificates.caBundle"),
        ("certificates: {caBundle: '-----BEGIN CERTIFICATE-----'}", "the mode is self"),
        ("certificates: {secretName: a}", "the mode is self"),
        ("auth: {accessTokenSecret: a}\ndefaults: {access-token-secret: b}", "remove one"),
        ("defaults: {timeout: {a: b}}", "defaults.timeout is an object"),
        ("autoscaling: {enabled: true, minReplicas: 9}", "minReplicas is greater"),
        ("webhook: {port: 8080}", "are the same"),
        ("metrics: {serviceMonitor: {enabled: true}, podMonitor: {enabled: true}}", "enable one"),
        ("priorityClass: {name: system-cluster-critical}", "priorityClass.create: false"),
        ("labels: {team: a}\npodLabels: {team: b}", "labels and podLabels both have team"),
        (
            "labels: {team: a}\nmetrics: {podMonitor: {enabled: true, labels: {team: b}}}",
            "labels and metrics.podMonitor.labels both have team",
        ),
    ] {
        let message = refusal(values);
        assert!(message.contains(words), "{values}: {message}");
    }
}

/// Objects that Kubernetes defines, and maps whose keys are the user's.
const OPEN: &[&str] = &[
    "affinity",
    "annotations",
    "claims",
    "defaults",
    "extraObjects",
    "global",
    "labels",
    "limits",
    "matchLabels",
    "metricsFrom",
    "nodeSelector",
    "podAnnotations",
    "podLabels",
    "requests",
    "tolerations",
    "topologySpreadConstraints",
];

fn closed(schema: &Value, place: &str, open: &mut Vec<String>) {
    if schema["type"] == "object" && schema["additionalProperties"] != false {
        open.push(place.to_owned());
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        closed(property, name, open);
    }
    if let Some(items) = schema.get("items") {
        closed(items, place, open);
    }
    for choice in schema["anyOf"].as_array().into_iter().flatten() {
        closed(choice, place, open);
    }
}

fn schema() -> Value {
    let text = std::fs::read_to_string(root().join("charts/esc-injector/values.schema.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn no_object_of_ours_takes_unknown_keys() {
    let mut open = Vec::new();
    closed(&schema(), "", &mut open);
    open.retain(|place| !OPEN.contains(&place.as_str()));
    assert!(open.is_empty(), "{open:?}");
}

/// Names of values, with those of objects that the schema closes.
fn paths(value: &Value, schema: &Value, place: &str, out: &mut Vec<String>) {
    let known = schema["properties"].as_object();
    let keys = value.as_object().into_iter().flatten();
    for (key, value) in keys.filter(|_| known.is_some()) {
        let place = format!("{place}.{key}");
        paths(value, &schema["properties"][key], &place, out);
        out.push(place);
    }
}

fn schema_paths(schema: &Value, place: &str, out: &mut Vec<String>) {
    for (key, property) in schema["properties"].as_object().into_iter().flatten() {
        let place = format!("{place}.{key}");
        schema_paths(property, &place, out);
        out.push(place);
    }
}

/// Places of values that may be null, or that the schema does not ask for.
fn not_required(value: &Value, schema: &Value, place: &str, out: &mut Vec<String>) {
    let required = schema["required"].as_array();
    let is_required = |key: &str| required.is_some_and(|keys| keys.iter().any(|known| known == key));
    for (key, value) in value.as_object().into_iter().flatten().filter(|_| schema["properties"].is_object()) {
        let place = format!("{place}.{key}");
        if !is_required(key) {
            out.push(place.clone());
        }
        not_required(value, &schema["properties"][key], &place, out);
    }
}

#[test]
fn every_value_has_to_be_there_but_those_that_mean_something_without() {
    let text = std::fs::read_to_string(root().join("charts/esc-injector/values.yaml")).unwrap();
    let values = yaml::to_json(&yaml::parse(&text).unwrap()[0], Dialect::Kubernetes).unwrap();
    let mut free = Vec::new();
    not_required(&values, &schema(), "", &mut free);
    free.retain(|place| !place.starts_with(".resources."));
    assert_eq!(free, [".topologySpreadConstraints", ".global"]);
}

#[test]
fn the_schema_knows_what_values_yaml_has_and_nothing_else() {
    let text = std::fs::read_to_string(root().join("charts/esc-injector/values.yaml")).unwrap();
    let values = yaml::to_json(&yaml::parse(&text).unwrap()[0], Dialect::Kubernetes).unwrap();
    let (mut there, mut known) = (Vec::new(), Vec::new());
    paths(&values, &schema(), "", &mut there);
    schema_paths(&schema(), "", &mut known);
    // Shapes of Kubernetes' own, which the defaults leave empty.
    let shapes = ["Selector.", "issuerRef.", "resources."];
    known.retain(|path| !shapes.iter().any(|shape| path.contains(shape)));
    there.retain(|path| !shapes.iter().any(|shape| path.contains(shape)));
    there.sort();
    known.sort();
    assert_eq!(there, known);
}
