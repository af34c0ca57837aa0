//! `esc-injector completions`: what a shell needs to complete our command lines.

use std::process::ExitCode;

use clap_complete::Shell;

use super::{exit::Failure, invocation, output};

/// Print completions for a shell.
///
/// bash: `source <(esc-injector completions bash)`; zsh: write them to a file named `_esc-injector` in a directory of
/// `fpath`; fish: to `~/.config/fish/completions/esc-injector.fish`. `kubectl esc` is completed by kubectl's own
/// completions, which ask a program `kubectl_complete-esc` on the PATH: a link of that name to this one.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Runs the command.
pub fn run(Args { shell }: Args) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut super::command(), invocation::program(), &mut script);
    output::print(|out| out.write_all(&script))?;
    Ok(ExitCode::SUCCESS)
}
