//! `esc-injector server`: a local ESC-compatible server.

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
};

use super::{
    exit::{Exit, Failure},
    logging::{self, LogFormat, LogLevel},
    output, server_audit, server_grant, server_token, server_upkeep,
};
use crate::{
    esc::pattern::Pattern,
    exposure,
    secret::Secret,
    server::{
        Clock, Config, ConfigError, External, Right, Server, Storage,
        identity::{self, Issuer},
        new_token,
    },
};

/// Serve environments, as ESC would.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// Keep environments in memory until it stops; prints an access token when none is given
    #[arg(long, env = "ESC_INJECTOR_DEV", conflicts_with = "data")]
    dev: bool,
    /// Keep environments in this directory; it is made when missing
    #[arg(long, env = "ESC_INJECTOR_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
    /// Key that secrets are sealed with [default: DIR/key, made at the first start]
    #[arg(long, env = "ESC_INJECTOR_KEY_FILE", value_name = "FILE", requires = "data")]
    key_file: Option<PathBuf>,
    /// Definitions: DIR/ORGANIZATION/PROJECT/ENVIRONMENT.yaml, read anew at each open and never written; with
    /// --data or --dev, what an empty store begins with
    #[arg(long, env = "ESC_INJECTOR_DIR", value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Address to listen on
    #[arg(long, env = "ESC_INJECTOR_LISTEN", value_name = "ADDRESS", default_value = "127.0.0.1:8087")]
    listen: SocketAddr,
    /// Certificate chain in PEM; serves TLS
    #[arg(long, env = "ESC_INJECTOR_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Private key of the certificate in PEM
    #[arg(long, env = "ESC_INJECTOR_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Organization that exists (repeatable) [default: the top-level folders of --dir; without it, `dev`]
    #[arg(long, env = "ESC_INJECTOR_ORGANIZATION", value_name = "NAME", value_delimiter = ',')]
    organization: Vec<String>,
    /// Access token of the user `dev`, a member of every organization
    #[arg(
        long,
        env = "ESC_INJECTOR_TOKEN",
        value_name = "TOKEN",
        hide_env_values = true,
        value_parser = secret,
        conflicts_with = "data"
    )]
    token: Option<Secret>,
    /// File with such tokens, one a line
    #[arg(long, env = "ESC_INJECTOR_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Issuers whose identity tokens are exchanged for access tokens, and their policies, in YAML
    #[arg(long, env = "ESC_INJECTOR_ISSUERS", value_name = "FILE", conflicts_with = "oidc_issuer")]
    issuers: Option<PathBuf>,
    /// Issuer whose identity tokens are exchanged for access tokens: the exact `iss`
    #[arg(long, env = "ESC_INJECTOR_OIDC_ISSUER", value_name = "URL", requires_all = ["oidc_jwks", "oidc_subject"])]
    oidc_issuer: Option<String>,
    /// The issuer's JSON Web Key Set, read at each exchange
    #[arg(long, env = "ESC_INJECTOR_OIDC_JWKS", value_name = "FILE", requires = "oidc_issuer")]
    oidc_jwks: Option<PathBuf>,
    /// Subjects that get a token, with * as wildcard
    #[arg(long, env = "ESC_INJECTOR_OIDC_SUBJECT", value_name = "PATTERN", requires = "oidc_issuer")]
    oidc_subject: Option<String>,
    /// Audience that counts beside urn:pulumi:org:ORGANIZATION (repeatable)
    #[arg(
        long,
        env = "ESC_INJECTOR_OIDC_AUDIENCE",
        value_name = "AUDIENCE",
        value_delimiter = ',',
        requires = "oidc_issuer"
    )]
    oidc_audience: Vec<String>,
    /// What users may do with every environment of their organization, without having been given more [default: write]
    #[arg(long, env = "ESC_INJECTOR_USER_RIGHTS", value_enum, value_name = "RIGHT")]
    user_rights: Option<UserRights>,
    /// File for the audit log [default: DATA/audit.jsonl; none without --data]
    #[arg(long, env = "ESC_INJECTOR_AUDIT_LOG", value_name = "FILE")]
    audit_log: Option<PathBuf>,
    /// URL that this server is known by: the `iss` of the tokens that `external` shows [default: where it listens]
    #[arg(long, env = "ESC_INJECTOR_PUBLIC_URL", value_name = "URL")]
    public_url: Option<String>,
    /// RSA or EC key in PEM that these tokens are signed with [default: DATA/signing-key.pem, made at the first start]
    #[arg(long, env = "ESC_INJECTOR_SIGNING_KEY", value_name = "FILE")]
    signing_key: Option<PathBuf>,
    /// Host that `external` may call, with * as wildcard, and then no other (repeatable) [default: all but loopback,
    /// link-local and metadata addresses]
    #[arg(long, env = "ESC_INJECTOR_EXTERNAL_HOST", value_name = "PATTERN", value_delimiter = ',')]
    external_host: Vec<String>,
    /// Authorities in PEM that are trusted beside the public ones for what `external` calls
    #[arg(long, env = "ESC_INJECTOR_EXTERNAL_CA", value_name = "FILE")]
    external_ca: Option<PathBuf>,
    /// Serve the providers test, error, secret-wrapper and the rotators swap, echo; decipher their secrets
    #[arg(long, env = "ESC_INJECTOR_TEST_PROVIDERS", conflicts_with = "data")]
    test_providers: bool,
    /// Least severe level that is logged
    #[arg(long, env = "ESC_INJECTOR_LOG_LEVEL", value_enum, default_value_t = LogLevel::Info)]
    log_level: LogLevel,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum UserRights {
    None,
    Read,
    Open,
    Write,
}

