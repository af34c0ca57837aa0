//! Text that may be no UTF-8, and Go's base64.
//!
//! A string of the language is bytes. Only where it leaves as JSON or YAML, bytes that are no text become U+FFFD,
//! one for each, as Go's encoder has it.

use std::borrow::Cow;

use zeroize::Zeroizing;

/// The bytes as text.
pub(super) fn to_text(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        out.extend(chunk.invalid().iter().map(|_| '\u{fffd}'));
    }
    Cow::Owned(out)
}

/// Decodes base64: standard alphabet with padding. Line breaks are tolerated, and so are bits that are left over.
///
/// The error is the position of the byte that the reference blames.
pub(super) fn decode_base64(text: &[u8]) -> Result<Zeroizing<Vec<u8>>, usize> {
    let mut out = Zeroizing::new(Vec::with_capacity(text.len() / 4 * 3));
    let mut at = 0;
    loop {
        let (mut group, mut length) = (0u32, 0);
        while length < 4 {
            let Some(&byte) = text.get(at) else {
                return if length == 0 { Ok(out) } else { Err(at - length) };
            };
            at += 1;
            match byte {
                b'\n' | b'\r' => {}
                b'=' => return padding(text, at, length, group, out),
                _ => {
                    group = group << 6 | sextet(byte).ok_or(at - 1)?;
                    length += 1;
                }
            }
        }
        let [_, bytes @ ..] = group.to_be_bytes();
        out.extend_from_slice(&bytes);
    }
}

/// What follows the first `=`, at which `length` characters of the group had been read.
fn padding(
    text: &[u8],
    mut at: usize,
    length: usize,
    group: u32,
    mut out: Zeroizing<Vec<u8>>,
) -> Result<Zeroizing<Vec<u8>>, usize> {
    let skip = |at: usize| at + text.iter().skip(at).take_while(|byte| matches!(byte, b'\n' | b'\r')).count();
    let [_, first, second, _] = (group << (6 * (4 - length.min(4)))).to_be_bytes();
    match length {
        2 => {
            at = skip(at);
            match text.get(at) {
                None => return Err(text.len()),
                Some(b'=') => at += 1,
                Some(_) => return Err(at - 1),
            }
            out.push(first);
        }
        3 => out.extend_from_slice(&[first, second]),
        _ => return Err(at - 1),
    }
    at = skip(at);
    if at < text.len() { Err(at) } else { Ok(out) }
}

fn sextet(byte: u8) -> Option<u32> {
    Some(u32::from(match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    }))
}

#[cfg(test)]
mod tests {
    use base64::{Engine, engine::general_purpose::STANDARD};
    use proptest::prelude::*;

    use super::{decode_base64, to_text};

    #[test]
    fn blames_the_byte_that_go_blames() {
        for (text, expected) in [
            ("", Ok("")),
            ("aGk=", Ok("hi")),
            ("a\nGk=", Ok("hi")),
            ("aGk=\r\n", Ok("hi")),
            ("aGl=", Ok("hi")),
            ("aGk", Err(0)),
            ("aGkxaGk", Err(4)),
            ("a", Err(0)),
            ("!!", Err(0)),
            ("aG!k", Err(2)),
            ("=", Err(0)),
            ("a===", Err(1)),
            ("aA=", Err(3)),
            ("aA=x", Err(2)),
            ("aA==x", Err(4)),
            ("aGk=aGk=", Err(4)),
            ("aGk\n", Err(1)),
        ] {
            let found =
                decode_base64(text.as_bytes()).map(|bytes| String::from_utf8(bytes.to_vec()).unwrap());
            assert_eq!(found, expected.map(str::to_owned), "{text:?}");
        }
    }

    #[test]
    fn every_byte_that_is_no_text_becomes_one_mark() {
        assert_eq!(to_text(b"a\xe2\x82b\xff"), "a\u{fffd}\u{fffd}b\u{fffd}");
    }

    proptest! {
        #[test]
        fn decodes_what_was_encoded(bytes in any::<Vec<u8>>()) {
            prop_assert_eq!(&*decode_base64(STANDARD.encode(&bytes).as_bytes()).unwrap(), &bytes);
        }
    }
}
