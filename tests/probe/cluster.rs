//! An API server with two webhook configurations, and the webhook that they lead to.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{Method, StatusCode, Uri},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use kube::{Client, Config};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{ServerConfig, crypto::ring};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// Whom `caBundle` vouches for.
#[derive(Debug, Clone, Copy)]
pub enum Trust {
    Issuer,
    SomebodyElse,
    Nobody,
}

/// What the API server makes of a pod that is created.
#[derive(Debug, Clone, Copy)]
pub enum Trial {
    Injected,
    Untouched,
    Refused,
}

struct Api {
    bundle: String,
    trial: Trial,
    asked: Mutex<Vec<String>>,
}

pub struct Cluster {
    pub webhook: SocketAddr,
    address: SocketAddr,
    api: Arc<Api>,
}

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// What the webhook answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answering {
    Rightly,
    /// Allows every pod as it is.
    Nothing,
    /// What some other program would.
    AnotherProgram,
}

impl Cluster {
    pub async fn start(trust: Trust, trial: Trial) -> Self {
        Self::start_with(trust, trial, Answering::Rightly).await
    }

    pub async fn start_with(trust: Trust, trial: Trial, answering: Answering) -> Self {
        let issuer = authority();
        let bundle = match trust {
            Trust::Issuer => STANDARD.encode(issuer.pem()),
            Trust::SomebodyElse => STANDARD.encode(authority().pem()),
            Trust::Nobody => String::new(),
        };
        let api = Arc::new(Api { bundle, trial, asked: Mutex::default() });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(answer).with_state(api.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { webhook: webhook(&issuer, answering).await, address, api }
    }

    pub fn client(&self) -> Client {
        Client::try_from(Config::new(format!("http://{}", self.address).parse().unwrap())).unwrap()
    }

    pub fn asked(&self) -> Vec<String> {
        self.api.asked.lock().unwrap().clone()
    }
}

fn agent() -> Value {
    json!({"name": "esc-agent", "env": [{"name": "ESC_INJECTOR_PLAN", "value": "planted"}]})
}

async fn answer(State(api): State<Arc<Api>>, method: Method, uri: Uri, body: Bytes) -> (StatusCode, String) {
    api.asked.lock().unwrap().push(format!("{method} {uri}"));
    let entries: &[(&str, &str)] = match uri.path().rsplit('/').nth(1).unwrap() {
        "mutatingwebhookconfigurations" => {
            &[("pods.inject.esc.pulumi.com", "/mutate"), ("all.inject.esc.pulumi.com", "/mutate/all")]
        }
        "validatingwebhookconfigurations" => &[("workloads.inject.esc.pulumi.com", "/check")],
        _ => return created(&api, &body),
    };
    if !uri.path().ends_with("/esc-injector") {
        return refusal(StatusCode::NOT_FOUND, "not found");
    }
    let entry = |(name, path): &(&str, &str)| {
        let service = json!({"name": "esc-injector", "namespace": "esc", "port": 443, "path": path});
        json!({"name": name, "timeoutSeconds": 5, "clientConfig": {"caBundle": api.bundle, "service": service}})
    };
    let webhooks: Vec<_> = entries.iter().map(entry).collect();
    (StatusCode::OK, json!({"metadata": {"name": "esc-injector"}, "webhooks": webhooks}).to_string())
}

fn created(api: &Api, body: &[u8]) -> (StatusCode, String) {
    let mut pod: Value = serde_json::from_slice(body).unwrap();
    assert!(pod["metadata"]["annotations"]["esc.pulumi.com/environment"].is_string());
    match api.trial {
        Trial::Refused => return refusal(StatusCode::INTERNAL_SERVER_ERROR, "failed calling webhook"),
        Trial::Untouched => {}
        Trial::Injected => pod["spec"]["initContainers"] = json!([agent()]),
    }
    (StatusCode::CREATED, pod.to_string())
}

fn refusal(code: StatusCode, message: &str) -> (StatusCode, String) {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "reason": "Planned",
        "code": code.as_u16(),
    });
    (code, status.to_string())
}

/// A webhook whose certificate is the Service's, by this issuer.
async fn webhook(issuer: &Authority, answering: Answering) -> SocketAddr {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["esc-injector.esc.svc".to_owned()]).unwrap();
    let chain =
        CertificateDer::from_pem_slice(params.signed_by(&key, issuer).unwrap().pem().as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
    let tls = ServerConfig::builder_with_provider(ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![chain], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(stream) = acceptor.accept(stream).await else { continue };
            let service = TowerToHyperService::new(
                Router::new().fallback(async move |uri: Uri, body: Bytes| admit(answering, &uri, &body)),
            );
            tokio::spawn(
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
            );
        }
    });
    address
}

fn admit(answering: Answering, uri: &Uri, body: &Bytes) -> String {
    if answering == Answering::AnotherProgram {
        return "<html>It works!</html>".to_owned();
    }
    let review: Value = serde_json::from_slice(body).unwrap();
    let request = &review["request"];
    let patch = STANDARD
        .encode(json!([{"op": "add", "path": "/spec/initContainers", "value": [agent()]}]).to_string());
    let uid = &request["uid"];
    let response = match (uri.path(), request["resource"]["resource"].as_str().unwrap()) {
        ("/mutate" | "/mutate/all", "pods") if answering == Answering::Nothing => {
            json!({"uid": uid, "allowed": true})
        }
        ("/mutate" | "/mutate/all", "pods") => {
            json!({"uid": uid, "allowed": true, "patchType": "JSONPatch", "patch": patch})
        }
        ("/check", "deployments") => json!({"uid": uid, "allowed": true}),
        other => panic!("{other:?}"),
    };
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}).to_string()
}
