//! The value model: what the wire says, unwrapped.
//!
//! On the wire every value is wrapped (`{"value": …, "secret": true, "trace": …}`), at every depth. Levels
//! alternate wrapper and payload, so unwrapping is structural: an object of the user's that itself has a key
//! `value` stays what it is. Numbers stay text, because going through a float damages large ones.

use std::collections::BTreeMap;

use super::{
    path::{below_index, below_key},
    quote::quote,
    wire::{Next, NoJson, Reader},
};
use crate::secret::Secret;

/// One value of an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// What it is.
    pub kind: Kind,
    /// Whether ESC marks it secret. We treat every string as secret; the mark decides nothing but display.
    pub secret: bool,
}

/// The payload of a [`Value`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// JSON null.
    Null,
    /// JSON true or false.
    Bool(bool),
    /// A number as ESC wrote it.
    Number(Secret),
    /// A string.
    String(Secret),
    /// An array.
    Array(Vec<Value>),
    /// An object; ESC orders keys by name.
    Object(BTreeMap<String, Value>),
    /// ESC could not compute it; asking for it is an error.
    Unknown,
}

/// The wire text can't be taken as an environment. Never says what was found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// It is none.
    #[error("ESC's answer is malformed at {at}: expected {expected}")]
    Malformed {
        /// A property path, or a byte offset for text that is no JSON at all.
        at: String,
        /// What should have stood there.
        expected: &'static str,
    },
    /// It is a huge one.
    #[error("the environment has more than {MAX_VALUES} values")]
    TooManyValues,
}

/// A value's `ToString` is absurdly long: every level of nesting quotes the quotes of the level below.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the text of the nested value is longer than {} MiB", LONGEST_TEXT >> 20)]
pub struct TextTooLong;

/// How deep values may nest. Each level is two levels of JSON, and readers of JSON commonly stop at 128.
const MAX_DEPTH: usize = 64;

/// Most values of an environment. Small ones take ten times their room on the wire, so that the size of the answer
/// alone does not bound the agent's memory.
const MAX_VALUES: usize = 100_000;

/// Longest `ToString` of an array or object: a quarter of the default volume size, within the agent's memory.
const LONGEST_TEXT: usize = 4 << 20;

/// What ESC writes in place of a value that it could not compute, where it has no other way to say so.
const UNKNOWN_MARKER: &[u8] = b"[unknown]";

impl Value {
    /// Reads an opened environment (`GET …/open/ID`) into one object value of its properties.
    ///
    /// Tolerates a missing `value` (null), `trace`, `secret`, and keys it does not know.
    pub fn from_environment(wire: &[u8]) -> Result<Self, WireError> {
        let mut json = Reader::new(wire);
        let properties = read_environment(&mut json, &mut Room { values: MAX_VALUES })?;
        Ok(Self { kind: Kind::Object(properties), secret: false })
    }

    /// ESC's `ToString`, as environment variables and interpolations use it.
    pub fn to_text(&self) -> Result<Secret, TextTooLong> {
        if let Some(text) = self.scalar_text() {
            return Ok(Secret::new(text.to_vec()));
        }
        let mut out = Vec::new();
        match &self.kind {
            Kind::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    separate(&mut out, index)?;
                    quote(&mut out, item.to_text()?.expose());
                }
            }
            Kind::Object(entries) => {
                for (index, (key, value)) in entries.iter().enumerate() {
                    separate(&mut out, index)?;
                    quote(&mut out, key.as_bytes());
                    out.push(b'=');
                    quote(&mut out, value.to_text()?.expose());
                }
            }
            _ => out.extend_from_slice(UNKNOWN_MARKER),
        }
        check_length(&out)?;
        Ok(Secret::new(out))
    }

    /// The text of a scalar; none for arrays, objects and unknown values.
    pub fn scalar_text(&self) -> Option<&[u8]> {
        match &self.kind {
            Kind::Null => Some(b""),
            Kind::Bool(true) => Some(b"true"),
            Kind::Bool(false) => Some(b"false"),
            Kind::Number(text) | Kind::String(text) => Some(text.expose()),
            Kind::Array(_) | Kind::Object(_) | Kind::Unknown => None,
        }
    }

    /// Whether this or anything below it is unknown.
    pub fn has_unknown(&self) -> bool {
        self.first_unknown().is_some()
    }

    /// The property path of the first unknown value: empty for this value itself.
    pub fn first_unknown(&self) -> Option<String> {
        match &self.kind {
            Kind::Unknown => Some(String::new()),
            Kind::Array(items) => items
                .iter()
                .enumerate()
                .find_map(|(index, item)| item.first_unknown().map(|rest| below_index(index, &rest))),
            Kind::Object(entries) => entries
                .iter()
                .find_map(|(key, value)| value.first_unknown().map(|rest| below_key(key, &rest))),
            _ => None,
        }
    }
}

