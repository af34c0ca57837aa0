//! `esc-injector explain`: error codes in full, or the list of codes.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use anstyle::{AnsiColor, Style};
use clap::ValueEnum;
use serde_json::{Value, json};

use super::{
    exit::{Exit, Failure},
    output,
};
use crate::{
    codes::{self, Code},
    inject::problem::one_line,
    prose::wrapped,
};

/// Explain error codes: what happened, and what to do. Without one, list them all.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Codes, such as ESC101, esc101 or 101
    #[arg(value_name = "CODE")]
    codes: Vec<String>,
    /// For people, or for programs
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Text,
    Json,
}

/// Runs the command.
#[expect(clippy::needless_pass_by_value, reason = "every command takes its arguments the same way")]
pub fn run(args: Args) -> Result<ExitCode, Failure> {
    let wanted = find(&args.codes).map_err(|failure| match args.output {
        Output::Text => failure,
        Output::Json => failure.with_document(json!({})),
    })?;
    let width = output::width();
    match (args.output, wanted.as_slice()) {
        (Output::Text, []) => output::print(|out| list(out, width)),
        (Output::Text, codes) => output::print(|out| {
            for (index, &code) in codes.iter().enumerate() {
                if index > 0 {
                    writeln!(out)?;
                }
                whole(out, code, width)?;
            }
            Ok(())
        }),
        (Output::Json, []) => output::print_json(&as_json(codes::all())),
        (Output::Json, codes) => output::print_json(&as_json(codes.iter().copied())),
    }?;
    Ok(ExitCode::SUCCESS)
}

/// The codes that are meant, each once; or a failure that names all that are none.
fn find(ids: &[String]) -> Result<Vec<Code>, Failure> {
    let mut found: Vec<Code> = Vec::new();
    let mut unknown = Vec::new();
    for id in ids {
        match codes::find(id) {
            Some(code) if found.contains(&code) => {}
            Some(code) => found.push(code),
            None => unknown.push(no_code(id)),
        }
    }
    if unknown.is_empty() {
        return Ok(found);
    }
    unknown.push("`esc-injector explain` lists them all".to_owned());
    Err(Failure::new(Exit::Usage, unknown.join("\n  ")))
}

fn no_code(id: &str) -> String {
    /// More would be a list, and not a guess.
    const MOST: usize = 3;
    let near: Vec<_> = codes::near(id).iter().take(MOST).map(|code| code.id()).collect();
    let mut message = format!("there is no code `{}`", one_line(id));
    if !near.is_empty() {
        message.push_str("; did you mean ");
        message.push_str(&near.join(" or "));
        message.push('?');
    }
    message
}

const BOLD: Style = Style::new().bold();
const CODE: Style = AnsiColor::Cyan.on_default().bold();

fn list(out: &mut dyn Write, width: usize) -> io::Result<()> {
    for code in codes::all() {
        let mut lines = wrapped(code.entry().title, width.saturating_sub("ESC000  ".len()), 0).into_iter();
        let first = lines.next().unwrap_or_default();
        writeln!(out, "{CODE}{code}{CODE:#}  {first}")?;
        for line in lines {
            writeln!(out, "        {line}")?;
        }
    }
    Ok(())
}

fn whole(out: &mut dyn Write, code: Code, width: usize) -> io::Result<()> {
    let entry = code.entry();
    let title = wrapped(&format!("{}: {}", entry.id, entry.title), width, 0).join("\n");
    let rest = title.strip_prefix(entry.id).unwrap_or_default();
    writeln!(out, "{CODE}{}{CODE:#}{rest}", entry.id)?;
    for (heading, text) in [("Cause", entry.cause), ("Fix", entry.fix)] {
        writeln!(out, "\n{BOLD}{heading}{BOLD:#}")?;
        for line in wrapped(text, width.saturating_sub(2), 0) {
            writeln!(out, "  {line}")?;
        }
    }
    if !entry.example.is_empty() {
        writeln!(out, "\n{BOLD}Example{BOLD:#}")?;
        // As it is: it is there to be copied.
        for line in entry.example.lines() {
            writeln!(out, "  {line}")?;
        }
    }
    Ok(())
}

/// One array, also of one: a program need not ask which.
fn as_json(codes: impl Iterator<Item = Code>) -> Vec<Value> {
    let entry = |code: Code| {
        let entry = code.entry();
        let example = Some(entry.example).filter(|example| !example.is_empty());
        json!({"code": entry.id, "title": entry.title, "cause": entry.cause, "fix": entry.fix, "example": example})
    };
    codes.map(entry).collect()
}
