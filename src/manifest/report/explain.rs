//! What an injected pod's containers will see, in words for somebody who meets the product for the first time. Made from
//! the pod and the agent's plan; there is no value in either.

use std::{
    io::{self, Write},
    time::Duration,
};

use anstyle::{AnsiColor, Style};
use serde_json::Value as Json;

use crate::{
    agent::plan::{
        Auth, FileEntry, OnChange, OnFailure, Plan, Projections, Refresh, Source, VariableEntry, View,
    },
    esc::{
        duration,
        render::{Decode, Format},
        value::{Kind, Value},
    },
    inject::{
        names::{AGENT, BINARY, TOKEN_VOLUME, is_our_volume},
        problem::one_line,
    },
    prose::wrapped,
};

const NAME: Style = Style::new().bold();
const HEAD: Style = AnsiColor::Cyan.on_default().bold();

/// Readable by everybody; what files have unless something else was asked for.
const DEFAULT_MODE: u32 = crate::agent::content::DEFAULT_MODE;

/// An object with a pod that was injected, or left as it is.
#[derive(Debug)]
pub struct Explained<'a> {
    /// `Deployment/web`.
    pub name: &'a str,
    /// Its namespace.
    pub namespace: &'a str,
    /// Its pod, or pod template, as it is after injection.
    pub pod: &'a Json,
    /// What its agent will do; none for a pod that is left as it is.
    pub plan: Option<&'a Plan>,
}

/// A page under construction: paragraphs and tables that fit into some columns.
struct Page<'o> {
    out: &'o mut dyn Write,
    width: usize,
}

impl Page<'_> {
    fn head(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "\n  {HEAD}{}{HEAD:#}", one_line(text))
    }

    fn line(&mut self, indent: usize, text: &str) -> io::Result<()> {
        let room = self.width.saturating_sub(indent).max(20);
        for (index, line) in wrapped(&one_line(text), room, 2).iter().enumerate() {
            let continued = if index == 0 { "" } else { "  " };
            let line = line.strip_prefix(continued).unwrap_or(line);
            writeln!(self.out, "{}{continued}{line}", " ".repeat(indent))?;
        }
        Ok(())
    }

    /// Rows with aligned columns; a row that does not fit is broken before its last cell.
    fn table(&mut self, indent: usize, rows: &[Vec<String>]) -> io::Result<()> {
        let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
        let length = |text: &str| text.chars().count();
        let widths: Vec<usize> = (0..columns)
            .map(|column| {
                rows.iter().filter_map(|row| row.get(column)).map(|cell| length(cell)).max().unwrap_or(0)
            })
            .collect();
        let aligned =
            indent + widths.iter().filter(|width| **width > 0).map(|width| width + 2).sum::<usize>();
        for row in rows {
            let Some((last, cells)) = row.split_last() else { continue };
            if aligned <= self.width + 2 {
                let mut line = " ".repeat(indent);
                for (cell, width) in cells.iter().zip(&widths).filter(|(_, width)| **width > 0) {
                    line.push_str(&one_line(cell));
                    line.push_str(&" ".repeat(width + 2 - cell.chars().count().min(*width)));
                }
                line.push_str(&one_line(last));
                writeln!(self.out, "{}", line.trim_end())?;
            } else {
                let cells: Vec<&str> =
                    cells.iter().map(String::as_str).filter(|cell| !cell.is_empty()).collect();
                self.line(indent, &cells.join("  "))?;
                self.line(indent + 4, last)?;
            }
        }
        Ok(())
    }
}

