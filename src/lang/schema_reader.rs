//! Reads a schema from a value: the argument of `fn::validate`.

use std::{collections::BTreeMap, sync::Arc};

use regex::bytes::{Regex, RegexBuilder};

use super::{
    decimal::Decimal,
    schema::Schema,
    value::{Kind, Properties, Value},
};

/// Size of a compiled pattern. Patterns of real schemas take a few KiB.
const MAX_PATTERN: usize = 1 << 20;

impl Schema {
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

fn object(value: &Value) -> Result<&Properties, String> {
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
