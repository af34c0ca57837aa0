//! Evaluated values: what a definition means, with the secret mark and the place it came from.
//!
//! Values are shared, not copied: a reference to a large object costs a counter. What a value would cost if it
//! were written out is therefore counted separately ([`Value::weight`]), and no value may weigh more than the
//! evaluation's limit.

use std::{borrow::Cow, fmt, sync::Arc};

use super::{bytes, diagnostic::Range, place::Place, schema::Schema};
use crate::secret::Secret;

pub use super::properties::Properties;

/// What one value costs beside its text: about what its wrapper takes in memory.
pub(super) const NODE_WEIGHT: usize = 128;

/// Text that many values may share. A string of the language is bytes, as in Go: decoding base64 may yield what
/// is no UTF-8.
pub type Text = Arc<Secret>;

/// A text as it leaves the language: bytes that are none become U+FFFD.
pub fn shown(text: &Text) -> Cow<'_, str> {
    bytes::to_text(text.expose())
}

/// One evaluated value. Cheap to copy.
#[derive(Clone)]
pub struct Value(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    kind: Kind,
    secret: bool,
    /// Importers can't override it.
    sealed: bool,
    /// Unknown because only a rotation may look at it.
    rotate_only: bool,
    /// What is known of it where it does not itself show that.
    schema: Option<Arc<Schema>>,
    place: Place,
    base: Option<Value>,
    /// Values that lie upon one another, this one included.
    height: usize,
    summary: Summary,
}

/// What a value is.
#[derive(Debug, Clone)]
pub enum Kind {
    /// null
    Null,
    /// true or false
    Bool(bool),
    /// A number as JSON text.
    Number(Text),
    /// A string.
    String(Text),
    /// A list.
    Array(Arc<[Value]>),
    /// An object.
    Object(Properties),
    /// It could not be computed: because of an error, because a check calls no provider, or because only a
    /// rotation may look at it.
    Unknown,
}

/// What is known of a value and all that lies below it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Summary {
    pub(super) weight: usize,
    /// May be more than there are when something deep was overridden.
    pub(super) depth: usize,
    secrets: usize,
    unknowns: usize,
    /// Unknown values that are not merely reserved for rotations.
    observable_unknowns: usize,
}

impl fmt::Debug for Value {
    /// Nothing of a secret shows, not even the names in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_secret() { f.write_str("[redacted]") } else { self.kind().fmt(f) }
    }
}

impl Summary {
    fn of(kind: &Kind, secret: bool, rotate_only: bool) -> Self {
        let mut summary = match kind {
            Kind::Null | Kind::Bool(_) | Kind::Unknown => Self::default(),
            Kind::Number(text) | Kind::String(text) => Self { weight: text.len(), ..Self::default() },
            Kind::Array(items) => {
                let mut summary = Self::default();
                items.iter().for_each(|item| summary.add(item.summary()));
                summary
            }
            Kind::Object(properties) => properties.summary(),
        };
        let unknown = usize::from(matches!(kind, Kind::Unknown));
        summary.add(Self {
            weight: NODE_WEIGHT,
            depth: 0,
            secrets: usize::from(secret),
            unknowns: unknown,
            observable_unknowns: if rotate_only { 0 } else { unknown },
        });
        summary.depth = summary.depth.saturating_add(1);
        summary
    }

    pub(super) fn add(&mut self, other: Self) {
        self.weight = self.weight.saturating_add(other.weight);
        self.depth = self.depth.max(other.depth);
        self.secrets = self.secrets.saturating_add(other.secrets);
        self.unknowns = self.unknowns.saturating_add(other.unknowns);
        self.observable_unknowns = self.observable_unknowns.saturating_add(other.observable_unknowns);
    }

    /// Takes off what was added before.
    pub(super) fn remove(&mut self, other: Self) {
        self.weight = self.weight.saturating_sub(other.weight);
        self.secrets = self.secrets.saturating_sub(other.secrets);
        self.unknowns = self.unknowns.saturating_sub(other.unknowns);
        self.observable_unknowns = self.observable_unknowns.saturating_sub(other.observable_unknowns);
    }
}

impl Value {
    /// A value that is defined at `place`.
    pub fn new(kind: Kind, secret: bool, place: impl Into<Place>) -> Self {
        let summary = Summary::of(&kind, secret, false);
        Self(Arc::new(Inner {
            kind,
            secret,
            sealed: false,
            rotate_only: false,
            schema: None,
            place: place.into(),
            base: None,
            height: 1,
            summary,
        }))
    }

    /// Changes what does not count in the summary.
    fn edit(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }

    fn summarised(mut self) -> Self {
        let inner = Arc::make_mut(&mut self.0);
        inner.summary = Summary::of(&inner.kind, inner.secret, inner.rotate_only);
        self
    }