fn separate(out: &mut Vec<u8>, index: usize) -> Result<(), TextTooLong> {
    if index > 0 {
        out.push(b',');
    }
    check_length(out)
}

fn check_length(out: &[u8]) -> Result<(), TextTooLong> {
    if out.len() > LONGEST_TEXT { Err(TextTooLong) } else { Ok(()) }
}

/// What is wrong with the wire text; the path grows on the way up, where the names are known.
enum Fault {
    NoJson(NoJson),
    Shape { at: String, expected: &'static str },
    TooMany,
}

impl From<NoJson> for Fault {
    fn from(error: NoJson) -> Self {
        Self::NoJson(error)
    }
}

impl From<Fault> for WireError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::NoJson(NoJson(byte)) => Self::Malformed { at: format!("byte {byte}"), expected: "JSON" },
            Fault::Shape { at, expected } if at.is_empty() => {
                Self::Malformed { at: "the top level".to_owned(), expected }
            }
            Fault::Shape { at, expected } => Self::Malformed { at, expected },
            Fault::TooMany => Self::TooManyValues,
        }
    }
}

impl Fault {
    fn shape(expected: &'static str) -> Self {
        Self::Shape { at: String::new(), expected }
    }

    fn below(self, step: impl FnOnce(&str) -> String) -> Self {
        match self {
            Self::Shape { at, expected } => Self::Shape { at: step(&at), expected },
            fault @ (Self::NoJson(_) | Self::TooMany) => fault,
        }
    }
}

/// What may still be read.
struct Room {
    values: usize,
}

fn read_environment(json: &mut Reader<'_>, room: &mut Room) -> Result<BTreeMap<String, Value>, Fault> {
    let mut properties = BTreeMap::new();
    match json.next()? {
        Next::Object => json.object(|json, name| match name.as_str() {
            "properties" => {
                properties =
                    read_properties(json, room).map_err(|fault| fault.below(|at| below_key(&name, at)))?;
                Ok(())
            }
            _ => json.skip().map_err(Fault::from),
        })?,
        Next::Null => json.null()?,
        _ => return Err(Fault::shape("an environment")),
    }
    json.end()?;
    Ok(properties)
}

fn read_properties(json: &mut Reader<'_>, room: &mut Room) -> Result<BTreeMap<String, Value>, Fault> {
    match json.next()? {
        Next::Object => read_entries(json, room, 1),
        Next::Null => Ok(json.null().map(|()| BTreeMap::new())?),
        _ => Err(Fault::shape("an object of values")),
    }
}

fn read_entries(
    json: &mut Reader<'_>,
    room: &mut Room,
    depth: usize,
) -> Result<BTreeMap<String, Value>, Fault> {
    let mut entries = BTreeMap::new();
    json.object(|json, key| {
        let value = read_wrapper(json, room, depth).map_err(|fault| fault.below(|at| below_key(&key, at)))?;
        entries.insert(key, value);
        Ok::<_, Fault>(())
    })?;
    Ok(entries)
}

fn read_items(json: &mut Reader<'_>, room: &mut Room, depth: usize) -> Result<Vec<Value>, Fault> {
    let mut items = Vec::new();
    json.array(|json| {
        let index = items.len();
        items
            .push(read_wrapper(json, room, depth).map_err(|fault| fault.below(|at| below_index(index, at)))?);
        Ok::<_, Fault>(())
    })?;
    Ok(items)
}