impl From<UserRights> for Option<Right> {
    fn from(rights: UserRights) -> Self {
        match rights {
            UserRights::None => None,
            UserRights::Read => Some(Right::Read),
            UserRights::Open => Some(Right::Open),
            UserRights::Write => Some(Right::Write),
        }
    }
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Token(server_token::Args),
    Grant(server_grant::Grant),
    Revoke(server_grant::Revoke),
    Grants(server_grant::List),
    Audit(server_audit::Args),
    Compact(server_upkeep::Compact),
    Rekey(server_upkeep::Rekey),
}

#[expect(clippy::unnecessary_wraps, reason = "clap's value parsers return results")]
fn secret(text: &str) -> Result<Secret, std::convert::Infallible> {
    // A variable that was filled from a file often ends with the file's last line end, which no request can carry.
    Ok(Secret::from(text.trim()))
}

/// Runs the command.
pub fn run(mut args: Args) -> Result<ExitCode, Failure> {
    match args.command.take() {
        Some(Command::Token(args)) => return server_token::run(args),
        Some(Command::Grant(args)) => return server_grant::grant(args),
        Some(Command::Revoke(args)) => return server_grant::revoke(args),
        Some(Command::Grants(args)) => return server_grant::list(args),
        Some(Command::Audit(args)) => return server_audit::run(args),
        Some(Command::Compact(args)) => return server_upkeep::compact(&args),
        Some(Command::Rekey(args)) => return server_upkeep::rekey(args),
        None => {}
    }
    logging::start(args.log_level, LogFormat::Text);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Internal, format!("starting the runtime: {error}")))?;
    let result = runtime.block_on(serve(args));
    // A read that hangs on a network disk must not keep the process alive.
    runtime.shutdown_background();
    result.map(|()| ExitCode::SUCCESS)
}

