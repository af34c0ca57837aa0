//! The functions of the language that need nothing but their arguments, on arguments that fit.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::STANDARD};
use memchr::memmem;

use super::{
    bytes::decode_base64,
    json,
    place::Place,
    syntax::Unary,
    text::{self, Buffer, TooLong, take},
    to_yaml,
    value::{Kind, NODE_WEIGHT, Value},
};
use crate::secret::Secret;

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

/// Applies a function of one argument. The result is secret if anything in the argument is, and takes at most
/// `limit`.
pub(super) fn unary(
    function: Unary,
    argument: &Value,
    place: &Place,
    limit: usize,
) -> Result<Value, CallError> {
    let secret = argument.any_secret();
    // JSON, YAML and base64 grow the text, but by a small factor only: checking what goes in suffices.
    if argument.weight() > limit {
        return Err(CallError::TooLarge);
    }
    let string = |text: Vec<u8>| Value::string(Secret::new(text), secret, place.clone());
    Ok(match function {
        Unary::ToString => string(take(text::to_text(argument, limit)?)),
        Unary::ToJson => string(take(json::write(argument))),
        Unary::ToYaml => string(to_yaml::write(argument)),
        Unary::FromJson => json::read(bytes_of(argument), secret, place)
            .map_err(|summary| CallError::Argument(summary.to_owned()))?,
        Unary::ToBase64 => string(STANDARD.encode(bytes_of(argument)).into_bytes()),
        Unary::FromBase64 => {
            let decoded = decode_base64(bytes_of(argument)).map_err(|byte| {
                CallError::Argument(format!(
                    "decoding base64 string: illegal base64 data at input byte {byte}"
                ))
            })?;
            string(take(decoded))
        }
        Unary::Concat => {
            let items = items_of(argument).iter().flat_map(|list| items_of(list).iter().cloned()).collect();
            Value::array(items, secret, place.clone())
        }
        Unary::Final => whole(argument, place).sealed(true),
    })
}

/// The value itself, at another place; secret as a whole if anything in it is, and not final even if it was.
pub(super) fn whole(value: &Value, place: &Place) -> Value {
    let moved = value.clone().moved_to(place.clone()).sealed(false);
    if value.any_secret() { moved.hidden() } else { moved }
}

/// `fn::join`.
pub(super) fn join(
    delimiter: &Value,
    values: &Value,
    place: &Place,
    limit: usize,
) -> Result<Value, CallError> {
    let mut out = Buffer::default();
    for (index, item) in items_of(values).iter().enumerate() {
        if index > 0 {
            out.extend_from_slice(bytes_of(delimiter));
        }
        out.extend_from_slice(bytes_of(item));
        if out.len() > limit {
            return Err(CallError::TooLarge);
        }
    }
    let secret = delimiter.any_secret() || values.any_secret();
    Ok(Value::string(Secret::new(take(out)), secret, place.clone()))
}

/// `fn::split`. An empty delimiter splits into characters; empty pieces are kept. Every piece of a secret is
/// secret.
pub(super) fn split(
    delimiter: &Value,
    text: &Value,
    place: &Place,
    limit: usize,
) -> Result<Value, CallError> {
    let secret = delimiter.any_secret() || text.any_secret();
    // Every piece is a value of its own.
    let most = limit / NODE_WEIGHT;
    let (delimiter, text) = (bytes_of(delimiter), bytes_of(text));
    let pieces: Vec<&[u8]> = if delimiter.is_empty() {
        characters(text).take(most + 1).collect()
    } else {
        pieces(text, delimiter).take(most + 1).collect()
    };
    if pieces.len() > most {
        return Err(CallError::TooLarge);
    }
    let pieces = pieces.into_iter();
    let values = pieces.map(|piece| Value::string(Secret::new(piece.to_vec()), secret, place.clone()));
    Ok(Value::array(values.collect(), secret, place.clone()))
}

/// A byte that is no text counts as a character.
fn characters(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.utf8_chunks().flat_map(|chunk| {
        let valid = chunk.valid();
        let of = |(at, c): (usize, char)| valid.as_bytes().get(at..at + c.len_utf8()).unwrap_or_default();
        valid.char_indices().map(of).chain(chunk.invalid().chunks(1))
    })
}

fn pieces<'t>(text: &'t [u8], delimiter: &'t [u8]) -> impl Iterator<Item = &'t [u8]> {
    let finder = memmem::Finder::new(delimiter);
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let found =
            finder.find(text).and_then(|at| Some((text.get(..at)?, text.get(at + finder.needle().len()..)?)));
        let (piece, after) = found.map_or((text, None), |(piece, after)| (piece, Some(after)));
        rest = after;
        Some(piece)
    })
}

/// The text of a value that has been found to be a string.
fn bytes_of(value: &Value) -> &[u8] {
    match value.kind() {
        Kind::String(text) => text.expose(),
        _ => b"",
    }
}

/// The elements of a value that has been found to be a list.
fn items_of(value: &Value) -> &[Value] {
    match value.kind() {
        Kind::Array(items) => Arc::as_ref(items),
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::{characters, pieces};

    #[test]
    fn splits_bytes_as_go_does() {
        let split = |text, delimiter| pieces(text, delimiter).map(<[u8]>::to_vec).collect::<Vec<_>>();
        assert_eq!(split(b"a,b,,", b","), [&b"a"[..], b"b", b"", b""]);
        assert_eq!(split(b"", b","), [b""]);
        assert_eq!(split(b"aXXXb", b"XX"), [&b"a"[..], b"Xb"]);
        assert_eq!(split(b"a\xff,b", b","), [&b"a\xff"[..], b"b"]);
        let found: Vec<_> = characters("aé\u{1F600}".as_bytes()).chain(characters(b"\xe2\x82")).collect();
        assert_eq!(found, ["a".as_bytes(), "é".as_bytes(), "\u{1F600}".as_bytes(), b"\xe2", b"\x82"]);
    }
}
