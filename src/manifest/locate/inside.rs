//! A document that stands in a field as text, such as the annotation `config`: where its places are in the whole.

use std::rc::Rc;

use super::{Locator, Part, Span, Step};
use crate::{
    inject::subject::Focus,
    yaml::{Node, NodeKind},
};

/// Such a document, read for the first place in it.
#[derive(Debug)]
pub struct Inner {
    locator: Locator<'static>,
    way: Way,
}

/// From a byte of the text to a byte of the document that it is written in.
#[derive(Debug)]
enum Way {
    /// It is written as it is, from here on.
    Same(usize),
    /// It is a block, whose lines are indented.
    Block {
        /// Where lines begin in the text.
        own: Vec<usize>,
        /// How many of them are blank before the first with content.
        blank: usize,
        /// Where lines begin in the document, from the first with content.
        written: Vec<usize>,
    },
    /// The two differ.
    Unknown,
}

impl Locator<'_> {
    /// A place in a document that stands in a field as text.
    pub(super) fn inside(&self, path: &[Step], at: &[String], focus: &Focus, part: Part) -> Option<Span> {
        let holder = self.find(path)?.value;
        let NodeKind::Scalar { text, .. } = &holder.kind else { return None };
        let inner = self.inner(holder, text);
        let (byte, length) = inner.place(at, focus, part)?;
        let start = inner.way.outer(&self.text, text, byte)?;
        let length = self.text.get(start..)?.lines().next().map_or(0, |line| line.len().min(length));
        Some(self.shift(&(start..start + length)))
    }

    fn inner(&self, holder: &Node, text: &str) -> Rc<Inner> {
        let new = || {
            // ESC's dialect has no aliases, so that it was read without following them, if it was read at all.
            let locator = Locator { expands: false, ..Locator::of(text.to_owned().into(), 0) };
            Rc::new(Inner { locator, way: Way::of(&self.text, holder, text) })
        };
        Rc::clone(self.inner.borrow_mut().entry(holder.start.byte).or_insert_with(new))
    }
}

impl Inner {
    /// Byte and length in its own text.
    fn place(&self, at: &[String], focus: &Focus, part: Part) -> Option<(usize, usize)> {
        let mut steps: Vec<Step> = at.iter().map(|key| Step::Key(key.clone())).collect();
        let part = match focus {
            Focus::Mark(mark) => {
                // Up to the end of the line, and never nothing.
                let rest = self.locator.text.get(mark.byte..).and_then(|rest| rest.lines().next());
                return Some((mark.byte, rest.unwrap_or_default().trim_end().len()));
            }
            Focus::Key(key) => {
                steps.push(Step::Key(key.clone()));
                Part::Key
            }
            Focus::Element(index) => {
                steps.push(Step::Index(*index));
                Part::Value
            }
            Focus::Whole => part,
        };
        // The short form of an entry has no keys: what is wrong with its path stands at the entry.
        let entry = (steps.len() > 2).then(|| steps.get(..2)).flatten();
        let span = self.locator.field(&steps, part).or_else(|| self.locator.field(entry?, Part::Value))?;
        Some((span.start, span.len()))
    }
}

impl Way {
    fn of(document: &str, node: &Node, text: &str) -> Self {
        if is_block(document, node) {
            return Self::block(document, node, text).unwrap_or(Self::Unknown);
        }
        let is_quoted = document.get(node.start.byte..).is_some_and(|rest| rest.starts_with(['"', '\'']));
        let start = node.start.byte + usize::from(is_quoted);
        // Behind escapes, and where lines are folded, it is not.
        let is_same = document.get(start..).is_some_and(|rest| rest.starts_with(text));
        if is_same { Self::Same(start) } else { Self::Unknown }
    }

    fn block(document: &str, node: &Node, text: &str) -> Option<Self> {
        let own = lines(text, 0);
        let blank = text.len() - text.trim_start_matches('\n').len();
        // The parser's mark may stand at the block's header or at its content.
        let written = document.get(node.start.byte..)?;
        let content = if written.starts_with(['|', '>']) {
            node.start.byte + written.find('\n')? + 1
        } else {
            document.get(..node.start.byte)?.rfind('\n')? + 1
        };
        let rest = document.get(content..)?;
        let first = content + (rest.len() - rest.trim_start_matches(['\n', '\r', ' ']).len());
        let first = document.get(..first)?.rfind('\n')? + 1;
        let end = node.end.byte.max(first);
        let written = lines(document.get(first..end)?, first);
        Some(Self::Block { own, blank, written })
    }

    /// None where the two differ, as in a folded block.
    fn outer(&self, document: &str, text: &str, byte: usize) -> Option<usize> {
        match self {
            Self::Same(start) => Some(start + byte),
            Self::Block { own, blank, written } => {
                let line = own.partition_point(|start| *start <= byte).checked_sub(1)?;
                let start = *own.get(line)?;
                let line_of = |text: &str, start: usize| -> Option<Span> {
                    let length = text.get(start..)?.split('\n').next()?.len();
                    Some(start..start + length)
                };
                let own = text.get(line_of(text, start)?)?;
                let at = *written.get(line.saturating_sub(*blank))?;
                let found = document.get(line_of(document, at)?)?;
                let indent = found.trim_end_matches('\r').strip_suffix(own)?;
                indent.bytes().all(|byte| byte == b' ').then_some(at + indent.len() + (byte - start))
            }
            Self::Unknown => None,
        }
    }
}

/// Where lines begin.
fn lines(text: &str, from: usize) -> Vec<usize> {
    std::iter::once(from).chain(text.match_indices('\n').map(|(at, _)| from + at + 1)).collect()
}

/// Whether a scalar stands in a block of lines of its own.
pub fn is_block(text: &str, node: &Node) -> bool {
    let NodeKind::Scalar { plain: false, .. } = node.kind else { return false };
    !text.get(node.start.byte..).is_some_and(|rest| rest.starts_with(['"', '\'']))
}
