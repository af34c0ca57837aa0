//! `esc-injector check`, as a user runs it.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    missing_docs,
    reason = "tests fail by panicking"
)]

mod findings;
mod formats;
#[path = "../server/harness.rs"]
#[allow(dead_code, reason = "another suite uses more of it")]
mod harness;
mod programs;
mod resolve;
mod robust;
mod schema;

use std::{
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;

/// What a run said.
#[derive(Debug)]
struct Said {
    code: i32,
    out: String,
    err: String,
}

/// Runs `check` in a directory, with nothing of the caller's environment that it would read.
fn check_with(directory: &Path, arguments: &[&str], variables: &[(&str, &str)], input: &str) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_esc-injector"));
    command.arg("check").args(arguments).current_dir(directory).env_clear().envs(variables.iter().copied());
    said(command, input)
}

fn said(mut command: Command, input: &str) -> Said {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // It may refuse its arguments before it reads.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Said { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

fn check(arguments: &[&str], input: &str) -> Said {
    check_with(Path::new("."), arguments, &[], input)
}

/// What was found, as programs read it.
fn json(arguments: &[&str], input: &str) -> Value {
    let said = check(&[&["--output", "json"], arguments].concat(), input);
    serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {said:?}"))
}

/// The findings as `severity code line:column underlined-text`.
fn found(input: &str) -> Vec<String> {
    let json = json(&[], input);
    let one = |finding: &Value| {
        let number = |key: &str| usize::try_from(finding[key].as_u64().unwrap()).unwrap();
        let (line, column, end) = (number("line"), number("column"), number("endColumn"));
        let text: String = input
            .lines()
            .nth(line - 1)
            .unwrap_or_default()
            .chars()
            .skip(column - 1)
            .take(end - column)
            .collect();
        let word = |key: &str| finding[key].as_str().unwrap().to_owned();
        format!("{} {} {line}:{column} {text}", word("severity"), word("code"))
    };
    json["findings"].as_array().unwrap().iter().map(one).collect()
}
