//! Replaces the texts of `fn::secret` in a definition by ciphertexts, and back.
//!
//! Only the bytes of a secret's text are replaced: comments, order and formatting stay as they are, and the way
//! back gives the same bytes, because what is encrypted is the text *and* how it was written. A definition that
//! somebody has rewritten in between, with other indentation, gets the text in double quotes instead.
//!
//! Pure: the caller has the cipher. Nothing here quotes a secret.

use zeroize::Zeroizing;

use crate::{
    secret::Secret,
    yaml::{self, Mark, Node, NodeKind, esc_string},
};

/// The function whose argument is a secret.
const FUNCTION: &str = "fn::secret";

/// What a ciphertext hides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plaintext {
    /// The secret itself.
    pub value: Secret,
    /// How it stood in the definition: quotes, indentation and all. Empty if that is not known.
    pub source: Secret,
}

/// What was found as the argument of a `fn::secret`.
#[derive(Debug)]
pub enum Found {
    /// A text.
    Plain(Plaintext),
    /// An envelope, as it stands; perhaps none at all.
    Sealed(String),
}

/// Why a definition can't be rewritten, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{summary}")]
pub struct SealError {
    /// What is wrong; never quotes a secret.
    pub summary: String,
    /// First character of what is wrong.
    pub begin: Mark,
    /// One past its last character.
    pub end: Mark,
}

impl Plaintext {
    /// As bytes, for the cipher.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let length = u32::try_from(self.source.len()).unwrap_or(0);
        let source = if length == 0 { &[] } else { self.source.expose() };
        Zeroizing::new([&length.to_be_bytes(), source, self.value.expose()].concat())
    }

    /// What the secret is.
    pub fn into_value(self) -> Secret {
        self.value
    }

    /// The inverse of [`Plaintext::encode`]; none if the bytes are something else.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (source, value) = rest.split_at_checked(length)?;
        // Both came from text.
        std::str::from_utf8(source).ok()?;
        std::str::from_utf8(value).ok()?;
        Some(Self { value: Secret::new(value.to_vec()), source: Secret::new(source.to_vec()) })
    }
}

/// Puts envelopes in place of the secrets of a definition. `seal` makes an envelope of a text, and may answer to
/// an envelope with another one; its errors are told at the place of the secret.
pub fn seal(
    text: &str,
    seal: &mut dyn FnMut(Found) -> Result<Option<String>, String>,
) -> Result<String, SealError> {
    let mut edits = Vec::new();
    for site in sites(text)? {
        let envelope = seal(site.found).map_err(|summary| site.place.error(summary))?;
        if let Some(envelope) = envelope {
            edits.push((site.place, Secret::from(format!("{{ciphertext: {envelope}}}"))));
        }
    }
    Ok(apply(text, &edits))
}

/// Puts the secrets back in place of their envelopes. `open` gives what an envelope hides.
pub fn unseal(
    text: &str,
    open: &mut dyn FnMut(&str) -> Result<Plaintext, String>,
) -> Result<Secret, SealError> {
    let mut opened = Vec::new();
    let mut values = Vec::new();
    for site in sites(text)? {
        match site.found {
            Found::Plain(plain) => values.push(plain.value),
            Found::Sealed(envelope) => {
                let plain = open(&envelope).map_err(|summary| site.place.error(summary))?;
                values.push(plain.value.clone());
                opened.push((site.place, plain));
            }
        }
    }
    let with = |write: &dyn Fn(&Plaintext) -> Secret| {
        let edits: Vec<_> = opened.iter().map(|(place, plain)| (place.clone(), write(plain))).collect();
        Secret::from(apply(text, &edits))
    };
    let as_written = with(&|plain| {
        if plain.source.is_empty() { quoted(&plain.value) } else { plain.source.clone() }
    });
    // Whoever rewrote the definition may have moved a text to where it means something else.
    if opened.is_empty() || means(&as_written, &values) {
        return Ok(as_written);
    }
    Ok(with(&|plain| quoted(&plain.value)))
}

