//! Property paths: ESC's grammar exactly, plus `.` for the whole environment and wildcards over arrays.

use std::{fmt, num::IntErrorKind, str::FromStr};

use serde::{Deserialize, Serialize};

use super::quote::quote;

/// A parsed property path, which [`super::lookup`] follows. Keeps its text, which is what people wrote and what errors show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Path {
    text: String,
    segments: Vec<Segment>,
}

/// The path of the whole environment.
const WHOLE: &str = ".";

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    /// A key of an object.
    Key(String),
    /// An index of an array. Negative ones parse, and are never found.
    Index(i64),
    /// `*`, `[*]` or `["*"]`: every element of an array, or the key `*` of an object.
    Wildcard,
}

/// Why a text is no path, in the words of the reference parser.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no property path: {reason}")]
pub struct PathError {
    /// What was given.
    pub text: String,
    /// The reference parser's words.
    pub reason: String,
}

impl Path {
    /// The path as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Its steps; none for the whole environment.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }
}

impl FromStr for Path {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let segments = match text {
            WHOLE => Ok(Vec::new()),
            "" => Err(format!("it is empty: use `{WHOLE}` for the whole environment")),
            _ => parse_segments(text),
        };
        match segments {
            Ok(segments) => Ok(Self { text: text.to_owned(), segments }),
            Err(reason) => Err(PathError { text: text.to_owned(), reason }),
        }
    }
}

impl TryFrom<String> for Path {
    type Error = PathError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Path> for String {
    fn from(path: Path) -> Self {
        path.text
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key) => f.write_str(&below_key(key, "")),
            Self::Index(index) => write!(f, "[{index}]"),
            Self::Wildcard => f.write_str("[*]"),
        }
    }
}

/// The text of the path that leads to `key` and on to `rest`. Bare names are those that need no thought.
pub(crate) fn below_key(key: &str, rest: &str) -> String {
    let bare = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let step = if bare { key.to_owned() } else { format!("[\"{}\"]", key.replace('"', "\\\"")) };
    join(&step, rest)
}

/// The text of the path that leads to an element and on to `rest`.
pub(crate) fn below_index(index: usize, rest: &str) -> String {
    join(&format!("[{index}]"), rest)
}

fn join(step: &str, rest: &str) -> String {
    let dot = if rest.is_empty() || rest.starts_with('[') { "" } else { "." };
    format!("{step}{dot}{rest}")
}

/// The reference parser: lenient about `a.[0]`, `a..b` and `a[0]b`, and the empty text is the empty path.
fn parse_segments(text: &str) -> Result<Vec<Segment>, String> {
    if text.starts_with('.') {
        return Err("expected property path to start with a name or index".to_owned());
    }
    let mut segments = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('.') {
            if after.is_empty() {
                return Err("expected property path to end with a name or index".to_owned());
            }
            rest = after;
        } else if let Some(after) = rest.strip_prefix('[') {
            let (segment, after) = bracket(after)?;
            segments.push(segment);
            rest = after;
        } else {
            let (name, after) = rest.split_at(rest.find(['.', '[']).unwrap_or(rest.len()));
            segments.push(key(name.to_owned()));
            rest = after;
        }
    }
    Ok(segments)
}

fn key(name: String) -> Segment {
    if name == "*" { Segment::Wildcard } else { Segment::Key(name) }
}

/// What stands between brackets, after the opening one, and what follows the closing one.
fn bracket(text: &str) -> Result<(Segment, &str), String> {
    if let Some(quoted) = text.strip_prefix('"') {
        let (name, after) = quoted_name(quoted).ok_or("missing closing quote in property name")?;
        let after = after.strip_prefix(']').ok_or("missing closing bracket in property access")?;
        return Ok((key(name), after));
    }
    let (index, after) = text.split_once(']').ok_or("missing closing bracket in array index")?;
    let segment = if index == "*" { Segment::Wildcard } else { Segment::Index(parse_index(index)?) };
    Ok((segment, after))
}

/// A name up to its closing quote, and what follows. Only `\"` is an escape; any other backslash is a character.
fn quoted_name(text: &str) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut rest = text;
    loop {
        let (part, after) = rest.split_once('"')?;
        let Some(part) = part.strip_suffix('\\') else {
            name.push_str(part);
            return Some((name, after));
        };
        name.push_str(part);
        name.push('"');
        rest = after;
    }
}

fn parse_index(text: &str) -> Result<i64, String> {
    text.parse().map_err(|error: std::num::ParseIntError| {
        let problem = match error.kind() {
            IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => "value out of range",
            _ => "invalid syntax",
        };
        let mut quoted = Vec::new();
        quote(&mut quoted, text.as_bytes());
        let quoted = String::from_utf8_lossy(&quoted);
        format!("invalid array index: strconv.ParseInt: parsing {quoted}: {problem}")
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Path, Segment, parse_segments};

    /// What the reference parser answers, one input a line: a JSON string, a tab, and the segments or the error.
    const VECTORS: &str = include_str!("fixtures/property_paths.tsv");

    fn show(text: &str) -> String {
        match parse_segments(text) {
            Err(reason) => format!("error: {reason}"),
            Ok(segments) => {
                let show = |segment: &Segment| match segment {
                    Segment::Key(name) => serde_json::json!(name),
                    Segment::Index(index) => serde_json::json!(index),
                    Segment::Wildcard => serde_json::json!("*"),
                };
                serde_json::Value::Array(segments.iter().map(show).collect()).to_string()
            }
        }
    }

    #[test]
    fn parses_every_vector_of_the_reference_parser() {
        assert_eq!(VECTORS.lines().count(), 118);
        for line in VECTORS.lines() {
            let (input, expected) = line.split_once('\t').unwrap();
            let input: String = serde_json::from_str(input).unwrap();
            assert_eq!(show(&input), expected, "{input:?}");
        }
    }

    #[test]
    fn errors_keep_the_reference_words() {
        let empty = "".parse::<Path>().unwrap_err().to_string();
        assert_eq!(empty, "`` is no property path: it is empty: use `.` for the whole environment");
        let index = "a[b]".parse::<Path>().unwrap_err().to_string();
        assert_eq!(
            index,
            "`a[b]` is no property path: invalid array index: strconv.ParseInt: parsing \"b\": invalid syntax"
        );
    }

    proptest! {
        #[test]
        fn never_panics_and_keeps_its_text(text in "[a-c.*\\[\\]\"\\\\0-9+é -]{0,20}") {
            if let Ok(path) = text.parse::<Path>() {
                let json = serde_json::to_string(&path).unwrap();
                prop_assert_eq!(serde_json::from_str::<Path>(&json).unwrap(), path.clone());
                prop_assert_eq!(path.to_string(), text);
            }
        }

        #[test]
        fn never_panics_on_anything(text in any::<String>()) {
            let _ = text.parse::<Path>();
        }
    }
}
