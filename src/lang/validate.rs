//! Holds values against a schema.
//!
//! Findings are in the reference's words. They quote the schema, but never a value; of a schema that was made of
//! secrets they quote nothing.

use std::sync::Arc;

use super::{
    access::unknown_property,
    budget::Budget,
    decimal::Decimal,
    diagnostic::Range,
    json,
    place::Place,
    schema::Schema,
    value::{Kind, Properties, Value},
};

/// How deep schemas may refer to one another for a single value.
const MAX_DEPTH: usize = 128;

/// Largest list of values that a diagnostic quotes, in [`Value::weight`].
const MAX_QUOTED: usize = 32 << 10;

/// Findings that are kept: as many as an evaluation can have diagnostics.
const MAX_FINDINGS: usize = 100;

/// What is wrong with a value, and where that is defined.
pub(super) struct Finding {
    pub(super) place: Place,
    pub(super) summary: String,
}

/// Holds a value against a schema. It fits if nothing is found, and only then.
pub(super) fn validate(value: &Value, schema: &Schema, budget: &mut Budget) -> Vec<Finding> {
    let mut validator = Validator { root: schema, budget, findings: Vec::new(), depth: 0 };
    let fits = validator.value(value, schema);
    if !fits && validator.findings.is_empty() {
        // A schema that accepts nothing has no words for it.
        let place = value.place().clone();
        validator.findings.push(Finding { place, summary: "no value is valid here".to_owned() });
    }
    if fits { Vec::new() } else { validator.findings }
}

/// A string for a schema that is written in code.
pub(super) fn text(text: &str) -> Value {
    Value::string(text, false, Range::start_of(&Arc::from("")))
}

/// Goes through a value and a schema side by side.
pub(super) struct Validator<'v> {
    pub(super) root: &'v Schema,
    budget: &'v mut Budget,
    pub(super) findings: Vec<Finding>,
    depth: usize,
}

/// Where something lies: the definition to blame, and the way from there.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    pub(super) place: &'a Place,
    pub(super) path: &'a str,
}

impl<'v> Validator<'v> {
    /// Reports a finding; the answer is that the value does not fit.
    pub(super) fn fail(&mut self, at: At<'_>, summary: impl Into<String>) -> bool {
        // Where some are dropped, others are there to say that the value does not fit.
        if self.findings.len() < MAX_FINDINGS {
            let summary = match (self.root.is_secret(), at.path) {
                (true, _) => "the value does not fit its schema".to_owned(),
                (false, "") => summary.into(),
                (false, path) => format!("{path}: {}", summary.into()),
            };
            self.findings.push(Finding { place: at.place.clone(), summary });
        }
        false
    }

    /// Goes one level down, within bounds of depth and effort.
    pub(super) fn descend(&mut self, at: At<'_>, check: impl FnOnce(&mut Self) -> bool) -> bool {
        if self.depth >= MAX_DEPTH {
            return self.fail(at, "the schema refers to itself too deeply");
        }
        if self.budget.step().is_err() {
            return self.fail(at, Budget::MESSAGE);
        }
        self.depth += 1;
        let fits = check(self);
        self.depth -= 1;
        fits
    }

    fn value(&mut self, value: &Value, schema: &'v Schema) -> bool {
        let at = At { place: value.place(), path: "" };
        self.descend(at, |this| this.check(value, schema, at))
    }

    fn check(&mut self, value: &Value, schema: &'v Schema, at: At<'_>) -> bool {
        match schema.whole {
            Some(accepts) => return accepts,
            None if value.is_unknown() => {
                return match value.schema() {
                    Some(known) => self.known(known, known, schema, at),
                    None => true,
                };
            }
            None => {}
        }
        let mut fits =
            match schema.reference.as_deref().map(|reference| Schema::resolve(self.root, reference)) {
                None => true,
                Some(Ok(target)) => self.value(value, target),
                Some(Err(error)) => self.fail(at, format!("invalid schema: {error}")),
            };
        fits &= self.any_of(&schema.any_of, at, |this, schema| this.value(value, schema));
        fits &= self.one_of(value, schema, at);
        fits &= self.one_among(value, schema.constant.as_slice(), at);
        fits &= self.one_among(value, &schema.choices, at);
        fits & self.typed(value, schema, at)
    }

