//! Where in the text of a manifest something stands: a field by its path, and ([`subject()`]) what a problem is about. Pure.
//!
//! Values are read as JSON, which has no positions; whoever has found something wrong comes here with the path and the
//! document's text. A manifest without findings is never read a second time.

use std::{
    borrow::Cow,
    cell::{OnceCell, RefCell},
    collections::BTreeMap,
    ops::Range,
    rc::Rc,
};

use index::Index;
use inside::{Inner, is_block};

use crate::yaml::{self, Node, NodeKind};

mod index;
mod inside;
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
    text: Cow<'a, str>,
    start: usize,
    /// Whether aliases are followed. Those of a document that was expanded lead somewhere and end; of others nobody knows.
    expands: bool,
    /// Read for the first place that is looked for.
    root: OnceCell<Option<Node>>,
    index: OnceCell<Index>,
    /// Documents that stand in fields of this one, by where their fields begin.
    inner: RefCell<BTreeMap<usize, Rc<Inner>>>,
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
        Self::of(text.into(), start)
    }

    fn of(text: Cow<'a, str>, start: usize) -> Self {
        let (root, index, inner) = (OnceCell::new(), OnceCell::new(), RefCell::default());
        Self { text, start, expands: true, root, index, inner }
    }

    fn root(&self) -> Option<&Node> {
        let read = || yaml::parse(&self.text).ok().and_then(|nodes| nodes.into_iter().next());
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
    pub fn written(&self, path: &[Step]) -> Option<&str> {
        let value = self.find(path)?.value;
        self.text.get(value.start.byte..value.end.byte)
    }

    fn shift(&self, span: &Span) -> Span {
        span.start + self.start..span.end + self.start
    }

    fn find(&self, path: &[Step]) -> Option<Field<'_>> {
        let root = self.root()?;
        path.iter().try_fold(Field { key: None, value: root }, |field, step| self.enter(field.value, step))
    }

    fn index(&self) -> Option<&Index> {
        let root = self.root()?;
        Some(self.index.get_or_init(|| Index::of(root)))
    }

    /// A member or element of a node, through aliases and merge keys.
    fn enter<'n>(&'n self, node: &'n Node, step: &Step) -> Option<Field<'n>> {
        let node = self.target(node)?;
        match (&node.kind, step) {
            (NodeKind::Sequence(items, _), Step::Index(index)) => {
                items.get(*index).map(|value| Field { key: None, value })
            }
            (NodeKind::Mapping(entries, _), Step::Key(name)) => {
                let own = self.index()?.entry(node, entries, name);
                if let Some((key, value)) = own {
                    return Some(Field { key: Some(key), value });
                }
                self.index()?.entry(node, entries, "<<")?;
                let merged = entries.iter().filter(|(key, _)| text_of(key) == Some("<<"));
                merged.map(|(_, value)| value).find_map(|value| match &self.target(value)?.kind {
                    NodeKind::Sequence(items, _) => items.iter().find_map(|item| self.enter(item, step)),
                    _ => self.enter(value, step),
                })
            }
            _ => None,
        }
    }

    /// What an alias stands for. An alias of an alias can't be written, and one that contains itself was refused.
    fn target<'n>(&'n self, node: &'n Node) -> Option<&'n Node> {
        match node.kind {
            NodeKind::Alias(_) if !self.expands => None,
            NodeKind::Alias(anchor) => self.index()?.anchored(self.root()?, anchor),
            _ => Some(node),
        }
    }

    fn span(&self, field: Field<'_>, part: Part) -> Span {
        let span = |node: &Node| node.start.byte..node.end.byte;
        let whole = span(field.value);
        let is_short = !whole.is_empty()
            && self.text.get(whole.clone()).is_some_and(|text| !text.trim_end().contains('\n'))
            && !is_block(&self.text, field.value);
        match (part, field.key) {
            (Part::Value, _) if is_short => whole,
            (_, Some(key)) => span(key),
            (_, None) => {
                let first = self.text.get(whole.clone()).and_then(|text| text.lines().next());
                whole.start..whole.start + first.unwrap_or_default().trim_end().len()
            }
        }
    }
}

fn text_of(node: &Node) -> Option<&str> {
    if let NodeKind::Scalar { text, .. } = &node.kind { Some(text) } else { None }
}
