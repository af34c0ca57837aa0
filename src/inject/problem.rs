//! Why a pod is refused.

use std::fmt;

use super::subject::Subject;
use crate::codes::Code;

/// One thing that keeps a pod from being injected. Names the thing, the reason and the fix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Stable code.
    pub code: Code,
    /// What it is about: an annotation, a container, a field.
    pub subject: Subject,
    /// What is wrong, and what to write instead.
    pub message: String,
    /// Whether an operator's rule forbids it (403), rather than it being malformed (422).
    pub forbidden: bool,
}

impl Problem {
    /// A thing that is malformed or impossible.
    pub fn invalid(code: Code, subject: impl Into<Subject>, message: impl Into<String>) -> Self {
        Self { code, subject: subject.into(), message: message.into(), forbidden: false }
    }

    /// A thing that an operator's rule forbids.
    pub fn forbidden(code: Code, subject: impl Into<Subject>, message: impl Into<String>) -> Self {
        Self { forbidden: true, ..Self::invalid(code, subject, message) }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("[{}] {}: {}", self.code, self.subject, self.message);
        f.write_str(&shortened(&one_line(&text)))
    }
}

/// A thing that is legal and worrying.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Stable code.
    pub code: Code,
    /// What it is about; the message says it too, where that needs saying.
    pub subject: Subject,
    /// What is worrying.
    pub message: String,
}

impl Warning {
    /// A thing that is legal and worrying.
    pub fn new(code: Code, subject: impl Into<Subject>, message: impl Into<String>) -> Self {
        Self { code, subject: subject.into(), message: message.into() }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] {}", self.code, self.message)
    }
}

/// The text on one line, as it is: control characters, line breaks among them, become spaces, and characters that are
/// not seen or turn others around become visible. One character stays one. Annotations may hold anything, and refusals
/// go to terminals and logs.
pub fn one_line(text: &str) -> String {
    let shown = |c: char| match c {
        '\u{2028}' | '\u{2029}' => ' ',
        _ if c.is_control() => ' ',
        // Soft hyphen, zero-width characters, marks of direction, the byte order mark, tags.
        '\u{ad}'
        | '\u{61c}'
        | '\u{180e}'
        | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}' => char::REPLACEMENT_CHARACTER,
        _ => c,
    };
    text.chars().map(shown).collect()
}

/// A problem may quote a whole annotation: its beginning says what it is about, its end what to do.
fn shortened(text: &str) -> String {
    /// Characters at each end.
    const KEPT: usize = 512;
    let end_of_head = text.char_indices().nth(KEPT).map(|(at, _)| at);
    let start_of_tail = text.char_indices().rev().nth(KEPT - 1).map(|(at, _)| at);
    match (end_of_head, start_of_tail) {
        (Some(head), Some(tail)) if head < tail => {
            format!("{} … {}", text.get(..head).unwrap_or_default(), text.get(tail..).unwrap_or_default())
        }
        _ => text.to_owned(),
    }
}
