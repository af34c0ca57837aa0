//! Values to block YAML that every reader takes for the same values.

use std::borrow::Cow;

use serde_json::Value;

/// Writes JSON as block YAML that both dialects read back as the same JSON: 2-space indent, sequences under their key
/// not indented further, strings plain where no reader could take them for anything else, literal blocks for
/// multi-line text.
pub fn emit(value: &Value) -> String {
    let mut out = Vec::new();
    emit_to(&mut out, value);
    String::from_utf8_lossy(&out).into_owned()
}

/// A tree that can be written without being copied first: secrets stay where they are.
pub(crate) trait Tree: Sized {
    /// What this node is.
    fn shape(&self) -> Shape<'_, Self>;
}

/// A node as the emitter sees it.
pub(crate) enum Shape<'a, T> {
    /// null, a boolean or a number, written as it stands.
    Bare(Cow<'a, str>),
    /// A string.
    Text(Cow<'a, str>),
    /// A sequence.
    List(&'a [T]),
    /// A mapping.
    Map(Vec<(&'a str, &'a T)>),
}

impl Tree for Value {
    fn shape(&self) -> Shape<'_, Self> {
        match self {
            Self::Null => Shape::Bare(Cow::Borrowed("null")),
            Self::Bool(true) => Shape::Bare(Cow::Borrowed("true")),
            Self::Bool(false) => Shape::Bare(Cow::Borrowed("false")),
            // An integer has no negative zero.
            Self::Number(number) if number.as_str() == "-0" => Shape::Bare(Cow::Borrowed("-0.0")),
            Self::Number(number) => Shape::Bare(Cow::Borrowed(number.as_str())),
            Self::String(text) => Shape::Text(Cow::Borrowed(text)),
            Self::Array(items) => Shape::List(items),
            Self::Object(object) => {
                Shape::Map(object.iter().map(|(key, value)| (key.as_str(), value)).collect())
            }
        }
    }
}

/// Appends a document to a buffer.
pub(crate) fn emit_to<T: Tree>(out: &mut Vec<u8>, tree: &T) {
    Emitter { out }.node(tree, Place::Root);
}

/// Longest key written before a bare `: `. Readers stop looking for the colon after 1024 characters.
const LONGEST_SIMPLE_KEY: usize = 1000;

/// Where a node is written, with the column of the key or dash before it.
#[derive(Clone, Copy)]
enum Place {
    Root,
    AfterKey(usize),
    AfterDash(usize),
}

impl Place {
    /// Column of what is nested in a node at this place.
    fn nested(self) -> usize {
        match self {
            Self::Root => 0,
            Self::AfterKey(column) | Self::AfterDash(column) => column + 2,
        }
    }
}

struct Emitter<'o> {
    out: &'o mut Vec<u8>,
}

impl Emitter<'_> {
    /// Writes a node behind what stands before it, up to and with the end of its line.
    fn node<T: Tree>(&mut self, tree: &T, place: Place) {
        match tree.shape() {
            Shape::Bare(text) => self.line(place, &text),
            Shape::Text(text) => self.text(&text, place),
            Shape::List([]) => self.line(place, "[]"),
            Shape::List(items) => self.list(items, place),
            Shape::Map(entries) if entries.is_empty() => self.line(place, "{}"),
            Shape::Map(entries) => self.map(&entries, place),
        }
    }

    fn list<T: Tree>(&mut self, items: &[T], place: Place) {
        // Under a key, dashes stand in the key's own column, as kubectl writes them.
        let column = if let Place::AfterKey(column) = place { column } else { place.nested() };
        for (index, item) in items.iter().enumerate() {
            self.begin_entry(index, column, place);
            self.push("-");
            self.node(item, Place::AfterDash(column));
        }
    }

    fn map<T: Tree>(&mut self, entries: &[(&str, &T)], place: Place) {
        let column = place.nested();
        for (index, (key, value)) in entries.iter().enumerate() {
            self.begin_entry(index, column, place);
            let start = self.out.len();
            self.inline_text(key);
            if self.out.len() - start > LONGEST_SIMPLE_KEY {
                self.out.splice(start..start, *b"? ");
                self.push("\n");
                self.indent(column);
            }
            self.push(":");
            self.node(*value, Place::AfterKey(column));
        }
    }

    /// The first entry after a dash stands on the dash's line; every other one on a line of its own.
    fn begin_entry(&mut self, index: usize, column: usize, place: Place) {
        match (index, place) {
            (0, Place::Root) => {}
            (0, Place::AfterDash(_)) => self.push(" "),
            (0, Place::AfterKey(_)) => {
                self.push("\n");
                self.indent(column);
            }
            _ => self.indent(column),
        }
    }

    fn text(&mut self, text: &str, place: Place) {
        self.separate(place);
        if is_literal(text) {
            // What nests at the root would stand in column 0; a literal's lines must not.
            self.literal(text, place.nested().max(2));
        } else {
            self.inline_text(text);
            self.push("\n");
        }
    }

    fn literal(&mut self, text: &str, column: usize) {
        let body = text.trim_end_matches('\n');
        self.push(match text.len() - body.len() {
            0 => "|-\n",
            1 => "|\n",
            _ => "|+\n",
        });
        for line in text.split_inclusive('\n') {
            if line != "\n" {
                self.indent(column);
            }
            self.push(line);
        }
        if !text.ends_with('\n') {
            self.push("\n");
        }
    }

    fn inline_text(&mut self, text: &str) {
        if is_plain(text) {
            self.push(text);
        } else {
            self.quoted(text);
        }
    }

    fn quoted(&mut self, text: &str) {
        self.push("\"");
        for c in text.chars() {
            match c {
                '"' => self.push("\\\""),
                '\\' => self.push("\\\\"),
                '\n' => self.push("\\n"),
                '\r' => self.push("\\r"),
                '\t' => self.push("\\t"),
                c if is_printable(c) => self.push(c.encode_utf8(&mut [0; 4])),
                c if c <= '\u{ffff}' => self.push(&format!("\\u{:04X}", u32::from(c))),
                c => self.push(&format!("\\U{:08X}", u32::from(c))),
            }
        }
        self.push("\"");
    }

    fn line(&mut self, place: Place, text: &str) {
        self.separate(place);
        self.push(text);
        self.push("\n");
    }

    fn separate(&mut self, place: Place) {
        if !matches!(place, Place::Root) {
            self.push(" ");
        }
    }

    fn indent(&mut self, column: usize) {
        self.out.resize(self.out.len() + column, b' ');
    }

    fn push(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }
}

