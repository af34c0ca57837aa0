//! New connections to each replica without a pause, trusted as the API server trusts them: by the bundle that is in
//! the webhook configuration at that moment. The API server itself keeps a connection for as long as it can.

use std::{
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use kube::Api;
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};
use tokio::{net::TcpStream, task::JoinHandle};
use tokio_rustls::TlsConnector;

use super::{
    cluster::cluster,
    release::{NAME, Release},
    replica::PORT,
};

/// Between two rounds.
const PAUSE: Duration = Duration::from_millis(50);

/// Handshakes until it is stopped.
pub struct Handshakes {
    stop: Arc<AtomicBool>,
    task: JoinHandle<Count>,
}

/// How they went.
#[derive(Debug, Default)]
pub struct Count {
    pub good: usize,
    pub failed: Vec<String>,
}

impl Handshakes {
    /// With these replicas of a release.
    pub fn start(release: &Release, replicas: &[Ipv4Addr]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let name = format!("{NAME}.{}.svc", release.namespace.name);
        let task = cluster().spawn(shake(name, replicas.to_vec(), Arc::clone(&stop)));
        Self { stop, task }
    }

    pub fn stop(self) -> Count {
        self.stop.store(true, Ordering::Relaxed);
        cluster().block_on(self.task).unwrap()
    }
}

/// The bundle that the API server trusts, as PEM; empty if there is none.
pub async fn bundle() -> Result<Vec<u8>, kube::Error> {
    let configurations: Api<MutatingWebhookConfiguration> = Api::all(cluster().client());
    let found = configurations.get(NAME).await?;
    let first = found.webhooks.into_iter().flatten().next();
    Ok(first.and_then(|webhook| webhook.client_config.ca_bundle).map(|bundle| bundle.0).unwrap_or_default())
}

/// One connection; gives the certificate that was served.
pub async fn connect(bundle: &[u8], name: &str, replica: Ipv4Addr) -> Result<Vec<u8>, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(bundle) {
        let certificate = certificate.map_err(|error| error.to_string())?;
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect((replica, PORT)).await.map_err(|error| error.to_string())?;
    let server = ServerName::try_from(name.to_owned()).unwrap();
    let stream = TlsConnector::from(Arc::new(config))
        .connect(server, stream)
        .await
        .map_err(|error| error.to_string())?;
    let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default();
    Ok(certificates.first().map(|leaf| STANDARD.encode(leaf)).unwrap_or_default().into_bytes())
}

async fn shake(name: String, replicas: Vec<Ipv4Addr>, stop: Arc<AtomicBool>) -> Count {
    let mut count = Count::default();
    while !stop.load(Ordering::Relaxed) {
        // An API server that does not answer is somebody else's fault.
        if let Ok(bundle) = bundle().await {
            for replica in &replicas {
                match connect(&bundle, &name, *replica).await {
                    Ok(_) => count.good += 1,
                    Err(error) => count.failed.push(format!("{replica}: {error}")),
                }
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
    count
}

impl Count {
    #[track_caller]
    pub fn expect_no_failure(&self) {
        let some: Vec<_> = self.failed.iter().take(5).collect();
        assert!(self.failed.is_empty() && self.good > 0, "of {}: {} {some:#?}", self.good, self.failed.len());
    }
}