/// Whether a definition has these secrets, in this order.
fn means(text: &Secret, values: &[Secret]) -> bool {
    let Some(Ok(found)) = text.expose_str().map(sites) else { return false };
    found.len() == values.len()
        && found.iter().zip(values).all(|(site, value)| match &site.found {
            Found::Plain(plain) => plain.value == *value,
            Found::Sealed(_) => false,
        })
}

/// A secret, and what would be replaced.
struct Site {
    place: Place,
    found: Found,
}

#[derive(Clone)]
struct Place {
    begin: Mark,
    end: Mark,
    /// In bytes. Begins before `begin` if a tag or an anchor does.
    range: std::ops::Range<usize>,
}

impl Place {
    fn error(&self, summary: String) -> SealError {
        SealError { summary, begin: self.begin, end: self.end }
    }
}

/// Every secret of every document in the text, in order.
fn sites(text: &str) -> Result<Vec<Site>, SealError> {
    let documents = yaml::parse(text).map_err(|error| SealError {
        summary: format!("yaml: line {}: {}", error.mark.line, error.message),
        begin: error.mark,
        end: error.mark,
    })?;
    let mut sites = Vec::new();
    for document in &documents {
        walk(text, document, &mut sites)?;
    }
    Ok(sites)
}

/// The parser bounds the depth.
fn walk(text: &str, node: &Node, sites: &mut Vec<Site>) -> Result<(), SealError> {
    match &node.kind {
        NodeKind::Scalar { .. } | NodeKind::Alias(_) => Ok(()),
        NodeKind::Sequence(items, _) => items.iter().try_for_each(|item| walk(text, item, sites)),
        NodeKind::Mapping(pairs, _) => pairs.iter().try_for_each(|(key, value)| match esc_string(key) {
            Some(name) if name.eq_ignore_ascii_case(FUNCTION) => {
                let refuse = |summary: &str| {
                    let place = Place { begin: value.start, end: value.end, range: 0..0 };
                    Err(place.error(summary.to_owned()))
                };
                // It is no call, so what looks like a secret would lie about in the clear.
                if name != FUNCTION {
                    return refuse("'fn::' is a reserved prefix");
                }
                match site(text, key, value) {
                    Some(site) => sites.push(site),
                    None => return refuse("secret values must be string literals"),
                }
                Ok(())
            }
            _ => {
                walk(text, key, sites)?;
                walk(text, value, sites)
            }
        }),
    }
}

fn site(text: &str, key: &Node, argument: &Node) -> Option<Site> {
    let (begin, end) = (argument.start, argument.end);
    if let NodeKind::Mapping(pairs, _) = &argument.kind {
        let [(name, envelope)] = pairs.as_slice() else { return None };
        if esc_string(name)? != "ciphertext" {
            return None;
        }
        let place = Place { begin, end, range: begin.byte..end.byte };
        return Some(Site { place, found: Found::Sealed(esc_string(envelope)?.to_owned()) });
    }
    let value = Secret::from(esc_string(argument)?);
    let start = start_of_value(text, key.end.byte, begin.byte);
    let whole = text.get(start..end.byte)?;
    // A block reaches up to what follows it. Which white space stays behind does not matter: it comes back with the
    // rest of the definition.
    let whole = if is_block(whole) { whole.trim_end_matches([' ', '\t', '\r', '\n']) } else { whole };
    let range = start..start + whole.len();
    let source = Secret::from(whole);
    Some(Site { place: Place { begin, end, range }, found: Found::Plain(Plaintext { value, source }) })
}

/// Where the value of a key begins, with its tag, its anchor and the header of a block: the parser's mark is behind
/// all of these. `mark` if there is none of them.
fn start_of_value(text: &str, key_end: usize, mark: usize) -> usize {
    let mut rest = text.get(key_end..mark).unwrap_or_default();
    let mut colon = false;
    loop {
        rest = rest.trim_start();
        match rest.chars().next() {
            Some('#') => rest = rest.split_once('\n').map_or("", |(_, next)| next),
            Some(':') if !colon => {
                colon = true;
                rest = rest.get(1..).unwrap_or_default();
            }
            _ => return mark - rest.len(),
        }
    }
}

