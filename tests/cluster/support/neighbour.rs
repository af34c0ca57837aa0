//! Somebody else's mutating webhook: a mesh, a policy engine, whatever changes pods besides us.

use std::{net::Ipv4Addr, sync::Arc};

use axum::{Router, body::Bytes, routing::post};
use base64::{Engine, engine::general_purpose::STANDARD};
use http::header::CONTENT_TYPE;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use rustls::{ServerConfig, crypto::ring};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_rustls::TlsAcceptor;

use super::{authority::Authority, cluster::cluster, namespace::Namespace};

/// Asked for the pods of one namespace until it is dropped.
pub struct Neighbour {
    configuration: String,
    task: JoinHandle<()>,
}

impl Neighbour {
    /// Registers it under this name: the API server asks webhooks in the order of their names. The function gives the
    /// operations of a JSON patch for a pod.
    pub fn register(
        name: &str,
        namespace: &Namespace,
        patch: impl Fn(&Value) -> Vec<Value> + Clone + Send + Sync + 'static,
    ) -> Self {
        let authority = Authority::new();
        let listener = cluster().block_on(TcpListener::bind((Ipv4Addr::new(10, 88, 0, 1), 0))).unwrap();
        let address = listener.local_addr().unwrap();
        let task = cluster().spawn(serve(listener, acceptor(&authority), router(patch)));
        let configuration = format!("{name}-{}", namespace.name);
        cluster().apply(&json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": configuration, "labels": {"esc-cluster": "test"}},
            "webhooks": [{
                "name": "neighbour.example.com", "admissionReviewVersions": ["v1"], "sideEffects": "None",
                "clientConfig": {
                    "url": format!("https://{address}/"), "caBundle": STANDARD.encode(authority.pem()),
                },
                "rules": [{
                    "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"],
                }],
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace.name}},
            }],
        }));
        Self { configuration, task }
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        cluster().kubectl(["delete", "mutatingwebhookconfiguration", &self.configuration]);
        self.task.abort();
    }
}

fn router(patch: impl Fn(&Value) -> Vec<Value> + Clone + Send + Sync + 'static) -> Router {
    let answer = async move |body: Bytes| {
        let review: Value = serde_json::from_slice(&body).unwrap();
        let request = &review["request"];
        let patch = Value::Array(patch(&request["object"])).to_string();
        let review = json!({
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "response": {
                "uid": request["uid"], "allowed": true,
                "patchType": "JSONPatch", "patch": STANDARD.encode(patch),
            },
        });
        ([(CONTENT_TYPE, "application/json")], review.to_string())
    };
    Router::new().route("/", post(answer))
}

fn acceptor(authority: &Authority) -> TlsAcceptor {
    let pair = authority.issue("10.88.0.1");
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap(),
        )
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, router: Router) {
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, router) = (acceptor.clone(), router.clone());
        tokio::spawn(async move {
            if let Ok(stream) = acceptor.accept(stream).await {
                let service = TowerToHyperService::new(router);
                let _ =
                    Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
            }
        });
    }
}
