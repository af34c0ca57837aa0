//! `fn::toYAML`.
//!
//! Numbers are written as strings, in quotes: the reference does, and whoever reads them there reads them here.

use std::borrow::Cow;

use super::{
    bytes,
    value::{Kind, Value},
};
use crate::yaml::{Shape, Tree, emit_to};

/// Writes a value as block YAML.
pub(super) fn write(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    emit_to(&mut out, value);
    out
}

impl Tree for Value {
    fn shape(&self) -> Shape<'_, Self> {
        match self.kind() {
            Kind::Null | Kind::Unknown => Shape::Bare(Cow::Borrowed("null")),
            Kind::Bool(true) => Shape::Bare(Cow::Borrowed("true")),
            Kind::Bool(false) => Shape::Bare(Cow::Borrowed("false")),
            Kind::Number(text) | Kind::String(text) => Shape::Text(bytes::to_text(text.expose())),
            Kind::Array(items) => Shape::List(items),
            Kind::Object(properties) => {
                Shape::Map(properties.iter().map(|(key, value)| (&**key, value)).collect())
            }
        }
    }
}