    /// At least one of the alternatives must fit. If none does, what is wrong with each is told.
    pub(super) fn any_of(
        &mut self,
        alternatives: &'v [Schema],
        at: At<'_>,
        mut check: impl FnMut(&mut Self, &'v Schema) -> bool,
    ) -> bool {
        if alternatives.is_empty() {
            return true;
        }
        let before = self.findings.len();
        for alternative in alternatives {
            if check(self, alternative) {
                self.findings.truncate(before);
                return true;
            }
        }
        self.fail(at, "at least one subschema must match")
    }

    fn one_of(&mut self, value: &Value, schema: &'v Schema, at: At<'_>) -> bool {
        if schema.one_of.is_empty() {
            return true;
        }
        let before = self.findings.len();
        let matches = schema.one_of.iter().filter(|alternative| self.value(value, alternative)).count();
        if matches > 0 {
            self.findings.truncate(before);
        }
        match matches {
            0 => self.fail(at, "exactly one subschema must match"),
            1 => true,
            _ => self.fail(at, "exactly one subschema may match"),
        }
    }

    /// Whether a value equals one of the choices, if there are any.
    fn one_among(&mut self, value: &Value, choices: &[Value], at: At<'_>) -> bool {
        if choices.is_empty() {
            return true;
        }
        for choice in choices {
            if self.budget.charge(value.weight().min(choice.weight())).is_err() {
                return self.fail(at, Budget::MESSAGE);
            }
            if equal(value, choice) {
                return true;
            }
        }
        let room: usize = choices.iter().map(Value::weight).sum();
        if room > MAX_QUOTED {
            return self.fail(at, "expected one of the values that the schema lists");
        }
        let all: Vec<_> = choices.iter().map(quoted).collect();
        match all.as_slice() {
            [only] => self.fail(at, format!("expected {only}")),
            _ => self.fail(at, format!("expected one of [{}]", all.join(","))),
        }
    }

    fn typed(&mut self, value: &Value, schema: &'v Schema, at: At<'_>) -> bool {
        if let Some(kind) = &schema.kind
            && **kind != *value.type_name()
        {
            return self.fail(at, format!("expected {kind}, got {}", value.type_name()));
        }
        match value.kind() {
            Kind::Number(text) => match text.expose_str().and_then(Decimal::parse) {
                Some(number) => self.number(&number, schema, at),
                None => self.fail(at, "internal error: invalid number"),
            },
            Kind::String(text) => self.string(text.expose(), schema, at),
            Kind::Array(items) => self.array(items, schema, at),
            Kind::Object(properties) => self.object(properties, schema, at),
            Kind::Null | Kind::Bool(_) | Kind::Unknown => true,
        }
    }

    fn number(&mut self, number: &Decimal, schema: &Schema, at: At<'_>) -> bool {
        let mut fits = true;
        let mut require = |holds: bool, what: &str, limit: &Decimal| {
            if !holds {
                fits = self.fail(at, format!("expected {what}{}", limit.text()));
            }
        };
        if let Some(unit) = &schema.multiple_of {
            require(number.is_multiple_of(unit), "a multiple of ", unit);
        }
        if let Some(limit) = &schema.minimum {
            require(number >= limit, "a number greater than or equal to ", limit);
        }
        if let Some(limit) = &schema.exclusive_minimum {
            require(number > limit, "a number greater than ", limit);
        }
        if let Some(limit) = &schema.maximum {
            // Without a blank in the reference, too.
            require(number <= limit, "a number less than or equal to", limit);
        }
        if let Some(limit) = &schema.exclusive_maximum {
            require(number < limit, "a number less than ", limit);
        }
        fits
    }

    fn string(&mut self, text: &[u8], schema: &Schema, at: At<'_>) -> bool {
        let mut fits = true;
        let length = text.len() as u64;
        if let Some(least) = schema.length.least
            && length < least
        {
            fits = self.fail(at, format!("expected a string of at least length {least}"));
        }
        if let Some(most) = schema.length.most
            && length > most
        {
            fits = self.fail(at, format!("expected a string of at most length {most}"));
        }
        if let Some(pattern) = &schema.pattern
            && (self.budget.charge(text.len()).is_err() || !pattern.is_match(text))
        {
            fits = self
                .fail(at, format!("string must match the pattern {}", quoted(&self::text(pattern.as_str()))));
        }
        fits
    }

    fn array(&mut self, items: &[Value], schema: &'v Schema, at: At<'_>) -> bool {
        let mut fits = true;
        let count = items.len() as u64;
        if let Some(least) = schema.item_count.least
            && count < least
        {
            fits = self.fail(at, format!("expected an array with at least {least} items"));
        }
        if let Some(most) = schema.item_count.most
            && count > most
        {
            fits = self.fail(at, format!("expected an array with at most {most} items"));
        }
        for (index, item) in items.iter().enumerate() {
            if let Some(schema) = schema.prefix_items.get(index).or(schema.items.as_deref()) {
                fits &= self.value(item, schema);
            }
        }
        fits
    }

    fn object(&mut self, properties: &Properties, schema: &'v Schema, at: At<'_>) -> bool {
        let mut fits = true;
        let count = properties.len() as u64;
        if let Some(least) = schema.property_count.least
            && count < least
        {
            fits = self.fail(at, format!("expected an object with at least {least} properties"));
        }
        if let Some(most) = schema.property_count.most
            && count > most
        {
            fits = self.fail(at, format!("expected an object with at most {most} properties"));
        }
        if !schema.properties.is_empty() || schema.additional.is_some() {
            for (key, value) in properties {
                match schema.properties.get(key).or(schema.additional.as_deref()) {
                    Some(never) if never.is_never() && !self.root.is_secret() => {
                        let known = schema.properties.keys().map(|name| &**name);
                        let summary = unknown_property(key, known, true);
                        fits = self.fail(At { place: value.place(), path: at.path }, summary);
                    }
                    Some(schema) => fits &= self.value(value, schema),
                    None => {}
                }
            }
        }
        let dependents = schema.dependent_required.iter().filter(|(key, _)| properties.get(key).is_some());
        let missing: Vec<&str> = schema
            .required
            .iter()
            .chain(dependents.flat_map(|(_, dependents)| dependents))
            .filter(|key| properties.get(key).is_none())
            .map(|key| &**key)
            .collect();
        if !missing.is_empty() {
            fits = self.fail(at, format!("missing required properties: {}", missing.join(", ")));
        }
        fits
    }
}

/// Whether a value is a constant of a schema. Numbers are compared as text, as the reference does.
fn equal(value: &Value, constant: &Value) -> bool {
    match (value.kind(), constant.kind()) {
        (Kind::Null, Kind::Null) => true,
        (Kind::Bool(one), Kind::Bool(other)) => one == other,
        (Kind::Number(one), Kind::Number(other)) | (Kind::String(one), Kind::String(other)) => one == other,
        (Kind::Array(one), Kind::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other.iter()).all(|(one, other)| equal(one, other))
        }
        (Kind::Object(one), Kind::Object(other)) => {
            one.len() == other.len()
                && one.iter().zip(other).all(|((name, one), (key, other))| name == key && equal(one, other))
        }
        _ => false,
    }
}

fn quoted(value: &Value) -> String {
    String::from_utf8_lossy(&json::write(value)).into_owned()
}