/// Writes what becomes of one object's pod.
pub fn write(out: &mut dyn Write, explained: &Explained<'_>, width: usize) -> io::Result<()> {
    let Explained { name, namespace, pod, plan } = explained;
    writeln!(out, "{NAME}{} in namespace {}{NAME:#}", one_line(name), one_line(namespace))?;
    let mut page = Page { out, width };
    let Some(plan) = plan else {
        return page.line(2, "does not ask for injection, and stays as it is.");
    };
    page.head("Where the values come from")?;
    origin(&mut page, pod, plan)?;
    page.head("In which order containers start")?;
    order(&mut page, pod, plan)?;
    for view in &plan.views {
        page.head(&match view.containers.as_slice() {
            [one] => format!("What container {one} sees"),
            many => format!("What containers {} see", many.join(", ")),
        })?;
        seen(&mut page, pod, view)?;
    }
    let nothing: Vec<&str> = containers(pod)
        .map(|(name, ..)| name)
        .filter(|name| {
            *name != AGENT && !plan.views.iter().any(|view| view.containers.iter().any(|known| known == name))
        })
        .collect();
    if !nothing.is_empty() {
        page.head("Who receives nothing")?;
        page.line(4, &nothing.join(", "))?;
    }
    page.head("When something goes wrong")?;
    failure(&mut page, pod, plan)?;
    page.head("When values change in ESC")?;
    change(&mut page, plan)
}

fn origin(page: &mut Page<'_>, pod: &Json, plan: &Plan) -> io::Result<()> {
    let names: Vec<String> = plan.environments.iter().map(ToString::to_string).collect();
    page.line(
        4,
        &match names.as_slice() {
            [one] => format!("The environment {one} of Pulumi ESC at {}.", plan.api.url),
            many => format!(
                "The environments {} of Pulumi ESC at {}, each laid over those before it.",
                many.join(", "),
                plan.api.url
            ),
        },
    )?;
    let account = pod.pointer("/spec/serviceAccountName").and_then(Json::as_str).unwrap_or("default");
    match &plan.auth {
        Auth::Exchange { token_type, tokens } => {
            let audiences = audiences(pod);
            let audience = match audiences.as_slice() {
                [] => String::new(),
                some => format!(" for {}", some.join(" and ")),
            };
            let organizations: Vec<&str> = tokens.iter().map(|token| token.organization.as_str()).collect();
            page.line(4, &format!(
                "The pod proves that it is ServiceAccount {account} with a token{audience}, and gets a token of organization {} in exchange (type {token_type}).",
                organizations.join(" and ")
            ))?;
            page.line(4, "What it may open is decided in Pulumi, by that identity.")
        }
        Auth::Token { .. } => {
            let secret = volume(pod, TOKEN_VOLUME).and_then(|volume| volume.get("secret"));
            let text =
                |pointer: &str| secret.and_then(|secret| secret.pointer(pointer)).and_then(Json::as_str);
            page.line(
                4,
                &format!(
                    "The access token is read from key {} of Secret {}, which only the agent mounts.",
                    text("/items/0/key").unwrap_or("accessToken"),
                    text("/secretName").unwrap_or("(unknown)")
                ),
            )
        }
    }
}

fn audiences(pod: &Json) -> Vec<&str> {
    let sources = volume(pod, TOKEN_VOLUME).and_then(|volume| volume.pointer("/projected/sources"));
    let tokens = sources.and_then(Json::as_array).into_iter().flatten();
    tokens.filter_map(|source| source.pointer("/serviceAccountToken/audience")?.as_str()).collect()
}

fn volume<'p>(pod: &'p Json, name: &str) -> Option<&'p Json> {
    let volumes = pod.pointer("/spec/volumes")?.as_array()?;
    volumes.iter().find(|volume| volume.get("name").and_then(Json::as_str) == Some(name))
}

/// Every container by name, whether it is an init container, and whether it goes on beside the others.
fn containers(pod: &Json) -> impl Iterator<Item = (&str, bool, bool, &Json)> {
    let list = move |key: &'static str, is_init: bool| {
        let containers = pod.get("spec").and_then(|spec| spec.get(key)).and_then(Json::as_array);
        containers.into_iter().flatten().filter_map(move |container| {
            let goes_on = container.get("restartPolicy").and_then(Json::as_str) == Some("Always");
            Some((container.get("name")?.as_str()?, is_init, goes_on, container))
        })
    };
    list("initContainers", true).chain(list("containers", false))
}