/// `{"value": payload, "secret": …, "unknown": …, …}`
fn read_wrapper(json: &mut Reader<'_>, room: &mut Room, depth: usize) -> Result<Value, Fault> {
    if depth > MAX_DEPTH {
        return Err(Fault::shape("at most 64 levels of values"));
    }
    room.values = room.values.checked_sub(1).ok_or(Fault::TooMany)?;
    if json.next()? != Next::Object {
        return Err(Fault::shape("a wrapped value"));
    }
    let (mut kind, mut secret, mut unknown) = (Kind::Null, false, false);
    json.object(|json, name| {
        match name.as_str() {
            "value" => kind = read_payload(json, room, depth)?,
            "secret" => secret = read_flag(json)?,
            "unknown" => unknown = read_flag(json)?,
            _ => json.skip()?,
        }
        Ok::<_, Fault>(())
    })?;
    Ok(Value { kind: if unknown { Kind::Unknown } else { kind }, secret })
}

fn read_payload(json: &mut Reader<'_>, room: &mut Room, depth: usize) -> Result<Kind, Fault> {
    Ok(match json.next()? {
        Next::Null => json.null().map(|()| Kind::Null)?,
        Next::Bool => Kind::Bool(json.bool()?),
        Next::Number => Kind::Number(Secret::new(json.number()?.to_vec())),
        Next::String => match json.string()? {
            text if text.expose() == UNKNOWN_MARKER => Kind::Unknown,
            text => Kind::String(text),
        },
        Next::Array => Kind::Array(read_items(json, room, depth + 1)?),
        Next::Object => Kind::Object(read_entries(json, room, depth + 1)?),
    })
}

