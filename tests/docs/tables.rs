//! Tables that the code itself knows best.

use std::fmt::Write;

use clap::{Arg, Args, Command};
use esc_injector::{
    agent, cli,
    codes::{self, Code},
    inject::{
        keys::{DOCS, PREFIX},
        policy::{EXCLUDED_CONTAINERS, START_AFTER},
    },
    webhook::metrics::Metrics,
};

/// A table in Markdown.
fn table<const N: usize>(head: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let line = |cells: &[String]| {
        let cells: Vec<_> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
        format!("| {} |\n", cells.join(" | "))
    };
    let mut out = line(&head.map(str::to_owned));
    writeln!(out, "|{}", "---|".repeat(N)).unwrap();
    out.extend(rows.into_iter().map(|row| line(&row)));
    out
}

pub fn annotations() -> String {
    let rows =
        DOCS.iter().map(|doc| [format!("`{}`", doc.key), doc.value.to_owned(), doc.meaning.to_owned()]);
    format!(
        "The prefix of every key is `{PREFIX}`.\n\n{}",
        table(["Key", "Value [without it]", "Meaning"], rows)
    )
}

pub fn chart_values() -> String {
    table(["Value", "Default", "Meaning"], super::values::rows())
}

fn names(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

pub fn excluded_containers() -> String {
    names(EXCLUDED_CONTAINERS)
}

pub fn start_after() -> String {
    names(START_AFTER)
}

/// The ranges of codes, in words for those who meet them.
const RANGES: &[(&str, &str, &str)] = &[
    ("ESC1", "What the annotations say", "Refusals at `kubectl apply`, for the author of the pod."),
    ("ESC2", "What the pod looks like", "Refusals at `kubectl apply`, for the author of the pod."),
    (
        "ESC3",
        "Getting to the environment",
        "In the log and the termination message of the container `esc-agent`, for whoever is on call.",
    ),
    (
        "ESC4",
        "Delivering the values",
        "In the log and the termination message of the container `esc-agent`, for whoever is on call.",
    ),
    (
        "ESC5",
        "Starting the application",
        "In the log of the application's own container, for whoever is on call.",
    ),
    (
        "ESC6",
        "Keeping the values fresh",
        "In the log of the container `esc-agent`, for whoever is on call. The application goes on with the last good set.",
    ),
    (
        "ESC7",
        "Manifests",
        "From `esc-injector check`, for the author of a manifest. See also what it tells of the others: every code of ESC1xx and ESC2xx, and with `--resolve` of ESC3xx and ESC4xx.",
    ),
    (
        "ESC8",
        "The installation",
        "From policies of the API server, at `kubectl apply`, and from `helm test`, for the platform team.",
    ),
    ("ESC9", "The webhook itself", "In the webhook's log and answers, for the platform team."),
];

pub fn errors() -> String {
    let mut out = String::new();
    let in_range =
        |range: &str| codes::all().filter(move |code| code.id().starts_with(range)).collect::<Vec<_>>();
    let known: usize = RANGES.iter().map(|(range, ..)| in_range(range).len()).sum();
    assert_eq!(known, codes::all().count(), "every code belongs to a range that errors.md knows");
    for (range, title, who) in RANGES {
        writeln!(out, "## {range}xx: {title}\n\n{who}\n").unwrap();
        for code in in_range(range) {
            out.push_str(&error(code));
        }
    }
    out
}

fn error(code: Code) -> String {
    let entry = code.entry();
    let mut out =
        format!("### {}: {}\n\n{}\n\n**Fix:** {}\n\n", entry.id, entry.title, entry.cause, entry.fix);
    if !entry.example.is_empty() {
        let is_command = ["kubectl ", "esc ", "esc-injector ", "helm ", "openssl "]
            .iter()
            .any(|word| entry.example.starts_with(word));
        let language = match entry.example {
            _ if is_command => "sh",
            example if example.contains("/inject: \"false\"") => "yaml untouched",
            _ => "yaml",
        };
        write!(out, "```{language}\n{}\n```\n\n", entry.example).unwrap();
    }
    let pair = format!("tests/catalogue/pods/{code}");
    if super::root().join(&pair).exists() {
        write!(out, "A manifest [before](../{pair}/broken.yaml) and [after](../{pair}/fixed.yaml).\n\n")
            .unwrap();
    }
    out
}

fn flags<A: Args>(wanted: impl Fn(&Arg) -> bool) -> String {
    let command = A::augment_args(Command::new("flags"));
    let shown = command.get_arguments().filter(|arg| arg.get_long().is_some() && wanted(arg));
    let rows = shown.map(|arg| {
        let value = arg.get_value_names().filter(|_| arg.get_action().takes_values());
        let value = value.and_then(|names| names.first()).map(|name| format!(" {name}")).unwrap_or_default();
        let possible: Vec<_> =
            arg.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
        let value = if possible.is_empty() { value } else { format!(" {}", possible.join("|")) };
        let defaults: Vec<_> = arg.get_default_values().iter().map(|value| value.to_str().unwrap()).collect();
        let default = if arg.is_required_set() {
            "required".to_owned()
        } else if defaults.is_empty() {
            String::new()
        } else {
            format!("`{}`", defaults.join(","))
        };
        let env = arg.get_env().map(|name| format!("`{}`", name.to_str().unwrap())).unwrap_or_default();
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        [format!("`--{}{value}`", arg.get_long().unwrap()), default, help, env]
    });
    table(["Flag", "Default", "Meaning", "Variable"], rows)
}

fn is_policy(arg: &Arg) -> bool {
    arg.get_help_heading().is_some()
}

pub fn webhook_flags() -> String {
    flags::<cli::webhook::Args>(|arg| !is_policy(arg))
}

pub fn policy_flags() -> String {
    flags::<cli::webhook::Args>(is_policy)
}

pub fn server_flags() -> String {
    flags::<cli::server::Args>(|_| true)
}

pub fn metrics() -> String {
    metrics_table(&Metrics::new().render().unwrap())
}

pub fn sidecar_metrics() -> String {
    metrics_table(&agent::metrics::Metrics::new().render().unwrap())
}

fn metrics_table(text: &str) -> String {
    let rows = text.lines().filter_map(|line| {
        let (name, help) = line.strip_prefix("# HELP ")?.split_once(' ')?;
        let kind = text.lines().find_map(|line| line.strip_prefix(&format!("# TYPE {name} ")))?;
        let suffix = match kind {
            "counter" => "_total",
            "info" => "_info",
            _ => "",
        };
        Some([format!("`{name}{suffix}`"), kind.to_owned(), help.to_owned()])
    });
    table(["Metric", "Kind", "Meaning"], rows)
}
