//! What is wrong or worrying in a manifest, and where.

use std::ops::Range;

use crate::codes::Code;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
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
#[derive(Debug, Clone, PartialEq, Eq)]
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

/// A place in a text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Which of the inputs.
    pub input: usize,
    /// The input's name; none for standard input.
    pub file: Option<String>,
    /// 1-based.
    pub line: usize,
    /// 1-based, in characters.
    pub column: usize,
    /// One past the last character, on the same line.
    pub end_column: usize,
    /// The line, unless showing it would be unwise.
    pub quote: Option<String>,
    /// The template that the document was rendered from, as Helm notes it.
    pub template: Option<String>,
}

impl Place {
    /// `web.yaml:9:5`.
    pub fn describe(&self) -> String {
        let file = self.file.as_deref().unwrap_or("standard input");
        format!("{file}:{}:{}", self.line, self.column)
    }
}

/// The line that a span begins in: its number from 1, the columns of the span in it from 1, and its text. Lines and
/// columns are those of editors: characters, tabs among them.
pub fn line_of(text: &str, span: &Range<usize>) -> (usize, Range<usize>, String) {
    let before = text.get(..span.start).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let rest = text.get(line_start..).unwrap_or_default();
    let line = rest.split('\n').next().unwrap_or_default().trim_end_matches('\r');
    let characters = |bytes: Range<usize>| text.get(bytes).unwrap_or_default().chars().count();
    let end = span.end.min(line_start + line.len()).max(span.start);
    let first = characters(line_start..span.start) + 1;
    let number = before.matches('\n').count() + 1;
    (number, first..first + characters(span.start..end), line.trim_start_matches('\u{feff}').to_owned())
}

#[cfg(test)]
mod tests {
    use super::line_of;

    #[test]
    fn lines_and_columns_are_those_of_editors() {
        let text = "é: 1\r\n\tab: cde\nlast";
        assert_eq!(line_of(text, &(0..2)), (1, 1..2, "é: 1".to_owned()));
        let at = text.find("cde").unwrap();
        assert_eq!(line_of(text, &(at..at + 3)), (2, 6..9, "\tab: cde".to_owned()));
        assert_eq!(line_of(text, &(at..text.len())), (2, 6..9, "\tab: cde".to_owned()));
        assert_eq!(line_of(text, &(text.len()..text.len())), (3, 5..5, "last".to_owned()));
    }
}
