//! `esc-injector webhook`: serve admissions.

use std::{io, net::SocketAddr, path::PathBuf, process::ExitCode, time::Duration};

use clap::ValueEnum;
use tokio::signal::unix::{SignalKind, signal};

use super::{
    exit::{Exit, Failure},
    logging::{self, LogFormat, LogLevel},
    policy::PolicyArgs,
};
use crate::{
    codes::admission::{self, KUBERNETES_NOT_YET},
    webhook::{Certificates, Config, Limits, Webhook, WorkloadChecks, certs::files::CertificateFiles},
};

/// Serve admissions.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Address for admissions, over TLS
    #[arg(long, env = "ESC_INJECTOR_LISTEN", value_name = "ADDRESS", default_value = "0.0.0.0:10250")]
    listen: SocketAddr,
    /// Address for /livez, /readyz and /metrics, in plain text
    #[arg(long, env = "ESC_INJECTOR_HEALTH_LISTEN", value_name = "ADDRESS", default_value = "0.0.0.0:8080")]
    health_listen: SocketAddr,
    /// PEM certificate chain to serve with, leaf first; read again when it changes
    #[arg(long, env = "ESC_INJECTOR_TLS_CERT", value_name = "FILE")]
    tls_cert: PathBuf,
    /// PEM key of the certificate
    #[arg(long, env = "ESC_INJECTOR_TLS_KEY", value_name = "FILE")]
    tls_key: PathBuf,
    /// Whether to read namespace defaults from the API server
    #[arg(long, env = "ESC_INJECTOR_KUBERNETES", value_enum, default_value_t = Kubernetes::Off)]
    kubernetes: Kubernetes,
    /// What is answered for workloads whose pods would be refused
    #[arg(long, env = "ESC_INJECTOR_WORKLOAD_CHECKS", value_enum, default_value_t = ChecksFlag::Warn)]
    workload_checks: ChecksFlag,
    /// Least severe level that is logged
    #[arg(long, env = "ESC_INJECTOR_LOG_LEVEL", value_enum, default_value_t = LogLevel::Info)]
    log_level: LogLevel,
    /// How log lines look
    #[arg(long, env = "ESC_INJECTOR_LOG_FORMAT", value_enum, default_value_t = LogFormat::Json)]
    log_format: LogFormat,
    #[command(flatten)]
    policy: PolicyArgs,
}

/// `--kubernetes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kubernetes {
    /// Read them (not built yet)
    Auto,
    /// No API server; namespace defaults are unknown
    Off,
}

/// `--workload-checks`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ChecksFlag {
    /// Allow them, and warn
    Warn,
    /// Deny them
    Deny,
    /// Allow them, and say nothing
    Off,
}

impl From<ChecksFlag> for WorkloadChecks {
    fn from(flag: ChecksFlag) -> Self {
        match flag {
            ChecksFlag::Warn => Self::Warn,
            ChecksFlag::Deny => Self::Deny,
            ChecksFlag::Off => Self::Off,
        }
    }
}

/// An admission is a tenth of a millisecond of work: one thread would do. The second keeps probes and handshakes
/// answered while the first has a large pod.
const WORKERS: usize = 2;

/// Nothing is left to do when the runtime goes down but perhaps a file that can't be read.
const RUNTIME_SHUTDOWN: Duration = Duration::from_secs(1);

/// Runs the command.
pub fn run(args: Args) -> Result<ExitCode, Failure> {
    let Args {
        listen,
        health_listen,
        tls_cert,
        tls_key,
        kubernetes,
        workload_checks,
        log_level,
        log_format,
        policy,
    } = args;
    if kubernetes == Kubernetes::Auto {
        let code = KUBERNETES_NOT_YET;
        let message = format!("[{code}] --kubernetes auto is not built yet: pass --kubernetes off");
        return Err(Failure::new(Exit::Configuration, message));
    }
    logging::start(log_level, log_format);
    log_panics_without_their_message();
    let config = Config {
        listen,
        health_listen,
        certificates: Certificates::Files(CertificateFiles { certificate: tls_cert, key: tls_key }),
        policy: policy.into_policy()?,
        workload_checks: workload_checks.into(),
        limits: Limits::default(),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Internal, format!("starting threads: {error}")))?;
    let served = runtime.block_on(serve(config));
    runtime.shutdown_timeout(RUNTIME_SHUTDOWN);
    served.map(|()| ExitCode::SUCCESS)
}

async fn serve(config: Config) -> Result<(), Failure> {
    // Before anything else: a signal that comes while we bind must not be lost.
    let stop = stop_signal()
        .map_err(|error| Failure::new(Exit::Internal, format!("waiting for signals: {error}")))?;
    let webhook =
        Webhook::bind(config).await.map_err(|error| Failure::from_error(Exit::Configuration, &error))?;
    webhook.run(stop).await;
    Ok(())
}

/// Resolves at the first SIGTERM (kubelet) or SIGINT (a person).
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// A panic's message may quote the pod that it tripped over; its place in the code says enough.
fn log_panics_without_their_message() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        tracing::error!(code = admission::INTERNAL.id(), place, "panic");
    }));
}
