//! Values as JSON, in Go's spelling, and `fn::fromJSON`.

use std::sync::Arc;

use serde::Deserialize;
use zeroize::Zeroizing;

use super::{
    bytes,
    place::Place,
    text::Buffer,
    value::{Kind, Properties, Value},
};

/// What stands for a value that is not shown.
const REDACTED: &[u8] = b"\"[secret]\"";

/// What stands for a value that could not be computed.
const UNKNOWN: &[u8] = b"\"[unknown]\"";

/// Writes compact JSON with sorted keys and with `<`, `>`, `&` and the two line separators escaped. It holds
/// the secrets in plain.
pub(super) fn write(value: &Value) -> Buffer {
    let mut out = Buffer::default();
    write_into(&mut out, value, false);
    out
}

impl Value {
    /// Compact JSON in which `"[secret]"` stands for every secret value, and `"[unknown]"` for every other one
    /// that could not be computed.
    pub fn redacted_json(&self) -> String {
        let mut out = Buffer::default();
        write_into(&mut out, self, true);
        String::from_utf8_lossy(&out).into_owned()
    }

    /// Compact JSON with the secrets in plain.
    pub fn plain_json(&self) -> crate::secret::Secret {
        crate::secret::Secret::new(super::text::take(write(self)))
    }
}

fn write_into(out: &mut Buffer, value: &Value, redact: bool) {
    if redact && value.is_secret() {
        out.extend_from_slice(REDACTED);
        return;
    }
    match value.kind() {
        Kind::Unknown => out.extend_from_slice(UNKNOWN),
        Kind::Null => out.extend_from_slice(b"null"),
        Kind::Bool(flag) => out.extend_from_slice(if *flag { b"true" } else { b"false" }),
        Kind::Number(text) => out.extend_from_slice(text.expose()),
        Kind::String(text) => write_string(out, &bytes::to_text(text.expose())),
        Kind::Array(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_into(out, item, redact);
            }
            out.push(b']');
        }
        Kind::Object(properties) => {
            out.push(b'{');
            for (index, (key, item)) in properties.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_string(out, key);
                out.push(b':');
                write_into(out, item, redact);
            }
            out.push(b'}');
        }
    }
}

fn write_string(out: &mut Buffer, text: &str) {
    let quoted = Zeroizing::new(serde_json::Value::from(text).to_string());
    for c in quoted.chars() {
        match c {
            '<' => out.extend_from_slice(b"\\u003c"),
            '>' => out.extend_from_slice(b"\\u003e"),
            '&' => out.extend_from_slice(b"\\u0026"),
            '\u{2028}' => out.extend_from_slice(b"\\u2028"),
            '\u{2029}' => out.extend_from_slice(b"\\u2029"),
            _ => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

/// Reads the first JSON value of a text; what follows it is ignored, as the reference does. Numbers keep their
/// text. Errors never quote the text.
pub(super) fn read(text: &[u8], secret: bool, place: &Place) -> Result<Value, &'static str> {
    // Bytes that are no text become marks, as in Go.
    let text = bytes::to_text(text);
    match serde_json::Value::deserialize(&mut serde_json::Deserializer::from_str(&text)) {
        Ok(json) => Ok(convert(json, secret, place)),
        Err(_) if text.trim_start_matches([' ', '\t', '\r', '\n']).is_empty() => {
            Err("decoding JSON string: EOF")
        }
        Err(error) if error.is_eof() => Err("decoding JSON string: unexpected EOF"),
        Err(_) => Err("decoding JSON string: invalid JSON"),
    }
}

fn convert(json: serde_json::Value, secret: bool, place: &Place) -> Value {
    let kind = match json {
        serde_json::Value::Null => Kind::Null,
        serde_json::Value::Bool(flag) => Kind::Bool(flag),
        serde_json::Value::Number(number) => Kind::Number(Arc::new(number.to_string().into())),
        serde_json::Value::String(text) => Kind::String(Arc::new(text.into())),
        serde_json::Value::Array(items) => {
            Kind::Array(items.into_iter().map(|item| convert(item, secret, place)).collect())
        }
        serde_json::Value::Object(properties) => {
            let properties: Properties = properties
                .into_iter()
                .map(|(key, value)| (Arc::from(key), convert(value, secret, place)))
                .collect();
            Kind::Object(properties)
        }
    };
    Value::new(kind, secret, place.clone())
}
