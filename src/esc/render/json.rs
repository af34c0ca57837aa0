//! Compact JSON. Keys are sorted, since values hold them so; numbers are written as ESC wrote them.

use std::io::Write as _;

use crate::esc::value::{Kind, Value};

/// Appends a value. An unknown one, which callers exclude, would be null.
pub(super) fn write(out: &mut Vec<u8>, value: &Value) {
    match &value.kind {
        Kind::Null | Kind::Unknown => out.extend(b"null"),
        Kind::Bool(true) => out.extend(b"true"),
        Kind::Bool(false) => out.extend(b"false"),
        Kind::Number(text) => out.extend(text.expose()),
        Kind::String(text) => string(out, text.expose()),
        Kind::Array(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                comma(out, index);
                write(out, item);
            }
            out.push(b']');
        }
        Kind::Object(entries) => {
            out.push(b'{');
            for (index, (key, value)) in entries.iter().enumerate() {
                comma(out, index);
                string(out, key.as_bytes());
                out.push(b':');
                write(out, value);
            }
            out.push(b'}');
        }
    }
}

pub(super) fn comma(out: &mut Vec<u8>, index: usize) {
    if index > 0 {
        out.push(b',');
    }
}

/// Escapes only what JSON demands; Go's habit of escaping `<`, `>` and `&` is left out.
pub(super) fn string(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    for chunk in text.utf8_chunks() {
        for byte in chunk.valid().bytes() {
            match byte {
                b'"' => out.extend(b"\\\""),
                b'\\' => out.extend(b"\\\\"),
                b'\n' => out.extend(b"\\n"),
                b'\r' => out.extend(b"\\r"),
                b'\t' => out.extend(b"\\t"),
                0..b' ' => {
                    // Writing to a vector can't fail.
                    let _ = write!(out, "\\u{byte:04x}");
                }
                _ => out.push(byte),
            }
        }
        if !chunk.invalid().is_empty() {
            out.extend("\u{fffd}".as_bytes());
        }
    }
    out.push(b'"');
}
