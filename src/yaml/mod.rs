//! YAML in the two dialects that meet here, in and out.
//!
//! Kubernetes' tools and ESC both read YAML with Go's libraries, which resolve plain scalars their own way
//! (`0400` is octal; `yes` is a boolean to one and a string to the other). A plain YAML 1.2 reader would
//! silently change a manifest. Pure.

use std::fmt;

mod emit;
mod parse;
mod resolve;
mod to_json;

pub use emit::emit;
pub(crate) use emit::{Shape, Tree, emit_to};
pub use parse::parse;
pub use resolve::{esc_string, resolve};
pub use to_json::to_json;

/// How deep a document may nest, aliases included. Kubernetes objects reach about 25; the limit keeps recursion
/// over a hostile document far from the end of the stack.
const MAX_DEPTH: usize = 128;

/// Whose rules resolve plain scalars, anchors and merge keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// kubectl (sigs.k8s.io/yaml): `yes`, `on` are booleans, anchors and `<<` are expanded.
    Kubernetes,
    /// ESC (go-yaml v3): `yes`, `on` are strings, aliases are refused.
    Esc,
}

/// A position in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mark {
    /// 1-based.
    pub line: usize,
    /// 1-based, in characters.
    pub column: usize,
    /// 0-based, in bytes.
    pub byte: usize,
}

/// A node of the document, with where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// What it is.
    pub kind: NodeKind,
    /// First character.
    pub start: Mark,
    /// One past the last character.
    pub end: Mark,
}

/// The payload of a [`Node`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeKind {
    /// A scalar before resolution.
    Scalar {
        /// Its text, unquoted and unfolded.
        text: String,
        /// Whether it stood without quotes, which is when it may be something other than a string.
        plain: bool,
        /// An explicit tag such as `!!str`, in short form.
        tag: Option<String>,
        /// Its anchor, if it has one.
        anchor: Option<usize>,
    },
    /// A sequence.
    Sequence(Vec<Node>, Option<usize>),
    /// A mapping in document order; keys may repeat.
    Mapping(Vec<(Node, Node)>, Option<usize>),
    /// A reference to an anchor.
    Alias(usize),
}

/// What a scalar means in a dialect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scalar {
    /// null
    Null,
    /// true or false
    Bool(bool),
    /// A number, normalised as Go formats it (`0x1F` is `31`, `1e3` is `1000`, `1.50` is `1.5`).
    Number(String),
    /// A string.
    String(String),
}

/// The text is not usable YAML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct YamlError {
    /// Where.
    pub mark: Mark,
    /// What is wrong, without quoting values.
    pub message: String,
}

impl fmt::Display for YamlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.mark.line, self.mark.column, self.message)
    }
}

impl std::error::Error for YamlError {}
