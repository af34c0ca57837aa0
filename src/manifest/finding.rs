//! What is wrong or worrying in a manifest, and where.

use super::lines::Quote;
use crate::codes::Code;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The API server or the webhook will refuse it, or nothing will be delivered.
    Error,
    /// It is legal, and may not be what was meant.
    Warning,
}

impl Severity {
    /// `error` or `warning`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// Its stable code.
    pub code: Code,
    /// What is wrong, on one line.
    pub message: String,
    /// Whether the fix of the code speaks to who holds the manifest.
    pub has_fix: bool,
    /// The object, as `Deployment/web`, and its namespace.
    pub object: Option<(String, String)>,
    /// Where it stands.
    pub place: Place,
}

/// How an input without a file is called.
pub const STDIN: &str = "standard input";

/// A place in a text, or a text as a whole.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Which of the inputs.
    pub input: usize,
    /// The input's name; none for standard input.
    pub file: Option<String>,
    /// Where in it; none for what could not be read, or has nothing in it.
    pub spot: Option<Spot>,
    /// The line, unless showing it would be unwise.
    pub quote: Option<Quote>,
    /// The template that the document was rendered from, as Helm notes it.
    pub template: Option<String>,
}

/// A part of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Spot {
    /// 1-based.
    pub line: usize,
    /// 1-based, in characters.
    pub column: usize,
    /// One past the last character, on the same line.
    pub end_column: usize,
}

impl Place {
    /// `web.yaml:9:5`.
    pub fn describe(&self) -> String {
        let file = self.file.as_deref().unwrap_or(STDIN);
        match self.spot {
            Some(Spot { line, column, .. }) => format!("{file}:{line}:{column}"),
            None => file.to_owned(),
        }
    }
}
