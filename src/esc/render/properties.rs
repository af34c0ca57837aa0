//! Java properties. Nested keys are joined with dots and arrays are indexed, as Spring reads them. Pure ASCII, since
//! some readers take the file for ISO-8859-1 and others for UTF-8.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write as _,
};

use super::RenderError;
use crate::esc::value::{Kind, Value};

const FORMAT: &str = "properties";

/// Appends an object's entries. Two values that end up under the same key are an error.
pub(super) fn write(out: &mut Vec<u8>, entries: &BTreeMap<String, Value>) -> Result<(), RenderError> {
    let mut writer = Writer { out, keys: BTreeSet::new() };
    entries.iter().try_for_each(|(key, value)| writer.value(key.clone(), value))
}

struct Writer<'o> {
    out: &'o mut Vec<u8>,
    keys: BTreeSet<String>,
}

impl Writer<'_> {
    fn value(&mut self, key: String, value: &Value) -> Result<(), RenderError> {
        match &value.kind {
            Kind::Object(entries) if !entries.is_empty() => {
                entries.iter().try_for_each(|(name, value)| self.value(format!("{key}.{name}"), value))
            }
            Kind::Array(items) if !items.is_empty() => items
                .iter()
                .enumerate()
                .try_for_each(|(index, item)| self.value(format!("{key}[{index}]"), item)),
            // What is empty leaves its key, so that a reader can tell it from what is missing.
            _ => self.line(key, value.scalar_text().unwrap_or_default()),
        }
    }

    fn line(&mut self, key: String, text: &[u8]) -> Result<(), RenderError> {
        self.escaped(key.as_bytes(), true);
        self.out.push(b'=');
        self.escaped(text, false);
        self.out.push(b'\n');
        if self.keys.contains(&key) {
            return Err(RenderError::Key { format: FORMAT, key });
        }
        self.keys.insert(key);
        Ok(())
    }

    fn escaped(&mut self, text: &[u8], key: bool) {
        let mut leading = true;
        for c in String::from_utf8_lossy(text).chars() {
            match c {
                // A reader skips blanks before a value; in a key, every blank would end it.
                ' ' if key || leading => self.out.extend(b"\\ "),
                '\t' => self.out.extend(b"\\t"),
                '\n' => self.out.extend(b"\\n"),
                '\r' => self.out.extend(b"\\r"),
                '\x0c' => self.out.extend(b"\\f"),
                '\\' | ':' | '=' | '#' | '!' => self.out.extend([b'\\', c as u8]),
                ' '..='~' => self.out.push(c as u8),
                _ => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        // Writing to a vector can't fail.
                        let _ = write!(self.out, "\\u{unit:04x}");
                    }
                }
            }
            leading = leading && c == ' ';
        }
    }
}
