//! What a namespace says to its pods.

use std::collections::BTreeMap;

use super::{
    annotations,
    keys::PREFIX,
    problem::{Problem, Warning},
    subject::Source,
};

/// The label that opens a namespace for injection, without the prefix.
pub const LABEL: &str = "injection";
/// The label's value that has pods injected that ask.
const ENABLED: &str = "enabled";
/// The label's value that has every pod injected.
const ALL: &str = "all";

/// What a namespace says: its annotations of ours, and whether all of its pods are injected. Nothing else is kept,
/// since a cluster may have ten thousand namespaces.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Namespace {
    /// Its `esc.pulumi.com/…` annotations.
    pub annotations: BTreeMap<String, String>,
    /// Label `injection: all`.
    pub everyone: bool,
}

/// Whether a namespace is open for injection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// It is.
    Open,
    /// It has no label.
    Unlabelled,
    /// Its label has a value that opens nothing.
    OtherValue,
}

impl Opening {
    /// By the value of the label.
    pub fn of(label: Option<&str>) -> Self {
        match label {
            Some(ENABLED | ALL) => Self::Open,
            Some(_) => Self::OtherValue,
            None => Self::Unlabelled,
        }
    }
}

impl Namespace {
    /// What is wrong with its annotations, before it is wrong for every pod of it; and what is worrying.
    pub fn judge(&self) -> (Vec<Problem>, Vec<Warning>) {
        let pairs = self.annotations.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let read = annotations::read(Source::Namespace, pairs);
        (read.problems, read.warnings)
    }

    /// Reads the namespace's labels and annotations.
    pub fn read<'a>(
        labels: impl IntoIterator<Item = (&'a str, &'a str)>,
        annotations: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Self {
        let is_label = |key: &str| key.strip_prefix(PREFIX) == Some(LABEL);
        let ours = annotations.into_iter().filter(|(key, _)| key.starts_with(PREFIX));
        Self {
            annotations: ours.map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
            everyone: labels.into_iter().any(|(key, value)| is_label(key) && value == ALL),
        }
    }
}
