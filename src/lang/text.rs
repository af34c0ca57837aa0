//! ESC's `ToString`: how a value reads inside a string.
//!
//! Lists and objects are written with every element in Go's quotes, and nesting quotes again, so the text can
//! double with each level: it is measured while it is written.

use zeroize::Zeroizing;

use super::value::{Kind, Value};
use crate::esc::quote::quote;

/// The text is longer than allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooLong;

/// Text on its way to a [`crate::secret::Secret`].
pub(super) type Buffer = Zeroizing<Vec<u8>>;

/// Writes a value as text of at most `limit` bytes. What is unknown reads `[unknown]`.
pub(super) fn to_text(value: &Value, limit: usize) -> Result<Buffer, TooLong> {
    let mut out = Buffer::default();
    append(&mut out, value, limit)?;
    Ok(out)
}

/// Appends a value as text, so that there are at most `limit` bytes altogether.
pub(super) fn append(out: &mut Buffer, value: &Value, limit: usize) -> Result<(), TooLong> {
    match value.kind() {
        Kind::Null => {}
        Kind::Bool(flag) => out.extend_from_slice(if *flag { b"true" } else { b"false" }),
        Kind::Number(text) | Kind::String(text) => out.extend_from_slice(text.expose()),
        Kind::Unknown => out.extend_from_slice(b"[unknown]"),
        Kind::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                quote(out, &to_text(item, limit)?);
                within(out, limit)?;
            }
        }
        Kind::Object(properties) => {
            for (index, (key, item)) in properties.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                quote(out, key.as_bytes());
                out.push(b'=');
                quote(out, &to_text(item, limit)?);
                within(out, limit)?;
            }
        }
    }
    within(out, limit)
}

fn within(text: &[u8], limit: usize) -> Result<(), TooLong> {
    if text.len() > limit { Err(TooLong) } else { Ok(()) }
}

/// The text without its buffer.
pub(super) fn take(mut buffer: Buffer) -> Vec<u8> {
    std::mem::take(&mut *buffer)
}

/// A name in Go's quotes, for diagnostics.
pub(super) fn quoted(name: &str) -> String {
    let mut out = Vec::new();
    quote(&mut out, name.as_bytes());
    String::from_utf8_lossy(&out).into_owned()
}
