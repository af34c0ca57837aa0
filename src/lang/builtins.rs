//! The functions of the language that need nothing but their argument.

use std::sync::Arc;

use super::{
    diagnostic::Range,
    json,
    text::{self, Buffer, TooLong, take},
    value::{Kind, Value},
};
use crate::secret::Secret;
use base64::{Engine, engine::general_purpose::STANDARD};

/// A function that this server evaluates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Builtin {
    Concat,
    FromBase64,
    FromJson,
    Join,
    Split,
    ToBase64,
    ToJson,
    ToString,
}

/// Why a call yields nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum CallError {
    /// The argument is wrong.
    Argument(String),
    /// The result would be too large.
    TooLarge,
}

impl From<TooLong> for CallError {
    fn from(TooLong: TooLong) -> Self {
        Self::TooLarge
    }
}

impl CallError {
    fn argument(message: &str) -> Self {
        Self::Argument(message.to_owned())
    }

    fn expected(what: &str, got: &Value) -> Self {
        Self::Argument(format!("expected {what}, got {}", got.type_name()))
    }
}

impl Builtin {
    /// The function of this name, without the `fn::`.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "concat" => Self::Concat,
            "fromBase64" => Self::FromBase64,
            "fromJSON" => Self::FromJson,
            "join" => Self::Join,
            "split" => Self::Split,
            "toBase64" => Self::ToBase64,
            "toJSON" => Self::ToJson,
            "toString" => Self::ToString,
            _ => return None,
        })
    }

    /// Whether the language knows a function that this server does not evaluate.
    pub(super) fn is_known_elsewhere(name: &str) -> bool {
        matches!(name, "final" | "open" | "rotate" | "toYAML" | "validate")
            || name.starts_with("open::")
            || name.starts_with("rotate::")
    }

    /// Applies the function. The result is secret if anything in the argument is, and takes at most `limit`.
    pub(super) fn call(self, argument: &Value, range: &Range, limit: usize) -> Result<Value, CallError> {
        let secret = argument.any_secret();
        // JSON and base64 grow the text, but by a small factor only: checking what goes in suffices.
        if argument.weight() > limit {
            return Err(CallError::TooLarge);
        }
        let string = |text: Vec<u8>| Value::string(Secret::new(text), secret, range.clone());
        Ok(match self {
            Self::ToString => string(take(text::to_text(argument, limit)?)),
            Self::ToJson => string(take(json::write(argument))),
            Self::FromJson => json::read(as_string(argument)?, secret, range).map_err(CallError::argument)?,
            Self::ToBase64 => string(STANDARD.encode(as_string(argument)?).into_bytes()),
            Self::FromBase64 => string(decode(as_string(argument)?)?),
            Self::Join => {
                let (delimiter, items) = pair(argument)?;
                string(join(as_string(delimiter)?, as_array(items)?, limit)?)
            }
            Self::Split => {
                let (delimiter, text) = pair(argument)?;
                let pieces = split(as_string(delimiter)?, as_string(text)?, limit)?
                    .into_iter()
                    .map(|piece| Value::string(piece, secret, range.clone()))
                    .collect();
                Value::array(pieces, secret, range.clone())
            }
            Self::Concat => {
                let mut items = Vec::new();
                for list in as_array(argument)?.iter() {
                    items.extend_from_slice(as_array(list)?);
                }
                Value::array(items, secret, range.clone())
            }
        })
    }
}

fn as_string(value: &Value) -> Result<&str, CallError> {
    match value.kind() {
        Kind::String(text) => Ok(text.expose_str().unwrap_or_default()),
        _ => Err(CallError::expected("string", value)),
    }
}

fn as_array(value: &Value) -> Result<&Arc<[Value]>, CallError> {
    match value.kind() {
        Kind::Array(items) => Ok(items),
        _ => Err(CallError::expected("array", value)),
    }
}

fn pair(value: &Value) -> Result<(&Value, &Value), CallError> {
    match &**as_array(value)? {
        [first, second] => Ok((first, second)),
        _ => Err(CallError::argument("expected an array of two: the delimiter, and what it works on")),
    }
}

fn join(delimiter: &str, items: &[Value], limit: usize) -> Result<Vec<u8>, CallError> {
    let mut out = Buffer::default();
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.extend_from_slice(delimiter.as_bytes());
        }
        out.extend_from_slice(as_string(item)?.as_bytes());
        if out.len() > limit {
            return Err(CallError::TooLarge);
        }
    }
    Ok(take(out))
}

/// An empty delimiter splits into characters. Empty pieces are kept.
fn split(delimiter: &str, text: &str, limit: usize) -> Result<Vec<Secret>, CallError> {
    // Every piece is a value of its own.
    let most = limit / super::value::NODE_WEIGHT;
    let pieces: Vec<Secret> = if delimiter.is_empty() {
        text.chars().take(most + 1).map(|c| Secret::from(c.to_string())).collect()
    } else {
        text.split(delimiter).take(most + 1).map(Secret::from).collect()
    };
    if pieces.len() > most { Err(CallError::TooLarge) } else { Ok(pieces) }
}

/// Standard alphabet with padding; line breaks are tolerated. Bytes that are no text become U+FFFD, since values
/// are text.
fn decode(text: &str) -> Result<Vec<u8>, CallError> {
    let bare = Buffer::new(text.bytes().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect());
    if let Ok(bytes) = STANDARD.decode(bare.as_slice()) {
        return Ok(String::from_utf8(bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
            .into_bytes());
    }
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    // What is wrong is a character, or the last group of four where the text simply ends too early.
    let at = bare.iter().position(|&byte| !valid(byte)).unwrap_or(bare.len() / 4 * 4);
    Err(CallError::Argument(format!("decoding base64 string: illegal base64 data at input byte {at}")))
}
