//! `esc-injector agent`: inside the pod.

use std::{
    env::VarError,
    fs::OpenOptions,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Subcommand;
use rustix::{fs::Mode, process::DumpableBehavior};
use tokio::signal::unix::{SignalKind, signal};

use super::{
    exit::{Exit, Failure},
    logging::{self, LogFormat, LogLevel},
    output,
};
use crate::{
    agent::{
        self, Kind, Options, Restart,
        plan::{self, Plan},
        sidecar::pace::Timing,
        state::Fingerprint,
    },
    codes::{delivery as codes, refresh},
};

/// Where kubelet looks for a container's last words.
const TERMINATION_LOG: &str = "/dev/termination-log";

/// What a shell reports for a process that SIGTERM ended.
const TERMINATED: u8 = 128 + 15;

/// Fetch, publish and keep fresh, inside the pod.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
    /// Least severe level that is logged
    #[arg(long, global = true, env = "ESC_INJECTOR_LOG_LEVEL", value_enum, default_value_t = LogLevel::Info)]
    log_level: LogLevel,
    /// How log lines look
    #[arg(long, global = true, env = "ESC_INJECTOR_LOG_FORMAT", value_enum, default_value_t = LogFormat::Json)]
    log_format: LogFormat,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Fetch and publish once, then end
    Init(RunArgs),
    /// Fetch and publish, then keep it fresh
    Sidecar(RunArgs),
    /// Succeed when a whole set is in place, for the sidecar's startup probe
    Ready,
}

#[derive(Debug, clap::Args)]
struct RunArgs {
    /// File for the last words of a failure [default: /dev/termination-log]
    #[arg(long, env = "ESC_INJECTOR_TERMINATION_LOG", value_name = "FILE")]
    termination_log: Option<PathBuf>,
}

/// Runs the command.
pub fn run(args: Args) -> Result<ExitCode, Failure> {
    logging::start(args.log_level, args.log_format);
    // Every file's mode is stated when it is made. A umask that takes the owner's own bits would lock an agent without
    // privileges out of the directories that it has just made.
    rustix::process::umask(Mode::empty());
    if let Err(error) = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        tracing::warn!("the agent's memory stays readable for debuggers: {error}");
    }
    match args.command {
        Command::Init(args) => end(&args, init()),
        Command::Sidecar(args) => end(&args, sidecar()),
        Command::Ready => ready(),
    }
}

fn end(
    args: &RunArgs,
    run: impl Future<Output = Result<ExitCode, agent::Failure>>,
) -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Internal, format!("starting the runtime: {error}")))?;
    let result = runtime.block_on(run);
    // A name lookup can't be cancelled, and is not worth waiting for.
    runtime.shutdown_background();
    let failure = match result {
        Ok(code) => return Ok(code),
        Err(failure) => failure,
    };
    let code = failure.code;
    tracing::error!(code = code.id(), fix = failure.fix(), more = code.command(), "{}", failure.what);
    if let Err(error) = last_words(args.termination_log.as_deref(), &failure.termination_message()) {
        tracing::debug!("no termination message: {error}");
    }
    Ok(exit_code(failure.kind))
}

/// Runs until it ends or somebody ends it. `None`: the latter.
///
/// As PID 1 the agent has no default action for signals: they are caught before anything else is done.
async fn until_terminated<T>(
    run: impl AsyncFnOnce() -> Result<T, agent::Failure>,
) -> Result<Option<T>, agent::Failure> {
    let internal = |error: io::Error| {
        agent::Failure::new(codes::DEFECT, Kind::Internal, format!("listening for signals: {error}"))
    };
    let mut terminate = signal(SignalKind::terminate()).map_err(internal)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(internal)?;
    tokio::select! {
        result = run() => result.map(Some),
        _ = terminate.recv() => Ok(None),
        _ = interrupt.recv() => Ok(None),
    }
}

async fn init() -> Result<ExitCode, agent::Failure> {
    let run = async || {
        let (plan, _) = read_plan()?;
        agent::init(&plan, &Options::default()).await
    };
    match until_terminated(run).await? {
        Some(_) => Ok(ExitCode::SUCCESS),
        None => Err(agent::Failure::new(
            codes::INTERRUPTED,
            Kind::Interrupted,
            "fetching was interrupted by a signal",
        )),
    }
}

async fn sidecar() -> Result<ExitCode, agent::Failure> {
    let run = async || {
        let (plan, fingerprint) = read_plan()?;
        agent::sidecar(&plan, &fingerprint, &Options::default(), &Timing::default()).await
    };
    match until_terminated(run).await? {
        Some(Restart { exit_code }) => Ok(ExitCode::from(exit_code)),
        None => {
            // The pod is going away, and this is how a sidecar ends.
            tracing::info!("stopped by a signal; what is in place stays");
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// What kubelet asks each second while the pod starts; it shows the answer in the pod's events.
fn ready() -> Result<ExitCode, Failure> {
    let ready = read_plan().and_then(|(plan, fingerprint)| agent::sidecar::is_ready(&plan, &fingerprint));
    let why = match ready {
        Ok(true) => return Ok(ExitCode::SUCCESS),
        Ok(false) => format!("[{}] no whole set is in place yet", refresh::NOT_READY),
        Err(failure) => failure.to_string(),
    };
    let hint = crate::codes::hint(&why).unwrap_or_default();
    output::print(|out| writeln!(out, "{why}. {hint}"))?;
    Ok(ExitCode::FAILURE)
}

fn read_plan() -> Result<(Plan, Fingerprint), agent::Failure> {
    let text = std::env::var(plan::VARIABLE).map_err(|error| {
        // The error of a variable that is no UTF-8 would quote it.
        let why = if error == VarError::NotPresent { "it is not set" } else { "it is not UTF-8" };
        agent::Failure::new(codes::PLAN, Kind::Configuration, format!("reading {}: {why}", plan::VARIABLE))
    })?;
    Ok((agent::read_plan(&text)?, Fingerprint::of(&text)))
}

/// Kubelet makes the default file; only a file that was named may be made by us.
fn last_words(file: Option<&Path>, message: &str) -> io::Result<()> {
    let path = file.unwrap_or(Path::new(TERMINATION_LOG));
    OpenOptions::new()
        .write(true)
        .truncate(true)
        .create(file.is_some())
        .open(path)?
        .write_all(message.as_bytes())
}

fn exit_code(kind: Kind) -> ExitCode {
    match kind {
        Kind::Denied => Exit::Denied.into(),
        Kind::Unreachable => Exit::Unreachable.into(),
        Kind::Temporary => Exit::Temporary.into(),
        Kind::Data => Exit::Data.into(),
        Kind::Configuration => Exit::Configuration.into(),
        Kind::Internal => Exit::Internal.into(),
        Kind::Interrupted => ExitCode::from(TERMINATED),
    }
}
