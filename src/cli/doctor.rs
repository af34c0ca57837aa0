//! `esc-injector doctor`: what is wrong with an installation, as a list of checks.

use std::{
    env,
    io::{self, Write},
    net::SocketAddr,
    process::ExitCode,
};

use anstyle::{AnsiColor, Style};
use clap::{FromArgMatches, ValueEnum};
use kube::Client;
use serde_json::{Value, json};

use super::{
    exit::{Exit, Failure},
    names, output,
    policy::PolicyArgs,
};
use crate::{
    codes::{access, hint, installation as codes},
    doctor::{self, Check, Settings, Verdict},
    inject::Policy,
    kubeconfig::{self, KubeconfigTrouble},
};

/// Check an installation: webhook, policies, nodes, a namespace, an identity.
///
/// Changes nothing. Runs beside the cluster with your kubeconfig, or in a pod. What you may not read is not checked,
/// and said so. With --service-account it asks for a token of that ServiceAccount and shows it to ESC, as a pod would.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Context of the kubeconfig
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// Namespace whose pods are to be injected
    #[arg(short, long, value_name = "NAME", value_parser = names::label)]
    namespace: Option<String>,
    /// ServiceAccount in that namespace whose identity to try
    #[arg(long, value_name = "NAME", value_parser = names::object, requires = "namespace")]
    service_account: Option<String>,
    /// Organization to show the identity to [default: that of the namespace's environment]
    #[arg(long, value_name = "NAME")]
    organization: Option<String>,
    /// Name of the installation's objects: the release's, or the chart's fullnameOverride
    #[arg(long, value_name = "NAME", default_value = "esc-injector", value_parser = names::object)]
    name: String,
    /// Namespace of the installation
    #[arg(long, value_name = "NAME", default_value = "esc-injector", value_parser = names::label)]
    installed_in: String,
    /// Ask the webhook at this address, such as a forwarded port, instead of its Service's
    #[arg(long, value_name = "ADDRESS")]
    address: Option<SocketAddr>,
    /// For people, or for programs
    #[arg(long, value_enum, default_value_t = OutputFormat::Text)]
    output: OutputFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OutputFormat {
    /// A list
    Text,
    /// One JSON object
    Json,
}

/// Runs the command.
pub fn run(args: Args) -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Internal, format!("starting: {error}")))?;
    let settings = Settings {
        name: args.name,
        home: args.installed_in,
        namespace: args.namespace,
        account: args.service_account,
        organization: args.organization,
        // Only the cluster's own pods know its Services.
        is_inside: args.context.is_none()
            && env::var_os("KUBECONFIG").is_none()
            && env::var_os("KUBERNETES_SERVICE_HOST").is_some(),
        address: args.address,
        policy,
    };
    let checks = runtime.block_on(async {
        let client = client(args.context).await?;
        Ok::<_, Failure>(doctor::examine(client, &settings).await)
    });
    let checks = match (checks, args.output) {
        (Err(failure), OutputFormat::Json) => return Err(failure.with_document(nothing())),
        (checks, _) => checks?,
    };
    match args.output {
        OutputFormat::Text => output::print(|out| list(out, &checks))?,
        OutputFormat::Json => output::print_json(&as_json(&checks))?,
    }
    Ok(exit(&checks).into())
}

/// The document in which nothing was checked.
pub fn nothing() -> Value {
    as_json(&[])
}

async fn client(context: Option<String>) -> Result<Client, Failure> {
    let fail = |trouble: KubeconfigTrouble| {
        let code = codes::NO_API_SERVER;
        Failure::new(Exit::Configuration, format!("[{code}] {trouble}. Fix: {}", code.entry().fix))
    };
    let config = kubeconfig::infer(context).await.map_err(fail)?;
    kubeconfig::client(config).map_err(fail)
}

