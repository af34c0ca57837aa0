//! Values of the language to and from the values of ESC's domain, which providers know.

use std::sync::Arc;

use super::{
    bytes,
    place::Place,
    value::{Kind, Properties, Value},
};
use crate::{esc, secret::Secret};

/// A value without its places.
pub(super) fn export(value: &Value) -> esc::value::Value {
    let kind = match value.kind() {
        Kind::Null => esc::value::Kind::Null,
        Kind::Bool(flag) => esc::value::Kind::Bool(*flag),
        Kind::Number(text) => esc::value::Kind::Number(Secret::clone(text)),
        Kind::String(text) => esc::value::Kind::String(match text.expose_str() {
            Some(_) => Secret::clone(text),
            None => Secret::from(bytes::to_text(text.expose()).into_owned()),
        }),
        Kind::Array(items) => esc::value::Kind::Array(items.iter().map(export).collect()),
        Kind::Object(properties) => esc::value::Kind::Object(
            properties.iter().map(|(key, value)| (key.to_string(), export(value))).collect(),
        ),
        Kind::Unknown => esc::value::Kind::Unknown,
    };
    esc::value::Value { kind, secret: value.is_secret() }
}

/// A value that is defined at `place`. A secret container makes everything in it secret.
///
/// The depth is bounded by whoever made the value.
pub(super) fn import(value: &esc::value::Value, secret: bool, place: &Place) -> Value {
    let secret = secret || value.secret;
    let kind = match &value.kind {
        esc::value::Kind::Null => Kind::Null,
        esc::value::Kind::Bool(flag) => Kind::Bool(*flag),
        esc::value::Kind::Number(text) => Kind::Number(Arc::new(text.clone())),
        esc::value::Kind::String(text) => Kind::String(Arc::new(text.clone())),
        esc::value::Kind::Array(items) => {
            Kind::Array(items.iter().map(|item| import(item, secret, place)).collect())
        }
        esc::value::Kind::Object(entries) => {
            let entries =
                entries.iter().map(|(key, value)| (Arc::from(&**key), import(value, secret, place)));
            Kind::Object(Properties::from_sorted(entries.collect()))
        }
        esc::value::Kind::Unknown => Kind::Unknown,
    };
    Value::new(kind, secret, place.clone())
}
