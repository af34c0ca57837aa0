//! A local ESC-compatible server: keeps environments, or reads them from files, and opens them.
//!
//! The way of a request: `listener` ▶ `routes` ▶ `access` and `identity` (who asks) ▶ `policy` (whether they may)
//! ▶ `store` (the definition) ▶ `vault` (its secrets) ▶ `evaluation` and [`crate::lang`] (its values) ▶ `sessions`
//! ▶ `wire` (ESC's JSON).
//!
//! No log line, error or metric here may carry a value, a token, a session id, a query or a body.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use crate::{
    esc::{pattern::Pattern, reference::check_organization},
    secret::Secret,
};

mod access;
pub mod audit;
mod datadir;
mod error;
mod evaluation;
pub mod identity;
mod jwt;
mod keychange;
mod keyfile;
mod listener;
mod names;
mod offline;
mod people;
mod policy;
mod principal;
mod providers;
mod random;
mod right;
mod rotation;
mod routes;
mod sessions;
mod signing;
mod storage;
mod store;
pub mod tokens;
pub mod upkeep;
mod vault;
mod wire;

pub use datadir::{StorageError, audit_log};
use error::ApiError;
use names::listed;
pub use offline::{Kept, KeptError};
pub use people::Grantee;
pub use random::{NoRandomness, new_token};
pub use right::Right;
pub use signing::SigningKeyError;
pub use storage::Storage;
pub use vault::KeyError;

/// Evaluations that run at once. Each may use a processor and some 100 MiB for a hostile document; others wait.
const MAX_EVALUATIONS: usize = 4;

/// How long rotations may take to finish at the end. Kubernetes gives a pod 30 seconds, of which requests have had 5.
const LAST_TASKS: Duration = Duration::from_secs(22);

/// How often the lines of refusals that were counted are looked for.
const COUNTED: Duration = Duration::from_secs(60);

/// What a server needs to know.
#[derive(Debug)]
pub struct Config {
    /// Where the definitions lie.
    pub storage: Storage,
    /// The organizations that exist. When empty: all top-level folders of files, and else `dev`.
    pub organizations: Vec<String>,
    /// Personal tokens of the user `dev`, a member of every organization.
    pub tokens: Vec<Secret>,
    /// What users may do with every environment of their organization, without having been given more.
    pub users: Option<Right>,
    /// Whose identity tokens are exchanged for access tokens.
    pub issuers: Vec<identity::Issuer>,
    /// The file for the audit log; the one in the data directory when there is one and none is given.
    pub audit: Option<PathBuf>,
    /// Whether definitions may call the providers that only tests can want, and hide secrets by a cipher that
    /// hides nothing.
    pub test_providers: bool,
    /// How services of the users' are asked.
    pub external: External,
    /// Serves TLS when given.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// Where the time comes from.
    pub clock: Clock,
}

/// How services of the users' are asked, and how they know who asks.
#[derive(Debug, Default)]
pub struct External {
    /// The URL that this server is known by, the `iss` of its tokens; where it listens, when none is given.
    pub url: Option<String>,
    /// A file with the key that tokens are signed with. When none is given: the one in the data directory, which is
    /// made when it is missing, and else one that nobody keeps.
    pub signing_key: Option<PathBuf>,
    /// Hosts that are called, and no others; when empty, all but this machine and what is only beside it.
    pub hosts: Vec<Pattern>,
    /// Authorities in PEM that are trusted beside the public ones.
    pub authorities: Option<String>,
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
    /// There is an organization without definitions.
    #[error(
        "--organization {name}: {} has no such folder, and its top-level folders are the organizations; there {}",
        path.display(),
        listed(known)
    )]
    NoFolder {
        /// As it was given.
        name: String,
        /// The directory of the definitions.
        path: PathBuf,
        /// The folders that could be meant.
        known: Vec<String>,
    },
    /// The URL that we are known by.
    #[error(
        "--public-url {url}: it must be an http or https URL without user, query and fragment, such as https://esc.example"
    )]
    PublicUrl {
        /// As it was given.
        url: String,
    },
    /// What is kept can't be had.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The key of what is kept.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The key that our tokens are signed with.
    #[error(transparent)]
    SigningKey(#[from] SigningKeyError),
    /// The way to services of the users'.
    #[error("services can't be called: {0}")]
    External(String),
    /// The audit log.
    #[error(transparent)]
    Audit(#[from] audit::AuditError),
    /// The system has none.
    #[error("the system gives no random numbers")]
    NoRandomness,
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
    store: Box<dyn store::Store>,
    vault: vault::Vault,
    policy: policy::Policy,
    tokens: access::Tokens,
    audit: Option<audit::Audit>,
    issuers: Arc<identity::Issuers>,
    sessions: sessions::Sessions,
    signer: Arc<signing::Signer>,
    providers: Arc<providers::Registry>,
    evaluations: Arc<Semaphore>,
    rotations: rotation::Running,
    /// What goes on when nobody waits for it any more.
    tasks: TaskTracker,
    clock: Clock,
}

impl App {
    /// Runs what reads or writes the store, where it may block.
    async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let app = Arc::clone(self);
        tokio::task::spawn_blocking(move || work(&app)).await.map_err(|_| ApiError::internal())?
    }

    /// Runs what evaluates or rewrites definitions, so many at once.
    async fn evaluating<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        // Never closed: waiting can't fail.
        let permit = Arc::clone(&self.evaluations).acquire_owned().await.map_err(|_| ApiError::internal())?;
        self.blocking(move |app| {
            // Held by the work itself: it goes on when the client has gone.
            let _permit = permit;
            work(app)
        })
        .await
    }

    /// Has refusals that were counted written into the audit log. Nobody waits for them: what fails is told in the log.
    async fn counted(self: &Arc<Self>, write: impl FnOnce(&audit::Audit) -> io::Result<()> + Send + 'static) {
        let written = self.blocking(move |app| {
            if let Some(Err(error)) = app.audit.as_ref().map(write) {
                tracing::error!(%error, "the audit log can't be written");
            }
            Ok(())
        });
        let _ = written.await;
    }

    /// The most that somebody may do with an environment. Blocks.
    fn most(
        &self,
        principal: &principal::Principal,
        name: &names::EnvironmentName,
    ) -> Result<Option<Right>, store::StoreError> {
        if !self.policy.asks_for_grants(principal) {
            return Ok(self.policy.most(principal, name, None));
        }
        match self.store.environment(name) {
            Ok(environment) => Ok(self.policy.most(principal, name, Some(&environment.grants))),
            Err(store::StoreError::NoEnvironment(_)) => Ok(self.policy.most(principal, name, None)),
            Err(error) => Err(error),
        }
    }

    fn now(&self) -> u64 {
        unix_seconds(self.clock.now())
    }
}

