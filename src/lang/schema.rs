//! The subset of JSON Schema that ESC knows: what providers say of their inputs and outputs, and what
//! `fn::validate` asks for.
//!
//! A schema that was made of secret values ([`Schema::is_secret`]) is never quoted in a diagnostic.

use std::{collections::BTreeMap, sync::Arc};

use regex::bytes::Regex;

use super::{decimal::Decimal, value::Value};

/// A schema. The empty one accepts everything.
#[derive(Debug, Clone, Default)]
pub struct Schema {
    /// `true`, `false`, or neither.
    pub(super) whole: Option<bool>,
    pub(super) definitions: BTreeMap<Arc<str>, Schema>,
    pub(super) reference: Option<Arc<str>>,
    pub(super) any_of: Vec<Schema>,
    pub(super) one_of: Vec<Schema>,
    pub(super) prefix_items: Vec<Schema>,
    pub(super) items: Option<Box<Schema>>,
    pub(super) properties: BTreeMap<Arc<str>, Schema>,
    pub(super) additional: Option<Box<Schema>>,
    pub(super) kind: Option<Arc<str>>,
    pub(super) constant: Option<Value>,
    pub(super) choices: Vec<Value>,
    pub(super) multiple_of: Option<Decimal>,
    pub(super) minimum: Option<Decimal>,
    pub(super) exclusive_minimum: Option<Decimal>,
    pub(super) maximum: Option<Decimal>,
    pub(super) exclusive_maximum: Option<Decimal>,
    /// Of strings, in bytes.
    pub(super) length: Bounds,
    pub(super) item_count: Bounds,
    pub(super) property_count: Bounds,
    pub(super) pattern: Option<Regex>,
    pub(super) required: Vec<Arc<str>>,
    pub(super) dependent_required: BTreeMap<Arc<str>, Vec<Arc<str>>>,
    /// Properties that only a rotation may look at.
    pub(super) rotate_only: Vec<Arc<str>>,
    /// Whether secret values went into it.
    pub(super) secret: bool,
}

/// Least and greatest number of something.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Bounds {
    pub(super) least: Option<u64>,
    pub(super) most: Option<u64>,
}

impl Schema {
    /// Accepts everything.
    pub fn always() -> Self {
        Self { whole: Some(true), ..Self::default() }
    }

    /// Accepts nothing.
    pub fn never() -> Self {
        Self { whole: Some(false), ..Self::default() }
    }

    /// Accepts values of one type: `null`, `boolean`, `number`, `string`, `array` or `object`.
    pub fn of_type(kind: &str) -> Self {
        Self { kind: Some(kind.into()), ..Self::default() }
    }

    /// Accepts strings.
    pub fn string() -> Self {
        Self::of_type("string")
    }

    /// Accepts lists whose elements it accepts.
    pub fn list_of(items: Self) -> Self {
        Self { items: Some(Box::new(items)), ..Self::of_type("array") }
    }

    /// Accepts objects with these properties, all of which are required, and with others.
    pub fn record<const N: usize>(properties: [(&str, Self); N]) -> Self {
        let required = properties.iter().map(|(name, _)| Arc::from(*name)).collect();
        let properties = properties.into_iter().map(|(name, schema)| (Arc::from(name), schema)).collect();
        Self { properties, required, ..Self::of_type("object") }
    }

    /// The same, without others.
    #[must_use]
    pub fn closed(mut self) -> Self {
        self.additional = Some(Box::new(Self::never()));
        self
    }

    /// Accepts whole numbers within limits.
    pub fn whole_number(least: usize, most: usize) -> Self {
        let limit = |number: usize| Decimal::parse(&number.to_string());
        let (minimum, maximum, multiple_of) = (limit(least), limit(most), limit(1));
        Self { multiple_of, minimum, maximum, ..Self::of_type("number") }
    }

    /// Accepts strings that are not empty.
    pub fn text() -> Self {
        Self { length: Bounds { least: Some(1), most: None }, ..Self::string() }
    }

