//! Manifests, one by one, each with where it stands.

use std::{cell::OnceCell, rc::Rc};

use serde_json::Value;

use super::{Document, object};
use crate::{
    esc::path::{Path, Segment},
    manifest::stream::{Stream, StreamError},
    yaml::{self, Node, NodeKind},
};

/// A text to read.
#[derive(Debug, Clone)]
pub struct Input {
    /// Its name, for messages.
    pub name: String,
    /// YAML documents or JSON values.
    pub text: String,
}

/// A text is no stream of manifests.
#[derive(Debug, thiserror::Error)]
#[error("{name}: {source}")]
pub struct InputError {
    name: String,
    source: StreamError,
}

/// One object.
#[derive(Debug)]
pub struct Manifest {
    /// The text that it came in.
    pub file: String,
    /// What it says.
    pub value: Value,
    /// The document, if it is YAML; a list's objects share theirs.
    text: Option<Rc<Text>>,
    /// Its place in the list that the document is.
    item: Option<usize>,
}

/// A document as it is written.
#[derive(Debug)]
struct Text {
    whole: String,
    lines_before: usize,
    /// Read for the first place that is looked for.
    root: OnceCell<Option<Node>>,
}

impl Text {
    fn root(&self) -> Option<&Node> {
        let read = || yaml::parse(&self.whole).ok()?.into_iter().next();
        self.root.get_or_init(read).as_ref()
    }
}

/// Reads every object; lists are taken apart.
pub fn read(inputs: &[Input]) -> Result<Vec<Manifest>, InputError> {
    let mut all = Vec::new();
    for Input { name, text } in inputs {
        let stream = Stream::read(text).map_err(|source| InputError { name: name.clone(), source })?;
        for document in stream.documents() {
            let text = (!stream.is_json()).then(|| {
                let (whole, lines_before) = (document.text().to_owned(), document.lines_before());
                Rc::new(Text { whole, lines_before, root: OnceCell::new() })
            });
            let one = |value: &Value, item| Manifest {
                file: name.clone(),
                value: value.clone(),
                text: text.clone(),
                item,
            };
            let is_list = object::text(&document.value, "/kind").is_some_and(|kind| kind.ends_with("List"));
            let items = document.value.get("items").and_then(Value::as_array).filter(|_| is_list);
            match items.or_else(|| document.value.as_array()) {
                Some(items) => {
                    all.extend(items.iter().enumerate().map(|(index, item)| one(item, Some(index))));
                }
                None => all.push(one(&document.value, None)),
            }
        }
    }
    Ok(all)
}

impl Manifest {
    /// `ExternalSecret shop/db`, for messages.
    pub fn name(&self) -> String {
        object::name(&self.value)
    }

    /// The object as it came in.
    pub fn document(&self) -> Document {
        let text = self.text.as_ref().filter(|_| self.item.is_none()).map(|text| text.whole.clone());
        Document { comment: String::new(), value: self.value.clone(), text }
    }

    /// The line of a field, or of the nearest part of it that is there, counted from 1.
    pub fn line(&self, field: &str) -> Option<usize> {
        let text = self.text.as_ref()?;
        let mut node = text.root()?;
        let mut line = node.start.line;
        if let Some(index) = self.item {
            let items =
                if matches!(node.kind, NodeKind::Sequence(..)) { node } else { member(node, "items")?.1 };
            node = element(items, index)?;
            line = node.start.line;
        }
        let path = field.parse::<Path>().ok();
        for segment in path.iter().flat_map(Path::segments) {
            let found = match segment {
                Segment::Key(key) => member(node, key),
                Segment::Index(index) => {
                    let item = usize::try_from(*index).ok().and_then(|index| element(node, index));
                    item.map(|item| (item.start.line, item))
                }
                Segment::Wildcard => None,
            };
            let Some((at, next)) = found else { break };
            (line, node) = (at, next);
        }
        Some(text.lines_before + line)
    }
}

/// The line of a member's key, and its value.
fn member<'a>(node: &'a Node, wanted: &str) -> Option<(usize, &'a Node)> {
    let NodeKind::Mapping(entries, _) = &node.kind else { return None };
    entries.iter().find_map(|(key, value)| match &key.kind {
        NodeKind::Scalar { text, .. } if text == wanted => Some((key.start.line, value)),
        _ => None,
    })
}

fn element(node: &Node, index: usize) -> Option<&Node> {
    let NodeKind::Sequence(items, _) = &node.kind else { return None };
    items.get(index)
}