/// Whether every reader takes the text, unquoted, for the string that it is.
fn is_plain(text: &str) -> bool {
    let Some(first) = text.chars().next() else { return false };
    let starts_well = match first {
        '-' => text.len() > 1 && !text.starts_with("- ") && !text.starts_with("---"),
        '.' => !text.starts_with("..."),
        _ => !"?:,[]{}#&*!|>'\"%@`~=< ".contains(first),
    };
    starts_well
        && !text.ends_with([' ', ':'])
        && !text.contains(": ")
        && !text.contains(" #")
        && text.chars().all(|c| matches!(c, ' '..='~') || (!c.is_ascii() && c.is_alphanumeric()))
        && !looks_like_number_or_date(text)
        && !is_reserved_word(text)
}

/// Whether the text consists only of what numbers, dates and times of any YAML version or Go consist of.
fn looks_like_number_or_date(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c))
        && text.chars().all(|c| c.is_ascii_hexdigit() || "xXoOtTzZ_.:+- ".contains(c))
}

/// Words that some version of YAML or some reader takes for null, a boolean or a number, in any letter case.
fn is_reserved_word(text: &str) -> bool {
    const WORDS: &[&str] =
        &["null", "true", "false", "yes", "no", "on", "off", "y", "n", "nan", "inf", "infinity", "none"];
    let word = text.trim_start_matches(['+', '-']);
    let word = word.strip_prefix('.').unwrap_or(word);
    WORDS.iter().any(|reserved| word.eq_ignore_ascii_case(reserved))
}

/// Whether the text is better written as a literal block, and comes back from one unchanged: several lines, none that
/// could be taken for indentation, nothing that a literal can't hold.
fn is_literal(text: &str) -> bool {
    text.contains('\n')
        && !text.starts_with([' ', '\t', '\n'])
        && text.chars().all(|c| c == '\n' || c == '\t' || is_printable(c))
        && text.split('\n').all(|line| line.is_empty() || !line.trim_matches([' ', '\t']).is_empty())
}

