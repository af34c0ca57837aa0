//! `KEY='value'` lines. Single quotes, because in them a POSIX shell takes everything as it stands, newlines too;
//! ESC's own dotenv quotes as Go does, which a shell reads differently.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use super::{RenderError, json};
use crate::esc::{names::VariableName, value::Value};

const FORMAT: &str = "dotenv";

/// Appends an object's entries; nested objects and arrays become compact JSON.
pub(super) fn write(out: &mut Vec<u8>, entries: &BTreeMap<String, Value>) -> Result<(), RenderError> {
    for (key, value) in entries {
        if key.parse::<VariableName>().is_err() {
            return Err(RenderError::Key { format: FORMAT, key: key.clone() });
        }
        out.extend(key.as_bytes());
        out.extend(b"='");
        if let Some(text) = value.scalar_text() {
            quoted(out, text)?;
        } else {
            let mut nested = Zeroizing::new(Vec::new());
            json::write(&mut nested, value);
            quoted(out, &nested)?;
        }
        out.extend(b"'\n");
    }
    Ok(())
}

fn quoted(out: &mut Vec<u8>, text: &[u8]) -> Result<(), RenderError> {
    for &byte in text {
        match byte {
            0 => return Err(RenderError::Shape { format: FORMAT, needs: "values without NUL bytes" }),
            // A single quote can't stand between single quotes: close, escape it, open again.
            b'\'' => out.extend(b"'\\''"),
            _ => out.push(byte),
        }
    }
    Ok(())
}
