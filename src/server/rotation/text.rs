//! States as YAML: each field a secret, on lines of their own or all in one. Pure.
//!
//! What is no text is kept as JSON in a secret, so that nothing of it can be a call.

use zeroize::Zeroizing;

use crate::esc::{
    render::{Format, render},
    value::{Kind, Value},
};

/// Each field on lines of its own, indented so far.
pub(super) fn in_block(state: &Value, indent: usize, newline: &str) -> Option<Zeroizing<String>> {
    let Kind::Object(fields) = &state.kind else { return None };
    if fields.is_empty() {
        return in_flow(state);
    }
    let mut out = Zeroizing::new(String::new());
    for (key, value) in fields {
        let space = " ".repeat(indent);
        let key = quoted(key);
        out.push_str(&Zeroizing::new(match written(value)? {
            Written::Null => format!("{newline}{space}{}: null", *key),
            Written::Text(text) => {
                format!("{newline}{space}{}:{newline}{space}  fn::secret: {}", *key, *text)
            }
            Written::Json(text) => format!(
                "{newline}{space}{}:{newline}{space}  fn::fromJSON:{newline}{space}    fn::secret: {}",
                *key, *text
            ),
        }));
    }
    Some(out)
}

/// All in one line, with a space before it.
pub(super) fn in_flow(state: &Value) -> Option<Zeroizing<String>> {
    let Kind::Object(fields) = &state.kind else { return None };
    let mut out = Zeroizing::new(String::from(" {"));
    for (index, (key, value)) in fields.iter().enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        let key = quoted(key);
        out.push_str(&Zeroizing::new(match written(value)? {
            Written::Null => format!("{}: null", *key),
            Written::Text(text) => format!("{}: {{fn::secret: {}}}", *key, *text),
            Written::Json(text) => format!("{}: {{fn::fromJSON: {{fn::secret: {}}}}}", *key, *text),
        }));
    }
    out.push('}');
    Some(out)
}

/// A field in quotes.
enum Written {
    Null,
    Text(Zeroizing<String>),
    /// What is no text is kept as JSON, so that all of it is secret, and no key of it means anything.
    Json(Zeroizing<String>),
}

fn written(value: &Value) -> Option<Written> {
    Some(match &value.kind {
        Kind::Null => Written::Null,
        Kind::String(text) => Written::Text(in_quotes(text.expose_str()?)),
        _ => Written::Json(in_quotes(render(value, Format::Json).ok()?.expose_str()?)),
    })
}

/// A key, in quotes unless every reader takes it for a text.
fn quoted(key: &str) -> Zeroizing<String> {
    const WORDS: &[&str] = &["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    let plain = key.starts_with(|c: char| c.is_ascii_alphabetic())
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
        && !WORDS.contains(&key.to_ascii_lowercase().as_str());
    if plain { Zeroizing::new(key.to_owned()) } else { in_quotes(key) }
}

/// In double quotes, on one line, as every reader of YAML takes it.
fn in_quotes(text: &str) -> Zeroizing<String> {
    use std::fmt::Write;
    let mut out = Zeroizing::new(String::with_capacity(text.len() + 2));
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\u{2028}' | '\u{2029}' | '\u{feff}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            // Writing to a string can't fail.
            _ if c.is_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            _ => out.push(c),
        }
    }
    out.push('"');
    out
}
