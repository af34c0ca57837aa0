//! A local ESC-compatible server: opens environments that lie in files.
//!
//! It serves what ESC's clients need to deliver an environment: sign in, open, read. The folder of an
//! environment's file is its name (`DIR/organization/project/environment.yaml`), and files are read anew at each
//! open. The way of a request: `listener` ▶ `routes` ▶ `access` and `identity` (who asks) ▶ `store` (the
//! definition) ▶ [`crate::lang`] (its values) ▶ `sessions` ▶ `wire` (ESC's JSON).
//!
//! No log line, error or metric here may carry a value, a token, a session id, a query or a body.

use std::{
    io,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::sync::Semaphore;

use crate::secret::Secret;

mod access;
mod error;
pub mod identity;
mod jwt;
mod listener;
mod names;
mod providers;
mod routes;
mod sessions;
mod store;
mod wire;

/// Evaluations that run at once. Each may use a processor and some 100 MiB for a hostile document; others wait.
const MAX_EVALUATIONS: usize = 4;

/// What a server needs to know.
#[derive(Debug)]
pub struct Config {
    /// Where the definitions lie.
    pub directory: PathBuf,
    /// The organizations that exist; all top-level folders when empty.
    pub organizations: Vec<String>,
    /// Personal tokens of the user `dev`, a member of every organization.
    pub tokens: Vec<Secret>,
    /// Whose identity tokens are exchanged for access tokens.
    pub issuer: Option<identity::Issuer>,
    /// Whether definitions may call the providers that only tests can want, and hide secrets by a cipher that
    /// hides nothing.
    pub test_providers: bool,
    /// Serves TLS when given.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// Where the time comes from.
    pub clock: Clock,
}

/// Where the time comes from: the system, but for tests.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> SystemTime + Send + Sync>);

impl Clock {
    /// The system's clock.
    pub fn system() -> Self {
        Self::new(SystemTime::now)
    }

    /// Any clock.
    pub fn new(now: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    fn now(&self) -> SystemTime {
        (self.0)()
    }
}

impl std::fmt::Debug for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clock")
    }
}

/// Why a server can't be set up.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The directory of the definitions.
    #[error("can't use {} as the directory of environments", path.display())]
    Directory {
        /// As it was given.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// An organization's name breaks ESC's rules.
    #[error("`{name}` is no organization name: {reason}")]
    OrganizationName {
        /// As it was given.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no token and no issuer of identity tokens.
    #[error("nobody could sign in")]
    NobodyCanSignIn,
}

/// A server, ready to accept connections.
#[derive(Debug)]
pub struct Server {
    app: Arc<App>,
    tls: Option<Arc<rustls::ServerConfig>>,
}

/// What every request needs.
#[derive(Debug)]
struct App {
    files: Arc<store::Files>,
    tokens: access::Tokens,
    issuer: Option<Arc<identity::Issuer>>,
    sessions: sessions::Sessions,
    providers: Arc<providers::Registry>,
    evaluations: Arc<Semaphore>,
    clock: Clock,
}

impl Server {
    /// Checks the configuration.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        if config.tokens.is_empty() && config.issuer.is_none() {
            return Err(ConfigError::NobodyCanSignIn);
        }
        let app = App {
            files: Arc::new(store::Files::new(&config.directory, config.organizations)?),
            tokens: access::Tokens::new(&config.tokens),
            issuer: config.issuer.map(Arc::new),
            sessions: sessions::Sessions::default(),
            providers: Arc::new(providers::Registry::new(config.test_providers)),
            evaluations: Arc::new(Semaphore::new(MAX_EVALUATIONS)),
            clock: config.clock,
        };
        Ok(Self { app: Arc::new(app), tls: config.tls })
    }

    /// Serves until `shutdown` completes, then lets running requests finish for a moment.
    pub async fn serve(self, listener: tokio::net::TcpListener, shutdown: impl Future<Output = ()>) {
        listener::serve(listener, self.tls, routes::router(self.app), shutdown).await;
    }
}

/// Seconds since the epoch, as identity tokens count; 0 before it.
fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}
