//! A small JSON reader for ESC's answers.
//!
//! `serde_json` would do, but for three things: numbers must stay the text they are, strings must go straight into a
//! buffer that is wiped, and the large parts nobody needs (traces hold overridden secrets) must be skipped without a
//! copy. Reads what RFC 8259 allows; errors know where, never what.

use std::{mem, str};

use zeroize::Zeroizing;

use crate::secret::Secret;

/// The text stops being JSON at this byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NoJson(pub(super) usize);

/// The kind of the next value, told by its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    Null,
    Bool,
    Number,
    String,
    Array,
    Object,
}

pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// What comes next. Reads nothing but blanks.
    pub(super) fn next(&mut self) -> Result<Next, NoJson> {
        match self.peek_token() {
            Some(b'n') => Ok(Next::Null),
            Some(b't' | b'f') => Ok(Next::Bool),
            Some(b'-' | b'0'..=b'9') => Ok(Next::Number),
            Some(b'"') => Ok(Next::String),
            Some(b'[') => Ok(Next::Array),
            Some(b'{') => Ok(Next::Object),
            _ => Err(self.error()),
        }
    }

    /// Nothing but blanks may follow.
    pub(super) fn end(&mut self) -> Result<(), NoJson> {
        if self.peek_token().is_none() { Ok(()) } else { Err(self.error()) }
    }

    pub(super) fn null(&mut self) -> Result<(), NoJson> {
        self.word(b"null")
    }

    pub(super) fn bool(&mut self) -> Result<bool, NoJson> {
        if self.peek_token() == Some(b't') {
            self.word(b"true").map(|()| true)
        } else {
            self.word(b"false").map(|()| false)
        }
    }

    /// A number as it is written.
    pub(super) fn number(&mut self) -> Result<&'a [u8], NoJson> {
        self.peek_token();
        let start = self.at;
        self.take(b"-");
        if !self.take(b"0") {
            self.digits()?;
        }
        if self.take(b".") {
            self.digits()?;
        }
        if self.take(b"eE") {
            self.take(b"+-");
            self.digits()?;
        }
        self.bytes.get(start..self.at).ok_or_else(|| self.error())
    }

    /// A string's text, in one buffer that was large enough from the start, so that no copy stays behind.
    pub(super) fn string(&mut self) -> Result<Secret, NoJson> {
        self.expect(b'"')?;
        let raw_length = self.string_length()?;
        let mut out = Zeroizing::new(Vec::with_capacity(raw_length));
        loop {
            let start = self.at;
            while self.peek().is_some_and(|byte| byte != b'"' && byte != b'\\') {
                self.at += 1;
            }
            let run = self.bytes.get(start..self.at).unwrap_or_default();
            if let Err(error) = str::from_utf8(run) {
                return Err(NoJson(start + error.valid_up_to()));
            }
            if let Some(control) = run.iter().position(|byte| *byte < b' ') {
                return Err(NoJson(start + control));
            }
            out.extend_from_slice(run);
            if self.take(b"\"") {
                return Ok(Secret::new(mem::take(&mut *out)));
            }
            self.expect(b'\\')?;
            self.escape(&mut out)?;
        }
    }

    /// Reads an object; `each` reads the value of one member.
    pub(super) fn object<E: From<NoJson>>(
        &mut self,
        mut each: impl FnMut(&mut Self, String) -> Result<(), E>,
    ) -> Result<(), E> {
        self.elements(b'{', b'}', |reader| {
            reader.peek_token();
            let start = reader.at;
            let name = reader.string()?.expose_str().ok_or(NoJson(start))?.to_owned();
            reader.expect(b':')?;
            each(reader, name)
        })
    }

    /// Reads an array; `each` reads one item.
    pub(super) fn array<E: From<NoJson>>(
        &mut self,
        each: impl FnMut(&mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        self.elements(b'[', b']', each)
    }

    /// Skips a value without looking into it: only strings are told from brackets. A stack of our own, because traces
    /// may nest without limit.
    pub(super) fn skip(&mut self) -> Result<(), NoJson> {
        let mut open = Vec::new();
        loop {
            match self.peek_token() {
                Some(bracket @ (b'{' | b'[')) => {
                    self.at += 1;
                    // In ASCII, either closing bracket is two behind its opening one.
                    open.push(bracket + 2);
                }
                Some(bracket @ (b'}' | b']')) if open.last() == Some(&bracket) => {
                    self.at += 1;
                    open.pop();
                }
                Some(b',' | b':') if !open.is_empty() => {
                    self.at += 1;
                    continue;
                }
                Some(b'"') => {
                    self.at += 1;
                    self.at += self.string_length()? + 1;
                }
                Some(b'n') => self.word(b"null")?,
                Some(b't') => self.word(b"true")?,
                Some(b'f') => self.word(b"false")?,
                Some(b'-' | b'0'..=b'9') => {
                    self.number()?;
                }
                _ => return Err(self.error()),
            }
            if open.is_empty() {
                return Ok(());
            }
        }
    }

    fn elements<E: From<NoJson>>(
        &mut self,
        open: u8,
        close: u8,
        mut each: impl FnMut(&mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        self.expect(open)?;
        if self.peek_token() == Some(close) {
            self.at += 1;
            return Ok(());
        }
        loop {
            each(self)?;
            self.peek_token();
            if self.take(&[close]) {
                return Ok(());
            }
            self.expect(b',')?;
        }
    }

    fn error(&self) -> NoJson {
        NoJson(self.at)
    }

    /// Bytes up to the closing quote, which is not read yet.
    fn string_length(&self) -> Result<usize, NoJson> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let mut escaped = false;
        rest.iter()
            .position(|byte| match byte {
                _ if escaped => {
                    escaped = false;
                    false
                }
                b'\\' => {
                    escaped = true;
                    false
                }
                byte => *byte == b'"',
            })
            .ok_or(NoJson(self.bytes.len()))
    }

    fn escape(&mut self, out: &mut Vec<u8>) -> Result<(), NoJson> {
        let byte = self.peek().ok_or_else(|| self.error())?;
        let plain = match byte {
            b'"' | b'\\' | b'/' => byte,
            b'b' => b'\x08',
            b'f' => b'\x0c',
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                self.at += 1;
                let c = self.unicode()?;
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                return Ok(());
            }
            _ => return Err(self.error()),
        };
        self.at += 1;
        out.push(plain);
        Ok(())
    }

    /// The character of `\uXXXX`, after the `u`. Half a surrogate pair becomes U+FFFD, as in Go.
    fn unicode(&mut self) -> Result<char, NoJson> {
        let first = self.hex()?;
        if let Some(c) = char::from_u32(first) {
            return Ok(c);
        }
        let before = self.at;
        if first < 0xdc00 && self.take(b"\\") && self.take(b"u") {
            let second = self.hex()?;
            if (0xdc00..0xe000).contains(&second) {
                let c = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                return Ok(char::from_u32(c).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
        }
        self.at = before;
        Ok(char::REPLACEMENT_CHARACTER)
    }

    fn hex(&mut self) -> Result<u32, NoJson> {
        let mut value = 0;
        for _ in 0..4 {
            let digit =
                self.peek().and_then(|byte| char::from(byte).to_digit(16)).ok_or_else(|| self.error())?;
            value = value * 16 + digit;
            self.at += 1;
        }
        Ok(value)
    }

    fn digits(&mut self) -> Result<(), NoJson> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at > start { Ok(()) } else { Err(self.error()) }
    }

    fn word(&mut self, word: &[u8]) -> Result<(), NoJson> {
        self.peek_token();
        if self.bytes.get(self.at..).is_some_and(|rest| rest.starts_with(word)) {
            self.at += word.len();
            return Ok(());
        }
        Err(self.error())
    }

    fn expect(&mut self, byte: u8) -> Result<(), NoJson> {
        self.peek_token();
        if self.take(&[byte]) { Ok(()) } else { Err(self.error()) }
    }

    /// Reads the next byte if it is one of these.
    fn take(&mut self, any_of: &[u8]) -> bool {
        let found = self.peek().is_some_and(|byte| any_of.contains(&byte));
        self.at += usize::from(found);
        found
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// The next byte after blanks, which are read.
    fn peek_token(&mut self) -> Option<u8> {
        while self.peek().is_some_and(|byte| b" \t\n\r".contains(&byte)) {
            self.at += 1;
        }
        self.peek()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value};

    use super::{Next, NoJson, Reader};

    /// Reads a whole text with our reader into `serde_json`'s type, for comparison.
    fn read(text: &[u8]) -> Result<Value, NoJson> {
        fn value(reader: &mut Reader<'_>) -> Result<Value, NoJson> {
            Ok(match reader.next()? {
                Next::Null => reader.null().map(|()| Value::Null)?,
                Next::Bool => Value::Bool(reader.bool()?),
                Next::Number => {
                    Value::Number(serde_json::from_slice(reader.number()?).map_err(|_| NoJson(0))?)
                }
                Next::String => Value::String(reader.string()?.expose_str().ok_or(NoJson(0))?.to_owned()),
                Next::Array => {
                    let mut items = Vec::new();
                    reader.array(|reader| {
                        items.push(value(reader)?);
                        Ok::<_, NoJson>(())
                    })?;
                    Value::Array(items)
                }
                Next::Object => {
                    let mut object = Map::new();
                    reader.object(|reader, name| {
                        object.insert(name, value(reader)?);
                        Ok::<_, NoJson>(())
                    })?;
                    Value::Object(object)
                }
            })
        }
        let mut reader = Reader::new(text);
        let value = value(&mut reader)?;
        reader.end()?;
        Ok(value)
    }

    #[test]
    fn agrees_with_serde_json() {
        for text in [
            "null",
            " true ",
            "false",
            "0",
            "-0",
            "1.50",
            "1e400",
            "-1.5E+7",
            "01",
            "1.",
            ".5",
            "+1",
            "-",
            "1e",
            "nul",
            "tru",
            r#""""#,
            r#""a\"b\\\/\b\f\n\r\t""#,
            r#""\u00e9\ud83d\ude00""#,
            r#""\u12""#,
            r#""\x""#,
            "\"\n\"",
            "\"",
            "\"\\",
            "\"é\"",
            "[]",
            "[1,2 , 3]",
            "[1,]",
            "[,1]",
            "[1 2]",
            "[",
            "[1",
            "{}",
            r#"{"a":1,"b":{"c":[]}}"#,
            r#"{"a"}"#,
            r#"{"a":}"#,
            r#"{"a":1,}"#,
            "{,}",
            "{a:1}",
            r#"{"a":1 "b":2}"#,
            "1 2",
            "",
            " ",
            "[]]",
            "{\"a\":1,\"a\":2}",
            "\u{feff}1",
        ] {
            let ours = read(text.as_bytes());
            match serde_json::from_str::<Value>(text) {
                Ok(theirs) => assert_eq!(ours, Ok(theirs), "{text}"),
                Err(_) => assert!(ours.is_err(), "{text}"),
            }
        }
    }

    #[test]
    fn half_surrogates_become_replacement_characters() {
        for (text, expected) in [
            (r#""\ud83d""#, "\u{fffd}"),
            (r#""\ude00x""#, "\u{fffd}x"),
            (r#""\ud83d\u0041""#, "\u{fffd}A"),
            (r#""\ud83dz""#, "\u{fffd}z"),
            (r#""\ud83d\n""#, "\u{fffd}\n"),
        ] {
            assert_eq!(read(text.as_bytes()), Ok(Value::String(expected.to_owned())), "{text}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_refused() {
        assert_eq!(read(b"\"ab\xff\""), Err(NoJson(3)));
        assert_eq!(read(b"{\"a\xc3\":1}"), Err(NoJson(3)));
    }

    #[test]
    fn skips_any_depth() {
        let deep = format!("{}1{}", "[{\"base\":".repeat(100_000), "}]".repeat(100_000));
        let mut reader = Reader::new(deep.as_bytes());
        reader.skip().unwrap();
        reader.end().unwrap();
        for broken in ["[", "[}", "{\"a\":", "]", "\"a", "{\"a\":[1}", "x", ":"] {
            assert!(Reader::new(broken.as_bytes()).skip().is_err(), "{broken}");
        }
    }

    proptest! {
        #[test]
        fn agrees_with_serde_json_on_anything(text in "[-\\[\\]{}:,\"\\\\ 0-9.eEu\\nntrufalsdé]{0,24}") {
            let ours = read(text.as_bytes());
            match serde_json::from_str::<Value>(&text) {
                Ok(theirs) => prop_assert_eq!(ours, Ok(theirs)),
                Err(error) if error.to_string().contains("surrogate") => {}
                Err(_) => prop_assert!(ours.is_err()),
            }
        }

        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = read(&bytes);
            let _ = Reader::new(&bytes).skip();
        }
    }
}
