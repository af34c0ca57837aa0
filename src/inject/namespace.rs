//! What a namespace says to its pods.

use std::collections::BTreeMap;

use super::keys::PREFIX;

/// The label that opens a namespace for injection, without the prefix.
const LABEL: &str = "injection";
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

impl Namespace {
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