/// Whether a value, from its tag and anchor on, is a block: nothing else begins with its header's first character.
fn is_block(value: &str) -> bool {
    let mut rest = value;
    loop {
        rest = rest.trim_start();
        match rest.chars().next() {
            Some('|' | '>') => return true,
            Some('!' | '&') => rest = rest.split_once(char::is_whitespace).map_or("", |(_, next)| next),
            Some('#') => rest = rest.split_once('\n').map_or("", |(_, next)| next),
            _ => return false,
        }
    }
}

fn apply(text: &str, edits: &[(Place, Secret)]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for (Place { range, .. }, replacement) in edits {
        out.push_str(text.get(done..range.start).unwrap_or_default());
        out.push_str(replacement.expose_str().unwrap_or_default());
        done = range.end;
    }
    out.push_str(text.get(done..).unwrap_or_default());
    out
}

/// A text in double quotes, on one line, as every reader of YAML takes it.
fn quoted(value: &Secret) -> Secret {
    let mut out = Zeroizing::new(String::from("\""));
    for c in value.expose_str().unwrap_or_default().chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{2028}' | '\u{2029}' | '\u{feff}' => escape(&mut out, c),
            _ if c.is_control() => escape(&mut out, c),
            _ => out.push(c),
        }
    }
    out.push('"');
    Secret::from(out.as_str())
}

fn escape(out: &mut String, c: char) {
    use std::fmt::Write;
    // Writing to a string can't fail.
    let _ = write!(out, "\\u{:04x}", u32::from(c));
}

#[cfg(test)]
mod tests {
    use base64::{Engine, engine::general_purpose::STANDARD};
    use proptest::prelude::*;

    use super::{Found, Plaintext, seal, unseal};
    use crate::lang::envelope;

    /// A cipher that hides nothing, but looks like one.
    fn sealed(text: &str) -> Result<String, String> {
        seal(text, &mut |found| {
            Ok(match found {
                Found::Plain(plain) => Some(envelope::close(&plain.encode())),
                Found::Sealed(_) => None,
            })
        })
        .map_err(|error| error.to_string())
    }

    fn unsealed(text: &str) -> String {
        let secret = unseal(text, &mut |text| {
            let content = envelope::open(text.as_bytes()).map_err(|error| error.to_string())?;
            Plaintext::decode(&content).ok_or_else(|| "not ours".to_owned())
        });
        secret.unwrap().expose_str().unwrap().to_owned()
    }

    /// Ciphertexts shortened, so that a test shows what stays.
    fn shape(text: &str) -> String {
        let mut out = String::new();
        for (index, piece) in text.split("{ciphertext: ").enumerate() {
            out.push_str(if index == 0 { piece } else { piece.split_once('}').unwrap().1 });
            out.push_str("<>");
        }
        out.truncate(out.len() - 2);
        out
    }