    /// A string.
    pub fn string(text: impl Into<Secret>, secret: bool, place: impl Into<Place>) -> Self {
        Self::new(Kind::String(Arc::new(text.into())), secret, place)
    }

    /// An object.
    pub fn object(properties: Properties, place: impl Into<Place>) -> Self {
        Self::new(Kind::Object(properties), false, place)
    }

    /// A list.
    pub fn array(items: Vec<Self>, secret: bool, place: impl Into<Place>) -> Self {
        Self::new(Kind::Array(items.into()), secret, place)
    }

    /// What could not be computed.
    pub fn unknown(place: impl Into<Place>) -> Self {
        Self::new(Kind::Unknown, false, place)
    }

    /// What could not be computed, but is known to fit a schema.
    pub(super) fn unknown_of(schema: Option<Arc<Schema>>, secret: bool, place: impl Into<Place>) -> Self {
        Self::new(Kind::Unknown, secret, place).edit(|inner| inner.schema = schema)
    }

    /// What only a rotation may look at.
    pub(super) fn reserved(place: impl Into<Place>) -> Self {
        Self::unknown(place).edit(|inner| inner.rotate_only = true).summarised()
    }

    /// The same value, which is not constant: all that is known before it is computed is this.
    pub(super) fn computed_as(self, schema: Arc<Schema>) -> Self {
        self.edit(|inner| inner.schema = Some(schema))
    }

    /// The same value, defined elsewhere.
    pub(super) fn moved_to(self, place: Place) -> Self {
        self.edit(|inner| inner.place = place)
    }

    /// The same value, secret as a whole.
    pub(super) fn hidden(self) -> Self {
        if self.0.secret { self } else { self.edit(|inner| inner.secret = true).summarised() }
    }

    /// The same value, which importers can or can't override.
    pub(super) fn sealed(self, sealed: bool) -> Self {
        self.edit(|inner| inner.sealed = sealed)
    }

    /// The same value, which has been laid over another.
    pub(super) fn based_on(self, base: Self) -> Self {
        self.edit(|inner| {
            inner.height = base.height() + 1;
            inner.base = Some(base);
        })
    }

    /// The same object with other properties.
    pub(super) fn with_properties(self, properties: Properties) -> Self {
        self.edit(|inner| inner.kind = Kind::Object(properties)).summarised()
    }

    /// What it is.
    pub fn kind(&self) -> &Kind {
        &self.0.kind
    }

    /// Whether it is itself marked secret.
    pub fn is_secret(&self) -> bool {
        self.0.secret
    }

    /// Whether importers can't override it.
    pub fn is_final(&self) -> bool {
        self.0.sealed
    }

    /// Where it is defined.
    pub fn range(&self) -> &Range {
        self.0.place.range()
    }

    /// Where it is defined, with its path.
    pub fn place(&self) -> &Place {
        &self.0.place
    }

    /// What it was laid over: the value that an import has in its stead. It may hold overridden secrets.
    pub fn base(&self) -> Option<&Self> {
        self.0.base.as_ref()
    }

    /// Values that lie upon one another, this one included.
    pub(super) fn height(&self) -> usize {
        self.0.height
    }

    /// What is known of an unknown value, nothing if it could be anything; and of one that was computed from
    /// others, what was known before.
    pub fn schema(&self) -> Option<&Arc<Schema>> {
        self.0.schema.as_ref()
    }

    /// The properties, if it is an object.
    pub fn as_object(&self) -> Option<&Properties> {
        match self.kind() {
            Kind::Object(properties) => Some(properties),
            _ => None,
        }
    }

    /// Whether it could not be computed itself.
    pub fn is_unknown(&self) -> bool {
        matches!(self.kind(), Kind::Unknown)
    }

    /// What it would cost if nothing in it were shared.
    pub fn weight(&self) -> usize {
        self.0.summary.weight
    }

    /// Levels of nesting; 1 for a scalar.
    pub fn depth(&self) -> usize {
        self.0.summary.depth
    }

    /// Whether it or anything below it is secret.
    pub fn any_secret(&self) -> bool {
        self.0.summary.secrets > 0
    }

    /// Whether it or anything below it could not be computed.
    pub fn any_unknown(&self) -> bool {
        self.0.summary.unknowns > 0
    }

    /// The same, but for what only a rotation may look at.
    pub(super) fn any_observable_unknown(&self) -> bool {
        self.0.summary.observable_unknowns > 0
    }

    pub(super) fn summary(&self) -> Summary {
        self.0.summary
    }

    /// What diagnostics call its kind.
    pub fn type_name(&self) -> &'static str {
        match self.kind() {
            Kind::Null => "null",
            Kind::Bool(_) => "boolean",
            Kind::Number(_) => "number",
            Kind::String(_) => "string",
            Kind::Array(_) => "array",
            Kind::Object(_) => "object",
            Kind::Unknown => "unknown",
        }
    }
}