    /// The same, with these properties optional.
    #[must_use]
    pub fn optional(mut self, names: &[&str]) -> Self {
        self.required.retain(|required| !names.contains(&&**required));
        self
    }

    /// The same, with properties that are looked at by rotations only.
    #[must_use]
    pub fn rotate_only(mut self, names: &[&str]) -> Self {
        self.rotate_only = names.iter().map(|name| Arc::from(*name)).collect();
        self
    }

    /// Accepts what one of these accepts.
    pub fn one_of(alternatives: Vec<Self>) -> Self {
        Self { one_of: alternatives, ..Self::default() }
    }

    pub(super) fn reference_to(name: &str) -> Self {
        Self { reference: Some(name.into()), ..Self::default() }
    }

    /// Whether it accepts everything without a look.
    pub(super) fn is_any(&self) -> bool {
        self.whole == Some(true)
    }

    pub(super) fn is_never(&self) -> bool {
        self.whole == Some(false)
    }

    /// Whether secret values went into it, so that it must not be quoted.
    pub fn is_secret(&self) -> bool {
        self.secret
    }

    /// What is known of a property; nothing if it can't be there.
    pub(super) fn property(&self, name: &str) -> Self {
        let own = (self.kind.as_deref() == Some("object")).then(|| match self.properties.get(name) {
            Some(property) => property.clone(),
            None => self.additional.as_deref().cloned().unwrap_or_else(Self::always),
        });
        self.union(own, |alternative| alternative.property(name))
    }

    /// What is known of an element.
    pub(super) fn item(&self, index: usize) -> Self {
        let own = (self.kind.as_deref() == Some("array")).then(|| match self.prefix_items.get(index) {
            Some(item) => item.clone(),
            None => self.items.as_deref().cloned().unwrap_or_else(Self::always),
        });
        self.union(own, |alternative| alternative.item(index))
    }

    fn union(&self, own: Option<Self>, below: impl Fn(&Self) -> Self) -> Self {
        if self.is_any() {
            return Self::always();
        }
        let alternatives = self.any_of.iter().chain(&self.one_of).map(below);
        let mut found: Vec<_> = alternatives.chain(own).filter(|schema| !schema.is_never()).collect();
        match found.len() {
            0 => Self::never(),
            1 => found.swap_remove(0),
            _ => Self::one_of(found),
        }
    }

    /// Whether only a rotation may look at a property.
    pub(super) fn reserves(&self, name: &str) -> bool {
        self.rotate_only.iter().any(|reserved| **reserved == *name)
    }

    /// The schema of this name among the definitions of `root`.
    pub(super) fn resolve<'s>(root: &'s Self, reference: &str) -> Result<&'s Self, String> {
        let name = reference
            .strip_prefix("#/$defs/")
            .filter(|name| !name.contains('/'))
            .ok_or("only fragment references of the form #/$defs/ref are supported")?;
        let name = percent_encoding::percent_decode_str(name).decode_utf8_lossy();
        root.definitions.get(&*name).ok_or_else(|| format!("unknown subschema {reference}"))
    }

    pub(super) fn hide(&mut self) {
        self.secret = true;
        for below in self.children_mut() {
            below.hide();
        }
    }

    fn children_mut(&mut self) -> impl Iterator<Item = &mut Self> {
        let lists = [&mut self.any_of, &mut self.one_of, &mut self.prefix_items];
        let maps = [&mut self.definitions, &mut self.properties];
        lists
            .into_iter()
            .flatten()
            .chain(maps.into_iter().flat_map(BTreeMap::values_mut))
            .chain(self.items.as_deref_mut())
            .chain(self.additional.as_deref_mut())
    }

    pub(super) fn children(&self) -> impl Iterator<Item = &Self> {
        let lists = [&self.any_of, &self.one_of, &self.prefix_items];
        let maps = [&self.definitions, &self.properties];
        lists
            .into_iter()
            .flatten()
            .chain(maps.into_iter().flat_map(BTreeMap::values))
            .chain(self.items.as_deref())
            .chain(self.additional.as_deref())
    }
}