async fn serve(args: Args) -> Result<(), Failure> {
    let (listen, dev) = (args.listen, args.dev);
    let mut config = args.into_config()?;
    let mut printed = None;
    if dev && config.tokens.is_empty() {
        let token = new_token().map_err(|error| failure(Exit::Internal, "making a token", &error))?;
        printed = Some(token.clone());
        config.tokens.push(token);
    }
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    if config.tls.is_none() && !listen.ip().is_loopback() {
        tracing::warn!("tokens and values travel in the clear: give --tls-cert and --tls-key");
    }
    let server = Server::new(config).map_err(|error| match error {
        ConfigError::NobodyCanSignIn => Failure::new(
            Exit::Usage,
            format!(
                "{error}: give --token or --token-file for people and tests, or --issuers, or --oidc-issuer, \
                 --oidc-jwks and --oidc-subject, for pods, or make an operator's token in the data directory: \
                 esc-injector server token create --name NAME --data DIR"
            ),
        ),
        _ => Failure::from_error(Exit::Configuration, &error),
    })?;
    let shutdown = shutdown_signal().map_err(|error| failure(Exit::Internal, "watching signals", &error))?;
    let cannot_listen = |error| failure(Exit::Unreachable, &format!("listening on {listen}"), &error);
    let listener = TcpListener::bind(listen).await.map_err(cannot_listen)?;
    let address = listener.local_addr().map_err(cannot_listen)?;
    output::print(|out| {
        writeln!(out, "listening on {scheme}://{address}")?;
        match printed.as_ref().and_then(Secret::expose_str) {
            Some(token) => writeln!(out, "access token {token}"),
            None => Ok(()),
        }
    })?;
    server.serve(listener, shutdown).await;
    Ok(())
}

/// Completes at SIGTERM or SIGINT. Both are watched from now on.
fn shutdown_signal() -> io::Result<impl Future<Output = ()>> {
    let (mut terminate, mut interrupt): (Signal, Signal) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping");
    })
}

impl Args {
    fn into_config(self) -> Result<Config, Failure> {
        let mut tokens: Vec<Secret> = self.token.into_iter().collect();
        if let Some(path) = &self.token_file {
            tokens.extend(read_tokens(path)?);
        }
        if tokens.iter().any(Secret::is_empty) {
            return Err(Failure::new(Exit::Usage, "--token is empty"));
        }
        let authorities = self.external_ca.as_deref().map(read_authorities).transpose()?;
        let hosts = self.external_host.iter().map(|text| host(text)).collect::<Result<_, _>>()?;
        let mut issuers = match &self.issuers {
            Some(path) => identity::read(path)
                .map_err(|error| Failure::new(Exit::Configuration, format!("--issuers {error}")))?,
            None => Vec::new(),
        };
        if let (Some(url), Some(key_set), Some(subject)) =
            (self.oidc_issuer, self.oidc_jwks, self.oidc_subject)
        {
            let given = [("--oidc-issuer", &url), ("--oidc-subject", &subject)];
            let audiences = self.oidc_audience.iter().map(|audience| ("--oidc-audience", audience));
            if let Some((flag, _)) =
                given.into_iter().chain(audiences).find(|(_, text)| text.trim().is_empty())
            {
                return Err(Failure::new(
                    Exit::Usage,
                    format!("{flag} is empty: nobody's token would fit it"),
                ));
            }
            identity::check_key_set(&key_set).map_err(|reason| {
                let path = key_set.display();
                let fix = "write what `kubectl get --raw /openid/v1/jwks` says into it";
                Failure::new(Exit::Configuration, format!("--oidc-jwks {path}: {reason}; {fix}"))
            })?;
            issuers.push(Issuer::of_subjects(url, key_set, Pattern::new(subject), self.oidc_audience));
        }
        let tls = match (self.tls_cert, self.tls_key) {
            (Some(certificate), Some(key)) => Some(read_tls(&certificate, &key)?),
            _ => None,
        };
        let storage = match (self.dev, self.data, self.dir) {
            (true, _, import) => Storage::Memory { import },
            (false, Some(directory), import) => Storage::Data { directory, key: self.key_file, import },
            (false, None, Some(directory)) => {
                if self.user_rights.is_some() {
                    let message = "--user-rights needs --data or --dev: with --dir alone, whoever signs in opens everything \
                                   of their organization, and changes nothing";
                    return Err(Failure::new(Exit::Usage, message));
                }
                Storage::Files(directory)
            }
            (false, None, None) => {
                return Err(Failure::new(Exit::Usage, "give --dev, --data DIR or --dir DIR"));
            }
        };
        Ok(Config {
            storage,
            organizations: self.organization,
            tokens,
            users: self.user_rights.unwrap_or(UserRights::Write).into(),
            issuers,
            audit: self.audit_log,
            external: External { url: self.public_url, signing_key: self.signing_key, hosts, authorities },
            test_providers: self.test_providers,
            tls,
            clock: Clock::system(),
        })
    }
}

