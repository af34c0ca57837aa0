//! What is wrong with a definition, and where.

use std::sync::Arc;

use crate::yaml::{Mark, Node};

/// Diagnostics that are kept of one evaluation. More would only hide the first, and a large broken document
/// could otherwise blow up the answer.
const MAX_KEPT: usize = 100;

/// A part of a definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    /// The name under which the environment is evaluated, with its version.
    pub environment: Arc<str>,
    /// First character.
    pub begin: Mark,
    /// One past the last character.
    pub end: Mark,
}

impl Range {
    /// Where a node stands.
    pub fn of(environment: &Arc<str>, node: &Node) -> Self {
        Self { environment: Arc::clone(environment), begin: node.start, end: node.end }
    }

    /// The very beginning of a document.
    pub fn start_of(environment: &Arc<str>) -> Self {
        Self::at(environment, Mark { line: 1, column: 1, byte: 0 })
    }

    /// A single point.
    pub fn at(environment: &Arc<str>, mark: Mark) -> Self {
        Self { environment: Arc::clone(environment), begin: mark, end: mark }
    }
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The environment can't be opened.
    Error,
    /// It opens, but probably not as meant.
    Warning,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong; quotes names and references, never values.
    pub summary: String,
    /// Where.
    pub range: Range,
}

/// Collects what an evaluation finds.
#[derive(Debug, Default)]
pub(super) struct Diagnostics(Vec<Diagnostic>);

impl Diagnostics {
    pub(super) fn error(&mut self, range: &Range, summary: impl Into<String>) {
        self.push(Severity::Error, range, summary.into());
    }

    pub(super) fn warning(&mut self, range: &Range, summary: impl Into<String>) {
        self.push(Severity::Warning, range, summary.into());
    }

    fn push(&mut self, severity: Severity, range: &Range, summary: String) {
        // An error must not be lost to a flood of warnings before it.
        let warnings_only = || self.0.iter().all(|kept| kept.severity == Severity::Warning);
        if self.0.len() < MAX_KEPT || (severity == Severity::Error && warnings_only()) {
            self.0.push(Diagnostic { severity, summary, range: range.clone() });
        }
    }

    pub(super) fn into_vec(self) -> Vec<Diagnostic> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Diagnostics, MAX_KEPT, Range, Severity};

    #[test]
    fn keeps_an_error_after_a_flood_of_warnings() {
        let range = Range::start_of(&Arc::from("p/e"));
        let mut diagnostics = Diagnostics::default();
        for _ in 0..2 * MAX_KEPT {
            diagnostics.warning(&range, "w");
        }
        diagnostics.error(&range, "e");
        diagnostics.error(&range, "e");
        let kept = diagnostics.into_vec();
        assert_eq!(kept.len(), MAX_KEPT + 1);
        assert_eq!(kept[MAX_KEPT].severity, Severity::Error);
    }
}
