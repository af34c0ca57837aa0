//! `fn::toJSON` and `fn::fromJSON`, in Go's spelling of JSON.

use std::sync::Arc;

use zeroize::Zeroizing;

use super::{
    diagnostic::Range,
    text::Buffer,
    value::{Kind, Properties, Value},
};

/// Writes compact JSON with sorted keys and with `<`, `>`, `&` and the two line separators escaped.
pub(super) fn write(value: &Value) -> Buffer {
    let mut out = Buffer::default();
    write_into(&mut out, value);
    out
}

fn write_into(out: &mut Buffer, value: &Value) {
    match value.kind() {
        Kind::Null | Kind::Unknown => out.extend_from_slice(b"null"),
        Kind::Bool(flag) => out.extend_from_slice(if *flag { b"true" } else { b"false" }),
        Kind::Number(text) => out.extend_from_slice(text.expose()),
        Kind::String(text) => write_string(out, text.expose_str().unwrap_or_default()),
        Kind::Array(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_into(out, item);
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
                write_into(out, item);
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
pub(super) fn read(text: &str, secret: bool, range: &Range) -> Result<Value, &'static str> {
    let mut stream = serde_json::Deserializer::from_str(text).into_iter::<serde_json::Value>();
    match stream.next() {
        Some(Ok(json)) => Ok(convert(json, secret, range)),
        None => Err("decoding JSON string: EOF"),
        Some(Err(error)) if error.is_eof() => Err("decoding JSON string: unexpected EOF"),
        Some(Err(_)) => Err("decoding JSON string: invalid JSON"),
    }
}

fn convert(json: serde_json::Value, secret: bool, range: &Range) -> Value {
    let kind = match json {
        serde_json::Value::Null => Kind::Null,
        serde_json::Value::Bool(flag) => Kind::Bool(flag),
        serde_json::Value::Number(number) => Kind::Number(Arc::new(number.to_string().into())),
        serde_json::Value::String(text) => Kind::String(Arc::new(text.into())),
        serde_json::Value::Array(items) => {
            Kind::Array(items.into_iter().map(|item| convert(item, secret, range)).collect())
        }
        serde_json::Value::Object(properties) => {
            let properties: Properties = properties
                .into_iter()
                .map(|(key, value)| (Arc::from(key), convert(value, secret, range)))
                .collect();
            Kind::Object(Arc::new(properties))
        }
    };
    Value::new(kind, secret, range.clone())
}