fn order(page: &mut Page<'_>, pod: &Json, plan: &Plan) -> io::Result<()> {
    let mut rows = Vec::new();
    let mut together: Vec<&str> = Vec::new();
    for (name, is_init, goes_on, _) in containers(pod) {
        let what = match (name == AGENT, is_init, goes_on) {
            (true, _, true) => "added by the injector: fetches the values, then goes on beside the others",
            (true, ..) => "added by the injector: fetches the values, and ends",
            (_, true, true) => "goes on beside the others (native sidecar)",
            (_, true, false) => "runs to its end",
            _ => {
                together.push(name);
                continue;
            }
        };
        rows.push(vec![format!("{}.", rows.len() + 1), name.to_owned(), what.to_owned()]);
    }
    let what = if together.len() == 1 { "the application" } else { "the application, all at once" };
    rows.push(vec![format!("{}.", rows.len() + 1), together.join(", "), what.to_owned()]);
    page.table(4, &rows)?;
    if plan.mesh.is_some() {
        page.line(4, "The proxy of the mesh starts after the agent: if its rules are there before, ESC has to be excluded from them.")?;
    }
    Ok(())
}

fn seen(page: &mut Page<'_>, pod: &Json, view: &View) -> io::Result<()> {
    let mut files: Vec<Vec<String>> = view.files.iter().map(file_row).collect();
    if view.projections.files() {
        files.push(vec![
            "(each key)".to_owned(),
            format!("mode {DEFAULT_MODE:04o}"),
            "as it is".to_owned(),
            "◀ the environment's own `files`".to_owned(),
        ]);
    }
    if !files.is_empty() {
        page.line(4, &format!("Files in {}, in memory and read-only:", view.mount_path))?;
        page.table(6, &files)?;
    }
    let mut variables: Vec<Vec<String>> = view.variables.iter().map(variable_row).collect();
    let projected = |what: &str| vec!["(each key)".to_owned(), String::new(), format!("◀ {what}")];
    if view.wrapper && view.projections.env() {
        variables.push(projected("the environment's own `environmentVariables`"));
    }
    if view.wrapper && view.projections.files() {
        variables.push(projected("the path of each of the environment's own `files`"));
    }
    if variables.is_empty() {
        return Ok(());
    }
    page.line(4, "Environment variables:")?;
    page.table(6, &variables)?;
    let way = |wanted: Way| -> Vec<&str> {
        let of_view = containers(pod).filter(|(name, ..)| view.containers.iter().any(|known| known == name));
        of_view.filter(|(.., container)| Way::of(container) == wanted).map(|(name, ..)| name).collect()
    };
    for (wanted, text) in [
        (
            Way::Wrapper,
            "a small program starts in place of the command, sets them, and becomes the command. Probes, lifecycle hooks and `kubectl exec` don't see them",
        ),
        (
            Way::Kubelet,
            "kubelet sets them before it starts the container, from a file that the agent writes. The container runtime keeps them on the node's disk, as it keeps every variable",
        ),
        (Way::None, "its command is not known, so it gets the files only"),
    ] {
        let names = way(wanted);
        if !names.is_empty() {
            page.line(4, &format!("How they get into {}: {text}.", names.join(", ")))?;
        }
    }
    if view.projections != Projections::None && view.wrapper {
        page.line(4, "A variable that the container sets itself wins over one of the environment's own.")?;
    }
    Ok(())
}

/// How variables get into a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Wrapper,
    Kubelet,
    None,
}

impl Way {
    fn of(container: &Json) -> Self {
        let words = |key: &str| container.get(key).and_then(Json::as_array).into_iter().flatten();
        if words("command").chain(words("args")).any(|word| word.as_str() == Some(BINARY)) {
            return Self::Wrapper;
        }
        let is_ours = |entry: &Json| {
            let volume = entry.pointer("/valueFrom/fileKeyRef/volumeName").and_then(Json::as_str);
            volume.is_some_and(is_our_volume)
        };
        if words("env").any(is_ours) { Self::Kubelet } else { Self::None }
    }
}