    #[test]
    fn replaces_secrets_and_nothing_else() {
        for (text, expected) in [
            (
                "values:\n  a: {fn::secret: hunter2} # why\n  b: 1\n",
                "values:\n  a: {fn::secret: <>} # why\n  b: 1\n",
            ),
            (
                "values:\n  a:\n    fn::secret: hunter2   # why\n",
                "values:\n  a:\n    fn::secret: <>   # why\n",
            ),
            ("values: {a: {\"fn::secret\":\"x\"}}", "values: {a: {\"fn::secret\":<>}}"),
            (
                "values: {a: [fn::secret: x, fn::secret: 'y']}",
                "values: {a: [fn::secret: <>, fn::secret: <>]}",
            ),
            ("values:\n  a:\n    fn::secret: |\n  b: 1\n", "values:\n  a:\n    fn::secret: <>\n  b: 1\n"),
            ("values:\n  a:\n    fn::secret: |\n", "values:\n  a:\n    fn::secret: <>\n"),
            (
                "values:\n  a:\n    fn::secret: # it's | this\n      'x'\n",
                "values:\n  a:\n    fn::secret: # it's | this\n      <>\n",
            ),
            ("values:\n  a:\n    fn::secret: !!str # no\n      42\n", "values:\n  a:\n    fn::secret: <>\n"),
            ("values:\n  a:\n    ? fn::secret\n    : x\n", "values:\n  a:\n    ? fn::secret\n    : <>\n"),
            ("values:\n  a: {'fn::secret' : ':x'}\n", "values:\n  a: {'fn::secret' : <>}\n"),
            (
                "values:\n  a:\n    fn::secret: |\n      one\n       two\n\n  # next\n  b: 1\n",
                "values:\n  a:\n    fn::secret: <>\n\n  # next\n  b: 1\n",
            ),
            ("values:\n  a:\n    fn::secret: >-\n      one\n      two", "values:\n  a:\n    fn::secret: <>"),
            ("values:\n  a:\n    fn::secret: \"one\n      two\"\n", "values:\n  a:\n    fn::secret: <>\n"),
            (
                "values:\n  a:\n    fn::secret:\n      one\n      two\n",
                "values:\n  a:\n    fn::secret:\n      <>\n",
            ),
            ("values: {a: {fn::secret: !!str 42}}", "values: {a: {fn::secret: <>}}"),
            ("values: {a: {fn::secret: &x !!str 42}}", "values: {a: {fn::secret: <>}}"),
            ("values: {a: {fn::secret: !<tag:yaml.org,2002:str> 42}}", "values: {a: {fn::secret: <>}}"),
            ("values: {é: {fn::secret: ü}, z: ü}", "values: {é: {fn::secret: <>}, z: ü}"),
            (
                "a: {fn::secret: x}\n---\nb: {fn::secret: y}\n",
                "a: {fn::secret: <>}\n---\nb: {fn::secret: <>}\n",
            ),
            (
                "values: {a: {fn::secret: x, b: {fn::secret: y}}}",
                "values: {a: {fn::secret: <>, b: {fn::secret: <>}}}",
            ),
            (
                "values:\r\n  a:\r\n    fn::secret: |\r\n      x\r\n  b: 1\r\n",
                "values:\r\n  a:\r\n    fn::secret: <>\r\n  b: 1\r\n",
            ),
            ("# nothing\n", "# nothing\n"),
            ("", ""),
        ] {
            let found = sealed(text).unwrap();
            assert_eq!(shape(&found), expected, "{text:?}");
            assert_eq!(unsealed(&found), text);
            assert_eq!(sealed(&found).unwrap(), found, "sealing again changes nothing");
        }
    }

    #[test]
    fn refuses_what_would_stay_readable() {
        for (text, expected) in [
            ("values: {a: {FN::secret: x}}", "'fn::' is a reserved prefix"),
            ("values: {a: {fn::Secret: x}}", "'fn::' is a reserved prefix"),
            ("values: {a: {fn::secret: 5}}", "secret values must be string literals"),
            ("values: {a: {fn::secret: [x]}}", "secret values must be string literals"),
            ("values: {a: {fn::secret: {b: x}}}", "secret values must be string literals"),
            ("values: {a: {fn::secret: {ciphertext: 5}}}", "secret values must be string literals"),
            ("values: {a: &x y, b: {fn::secret: *x}}", "secret values must be string literals"),
            ("values: {a: {fn::secret: }}", "secret values must be string literals"),
        ] {
            assert_eq!(sealed(text).unwrap_err(), expected, "{text}");
        }
        let error = sealed("values: {a: {fn::secret: c4n4ry").unwrap_err();
        assert!(error.starts_with("yaml: line 1:") && !error.contains("c4n4ry"), "{error}");
    }

