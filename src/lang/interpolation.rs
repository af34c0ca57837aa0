//! `${…}` inside strings.
//!
//! This is not the grammar of property paths: a leading dot is allowed, a doubled one is not, whitespace ends a
//! name, and broken references still yield parts, so that one string can have several diagnostics. The grammar
//! works on bytes as the reference implementation does; 0x85 and 0xA0 count as whitespace even in the middle of
//! a letter, which makes `${à}` an error there and here.

use std::ops::Range;

use crate::secret::Secret;

/// A string taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template {
    /// Text and references in turn.
    pub(super) parts: Vec<Part>,
    /// What is wrong with the references, in the order of the text.
    pub(super) problems: Vec<Problem>,
}

/// What is wrong with a reference, and with which bytes of the string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) summary: &'static str,
    pub(super) bytes: Range<usize>,
}

/// Some text, and the reference that follows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    /// Text with `$$` resolved. It may well be a password, so it is kept as one.
    pub(super) text: Secret,
    /// None only at the end of the string.
    pub(super) reference: Option<Vec<Access>>,
}

/// One step of a reference, and the bytes of the string that it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Access {
    pub(super) accessor: Accessor,
    pub(super) bytes: Range<usize>,
}

/// What a step of a reference asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Accessor {
    /// A property by name.
    Key(String),
    /// An element of a list. A negative one parses and is refused when it is used.
    Index(i64),
}

const NO_BRACE: &str = "missing closing brace '}' in interpolation";
const NO_BRACKET: &str = "subscript is missing closing bracket ']'";
const NO_QUOTE: &str = "key subscript is missing closing quote '\"'";
const EMPTY_NAME: &str = "property name must not be empty";
const EMPTY_KEY: &str = "key subscript must not be empty";
const NOT_A_NUMBER: &str = "numeric subscript must be a positive base-10 integer";
const STARTS_WITH_NUMBER: &str =
    "the first accessor must be a property name or key subscript, not a numeric subscript";

/// Takes a string apart.
pub(super) fn parse(text: &str) -> Template {
    let mut parser = Parser { text: text.as_bytes(), at: 0, problems: Vec::new() };
    let mut parts = Vec::new();
    let mut literal = Vec::new();
    loop {
        literal.extend_from_slice(parser.bytes_until(|byte| byte == b'$'));
        if !parser.accept(b'$') {
            break;
        }
        if parser.accept(b'{') {
            let reference = parser.reference();
            parts.push(Part { text: lossy(std::mem::take(&mut literal)), reference: Some(reference) });
        } else {
            parser.accept(b'$');
            literal.push(b'$');
        }
    }
    if !literal.is_empty() {
        parts.push(Part { text: lossy(literal), reference: None });
    }
    Template { parts, problems: parser.problems }
}

/// Only a reference that was broken within a letter is no UTF-8.
fn lossy(bytes: Vec<u8>) -> Secret {
    match String::from_utf8(bytes) {
        Ok(text) => Secret::from(text),
        Err(error) => Secret::from(String::from_utf8_lossy(error.as_bytes()).into_owned()),
    }
}

