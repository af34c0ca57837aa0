//! A stream of manifests as text: YAML documents or JSON values. What nobody changed is written as it was read,
//! comments and all.

use serde_json::Value;

use crate::yaml::{self, Dialect};

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
#[error("{0}")]
pub struct StreamError(String);

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
        if !text.trim_start().starts_with(['{', '[']) {
            return Self::read_yaml(text);
        }
        // YAML may begin so as well.
        Self::read_json(text).or_else(|error| Self::read_yaml(text).map_err(|_| error))
    }

    fn read_yaml(text: &str) -> Result<Self, StreamError> {
        let mut documents = Vec::new();
        for (first_line, text) in cut(text) {
            let located = |error: yaml::YamlError| {
                let line = error.mark.line + first_line;
                StreamError(format!("line {line}, column {}: {}", error.mark.column, error.message))
            };
            let nodes = yaml::parse(text).map_err(located)?;
            let value = match nodes.as_slice() {
                [node] => yaml::to_json(node, Dialect::Kubernetes).map_err(located)?,
                [] => Value::Null,
                _ => {
                    let line = first_line + 1;
                    return Err(StreamError(format!(
                        "the document that begins at line {line} is followed by another without `---` between them"
                    )));
                }
            };
            documents.push(Document {
                text: text.to_owned(),
                value,
                changed: false,
                lines_before: first_line,
            });
        }
        Ok(Self { format: Format::Yaml, documents })
    }

    fn read_json(text: &str) -> Result<Self, StreamError> {
        let values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
        let documents = values
            .map(|value| {
                value.map(|value| Document { text: String::new(), value, changed: true, lines_before: 0 })
            })
            .collect::<Result<_, _>>()
            .map_err(|error| StreamError(error.to_string()))?;
        Ok(Self { format: Format::Json, documents })
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

/// Cuts a YAML stream at its document markers, which can stand nowhere else at the beginning of a line; each piece
/// comes with the number of lines before it.
fn cut(text: &str) -> Vec<(usize, &str)> {
    let is_marker = |line: &str| {
        line.strip_prefix("---")
            .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
    };
    let mut pieces = Vec::new();
    let (mut start, mut first_line, mut at) = (0, 0, 0);
    for (number, line) in text.split_inclusive('\n').enumerate() {
        if is_marker(line) {
            pieces.push((first_line, text.get(start..at).unwrap_or_default()));
            // Content may follow the marker on its line; a comment or nothing usually does.
            let content = line.get(3..).unwrap_or_default();
            let is_bare = content.trim().is_empty() || content.trim_start().starts_with('#');
            (start, first_line) = if is_bare { (at + line.len(), number + 1) } else { (at + 3, number) };
        }
        at += line.len();
    }
    pieces.push((first_line, text.get(start..).unwrap_or_default()));
    // A stream may begin with a marker.
    if pieces.len() > 1 && pieces.first().is_some_and(|(_, text)| text.trim().is_empty()) {
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
    fn json_stays_json_with_its_numbers_and_order() {
        let text = "{\n  \"z\": 12345678901234567890123,\n  \"a\": 1.50\n}\n";
        assert_eq!(Stream::read(text).expect("a stream").write(), text);
    }
}
