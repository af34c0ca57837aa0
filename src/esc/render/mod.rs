//! How a value is written to a file. One file per format; each output is what its consumer reads back.

use std::{collections::BTreeMap, mem, str::FromStr};

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::value::{Kind, TextTooLong, Value};
use crate::secret::Secret;

mod dotenv;
mod json;
mod properties;
pub mod template;
mod yaml;

/// How to write a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// ESC's `ToString`, nothing added.
    Raw,
    /// Compact JSON, keys sorted.
    Json,
    /// YAML.
    Yaml,
    /// `KEY='value'` lines that a POSIX shell reads back.
    Dotenv,
    /// Java properties, nested keys joined with dots.
    Properties,
}

/// How a file's text is decoded before it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decode {
    /// Standard alphabet, padding optional, whitespace ignored.
    Base64,
}

/// Why a value can't be written as asked. Never quotes the value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// ESC could not compute it, or something below it.
    #[error("`{path}` is unknown: ESC could not compute it")]
    Unknown {
        /// Path below the rendered value; empty for the value itself.
        path: String,
    },
    /// The format can't carry this kind of value.
    #[error("{format} needs {needs}")]
    Shape {
        /// The format's name.
        format: &'static str,
        /// What it needs.
        needs: &'static str,
    },
    /// A key is no legal name in the format.
    #[error("key `{key}` can't be written as {format}")]
    Key {
        /// The format's name.
        format: &'static str,
        /// The offending key.
        key: String,
    },
    /// An array or object as raw text grows beyond reason.
    #[error(transparent)]
    TooLong(#[from] TextTooLong),
    /// `decode: base64` over something that is not base64.
    #[error("the text is not base64")]
    NotBase64,
}

impl FromStr for Format {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "raw" => Ok(Self::Raw),
            "json" => Ok(Self::Json),
            "yaml" => Ok(Self::Yaml),
            "dotenv" => Ok(Self::Dotenv),
            "properties" => Ok(Self::Properties),
            _ => Err(()),
        }
    }
}

impl Format {
    /// The format that a file name asks for when nothing else is said: by its extension for objects and arrays
    /// (JSON where the extension says nothing), raw for scalars.
    pub fn for_value(file_name: &str, value: &Value) -> Self {
        if !matches!(value.kind, Kind::Array(_) | Kind::Object(_)) {
            return Self::Raw;
        }
        let name = file_name.rsplit('/').next().unwrap_or(file_name);
        let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
        match extension.to_ascii_lowercase().as_str() {
            "yaml" | "yml" => Self::Yaml,
            "env" => Self::Dotenv,
            "properties" => Self::Properties,
            _ => Self::Json,
        }
    }
}

/// Writes a value in a format.
pub fn render(value: &Value, format: Format) -> Result<Secret, RenderError> {
    if let Some(path) = value.first_unknown() {
        return Err(RenderError::Unknown { path });
    }
    let mut out = Zeroizing::new(Vec::new());
    match format {
        Format::Raw => return Ok(value.to_text()?),
        Format::Json => json::write(&mut out, value),
        Format::Yaml => yaml::write(&mut out, value),
        Format::Dotenv => dotenv::write(&mut out, object(value, "dotenv")?)?,
        Format::Properties => properties::write(&mut out, object(value, "properties")?)?,
    }
    Ok(Secret::new(mem::take(&mut *out)))
}

fn object<'a>(value: &'a Value, format: &'static str) -> Result<&'a BTreeMap<String, Value>, RenderError> {
    match &value.kind {
        Kind::Object(entries) => Ok(entries),
        _ => Err(RenderError::Shape { format, needs: "an object" }),
    }
}