struct Parser<'t> {
    text: &'t [u8],
    at: usize,
    problems: Vec<Problem>,
}

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn accept(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn problem(&mut self, start: usize, summary: &'static str) {
        self.problems.push(Problem { summary, bytes: start..self.at });
    }

    fn access(&self, start: usize, accessor: Accessor) -> Access {
        Access { accessor, bytes: start..self.at }
    }

    fn bytes_until(&mut self, ends: impl Fn(u8) -> bool) -> &[u8] {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let length = rest.iter().position(|&byte| ends(byte)).unwrap_or(rest.len());
        self.at += length;
        rest.get(..length).unwrap_or_default()
    }

    fn take_until(&mut self, ends: impl Fn(u8) -> bool) -> String {
        String::from_utf8_lossy(self.bytes_until(ends)).into_owned()
    }

    /// What follows `${`, through its `}`.
    fn reference(&mut self) -> Vec<Access> {
        let mut accesses = Vec::new();
        loop {
            let (first, start) = (accesses.is_empty(), self.at);
            match self.peek() {
                Some(b'}') if !first => {
                    self.accept(b'}');
                    return accesses;
                }
                Some(b'[') => {
                    self.accept(b'[');
                    let accessor = self.subscript(start, first);
                    accesses.push(self.access(start, accessor));
                }
                None if !first => break,
                Some(byte) if !first && is_space(byte) => break,
                _ => {
                    let dotted = self.accept(b'.');
                    let name = self.take_until(ends_name);
                    // The first name may be missing altogether: then it is simply not found.
                    if name.is_empty() && (dotted || !first) {
                        self.problem(start, EMPTY_NAME);
                    }
                    accesses.push(self.access(start, Accessor::Key(name)));
                }
            }
        }
        self.problem(self.at, NO_BRACE);
        accesses
    }

    /// What follows `[`, through its `]`.
    fn subscript(&mut self, start: usize, first: bool) -> Accessor {
        let accessor = match self.peek() {
            Some(b'"') => {
                self.accept(b'"');
                Accessor::Key(self.quoted_key(start + 1))
            }
            None => Accessor::Key(String::new()),
            Some(_) => {
                let text = self.take_until(|byte| byte == b']' || ends_name(byte));
                match text.parse() {
                    Ok(index) => {
                        if first {
                            self.problem(start, STARTS_WITH_NUMBER);
                        }
                        Accessor::Index(index)
                    }
                    Err(_) => {
                        self.problem(start + 1, NOT_A_NUMBER);
                        Accessor::Key(text)
                    }
                }
            }
        };
        if !self.accept(b']') {
            self.problem(start, NO_BRACKET);
        }
        accessor
    }

    /// What follows the opening quote, through the closing one. Only `\"` is an escape.
    fn quoted_key(&mut self, start: usize) -> String {
        let mut key = Vec::new();
        let mut closed = false;
        while let Some(byte) = self.next() {
            match byte {
                b'"' => {
                    closed = true;
                    break;
                }
                b'\\' if self.accept(b'"') => key.push(b'"'),
                _ => key.push(byte),
            }
        }
        if !closed {
            self.problem(start, NO_QUOTE);
        } else if key.is_empty() {
            self.problem(start, EMPTY_KEY);
        }
        String::from_utf8_lossy(&key).into_owned()
    }
}

fn ends_name(byte: u8) -> bool {
    matches!(byte, b'.' | b'[' | b'}') || is_space(byte)
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b'\t'..=b'\r' | b' ' | 0x85 | 0xA0)
}

#[cfg(test)]
mod tests {
    use super::{
        Accessor, EMPTY_KEY, EMPTY_NAME, NO_BRACE, NO_BRACKET, NO_QUOTE, NOT_A_NUMBER, STARTS_WITH_NUMBER,
        parse,
    };

    /// A step in a table: a name or an index.
    #[derive(Clone)]
    enum Step {
        K(&'static str),
        I(i64),
    }
    use Step::{I, K};

