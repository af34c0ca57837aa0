//! A strict API server: it has the objects of the plain manifests and a namespace, answers what is asked for by name,
//! and fails on anything that is no reading, no dry run and no token request.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    process::{Command, Output, Stdio},
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{Method, StatusCode, Uri},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;

const ADMISSION: &str = "/apis/admissionregistration.k8s.io/v1";

/// By method and path: status and body.
type Answers = BTreeMap<String, (u16, Value)>;

struct Api {
    answers: Answers,
    asked: Mutex<Vec<String>>,
}

/// What the cluster would answer; a test changes it before it starts.
pub struct Cluster {
    pub answers: Answers,
}

pub struct Running {
    address: SocketAddr,
    api: Arc<Api>,
    dir: TempDir,
}

/// The objects of the plain manifests.
fn manifests() -> Vec<Value> {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/base/esc-injector.yaml"))
        .unwrap();
    text.split("\n---\n").map(|document| serde_saphyr::from_str(document).unwrap()).collect()
}

impl Cluster {
    /// Everything is as it should be: `shop` is labelled, one pod of it is injected.
    pub fn healthy() -> Self {
        let all = manifests();
        let of = |kind: &str| -> Vec<Value> {
            all.iter().filter(|object| object["kind"] == kind).cloned().collect()
        };
        let mut answers = Answers::new();
        let mut put = |path: &str, object: Value| {
            answers.insert(format!("GET {path}"), (200, object));
        };
        put("/version", json!({"major": "1", "minor": "36"}));
        for (kind, resource) in [
            ("MutatingWebhookConfiguration", "mutatingwebhookconfigurations"),
            ("ValidatingWebhookConfiguration", "validatingwebhookconfigurations"),
        ] {
            let mut configuration = of(kind).remove(0);
            for webhook in configuration["webhooks"].as_array_mut().unwrap() {
                webhook["clientConfig"]["caBundle"] = json!("eA==");
            }
            put(&format!("{ADMISSION}/{resource}/esc-injector"), configuration);
        }
        for (kind, resource) in [
            ("ValidatingAdmissionPolicy", "validatingadmissionpolicies"),
            ("ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings"),
        ] {
            put(&format!("{ADMISSION}/{resource}"), json!({"items": of(kind)}));
        }
        put("/apis/apps/v1/namespaces/esc-injector/deployments/esc-injector", of("Deployment").remove(0));
        put(
            "/apis/discovery.k8s.io/v1/namespaces/esc-injector/endpointslices?labelSelector=kubernetes.io%2Fservice-name%3Desc-injector",
            json!({"items": [{"endpoints": [{"conditions": {"ready": true}}, {"conditions": {"ready": true}}]}]}),
        );
        let node = json!({"status": {"nodeInfo": {"kubeletVersion": "v1.36.1"}}});
        put("/api/v1/nodes?limit=500", json!({"items": [node.clone(), node]}));
        let environment = json!({"esc.pulumi.com/environment": "acme/shop/prod"});
        put(
            "/api/v1/namespaces/shop",
            json!({"metadata": {
                "name": "shop", "labels": {"esc.pulumi.com/injection": "enabled"}, "annotations": environment,
            }}),
        );
        let agent =
            json!({"name": "esc-agent", "env": [{"name": "ESC_INJECTOR_PLAN", "value": "planted-plan"}]});
        let pod = json!({
            "metadata": {"name": "web-1", "annotations": environment}, "spec": {"initContainers": [agent]},
            "status": {"phase": "Running"},
        });
        put("/api/v1/namespaces/shop/pods?limit=500", json!({"items": [pod.clone()]}));
        answers.insert("POST /api/v1/namespaces/shop/pods?dryRun=All".to_owned(), (201, pod));
        Self { answers }
    }

    /// Changes what a path answers.
    pub fn change(mut self, path: &str, change: impl FnOnce(&mut Value)) -> Self {
        let (_, object) = self.answers.iter_mut().find(|(key, _)| key.contains(path)).unwrap().1;
        change(object);
        self
    }

    /// Refuses a path.
    pub fn refuse(mut self, path: &str, code: u16, message: &str) -> Self {
        let key = self.answers.keys().find(|key| key.contains(path)).unwrap().clone();
        let status = json!({
            "kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "reason": "Planned",
            "code": code,
        });
        self.answers.insert(key, (code, status));
        self
    }

    /// Answers the request for a token of `shop`'s ServiceAccount `web`.
    pub fn token(mut self, token: &str) -> Self {
        let key = "POST /api/v1/namespaces/shop/serviceaccounts/web/token".to_owned();
        self.answers.insert(key, (201, json!({"status": {"token": token}})));
        self
    }

    pub async fn start(self) -> Running {
        let api = Arc::new(Api { answers: self.answers, asked: Mutex::default() });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(answer).with_state(api.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let dir = tempfile::tempdir().unwrap();
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "nowhere",
            "clusters": [
                {"name": "c", "cluster": {"server": format!("http://{address}")}},
                {"name": "nowhere", "cluster": {"server": "http://127.0.0.1:1"}},
            ],
            "users": [{"name": "u", "user": {}}],
            "contexts": [
                {"name": "here", "context": {"cluster": "c", "user": "u"}},
                {"name": "nowhere", "context": {"cluster": "nowhere", "user": "u"}},
            ],
        });
        std::fs::File::create_new(dir.path().join("config"))
            .and_then(|mut file| std::io::Write::write_all(&mut file, config.to_string().as_bytes()))
            .unwrap();
        Running { address, api, dir }
    }
}

impl Running {
    /// Runs the doctor against this cluster.
    pub fn doctor(&self, arguments: &[&str]) -> Output {
        let mut all = vec!["doctor", "--context", "here"];
        all.extend(arguments);
        self.run(&all)
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_esc-injector"))
            .args(arguments)
            .env_clear()
            .env("KUBECONFIG", self.dir.path().join("config"))
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// Everything that was asked.
    pub fn asked(&self) -> Vec<String> {
        assert!(self.address.ip().is_loopback());
        self.api.asked.lock().unwrap().clone()
    }
}

async fn answer(State(api): State<Arc<Api>>, method: Method, uri: Uri, body: Bytes) -> (StatusCode, String) {
    let key = format!("{method} {uri}");
    api.asked.lock().unwrap().push(key.clone());
    assert!(method == Method::GET || (method == Method::POST && !body.is_empty()), "{key}");
    let (code, object) = api.answers.get(&key).cloned().unwrap_or_else(|| {
        (404, json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "not found", "reason": "NotFound", "code": 404}))
    });
    (StatusCode::from_u16(code).unwrap(), object.to_string())
}
