//! Schemas as JSON: of what is known of a value, and of what a function takes.
//!
//! A schema of a constant repeats the constant. Of what is secret only the type is told.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value as Json, json};

use super::{
    decimal::Decimal,
    schema::Schema,
    value::{Kind, Value, shown},
};

/// What is known of a value. The depth is that of the value, which is limited.
pub(super) fn value(value: &Value) -> Json {
    if value.is_secret() {
        return hidden(value);
    }
    if let Some(known) = value.schema() {
        return schema(known);
    }
    let kind = value.type_name();
    match value.kind() {
        Kind::Unknown => Json::Bool(true),
        Kind::Null => json!({ "type": kind }),
        Kind::Bool(flag) => json!({ "type": kind, "const": flag }),
        Kind::Number(text) => json!({ "type": kind, "const": number(&shown(text)) }),
        Kind::String(text) => json!({ "type": kind, "const": shown(text) }),
        Kind::Array(items) if items.is_empty() => json!({ "type": kind, "items": false }),
        Kind::Array(items) => {
            let items = items.iter().map(self::value).collect();
            object([("type", kind.into()), ("prefixItems", Json::Array(items)), ("items", false.into())])
        }
        Kind::Object(properties) if properties.is_empty() => json!({ "type": kind }),
        Kind::Object(properties) => {
            let required = properties.keys().map(|name| Json::from(&**name)).collect();
            let properties = properties.iter().map(|(name, value)| (name.to_string(), self::value(value)));
            let properties = Json::Object(properties.collect());
            object([("type", kind.into()), ("properties", properties), ("required", Json::Array(required))])
        }
    }
}

/// Neither what a secret is nor what is in it.
fn hidden(value: &Value) -> Json {
    match value.kind() {
        Kind::Unknown => value.schema().map_or(Json::Bool(true), |known| schema(known)),
        Kind::Array(_) => json!({ "type": "array", "items": true }),
        Kind::Object(_) => json!({ "type": "object", "additionalProperties": true }),
        Kind::Null | Kind::Bool(_) | Kind::Number(_) | Kind::String(_) => {
            json!({ "type": value.type_name() })
        }
    }
}

/// A schema as it would be written.
pub(super) fn schema(schema: &Schema) -> Json {
    if let Some(whole) = schema.whole {
        return Json::Bool(whole);
    }
    if schema.is_secret() {
        return Json::Bool(true);
    }
    let mut out = Map::new();
    let mut put = |name: &str, value: Option<Json>| {
        if let Some(value) = value {
            out.insert(name.to_owned(), value);
        }
    };
    put("$defs", by_name(&schema.definitions));
    put("$ref", schema.reference.as_deref().map(Json::from));
    put("anyOf", list(&schema.any_of));
    put("oneOf", list(&schema.one_of));
    put("prefixItems", list(&schema.prefix_items));
    put("items", schema.items.as_deref().map(self::schema));
    put("additionalProperties", schema.additional.as_deref().map(self::schema));
    put("properties", by_name(&schema.properties));
    // Always there, as in the reference: clients read it as a text.
    put("type", Some(Json::from(schema.kind.as_deref().unwrap_or_default())));
    put("const", schema.constant.as_ref().map(plain));
    put("enum", filled(schema.choices.iter().map(plain).collect()));
    put("multipleOf", schema.multiple_of.as_ref().map(decimal));
    put("maximum", schema.maximum.as_ref().map(decimal));
    put("exclusiveMaximum", schema.exclusive_maximum.as_ref().map(decimal));
    put("minimum", schema.minimum.as_ref().map(decimal));
    put("exclusiveMinimum", schema.exclusive_minimum.as_ref().map(decimal));
    put("maxLength", schema.length.most.map(Json::from));
    put("minLength", schema.length.least.map(Json::from));
    put("pattern", schema.pattern.as_ref().map(|pattern| Json::from(pattern.as_str())));
    put("maxItems", schema.item_count.most.map(Json::from));
    put("minItems", schema.item_count.least.map(Json::from));
    put("maxProperties", schema.property_count.most.map(Json::from));
    put("minProperties", schema.property_count.least.map(Json::from));
    put("required", filled(names(&schema.required)));
    let dependents = &schema.dependent_required;
    let dependents: Map<_, _> =
        dependents.iter().map(|(name, all)| (name.to_string(), Json::Array(names(all)))).collect();
    put("dependentRequired", (!dependents.is_empty()).then_some(Json::Object(dependents)));
    put("rotateOnly", filled(names(&schema.rotate_only)));
    Json::Object(out)
}

/// Moves what `json!` would copy.
pub(super) fn object<const N: usize>(fields: [(&str, Json); N]) -> Json {
    Json::Object(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// A number keeps its digits.
pub(super) fn number(text: &str) -> Json {
    text.parse().map_or(Json::Null, Json::Number)
}

fn decimal(decimal: &Decimal) -> Json {
    number(decimal.text())
}

fn plain(value: &Value) -> Json {
    let text = value.plain_json();
    text.expose_str().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

fn names(names: &[Arc<str>]) -> Vec<Json> {
    names.iter().map(|name| Json::from(&**name)).collect()
}

fn list(schemas: &[Schema]) -> Option<Json> {
    filled(schemas.iter().map(schema).collect())
}

fn filled(items: Vec<Json>) -> Option<Json> {
    (!items.is_empty()).then_some(Json::Array(items))
}

fn by_name(schemas: &BTreeMap<Arc<str>, Schema>) -> Option<Json> {
    let schemas: Map<_, _> = schemas.iter().map(|(name, below)| (name.to_string(), schema(below))).collect();
    (!schemas.is_empty()).then_some(Json::Object(schemas))
}
