//! `esc-injector version`: what this build is.

use std::process::ExitCode;

use super::{exit::Failure, output};

/// Print the version.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(Args { json }: Args) -> Result<ExitCode, Failure> {
    let version = env!("CARGO_PKG_VERSION");
    output::print(|out| {
        if json {
            writeln!(out, "{}", serde_json::json!({ "version": version }))
        } else {
            writeln!(out, "esc-injector {version}")
        }
    })?;
    Ok(ExitCode::SUCCESS)
}