/// Characters that both Go readers accept unescaped on a line: no control characters, no other line breaks, no byte
/// order mark, no non-characters.
fn is_printable(c: char) -> bool {
    match c {
        '\u{2028}' | '\u{2029}' | '\u{feff}' => false,
        ' '..='~' | '\u{a0}'..='\u{fffd}' => true,
        _ => c > '\u{ffff}',
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection, prelude::*};
    use serde_json::{Value, json};

    use super::emit;
    use crate::yaml::{Dialect, parse, to_json};

    fn assert_round_trip(value: &Value) {
        let text = emit(value);
        let documents = parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert_eq!(documents.len(), 1, "{text}");
        for dialect in [Dialect::Kubernetes, Dialect::Esc] {
            let back = to_json(&documents[0], dialect).unwrap_or_else(|error| panic!("{error}\n{text}"));
            assert_eq!(&back, value, "{dialect:?}\n{text}");
        }
    }

    #[test]
    fn writes_what_kubectl_users_expect() {
        let value = json!({
            "apiVersion": "v1",
            "metadata": {"annotations": {"esc.pulumi.com/environment": "acme/shop/prod"}, "labels": {}},
            "spec": {
                "containers": [
                    {"name": "app", "image": "registry.example.com/app:1.25", "args": ["--listen", "0.0.0.0:80", "-v"]},
                    {"name": "b", "ports": [{"containerPort": 8080}], "env": []},
                ],
                "priority": 5, "nothing": null, "on": true,
            },
            "data": {"mode": "0400", "yes": "no", "script": "set -e\n\n  run it\n", "nested": [[1, 2], [], [{"a": "b"}]]},
        });
        assert_eq!(
            emit(&value),
            r#"apiVersion: v1
metadata:
  annotations:
    esc.pulumi.com/environment: acme/shop/prod
  labels: {}
spec:
  containers:
  - name: app
    image: registry.example.com/app:1.25
    args:
    - --listen
    - "0.0.0.0:80"
    - -v
  - name: b
    ports:
    - containerPort: 8080
    env: []
  priority: 5
  nothing: null
  "on": true
data:
  mode: "0400"
  "yes": "no"
  script: |
    set -e

      run it
  nested:
  - - 1
    - 2
  - []
  - - a: b
"#
        );
        assert_round_trip(&value);
    }

    const HARD: &[&str] = &[
        "",
        " ",
        "a ",
        " a",
        "yes",
        "No",
        "y",
        "0400",
        "0o17",
        "1e3",
        "1_000",
        "0x1F",
        "1:30",
        "null",
        "~",
        "NULL",
        ".inf",
        "-.INF",
        "+.nan",
        ".",
        "-",
        "--",
        "---",
        "--- a",
        "...",
        "- a",
        "-a",
        "? a",
        "?a",
        ": a",
        ":a",
        "a:",
        "a: b",
        "a:b",
        "a #b",
        "a#b",
        "#a",
        "&a",
        "*a",
        "!a",
        "!!str a",
        "|",
        ">",
        "%a",
        "@a",
        "`a",
        "'a'",
        "\"a\"",
        "{a}",
        "[a]",
        "a, b",
        "<<",
        "=",
        "<",
        "2024-01-02",
        "2024-01-02T10:00:00Z",
        "2024-01-02 10:00:00 +1",
        "tab\there",
        "\ttab",
        "a\t",
        "bell\u{7}",
        "nul\0",
        "del\u{7f}",
        "nel\u{85}",
        "ls\u{2028}",
        "bom\u{feff}",
        "\u{fffe}",
        "日本",
        "naïve",
        "😀",
        "\u{e000}",
        "a\u{a0}b",
        "cr\rlf",
        "a\r\nb\r\n",
        "a\nb",
        "a\nb\n",
        "a\nb\n\n",
        "a\n\n\nb\n\n\n",
        "\n",
        "\n\n",
        "\na",
        "a\n",
        " a\nb",
        "a\n b",
        "a\n\tb",
        "a\n \nb",
        "a\n ",
        "a\n\t\n",
        "a \nb ",
        "a\n---\nb",
        "a\n...\n",
        "a\n# b\n",
        "a: b\nc: d\n",
        "- a\n- b",
        "\\",
        "a\\nb",
        "a\u{0}\nb",
        "64Mi",
        "5m",
        "1.2.3",
        "10.0.0.1",
        "1e",
        "e1",
        "0b",
        "08",
        "+1",
        "-1",
        "1,000",
        "true",
        "False",
        "none",
        "<b>",
        "~a",
    ];

    #[test]
    fn hard_strings_come_back_everywhere() {
        for text in HARD {
            assert_round_trip(&json!(text));
            assert_round_trip(&json!([text, text]));
            assert_round_trip(&json!({"k": text, "l": [text, {"m": text}], *text: {*text: text}}));
            assert_round_trip(&json!([[{"k": text}], [text], {*text: [text]}]));
        }
    }

    #[test]
    fn long_keys_come_back() {
        let (long, breaks) = ("k".repeat(2000), "k\n".repeat(1000));
        assert_round_trip(&json!({&long: 1, &breaks: [1, {&long: {&long: "v"}}], "z": {&long: []}}));
    }

    #[test]
    fn numbers_stay_numbers() {
        for text in ["0", "-1", "18446744073709551615", "-9223372036854775808", "1.5", "-0.25", "-0"] {
            assert_round_trip(&serde_json::from_str(text).unwrap());
        }
        assert_eq!(emit(&serde_json::from_str("1.50e+400").unwrap()), "1.50e+400\n");
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let text = prop_oneof![
            any::<String>(),
            "[ -~\\n\\t]{0,12}",
            "[-+.0-9eExobZT:_]{0,8}",
            proptest::sample::select(HARD).prop_map(str::to_owned)
        ];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            text.clone().prop_map(Value::String),
        ];
        leaf.prop_recursive(4, 24, 4, move |inner| {
            prop_oneof![
                collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
                collection::btree_map(text.clone(), inner, 0..4)
                    .prop_map(|entries| Value::Object(entries.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn everything_comes_back(value in any_json()) {
            assert_round_trip(&value);
        }
    }
}
