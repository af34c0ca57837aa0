//! The subset of JSON Schema that ESC knows: what providers say of their inputs and outputs, and what
//! `fn::validate` asks for.
//!
//! A schema that was made of secret values ([`Schema::is_secret`]) is never quoted in a diagnostic.

use std::{collections::BTreeMap, sync::Arc};

use regex::bytes::{Regex, RegexBuilder};

use super::{
    decimal::Decimal,
    value::{Kind, Value},
};

/// Size of a compiled pattern. Patterns of real schemas take a few KiB.
const MAX_PATTERN: usize = 1 << 20;

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

    /// Reads a schema from a value that a schema of schemas has accepted.
    pub(super) fn from_value(value: &Value) -> Result<Self, String> {
        let mut schema = read(value)?;
        if value.any_secret() {
            schema.hide();
        }
        check_references(&schema, &schema).map_err(|error| {
            if value.any_secret() { "a reference in it can't be followed".to_owned() } else { error }
        })?;
        Ok(schema)
    }

    fn hide(&mut self) {
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

    fn children(&self) -> impl Iterator<Item = &Self> {
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

fn check_references(schema: &Schema, root: &Schema) -> Result<(), String> {
    if let Some(reference) = &schema.reference {
        Schema::resolve(root, reference)?;
    }
    schema.children().try_for_each(|below| check_references(below, root))
}

/// The depth is that of the value, which is limited.
fn read(value: &Value) -> Result<Schema, String> {
    let properties = match value.kind() {
        Kind::Bool(true) => return Ok(Schema::always()),
        Kind::Bool(false) => return Ok(Schema::never()),
        Kind::Object(properties) => properties,
        _ => return Err("a schema is a boolean or an object".to_owned()),
    };
    let mut schema = Schema::default();
    for (name, field) in properties {
        match &**name {
            "$defs" => schema.definitions = schemas_by_name(field)?,
            "$ref" => schema.reference = Some(string(field)?),
            "anyOf" => schema.any_of = schemas(field)?,
            "oneOf" => schema.one_of = schemas(field)?,
            "prefixItems" => schema.prefix_items = schemas(field)?,
            "items" => schema.items = Some(Box::new(read(field)?)),
            "additionalProperties" => schema.additional = Some(Box::new(read(field)?)),
            "properties" => schema.properties = schemas_by_name(field)?,
            "type" => schema.kind = Some(string(field)?),
            // A constant null is none, as in the reference.
            "const" => schema.constant = (!matches!(field.kind(), Kind::Null)).then(|| field.clone()),
            "enum" => schema.choices = items(field)?.to_vec(),
            "multipleOf" => schema.multiple_of = Some(decimal(field)?),
            "maximum" => schema.maximum = Some(decimal(field)?),
            "exclusiveMaximum" => schema.exclusive_maximum = Some(decimal(field)?),
            "minimum" => schema.minimum = Some(decimal(field)?),
            "exclusiveMinimum" => schema.exclusive_minimum = Some(decimal(field)?),
            "maxLength" => schema.length.most = Some(count(field)?),
            "minLength" => schema.length.least = Some(count(field)?),
            "pattern" => schema.pattern = pattern(field)?,
            "maxItems" => schema.item_count.most = Some(count(field)?),
            "minItems" => schema.item_count.least = Some(count(field)?),
            "maxProperties" => schema.property_count.most = Some(count(field)?),
            "minProperties" => schema.property_count.least = Some(count(field)?),
            "required" => schema.required = strings(field)?,
            "dependentRequired" => {
                for (name, dependents) in object(field)? {
                    schema.dependent_required.insert(Arc::clone(name), strings(dependents)?);
                }
            }
            "rotateOnly" => schema.rotate_only = strings(field)?,
            // `uniqueItems` is accepted and not enforced, as in the reference; the rest describes.
            _ => {}
        }
    }
    Ok(schema)
}

const UNFIT: &str = "a field has the wrong type";

fn string(value: &Value) -> Result<Arc<str>, String> {
    match value.kind() {
        Kind::String(text) => Ok(text.expose_str().unwrap_or_default().into()),
        _ => Err(UNFIT.to_owned()),
    }
}

fn items(value: &Value) -> Result<&Arc<[Value]>, String> {
    match value.kind() {
        Kind::Array(items) => Ok(items),
        _ => Err(UNFIT.to_owned()),
    }
}

fn object(value: &Value) -> Result<&super::value::Properties, String> {
    value.as_object().ok_or_else(|| UNFIT.to_owned())
}

fn strings(value: &Value) -> Result<Vec<Arc<str>>, String> {
    items(value)?.iter().map(string).collect()
}

fn schemas(value: &Value) -> Result<Vec<Schema>, String> {
    items(value)?.iter().map(read).collect()
}

fn schemas_by_name(value: &Value) -> Result<BTreeMap<Arc<str>, Schema>, String> {
    object(value)?.iter().map(|(name, below)| Ok((Arc::clone(name), read(below)?))).collect()
}

fn number_text(value: &Value) -> Result<&str, String> {
    match value.kind() {
        Kind::Number(text) => text.expose_str().ok_or_else(|| UNFIT.to_owned()),
        _ => Err(UNFIT.to_owned()),
    }
}

fn decimal(value: &Value) -> Result<Decimal, String> {
    Decimal::parse(number_text(value)?).ok_or_else(|| UNFIT.to_owned())
}

fn count(value: &Value) -> Result<u64, String> {
    number_text(value)?.parse().map_err(|_| "a count must be a whole number of at least 0".to_owned())
}

/// Patterns are not anchored. The error does not quote the pattern.
fn pattern(value: &Value) -> Result<Option<Regex>, String> {
    let text = string(value)?;
    if text.is_empty() {
        return Ok(None);
    }
    match RegexBuilder::new(&text).size_limit(MAX_PATTERN).dfa_size_limit(MAX_PATTERN).build() {
        Ok(regex) => Ok(Some(regex)),
        Err(regex::Error::CompiledTooBig(_)) => Err("error parsing regexp: it is too large".to_owned()),
        Err(_) => Err("error parsing regexp".to_owned()),
    }
}
