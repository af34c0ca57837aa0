//! ESC's JSON, written strictly: every value at every depth carries `value` and a whole `trace`, because existing
//! clients fail without.
//!
//! `exprs`, `schema` and a trace's `base` are never written: they would repeat secrets unmarked.

use serde::{
    Serialize, Serializer,
    ser::{Error, SerializeMap},
};

use crate::{
    lang::{
        diagnostic::{Diagnostic, Range, Severity},
        value::{self, Kind, Value},
    },
    yaml::Mark,
};

/// An opened environment.
pub(super) struct EnvironmentWire<'v>(pub(super) &'v Value);

/// One value in its wrapper.
pub(super) struct ValueWire<'v>(pub(super) &'v Value);

/// The same with `[secret]` for what is secret.
pub(super) struct RedactedWire<'v>(pub(super) &'v Value);

/// The properties of an environment, in the clear or redacted.
pub(super) struct PropertiesWire<'v> {
    pub(super) value: &'v Value,
    pub(super) redact: bool,
}

/// A part of a definition whose text is at hand.
pub(super) struct NodeRange<'e> {
    pub(super) environment: &'e str,
    pub(super) begin: Mark,
    pub(super) end: Mark,
}

/// What stands for a secret that is not shown.
const SECRET: &str = "[secret]";

/// A diagnostic.
pub(super) struct DiagnosticWire<'d>(pub(super) &'d Diagnostic);

impl Serialize for EnvironmentWire<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if self.0.as_object().is_some_and(|properties| !properties.is_empty()) {
            map.serialize_entry("properties", &Payload(self.0, false))?;
        }
        map.end()
    }
}

impl Serialize for ValueWire<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        wrapped(self.0, false, serializer)
    }
}

impl Serialize for RedactedWire<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        wrapped(self.0, true, serializer)
    }
}

impl Serialize for PropertiesWire<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Payload(self.value, self.redact).serialize(serializer)
    }
}

fn wrapped<S: Serializer>(value: &Value, redact: bool, serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(None)?;
    if redact && value.is_secret() {
        map.serialize_entry("value", SECRET)?;
    } else {
        map.serialize_entry("value", &Payload(value, redact))?;
    }
    if value.is_secret() {
        map.serialize_entry("secret", &true)?;
    }
    if value.is_unknown() {
        map.serialize_entry("unknown", &true)?;
    }
    map.serialize_entry("trace", &Trace(value.range()))?;
    map.end()
}

/// What a wrapper holds: scalars as they are, the elements of containers wrapped again.
struct Payload<'v>(&'v Value, bool);

impl Serialize for Payload<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let redact = self.1;
        match self.0.kind() {
            Kind::Null | Kind::Unknown => serializer.serialize_unit(),
            Kind::Bool(flag) => serializer.serialize_bool(*flag),
            Kind::String(text) => serializer.serialize_str(&value::shown(text)),
            Kind::Number(text) => {
                // Keeps the digits: the number is never computed with.
                let number: serde_json::Number = text
                    .expose_str()
                    .and_then(|text| text.parse().ok())
                    .ok_or_else(|| S::Error::custom("a number that is none"))?;
                number.serialize(serializer)
            }
            Kind::Array(items) if redact => serializer.collect_seq(items.iter().map(RedactedWire)),
            Kind::Array(items) => serializer.collect_seq(items.iter().map(ValueWire)),
            Kind::Object(properties) if redact => {
                serializer.collect_map(properties.iter().map(|(key, value)| (&**key, RedactedWire(value))))
            }
            Kind::Object(properties) => {
                serializer.collect_map(properties.iter().map(|(key, value)| (&**key, ValueWire(value))))
            }
        }
    }
}

struct Trace<'r>(&'r Range);

impl Serialize for Trace<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry("def", &RangeWire(self.0))?;
        map.end()
    }
}

struct RangeWire<'r>(&'r Range);

impl Serialize for RangeWire<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Range { environment, begin, end } = self.0;
        NodeRange { environment, begin: *begin, end: *end }.serialize(serializer)
    }
}

impl Serialize for NodeRange<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("environment", self.environment)?;
        map.serialize_entry("begin", &MarkWire(self.begin))?;
        map.serialize_entry("end", &MarkWire(self.end))?;
        map.end()
    }
}

struct MarkWire(Mark);

impl Serialize for MarkWire {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("line", &self.0.line)?;
        map.serialize_entry("column", &self.0.column)?;
        map.serialize_entry("byte", &self.0.byte)?;
        map.end()
    }
}

impl Serialize for DiagnosticWire<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Diagnostic { severity, summary, range, path } = self.0;
        let severity = match severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("range", &RangeWire(range))?;
        map.serialize_entry("summary", summary)?;
        map.serialize_entry("severity", severity)?;
        if !path.is_empty() {
            map.serialize_entry("path", path)?;
        }
        map.end()
    }
}
