//! What the reader has to know: what was left, and what is different.

use std::collections::HashSet;

use serde_json::Value;

use super::input::Manifest;

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Something has no equivalent, or needs a decision.
    Left,
    /// It was converted, and is different now.
    Note,
}

/// Something that the reader has to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How much it matters.
    pub level: Level,
    /// Name of the text.
    pub file: String,
    /// Line in it, counted from 1, where the text is YAML.
    pub line: Option<usize>,
    /// `ExternalSecret shop/db`.
    pub object: String,
    /// The field, as a property path; empty for the object as a whole.
    pub field: String,
    /// What about it.
    pub what: String,
    /// What to do; empty where there is nothing to do.
    pub instead: String,
}

/// Findings as they are collected.
#[derive(Debug, Default)]
pub struct Report {
    found: Vec<Found>,
    /// What is there already: object, level, field and words.
    told: HashSet<(usize, Level, String, String)>,
}

#[derive(Debug)]
struct Found {
    manifest: usize,
    level: Level,
    field: String,
    what: String,
    instead: String,
}

/// A report about one object.
pub struct At<'r> {
    report: &'r mut Report,
    manifest: usize,
}

impl Report {
    /// A report about the object with this number.
    pub fn at(&mut self, manifest: usize) -> At<'_> {
        At { report: self, manifest }
    }

    /// The findings with their places, in the order of the objects.
    pub fn into_findings(mut self, manifests: &[Manifest]) -> Vec<Finding> {
        self.found.sort_by_key(|found| (found.manifest, found.level));
        let place = |found: Found| {
            let manifest = manifests.get(found.manifest)?;
            Some(Finding {
                level: found.level,
                file: manifest.file.clone(),
                line: manifest.line(&found.field),
                object: manifest.name(),
                field: found.field,
                what: found.what,
                instead: found.instead,
            })
        };
        self.found.into_iter().filter_map(place).collect()
    }
}

impl At<'_> {
    /// Something has no equivalent.
    pub fn left(&mut self, field: &str, what: impl Into<String>, instead: impl Into<String>) {
        self.found(Level::Left, field, what.into(), instead.into());
    }

    /// Something is different.
    pub fn note(&mut self, field: &str, what: impl Into<String>, instead: impl Into<String>) {
        self.found(Level::Note, field, what.into(), instead.into());
    }

    /// Fields that nobody here knows are told: they may mean something.
    pub fn unknown(&mut self, value: Option<&Value>, known: &[&str], field: &str) {
        for key in value.and_then(Value::as_object).into_iter().flat_map(|object| object.keys()) {
            if !known.contains(&key.as_str()) {
                let name = below(field, key);
                self.left(&name, "is not known here, and not converted", "find out whether it matters");
            }
        }
    }

    fn found(&mut self, level: Level, field: &str, what: String, instead: String) {
        let Self { report, manifest } = self;
        if report.told.insert((*manifest, level, field.to_owned(), what.clone())) {
            report.found.push(Found { manifest: *manifest, level, field: field.to_owned(), what, instead });
        }
    }
}

/// The field below another.
pub fn below(field: &str, key: &str) -> String {
    let step = crate::esc::path::below_key(key, "");
    let dot = if field.is_empty() || step.starts_with('[') { "" } else { "." };
    format!("{field}{dot}{step}")
}
