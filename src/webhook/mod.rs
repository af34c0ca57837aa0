//! The admission webhook: TLS in front, plain health and metrics beside it, the pure [`crate::inject`] behind.
//!
//! It reads no values, makes no network call while it answers, and logs nothing of a pod but who made it.
//! [`Webhook::bind`] checks everything that can be wrong before the first connection; [`Webhook::run`] serves until
//! it is told to stop, and then leaves without failing a request.

use std::{
    future::Future,
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use tokio::{net::TcpListener, time::sleep};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::{codes::admission, inject::Policy};

pub mod certs;
mod check;
mod clock;
pub mod cluster;
mod connection;
mod density;
mod freshness;
pub mod handler;
pub mod health;
mod lean;
mod limits;
pub mod metrics;
pub mod namespaces;
mod record;
mod response;
mod review;
mod router;
mod rules;
mod server;
pub mod version;

use certs::{
    Certificate, SelfManaged, Served,
    files::{self, CertificateFiles, Fingerprint},
};
use cluster::Cluster;
use connection::Port;
use health::{Health, Part};
pub use limits::Limits;
use metrics::Metrics;
use namespaces::{Namespaces, watch};
pub use record::Endpoint;
pub use rules::{Rules, WorkloadChecks};
use version::ApiServer;

/// Everything that a webhook is started with.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where admissions come in, over TLS.
    pub listen: SocketAddr,
    /// Where health and metrics are read, in plain text.
    pub health_listen: SocketAddr,
    /// What it serves with.
    pub certificates: Certificates,
    /// The cluster whose namespaces it knows; without one, the defaults of namespaces are unknown.
    pub cluster: Option<Cluster>,
    /// What the operator settled.
    pub policy: Policy,
    /// What is answered for workloads whose pods would be refused.
    pub workload_checks: WorkloadChecks,
    /// How long and how much.
    pub limits: Limits,
}

/// Where the certificate comes from.
#[derive(Debug, Clone)]
pub enum Certificates {
    /// Two files, read again when they change.
    Files(CertificateFiles),
    /// This one, for as long as it serves.
    Fixed(Certificate),
    /// Made here, by an authority that all replicas share in the cluster.
    SelfManaged(Box<SelfManaged>),
}

/// What becomes of the certificate while the webhook serves.
enum Upkeep {
    /// Nothing.
    Fixed,
    Follow(CertificateFiles, Fingerprint),
    SelfManaged(Box<SelfManaged>),
}

