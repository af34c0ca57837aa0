//! A stream of manifests as text: YAML documents or JSON values. What nobody changed is written as it was read,
//! comments and all.

use serde_json::Value;

use crate::yaml::{self, Dialect, Mark};

/// A stream, cut into documents.
#[derive(Debug)]
pub struct Stream {
    format: Format,
    documents: Vec<Document>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Yaml,
    Json,
}

/// A document: its text and what it says.
#[derive(Debug)]
pub struct Document {
    text: String,
    /// What the document says; null where it says nothing.
    pub value: Value,
    changed: bool,
    lines_before: usize,
}

/// The text is no stream of manifests.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.describe())]
pub struct StreamError {
    /// Where in the stream, as far as it is known; lines and columns from 1, bytes from 0.
    pub mark: Option<Mark>,
    /// What is wrong, without quoting values.
    pub message: String,
}

impl StreamError {
    fn describe(&self) -> String {
        match self.mark {
            Some(Mark { line, column, .. }) => format!("line {line}, column {column}: {}", self.message),
            None => self.message.clone(),
        }
    }
}

/// A document in the text of its stream.
#[derive(Debug)]
pub struct Piece<'a> {
    /// Where it begins, in bytes.
    pub start: usize,
    /// How many lines are before it; of JSON, nobody asks.
    pub lines_before: usize,
    /// Its text, without the marker before it.
    pub text: &'a str,
    /// What it says; null where it says nothing.
    pub value: Result<Value, StreamError>,
}

/// Cuts a stream into its documents. One that can't be read does not keep the others from being read, but for JSON, where
/// nothing says where the next begins.
pub fn pieces(text: &str) -> Vec<Piece<'_>> {
    read(text).1
}

fn read(text: &str) -> (Format, Vec<Piece<'_>>) {
    if !text.trim_start().starts_with(['{', '[']) {
        return (Format::Yaml, yaml_pieces(text));
    }
    let json = json_pieces(text);
    let is_broken = |pieces: &[Piece<'_>]| pieces.iter().any(|piece| piece.value.is_err());
    if is_broken(&json) {
        // YAML may begin so as well.
        let yaml = yaml_pieces(text);
        if !is_broken(&yaml) {
            return (Format::Yaml, yaml);
        }
    }
    (Format::Json, json)
}

fn yaml_pieces(whole: &str) -> Vec<Piece<'_>> {
    cut(whole).into_iter().map(yaml_piece).collect()
}

fn yaml_piece(Cut { start, first_line, text }: Cut<'_>) -> Piece<'_> {
    let located = |error: yaml::YamlError| {
        let Mark { line, column, byte } = error.mark;
        let mark = Mark { line: line + first_line, column, byte: byte + start };
        StreamError { mark: Some(mark), message: error.message }
    };
    let value = || match yaml::parse(text).map_err(located)?.as_slice() {
        [node] => yaml::to_json(node, Dialect::Kubernetes).map_err(located),
        [] => Ok(Value::Null),
        _ => {
            let line = first_line + 1;
            let message = format!(
                "the document that begins at line {line} is followed by another without `---` between them"
            );
            Err(StreamError { mark: None, message })
        }
    };
    Piece { start, lines_before: first_line, text, value: value() }
}

fn json_pieces(text: &str) -> Vec<Piece<'_>> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    let mut pieces = Vec::new();
    loop {
        let start = values.byte_offset();
        let Some(value) = values.next() else { return pieces };
        let end = if value.is_ok() { values.byte_offset() } else { text.len() };
        let is_last = value.is_err();
        let value = value.map_err(|error| json_error(text, &error));
        pieces.push(Piece { start, lines_before: 0, text: text.get(start..end).unwrap_or_default(), value });
        if is_last {
            return pieces;
        }
    }
}

/// The error where it stands: what reads JSON counts columns in bytes, and zero is before the first.
fn json_error(text: &str, error: &serde_json::Error) -> StreamError {
    let (line, column) = (error.line().max(1), error.column());
    let whole = error.to_string();
    let message = match whole.rsplit_once(" at line ").map_or(whole.as_str(), |(message, _)| message) {
        // As deep as YAML may be.
        "recursion limit exceeded" => "nested deeper than 128 levels".to_owned(),
        message => message.to_owned(),
    };
    let start: usize = text.split_inclusive('\n').take(line - 1).map(str::len).sum();
    let rest = text.get(start..).unwrap_or_default();
    let rest = rest.split('\n').next().unwrap_or_default();
    let before = column.saturating_sub(1);
    let byte = rest.char_indices().map(|(at, _)| at).take_while(|at| *at <= before).last().unwrap_or(0);
    let column = rest.get(..byte).unwrap_or_default().chars().count() + 1;
    StreamError { mark: Some(Mark { line, column, byte: start + byte }), message }
}

impl Document {
    /// Replaces what the document says.
    pub fn replace(&mut self, value: Value) {
        self.changed |= self.value != value;
        self.value = value;
    }

    /// The document as it was read; empty for JSON.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// How many lines of the stream stand before the document's text.
    pub fn lines_before(&self) -> usize {
        self.lines_before
    }
}

