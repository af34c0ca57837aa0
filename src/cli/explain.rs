//! `esc-injector explain`: an error code in full, or the list of codes.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use anstyle::{AnsiColor, Style};

use super::{
    exit::{Exit, Failure},
    output,
};
use crate::codes::{self, Code};

/// Explain an error code: its cause and its fix. Without one, list them all.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The code, such as ESC101
    code: Option<String>,
}

/// Runs the command.
pub fn run(args: Args) -> Result<ExitCode, Failure> {
    match args.code {
        None => output::print(list)?,
        Some(id) => {
            let code = codes::find(&id).ok_or_else(|| {
                let message = format!("there is no code `{id}`; `esc-injector explain` lists them all");
                Failure::new(Exit::Usage, message)
            })?;
            output::print(|out| whole(out, code))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

const BOLD: Style = Style::new().bold();
const CODE: Style = AnsiColor::Cyan.on_default().bold();

fn list(out: &mut dyn Write) -> io::Result<()> {
    for code in codes::all() {
        writeln!(out, "{CODE}{}{CODE:#}  {}", code.id(), code.entry().title)?;
    }
    Ok(())
}

fn whole(out: &mut dyn Write, code: Code) -> io::Result<()> {
    let entry = code.entry();
    writeln!(out, "{CODE}{}{CODE:#}: {}\n", entry.id, entry.title)?;
    writeln!(out, "{BOLD}Cause{BOLD:#}\n  {}\n", entry.cause)?;
    writeln!(out, "{BOLD}Fix{BOLD:#}\n  {}", entry.fix)?;
    if !entry.example.is_empty() {
        writeln!(out, "\n{BOLD}Example{BOLD:#}")?;
        for line in entry.example.lines() {
            writeln!(out, "  {line}")?;
        }
    }
    Ok(())
}
