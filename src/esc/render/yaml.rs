//! Block YAML, through the same emitter as manifests: secrets are written from where they are.

use std::borrow::Cow;

use crate::{
    esc::value::{Kind, Value},
    secret::Secret,
    yaml::{Shape, Tree, emit_to},
};

/// Appends a value as a document.
pub(super) fn write(out: &mut Vec<u8>, value: &Value) {
    emit_to(out, value);
}

impl Tree for Value {
    fn shape(&self) -> Shape<'_, Self> {
        match &self.kind {
            Kind::Null | Kind::Unknown => Shape::Bare(Cow::Borrowed("null")),
            Kind::Bool(true) => Shape::Bare(Cow::Borrowed("true")),
            Kind::Bool(false) => Shape::Bare(Cow::Borrowed("false")),
            Kind::Number(number) => Shape::Bare(text(number)),
            Kind::String(string) => Shape::Text(text(string)),
            Kind::Array(items) => Shape::List(items),
            Kind::Object(entries) => {
                Shape::Map(entries.iter().map(|(key, value)| (key.as_str(), value)).collect())
            }
        }
    }
}

fn text(secret: &Secret) -> Cow<'_, str> {
    String::from_utf8_lossy(secret.expose())
}