impl Stream {
    /// Reads a stream.
    pub fn read(text: &str) -> Result<Self, StreamError> {
        let (format, pieces) = read(text);
        let changed = format == Format::Json;
        let document = |Piece { text, value, lines_before, .. }: Piece<'_>| {
            Ok(Document { text: text.to_owned(), value: value?, changed, lines_before })
        };
        Ok(Self { format, documents: pieces.into_iter().map(document).collect::<Result<_, _>>()? })
    }

    /// Its documents, for changing.
    pub fn documents_mut(&mut self) -> &mut [Document] {
        &mut self.documents
    }

    /// Its documents.
    pub fn documents(&self) -> &[Document] {
        &self.documents
    }

    /// Whether it is JSON, whose values need nothing between them.
    pub fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// The stream in its own format.
    pub fn write(&self) -> String {
        let mut out = String::new();
        for (index, document) in self.documents.iter().enumerate() {
            match self.format {
                Format::Json => {
                    // Writing a value that came from text can't fail.
                    out.push_str(&serde_json::to_string_pretty(&document.value).unwrap_or_default());
                    out.push('\n');
                }
                Format::Yaml => {
                    if index > 0 {
                        out.push_str("---\n");
                    }
                    if document.changed {
                        out.push_str(&yaml::emit(&document.value));
                    } else {
                        out.push_str(&document.text);
                    }
                    if !out.ends_with('\n') && !out.is_empty() {
                        out.push('\n');
                    }
                }
            }
        }
        out
    }
}

/// A piece of a YAML stream.
struct Cut<'a> {
    /// Where it begins, in bytes.
    start: usize,
    /// How many lines are before it.
    first_line: usize,
    text: &'a str,
}

/// Cuts a YAML stream at its document markers, which can stand nowhere else at the beginning of a line.
fn cut(text: &str) -> Vec<Cut<'_>> {
    let is_marker = |line: &str| {
        line.strip_prefix("---")
            .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
    };
    let mut pieces = Vec::new();
    let (mut start, mut first_line, mut at) = (0, 0, 0);
    for (number, line) in text.split_inclusive('\n').enumerate() {
        if is_marker(line) {
            pieces.push(Cut { start, first_line, text: text.get(start..at).unwrap_or_default() });
            // Content may follow the marker on its line; a comment or nothing usually does.
            let content = line.get(3..).unwrap_or_default();
            let is_bare = content.trim().is_empty() || content.trim_start().starts_with('#');
            (start, first_line) = if is_bare { (at + line.len(), number + 1) } else { (at + 3, number) };
        }
        at += line.len();
    }
    pieces.push(Cut { start, first_line, text: text.get(start..).unwrap_or_default() });
    // A stream may begin with a marker.
    if pieces.len() > 1 && pieces.first().is_some_and(|piece| piece.text.trim().is_empty()) {
        pieces.remove(0);
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_changed_is_written_as_it_was_read() {
        for text in [
            "# a comment\nkind: A\n---\n# another\nkind: B   # and one\n",
            "kind: A\n---\n---\nkind: B\n",
            "a: |\n  --- not a marker\n  x\n",
        ] {
            assert_eq!(Stream::read(text).expect("a stream").write(), text);
        }
    }

    #[test]
    fn errors_name_the_line_in_the_whole_stream() {
        let error = Stream::read("kind: A\n---\nkind: B\n---\nkind: [\n").expect_err("broken");
        assert!(error.to_string().starts_with("line "), "{error}");
        let line: usize = error.to_string()[5..].split(',').next().unwrap().parse().unwrap();
        assert!(line >= 5, "{error}");
    }

    #[test]
    fn changed_documents_keep_their_place() {
        let mut stream = Stream::read("---\nkind: A\n---\nkind: B # kept\n---\nkind: C\n").expect("a stream");
        stream.documents_mut()[0].replace(serde_json::json!({"kind": "Z"}));
        assert_eq!(stream.write(), "kind: Z\n---\nkind: B # kept\n---\nkind: C\n");
    }

    #[test]
    fn errors_of_json_have_their_place_too() {
        for (text, line, column, byte) in [
            ("{\n  \"é\": 1,,\n}", 2, 10, 12),
            ("{\"kind\": \"Pod\"", 1, 14, 13),
            ("{}\n{\"a\": x}", 2, 7, 9),
            ("[\n", 2, 1, 2),
        ] {
            let error = pieces(text).pop().expect("a piece").value.expect_err("broken");
            assert_eq!(error.mark, Some(Mark { line, column, byte }), "{text}: {error}");
            assert!(!error.message.contains(" line "), "{error}");
        }
    }

    #[test]
    fn whatever_is_too_deep_is_told_in_the_same_words() {
        for text in ["{\"a\":".repeat(1000), "- ".repeat(1000)] {
            let error = Stream::read(&text).expect_err("too deep");
            assert_eq!(error.message, "nested deeper than 128 levels");
        }
    }

    #[test]
    fn json_stays_json_with_its_numbers_and_order() {
        let text = "{\n  \"z\": 12345678901234567890123,\n  \"a\": 1.50\n}\n";
        assert_eq!(Stream::read(text).expect("a stream").write(), text);
    }
}
