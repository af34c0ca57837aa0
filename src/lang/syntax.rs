//! What a definition says: its imports, and the expressions of its values.

use std::{ops::Range as Bytes, sync::Arc};

use super::{
    diagnostic::{Diagnostics, Range},
    interpolation::{Access, Part},
    place::{Place, Step},
    value::Text,
};
use crate::yaml::Mark;

/// A definition that has been read without errors.
#[derive(Debug)]
pub(super) struct Document {
    /// The definition as a whole.
    pub(super) place: Place,
    pub(super) imports: Vec<Import>,
    /// Keys that are left out, which evaluation tells of.
    pub(super) refused: Diagnostics,
    /// Sorted, without duplicates.
    pub(super) values: Vec<Entry>,
    /// Ids of expressions are below this.
    pub(super) expressions: usize,
}

impl Document {
    /// Whether there is nothing to evaluate.
    pub(super) fn is_empty(&self) -> bool {
        self.imports.is_empty() && self.values.is_empty()
    }
}

/// One entry of `imports`.
#[derive(Debug)]
pub(super) struct Import {
    /// As it is written, with its version: references use the same text.
    pub(super) name: Arc<str>,
    /// Whether its values become the document's own.
    pub(super) merge: bool,
    pub(super) place: Place,
}

/// A property of an object literal.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: Arc<str>,
    /// Where the key stands.
    pub(super) at: Span,
    pub(super) value: Expr,
}

/// A part of a document.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) begin: Mark,
    pub(super) end: Mark,
}

impl Span {
    pub(super) fn within(self, environment: &Arc<str>) -> Range {
        Range { environment: Arc::clone(environment), begin: self.begin, end: self.end }
    }
}

/// An expression. The id tells expressions of one document apart.
#[derive(Debug)]
pub(super) struct Expr {
    pub(super) id: usize,
    pub(super) kind: ExprKind,
    pub(super) place: Place,
}

/// What an expression is.
#[derive(Debug)]
pub(super) enum ExprKind {
    Null,
    Bool(bool),
    Number(Text),
    String(Text),
    /// A string that is one reference and nothing else: it copies the value.
    Reference(Reference),
    /// A string with references in it.
    Template(Vec<Part>, TextMap),
    List(Vec<Expr>),
    /// Sorted, without duplicates.
    Object(Vec<Entry>),
    Call(Box<Call>),
}

/// A reference.
#[derive(Debug)]
pub(super) struct Reference {
    pub(super) accesses: Vec<Access>,
    pub(super) map: TextMap,
}

/// A call of a function.
#[derive(Debug)]
pub(super) struct Call {
    /// As it is written, with `fn::`.
    pub(super) name: Arc<str>,
    /// Where the name stands.
    pub(super) at: Span,
    /// Where the argument stands as a whole.
    pub(super) argument: Span,
    pub(super) function: Function,
}

/// Which function, with its arguments.
#[derive(Debug)]
pub(super) enum Function {
    /// A function of one argument.
    Unary(Unary, Expr),
    /// `fn::join`: delimiter and strings.
    Join(Expr, Expr),
    /// `fn::split`: delimiter and string.
    Split(Expr, Expr),
    /// `fn::secret` with a text, which stands there.
    Plaintext(Text, Place),
    /// `fn::secret` with an encrypted text.
    Ciphertext(Text, Span),
    /// `fn::validate`.
    Validate { schema: Expr, value: Expr },
    /// `fn::open`, in both forms.
    Open { provider: Provider, inputs: Expr },
    /// `fn::rotate`, in both forms.
    Rotate { provider: Provider, inputs: Expr, state: Option<Expr> },
}

/// The name of a provider or rotator.
#[derive(Debug)]
pub(super) struct Provider {
    pub(super) name: Arc<str>,
    /// Where it stands among the arguments; none if it is part of the function's name.
    pub(super) at: Option<Span>,
}

/// The functions of one argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unary {
    Concat,
    Final,
    FromBase64,
    FromJson,
    ToBase64,
    ToJson,
    ToString,
    ToYaml,
}

/// Finds parts of a string's text in the definition.
///
/// Only of a string without quotes on one line it is known where its characters stand; of others all parts are
/// where the string is.
#[derive(Debug, Clone, Default)]
pub(super) struct TextMap {
    /// For every access of the string in turn: the columns before it and through it.
    columns: Vec<(usize, usize)>,
}

impl TextMap {
    /// For accesses to parts of a text that can be mapped, in the order of the text.
    pub(super) fn new<'b>(text: &str, accesses: impl Iterator<Item = &'b Bytes<usize>>) -> Self {
        let (mut byte, mut column) = (0, 0);
        let mut count = |end: usize| {
            // A broken reference may end within a letter; it is not evaluated.
            column += text.get(byte..end).map_or(0, |text| text.chars().count());
            byte = end;
            column
        };
        Self { columns: accesses.map(|bytes| (count(bytes.start), count(bytes.end))).collect() }
    }

    /// Where the access number `index` stands, within the string that stands at `place`.
    pub(super) fn place(&self, place: &Place, index: usize, bytes: &Bytes<usize>) -> Place {
        self.mapped(place, index, bytes).unwrap_or_else(|| place.clone())
    }

    /// The same, if that is known.
    pub(super) fn mapped(&self, place: &Place, index: usize, bytes: &Bytes<usize>) -> Option<Place> {
        self.columns.get(index).map(|columns| part_of(place, bytes, *columns))
    }
}

/// A part of a string that stands on one line without quotes.
pub(super) fn part_of(place: &Place, bytes: &Bytes<usize>, columns: (usize, usize)) -> Place {
    let Range { environment, begin, .. } = place.range();
    let mark = |byte: usize, column: usize| Mark {
        line: begin.line,
        column: begin.column + column,
        byte: begin.byte + byte,
    };
    place.at(Range {
        environment: Arc::clone(environment),
        begin: mark(bytes.start, columns.0),
        end: mark(bytes.end, columns.1),
    })
}

/// The place of a key: it has the path of its value.
pub(super) fn key_place(object: &Place, key: &Arc<str>, at: Span) -> Place {
    object.below(Step::Key(Arc::clone(key)), at.within(&object.range().environment))
}