    #[test]
    fn a_definition_that_was_rewritten_keeps_its_secrets() {
        let text = "values:\n  a:\n    fn::secret: |\n      one\n       two\n  b: {fn::secret: \"x, y\"}\n";
        let found = sealed(text).unwrap();
        let ciphertexts: Vec<_> =
            found.split("{ciphertext: ").skip(1).map(|rest| rest.split_once('}').unwrap().0).collect();
        let rewritten = format!(
            "values:\n        a:\n            fn::secret:\n                ciphertext: {}\n        b:\n            fn::secret:\n                ciphertext: {}\n",
            ciphertexts[0], ciphertexts[1]
        );
        assert_eq!(
            unsealed(&rewritten),
            "values:\n        a:\n            fn::secret:\n                \"one\\n two\\n\"\n        b:\n            fn::secret:\n                \"x, y\"\n"
        );
    }

    #[test]
    fn opening_tells_where_it_fails() {
        let error = unseal("values:\n  a: {fn::secret: {ciphertext: AAAA}}\n", &mut |_| Err("no".to_owned()));
        let error = error.unwrap_err();
        assert_eq!((error.summary.as_str(), error.begin.line, error.begin.column), ("no", 2, 19));
    }

    #[test]
    fn decodes_only_what_was_encoded() {
        for bytes in [&[][..], &[0, 0, 0], &[0, 0, 0, 2, b'x'], &[0, 0, 0, 0, 0xff], &[0, 0, 0, 1, 0xff]] {
            assert_eq!(Plaintext::decode(bytes), None, "{bytes:?}");
        }
    }

    /// A secret in one of the ways to write one, as an entry of a block mapping at four spaces.
    fn entry() -> impl Strategy<Value = String> {
        let text = "[ -~éß\\n]{0,40}";
        let plain = "[a-z][a-z0-9@/+=,.]{0,20}";
        prop_oneof![
            plain.prop_map(|text| format!("fn::secret: {text}")),
            plain.prop_map(|text| format!("fn::secret: {text}   # {text}")),
            text.prop_map(|text| format!("fn::secret: {}", serde_json::Value::from(text))),
            text.prop_map(|text| format!("fn::secret: '{}'", text.replace('\n', " ").replace('\'', "''"))),
            "[a-z]{1,9}"
                .prop_map(|word| format!("fn::secret: |\n      {word}\n        {word}\n      {word}")),
            "[a-z]{1,9}".prop_map(|word| format!("fn::secret: |+\n      {word}\n\n")),
            "[a-z]{1,9}".prop_map(|word| format!("fn::secret: |2-\n      {word}\n\n# {word}")),
            "[a-z]{1,9}".prop_map(|word| format!("fn::secret: >\n      {word}\n      {word}\n")),
            "[a-z]{1,9}".prop_map(|word| format!("fn::secret:\n      {word}\n      {word}")),
            "[a-z]{1,9}".prop_map(|word| format!("[{{fn::secret: {word}}}, {{ 'fn::secret' : \"{word}\"}}]")),
            plain.prop_map(|text| format!("other: {}", STANDARD.encode(text))),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]

        #[test]
        fn decrypting_what_was_encrypted_gives_the_same_bytes(entries in proptest::collection::vec(entry(), 0..6)) {
            let mut text = String::from("# top\nvalues:\n");
            for (index, entry) in entries.iter().enumerate() {
                text += &["  k", &index.to_string(), ":\n    ", entry, "\n"].concat();
            }
            let found = sealed(&text).unwrap();
            prop_assert_eq!(unsealed(&found), text);
        }

        #[test]
        fn never_panics(text in "[-a-z0-9:#,?!&*|>'\"{}\\[\\] \\n]{0,40}(fn::secret: )?[-a-z0-9:#,?!&*|>'\"{}\\[\\] \\n]{0,40}") {
            if let Ok(found) = sealed(&text) {
                prop_assert_eq!(unsealed(&found), text);
            }
        }
    }
}
