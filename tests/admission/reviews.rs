//! Reviews as an API server sends them: pods of a Deployment, with everything that kubectl and controllers leave in.

use serde_json::{Value, json};

/// A value that stands in the pod and must never come out again but in the patched pod.
pub const CANARY: &str = "planted-canary-4711";

/// About 5 KB: one container.
pub fn small_pod() -> Value {
    pod(1, 11)
}

/// About 60 KB: six containers with a lot of variables.
pub fn large_pod() -> Value {
    pod(6, 58)
}

/// A pod of a Deployment, before it has a name.
pub fn pod(containers: usize, variables: usize) -> Value {
    let names: Vec<String> = (0..containers).map(|n| format!("app-{n}")).collect();
    json!({
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {
            "generateName": "shop-6d4cf56db6-",
            "namespace": "shop",
            "creationTimestamp": null,
            "labels": {
                "app.kubernetes.io/name": "shop", "app.kubernetes.io/part-of": "acme", "pod-template-hash": "6d4cf56db6",
            },
            "annotations": {
                "kubectl.kubernetes.io/restartedAt": "2026-11-20T09:14:00Z",
                "prometheus.io/scrape": "true",
                "prometheus.io/port": "9090",
            },
            "ownerReferences": [{
                "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "shop-6d4cf56db6",
                "uid": "3a1c9f0e-5b9d-4b8e-9d3f-0c2a7b1e6f55", "controller": true, "blockOwnerDeletion": true,
            }],
            "managedFields": [{
                "manager": "kube-controller-manager", "operation": "Update", "apiVersion": "v1",
                "time": "2026-11-22T10:00:00Z", "fieldsType": "FieldsV1", "fieldsV1": managed_fields(&names, variables),
            }],
        },
        "spec": {
            "volumes": [{
                "name": "kube-api-access-x7k2p",
                "projected": {"defaultMode": 420, "sources": [
                    {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
                    {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
                    {"downwardAPI": {"items": [
                        {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}},
                    ]}},
                ]},
            }],
            "containers": names.iter().map(|name| container(name, variables)).collect::<Vec<_>>(),
            "restartPolicy": "Always",
            "terminationGracePeriodSeconds": 30,
            "dnsPolicy": "ClusterFirst",
            "serviceAccountName": "shop",
            "serviceAccount": "shop",
            "securityContext": {"runAsNonRoot": true, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
            "schedulerName": "default-scheduler",
            "tolerations": [
                {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300},
                {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300},
            ],
            "priority": 0,
            "enableServiceLinks": true,
            "preemptionPolicy": "PreemptLowerPriority",
        },
        "status": {},
    })
}

fn container(name: &str, variables: usize) -> Value {
    json!({
        "name": name,
        "image": format!("registry.example.com/acme/{name}:1.14.2"),
        "command": ["/app/server"],
        "args": ["--listen=:8080", "--log-format=json"],
        "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
        "env": (0..variables).map(|n| json!({
            "name": format!("SETTING_{n}"),
            "value": format!("{CANARY}-{n}-some-value-of-a-usual-length"),
        })).collect::<Vec<_>>(),
        "resources": {"limits": {"memory": "256Mi"}, "requests": {"cpu": "100m", "memory": "256Mi"}},
        "volumeMounts": [{
            "name": "kube-api-access-x7k2p", "readOnly": true, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount",
        }],
        "readinessProbe": {
            "httpGet": {"path": "/ready", "port": "http", "scheme": "HTTP"},
            "timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3,
        },
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "imagePullPolicy": "IfNotPresent",
        "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
    })
}

fn managed_fields(names: &[String], variables: usize) -> Value {
    let containers: serde_json::Map<String, Value> = names
        .iter()
        .map(|name| {
            let env: serde_json::Map<String, Value> = (0..variables)
                .map(|n| {
                    (format!(r#"k:{{"name":"SETTING_{n}"}}"#), json!({".": {}, "f:name": {}, "f:value": {}}))
                })
                .collect();
            let fields =
                json!({".": {}, "f:args": {}, "f:command": {}, "f:env": env, "f:image": {}, "f:name": {}});
            (format!(r#"k:{{"name":"{name}"}}"#), fields)
        })
        .collect();
    json!({
        "f:metadata": {"f:generateName": {}, "f:labels": {".": {}, "f:app.kubernetes.io/name": {}}, "f:ownerReferences": {}},
        "f:spec": {"f:containers": containers, "f:dnsPolicy": {}, "f:restartPolicy": {}, "f:securityContext": {}},
    })
}

/// The pod with annotations of ours.
pub fn asking(mut pod: Value, annotations: &[(&str, &str)]) -> Value {
    for (key, value) in annotations {
        pod["metadata"]["annotations"][format!("esc.pulumi.com/{key}")] = json!(value);
    }
    pod
}

/// The review that asks about the creation of this pod.
pub fn review(uid: &str, pod: &Value) -> Value {
    json!({
        "kind": "AdmissionReview",
        "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": uid,
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "requestKind": {"group": "", "version": "v1", "kind": "Pod"},
            "requestResource": {"group": "", "version": "v1", "resource": "pods"},
            "namespace": "shop",
            "operation": "CREATE",
            "userInfo": {
                "username": "system:serviceaccount:kube-system:replicaset-controller",
                "uid": "f6b1e2a0-6d8f-4a34-8f0e-6a0b7d3a9c11",
                "groups": ["system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"],
                "extra": {"authentication.kubernetes.io/credential-id": ["JTI=2d1f5c0e-7a4b-4f7d-8b1a-1c9e5d3f2a60"]},
            },
            "object": pod,
            "oldObject": null,
            "dryRun": false,
            "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
        },
    })
}