impl Server {
    /// Checks the configuration and opens what is kept. Blocks.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        for name in &config.organizations {
            check_organization(name)
                .map_err(|reason| ConfigError::OrganizationName { name: name.clone(), reason })?;
        }
        if let Some(url) = &config.external.url
            && !signing::is_origin(url)
        {
            return Err(ConfigError::PublicUrl { url: url.clone() });
        }
        let signing_key = config.storage.signing_key();
        let storage::Opened { store, vault, writable, audit } =
            storage::open(config.storage, config.organizations, unix_seconds(config.clock.now()))?;
        let policy =
            if writable { policy::Policy::Database { users: config.users } } else { policy::Policy::Files };
        let kept = store.tokens().map_err(|error| datadir::broken(Path::new("the store"), &error))?;
        if config.tokens.is_empty() && config.issuers.is_empty() && kept.is_empty() {
            return Err(ConfigError::NobodyCanSignIn);
        }
        let tokens = access::Tokens::new(&config.tokens);
        for token in &kept {
            tokens.remember(token);
        }
        let audit = config.audit.or(audit).map(|path| audit::Audit::open(&path)).transpose()?;
        let clock = config.clock.clone();
        let signer = match (&config.external.signing_key, &signing_key) {
            (Some(path), _) => signing::Signer::read(path, clock)?,
            (None, Some(path)) => signing::Signer::read_or_create(path, clock)?,
            (None, None) => signing::Signer::ephemeral(clock)?,
        };
        if let Some(url) = &config.external.url {
            signer.known_as(url);
        }
        let signer = Arc::new(signer);
        let hosts = providers::Hosts::new(config.external.hosts);
        let authorities = config.external.authorities.as_deref();
        let external = providers::External::new(Arc::clone(&signer), hosts, authorities)
            .map_err(ConfigError::External)?;
        let app = App {
            store,
            vault,
            policy,
            tokens,
            audit,
            issuers: Arc::new(identity::Issuers::new(config.issuers)),
            sessions: sessions::Sessions::default(),
            signer,
            providers: Arc::new(providers::Registry::new(Some(external), config.test_providers)),
            evaluations: Arc::new(Semaphore::new(MAX_EVALUATIONS)),
            rotations: rotation::Running::default(),
            tasks: TaskTracker::new(),
            clock: config.clock,
        };
        Ok(Self { app: Arc::new(app), tls: config.tls })
    }

    /// Serves until `shutdown` completes, then lets running requests finish for a moment.
    pub async fn serve(self, listener: tokio::net::TcpListener, shutdown: impl Future<Output = ()>) {
        if let Ok(address) = listener.local_addr() {
            let scheme = if self.tls.is_some() { "https" } else { "http" };
            self.app.signer.known_as(&format!("{scheme}://{address}"));
        }
        let tasks = self.app.tasks.clone();
        let app = Arc::clone(&self.app);
        let counted = tokio::spawn(write_counted(Arc::clone(&self.app)));
        listener::serve(listener, self.tls, routes::router(self.app), shutdown).await;
        counted.abort();
        app.counted(audit::Audit::write_rest).await;
        drop(app);
        tasks.close();
        if tokio::time::timeout(LAST_TASKS, tasks.wait()).await.is_err() {
            tracing::error!("rotations were still running at the end: what they rotate is lost");
        }
    }
}

/// Keeps the audit log from being silent about what goes on while nothing else happens.
async fn write_counted(app: Arc<App>) {
    loop {
        tokio::time::sleep(COUNTED).await;
        let now = app.now();
        app.counted(move |audit| audit.write_due(now)).await;
    }
}

/// Seconds since the epoch, as identity tokens count; 0 before it.
fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}

/// A time as the API writes it (RFC 3339), from seconds since the epoch.
fn rfc3339(seconds: u64) -> String {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds).unwrap_or_default().to_string()
}
