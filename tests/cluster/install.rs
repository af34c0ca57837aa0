//! The chart, judged by the tools and the API server of those who install it.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{
    cluster::{alone, cluster},
    command::{Ran, run},
    eventually,
    namespace::Namespace,
    release::{Helm, NAME, Release, chart},
    replica,
};

/// Values that render everything that this API server knows.
fn everything() -> Value {
    json!({
        "replicas": 3,
        "autoscaling": {"enabled": true},
        "networkPolicy": {"enabled": true},
        "priorityClass": {"create": true},
        "api": {"caBundle": "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"},
        "webhook": {"hostNetwork": false, "failurePolicy": "Ignore"},
        "policies": {"askedInUnlabelledNamespace": "deny", "askedMustBeInjected": "warn"},
        "workloadChecks": "deny",
    })
}

#[test]
#[ignore = "needs a cluster: tests/cluster/up"]
fn helm_lint_has_nothing_to_say() {
    for helm in [Helm::Four, Helm::Three] {
        for values in [json!({}), everything()] {
            let chart = chart();
            helm.run(["lint", "--strict", chart.to_str().unwrap(), "--values", "-"], &values)
                .expect("helm lint --strict");
        }
    }
}

#[test]
#[ignore = "needs a cluster: tests/cluster/up"]
fn rendered_manifests_fit_the_schemas_of_the_real_server() {
    let server = Schemas::of_the_server();
    for helm in [Helm::Four, Helm::Three] {
        for values in [json!({}), everything()] {
            let ran = server.judge(&render(helm, "esc-system", &values));
            assert!(ran.ok && ran.stdout.contains("Invalid: 0, Errors: 0, Skipped: 0"), "{ran:?}");
        }
    }
    // A field that does not exist would have been found.
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": {"portz": []},
    });
    let ran = server.judge(&service.to_string());
    assert!(!ran.ok && ran.stdout.contains("portz"), "{ran:?}");
}

#[test]
#[ignore = "needs a cluster: tests/cluster/up"]
fn the_api_server_takes_every_manifest_in_a_restricted_namespace() {
    // Objects of the same names, by another manager, would be in conflict.
    let _alone = alone();
    let strict = json!({
        "pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/warn": "restricted",
    });
    let namespace = Namespace::new("strict", strict, &json!({}));
    for values in [json!({}), everything()] {
        let manifests = render(Helm::Four, &namespace.name, &values);
        let mut kubectl = cluster().tool("kubectl");
        kubectl.args(["apply", "--server-side", "--dry-run=server", "-f", "-"]);
        let ran = run(&kubectl, &manifests);
        // Pods of a Deployment that would be refused are a warning here.
        assert_eq!(ran.stderr, "");
        assert!(ran.ok);
    }
}

#[test]
#[ignore = "needs a cluster: tests/cluster/up"]
fn the_plain_manifests_are_taken_as_well() {
    let _alone = alone();
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/base");
    let manifests = cluster().kubectl(["kustomize", base.to_str().unwrap()]).expect("kubectl kustomize");
    // A dry run makes no namespace for those that follow.
    cluster().kubectl(["create", "namespace", "esc-injector"]).expect("a namespace");
    let ran = cluster().kubectl_with(["apply", "--server-side", "--dry-run=server", "-f", "-"], &manifests);
    cluster().kubectl(["delete", "namespace", "esc-injector", "--wait=false"]);
    ran.expect("kubectl apply -k deploy/base");
}

#[test]
#[ignore = "needs a cluster: tests/cluster/up"]
fn uninstalling_leaves_nothing() {
    for helm in [Helm::Four, Helm::Three] {
        let mut release = Release::install(helm, &json!({}));
        let own = release.namespace.name.clone();
        release.start_replicas(2);
        assert!(!of_the_chart(&inventory("")).is_empty());
        for replica in &mut release.replicas {
            release.endpoints.withdraw(replica.address);
            replica.kill();
        }
        release.uninstall().expect("helm uninstall");
        eventually("only what every namespace has is left", || {
            let left = inventory(&own);
            let left: Vec<_> = left.iter().filter(|name| !is_of_every_namespace(name)).collect();
            left.is_empty().then_some(())
        });
        assert_eq!(of_the_chart(&inventory("")), Vec::<&String>::new());
    }
}

#[test]
#[ignore = "needs a cluster: tests/cluster/up"]
fn the_charts_own_test_passes_with_the_rights_it_has() {
    let shop = Namespace::injected("shop");
    let values = json!({"test": {"namespace": shop.name}});
    let mut release = Release::install(Helm::Four, &values);
    release.start_replicas(1);
    // What `helm test` makes; its pod is played here, since nothing starts one.
    let (chart, own) = (chart(), release.namespace.name.clone());
    let render = ["template", NAME, chart.to_str().unwrap(), "--namespace", &own, "--values", "-"];
    let mut objects = String::new();
    for kind in ["serviceaccount", "role", "rolebinding", "clusterrole", "clusterrolebinding", "pod"] {
        let only = format!("templates/tests/{kind}.yaml");
        let only = ["--show-only", only.as_str()];
        let rendered = Helm::Four.run(render.into_iter().chain(only), &values).expect("helm template");
        objects.push_str(&rendered);
    }
    cluster().kubectl_with(["apply", "-f", "-"], &objects).expect("kubectl apply");
    let pod = cluster().get("pod", &own, &format!("{NAME}-test")).unwrap();
    let probe = |address: &str| {
        let files = tempfile::tempdir().unwrap();
        let account = pod["spec"]["serviceAccountName"].as_str().unwrap();
        let (kubeconfig, _) = replica::kubeconfig(&own, account, files.path(), None);
        let mut probe = Command::new(env!("CARGO_BIN_EXE_esc-injector"));
        probe.env("KUBECONFIG", kubeconfig);
        let arguments = pod["spec"]["containers"][0]["args"].as_array().unwrap();
        probe.args(arguments.iter().map(|argument| argument.as_str().unwrap()));
        // No name of the cluster is known outside of it.
        probe.args(["--address", address]);
        run(&probe, "")
    };
    let ran = probe("10.88.0.11:10250");
    assert!(ran.ok, "{ran:?}");
    let ran = probe("10.88.0.12:10250");
    assert!(!ran.ok, "nobody is there: {ran:?}");
    let hooks = "serviceaccounts,roles,rolebindings,pods";
    let selector = "--selector=app.kubernetes.io/component=test";
    cluster().kubectl(["delete", hooks, selector, "--namespace", &own]);
    cluster().kubectl(["delete", "clusterroles,clusterrolebindings", selector]).expect("kubectl delete");
    cluster().kubectl(["delete", "roles,rolebindings", selector, "--namespace", &shop.name]);
}