/// The standard alphabet with or without padding: people paste both.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Decodes a rendered text.
pub fn decode(text: &Secret, decode: Decode) -> Result<Secret, RenderError> {
    match decode {
        Decode::Base64 => {
            let blank = u8::is_ascii_whitespace;
            let compact: Zeroizing<Vec<u8>> =
                Zeroizing::new(text.expose().iter().filter(|byte| !blank(byte)).copied().collect());
            BASE64.decode(&*compact).map(Secret::new).map_err(|_| RenderError::NotBase64)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::{collection, prelude::*};

    use super::{Decode, Format, RenderError, decode, render};
    use crate::{
        esc::value::{Kind, Value},
        secret::Secret,
        yaml,
    };

    /// Any JSON as a value.
    fn value(json: &serde_json::Value) -> Value {
        let kind = match json {
            serde_json::Value::Null => Kind::Null,
            serde_json::Value::Bool(value) => Kind::Bool(*value),
            serde_json::Value::Number(number) => Kind::Number(Secret::from(number.as_str())),
            serde_json::Value::String(text) => Kind::String(Secret::from(text.as_str())),
            serde_json::Value::Array(items) => Kind::Array(items.iter().map(value).collect()),
            serde_json::Value::Object(entries) => {
                Kind::Object(entries.iter().map(|(key, json)| (key.clone(), value(json))).collect())
            }
        };
        Value { kind, secret: false }
    }

    fn text(json: &serde_json::Value, format: Format) -> String {
        render(&value(json), format).unwrap().expose_str().unwrap().to_owned()
    }

    /// An object with what formats stumble over.
    fn awkward() -> serde_json::Value {
        let mut json = serde_json::json!({
            "A": "it's $HOME `x` \"q\" \\n \\", "B": " two\nlines\n", "C": "", "D": null, "E": true,
            "F": ["x", {"y": "it's"}], "G": {"h": {"i": [1, [2]], "j": {}}}, "H": "<é日😀>", "I": "a=b:c#d!e",
            "J": "\t tab \r\n", "K": "\u{7f}\u{85}\u{2028}\u{1}", "L": "0400", "M": "yes",
        });
        json["N"] = serde_json::from_str("12345678901234567890").unwrap();
        json
    }

    /// What `sh` has in its variables after reading a dotenv text, for these names.
    fn through_sh(dotenv: &str, names: &[&str]) -> Vec<String> {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("app.env");
        // Not the publisher's business: a file for a test's shell.
        #[expect(clippy::disallowed_methods, reason = "a throw-away file of the test")]
        std::fs::write(&file, dotenv).unwrap();
        let print =
            names.iter().map(|name| format!("printf '%s\\000' \"${name}\"; ")).collect::<Vec<_>>().concat();
        let script = format!(". {}; {print}", file.display());
        let output = Command::new("sh").arg("-c").arg(script).env_clear().output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        text.split_terminator('\0').map(str::to_owned).collect()
    }

    #[test]
    fn dotenv_is_what_a_shell_reads_back() {
        let json = awkward();
        let object = json.as_object().unwrap();
        let names: Vec<&str> = object.keys().map(String::as_str).collect();
        let values = through_sh(&text(&json, Format::Dotenv), &names);
        assert_eq!(values.len(), names.len());
        for (name, read) in names.iter().zip(values) {
            let expected = match &json[*name] {
                serde_json::Value::Null => String::new(),
                serde_json::Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            assert_eq!(read, expected, "{name}");
        }
    }

    #[test]
    fn json_is_compact_sorted_and_escapes_no_more_than_it_must() {
        let json = serde_json::json!({"b": "<&>\"\\\u{1}\n\u{7f}é", "a": [null, true, {}]});
        assert_eq!(
            text(&json, Format::Json),
            "{\"a\":[null,true,{}],\"b\":\"<&>\\\"\\\\\\u0001\\n\u{7f}é\"}"
        );
        let awkward = awkward();
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&text(&awkward, Format::Json)).unwrap(),
            awkward
        );
    }

    #[test]
    fn yaml_reads_back_in_both_dialects() {
        let json = awkward();
        let node = yaml::parse(&text(&json, Format::Yaml)).unwrap().remove(0);
        for dialect in [yaml::Dialect::Kubernetes, yaml::Dialect::Esc] {
            assert_eq!(yaml::to_json(&node, dialect).unwrap(), json, "{dialect:?}");
        }
        assert_eq!(
            text(&serde_json::json!({"a": [1, "x"], "port": "5432"}), Format::Yaml),
            "a:\n- 1\n- x\nport: \"5432\"\n"
        );
    }

    /// Java's own rules for a line of a properties file, written down independently of the writer.
    fn read_properties(text: &str) -> Vec<(String, String)> {
        let unescape = |raw: &str| {
            let mut units = Vec::new();
            let mut chars = raw.chars();
            while let Some(c) = chars.next() {
                let c = match c {
                    '\\' => match chars.next().unwrap() {
                        't' => '\t',
                        'n' => '\n',
                        'r' => '\r',
                        'f' => '\x0c',
                        'u' => {
                            let hex: String = chars.by_ref().take(4).collect();
                            units.push(u16::from_str_radix(&hex, 16).unwrap());
                            continue;
                        }
                        c => c,
                    },
                    c => c,
                };
                units.extend(c.encode_utf16(&mut [0; 2]).iter());
            }
            String::from_utf16(&units).unwrap()
        };
        let split = |line: &str| {
            let mut escaped = false;
            let end = line
                .find(|c| {
                    let ends = !escaped && "=: \t".contains(c);
                    escaped = !escaped && c == '\\';
                    ends
                })
                .unwrap();
            let rest = line[end..].trim_start_matches([' ', '\t']);
            let value = rest.strip_prefix(['=', ':']).unwrap_or(rest).trim_start_matches([' ', '\t']);
            (unescape(&line[..end]), unescape(value))
        };
        let lines = text.split(['\n', '\r']).map(|line| line.trim_start_matches([' ', '\t']));
        lines.filter(|line| !line.is_empty() && !line.starts_with(['#', '!'])).map(split).collect()
    }

    #[test]
    fn properties_are_what_java_reads_back() {
        let mut json = awkward();
        json["#key with: blanks=é"] = "v".into();
        let text = text(&json, Format::Properties);
        assert!(text.is_ascii());
        let read = read_properties(&text);
        let plain = |name: &str| (name.to_owned(), json[name].as_str().unwrap_or_default().to_owned());
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut expected: Vec<_> = ["A", "B", "C", "D", "H", "I", "J", "K", "L", "M"].map(plain).into();
        expected.extend([
            pair("E", "true"),
            pair("F[0]", "x"),
            pair("F[1].y", "it's"),
            pair("G.h.i[0]", "1"),
            pair("G.h.i[1][0]", "2"),
            pair("G.h.j", ""),
            pair("N", "12345678901234567890"),
            pair("#key with: blanks=é", "v"),
        ]);
        expected.sort();
        assert_eq!(
            {
                let mut read = read;
                read.sort();
                read
            },
            expected
        );
    }

    #[test]
    fn raw_is_escs_to_string() {
        assert_eq!(text(&serde_json::json!("as it is\n"), Format::Raw), "as it is\n");
        assert_eq!(text(&serde_json::json!(["a", null]), Format::Raw), "\"a\",\"\"");
    }

    #[test]
    fn refuses_what_a_format_can_not_carry() {
        let unknown = Value { kind: Kind::Unknown, secret: false };
        for format in [Format::Raw, Format::Json, Format::Yaml, Format::Dotenv, Format::Properties] {
            let nested =
                Value { kind: Kind::Object([("a b".to_owned(), unknown.clone())].into()), secret: false };
            assert_eq!(render(&nested, format), Err(RenderError::Unknown { path: "[\"a b\"]".to_owned() }));
            assert_eq!(render(&unknown, format), Err(RenderError::Unknown { path: String::new() }));
        }
        for (json, format, error) in [
            (serde_json::json!("x"), Format::Dotenv, "dotenv needs an object"),
            (serde_json::json!([1]), Format::Properties, "properties needs an object"),
            (serde_json::json!({"A-B": 1}), Format::Dotenv, "key `A-B` can't be written as dotenv"),
            (serde_json::json!({"A": "hunter2\0"}), Format::Dotenv, "dotenv needs values without NUL bytes"),
            (
                serde_json::json!({"a.b": 1, "a": {"b": 2}}),
                Format::Properties,
                "key `a.b` can't be written as properties",
            ),
        ] {
            assert_eq!(render(&value(&json), format).unwrap_err().to_string(), error);
        }
    }

    #[test]
    fn the_format_follows_the_file_name_for_nested_values_only() {
        let (object, scalar) = (value(&serde_json::json!({})), value(&serde_json::json!("x")));
        for (name, format) in [
            ("app.json", Format::Json),
            ("app.yaml", Format::Yaml),
            ("conf.d/app.YML", Format::Yaml),
            ("app.env", Format::Dotenv),
            ("conf.d/.env", Format::Dotenv),
            ("app.properties", Format::Properties),
            ("app", Format::Json),
            ("yaml", Format::Json),
            ("app.txt", Format::Json),
            ("a.yaml/app", Format::Json),
        ] {
            assert_eq!(Format::for_value(name, &object), format, "{name}");
            assert_eq!(Format::for_value(name, &scalar), Format::Raw, "{name}");
        }
    }

    #[test]
    fn formats_have_one_name_everywhere() {
        for format in [Format::Raw, Format::Json, Format::Yaml, Format::Dotenv, Format::Properties] {
            let json = serde_json::to_value(format).unwrap();
            assert_eq!(json.as_str().unwrap().parse(), Ok(format));
        }
        assert_eq!("JSON".parse::<Format>(), Err(()));
    }

    #[test]
    fn decodes_base64_as_people_paste_it() {
        let decoded = |text: &str| decode(&Secret::from(text), Decode::Base64);
        for text in ["AP/+aGk=", "AP/+aGk", " AP/+\r\n aGk= \n"] {
            assert_eq!(decoded(text).unwrap().expose(), b"\x00\xff\xfehi", "{text}");
        }
        assert_eq!(decoded("").unwrap().expose(), b"");
        for text in ["AP_-aGk=", "A", "AP/+aGk==", "hunter2!"] {
            assert_eq!(decoded(text), Err(RenderError::NotBase64), "{text}");
        }
    }

    proptest! {
        // Each case starts a shell.
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn any_value_survives_a_shell(values in collection::vec("[^\0]{0,20}|['\"$`\\\\ \n]{0,12}", 1..8)) {
            let names: Vec<String> = (0..values.len()).map(|index| format!("V{index}")).collect();
            let json = names.iter().cloned().zip(values.iter().map(|value| value.as_str().into())).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            prop_assert_eq!(through_sh(&text(&serde_json::Value::Object(json), Format::Dotenv), &names), values);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_survive_base64(bytes in collection::vec(any::<u8>(), 0..100)) {
            use base64::Engine as _;
            let text = Secret::from(base64::engine::general_purpose::STANDARD.encode(&bytes));
            let decoded = decode(&text, Decode::Base64).unwrap();
            prop_assert_eq!(decoded.expose(), bytes);
        }

        #[test]
        fn any_text_survives_json_and_properties(text in any::<String>()) {
            let json = serde_json::json!({ "k": text });
            let written = self::text(&json, Format::Json);
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&written).unwrap(), json.clone());
            let read = read_properties(&self::text(&json, Format::Properties));
            prop_assert_eq!(read, [("k".to_owned(), text)]);
        }
    }
}
