//! `esc-injector check`: what is wrong with manifests, before they are applied.

use std::{path::PathBuf, process::ExitCode};

use clap::ValueEnum;

use super::{
    access::{self, Access},
    exit::{Exit, Failure},
    input, output,
    policy::PolicyArgs,
};
use crate::{
    esc::reference::Reference,
    manifest::{
        check::{Asking, Checked, Input, Manifests, Opened, Summary},
        finding::{Finding, Severity},
        report::{github, json, text},
    },
};

/// Find what is wrong with manifests: what the webhook would refuse, and what it would never see.
///
/// Reads YAML or JSON, also what `helm template` and `kubectl kustomize` print, and judges the pods by the webhook's own
/// rules. Nothing is sent anywhere, unless --resolve is given.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    manifests: input::Named,
    /// Fail on warnings too
    #[arg(long)]
    strict: bool,
    /// How to print what was found
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    output: Format,
    /// Open the environments as you, at --api-url or `PULUMI_BACKEND_URL`, and look up every path; values are not printed
    #[arg(long)]
    resolve: bool,
    /// File with the access token for --resolve [default: what `PULUMI_ACCESS_TOKEN` holds]
    #[arg(long, value_name = "FILE", requires = "resolve")]
    token_file: Option<PathBuf>,
    /// Print the JSON Schema of the annotation config, and check nothing
    #[arg(long, conflicts_with_all = ["filename", "resolve"])]
    schema: bool,
    #[command(flatten)]
    policy: PolicyArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
    /// Workflow commands of GitHub Actions.
    Github,
}

/// Runs the command. Who asked for a format gets it, whatever happens.
pub fn run(args: Args) -> Result<ExitCode, Failure> {
    let format = args.output;
    check(args).map_err(|failure| match format {
        Format::Text => failure,
        Format::Json => failure.with_document(nothing()),
        Format::Github => {
            tell_github(failure.message());
            failure
        }
    })
}

/// The document in which nothing was found, nor looked at.
pub fn nothing() -> serde_json::Value {
    json::value(&[], &Summary::default())
}

/// Shows in a pull request what kept everything from being checked.
pub fn tell_github(message: &str) {
    // What keeps it from being written may be what is reported already.
    let _ = output::print(|out| writeln!(out, "{}", github::failure(message)));
}

fn check(mut args: Args) -> Result<ExitCode, Failure> {
    if args.schema {
        output::print(|out| out.write_all(crate::inject::config_schema().as_bytes()))?;
        return Ok(ExitCode::SUCCESS);
    }
    if args.resolve
        && let Some(url) = access::backend_url()
    {
        args.policy.prefer_api_url(url);
    }
    let policy = args.policy.into_policy()?;
    let inputs: Vec<Input> = args
        .manifests
        .find()?
        .into_iter()
        .map(|input::Text { file, directory, text }| Input { name: file, text, directory })
        .collect();
    let manifests = Manifests::read(&inputs);
    let mut checked = manifests.check(&policy, &args.manifests.namespace);
    let mut trouble = None;
    if args.resolve {
        let access = Access::new(&policy, args.token_file);
        let here = checked.asking.iter().filter(|pod| pod.plan.api.url == policy.api_url);
        let (opened, worst) = open(&access, here)?;
        checked.summary.opened =
            opened.iter().filter(|(_, value)| value.is_ok()).map(|(name, _)| name.clone()).collect();
        let resolved = manifests.resolve(&checked, &opened, &policy.api_url);
        checked.findings.extend(resolved);
        checked.findings.sort_by(|a, b| a.place.cmp(&b.place));
        trouble = worst;
    }
    let Checked { findings, summary, .. } = checked;
    output::print(|out| match args.output {
        Format::Text => text::write(out, &findings, &summary, output::width()),
        Format::Github => github::write(out, &findings, &summary),
        Format::Json => output::write_json(out, &json::value(&findings, &summary)),
    })?;
    let fails = |finding: &Finding| args.strict || finding.severity == Severity::Error;
    let exit = if findings.iter().any(fails) { Exit::Data } else { Exit::Success };
    Ok(trouble.unwrap_or(exit).into())
}

/// Opens every environment once. What can't be opened for another reason than its own content decides on the exit code.
fn open<'a>(
    access: &Access,
    asking: impl Iterator<Item = &'a Asking>,
) -> Result<(Opened, Option<Exit>), Failure> {
    let mut opened = Opened::new();
    let mut worst: Option<Exit> = None;
    let mut connection = None;
    let references: Vec<&Reference> = asking.flat_map(Asking::environments).collect();
    for reference in references {
        let name = reference.to_string();
        if opened.contains_key(&name) {
            continue;
        }
        let connection = match &mut connection {
            Some(connection) => connection,
            None => connection.insert(access.connect()?),
        };
        let result = connection.open(reference).map_err(|error| {
            let exit = access::exit(&error);
            if exit != Exit::Data && worst.is_none_or(|worst| rank(exit) > rank(worst)) {
                worst = Some(exit);
            }
            (error.code(), error.to_string())
        });
        opened.insert(name, result);
    }
    Ok((opened, worst))
}

/// What is worse to know of: it takes a person longer to mend.
fn rank(exit: Exit) -> u8 {
    match exit {
        Exit::Configuration => 3,
        Exit::Denied => 2,
        Exit::Unreachable => 1,
        _ => 0,
    }
}
