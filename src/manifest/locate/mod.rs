//! Where in the text of a manifest something stands: a field by its path, and ([`subject()`]) what a problem is about. Pure.
//!
//! Values are read as JSON, which has no positions; whoever has found something wrong comes here with the path and the
//! document's text. A manifest without findings is never read a second time.

use std::{cell::OnceCell, ops::Range};

use crate::{
    inject::subject::Focus,
    yaml::{self, Node, NodeKind},
};

mod subject;

pub use subject::{Home, Place, subject};

/// A step on the way to a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A member of an object.
    Key(String),
    /// An element of a list.
    Index(usize),
}

impl From<&str> for Step {
    fn from(key: &str) -> Self {
        Self::Key(key.to_owned())
    }
}

/// What of a field is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Its key.
    Key,
    /// Its value, where that stands on one line; else its key.
    Value,
}

/// The nodes of one document, and where its text begins in the whole.
#[derive(Debug)]
pub struct Locator<'a> {
    text: &'a str,
    start: usize,
    /// Whether aliases are followed. Those of a document that was expanded lead somewhere and end; of others nobody knows.
    expands: bool,
    /// Read for the first place that is looked for.
    root: OnceCell<Option<Node>>,
}

/// A field: its key, where it has one, and its value.
#[derive(Clone, Copy)]
struct Field<'n> {
    key: Option<&'n Node>,
    value: &'n Node,
}

/// Bytes of the whole text.
pub type Span = Range<usize>;

impl<'a> Locator<'a> {
    /// Of a document that was read before; of one that YAML can't read (a stream of JSON may have such) only the
    /// beginning is known.
    pub fn new(text: &'a str, start: usize) -> Self {
        Self { text, start, expands: true, root: OnceCell::new() }
    }

    fn root(&self) -> Option<&Node> {
        let read = || yaml::parse(self.text).ok().and_then(|nodes| nodes.into_iter().next());
        self.root.get_or_init(read).as_ref()
    }

    /// Where the document's content begins.
    pub fn beginning(&self) -> Span {
        let from = self.root().map_or(0, |root| root.start.byte);
        let line = self.text.get(from..).and_then(|rest| rest.lines().next()).unwrap_or_default();
        let from = from + self.start;
        from..from + line.trim_end().len()
    }

    /// A field by its path; none if it is not there.
    pub fn field(&self, path: &[Step], part: Part) -> Option<Span> {
        let field = self.find(path)?;
        Some(self.shift(&self.span(field, part)))
    }

    /// The longest part of a path that is there.
    pub fn nearest(&self, path: &[Step]) -> Span {
        let mut parts = (1..=path.len()).rev().filter_map(|length| path.get(..length));
        parts.find_map(|part| self.field(part, Part::Value)).unwrap_or_else(|| self.beginning())
    }

    /// The text of a field's value as it is written.
    pub fn written(&self, path: &[Step]) -> Option<&'a str> {
        let value = self.find(path)?.value;
        self.text.get(value.start.byte..value.end.byte)
    }

    fn shift(&self, span: &Span) -> Span {
        span.start + self.start..span.end + self.start
    }

    fn find(&self, path: &[Step]) -> Option<Field<'_>> {
        let root = self.root()?;
        let anchors = self.anchors();
        path.iter()
            .try_fold(Field { key: None, value: root }, |field, step| enter(anchors, field.value, step))
    }

    /// Where the targets of aliases are.
    fn anchors(&self) -> Option<&Node> {
        self.root().filter(|_| self.expands)
    }

    fn span(&self, field: Field<'_>, part: Part) -> Span {
        let span = |node: &Node| node.start.byte..node.end.byte;
        let whole = span(field.value);
        let is_short = !whole.is_empty()
            && self.text.get(whole.clone()).is_some_and(|text| !text.trim_end().contains('\n'))
            && !is_block(self.text, field.value);
        match (part, field.key) {
            (Part::Value, _) if is_short => whole,
            (_, Some(key)) => span(key),
            (_, None) => {
                let first = self.text.get(whole.clone()).and_then(|text| text.lines().next());
                whole.start..whole.start + first.unwrap_or_default().trim_end().len()
            }
        }
    }

    /// A place in a document that stands in a field as text, such as the annotation `config`.
    fn inside(&self, path: &[Step], at: &[String], focus: &Focus, part: Part) -> Option<Span> {
        let holder = self.find(path)?.value;
        let NodeKind::Scalar { text, .. } = &holder.kind else { return None };
        let (byte, length) = match focus {
            Focus::Mark(mark) => {
                // Up to the end of the line, and never nothing.
                let rest = text.get(mark.byte..).and_then(|rest| rest.lines().next()).unwrap_or_default();
                (mark.byte, rest.trim_end().len())
            }
            _ => {
                // ESC's dialect has no aliases, so that it was read without following them, if it was read at all.
                let inner = Locator { expands: false, ..Locator::new(text, 0) };
                let mut steps: Vec<Step> = at.iter().map(|key| Step::Key(key.clone())).collect();
                let part = match focus {
                    Focus::Key(key) => {
                        steps.push(Step::Key(key.clone()));
                        Part::Key
                    }
                    Focus::Element(index) => {
                        steps.push(Step::Index(*index));
                        Part::Value
                    }
                    Focus::Whole | Focus::Mark(_) => part,
                };
                // The short form of an entry has no keys: what is wrong with its path stands at the entry.
                let entry = (steps.len() > 2).then(|| steps.get(..2)).flatten();
                let span = inner.field(&steps, part).or_else(|| inner.field(entry?, Part::Value))?;
                (span.start, span.len())
            }
        };
        let start = outer(self.text, holder, text, byte)?;
        let length = self.text.get(start..)?.lines().next().map_or(0, |line| line.len().min(length));
        Some(self.shift(&(start..start + length)))
    }
}

