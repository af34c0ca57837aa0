//! The admission webhook: TLS in front, plain health and metrics beside it, the pure [`crate::inject`] behind.
//!
//! It reads no values, makes no network call while it answers, and logs nothing of a pod but who made it.
//! [`Webhook::bind`] checks everything that can be wrong before the first connection; [`Webhook::run`] serves until
//! it is told to stop, and then leaves without failing a request.

use std::{future::Future, io, net::SocketAddr, sync::Arc};

use tokio::{net::TcpListener, time::sleep};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::{codes::admission, inject::Policy};

pub mod certs;
mod check;
mod clock;
mod connection;
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
mod server;
mod staleness;

use certs::{
    Certificate, Served,
    files::{self, CertificateFiles, Fingerprint},
};
pub use check::WorkloadChecks;
use connection::Port;
use handler::Rules;
use health::{Health, Readiness};
pub use limits::Limits;
use metrics::Metrics;
use namespaces::Namespaces;

/// Everything that a webhook is started with.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where admissions come in, over TLS.
    pub listen: SocketAddr,
    /// Where health and metrics are read, in plain text.
    pub health_listen: SocketAddr,
    /// What it serves with.
    pub certificates: Certificates,
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
    follow: Option<(CertificateFiles, Fingerprint)>,
    metrics: Metrics,
    rules: Rules,
    limits: Limits,
    tls: TlsAcceptor,
}

impl Webhook {
    /// Loads the certificate, then binds both ports. Port 0 takes a free one.
    pub async fn bind(config: Config) -> Result<Self, BindError> {
        let Config { listen, health_listen, certificates, policy, workload_checks, limits } = config;
        let (certificate, follow) = match certificates {
            Certificates::Fixed(certificate) => (certificate, None),
            Certificates::Files(files) => {
                let (certificate, fingerprint) = files.load()?;
                (certificate, Some((files, fingerprint)))
            }
        };
        let metrics = Metrics::new();
        metrics.certificate(&certificate);
        let served = Arc::new(Served::new(&certificate));
        let tls = TlsAcceptor::from(Arc::new(certs::server_config(Arc::clone(&served))?));
        let admission = listen_on(listen).await?;
        let health = listen_on(health_listen).await?;
        let rules = Rules { policy, namespaces: Namespaces::unread(), workload_checks };
        Ok(Self { admission, health, served, follow, metrics, rules, limits, tls })
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
        let Self { admission, health: health_listener, served, follow, metrics, rules, limits, tls } = self;
        let health = Health::default();
        let (leaving, stop, done) =
            (CancellationToken::new(), CancellationToken::new(), CancellationToken::new());
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
        let follow_certificate = async {
            if let Some((files, fingerprint)) = follow {
                files::follow(files, fingerprint, limits.certificate_poll, served, metrics).await;
            }
        };
        let leave = async {
            shutdown.await;
            health.set(Readiness::Draining);
            leaving.cancel();
            tracing::info!("shutting down: unready, serving on for a moment");
            sleep(limits.grace).await;
            stop.cancel();
        };
        let serve_admissions = async {
            server::serve(admission_port, admission.0).await;
            done.cancel();
        };
        health.set(Readiness::Ready);
        tracing::info!(admission = %admission.1, health = %health_listener.1, "serving");
        tokio::join!(
            leave,
            serve_admissions,
            server::serve(health_port, health_listener.0),
            done.run_until_cancelled(follow_certificate),
        );
        tracing::info!("stopped");
    }
}

async fn listen_on(address: SocketAddr) -> Result<(TcpListener, SocketAddr), BindError> {
    let failed = |source| BindError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}
