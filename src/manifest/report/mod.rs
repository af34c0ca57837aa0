//! Findings for their readers: people at a terminal, programs, GitHub. Pure: text out of values.

use super::{
    check::Summary,
    finding::{Finding, Severity},
};

pub mod diff;
pub mod explain;
pub mod github;
pub mod json;
pub mod text;

/// How many of a severity there are.
fn count(findings: &[Finding], severity: Severity) -> usize {
    findings.iter().filter(|finding| finding.severity == severity).count()
}

/// `12 objects, 3 ask for injection, 2 errors, 1 warning`.
pub fn summary(findings: &[Finding], summary: &Summary) -> String {
    let many = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    let asks = if summary.asking == 1 { "asks" } else { "ask" };
    let opened = match summary.opened.len() {
        0 => String::new(),
        count => format!(", {} opened", many(count, "environment")),
    };
    format!(
        "{}, {} {asks} for injection{opened}, {}, {}",
        many(summary.objects, "object"),
        summary.asking,
        many(count(findings, Severity::Error), "error"),
        many(count(findings, Severity::Warning), "warning")
    )
}
