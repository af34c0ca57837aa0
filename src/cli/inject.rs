//! `esc-injector inject`: manifests in, mutated manifests out, as the webhook would make them.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use serde_json::json;

use super::{
    access,
    exit::{Exit, Failure},
    input, output,
    policy::PolicyArgs,
};
use crate::{
    inject::problem::one_line,
    manifest::{
        check,
        report::{
            diff,
            explain::{self, Explained},
        },
        rewrite::{self, Injected, Rewritten},
        stream::{Stream, StreamError},
        workload,
    },
    yaml,
};

/// Mutate manifests offline, as the webhook would.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    manifests: input::Named,
    /// Print the JSON Patch of each object instead
    #[arg(long, conflicts_with_all = ["diff", "explain"])]
    patch: bool,
    /// Print what changes instead
    #[arg(long, conflicts_with = "explain")]
    diff: bool,
    /// Print what the containers will see instead, in words
    #[arg(long)]
    explain: bool,
    #[command(flatten)]
    policy: PolicyArgs,
}

/// Runs the command.
pub fn run(args: Args) -> Result<ExitCode, Failure> {
    let policy = args.policy.into_policy()?;
    let mut streams = Vec::new();
    for (name, text) in args.manifests.read()? {
        let unreadable =
            |error: StreamError| Failure::new(Exit::Data, format!("{}: {error}", one_line(&name)));
        let stream = Stream::read(&text).map_err(unreadable)?;
        streams.push(stream);
    }
    let rewritten = rewrite::rewrite(&mut streams, &policy, &args.manifests.namespace);
    report(&rewritten)?;
    let asks = |object: &Rewritten| object.result.as_ref().is_ok_and(|injected| injected.asks);
    if (args.diff || args.patch) && !rewritten.iter().any(asks) {
        let message = "nothing to show: no pod and no pod template in spec.template asks for injection; `esc-injector check` says why";
        access::warn(message);
    } else if streams.iter().flat_map(Stream::documents).all(|document| document.value.is_null()) {
        access::warn("there is no manifest in what was read");
    }
    output::print(|out| {
        if args.patch {
            print_patches(out, &rewritten)
        } else if args.diff {
            print_diffs(out, &rewritten)
        } else if args.explain {
            print_explanations(out, &rewritten)
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
        let name = one_line(&object.name);
        match &object.result {
            Ok(injected) => {
                if injected.asks && !object.is_known {
                    // Nobody is left to warn when stderr is closed.
                    let _ = writeln!(
                        stderr,
                        "warning: {name}: its kind is not one of Kubernetes' own; spec.template was taken for its pod's"
                    );
                }
                for warning in &injected.warnings {
                    // Nobody is left to warn when stderr is closed.
                    let _ = writeln!(stderr, "warning: {name}: {}", one_line(&warning.to_string()));
                }
            }
            Err(problems) => {
                refusals.extend(problems.iter().map(|problem| format!("{name}: {problem}")));
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
        diff::write(out, &object.name, &before, &after)?;
    }
    Ok(())
}

fn print_explanations(out: &mut dyn Write, rewritten: &[Rewritten]) -> io::Result<()> {
    let done = rewritten.iter().filter_map(|object| Some((object, object.result.as_ref().ok()?)));
    for (index, (object, injected)) in done.enumerate() {
        let Some(pod) = workload::pod(&injected.after).map(|template| template.named()) else { continue };
        let plan = check::plan_of(&pod).filter(|_| injected.asks);
        if index > 0 {
            writeln!(out)?;
        }
        let Rewritten { name, namespace, .. } = object;
        explain::write(out, &Explained { name, namespace, pod: &pod, plan: plan.as_ref() }, output::width())?;
    }
    Ok(())
}
