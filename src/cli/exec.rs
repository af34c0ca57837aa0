//! `esc-injector exec`: start a command with delivered variables, inside the pod.

use std::{
    ffi::OsString,
    io::{self, Write},
    process::ExitCode,
};

use super::exit::Failure;
use crate::{
    agent::exec::Prepared,
    codes::{self, Code},
};

/// Start a command with delivered variables, inside the pod.
///
/// The webhook writes these arguments: --env-dir=DIR names the directory of the variables, --own=NAME a variable
/// that the container sets itself, --set=NAME and --replace=INDEX a variable and a word of the command that refer
/// to delivered variables, followed by their pieces as --text=TEXT and --ref=NAME=FALLBACK. After -- comes the
/// command.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Flags of the webhook, --, and the command
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    arguments: Vec<OsString>,
}

/// Becomes the command; returns only if it can't.
#[expect(clippy::needless_pass_by_value, reason = "every command takes its arguments the same way")]
pub fn run(args: Args) -> Result<ExitCode, Failure> {
    Ok(start(&args.arguments))
}

/// The arguments after `exec`, if the command line is one that the webhook writes. Such a command line starts with
/// every container, and does not wait until all of our commands and flags are known to the parser; any other one does,
/// since it comes from a person who wants help.
pub fn written_by_webhook() -> Option<Vec<OsString>> {
    let mut words = std::env::args_os().skip(1);
    words.next().filter(|word| word == "exec")?;
    let arguments: Vec<_> = words.collect();
    let first = arguments.first()?;
    first.as_encoded_bytes().starts_with(b"--env-dir=").then_some(arguments)
}

/// Becomes the command behind the wrapper's own arguments; returns only if it can't.
pub fn start(arguments: &[OsString]) -> ExitCode {
    let error = match Prepared::read(arguments, std::env::vars_os()) {
        Ok(prepared) => {
            if let Some(reason) = prepared.degraded() {
                report(codes::exec::DEGRADED, &format!("ESC's variables are absent ({reason})"));
            }
            prepared.exec()
        }
        Err(error) => error,
    };
    report(error.code(), &error.to_string());
    ExitCode::from(error.exit_status())
}

/// One line to stderr: code, what happened, the fix, and where to read on.
fn report(code: Code, what: &str) {
    let told = format!("[{code}] {what}. Fix: {}", code.entry().fix);
    let hint = codes::hint(&told).unwrap_or_default();
    // Nobody is left to tell when stderr itself is closed.
    let _ = writeln!(io::stderr(), "esc-injector: {told} {hint}");
}