fn file_row(file: &FileEntry) -> Vec<String> {
    let FileEntry { name, source, format, decode, mode, optional, default } = file;
    let (how, from) = match source {
        Source::Template(_) => ("template".to_owned(), "what its text names".to_owned()),
        Source::Path(path) => {
            let how = match (format, decode) {
                (_, Some(Decode::Base64)) => "decoded from base64".to_owned(),
                (Some(format), None) => word(*format).to_owned(),
                (None, None) => {
                    let object =
                        Value { kind: Kind::Object(std::collections::BTreeMap::new()), secret: false };
                    format!("as it is; objects as {}", word(Format::for_value(name.as_str(), &object)))
                }
            };
            (how, whole(path.as_str()))
        }
    };
    let mode = format!("mode {:04o}", mode.unwrap_or(DEFAULT_MODE));
    vec![name.to_string(), mode, how, format!("◀ {from}{}", absent(*optional, default.is_some()))]
}

fn variable_row(variable: &VariableEntry) -> Vec<String> {
    let VariableEntry { name, path, format, optional, default } = variable;
    let how = format.map(word).unwrap_or_default().to_owned();
    let from = format!("◀ {}{}", whole(path.as_str()), absent(*optional, default.is_some()));
    vec![name.to_string(), how, from]
}

fn whole(path: &str) -> String {
    if path == "." { "the whole environment".to_owned() } else { path.to_owned() }
}

fn absent(optional: bool, has_default: bool) -> &'static str {
    match (optional, has_default) {
        (true, _) => ", left out if it has no value",
        (false, true) => ", or its default if it has no value",
        (false, false) => "",
    }
}

fn word(format: Format) -> &'static str {
    match format {
        Format::Raw => "as it is",
        Format::Json => "JSON",
        Format::Yaml => "YAML",
        Format::Dotenv => "dotenv",
        Format::Properties => "properties",
    }
}

fn failure(page: &mut Page<'_>, pod: &Json, plan: &Plan) -> io::Result<()> {
    let budget = seconds(plan.timeout_seconds);
    let never = pod.pointer("/spec/restartPolicy").and_then(Json::as_str) == Some("Never");
    let outage = match plan.on_failure {
        OnFailure::Block if never && plan.refresh.is_none() => "the pod fails for good",
        OnFailure::Block => {
            "the application does not start, and the agent tries again when kubelet restarts it"
        }
        OnFailure::Start => "the application starts without the values",
    };
    page.line(4, &format!("If ESC can't be reached for {budget}: {outage}."))?;
    page.line(4, "If ESC refuses, or a value is missing: the application does not start. `kubectl describe pod` shows the code and the fix.")
}

fn change(page: &mut Page<'_>, plan: &Plan) -> io::Result<()> {
    let Some(Refresh { interval_seconds, on_change, restart_spread_seconds, .. }) = &plan.refresh else {
        return page
            .line(4, "Nothing happens in a pod that runs: values are fetched once, when a pod starts.");
    };
    page.line(4, &format!(
        "The agent looks every {}. If something changed, all files are replaced in one step; running processes keep their variables.",
        seconds(*interval_seconds)
    ))?;
    let then = match on_change {
        OnChange::None => "Nobody is told: the application watches its files.".to_owned(),
        OnChange::Post { url } => format!("Then the agent sends a POST to {url}."),
        OnChange::Signal { signal, process: None } => {
            format!("Then the agent sends {signal} to the containers' main processes.")
        }
        OnChange::Signal { signal, process: Some(process) } => {
            format!("Then the agent sends {signal} to the process {process}.")
        }
        OnChange::Restart { .. } => format!(
            "Then all containers of the pod are restarted, after a random delay of at most {}.",
            seconds(*restart_spread_seconds)
        ),
    };
    page.line(4, &then)
}

/// `2m` rather than `2m0s`.
fn seconds(seconds: u64) -> String {
    let text = duration::format(Duration::from_secs(seconds));
    let text = text.strip_suffix("m0s").map_or(text.clone(), |whole| format!("{whole}m"));
    text.strip_suffix("h0m").map_or(text.clone(), |whole| format!("{whole}h"))
}
