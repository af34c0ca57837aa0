//! The two servers of the demo: the local ESC with a small shop, and the webhook in front of the imaginary cluster.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{
    apiserver::WEBHOOK_HOST,
    certificates::{Authority, CertificateError},
    identity::{ISSUER, SigningError, TokenIssuer},
    kubelet::write_new,
};
use crate::{
    esc::pattern::Pattern,
    inject::Policy,
    secret::Secret,
    server::{Clock, Config as ServerConfig, ConfigError, External, Server, Storage, identity::Issuer},
    webhook::{self, BindError, Certificates, Limits, Webhook, certs::files::CertificateFiles},
};

/// The shop's environments, by file name below the server's directory.
const ENVIRONMENTS: &[(&str, &str)] = &[
    ("acme/shop/base.yaml", include_str!("../../deploy/examples/environments/acme/shop/base.yaml")),
    ("acme/shop/prod.yaml", include_str!("../../deploy/examples/environments/acme/shop/prod.yaml")),
];

/// Both servers, running.
pub struct Services {
    /// ESC's address.
    pub esc_url: String,
    /// A personal token for it.
    pub token: String,
    /// Where admissions are asked for.
    pub webhook: SocketAddr,
    /// Where the webhook tells of its health.
    pub health: SocketAddr,
    /// Who vouches for both.
    pub authority: Authority,
    /// Who vouches for pods.
    pub issuer: TokenIssuer,
    stop: CancellationToken,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

/// A server did not come up.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// Writing what they need.
    #[error("writing {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Certificates.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The token issuer, or randomness for a token.
    #[error(transparent)]
    Signing(#[from] SigningError),
    /// The local ESC.
    #[error("starting the local ESC: {0}")]
    Esc(#[from] ConfigError),
    /// A free port.
    #[error("finding a free port: {0}")]
    Port(#[from] io::Error),
    /// The webhook.
    #[error("starting the webhook: {0}")]
    Webhook(#[from] BindError),
}

impl Services {
    /// Starts both, with their files below `root`.
    pub async fn start(root: &Path, agent_log_level: Option<&str>) -> Result<Self, ServiceError> {
        let authority = Authority::new()?;
        let issuer = TokenIssuer::new()?;
        let key_set = root.join("jwks.json");
        write(&key_set, &issuer.key_set().to_string())?;
        let directory = root.join("environments");
        for (name, text) in ENVIRONMENTS {
            write(&directory.join(name), text)?;
        }
        let stop = CancellationToken::new();
        let token = random_token()?;

        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let esc_url = format!("https://127.0.0.1:{}", listener.local_addr()?.port());
        let esc = Server::new(ServerConfig {
            storage: Storage::Files(directory),
            organizations: Vec::new(),
            tokens: vec![Secret::from(token.as_str())],
            users: None,
            issuers: vec![Issuer::of_subjects(
                ISSUER.to_owned(),
                key_set,
                Pattern::new("system:serviceaccount:*"),
                Vec::new(),
            )],
            audit: None,
            external: External::default(),
            test_providers: false,
            tls: Some(authority.issue(&["127.0.0.1", "localhost"])?.config),
            clock: Clock::system(),
        })?;
        let serve_esc = tokio::spawn(esc.serve(listener, stop.clone().cancelled_owned()));

        let leaf = authority.issue(&[WEBHOOK_HOST, "127.0.0.1", "localhost"])?;
        let files = CertificateFiles { certificate: root.join("tls.crt"), key: root.join("tls.key") };
        write(&files.certificate, &leaf.certificate)?;
        write(&files.key, &leaf.key)?;
        let local = SocketAddr::from(([127, 0, 0, 1], 0));
        let webhook = Webhook::bind(webhook::Config {
            listen: local,
            health_listen: local,
            certificates: Certificates::Files(files),
            cluster: None,
            policy: Policy {
                api_url: esc_url.clone(),
                ca_pem: Some(authority.pem()),
                agent_log_level: agent_log_level.unwrap_or("info").to_owned(),
                ..Policy::default()
            },
            workload_checks: webhook::WorkloadChecks::default(),
            limits: Limits { grace: std::time::Duration::ZERO, ..Limits::default() },
        })
        .await?;
        let (webhook_address, health) = (webhook.admission_addr(), webhook.health_addr());
        let serve_webhook = tokio::spawn(webhook.run(stop.clone().cancelled_owned()));

        Ok(Self {
            esc_url,
            token,
            webhook: webhook_address,
            health,
            authority,
            issuer,
            stop,
            tasks: vec![serve_esc, serve_webhook],
        })
    }

    /// Stops both and waits until they have stopped.
    pub async fn stop(self) {
        self.stop.cancel();
        for task in self.tasks {
            // A server that panicked has stopped as well.
            let _ = task.await;
        }
    }
}

fn write(path: &Path, content: &str) -> Result<(), ServiceError> {
    let written = path
        .parent()
        .map_or(Ok(()), std::fs::create_dir_all)
        .and_then(|()| write_new(path, content.as_bytes()));
    written.map_err(|source| ServiceError::Write { path: path.to_owned(), source })
}

/// A token that nobody can guess, in hexadecimal.
fn random_token() -> Result<String, SigningError> {
    use std::fmt::Write;
    let random = ring::rand::SystemRandom::new();
    let bytes: [u8; 16] = ring::rand::generate(&random).map_err(|_| SigningError)?.expose();
    Ok(bytes.iter().fold(String::from("pul-"), |mut text, byte| {
        // Writing to a String can't fail.
        let _ = write!(text, "{byte:02x}");
        text
    }))
}
