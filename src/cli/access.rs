//! What commands that talk to an ESC share: the token, and what a failure means for the exit code.

use std::{
    io::Write,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::runtime::Runtime;

use super::{
    exit::{Exit, Failure},
    input,
};
use crate::{
    client::{AccessError, Budget, Cause, Client, Credentials, Repeat, Settings},
    esc::{reference::Reference, value::Value},
    exposure,
    inject::Policy,
    secret::Secret,
};

/// How long a command waits for an environment: providers may be slow. It tries once; a person tries again.
const PATIENCE: Duration = Duration::from_secs(60);

/// Pulumi Cloud.
const DEFAULT_URL: &str = "https://api.pulumi.com";

/// Where ESC is, and who asks.
#[derive(Debug, clap::Args)]
pub struct Access {
    /// ESC's address
    #[arg(long, env = "PULUMI_BACKEND_URL", value_name = "URL", default_value = DEFAULT_URL)]
    api_url: String,
    /// File with the access token [default: what `PULUMI_ACCESS_TOKEN` holds]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Authorities to trust besides the public ones, in PEM
    #[arg(long, env = "ESC_INJECTOR_CA_FILE", value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Such authorities, where the caller has read them.
    #[arg(skip)]
    ca: Option<String>,
    /// The proxy, where the caller knows one; else what the environment says.
    #[arg(skip)]
    https_proxy: Option<String>,
    /// Hosts that bypass it.
    #[arg(skip)]
    no_proxy: Option<String>,
}

/// An environment, and how to get there.
#[derive(Debug, clap::Args)]
pub struct Target {
    #[command(flatten)]
    access: Access,
    /// The environment: ORGANIZATION/PROJECT/ENVIRONMENT[@VERSION]
    #[arg(value_name = "ENVIRONMENT")]
    environment: Reference,
}

impl Target {
    /// Opens the environment and reads all of it.
    pub fn open(self) -> Result<Value, Failure> {
        self.access.connect()?.open(&self.environment).map_err(|error| failure(&error))
    }
}

/// An ESC, ready to be asked.
pub struct Connection {
    client: Client,
    runtime: Runtime,
}

impl Connection {
    /// Opens an environment and reads all of it.
    pub fn open(&mut self, reference: &Reference) -> Result<Value, AccessError> {
        let Self { client, runtime } = self;
        runtime.block_on(async { client.fetch(reference, &Budget::once(PATIENCE)).await })
    }
}

impl Access {
    /// As pods get there.
    pub fn new(policy: &Policy, token_file: Option<PathBuf>) -> Self {
        Self {
            api_url: policy.api_url.clone(),
            token_file,
            ca_file: None,
            ca: policy.ca_pem.clone(),
            https_proxy: policy.https_proxy.clone(),
            no_proxy: policy.no_proxy.clone(),
        }
    }

    /// Makes ready to ask: nothing is sent yet.
    pub fn connect(&self) -> Result<Connection, Failure> {
        let ca = self.ca_file.as_deref().map(read_ca);
        // ESC's own tools take it with and without the path of its API, and an empty one for none.
        let url = if self.api_url.is_empty() { DEFAULT_URL } else { self.api_url.trim_end_matches('/') };
        let settings = Settings {
            url: url.strip_suffix("/api/esc").unwrap_or(url).to_owned(),
            ca: ca.transpose()?.or_else(|| self.ca.clone()),
            https_proxy: self.https_proxy.clone().or_else(|| variable("HTTPS_PROXY")),
            no_proxy: self.no_proxy.clone().or_else(|| variable("NO_PROXY")),
            opens: Repeat::WithCare,
        };
        let credentials = credentials(self.token_file.clone())?;
        let client = Client::new(&settings, credentials).map_err(|error| failure(&error))?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::new(Exit::Internal, format!("starting the runtime: {error}")))?;
        Ok(Connection { client, runtime })
    }
}

/// What `--ca-file` names.
pub fn read_ca(path: &Path) -> Result<String, Failure> {
    /// All authorities that a system knows are a quarter of it.
    const MOST: u64 = 1024 * 1024;
    input::read_small(path, MOST)
        .map_err(|error| Failure::new(Exit::Configuration, format!("--ca-file {}: {error}", path.display())))
}

/// A line to stderr that is no failure.
pub fn warn(message: &str) {
    // Nobody is left to tell when stderr itself is closed.
    let _ = writeln!(anstream::stderr(), "warning: {message}");
}

/// A variable that other tools read as well, in capitals or small letters.
fn variable(name: &str) -> Option<String> {
    let read = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    read(name).or_else(|| read(&name.to_ascii_lowercase()))
}

/// The address that ESC's own tools use.
pub fn backend_url() -> Option<String> {
    std::env::var("PULUMI_BACKEND_URL").ok().filter(|url| !url.is_empty())
}

/// Where ESC's own tools look for the token.
const VARIABLE: &str = "PULUMI_ACCESS_TOKEN";

/// The token in a file, or in the variable that ESC's own tools read.
pub fn credentials(file: Option<PathBuf>) -> Result<Credentials, Failure> {
    if let Some(file) = file {
        if let Some(warning) = exposure::warning("--token-file", &file) {
            warn(&warning);
        }
        return Ok(Credentials::Static { file });
    }
    let token = std::env::var(VARIABLE).ok().map(Secret::from);
    match token.filter(|token| !token.expose().trim_ascii().is_empty()) {
        Some(token) => Ok(Credentials::Given { token: Secret::new(token.expose().trim_ascii().to_vec()) }),
        None => Err(Failure::new(Exit::Usage, format!("set {VARIABLE}, or give --token-file"))),
    }
}

/// The exit code that scripts rely on.
pub fn exit(error: &AccessError) -> Exit {
    match &error.cause {
        Cause::Unreachable { .. } | Cause::Untrusted { .. } => Exit::Unreachable,
        Cause::Throttled { .. } | Cause::Failing { .. } | Cause::Conflict | Cause::SessionGone => {
            Exit::Temporary
        }
        Cause::Misconfigured { .. } | Cause::NoToken { .. } => Exit::Configuration,
        Cause::ExchangeRefused { .. }
        | Cause::Unauthenticated
        | Cause::Forbidden
        | Cause::ApprovalNeeded { .. } => Exit::Denied,
        Cause::NotFound
        | Cause::Definition(_)
        | Cause::BadRequest
        | Cause::Malformed { .. }
        | Cause::TooLarge { .. } => Exit::Data,
    }
}

/// A failure with its exit code.
pub fn failure(error: &AccessError) -> Failure {
    // The fix of a code is for pods.
    Failure::new(exit(error), format!("[{}] {error}", error.code()))
}