/// A pattern of hosts as URLs have them, and nothing that would never fit one.
fn host(text: &str) -> Result<Pattern, Failure> {
    let port = text.contains(':') && !text.starts_with('[');
    if text.is_empty() || port || text.contains(['/', '@']) || text.contains(char::is_whitespace) {
        let message = format!(
            "--external-host {text:?}: it must be a host without scheme, port and path, such as *.example.com or [::1]"
        );
        return Err(Failure::new(Exit::Usage, message));
    }
    Ok(Pattern::new(text.to_ascii_lowercase()))
}

fn read_authorities(path: &Path) -> Result<String, Failure> {
    let what = format!("--external-ca {}", path.display());
    let pem = fs::read_to_string(path).map_err(|error| failure(Exit::Configuration, &what, &error))?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(pem),
        Ok(_) => Err(Failure::new(Exit::Configuration, format!("{what}: no certificate in it"))),
        Err(error) => Err(failure(Exit::Configuration, &what, &error)),
    }
}

/// Says in the log that others can use a file that they should not, and goes on: what is in a volume of a pod is often
/// for everybody in it to read.
fn warn_of(flag: &str, path: &Path) {
    if let Some(warning) = exposure::warning(flag, path) {
        tracing::warn!("{warning}");
    }
}

fn read_tokens(path: &Path) -> Result<Vec<Secret>, Failure> {
    warn_of("--token-file", path);
    let what = format!("--token-file {}", path.display());
    let text = Secret::new(fs::read(path).map_err(|error| failure(Exit::Configuration, &what, &error))?);
    let text = text
        .expose_str()
        .ok_or_else(|| Failure::new(Exit::Configuration, format!("{what}: no UTF-8 text")))?;
    let tokens: Vec<_> =
        text.lines().map(str::trim).filter(|line| !line.is_empty()).map(Secret::from).collect();
    if tokens.is_empty() {
        return Err(Failure::new(Exit::Configuration, format!("{what}: no token in it")));
    }
    Ok(tokens)
}

fn read_tls(certificate: &Path, key: &Path) -> Result<Arc<rustls::ServerConfig>, Failure> {
    let unusable = |flag: &str, path: &Path, error: &dyn std::error::Error| {
        failure(Exit::Configuration, &format!("{flag} {}", path.display()), error)
    };
    let chain: Vec<_> = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .map_err(|error| unusable("--tls-cert", certificate, &error))?;
    if chain.is_empty() {
        let message = format!("--tls-cert {}: no certificate in it", certificate.display());
        return Err(Failure::new(Exit::Configuration, message));
    }
    warn_of("--tls-key", key);
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| unusable("--tls-key", key, &error))?;
    let mut config =
        rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, private))
            .map_err(|error| match error {
                rustls::Error::InconsistentKeys(_) => Failure::new(
                    Exit::Configuration,
                    format!(
                        "--tls-key {} is not the key of the certificate in --tls-cert {}",
                        key.display(),
                        certificate.display()
                    ),
                ),
                error => unusable("--tls-cert", certificate, &error),
            })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn failure(exit: Exit, what: &str, error: &dyn std::error::Error) -> Failure {
    Failure::new(exit, format!("{what}: {}", super::exit::chain(error)))
}