fn read_flag(json: &mut Reader<'_>) -> Result<bool, Fault> {
    match json.next()? {
        Next::Bool => Ok(json.bool()?),
        Next::Null => Ok(json.null().map(|()| false)?),
        _ => Err(Fault::shape("true or false")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Kind, Value, WireError};
    use crate::esc::{path::Path, render};

    fn json(value: &Value) -> String {
        let text = render::render(value, render::Format::Json).unwrap();
        text.expose_str().unwrap().to_owned()
    }

    fn read(wire: &str) -> Result<String, WireError> {
        Value::from_environment(wire.as_bytes()).map(|value| json(&value))
    }

    #[test]
    fn unwraps_by_level_and_not_by_looks() {
        for (wire, expected) in [
            ("{}", "{}"),
            ("null", "{}"),
            (r#"{"properties":null}"#, "{}"),
            (r#"{"properties":{"a":{}}}"#, r#"{"a":null}"#),
            (r#"{"properties":{"a":{"value":null,"trace":{"def":{}}}}}"#, r#"{"a":null}"#),
            (r#"{"properties":{"a":{"value":12345678901234567890}}}"#, r#"{"a":12345678901234567890}"#),
            (r#"{"properties":{"a":{"value":1.50}}}"#, r#"{"a":1.50}"#),
            (
                r#"{"properties":{"a":{"value":{"value":{"value":"x"},"trace":{"value":true},"secret":{"value":1}}}}}"#,
                r#"{"a":{"secret":1,"trace":true,"value":"x"}}"#,
            ),
            (
                r#"{"properties":{"b":{"value":[{"value":1},{"value":[{"value":false}]}]},"a":{"value":"","secret":true}}}"#,
                r#"{"a":"","b":[1,[false]]}"#,
            ),
            (
                r#"{"exprs":{"a":{"literal":"x"}},"schema":true,"properties":{"a":{"trace":null,"new":[{}],"value":"v","secret":null}}}"#,
                r#"{"a":"v"}"#,
            ),
        ] {
            assert_eq!(read(wire).unwrap(), expected, "{wire}");
        }
    }

    /// Like the ESO document's `backstage` example, whose wrappers and traces leak through other readers.
    #[test]
    fn nested_objects_come_out_clean_at_any_depth() {
        let environment = Value::from_environment(include_bytes!("fixtures/backstage.json")).unwrap();
        let backstage = "backstage".parse::<Path>().unwrap().get(&environment).unwrap();
        assert_eq!(
            json(&backstage),
            r#"{"auth":{"provider":"github"},"flags":{"deep":{"list":[{"a":[null,1.50]}]},"world":true},"ready":true,"replicas":42,"title":"portal"}"#
        );
    }

    #[test]
    fn keeps_the_marks() {
        let wire = br#"{"properties":{"a":{"value":"s","secret":true},"b":{"unknown":true,"value":"x"},"c":{"value":[{"value":"[unknown]"}]}}}"#;
        let value = Value::from_environment(wire).unwrap();
        let Kind::Object(entries) = &value.kind else { panic!("an object") };
        assert!(entries["a"].secret && !entries["b"].secret);
        assert_eq!(entries["b"].kind, Kind::Unknown);
        assert_eq!(value.first_unknown().as_deref(), Some("b"));
        assert_eq!(entries["c"].first_unknown().as_deref(), Some("[0]"));
        assert!(value.has_unknown() && !entries["a"].has_unknown());
    }

    #[test]
    fn errors_say_where_and_never_what() {
        let deep = format!(r#"{{"properties":{{"d":{}{}}}}}"#, r#"{"value":["#.repeat(65), "]}".repeat(65));
        for (wire, at, expected) in [
            ("", "byte 0", "JSON"),
            ("hunter2", "byte 0", "JSON"),
            (r#"{"properties":{"a":{"value":"hunter2"#, "byte 36", "JSON"),
            (r#"{"properties":{"a":{"value":hunter2}}}"#, "byte 28", "JSON"),
            ("{} hunter2", "byte 3", "JSON"),
            (r#""hunter2""#, "the top level", "an environment"),
            (r#"{"properties":"hunter2"}"#, "properties", "an object of values"),
            (
                r#"{"properties":{"db":{"value":{"k k":"hunter2"}}}}"#,
                r#"properties.db["k k"]"#,
                "a wrapped value",
            ),
            (r#"{"properties":{"l":{"value":[{},"hunter2"]}}}"#, "properties.l[1]", "a wrapped value"),
            (r#"{"properties":{"a":{"secret":"hunter2"}}}"#, "properties.a", "true or false"),
        ] {
            let error = read(wire).unwrap_err();
            assert_eq!(error, WireError::Malformed { at: at.to_owned(), expected }, "{wire}");
            assert!(!error.to_string().contains("hunter2"));
        }
        let error = read(&deep).unwrap_err();
        assert!(error.to_string().ends_with("expected at most 64 levels of values"), "{error}");
        assert!(read(&deep.replacen(r#"{"value":["#, "", 1).replacen("]}", "", 1)).is_ok());
    }

    #[test]
    fn to_text_is_escs_to_string() {
        for (payload, expected) in [
            ("null", ""),
            ("true", "true"),
            ("1.50", "1.50"),
            (r#""it's \"it\"""#, r#"it's "it""#),
            ("[]", ""),
            ("{}", ""),
            (r#"[{"value":"a"},{"value":true},{"value":null}]"#, r#""a","true","""#),
            (
                r#"{"z":{"value":1},"a":{"value":[{"value":"x"},{"value":true},{"value":null}]}}"#,
                r#""a"="\"x\",\"true\",\"\"","z"="1""#,
            ),
            (r#"[{"value":"a"},{"value":{"b":{"value":"c"}}}]"#, r#""a","\"b\"=\"c\"""#),
            (r#"[{"unknown":true}]"#, r#""[unknown]""#),
        ] {
            let wire = format!(r#"{{"properties":{{"v":{{"value":{payload}}}}}}}"#);
            let environment =
                Value::from_environment(wire.as_bytes()).unwrap_or_else(|error| panic!("{wire}: {error}"));
            let Kind::Object(entries) = &environment.kind else { panic!("an object") };
            assert_eq!(entries["v"].to_text().unwrap().expose_str(), Some(expected), "{payload}");
        }
    }

    #[test]
    fn to_text_of_deep_nesting_gives_up_in_time() {
        let nested = (0..60).fold(Value { kind: Kind::Null, secret: false }, |value, _| Value {
            kind: Kind::Array(vec![value]),
            secret: false,
        });
        assert!(nested.to_text().is_err());
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = Value::from_environment(&bytes);
        }

        #[test]
        fn never_panics_on_near_environments(
            text in r#"\{"properties":\{"a":\{("value":)?[\[{"a:truefalsn\\0-9.,}\]]{0,30}"#,
        ) {
            let _ = Value::from_environment(text.as_bytes());
        }
    }
}