/// Why a webhook can't start.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// No usable certificate.
    #[error("[{code}] {0}", code = admission::BAD_CERTIFICATE)]
    Certificate(#[from] files::FilesError),
    /// TLS itself can't be set up.
    #[error("[{code}] setting up TLS: {0}", code = admission::INTERNAL)]
    Tls(#[from] rustls::Error),
    /// No listening.
    #[error("[{code}] listening on {address}: {source}", code = admission::CANNOT_LISTEN)]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

/// A webhook that listens, and answers once it runs.
pub struct Webhook {
    admission: (TcpListener, SocketAddr),
    health: (TcpListener, SocketAddr),
    served: Arc<Served>,
    upkeep: Upkeep,
    cluster: Option<Cluster>,
    metrics: Metrics,
    rules: Rules,
    limits: Limits,
    tls: TlsAcceptor,
}

impl Webhook {
    /// Loads the certificate, then binds both ports. Port 0 takes a free one.
    pub async fn bind(config: Config) -> Result<Self, BindError> {
        let Config { listen, health_listen, certificates, cluster, policy, workload_checks, limits } = config;
        let (certificate, upkeep) = match certificates {
            Certificates::Fixed(certificate) => (Some(certificate), Upkeep::Fixed),
            Certificates::Files(files) => {
                let (certificate, fingerprint) = files.load()?;
                (Some(certificate), Upkeep::Follow(files, fingerprint))
            }
            // The first one is made while it runs: until then handshakes fail, and `/readyz` says why.
            Certificates::SelfManaged(own) => (None, Upkeep::SelfManaged(own)),
        };
        let metrics = Metrics::new();
        let served = Arc::new(Served::default());
        if let Some(certificate) = certificate {
            metrics.certificate(&certificate);
            served.replace(&certificate);
        }
        let tls = TlsAcceptor::from(Arc::new(certs::server_config(Arc::clone(&served))?));
        let admission = listen_on(listen).await?;
        let health = listen_on(health_listen).await?;
        let namespaces = if cluster.is_some() { Namespaces::empty() } else { Namespaces::unread() };
        let rules = Rules { policy, namespaces, api_server: ApiServer::default(), workload_checks };
        Ok(Self { admission, health, served, upkeep, cluster, metrics, rules, limits, tls })
    }

    /// Where admissions come in.
    pub fn admission_addr(&self) -> SocketAddr {
        self.admission.1
    }

    /// Where health and metrics are read.
    pub fn health_addr(&self) -> SocketAddr {
        self.health.1
    }

    /// Serves until `shutdown`, then turns unready, serves on for the grace period while answers ask clients to
    /// close, stops accepting, and waits for what is in flight.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let Self { admission, health: health_listener, served, upkeep, cluster, metrics, rules, limits, tls } =
            self;
        let health = Health::default();
        let (leaving, stop, done) =
            (CancellationToken::new(), CancellationToken::new(), CancellationToken::new());
        let (namespaces, watch_of_namespaces) = (rules.namespaces.clone(), metrics.namespace_watch().clone());
        let api_server = rules.api_server.clone();
        let admissions = router::Admissions::new(rules, metrics.clone(), limits.request);
        let admission_port = Port {
            tls: Some(tls),
            router: router::router(Arc::new(admissions)),
            limits,
            metrics: metrics.clone(),
            leaving: leaving.clone(),
            stop: stop.clone(),
            make_room: tokio::sync::Notify::new(),
        };
        // The health port tells that we are leaving, until we are gone.
        let health_port = Port {
            tls: None,
            router: health::router(health.clone(), metrics.clone()),
            limits,
            metrics: metrics.clone(),
            leaving: leaving.clone(),
            stop: done.clone(),
            make_room: tokio::sync::Notify::new(),
        };
        // Parts are taken here, before the first answer of `/readyz`; what keeps them up to date runs until the end.
        let certificate_part = match &upkeep {
            Upkeep::SelfManaged(_) => Some(health.part("certificate", "the cluster")),
            Upkeep::Fixed | Upkeep::Follow(..) => None,
        };
        let namespaces_part = cluster.is_some().then(|| health.part("namespaces", "the list of namespaces"));
        let keep_certificate =
            keep_certificate(upkeep, certificate_part, limits.certificate_poll, served, metrics.clone());
        let cluster_of_version = cluster.clone();
        let follow_version = async {
            if let Some(cluster) = cluster_of_version {
                match api_server.follow(cluster).await {}
            }
        };
        let follow_namespaces = async {
            if let Some((cluster, part)) = cluster.zip(namespaces_part) {
                let followed = watch::Followed { namespaces, watch: watch_of_namespaces, part };
                match Box::pin(watch::follow(cluster.client(), followed, limits)).await {}
            }
        };
        let background =
            Box::pin(async { tokio::join!(keep_certificate, follow_namespaces, follow_version) });
        let leave = async {
            shutdown.await;
            health.drain();
            leaving.cancel();
            tracing::info!("shutting down: unready, serving on for a moment");
            sleep(limits.grace).await;
            stop.cancel();
        };
        let serve_admissions = async {
            server::serve(admission_port, admission.0).await;
            done.cancel();
        };
        health.listening();
        tracing::info!(admission = %admission.1, health = %health_listener.1, "serving");
        tokio::join!(
            leave,
            serve_admissions,
            server::serve(health_port, health_listener.0),
            done.run_until_cancelled(background),
        );
        tracing::info!("stopped");
    }
}

/// Keeps the served certificate up to date.
async fn keep_certificate(
    upkeep: Upkeep,
    part: Option<Part>,
    poll: std::time::Duration,
    served: Arc<Served>,
    metrics: Metrics,
) {
    match (upkeep, part) {
        (Upkeep::Follow(files, fingerprint), _) => {
            files::follow(files, fingerprint, poll, served, metrics).await;
        }
        (Upkeep::SelfManaged(own), Some(part)) => own.keep(part, served, metrics).await,
        (Upkeep::SelfManaged(_), None) | (Upkeep::Fixed, _) => {}
    }
}

/// Listens there. `[::]` stands for all addresses of this machine, those of IPv4 too.
async fn listen_on(address: SocketAddr) -> Result<(TcpListener, SocketAddr), BindError> {
    let failed = |source| BindError::Listen { address, source };
    let listener = match TcpListener::bind(address).await {
        // All addresses of a machine that has no IPv6.
        Err(error) if address.ip() == Ipv6Addr::UNSPECIFIED && error.kind() != io::ErrorKind::AddrInUse => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await
        }
        bound => bound,
    };
    let listener = listener.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}
