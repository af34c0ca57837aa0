//! ESC's JSON, written strictly: every value at every depth carries `value` and a whole `trace`, because existing
//! clients fail without.
//!
//! What is opened carries values and nothing else: `exprs`, `schema` and a trace's `base` would repeat what the
//! reader has not asked for, overridden secrets included. A check is for people and their tools, and says
//! everything.

use std::cell::Cell;

use serde::{
    Serialize, Serializer,
    ser::{Error, SerializeMap},
};

use crate::{
    lang::{
        Outcome, Outline,
        diagnostic::{Diagnostic, Range, Severity},
        value::{self, Kind, Value},
    },
    yaml::Mark,
};

/// An opened environment.
pub(super) struct EnvironmentWire<'v>(pub(super) &'v Value);

/// One value in its wrapper.
pub(super) struct ValueWire<'v>(pub(super) &'v Value);

/// What a check has found of an environment.
pub(super) struct CheckWire<'o> {
    pub(super) outcome: &'o Outcome,
    /// Whether secrets are written in the clear.
    pub(super) show_secrets: bool,
    /// The status and the message of a failure.
    pub(super) failure: Option<(u16, &'o str)>,
}

/// What stands for a secret that is not shown.
const SECRET: &str = "[secret]";

/// Overridden values that are written in one answer. Of nested objects each level repeats those below, so they
/// could become very many; an environment where a hundred keys are overridden ten times has a thousand.
const MAX_BASES: usize = 10_000;

/// How values are written.
#[derive(Clone, Copy)]
struct Style<'s> {
    redact: bool,
    /// How many overridden values may still be written; none are if it is not given.
    bases: Option<&'s Cell<usize>>,
}

/// As an open gives them.
const OPENED: Style<'static> = Style { redact: false, bases: None };

/// A diagnostic.
pub(super) struct DiagnosticWire<'d>(pub(super) &'d Diagnostic);

impl Serialize for EnvironmentWire<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if self.0.as_object().is_some_and(|properties| !properties.is_empty()) {
            map.serialize_entry("properties", &Payload(self.0, OPENED))?;
        }
        map.end()
    }
}

impl Serialize for ValueWire<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Wrapped(self.0, OPENED).serialize(serializer)
    }
}

impl Serialize for CheckWire<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Outcome { value, diagnostics, outline, .. } = self.outcome;
        let bases = Cell::new(MAX_BASES);
        let style = Style { redact: !self.show_secrets, bases: Some(&bases) };
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("properties", &Payload(value, style))?;
        if let Some(Outline { exprs, schema, context, context_schema }) = outline.as_deref() {
            map.serialize_entry("exprs", exprs)?;
            map.serialize_entry("schema", schema)?;
            map.serialize_entry("executionContext", &ContextWire(context, context_schema))?;
        }
        if let Some((code, message)) = self.failure {
            map.serialize_entry("code", &code)?;
            map.serialize_entry("message", message)?;
        }
        if !diagnostics.is_empty() {
            let diagnostics: Vec<_> = diagnostics.iter().map(DiagnosticWire).collect();
            map.serialize_entry("diagnostics", &diagnostics)?;
        }
        map.end()
    }
}

/// What `${context…}` holds, and its schema.
struct ContextWire<'c>(&'c Value, &'c serde_json::Value);

impl Serialize for ContextWire<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("properties", &Payload(self.0, OPENED))?;
        map.serialize_entry("schema", self.1)?;
        map.end()
    }
}

/// A value in its wrapper.
struct Wrapped<'v>(&'v Value, Style<'v>);

impl Serialize for Wrapped<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(value, style) = *self;
        let mut map = serializer.serialize_map(None)?;
        if style.redact && value.is_secret() {
            map.serialize_entry("value", SECRET)?;
        } else {
            map.serialize_entry("value", &Payload(value, style))?;
        }
        if value.is_secret() {
            map.serialize_entry("secret", &true)?;
        }
        if value.is_unknown() {
            map.serialize_entry("unknown", &true)?;
        }
        map.serialize_entry("trace", &Trace(value, style))?;
        map.end()
    }
}

/// What a wrapper holds: scalars as they are, the elements of containers wrapped again.
struct Payload<'v>(&'v Value, Style<'v>);

impl Serialize for Payload<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(value, style) = *self;
        match value.kind() {
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
            Kind::Array(items) => serializer.collect_seq(items.iter().map(|item| Wrapped(item, style))),
            Kind::Object(properties) => {
                let properties = properties.iter();
                serializer.collect_map(properties.map(|(key, value)| (&**key, Wrapped(value, style))))
            }
        }
    }
}

/// Where a value is defined, and what it overrides.
struct Trace<'v>(&'v Value, Style<'v>);

impl Serialize for Trace<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(value, style) = *self;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("def", &RangeWire(value.range()))?;
        // A secret container hides what is in it, and so it does here.
        if let (Some(base), Some(left), false) =
            (value.base(), style.bases, style.redact && value.is_secret())
            && !is_stand_in(base, value)
            && let Some(less) = left.get().checked_sub(1)
        {
            left.set(less);
            map.serialize_entry("base", &Wrapped(base, style))?;
        }
        map.end()
    }
}

/// Whether a base is what stands in for an import that could not be had.
fn is_stand_in(base: &Value, value: &Value) -> bool {
    base.is_unknown() && base.schema().is_none() && base.range().environment == value.range().environment
}

struct RangeWire<'r>(&'r Range);

impl Serialize for RangeWire<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Range { environment, begin, end } = self.0;
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("environment", &**environment)?;
        map.serialize_entry("begin", &MarkWire(*begin))?;
        map.serialize_entry("end", &MarkWire(*end))?;
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
