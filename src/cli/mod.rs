//! The command line: one file per subcommand; arguments in, library call, output out.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub mod access;
pub mod agent;
pub mod certs;
pub mod check;
pub mod demo;
pub mod exec;
pub mod exit;
pub mod explain;
pub mod get;
pub mod inject;
pub mod input;
pub mod logging;
pub mod names;
pub mod output;
pub mod policy;
pub mod probe;
pub mod run;
pub mod server;
pub mod server_audit;
pub mod server_token;
pub mod version;
pub mod webhook;

use exit::{Exit, Failure};

/// Delivers Pulumi ESC secrets and configuration to Kubernetes pods.
#[derive(Debug, Parser)]
#[command(name = "esc-injector", version, propagate_version = true, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Args),
    Webhook(webhook::Args),
    Agent(agent::Args),
    Exec(exec::Args),
    Inject(inject::Args),
    Check(check::Args),
    Explain(explain::Args),
    // For `helm test`; documented in docs/operations.md.
    #[command(hide = true)]
    Probe(probe::Args),
    Server(server::Args),
    Get(get::Args),
    Run(run::Args),
    Certs(certs::Args),
    Version(version::Args),
}

/// Parses the command line, runs the subcommand, and maps its result to an exit code.
pub fn main() -> ExitCode {
    if let Some(arguments) = exec::written_by_webhook() {
        return exec::start(&arguments);
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Success };
            // A closed pipe leaves nobody to tell.
            let _ = error.print();
            return exit.into();
        }
    };
    let result = match cli.command {
        Command::Demo(args) => demo::run(args),
        Command::Webhook(args) => webhook::run(args),
        Command::Agent(args) => agent::run(args),
        Command::Exec(args) => exec::run(args),
        Command::Inject(args) => inject::run(args),
        Command::Check(args) => check::run(args),
        Command::Explain(args) => explain::run(args),
        Command::Probe(args) => probe::run(args),
        Command::Server(args) => server::run(args),
        Command::Get(args) => get::run(args),
        Command::Run(args) => run::run(args),
        Command::Certs(args) => certs::run(args),
        Command::Version(args) => version::run(args),
    };
    result.unwrap_or_else(|failure: Failure| failure.report())
}
