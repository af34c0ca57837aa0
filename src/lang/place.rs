//! Where something stands in a definition, and what its path is there.
//!
//! A path is only needed when something is wrong, so it is kept as links to the parents and spelled out on
//! demand: spelling it for every node of a deep document would cost its depth each time.

use std::{fmt::Write, sync::Arc};

use crate::yaml::{Mark, Node as YamlNode};

/// A part of a definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    /// The name under which the environment is evaluated, with its version.
    pub environment: Arc<str>,
    /// First character.
    pub begin: Mark,
    /// One past the last character.
    pub end: Mark,
}

impl Range {
    /// Where a node stands.
    pub fn of(environment: &Arc<str>, node: &YamlNode) -> Self {
        Self { environment: Arc::clone(environment), begin: node.start, end: node.end }
    }

    /// The very beginning of a document.
    pub fn start_of(environment: &Arc<str>) -> Self {
        Self::at(environment, Mark { line: 1, column: 1, byte: 0 })
    }

    /// A single point.
    pub fn at(environment: &Arc<str>, mark: Mark) -> Self {
        Self { environment: Arc::clone(environment), begin: mark, end: mark }
    }
}

/// A node of a definition. Cheap to copy.
#[derive(Debug, Clone)]
pub struct Place(Arc<Node>);

#[derive(Debug)]
struct Node {
    range: Range,
    up: Option<(Place, Step)>,
}

/// One step from a node to one below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A property.
    Key(Arc<str>),
    /// An element of a list.
    Index(usize),
}

impl Place {
    /// The node itself, without its document.
    pub fn root(range: Range) -> Self {
        Self(Arc::new(Node { range, up: None }))
    }

    /// A node below this one.
    pub(super) fn below(&self, step: Step, range: Range) -> Self {
        Self(Arc::new(Node { range, up: Some((self.clone(), step)) }))
    }

    /// The same path, at another part of the text.
    pub(super) fn at(&self, range: Range) -> Self {
        Self(Arc::new(Node { range, up: self.0.up.clone() }))
    }

    /// What it spans.
    pub fn range(&self) -> &Range {
        &self.0.range
    }

    /// The path from the top of the document, such as `values.a["b c"][0]`.
    pub fn path(&self) -> String {
        let mut out = String::new();
        self.steps().into_iter().for_each(|step| step.push_to(&mut out));
        out
    }

    /// The path as a reference would spell it, such as `a["b c"][0]`: from below `values`, and its first name as it is.
    pub(super) fn reference(&self) -> String {
        let mut out = String::new();
        for step in self.steps().into_iter().skip(1) {
            match step {
                Step::Key(key) if out.is_empty() => out.push_str(key),
                step => step.push_to(&mut out),
            }
        }
        out
    }

    fn steps(&self) -> Vec<&Step> {
        // From the bottom up; as many as the document nests.
        let mut steps = Vec::new();
        let mut place = self;
        while let Some((up, step)) = &place.0.up {
            steps.push(step);
            place = up;
        }
        steps.reverse();
        steps
    }
}

impl Step {
    fn push_to(&self, path: &mut String) {
        match self {
            Self::Key(key) => push_key(path, key),
            Self::Index(index) => push_index(path, *index),
        }
    }
}

impl From<Range> for Place {
    fn from(range: Range) -> Self {
        Self::root(range)
    }
}

/// Appends a property to a path, in quotes where a bare name would not do. An empty key leaves no trace, as in
/// the reference.
pub(crate) fn push_key(path: &mut String, key: &str) {
    if key.is_empty() {
        return;
    }
    if is_bare(key) {
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(key);
    } else {
        // Writing to a string can't fail.
        let _ = write!(path, "[\"{}\"]", key.replace('"', "\\\""));
    }
}

/// Appends an element of a list to a path.
pub(crate) fn push_index(path: &mut String, index: usize) {
    let _ = write!(path, "[{index}]");
}

fn is_bare(key: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphabetic() || c == '_';
    key.starts_with(letter) && key.chars().all(|c| letter(c) || c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Place, Range, Step};

    #[test]
    fn paths_quote_what_is_no_name() {
        let range = Range::start_of(&Arc::from("p/e"));
        let mut place = Place::root(range.clone());
        assert_eq!(place.path(), "");
        for step in ["values", "a1", "1a", "b c", "x\"y", "fn::join"] {
            place = place.below(Step::Key(step.into()), range.clone());
        }
        let place = place.below(Step::Index(3), range);
        assert_eq!(place.path(), r#"values.a1["1a"]["b c"]["x\"y"]["fn::join"][3]"#);
    }
}
