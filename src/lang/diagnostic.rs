//! What is wrong with a definition, and where.

use super::place::Place;

pub use super::place::Range;

/// Diagnostics that are kept of one evaluation. More would only hide the first, and a large broken document
/// could otherwise blow up the answer.
const MAX_KEPT: usize = 100;

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
    /// The path of what is wrong within its document, such as `values.a[0]`; empty for the document as a whole.
    pub path: String,
}

/// Collects what an evaluation finds.
#[derive(Debug, Clone, Default)]
pub(super) struct Diagnostics(Vec<Diagnostic>);

impl Diagnostics {
    pub(super) fn error(&mut self, place: &Place, summary: impl Into<String>) {
        self.push(Severity::Error, place, summary.into());
    }

    pub(super) fn warning(&mut self, place: &Place, summary: impl Into<String>) {
        self.push(Severity::Warning, place, summary.into());
    }

    /// Whether another error would be dropped.
    pub(super) fn is_full(&self) -> bool {
        self.0.len() >= MAX_KEPT && self.has_errors()
    }

    pub(super) fn has_errors(&self) -> bool {
        self.0.iter().any(|kept| kept.severity == Severity::Error)
    }

    pub(super) fn append(&mut self, other: Self) {
        for diagnostic in other.0 {
            self.keep(diagnostic);
        }
    }

    fn push(&mut self, severity: Severity, place: &Place, summary: String) {
        if severity == Severity::Error && self.is_full() {
            return;
        }
        self.keep(Diagnostic { severity, summary, range: place.range().clone(), path: place.path() });
    }

    fn keep(&mut self, diagnostic: Diagnostic) {
        // An error must not be lost to a flood of warnings before it.
        let makes_the_difference = diagnostic.severity == Severity::Error && !self.has_errors();
        if self.0.len() < MAX_KEPT || makes_the_difference {
            self.0.push(diagnostic);
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
    use crate::lang::place::Place;

    #[test]
    fn keeps_an_error_after_a_flood_of_warnings() {
        let place = Place::root(Range::start_of(&Arc::from("p/e")));
        let mut diagnostics = Diagnostics::default();
        for _ in 0..2 * MAX_KEPT {
            diagnostics.warning(&place, "w");
        }
        diagnostics.error(&place, "e");
        diagnostics.error(&place, "e");
        let kept = diagnostics.into_vec();
        assert_eq!(kept.len(), MAX_KEPT + 1);
        assert_eq!(kept[MAX_KEPT].severity, Severity::Error);
    }
}