/// What the webhook's own arguments say of injection. Its files are not ours to read.
fn policy(arguments: &[String]) -> Result<Policy, String> {
    let command = <PolicyArgs as clap::Args>::augment_args(clap::Command::new("webhook"));
    let is_known = |argument: &&String| {
        let name = argument.strip_prefix("--").and_then(|rest| rest.split('=').next());
        name.is_some_and(|name| {
            name != "ca-file" && command.get_arguments().any(|known| known.get_long() == Some(name))
        })
    };
    let known: Vec<_> = arguments.iter().filter(is_known).cloned().collect();
    let matches = command
        .clone()
        .no_binary_name(true)
        .try_get_matches_from(known)
        .map_err(|_| "the webhook's arguments are another release's".to_owned())?;
    let arguments = PolicyArgs::from_arg_matches(&matches).map_err(|error| error.to_string())?;
    arguments.into_policy().map_err(|failure| failure.message().to_owned())
}

/// The worst that was found: a broken installation before a silent server before a refused identity. Who may look at
/// nothing is refused too.
fn exit(checks: &[Check]) -> Exit {
    if checks.iter().all(|check| check.verdict == Verdict::Unknown) {
        return Exit::Denied;
    }
    let bad = checks.iter().filter(|check| check.verdict == Verdict::Bad).filter_map(|check| check.code);
    let of = |code| {
        if [codes::NO_API_SERVER, access::UNREACHABLE, access::THROTTLED, access::FAILING].contains(&code) {
            Exit::Unreachable
        } else if [
            codes::UNKNOWN_TO_API_SERVER,
            access::EXCHANGE_REFUSED,
            access::UNAUTHENTICATED,
            access::FORBIDDEN,
        ]
        .contains(&code)
        {
            Exit::Denied
        } else {
            Exit::Configuration
        }
    };
    let rank = |exit: &Exit| match exit {
        Exit::Configuration => 3,
        Exit::Unreachable => 2,
        Exit::Denied => 1,
        _ => 0,
    };
    bad.map(of).max_by_key(rank).unwrap_or(Exit::Success)
}

const GOOD: Style = AnsiColor::Green.on_default().bold();
const DOUBTFUL: Style = AnsiColor::Yellow.on_default().bold();
const BAD: Style = AnsiColor::Red.on_default().bold();
const UNKNOWN: Style = Style::new().dimmed();

/// A mark, and the word that programs get.
fn look(verdict: Verdict) -> (Style, &'static str, &'static str) {
    match verdict {
        Verdict::Good => (GOOD, "✓", "good"),
        Verdict::Doubtful => (DOUBTFUL, "!", "doubtful"),
        Verdict::Bad => (BAD, "✗", "bad"),
        Verdict::Unknown => (UNKNOWN, "-", "unknown"),
    }
}

fn list(out: &mut dyn Write, checks: &[Check]) -> io::Result<()> {
    let mut told = String::new();
    for Check { subject, verdict, found, code, fix } in checks {
        let (style, mark, _) = look(*verdict);
        let code = code.map(|code| format!("[{code}] ")).unwrap_or_default();
        told.push_str(&code);
        writeln!(out, "{style}{mark}{style:#} {subject}: {code}{found}")?;
        if !fix.is_empty() {
            writeln!(out, "  fix: {fix}")?;
        }
    }
    let count = |verdict| checks.iter().filter(|check| check.verdict == verdict).count();
    let (good, doubtful) = (count(Verdict::Good), count(Verdict::Doubtful));
    let (bad, unknown) = (count(Verdict::Bad), count(Verdict::Unknown));
    writeln!(out, "{good} good, {doubtful} doubtful, {bad} bad, {unknown} not checked")?;
    hint(&told).map_or(Ok(()), |hint| writeln!(out, "{hint}"))
}

fn as_json(checks: &[Check]) -> Value {
    let check = |Check { subject, verdict, found, code, fix }: &Check| {
        json!({
            "subject": subject, "verdict": look(*verdict).2, "found": found,
            "code": code.map(crate::codes::Code::id), "fix": fix,
        })
    };
    let checks: Vec<_> = checks.iter().map(check).collect();
    json!({"checks": checks})
}