/// Objects of the cluster that are named after the release.
fn of_the_chart(inventory: &[String]) -> Vec<&String> {
    inventory.iter().filter(|name| name.contains(NAME)).collect()
}

fn is_of_every_namespace(name: &str) -> bool {
    // The last is the harness's own: the controller of endpoints would have taken a pod's with it.
    ["serviceaccount/default", "configmap/kube-root-ca.crt", "/esc-injector-suite"]
        .iter()
        .any(|usual| name.contains(usual))
        || name.starts_with("event")
}

/// Names of all objects of a namespace; of the cluster for an empty one, but namespaces, which come and go.
fn inventory(namespace: &str) -> Vec<String> {
    let namespaced = format!("--namespaced={}", !namespace.is_empty());
    let kinds = cluster().kubectl(["api-resources", "--verbs=list", "--output=name", &namespaced]);
    let kinds = kinds.expect("kubectl api-resources");
    let kinds: Vec<_> =
        kinds.lines().filter(|kind| !kind.starts_with("namespaces") && !kind.starts_with("events")).collect();
    let found = cluster()
        .kubectl(["get", &kinds.join(","), "--namespace", namespace, "--output=name", "--ignore-not-found"])
        .expect("kubectl get");
    let mut names: Vec<_> = found.lines().map(str::to_owned).collect();
    names.sort_unstable();
    names
}

/// `helm template`.
fn render(helm: Helm, namespace: &str, values: &Value) -> String {
    let chart = chart();
    let arguments = ["template", NAME, chart.to_str().unwrap(), "--namespace", namespace, "--values", "-"];
    // Whether this cluster has the API of a policy is asked of the cluster, as at an installation.
    helm.run(arguments.into_iter().chain(["--skip-tests", "--kube-version=1.36.3"]), values)
        .expect("helm template")
}

/// The running server's own description of its kinds.
struct Schemas {
    definitions: BTreeMap<String, Value>,
    directory: TempDir,
}

impl Schemas {
    fn of_the_server() -> Self {
        let document = cluster().kubectl(["get", "--raw=/openapi/v2"]).expect("the server's OpenAPI");
        let document: Value = serde_json::from_str(&document).unwrap();
        let definitions = document["definitions"].as_object().unwrap();
        let schemas = Self {
            definitions: definitions.iter().map(|(name, schema)| (name.clone(), closed(schema))).collect(),
            directory: tempfile::tempdir().unwrap(),
        };
        for (name, schema) in &schemas.definitions {
            for kind in schema["x-kubernetes-group-version-kind"].as_array().into_iter().flatten() {
                let text = |key: &str| kind[key].as_str().unwrap().to_lowercase();
                let group = text("group").split('.').next().unwrap().to_owned();
                let group = if group.is_empty() { group } else { format!("{group}-") };
                let file = format!("{}-{group}{}.json", text("kind"), text("version"));
                let mut root = json!({"$ref": format!("#/definitions/{name}")});
                root["definitions"] = json!(schemas.needed_by(name));
                fs::write(schemas.directory.path().join(file), root.to_string()).unwrap();
            }
        }
        schemas
    }

    /// A definition with all that it refers to.
    fn needed_by<'a>(&'a self, name: &'a str) -> BTreeMap<&'a str, &'a Value> {
        let mut needed = BTreeMap::new();
        let mut open = vec![name];
        while let Some(name) = open.pop() {
            let schema = &self.definitions[name];
            if needed.insert(name, schema).is_none() {
                references(schema, &mut open);
            }
        }
        needed
    }

    fn judge(&self, manifests: &str) -> Ran {
        let place = self.directory.path().display();
        let location = format!("{place}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json");
        let mut kubeconform = cluster().tool("kubeconform");
        kubeconform.args(["-strict", "-summary", "-schema-location", &location]);
        run(&kubeconform, manifests)
    }
}

fn references<'a>(schema: &'a Value, found: &mut Vec<&'a str>) {
    match schema {
        Value::Object(fields) => {
            for (key, value) in fields {
                match value {
                    Value::String(target) if key == "$ref" => {
                        found.extend(target.strip_prefix("#/definitions/"));
                    }
                    _ => references(value, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

/// A schema whose objects have no other properties than those it names.
fn closed(schema: &Value) -> Value {
    let mut schema = schema.clone();
    if schema["properties"].is_object() && schema.get("additionalProperties").is_none() {
        schema["additionalProperties"] = json!(false);
    }
    // A quantity may be a number, and a port a name.
    match schema["format"].as_str() {
        Some("int-or-string") => schema = json!({"type": ["integer", "string"]}),
        _ if schema["description"].as_str().is_some_and(|text| text.starts_with("Quantity is")) => {
            schema = json!({"type": ["number", "string"]});
        }
        _ => {}
    }
    schema
}
