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
    codes::{admission, cluster::SELF_NEEDS_CLUSTER},
    webhook::{
        Certificates, Config, Limits, Webhook, WorkloadChecks,
        certs::{Lifetimes, SelfManaged, files::CertificateFiles},
        cluster::Cluster,
    },
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
    /// PEM certificate chain to serve with, leaf first; read again when it changes. Without it the webhook makes its certificates itself
    #[arg(long, env = "ESC_INJECTOR_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// PEM key of the certificate
    #[arg(long, env = "ESC_INJECTOR_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Whether to use the API server: for namespace defaults, and to keep certificates
    #[arg(long, env = "ESC_INJECTOR_KUBERNETES", value_enum, default_value_t = Kubernetes::Auto)]
    kubernetes: Kubernetes,
    /// What is answered for workloads whose pods would be refused
    #[arg(long, env = "ESC_INJECTOR_WORKLOAD_CHECKS", value_enum, default_value_t = ChecksFlag::Warn)]
    workload_checks: ChecksFlag,
    /// Service that the API server calls, for certificates made here
    #[arg(long, env = "ESC_INJECTOR_SERVICE_NAME", value_name = "NAME", default_value = "esc-injector")]
    service_name: String,
    /// Secret that keeps the authority of certificates made here
    #[arg(long, env = "ESC_INJECTOR_CA_SECRET", value_name = "NAME", default_value = "esc-injector-ca")]
    ca_secret: String,
    /// Name of both webhook configurations, whose caBundle is set for certificates made here
    #[arg(
        long,
        env = "ESC_INJECTOR_WEBHOOK_CONFIGURATION",
        value_name = "NAME",
        default_value = "esc-injector"
    )]
    webhook_configuration: String,
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
    /// The cluster of the kubeconfig, or the one that this pod runs in
    Auto,
    /// No API server; namespace defaults are unknown, certificates come from files
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
    logging::start(args.log_level, args.log_format);
    log_panics_without_their_message();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Internal, format!("starting threads: {error}")))?;
    let served = runtime.block_on(serve(args));
    runtime.shutdown_timeout(RUNTIME_SHUTDOWN);
    served.map(|()| ExitCode::SUCCESS)
}

async fn serve(args: Args) -> Result<(), Failure> {
    // Before anything else: a signal that comes while we bind must not be lost.
    let stop = stop_signal()
        .map_err(|error| Failure::new(Exit::Internal, format!("waiting for signals: {error}")))?;
    let config = config(args).await?;
    let webhook =
        Webhook::bind(config).await.map_err(|error| Failure::from_error(Exit::Configuration, &error))?;
    webhook.run(stop).await;
    Ok(())
}

/// What the flags say, with the cluster that they mean.
async fn config(args: Args) -> Result<Config, Failure> {
    let Args { listen, health_listen, tls_cert, tls_key, kubernetes, workload_checks, policy, .. } = args;
    let mut policy = policy.into_policy()?;
    let cluster = match kubernetes {
        Kubernetes::Off => None,
        Kubernetes::Auto => {
            let cluster = Cluster::infer().await;
            Some(cluster.map_err(|error| Failure::from_error(Exit::Configuration, &error))?)
        }
    };
    if let Some(cluster) = &cluster {
        policy.own_namespace.get_or_insert_with(|| cluster.namespace().to_owned());
    }
    let certificates = match (tls_cert, tls_key, &cluster) {
        (Some(certificate), Some(key), _) => Certificates::Files(CertificateFiles { certificate, key }),
        (_, _, Some(cluster)) => Certificates::SelfManaged(SelfManaged {
            namespace: policy.own_namespace.clone().unwrap_or_else(|| cluster.namespace().to_owned()),
            cluster: cluster.clone(),
            service: args.service_name,
            secret: args.ca_secret,
            configuration: args.webhook_configuration,
            lifetimes: Lifetimes::default(),
        }),
        (_, _, None) => {
            let message = format!(
                "[{SELF_NEEDS_CLUSTER}] --kubernetes off needs certificates from files: pass --tls-cert and --tls-key"
            );
            return Err(Failure::new(Exit::Configuration, message));
        }
    };
    Ok(Config {
        listen,
        health_listen,
        certificates,
        cluster,
        policy,
        workload_checks: workload_checks.into(),
        limits: Limits::default(),
    })
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
