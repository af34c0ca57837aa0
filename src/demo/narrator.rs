//! How the demo looks: steps, lines, and the two tables. Decides nothing.

use std::{
    io::{self, Write},
    time::Duration,
};

use anstyle::{AnsiColor, Style};
use json_patch::{Patch, PatchOperation};
use serde_json::Value;

use super::check::Row;
use crate::{agent::plan, inject::names, yaml};

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const GOOD: Style = AnsiColor::Green.on_default().bold();
const BAD: Style = AnsiColor::Red.on_default().bold();
/// What stands in place of a secret.
pub(super) const HIDDEN: &str = "••••••";

/// Writes the demo's steps, numbered.
pub(super) struct Narrator<'a> {
    out: &'a mut dyn Write,
    step: usize,
}

impl<'a> Narrator<'a> {
    /// Begins with the first step.
    pub(super) fn new(out: &'a mut dyn Write) -> Self {
        Self { out, step: 0 }
    }

    /// The heading of a step, with how long it took where that is known.
    pub(super) fn step(&mut self, what: &str, took: Option<Duration>) -> io::Result<()> {
        self.step += 1;
        let took = took.map_or_else(String::new, |took| format!(" {DIM}({}){DIM:#}", milliseconds(took)));
        writeln!(self.out, "\n{BOLD}{} {what}{BOLD:#}{took}", self.step)
    }

    /// A line below the heading.
    pub(super) fn line(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "    {text}")
    }

    /// The good end.
    pub(super) fn end(&mut self, what: &str, times: &str) -> io::Result<()> {
        writeln!(self.out, "\n{GOOD}{what}{GOOD:#}: {times}.")
    }

    /// Tells a patch, an operation a line; our own container is told whole, but for its plan.
    pub(super) fn patch(&mut self, patch: &Patch) -> io::Result<()> {
        for operation in &patch.0 {
            let (verb, path, value) = match operation {
                PatchOperation::Add(add) => ("add", add.path.as_str(), Some(&add.value)),
                PatchOperation::Replace(replace) => ("replace", replace.path.as_str(), Some(&replace.value)),
                PatchOperation::Remove(remove) => ("remove", remove.path.as_str(), None),
                _ => ("", "", None),
            };
            match value {
                Some(value) if agents(value).next().is_some() => {
                    self.line(&format!("{verb} {path}"))?;
                    for line in yaml::emit(&without_plan(value)).lines() {
                        self.line(&format!("    {DIM}{line}{DIM:#}"))?;
                    }
                }
                Some(Value::Array(items)) if items.iter().any(Value::is_object) => {
                    self.line(&format!("{verb} {path}"))?;
                    for item in items {
                        self.line(&format!("    {DIM}- {}{DIM:#}", compact(item)))?;
                    }
                }
                _ => {
                    let inline = value.map(compact).unwrap_or_default();
                    self.line(&format!("{verb} {path}  {DIM}{inline}{DIM:#}"))?;
                }
            }
        }
        Ok(())
    }

    /// Tells what arrived, a thing a line; secrets by their size.
    pub(super) fn rows(&mut self, rows: &[Row]) -> io::Result<()> {
        let width =
            |text: fn(&Row) -> &str| rows.iter().map(|row| text(row).chars().count()).max().unwrap_or(0);
        let (names, origins) = (width(|row| &row.name), width(|row| &row.origin));
        for row in rows {
            let kind = if row.is_file { "file    " } else { "variable" };
            let (style, mark) = if row.arrived { (GOOD, "✓") } else { (BAD, "✗") };
            let shown = match &row.shown {
                Some(shown) => shown.clone(),
                None => format!("{HIDDEN} {DIM}{} bytes{DIM:#}", row.size),
            };
            self.line(&format!(
                "{style}{mark}{style:#} {kind} {:names$}  ◀ {:origins$}  {shown}",
                row.name, row.origin
            ))?;
        }
        Ok(())
    }
}

/// For people, who don't read more places than one.
pub(super) fn milliseconds(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1000.0)
}

/// Longer texts of the patch are cut: they are the user's own, or the plan.
const LONGEST: usize = 60;

/// A volume, a mount or a command on one line.
fn compact(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let members: Vec<_> =
                map.iter().map(|(key, value)| format!("{key}: {}", compact(value))).collect();
            format!("{{{}}}", members.join(", "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(compact).collect::<Vec<_>>().join(", ")),
        Value::String(text) if text.chars().count() > LONGEST || text.contains('\n') => {
            let begin: String =
                text.chars().take(LONGEST / 2).take_while(|character| *character != '\n').collect();
            format!("{begin}…")
        }
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The injected container in an added value: itself, or a list with it.
fn agents(value: &Value) -> impl Iterator<Item = &Value> {
    let items = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
    items.iter().filter(|item| item.get("name").and_then(Value::as_str) == Some(names::AGENT))
}

/// The plan is JSON on one long line; its size says enough here.
fn without_plan(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(without_plan).collect(),
        Value::Object(map) if map.get("name").and_then(Value::as_str) == Some(plan::VARIABLE) => {
            let size = map.get("value").and_then(Value::as_str).map_or(0, str::len);
            let mut entry = map.clone();
            entry.insert(
                "value".to_owned(),
                format!("({size} bytes: what to open, what to write where)").into(),
            );
            Value::Object(entry)
        }
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), without_plan(value))).collect(),
        other => other.clone(),
    }
}