    type Expected = &'static [(&'static str, Option<&'static [Step]>)];

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn takes_strings_apart_as_the_reference_does() {
        const FOO: &[Step] = &[K("foo")];
        const EMPTY: &[Step] = &[K("")];
        let table: &[(&str, Expected, &[&str])] = &[
            ("", &[], &[]),
            ("plain", &[("plain", None)], &[]),
            ("$", &[("$", None)], &[]),
            ("$$", &[("$", None)], &[]),
            ("$$$", &[("$$", None)], &[]),
            ("$$$$", &[("$$", None)], &[]),
            ("$a", &[("$a", None)], &[]),
            ("a$b", &[("a$b", None)], &[]),
            ("${foo}", &[("", Some(FOO))], &[]),
            ("${foo.bar}", &[("", Some(&[K("foo"), K("bar")]))], &[]),
            ("$${foo}", &[("${foo}", None)], &[]),
            ("$$${foo}", &[("$", Some(FOO))], &[]),
            ("$$$${foo}", &[("$${foo}", None)], &[]),
            ("cost: $5", &[("cost: $5", None)], &[]),
            ("a $$ b", &[("a $ b", None)], &[]),
            ("{foo}", &[("{foo}", None)], &[]),
            ("${", &[("", Some(EMPTY))], &[NO_BRACE]),
            ("${}", &[("", Some(EMPTY))], &[]),
            ("${foo", &[("", Some(FOO))], &[NO_BRACE]),
            ("${foo ", &[("", Some(FOO)), (" ", None)], &[NO_BRACE]),
            ("${ foo}", &[("", Some(EMPTY)), (" foo}", None)], &[NO_BRACE]),
            ("${foo }", &[("", Some(FOO)), (" }", None)], &[NO_BRACE]),
            ("${foo.}", &[("", Some(&[K("foo"), K("")]))], &[EMPTY_NAME]),
            ("${.foo}", &[("", Some(FOO))], &[]),
            ("${foo..bar}", &[("", Some(&[K("foo"), K(""), K("bar")]))], &[EMPTY_NAME]),
            ("${foo[0]}", &[("", Some(&[K("foo"), I(0)]))], &[]),
            ("${foo[00]}", &[("", Some(&[K("foo"), I(0)]))], &[]),
            ("${foo[-1]}", &[("", Some(&[K("foo"), I(-1)]))], &[]),
            ("${foo[+1]}", &[("", Some(&[K("foo"), I(1)]))], &[]),
            ("${foo[]}", &[("", Some(&[K("foo"), K("")]))], &[NOT_A_NUMBER]),
            ("${foo[*]}", &[("", Some(&[K("foo"), K("*")]))], &[NOT_A_NUMBER]),
            ("${foo[\"*\"]}", &[("", Some(&[K("foo"), K("*")]))], &[]),
            ("${foo[\"a b\"]}", &[("", Some(&[K("foo"), K("a b")]))], &[]),
            ("${foo[\"a}b\"]}", &[("", Some(&[K("foo"), K("a}b")]))], &[]),
            ("${foo[\"a\\\"b\"]}", &[("", Some(&[K("foo"), K("a\"b")]))], &[]),
            ("${foo[\"a\\\\b\"]}", &[("", Some(&[K("foo"), K("a\\\\b")]))], &[]),
            (
                "${foo[\"a\\\\\"]}",
                &[("", Some(&[K("foo"), K("a\\\"]}")]))],
                &[NO_QUOTE, NO_BRACKET, NO_BRACE],
            ),
            ("${foo[\"\"]}", &[("", Some(&[K("foo"), K("")]))], &[EMPTY_KEY]),
            ("${[\"foo\"]}", &[("", Some(FOO))], &[]),
            ("${[\"foo\"].bar}", &[("", Some(&[K("foo"), K("bar")]))], &[]),
            ("${[2]}", &[("", Some(&[I(2)]))], &[STARTS_WITH_NUMBER]),
            ("${[bar].baz}", &[("", Some(&[K("bar"), K("baz")]))], &[NOT_A_NUMBER]),
            ("${foo[\"x]}", &[("", Some(&[K("foo"), K("x]}")]))], &[NO_QUOTE, NO_BRACKET, NO_BRACE]),
            ("${foo[\"x\"}", &[("", Some(&[K("foo"), K("x")]))], &[NO_BRACKET]),
            ("${foo[\"x\"", &[("", Some(&[K("foo"), K("x")]))], &[NO_BRACKET, NO_BRACE]),
            ("${foo[}", &[("", Some(&[K("foo"), K("")]))], &[NOT_A_NUMBER, NO_BRACKET]),
            ("${foo[", &[("", Some(&[K("foo"), K("")]))], &[NO_BRACKET, NO_BRACE]),
            ("${foo.bar[0][\"x\"].y}", &[("", Some(&[K("foo"), K("bar"), I(0), K("x"), K("y")]))], &[]),
            ("${a}${b}", &[("", Some(&[K("a")])), ("", Some(&[K("b")]))], &[]),
            ("${a} ${b}", &[("", Some(&[K("a")])), (" ", Some(&[K("b")]))], &[]),
            ("x${a}y", &[("x", Some(&[K("a")])), ("y", None)], &[]),
            ("${foo-bar}", &[("", Some(&[K("foo-bar")]))], &[]),
            ("${foo:bar}", &[("", Some(&[K("foo:bar")]))], &[]),
            ("${foo/bar}", &[("", Some(&[K("foo/bar")]))], &[]),
            ("${foo@1}", &[("", Some(&[K("foo@1")]))], &[]),
            ("${foo\"bar}", &[("", Some(&[K("foo\"bar")]))], &[]),
            ("${foo\\}bar}", &[("", Some(&[K("foo\\")])), ("bar}", None)], &[]),
            ("${à}", &[("", Some(&[K("\u{fffd}")])), ("\u{fffd}}", None)], &[NO_BRACE]),
            ("${Å}", &[("", Some(&[K("\u{fffd}")])), ("\u{fffd}}", None)], &[NO_BRACE]),
            ("${é}", &[("", Some(&[K("é")]))], &[]),
            ("${日本}", &[("", Some(&[K("日本")]))], &[]),
            ("${foo\n}", &[("", Some(FOO)), ("\n}", None)], &[NO_BRACE]),
            ("${foo.[0]}", &[("", Some(&[K("foo"), K(""), I(0)]))], &[EMPTY_NAME]),
            ("${foo.[\"x\"]}", &[("", Some(&[K("foo"), K(""), K("x")]))], &[EMPTY_NAME]),
            ("${foo[0]bar}", &[("", Some(&[K("foo"), I(0), K("bar")]))], &[]),
            ("${foo[\"x\"]bar}", &[("", Some(&[K("foo"), K("x"), K("bar")]))], &[]),
            (
                "${environments.proj.env.key}",
                &[("", Some(&[K("environments"), K("proj"), K("env"), K("key")]))],
                &[],
            ),
            ("${imports.proj/env.key}", &[("", Some(&[K("imports"), K("proj/env"), K("key")]))], &[]),
            ("${imports[\"proj/env\"].key}", &[("", Some(&[K("imports"), K("proj/env"), K("key")]))], &[]),
            (
                "${context.rootEnvironment.name}",
                &[("", Some(&[K("context"), K("rootEnvironment"), K("name")]))],
                &[],
            ),
            ("${2.[\"bad\"]}", &[("", Some(&[K("2"), K(""), K("bad")]))], &[EMPTY_NAME]),
            ("${34.bad}", &[("", Some(&[K("34"), K("bad")]))], &[]),
            (
                "missing ${property[} subscript",
                &[("missing ", Some(&[K("property"), K("")])), (" subscript", None)],
                &[NOT_A_NUMBER, NO_BRACKET],
            ),
            (
                "${foo} ${[\"baz} bar",
                &[("", Some(FOO)), (" ", Some(&[K("baz} bar")]))],
                &[NO_QUOTE, NO_BRACKET, NO_BRACE],
            ),
            ("Hello $${world}!", &[("Hello ${world}!", None)], &[]),
            ("${foo[1_0]}", &[("", Some(&[K("foo"), K("1_0")]))], &[NOT_A_NUMBER]),
            ("${foo[0x1]}", &[("", Some(&[K("foo"), K("0x1")]))], &[NOT_A_NUMBER]),
            (
                "${foo[ 1]}",
                &[("", Some(&[K("foo"), K("")])), (" 1]}", None)],
                &[NOT_A_NUMBER, NO_BRACKET, NO_BRACE],
            ),
            ("${foo[a.b]}", &[("", Some(&[K("foo"), K("a"), K("b]")]))], &[NOT_A_NUMBER, NO_BRACKET]),
            ("${$}", &[("", Some(&[K("$")]))], &[]),
            ("${a$b}", &[("", Some(&[K("a$b")]))], &[]),
            ("${${x}}", &[("", Some(&[K("${x")])), ("}", None)], &[]),
            ("#{x}", &[("#{x}", None)], &[]),
            ("\\${x}", &[("\\", Some(&[K("x")]))], &[]),
        ];
        for (input, parts, problems) in table {
            let template = parse(input);
            let found: Vec<_> = template
                .parts
                .iter()
                .map(|part| {
                    let reference = part.reference.as_ref().map(|accesses| {
                        accesses.iter().map(|access| access.accessor.clone()).collect::<Vec<_>>()
                    });
                    (part.text.expose_str().unwrap().to_owned(), reference)
                })
                .collect();
            let expected: Vec<_> = parts
                .iter()
                .map(|(text, reference)| {
                    let accessors = reference.map(|steps| {
                        steps
                            .iter()
                            .map(|step| match step {
                                K(key) => Accessor::Key((*key).to_owned()),
                                I(index) => Accessor::Index(*index),
                            })
                            .collect::<Vec<_>>()
                    });
                    ((*text).to_owned(), accessors)
                })
                .collect();
            assert_eq!(found, expected, "{input}");
            let found: Vec<_> = template.problems.iter().map(|problem| problem.summary).collect();
            assert_eq!(found, *problems, "{input}");
        }
    }

    #[test]
    fn knows_which_bytes_are_meant() {
        let text = "é ${a.b[\"c\"][1]} ${x..y}";
        let template = parse(text);
        let accesses = template.parts.iter().filter_map(|part| part.reference.as_ref()).flatten();
        let slices: Vec<_> = accesses.map(|access| &text[access.bytes.clone()]).collect();
        assert_eq!(slices, ["a", ".b", "[\"c\"]", "[1]", "x", ".", ".y"]);
        assert_eq!(&text[template.problems[0].bytes.clone()], ".");
    }

    proptest::proptest! {
        #[test]
        fn never_loses_text_without_references(text in "[^$]*") {
            let template = parse(&text);
            let whole: String = template.parts.iter().map(|part| part.text.expose_str().unwrap()).collect();
            proptest::prop_assert_eq!(whole, text);
        }

        #[test]
        fn terminates_on_any_text(text in "[${}\\[\\]\"\\\\a. é]*") {
            parse(&text);
        }
    }
}
