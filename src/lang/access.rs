//! Walking into a value that has been computed.

use std::sync::Arc;

use super::{
    interpolation::{Access, Accessor},
    place::Place,
    schema::Schema,
    text::quoted,
    value::{Kind, Value},
};

pub(super) const NO_RECEIVER: &str = "receiver must be an array or an object";
pub(super) const NAME_ON_ARRAY: &str = "cannot access an array element using a property name";
pub(super) const INDEX_ON_OBJECT: &str = "cannot access an object property using an integer index";

/// Why a reference leads nowhere, and at which of its steps.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct AccessError {
    /// How many of the steps that were to be followed were left, this one included.
    pub(super) left: usize,
    pub(super) summary: String,
}

impl AccessError {
    pub(super) fn new(left: &[Access], summary: impl Into<String>) -> Self {
        Self { left: left.len(), summary: summary.into() }
    }
}

/// Follows the accesses. Below something unknown there is only what its schema says. With `suggest`, an error names
/// what may have been meant.
pub(super) fn get(
    value: &Value,
    accesses: &[Access],
    place: &Place,
    suggest: bool,
) -> Result<Value, AccessError> {
    let mut value = value;
    let mut rest = accesses;
    while let Some((access, after)) = rest.split_first() {
        let fail = |summary: String| Err(AccessError::new(rest, summary));
        value = match (value.kind(), &access.accessor) {
            (Kind::Unknown, _) => return known(value.schema(), rest, place),
            (Kind::Object(properties), Accessor::Key(key)) => match properties.get(key) {
                Some(property) => property,
                None => match unknown_below(value) {
                    Some(base) => return known(base.schema(), rest, place),
                    // The names of a secret object are secret, too.
                    None if value.is_secret() => return fail(format!("unknown property {}", quoted(key))),
                    None => {
                        return fail(unknown_property(key, properties.keys().map(AsRef::as_ref), suggest));
                    }
                },
            },
            (Kind::Array(items), Accessor::Index(index)) => match position(*index, items.len()) {
                Ok(position) => match items.get(position) {
                    Some(item) => item,
                    None => return fail(NO_RECEIVER.to_owned()),
                },
                Err(summary) => return fail(summary),
            },
            (Kind::Object(_), Accessor::Index(_)) => return fail(INDEX_ON_OBJECT.to_owned()),
            (Kind::Array(_), Accessor::Key(_)) => return fail(NAME_ON_ARRAY.to_owned()),
            _ => return fail(NO_RECEIVER.to_owned()),
        };
        rest = after;
    }
    Ok(value.clone())
}

/// What a base has at a property, as far as that is known.
pub(super) fn below(base: &Value, key: &str, place: &Place) -> Option<Value> {
    match base.kind() {
        Kind::Object(properties) => properties.get(key).cloned(),
        Kind::Unknown if may_be_object(base.schema()) => Some(match base.schema() {
            None => Value::unknown(place.clone()),
            Some(schema) => Value::unknown_of(Some(Arc::new(schema.property(key))), false, place.clone()),
        }),
        _ => None,
    }
}

/// What an object was laid over, if that may have had more properties than anybody knows.
pub(super) fn unknown_below(value: &Value) -> Option<&Value> {
    let mut base = value.base();
    while let Some(value) = base {
        match value.kind() {
            Kind::Unknown if may_be_object(value.schema()) => return Some(value),
            Kind::Object(_) => base = value.base(),
            _ => return None,
        }
    }
    None
}

pub(super) fn may_be_object(schema: Option<&Arc<Schema>>) -> bool {
    schema.is_none_or(|schema| schema.is_any() || schema.kind.as_deref() == Some("object"))
}

/// Follows the accesses through what is known of an unknown value.
fn known(schema: Option<&Arc<Schema>>, accesses: &[Access], place: &Place) -> Result<Value, AccessError> {
    let Some(schema) = schema else { return Ok(Value::unknown(place.clone())) };
    let mut schema = Schema::clone(schema);
    let mut rest = accesses;
    while let Some((access, after)) = rest.split_first() {
        let fail = |summary: String| Err(AccessError::new(rest, summary));
        if schema.is_any() {
            break;
        }
        schema = match (schema.kind.as_deref(), &access.accessor) {
            (Some("array"), Accessor::Index(index)) => {
                let only_prefix = schema.items.as_ref().is_some_and(|items| items.is_never());
                let length = if only_prefix { schema.prefix_items.len() } else { usize::MAX };
                match position(*index, length) {
                    Ok(position) => schema.item(position),
                    Err(summary) => return fail(summary),
                }
            }
            (Some("array"), Accessor::Key(_)) => return fail(NAME_ON_ARRAY.to_owned()),
            (Some("object"), Accessor::Key(key)) => schema.property(key),
            (Some("object"), Accessor::Index(_)) => return fail(INDEX_ON_OBJECT.to_owned()),
            // Alternatives and references may be objects.
            (None, Accessor::Key(key)) if has_alternatives(&schema) => schema.property(key),
            (None, _) => Schema::always(),
            _ => return fail(NO_RECEIVER.to_owned()),
        };
        rest = after;
    }
    Ok(Value::unknown_of(Some(Arc::new(schema)), false, place.clone()))
}

fn has_alternatives(schema: &Schema) -> bool {
    !schema.one_of.is_empty() || !schema.any_of.is_empty()
}

/// An index that lies within a list of `length`.
pub(super) fn position(index: i64, length: usize) -> Result<usize, String> {
    if index < 0 {
        return Err("array indices must not be negative".to_owned());
    }
    usize::try_from(index)
        .ok()
        .filter(|position| *position < length)
        .ok_or_else(|| format!("array index {index} out-of-bounds for array of length {length}"))
}

/// Longest name that is compared, and most names that it is compared with: a suggestion is not worth more.
const MAX_COMPARED: (usize, usize) = (64, 1024);

/// Says that a property is missing, and which near one exists.
///
/// Letter case and underscores don't count; up to half of the name may be mistyped.
pub(super) fn unknown_property<'n>(key: &str, names: impl Iterator<Item = &'n str>, suggest: bool) -> String {
    let wanted = fold(key);
    let mut most = wanted.chars().count().div_ceil(2);
    let mut nearest = None;
    if suggest && wanted.len() <= MAX_COMPARED.0 {
        for name in names.take(MAX_COMPARED.1).filter(|name| name.len() <= 2 * MAX_COMPARED.0) {
            let distance = strsim::levenshtein(&wanted, &fold(name));
            if distance < most {
                most = distance;
                nearest = Some(name);
            }
        }
    }
    match nearest {
        Some(name) => format!("unknown property {}; did you mean {}?", quoted(key), quoted(name)),
        None => format!("unknown property {}", quoted(key)),
    }
}

fn fold(name: &str) -> String {
    name.chars().filter(|c| *c != '_').flat_map(char::to_lowercase).collect()
}
