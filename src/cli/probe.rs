//! `esc-injector probe`: whether an installation works; what `helm test` runs.

use std::{error::Error, net::SocketAddr, process::ExitCode, time::Duration};

use kube::Client;

use super::{
    exit::{Exit, Failure},
    output,
};
use crate::{
    codes::{Code, installation as codes},
    esc::duration,
    kubeconfig,
    probe::{self, Finding, ProbeError, Settings},
};

/// Try whether the webhook can be reached, is trusted, and injects, as the API server sees it.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Name of the webhook configurations
    #[arg(long, value_name = "NAME", default_value = "esc-injector")]
    webhook_configuration: String,
    /// A labelled namespace in which to create a pod as a dry run, by way of the API server
    #[arg(long, value_name = "NAME")]
    namespace: Option<String>,
    /// Ask the webhook at this address instead of its Service's
    #[arg(long, value_name = "ADDRESS")]
    address: Option<SocketAddr>,
    /// How long to try again
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = time)]
    timeout: Duration,
}

/// Long enough not to be a load, short enough not to be waited for.
const PAUSE: Duration = Duration::from_secs(1);

fn time(text: &str) -> Result<Duration, String> {
    duration::parse(text).map_err(|error| error.to_string())
}

/// Runs the command.
pub fn run(args: Args) -> Result<ExitCode, Failure> {
    let Args { webhook_configuration, namespace, address, timeout } = args;
    let settings = Settings { configuration: webhook_configuration, namespace, address };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Internal, format!("starting: {error}")))?;
    let findings = runtime.block_on(async {
        let config = kubeconfig::infer(None).await.map_err(|error| failure(codes::NO_API_SERVER, &error))?;
        let client = kubeconfig::client(config).map_err(|error| failure(codes::NO_API_SERVER, &error))?;
        persevere(&client, &settings, timeout).await.map_err(|error| failure(error.code(), &error))
    })?;
    output::print(|out| {
        findings.iter().try_for_each(|Finding { subject, outcome }| writeln!(out, "{subject}: {outcome}"))
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Replicas may still be on their way up: what fails is tried again until the time is up.
async fn persevere(
    client: &Client,
    settings: &Settings,
    timeout: Duration,
) -> Result<Vec<Finding>, ProbeError> {
    let end = tokio::time::Instant::now() + timeout;
    loop {
        match probe::probe(client, settings).await {
            Err(_) if tokio::time::Instant::now() + PAUSE < end => tokio::time::sleep(PAUSE).await,
            done => return done,
        }
    }
}

fn failure(code: Code, error: &(dyn Error + 'static)) -> Failure {
    let exit = match code {
        code if code == codes::NO_API_SERVER || code == codes::NO_ANSWER => Exit::Unreachable,
        _ => Exit::Configuration,
    };
    Failure::new(exit, format!("[{code}] {}. Fix: {}", kubeconfig::describe(error), code.entry().fix))
}
