//! `esc-injector get`: what is in an environment, of any ESC.

use std::process::ExitCode;

use clap::ValueEnum;
use serde_json::{Value as Json, json};

use super::{
    access::{self, Target},
    exit::{Exit, Failure},
    output,
};
use crate::{
    esc::{
        names::VariableName,
        path::Path,
        projection,
        render::{self, Format as Rendered},
        value::{Kind, Value},
    },
    secret::Secret,
};

/// Open an environment and print it, or one value of it.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    target: Target,
    /// Property path of a value [default: all of them]
    #[arg(value_name = "PATH")]
    path: Option<Path>,
    /// How to print it; dotenv and shell print the environment variables
    #[arg(short, long, value_enum, default_value_t = Format::Json)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Json,
    Yaml,
    String,
    Dotenv,
    Shell,
    Detailed,
}

/// Runs the command.
pub fn run(args: Args) -> Result<ExitCode, Failure> {
    let projects = matches!(args.format, Format::Dotenv | Format::Shell);
    if projects && args.path.is_some() {
        return Err(Failure::new(
            Exit::Usage,
            "dotenv and shell print all environment variables: give no path",
        ));
    }
    let environment = args.target.open()?;
    let value = match &args.path {
        Some(path) => path.get(&environment).map_err(|error| Failure::from_error(Exit::Data, &error))?,
        None => environment,
    };
    let text = print(&value, args.format)?;
    output::print(|out| {
        out.write_all(text.expose())?;
        if text.expose().ends_with(b"\n") || text.is_empty() { Ok(()) } else { out.write_all(b"\n") }
    })?;
    Ok(ExitCode::SUCCESS)
}

fn print(value: &Value, format: Format) -> Result<Secret, Failure> {
    let rendered =
        |format| render::render(value, format).map_err(|error| Failure::from_error(Exit::Data, &error));
    match format {
        Format::Json => pretty(rendered(Rendered::Json)?.expose()),
        Format::Yaml => rendered(Rendered::Yaml),
        Format::String => rendered(Rendered::Raw),
        Format::Detailed => {
            // Fails on what is unknown, as the others do.
            rendered(Rendered::Json)?;
            pretty(detailed(value).to_string().as_bytes())
        }
        Format::Dotenv => variables(value, ""),
        Format::Shell => variables(value, "export "),
    }
}

fn pretty(json: &[u8]) -> Result<Secret, Failure> {
    let broken = |_| Failure::new(Exit::Internal, "a value can't be written as JSON");
    let json: Json = serde_json::from_slice(json).map_err(broken)?;
    serde_json::to_vec_pretty(&json).map(Secret::new).map_err(broken)
}

/// Every value in a wrapper that says whether it is secret.
fn detailed(value: &Value) -> Json {
    let payload = match &value.kind {
        Kind::Null | Kind::Unknown => Json::Null,
        Kind::Bool(flag) => Json::Bool(*flag),
        Kind::Number(text) => {
            text.expose_str().and_then(|text| text.parse().ok()).map_or(Json::Null, Json::Number)
        }
        Kind::String(text) => Json::from(text.expose_str().unwrap_or_default()),
        Kind::Array(items) => items.iter().map(detailed).collect(),
        Kind::Object(entries) => {
            Json::Object(entries.iter().map(|(key, value)| (key.clone(), detailed(value))).collect())
        }
    };
    if value.secret { json!({ "value": payload, "secret": true }) } else { json!({ "value": payload }) }
}

/// `KEY='value'` lines that a POSIX shell reads back as they are.
fn variables(environment: &Value, prefix: &str) -> Result<Secret, Failure> {
    let unknown = |error: projection::UnknownValue| Failure::from_error(Exit::Data, &error);
    let variables = projection::variables(environment).map_err(unknown)?;
    if !projection::files(environment).map_err(unknown)?.is_empty() {
        // Files would stay behind: nobody would remove them.
        access::warn("the environment has files, which only `esc-injector run` delivers");
    }
    let mut out = zeroize::Zeroizing::new(Vec::new());
    for (name, value) in &variables {
        check(name, value)?;
        out.extend_from_slice(prefix.as_bytes());
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"='");
        for &byte in value.expose() {
            // A single quote can't stand between single quotes: close, escape it, open again.
            if byte == b'\'' { out.extend_from_slice(b"'\\''") } else { out.push(byte) }
        }
        out.extend_from_slice(b"'\n");
    }
    Ok(Secret::new(std::mem::take(&mut *out)))
}

/// Whether a shell, and the system, can have such a variable.
pub(super) fn check(name: &str, value: &Secret) -> Result<(), Failure> {
    name.parse::<VariableName>().map_err(|error| Failure::from_error(Exit::Data, &error))?;
    if value.expose().contains(&0) {
        return Err(Failure::new(Exit::Data, format!("`{name}` has a NUL byte, which no variable can have")));
    }
    Ok(())
}
