//! `esc-injector convert`: from the External Secrets Operator and the Secrets Store CSI driver to annotations.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Write},
    process::ExitCode,
};

use anstyle::{AnsiColor, Style};
use clap::ValueEnum;
use serde_json::{Value, json};

use super::{
    exit::{Exit, Failure},
    input, output,
    policy::PolicyArgs,
};
use crate::{
    codes,
    convert::{self, Conversion, Document, Finding, Input, Level, Options},
    yaml,
};

/// Convert External Secrets and Secrets Store CSI objects of Pulumi ESC to annotations.
///
/// Manifests come out as they should be applied: workloads that read a converted Secret or mount get annotations
/// instead; for others, the annotations to paste. What has no equivalent is listed on standard error, and so is a workload
/// that the webhook would refuse with the annotations: it stays as it was. No cluster is asked and no secret is read.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    manifests: input::Named,
    /// Keys of a Secret whose names only the environment knows (repeatable)
    #[arg(long, value_name = "[NAMESPACE/]SECRET=KEY,…", value_parser = keys)]
    keys: Vec<(String, BTreeSet<String>)>,
    /// Fail if anything has no equivalent
    #[arg(long)]
    strict: bool,
    /// For people, or for programs
    #[arg(long, value_enum, default_value_t = OutputFormat::Text)]
    output: OutputFormat,
    #[command(flatten)]
    policy: PolicyArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OutputFormat {
    /// Manifests on standard output, the list on standard error
    Text,
    /// Both as one JSON object on standard output
    Json,
}

fn keys(text: &str) -> Result<(String, BTreeSet<String>), String> {
    let (name, keys) = text.split_once('=').ok_or("write SECRET=KEY,KEY")?;
    let keys = keys.split(',').map(str::trim).filter(|key| !key.is_empty());
    let keys: BTreeSet<String> = keys.map(str::to_owned).collect();
    if name.is_empty() || keys.is_empty() {
        return Err("write SECRET=KEY,KEY".to_owned());
    }
    Ok((name.to_owned(), keys))
}

/// Runs the command. Who asked for JSON gets it, whatever happens.
pub fn run(args: Args) -> Result<ExitCode, Failure> {
    let (format, is_strict) = (args.output, args.strict);
    let conversion = match (convert(args), format) {
        (Err(failure), OutputFormat::Json) => {
            return Err(failure.with_document(nothing()));
        }
        (result, _) => result?,
    };
    let ends = ends(&conversion, is_strict);
    match (format, ends) {
        (OutputFormat::Json, Err(failure)) => return Err(failure.with_document(as_json(&conversion))),
        (OutputFormat::Json, Ok(())) => output::print_json(&as_json(&conversion))?,
        (OutputFormat::Text, ends) => {
            // Nobody is left to tell when stderr is closed.
            let _ = list(&mut anstream::stderr(), &conversion);
            if conversion.did_something() {
                output::print(|out| manifests(out, &conversion.documents))?;
            }
            ends?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The document in which nothing was converted.
pub fn nothing() -> Value {
    as_json(&Conversion::default())
}

fn convert(args: Args) -> Result<Conversion, Failure> {
    let inputs: Vec<_> =
        args.manifests.read()?.into_iter().map(|(name, text)| Input { name, text }).collect();
    let mut keys: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (name, more) in args.keys {
        keys.entry(name).or_default().extend(more);
    }
    let policy = args.policy.into_policy()?;
    let options = Options { namespace: args.manifests.namespace, keys, policy };
    let conversion =
        convert::convert(&inputs, &options).map_err(|error| Failure::from_error(Exit::Data, &error))?;
    if !conversion.unknown_keys.is_empty() {
        let names = conversion.unknown_keys.join(", ");
        return Err(Failure::new(
            Exit::Usage,
            format!("--keys: no ExternalSecret here makes Secret {names}"),
        ));
    }
    Ok(conversion)
}

/// Whether what was converted is what was asked for.
fn ends(conversion: &Conversion, is_strict: bool) -> Result<(), Failure> {
    let left = conversion.findings.iter().filter(|finding| finding.level == Level::Left).count();
    if !conversion.did_something() {
        let message = "nothing was converted: there is no ExternalSecret, SecretStore or SecretProviderClass of Pulumi ESC that could be";
        return Err(Failure::new(Exit::Data, message));
    }
    if is_strict && left > 0 {
        return Err(Failure::new(Exit::Data, format!("{left} without an equivalent, and --strict")));
    }
    Ok(())
}

fn manifests(out: &mut dyn Write, documents: &[Document]) -> io::Result<()> {
    for (index, document) in documents.iter().enumerate() {
        if index > 0 {
            writeln!(out, "---")?;
        }
        for line in document.comment.lines() {
            writeln!(out, "# {line}")?;
        }
        let text = document.text.clone().unwrap_or_else(|| yaml::emit(&document.value));
        out.write_all(text.as_bytes())?;
        if !text.ends_with('\n') {
            writeln!(out)?;
        }
    }
    Ok(())
}

const LEFT: Style = AnsiColor::Yellow.on_default().bold();
const NOTE: Style = AnsiColor::Cyan.on_default().bold();

fn list(out: &mut dyn Write, conversion: &Conversion) -> io::Result<()> {
    for finding in &conversion.findings {
        let Finding { file, line, object, field, what, instead, .. } = finding;
        let (style, word, way) = match finding.level {
            Level::Left => (LEFT, "left", "instead"),
            Level::Note => (NOTE, "note", "to do"),
        };
        let line = line.map(|line| format!(":{line}")).unwrap_or_default();
        let field = if field.is_empty() { String::new() } else { format!(", {field}") };
        writeln!(out, "{style}{word}{style:#}: {file}{line}: {object}{field}\n  {what}")?;
        if !instead.is_empty() {
            writeln!(out, "  {way}: {instead}")?;
        }
    }
    let told: Vec<_> = conversion.findings.iter().map(|finding| finding.what.as_str()).collect();
    if let Some(hint) = codes::hint(&told.join(" ")) {
        writeln!(out, "{hint}")?;
    }
    for (what, names) in
        [("converted", &conversion.converted), ("not needed by what is here any more", &conversion.replaced)]
    {
        if !names.is_empty() {
            writeln!(out, "{what}: {}", names.join(", "))?;
        }
    }
    Ok(())
}

fn as_json(conversion: &Conversion) -> Value {
    let finding = |finding: &Finding| {
        let Finding { level, file, line, object, field, what, instead } = finding;
        let level = match level {
            Level::Left => "left",
            Level::Note => "note",
        };
        json!({
            "level": level, "file": file, "line": line, "object": object, "field": field, "what": what,
            "instead": instead,
        })
    };
    let manifests: Vec<_> = conversion.documents.iter().map(|document| &document.value).collect();
    json!({
        "manifests": manifests,
        "findings": conversion.findings.iter().map(finding).collect::<Vec<_>>(),
        "converted": conversion.converted,
        "replaced": conversion.replaced,
    })
}
