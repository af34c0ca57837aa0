//! What ESC says is wrong with an environment, and how to tell its answers of refusal apart.
//!
//! A reader of other people's words: tolerant about shape, strict about what it passes on. Summaries and positions
//! are passed on; details, messages and everything else may quote values and are dropped.

use std::fmt;

use serde::Deserialize;

/// How many diagnostics a message shows: the first ones are the cause, the rest mostly follow from them.
const SHOWN: usize = 10;

/// Longest summary that is shown, in characters: a summary is a line.
const SUMMARY_LENGTH: usize = 300;

/// One thing that is wrong with an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// `environment:line:column`, as far as ESC says.
    pub position: Option<String>,
    /// ESC's one-line summary, stripped of control characters.
    pub summary: String,
}

/// An answer of refusal, as far as we use it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Refusal {
    /// Errors of the environment; warnings are dropped.
    pub(super) diagnostics: Vec<Diagnostic>,
    /// Whether it speaks of an approval that is missing.
    pub(super) approval: bool,
}

#[derive(Deserialize)]
struct WireRefusal {
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    diagnostics: Option<Vec<WireDiagnostic>>,
}

#[derive(Deserialize)]
struct WireDiagnostic {
    #[serde(default)]
    summary: Option<String>,
    #[serde(default)]
    severity: Option<String>,
    #[serde(default)]
    range: Option<WireRange>,
}

#[derive(Deserialize)]
struct WireRange {
    #[serde(default)]
    environment: Option<String>,
    #[serde(default)]
    begin: Option<WirePosition>,
}

#[derive(Deserialize)]
struct WirePosition {
    #[serde(default)]
    line: u64,
    #[serde(default)]
    column: u64,
}

impl Refusal {
    /// Reads a body; one that is not ESC's JSON is taken as text.
    pub(super) fn read(body: &[u8]) -> Self {
        let Ok(wire) = serde_json::from_slice::<WireRefusal>(body) else {
            return Self { approval: speaks_of_approval(&String::from_utf8_lossy(body)), ..Self::default() };
        };
        let diagnostics = wire
            .diagnostics
            .unwrap_or_default()
            .into_iter()
            // A missing severity means error.
            .filter(|diagnostic| diagnostic.severity.as_deref() != Some("warning"))
            .map(Diagnostic::from)
            .collect();
        let approval = wire.message.as_deref().is_some_and(speaks_of_approval);
        Self { diagnostics, approval }
    }
}

/// How ESC answers for a gated environment is not documented, so the words decide.
fn speaks_of_approval(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    ["approval", "approved", "open request", "openrequest"].iter().any(|word| text.contains(word))
}

impl From<WireDiagnostic> for Diagnostic {
    fn from(wire: WireDiagnostic) -> Self {
        let position = wire.range.and_then(|range| {
            let environment = range.environment.filter(|name| !name.is_empty());
            let begin = range.begin.map(|begin| format!("{}:{}", begin.line, begin.column));
            let parts: Vec<_> = environment.map(|name| line(&name)).into_iter().chain(begin).collect();
            (!parts.is_empty()).then(|| parts.join(":"))
        });
        Self { position, summary: line(&wire.summary.unwrap_or_else(|| "no summary".to_owned())) }
    }
}

/// One printable line.
fn line(text: &str) -> String {
    let mut line: String = text
        .chars()
        .map(|character| if character.is_control() { ' ' } else { character })
        .take(SUMMARY_LENGTH)
        .collect();
    if line.len() < text.len() {
        line.push('…');
    }
    line
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(position) = &self.position {
            write!(f, "{position}: ")?;
        }
        f.write_str(&self.summary)
    }
}

/// The first diagnostics in one line.
pub(super) fn list(diagnostics: &[Diagnostic]) -> String {
    let mut parts: Vec<_> = diagnostics.iter().take(SHOWN).map(ToString::to_string).collect();
    if let Some(more @ 1..) = diagnostics.len().checked_sub(SHOWN) {
        parts.push(format!("and {more} more"));
    }
    parts.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_positions_and_summaries_and_nothing_else() {
        let body = br#"{"code":400,"message":"evaluation failed: hunter2","diagnostics":[
            {"range":{"environment":"shop/prod","begin":{"line":3,"column":7,"byte":9},"end":{"line":3,"column":8}},
             "summary":"unknown provider\n\"x\"","detail":"hunter2","path":"values.db"},
            {"summary":"just a warning","severity":"warning"},
            {"severity":"error"}]}"#;
        let refusal = Refusal::read(body);
        assert_eq!(list(&refusal.diagnostics), "shop/prod:3:7: unknown provider \"x\"; no summary");
        assert!(!refusal.approval);
    }

    #[test]
    fn long_lists_and_long_lines_are_cut() {
        let diagnostic = Diagnostic { position: None, summary: line(&"x".repeat(1000)) };
        assert_eq!(diagnostic.summary.chars().count(), SUMMARY_LENGTH + 1);
        let text = list(&vec![Diagnostic { position: None, summary: "s".to_owned() }; 12]);
        assert!(text.ends_with("s; and 2 more"), "{text}");
    }

    #[test]
    fn recognises_gated_opens_in_any_shape() {
        let cases: [(&[u8], bool); 6] = [
            (br#"{"code":403,"message":"Opening this environment requires approval"}"#, true),
            (br#"{"code":403,"message":"no active Open Request"}"#, true),
            (b"an approved request is needed", true),
            (br#"{"code":403,"message":"forbidden"}"#, false),
            (br#"{"diagnostics":[{"summary":"the provider wants approval"}]}"#, false),
            (b"", false),
        ];
        for (body, approval) in cases {
            assert_eq!(Refusal::read(body).approval, approval, "{}", String::from_utf8_lossy(body));
        }
    }
}
