//! `esc-injector inject`: manifests in, mutated manifests out, as the webhook would make them.

use std::{
    io::{self, IsTerminal, Read, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use serde_json::json;

use super::{
    exit::{Exit, Failure},
    output,
    policy::PolicyArgs,
};
use crate::{
    manifest::{
        rewrite::{self, Injected, Rewritten},
        stream::Stream,
    },
    yaml,
};

/// Manifests larger than this are no manifests.
const MAX_INPUT: u64 = 64 * 1024 * 1024;

/// Mutate manifests offline, as the webhook would.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// File or directory of manifests, YAML or JSON; - is standard input (repeatable)
    #[arg(short, long = "filename", value_name = "FILE|DIR|-")]
    filename: Vec<PathBuf>,
    /// Namespace of objects that name none
    #[arg(short, long, default_value = "default")]
    namespace: String,
    /// Print the JSON Patch of each object instead
    #[arg(long, conflicts_with = "diff")]
    patch: bool,
    /// Print what changes instead
    #[arg(long)]
    diff: bool,
    #[command(flatten)]
    policy: PolicyArgs,
}

/// Runs the command.
pub fn run(args: Args) -> Result<ExitCode, Failure> {
    let policy = args.policy.into_policy()?;
    let mut streams = Vec::new();
    for (name, text) in read_all(args.filename)? {
        let stream =
            Stream::read(&text).map_err(|error| Failure::new(Exit::Data, format!("{name}: {error}")))?;
        streams.push(stream);
    }
    let rewritten = rewrite::rewrite(&mut streams, &policy, &args.namespace);
    report(&rewritten)?;
    output::print(|out| {
        if args.patch {
            print_patches(out, &rewritten)
        } else if args.diff {
            print_diffs(out, &rewritten)
        } else {
            let texts: Vec<_> = streams.iter().map(Stream::write).collect();
            let separator = if streams.iter().all(Stream::is_json) { "" } else { "---\n" };
            out.write_all(texts.join(separator).as_bytes())
        }
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Warnings and refusals to stderr; a refusal anywhere is a failure of the whole, and nothing is printed.
fn report(rewritten: &[Rewritten]) -> Result<(), Failure> {
    let mut refusals = Vec::new();
    let mut stderr = anstream::stderr();
    for object in rewritten {
        match &object.result {
            Ok(injected) => {
                for warning in &injected.warnings {
                    // Nobody is left to warn when stderr is closed.
                    let _ = writeln!(stderr, "warning: {}: {warning}", object.name);
                }
            }
            Err(problems) => {
                refusals.extend(problems.iter().map(|problem| format!("{}: {problem}", object.name)));
            }
        }
    }
    match refusals.as_slice() {
        [] => Ok(()),
        _ => Err(Failure::new(
            Exit::Data,
            format!("refused, and so would the webhook\n  {}", refusals.join("\n  ")),
        )),
    }
}

fn changed(rewritten: &[Rewritten]) -> impl Iterator<Item = (&Rewritten, &Injected)> {
    rewritten
        .iter()
        .filter_map(|object| Some((object, object.result.as_ref().ok()?)))
        .filter(|(_, injected)| !injected.patch.0.is_empty())
}

fn print_patches(out: &mut dyn Write, rewritten: &[Rewritten]) -> io::Result<()> {
    for (object, injected) in changed(rewritten) {
        let line = json!({"object": object.name, "namespace": object.namespace, "patch": injected.patch});
        writeln!(out, "{}", serde_json::to_string_pretty(&line)?)?;
    }
    Ok(())
}

fn print_diffs(out: &mut dyn Write, rewritten: &[Rewritten]) -> io::Result<()> {
    for (object, injected) in changed(rewritten) {
        let (before, after) = (yaml::emit(&injected.before), yaml::emit(&injected.after));
        let diff = similar::TextDiff::from_lines(&before, &after);
        let name = &object.name;
        write!(out, "{}", diff.unified_diff().header(&format!("a/{name}"), &format!("b/{name}")))?;
    }
    Ok(())
}

/// Every input with a name for messages.
pub(super) fn read_all(names: Vec<PathBuf>) -> Result<Vec<(String, String)>, Failure> {
    if names.is_empty() {
        if io::stdin().is_terminal() {
            return Err(Failure::new(
                Exit::Usage,
                "nothing to read: name a file with -f, or pipe manifests in",
            ));
        }
        return Ok(vec![read_stdin()?]);
    }
    let mut inputs = Vec::new();
    for name in names {
        if name.as_os_str() == "-" {
            inputs.push(read_stdin()?);
        } else if name.is_dir() {
            for file in manifests_in(&name).map_err(|error| unreadable(&name, &error))? {
                inputs.push(read_file(&file)?);
            }
        } else {
            inputs.push(read_file(&name)?);
        }
    }
    Ok(inputs)
}

fn read_stdin() -> Result<(String, String), Failure> {
    let name = "standard input".to_owned();
    let text = read_limited(io::stdin().lock()).map_err(|error| unreadable(Path::new(&name), &error))?;
    Ok((name, text))
}

fn read_file(path: &Path) -> Result<(String, String), Failure> {
    let text = std::fs::File::open(path).and_then(read_limited).map_err(|error| unreadable(path, &error))?;
    Ok((path.display().to_string(), text))
}

fn read_limited(reader: impl Read) -> io::Result<String> {
    let mut text = String::new();
    reader.take(MAX_INPUT + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_INPUT {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than 64 MiB"));
    }
    Ok(text)
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::new(Exit::Data, format!("{}: {error}", path.display()))
}

/// The manifests of a directory, by name.
fn manifests_in(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        let is_manifest =
            path.extension().is_some_and(|kind| kind == "yaml" || kind == "yml" || kind == "json");
        if is_manifest && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
