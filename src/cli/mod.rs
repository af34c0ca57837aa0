//! The command line: one file per subcommand; arguments in, library call, output out.

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

pub mod access;
pub mod agent;
pub mod certs;
pub mod check;
mod complete;
pub mod completions;
pub mod convert;
pub mod demo;
pub mod doctor;
pub mod exec;
pub mod exit;
pub mod explain;
pub mod get;
pub mod inject;
pub mod input;
pub mod invocation;
pub mod logging;
pub mod names;
pub mod output;
pub mod policy;
pub mod probe;
pub mod run;
pub mod server;
pub mod server_audit;
mod server_grant;
pub mod server_token;
mod server_upkeep;
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
    Doctor(doctor::Args),
    Convert(convert::Args),
    // For `helm test`; documented in docs/operations.md.
    #[command(hide = true)]
    Probe(probe::Args),
    Server(server::Args),
    Get(get::Args),
    Run(run::Args),
    Certs(certs::Args),
    Completions(completions::Args),
    Version(version::Args),
}

/// The whole command line, by the name that people type.
fn command() -> clap::Command {
    Cli::command().bin_name(invocation::typed())
}

/// What a wrong command line comes to. A program that asked for JSON can read that it was wrong; as it can't be parsed, it
/// is searched for the words.
fn misused(error: &clap::Error) -> Exit {
    let words: Vec<String> = std::env::args_os()
        .skip(1)
        .map(|word| word.to_string_lossy().into_owned())
        .take_while(|word| word != "--")
        .collect();
    let command = words.first().map(String::as_str).unwrap_or_default();
    let text = error.render().to_string();
    let message = text.split("\n\n").next().unwrap_or_default().trim_start_matches("error: ");
    let document = match command {
        "check" => Some(check::nothing()),
        "convert" => Some(convert::nothing()),
        "doctor" => Some(doctor::nothing()),
        "explain" | "version" => Some(serde_json::json!({})),
        _ => None,
    };
    if command == "check" && wants(&words, "github") {
        check::tell_github(message);
    } else if let Some(document) =
        document.filter(|_| wants(&words, "json") || words.iter().any(|word| word == "--json"))
    {
        let _ = Failure::new(Exit::Usage, message).with_document(document);
    }
    Exit::Usage
}

/// Whether the words ask for a format.
fn wants(words: &[String], format: &str) -> bool {
    let is_flag = |word: &str| matches!(word, "--output" | "-o");
    let mut pairs = words.iter().zip(words.iter().skip(1));
    let attached = |word: &String| {
        let value = word.strip_prefix("--output=").or_else(|| word.strip_prefix("-o"));
        value.is_some_and(|value| value.trim_start_matches('=') == format)
    };
    words.iter().any(attached) || pairs.any(|(flag, value)| is_flag(flag) && value == format)
}

/// Parses the command line, runs the subcommand, and maps its result to an exit code.
pub fn main() -> ExitCode {
    if let Some(arguments) = exec::written_by_webhook() {
        return exec::start(&arguments);
    }
    if invocation::completes() {
        return complete::answer(command());
    }
    let parsed = command().try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => {
            let printed = error.print();
            if error.use_stderr() {
                // Nobody is left to tell when stderr itself is closed.
                return misused(&error).into();
            }
            return output::written(printed).map_or_else(|failure| failure.report(), |()| ExitCode::SUCCESS);
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
        Command::Doctor(args) => doctor::run(args),
        Command::Convert(args) => convert::run(args),
        Command::Probe(args) => probe::run(args),
        Command::Server(args) => server::run(args),
        Command::Get(args) => get::run(args),
        Command::Run(args) => run::run(args),
        Command::Certs(args) => certs::run(args),
        Command::Completions(args) => completions::run(args),
        Command::Version(args) => version::run(args),
    };
    result.unwrap_or_else(|failure: Failure| failure.report())
}
