//! Evaluated values: what a definition means, with the secret mark and the place it came from.
//!
//! Values are shared, not copied: a reference to a large object costs a counter. What a value would cost if it
//! were written out is therefore counted separately ([`Value::weight`]), and the evaluator's budget is charged
//! with that.

use std::{collections::BTreeMap, sync::Arc};

use super::diagnostic::Range;
use crate::secret::Secret;

/// What one value costs beside its text: about what its wrapper takes in memory.
pub(super) const NODE_WEIGHT: usize = 128;

/// Text that many values may share.
pub type Text = Arc<Secret>;

/// The properties of an object.
pub type Properties = BTreeMap<Arc<str>, Value>;

/// One evaluated value.
#[derive(Debug, Clone)]
pub struct Value {
    kind: Kind,
    secret: bool,
    range: Range,
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
    Object(Arc<Properties>),
    /// It could not be computed; a diagnostic says why.
    Unknown,
}

/// What is known of a value and all that lies below it.
#[derive(Debug, Clone, Copy)]
struct Summary {
    weight: usize,
    depth: usize,
    any_secret: bool,
    any_unknown: bool,
}

impl Value {
    /// A value that is defined at `range`.
    pub fn new(kind: Kind, secret: bool, range: Range) -> Self {
        let mut summary = Summary {
            weight: NODE_WEIGHT,
            depth: 1,
            any_secret: secret,
            any_unknown: matches!(kind, Kind::Unknown),
        };
        match &kind {
            Kind::Null | Kind::Bool(_) | Kind::Unknown => {}
            Kind::Number(text) | Kind::String(text) => summary.weight += text.len(),
            Kind::Array(items) => items.iter().for_each(|item| summary.add(&item.summary)),
            Kind::Object(properties) => {
                for (key, value) in properties.iter() {
                    summary.weight = summary.weight.saturating_add(key.len());
                    summary.add(&value.summary);
                }
            }
        }
        Self { kind, secret, range, summary }
    }

    /// A string.
    pub fn string(text: impl Into<Secret>, secret: bool, range: Range) -> Self {
        Self::new(Kind::String(Arc::new(text.into())), secret, range)
    }

    /// An object.
    pub fn object(properties: Properties, range: Range) -> Self {
        Self::new(Kind::Object(Arc::new(properties)), false, range)
    }

    /// A list.
    pub fn array(items: Vec<Self>, secret: bool, range: Range) -> Self {
        Self::new(Kind::Array(items.into()), secret, range)
    }

    /// A value that could not be computed.
    pub fn unknown(range: Range) -> Self {
        Self::new(Kind::Unknown, false, range)
    }

    /// What it is.
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// Whether it is marked secret itself.
    pub fn is_secret(&self) -> bool {
        self.secret
    }

    /// Where it is defined.
    pub fn range(&self) -> &Range {
        &self.range
    }

    /// The properties, if it is an object.
    pub fn as_object(&self) -> Option<&Properties> {
        match &self.kind {
            Kind::Object(properties) => Some(properties),
            _ => None,
        }
    }

    /// Whether it could not be computed itself.
    pub fn is_unknown(&self) -> bool {
        matches!(self.kind, Kind::Unknown)
    }

    /// What it would cost if nothing in it were shared.
    pub fn weight(&self) -> usize {
        self.summary.weight
    }

    /// Levels of nesting; 1 for a scalar.
    pub fn depth(&self) -> usize {
        self.summary.depth
    }

    /// Whether it or anything below it is secret.
    pub fn any_secret(&self) -> bool {
        self.summary.any_secret
    }

    /// Whether it or anything below it could not be computed.
    pub fn any_unknown(&self) -> bool {
        self.summary.any_unknown
    }

    /// What diagnostics call its kind.
    pub fn type_name(&self) -> &'static str {
        match &self.kind {
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

impl Summary {
    fn add(&mut self, below: &Self) {
        self.weight = self.weight.saturating_add(below.weight);
        self.depth = self.depth.max(below.depth.saturating_add(1));
        self.any_secret |= below.any_secret;
        self.any_unknown |= below.any_unknown;
    }
}
