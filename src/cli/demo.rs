//! `esc-injector demo`: the whole flow on this machine, no cluster.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    path::{Path, PathBuf},
    pin::pin,
    process::ExitCode,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use tokio::signal::unix::{SignalKind, signal};

use super::{
    exit::{Exit, Failure},
    logging::{self, LogFormat, LogLevel},
    output,
};
use crate::demo::{
    check::Received,
    services::Services,
    story::{self, DemoError, Options},
};

/// Run the whole flow on this machine, without a cluster: local ESC, webhook, injection, delivery.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A manifest of yours instead of the built-in shop; its command is not run, a stand-in reports what it received
    #[arg(long, value_name = "FILE")]
    pod: Option<PathBuf>,
    /// Leave the servers running, and say how to reach them
    #[arg(long)]
    keep: bool,
    /// Log what the servers and the agent do, to standard error
    #[arg(long, value_enum, value_name = "LEVEL")]
    log_level: Option<LogLevel>,
    /// The stand-in's part: report the variables, and the files below this directory, as JSON
    #[arg(long, value_name = "DIR", hide = true, conflicts_with_all = ["pod", "keep"])]
    received: Option<PathBuf>,
}

/// Runs the command.
pub fn run(args: Args) -> Result<ExitCode, Failure> {
    if let Some(directory) = args.received {
        return report_received(&directory);
    }
    if let Some(level) = args.log_level {
        logging::start(level, LogFormat::Text);
    }
    let failed = |what: &str, error: &io::Error| Failure::new(Exit::Internal, format!("{what}: {error}"));
    let manifest = match &args.pod {
        None => None,
        Some(path) => Some(
            std::fs::read_to_string(path)
                .map_err(|error| Failure::new(Exit::Data, format!("{}: {error}", path.display())))?,
        ),
    };
    // For the owner alone: the values lie there as long as the demo lasts.
    let root = tempfile::Builder::new()
        .prefix("esc-injector-demo-")
        .tempdir()
        .map_err(|error| failed("making a private directory", &error))?;
    let options = Options {
        manifest,
        executable: std::env::current_exe().map_err(|error| failed("finding this program", &error))?,
        root: root.path().to_owned(),
        agent_log_level: args.log_level.map(|level| level.to_string()),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| failed("starting threads", &error))?;
    runtime.block_on(async {
        let mut stopped = pin!(stopped().map_err(|error| failed("watching signals", &error))?);
        let mut out = output::stdout();
        // Stopped by a signal, it returns all the same, so that the private directory goes.
        let told = tokio::select! {
            told = story::tell(&mut out, &options) => told,
            status = &mut stopped => return Ok(ExitCode::from(status)),
        };
        let said = match told {
            Ok(services) => {
                let said = if args.keep { keep(&mut out, &services, &options.root) } else { next(&mut out) };
                if args.keep && said.is_ok() {
                    stopped.await;
                }
                services.stop().await;
                said
            }
            Err(DemoError::Output(error)) => Err(error),
            Err(error) => return Err(failure(&error)),
        };
        output::written(said)?;
        Ok(ExitCode::SUCCESS)
    })
}

/// Completes at SIGTERM or SIGINT, with the status that a shell reports for a process they ended.
fn stopped() -> io::Result<impl Future<Output = u8>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => 128 + 15,
            _ = interrupt.recv() => 128 + 2,
        }
    })
}

fn failure(error: &DemoError) -> Failure {
    let exit = match error {
        DemoError::Denied(_) | DemoError::NotAsked(_) | DemoError::Admission(_) | DemoError::Agent(_) => {
            Exit::Data
        }
        _ => Exit::Internal,
    };
    Failure::from_error(exit, error)
}

fn next(out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "\nNext:")?;
    writeln!(out, "    esc-injector demo --pod FILE        the same with a manifest of yours")?;
    writeln!(out, "    esc-injector demo --keep            leave both servers running, to try things")?;
    writeln!(out, "    esc-injector inject -f FILE --diff  what the webhook would change")?;
    writeln!(out, "    docs/annotations.md                 everything a pod can ask for")
}

fn keep(out: &mut dyn Write, services: &Services, root: &Path) -> io::Result<()> {
    let authority = root.join("ca.crt");
    crate::demo::kubelet::write_new(&authority, services.authority.pem().as_bytes())?;
    let (ca, url, token) = (authority.display(), &services.esc_url, &services.token);
    writeln!(out, "\nBoth servers stay until Ctrl-C.")?;
    writeln!(
        out,
        "    local ESC   {url}, token {token}, environments in {}",
        root.join("environments").display()
    )?;
    writeln!(out, "                curl --cacert {ca} -H 'Authorization: token {token}' {url}/api/user")?;
    writeln!(out, "    webhook     https://{}/mutate", services.webhook)?;
    writeln!(out, "                curl http://{}/metrics", services.health)?;
    out.flush()
}

/// Plays the application: finds out what is there, and says it on standard output, which the demo reads.
fn report_received(directory: &Path) -> Result<ExitCode, Failure> {
    let mut files = BTreeMap::new();
    collect(directory, "", &mut files)
        .map_err(|error| Failure::new(Exit::Data, format!("reading {}: {error}", directory.display())))?;
    let variables = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    output::print(|out| Ok(serde_json::to_writer(out, &Received { variables, files })?))?;
    Ok(ExitCode::SUCCESS)
}

/// Files by their name below the directory, past the links that make updates atomic.
fn collect(directory: &Path, prefix: &str, files: &mut BTreeMap<String, String>) -> io::Result<()> {
    let entries = match std::fs::read_dir(directory) {
        // Nothing is mounted where no file is delivered.
        Err(error) if error.kind() == io::ErrorKind::NotFound && prefix.is_empty() => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("..") {
            continue;
        }
        let full = format!("{prefix}{name}");
        if entry.path().is_dir() {
            collect(&entry.path(), &format!("{full}/"), files)?;
        } else {
            files.insert(full, STANDARD.encode(std::fs::read(entry.path())?));
        }
    }
    Ok(())
}
