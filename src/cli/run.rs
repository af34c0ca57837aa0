//! `esc-injector run`: a command of this machine with the variables and files of an environment, of any ESC.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::{
        fs::OpenOptionsExt,
        process::{CommandExt, ExitStatusExt},
    },
    process::{Command, ExitCode, ExitStatus},
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};

use super::{
    access::{Target, warn},
    exit::{Exit, Failure},
    get::check,
};
use crate::{esc::projection, inject::problem::one_line, secret::Secret};

/// Run a command with the variables and files of an environment.
///
/// The environment's variables win over those that are set. Files live as long as the command; the variable of each
/// holds its path. Nothing is started when the environment can't be opened.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    target: Target,
    /// The command, after --
    #[arg(required = true, last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// Runs the command.
pub fn run(args: Args) -> Result<ExitCode, Failure> {
    let environment = args.target.open()?;
    let unknown = |error: projection::UnknownValue| Failure::from_error(Exit::Data, &error);
    let variables = projection::variables(&environment).map_err(unknown)?;
    let files = projection::files(&environment).map_err(unknown)?;
    for (name, value) in variables.iter().chain(&files) {
        // A file may hold whatever it likes; its name is a variable, too.
        let value = if files.contains_key(name) { &Secret::from("") } else { value };
        check(name, value)?;
    }
    let mut words = args.command.iter();
    let Some(program) = words.next() else {
        return Err(Failure::new(Exit::Usage, "give a command after --"));
    };
    let mut command = Command::new(program);
    command.args(words);
    for (name, value) in &variables {
        command.env(name, std::ffi::OsStr::new(value.expose_str().unwrap_or_default()));
    }
    if files.is_empty() {
        // Nothing is left to do afterwards: become the command.
        return Ok(not_started(program, &command.exec()));
    }
    let internal = |what: &str, error: &io::Error| Failure::new(Exit::Internal, format!("{what}: {error}"));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| internal("starting the runtime", &error))?;
    // Before there is anything to clean up after.
    let signals =
        runtime.block_on(async { watch() }).map_err(|error| internal("watching signals", &error))?;
    let directory = write(&files).map_err(|error| internal("writing files", &error))?;
    for name in files.keys() {
        command.env(name, directory.path().join(name));
    }
    let code = runtime.block_on(supervise(program, command, signals));
    let place = directory.path().to_owned();
    match directory.close() {
        // The command may have tidied up itself.
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            warn(&format!("files of the environment are left in {}: {error}", place.display()));
        }
        _ => {}
    }
    // What the command says counts, whatever became of its files.
    code.map_err(|error| internal("waiting for the command", &error))
}

/// Files that only this user can read, in a directory of their own. Their names are checked variable names.
fn write(files: &BTreeMap<String, Secret>) -> io::Result<TempDir> {
    let directory = tempfile::Builder::new().prefix("esc-").tempdir()?;
    for (name, content) in files {
        let path = directory.path().join(name);
        let mut file: File = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(content.expose())?;
    }
    Ok(directory)
}

/// What a shell answers when there is nothing to start.
fn not_started(program: &OsStr, error: &io::Error) -> ExitCode {
    let program = one_line(&program.to_string_lossy());
    // Nobody is left to tell when stderr itself is closed.
    let _ = writeln!(anstream::stderr(), "error: starting `{program}`: {error}");
    ExitCode::from(if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 })
}

/// Signals that others send to us and mean for the command.
const PASSED_ON: [(SignalKind, Signal); 4] = [
    (SignalKind::terminate(), Signal::TERM),
    (SignalKind::hangup(), Signal::HUP),
    (SignalKind::user_defined1(), Signal::USR1),
    (SignalKind::user_defined2(), Signal::USR2),
];

/// What a terminal sends reaches the command by itself, and must not end us before it.
const TERMINAL: [(SignalKind, Signal); 2] =
    [(SignalKind::interrupt(), Signal::INT), (SignalKind::quit(), Signal::QUIT)];

/// Keeps signals from ending us, and gives those that are to be passed on. What whoever started us ignores, as `nohup`
/// does, stays ignored, and the command inherits that.
fn watch() -> io::Result<mpsc::UnboundedReceiver<Signal>> {
    let ignored = ignored();
    let (sender, receiver) = mpsc::unbounded_channel();
    let passed_on = PASSED_ON.iter().map(|watched| (watched, true));
    for (&(kind, number), passed_on) in passed_on.chain(TERMINAL.iter().map(|watched| (watched, false))) {
        if (ignored >> (number.as_raw() - 1)) & 1 == 1 {
            continue;
        }
        let (mut received, sender) = (signal(kind)?, sender.clone());
        tokio::spawn(async move {
            while received.recv().await.is_some() {
                if passed_on {
                    let _ = sender.send(number);
                }
            }
        });
    }
    Ok(receiver)
}

/// The signals that were ignored when we were started, a bit for each. None where the system does not say.
fn ignored() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

/// Runs the command to its end and passes on what others want to tell it.
async fn supervise(
    program: &OsStr,
    mut command: Command,
    mut signals: mpsc::UnboundedReceiver<Signal>,
) -> io::Result<ExitCode> {
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return Ok(not_started(program, &error)),
    };
    let pid = Pid::from_child(&child);
    let mut waiting = tokio::task::spawn_blocking(move || child.wait());
    loop {
        tokio::select! {
            ended = &mut waiting => return ended.map_err(io::Error::other)?.map(code_of),
            Some(passed_on) = signals.recv() => {
                // It may just have ended.
                let _ = kill_process(pid, passed_on);
            }
        }
    }
}

/// As a shell has it: 128 and the signal for a command that a signal ended.
fn code_of(status: ExitStatus) -> ExitCode {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}
