//! Builds what is shipped, with nothing but Rust: `cargo xtask dist` makes the static binary, `cargo xtask image` puts
//! it into a container image. Both give the same bytes for the same sources, whoever runs them and where.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use clap::{Parser, Subcommand};

mod dist;
mod elf;
mod image;
mod name;
mod oci;

/// Builds what is shipped.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Dist(dist::Args),
    Image(image::Args),
}

/// Why a task failed.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Dist(#[from] dist::Error),
    #[error(transparent)]
    Image(#[from] image::Error),
    #[error("writing to stdout: {0}")]
    Output(#[from] io::Error),
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // With stderr gone there is nobody to tell.
            let _ = writeln!(io::stderr(), "error: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match command {
        Command::Dist(args) => writeln!(out, "{}", dist::run(&args)?.display())?,
        Command::Image(args) => {
            let written = image::run(&args)?;
            writeln!(out, "{}@{}", args.tag, written.manifest)?;
            writeln!(out, "{}: {} bytes", args.output.display(), written.bytes)?;
        }
    }
    Ok(())
}