/// A member or element of a node, through aliases and merge keys.
fn enter<'n>(anchors: Option<&'n Node>, node: &'n Node, step: &Step) -> Option<Field<'n>> {
    let node = target(anchors, node)?;
    match (&node.kind, step) {
        (NodeKind::Sequence(items, _), Step::Index(index)) => {
            items.get(*index).map(|value| Field { key: None, value })
        }
        (NodeKind::Mapping(entries, _), Step::Key(name)) => {
            let own = entries.iter().find(|(key, _)| text_of(key) == Some(name));
            if let Some((key, value)) = own {
                return Some(Field { key: Some(key), value });
            }
            let merged = entries.iter().filter(|(key, _)| text_of(key) == Some("<<"));
            merged.map(|(_, value)| value).find_map(|value| match &target(anchors, value)?.kind {
                NodeKind::Sequence(items, _) => items.iter().find_map(|item| enter(anchors, item, step)),
                _ => enter(anchors, value, step),
            })
        }
        _ => None,
    }
}

/// What an alias stands for. An alias of an alias can't be written, and one that contains itself was refused.
fn target<'n>(anchors: Option<&'n Node>, node: &'n Node) -> Option<&'n Node> {
    match node.kind {
        NodeKind::Alias(anchor) => anchored(anchors?, anchor),
        _ => Some(node),
    }
}

fn anchored(node: &Node, wanted: usize) -> Option<&Node> {
    let is_it = |anchor: &Option<usize>| *anchor == Some(wanted);
    match &node.kind {
        NodeKind::Scalar { anchor, .. } => is_it(anchor).then_some(node),
        NodeKind::Alias(_) => None,
        NodeKind::Sequence(_, anchor) | NodeKind::Mapping(_, anchor) if is_it(anchor) => Some(node),
        NodeKind::Sequence(items, _) => items.iter().find_map(|item| anchored(item, wanted)),
        NodeKind::Mapping(entries, _) => {
            entries.iter().find_map(|(key, value)| anchored(key, wanted).or_else(|| anchored(value, wanted)))
        }
    }
}

fn text_of(node: &Node) -> Option<&str> {
    if let NodeKind::Scalar { text, .. } = &node.kind { Some(text) } else { None }
}

/// Whether a scalar stands in a block of lines of its own.
fn is_block(text: &str, node: &Node) -> bool {
    let NodeKind::Scalar { plain: false, .. } = node.kind else { return false };
    !text.get(node.start.byte..).is_some_and(|rest| rest.starts_with(['"', '\'']))
}

/// Where a byte of a scalar's text stands in the document that it is written in; none where the two differ, as in a
/// folded block or behind escapes.
fn outer(document: &str, node: &Node, text: &str, byte: usize) -> Option<usize> {
    let written = document.get(node.start.byte..)?;
    if !is_block(document, node) {
        let start = node.start.byte + usize::from(written.starts_with(['"', '\'']));
        return (document.get(start..start + text.len())? == text).then_some(start + byte);
    }
    // The byte in its own line, and the line's number from the first that has content.
    let line_start = text.get(..byte)?.rfind('\n').map_or(0, |newline| newline + 1);
    let line = text.get(line_start..)?.split('\n').next()?;
    let blank = text.len() - text.trim_start_matches('\n').len();
    let number = text.get(blank..line_start).unwrap_or_default().matches('\n').count();
    // The parser's mark may stand at the block's header or at its content.
    let content = if written.starts_with(['|', '>']) {
        node.start.byte + written.find('\n')? + 1
    } else {
        document.get(..node.start.byte)?.rfind('\n')? + 1
    };
    let rest = document.get(content..)?;
    let first = content + (rest.len() - rest.trim_start_matches(['\n', '\r', ' ']).len());
    let first = document.get(..first)?.rfind('\n')? + 1;
    let mut lines = document.get(first..)?.split_inclusive('\n');
    let before: usize = lines.by_ref().take(number).map(str::len).sum();
    let found = lines.next()?;
    let indent = found.trim_end_matches(['\n', '\r']).strip_suffix(line)?;
    indent.bytes().all(|byte| byte == b' ').then_some(first + before + indent.len() + (byte - line_start))
}
