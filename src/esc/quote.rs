//! Go's quoted strings (`strconv.Quote`), which ESC's `ToString` and the words of its path parser use.

use std::io::Write as _;

/// Appends the text in double quotes, escaped as Go escapes it. Bytes that are no UTF-8 become `\xNN`.
pub(crate) fn quote(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    for chunk in text.utf8_chunks() {
        for c in chunk.valid().chars() {
            escape(out, c);
        }
        for byte in chunk.invalid() {
            hex(out, "\\x", u32::from(*byte), 2);
        }
    }
    out.push(b'"');
}

fn escape(out: &mut Vec<u8>, c: char) {
    match c {
        '"' => out.extend(b"\\\""),
        '\\' => out.extend(b"\\\\"),
        '\x07' => out.extend(b"\\a"),
        '\x08' => out.extend(b"\\b"),
        '\x0c' => out.extend(b"\\f"),
        '\n' => out.extend(b"\\n"),
        '\r' => out.extend(b"\\r"),
        '\t' => out.extend(b"\\t"),
        '\x0b' => out.extend(b"\\v"),
        '\0'..=' ' | '\x7f' if c != ' ' => hex(out, "\\x", u32::from(c), 2),
        c if is_printable(c) => out.extend(c.encode_utf8(&mut [0; 4]).as_bytes()),
        c if c <= '\u{ffff}' => hex(out, "\\u", u32::from(c), 4),
        c => hex(out, "\\U", u32::from(c), 8),
    }
}

fn hex(out: &mut Vec<u8>, prefix: &str, value: u32, width: usize) {
    // Writing to a vector can't fail.
    let _ = write!(out, "{prefix}{value:0width$x}");
}

/// Go's notion of printable, up to the version of Unicode: letters, marks, numbers, punctuation, symbols and the ASCII
/// space. The standard library knows it too, but only tells through `escape_debug`, and of a combining mark only
/// behind a character.
fn is_printable(c: char) -> bool {
    let mut buffer = [b'a'; 5];
    let [_, rest @ ..] = &mut buffer;
    let length = 1 + c.encode_utf8(rest).len();
    let text = buffer.get(..length).and_then(|bytes| std::str::from_utf8(bytes).ok());
    c.is_ascii() || text.is_some_and(|text| text.escape_debug().nth(1) == Some(c))
}

#[cfg(test)]
mod tests {
    use super::quote;

    /// Seen with Go 1.26's `strconv.Quote`.
    #[test]
    fn quotes_as_go_does() {
        let cases: &[(&[u8], &str)] = &[
            (b"", r#""""#),
            (b"plain 'text' $x `y`", r#""plain 'text' $x `y`""#),
            (b"a\"b\\c", r#""a\"b\\c""#),
            (b"\x07\x08\x0c\n\r\t\x0b\0\x1f\x7f", r#""\a\b\f\n\r\t\v\x00\x1f\x7f""#),
            ("é日😀ä\u{301}".as_bytes(), "\"é日😀ä\u{301}\""),
            (
                "\u{301}\u{85}\u{a0}\u{ad}\u{200b}\u{2028}".as_bytes(),
                "\"\u{301}\\u0085\\u00a0\\u00ad\\u200b\\u2028\"",
            ),
            ("\u{feff}\u{e000}\u{fffd}\u{e0001}".as_bytes(), "\"\\ufeff\\ue000\u{fffd}\\U000e0001\""),
            (b"ok\xff\xc3(", "\"ok\\xff\\xc3(\""),
        ];
        for (text, expected) in cases {
            let mut out = Vec::new();
            quote(&mut out, text);
            assert_eq!(String::from_utf8(out).unwrap(), *expected, "{text:?}");
        }
    }
}
