//! What tools are told of a definition: how its expressions are built, what is known of each, what each overrides,
//! and where the steps of its references lead. Editors complete and explain with it, and ESC's command line finds
//! what is written at a path.
//!
//! The form is that of ESC's own tools. Plaintexts of secrets never stand in it. What repeats parts of the
//! environment, schemas and overridden expressions, is left out once it becomes too much: nested objects that many
//! imports override would otherwise grow without measure.

use std::{collections::HashMap, sync::Arc};

use serde_json::{Map, Value as Json, json};

use super::{
    access::below,
    describe::{self, number, object},
    diagnostic::Range,
    evaluation::{Evaluation, Kept},
    place::Place,
    seam::Catalogue,
    signatures::{self, ANY, LIST, STRING, STRINGS},
    steps::{nowhere, range, steps},
    syntax::{Call, Entry, Expr, ExprKind, Function, Provider, Reference, Span},
    value::{NODE_WEIGHT, Value, shown},
};

/// What schemas and overridden expressions may weigh together, in [`Value::weight`]: a hundred times those of a
/// large real environment, and as JSON still smaller than the values may become.
const MAX_REPEATED: usize = 8 << 20;

/// What stands for a secret.
const SECRET: &str = "[secret]";

/// What tools are told beside values and diagnostics.
#[derive(Debug)]
pub struct Outline {
    /// The expressions under `values`, by name.
    pub exprs: Json,
    /// The schema of the environment.
    pub schema: Json,
    /// What `${context…}` was for the root environment.
    pub context: Value,
    /// The schema of that.
    pub context_schema: Json,
}

/// The outline of the root environment, which has become `value`.
pub(super) fn outline(program: &Evaluation, catalogue: &dyn Catalogue, value: &Value) -> Outline {
    let mut outliner = Outliner { program, catalogue, indexes: HashMap::new(), left: MAX_REPEATED };
    // First: it is what is asked for most.
    let schema = if outliner.spend(value.weight()) { describe::value(value) } else { Json::Bool(true) };
    let exprs = program.kept(&program.root).map(|kept| {
        let base = kept.scope.base.as_ref();
        Json::Object(outliner.entries(kept, &kept.document.values, base, &kept.document.place))
    });
    let context = program.context_of(&program.root, &program.root);
    Outline {
        exprs: exprs.unwrap_or_else(|| json!({})),
        schema,
        context_schema: describe::value(&context),
        context,
    }
}

struct Outliner<'o> {
    program: &'o Evaluation,
    catalogue: &'o dyn Catalogue,
    /// Of each environment that something of another overrides: what stands where.
    indexes: HashMap<Arc<str>, Index<'o>>,
    /// What may still be repeated.
    left: usize,
}

/// Expressions by their first and last byte, with what they override.
type Index<'o> = HashMap<(usize, usize), (&'o Expr, Option<Value>)>;

impl<'o> Outliner<'o> {
    fn entries(
        &mut self,
        home: &'o Kept,
        entries: &'o [Entry],
        base: Option<&Value>,
        place: &Place,
    ) -> Map<String, Json> {
        let entry = |entry: &'o Entry| {
            let base = base.and_then(|base| below(base, &entry.key, place));
            (entry.key.to_string(), self.expr(home, &entry.value, base.as_ref()))
        };
        entries.iter().map(entry).collect()
    }

    fn expr(&mut self, home: &'o Kept, expr: &'o Expr, base: Option<&Value>) -> Json {
        let mut out = Map::new();
        out.insert("range".to_owned(), range(expr.place.range()));
        if let Some(schema) = self.schema(home, expr) {
            out.insert("schema".to_owned(), schema);
        }
        if let Some(base) = base.and_then(|base| self.overridden(home, base)) {
            out.insert("base".to_owned(), base);
        }
        let (name, kind) = match &expr.kind {
            ExprKind::Null => return Json::Object(out),
            ExprKind::Bool(flag) => ("literal", Json::Bool(*flag)),
            ExprKind::Number(text) => ("literal", number(&shown(text))),
            ExprKind::String(text) => ("literal", Json::from(&*shown(text))),
            ExprKind::Reference(Reference { accesses, map }) => {
                ("symbol", steps(self.program, home, expr, accesses, (map, 0)))
            }
            ExprKind::Template(parts, map) => {
                let mut passed = 0;
                let parts = parts.iter().map(|part| {
                    let mut out = Map::new();
                    if !part.text.is_empty() {
                        out.insert("text".to_owned(), Json::from(part.text.expose_str()));
                    }
                    if let Some(accesses) = &part.reference {
                        let steps = steps(self.program, home, expr, accesses, (map, passed));
                        out.insert("value".to_owned(), steps);
                        passed += accesses.len();
                    }
                    Json::Object(out)
                });
                ("interpolate", parts.collect())
            }
            ExprKind::List(items) if items.is_empty() => return Json::Object(out),
            ExprKind::List(items) => ("list", items.iter().map(|item| self.expr(home, item, None)).collect()),
            ExprKind::Object(entries) if entries.is_empty() => return Json::Object(out),
            ExprKind::Object(entries) => {
                let environment = &expr.place.range().environment;
                let keys = entries.iter();
                let keys = keys.map(|entry| (entry.key.to_string(), span(environment, entry.at)));
                out.insert("keyRanges".to_owned(), Json::Object(keys.collect()));
                ("object", Json::Object(self.entries(home, entries, base, &expr.place)))
            }
            ExprKind::Call(call) => ("builtin", self.call(home, call, expr)),
        };
        out.insert(name.to_owned(), kind);
        Json::Object(out)
    }

    /// What is known of an expression's value, if there is room for it.
    fn schema(&mut self, home: &Kept, expr: &Expr) -> Option<Json> {
        match home.values.get(expr.id).and_then(Option::as_ref) {
            Some(value) => self.spend(value.weight()).then(|| describe::value(value)),
            None => Some(undetermined(expr)),
        }
    }

    fn spend(&mut self, weight: usize) -> bool {
        let left = self.left.checked_sub(weight);
        self.left = left.unwrap_or_default();
        left.is_some()
    }

    /// The expression that a value comes from which one of `over` overrides, if there is room for it.
    fn overridden(&mut self, over: &Kept, base: &Value) -> Option<Json> {
        let Range { environment, begin, end } = base.range();
        // What could not be had stands where it was asked for, and no expression overrides itself. Others come from
        // environments that were finished before this one, so that there is an end to this.
        if *environment == over.scope.name {
            return None;
        }
        let home = self.program.kept(environment)?;
        let index = self.indexes.entry(Arc::clone(environment)).or_insert_with(|| index(home));
        let (expr, base) = index.get(&(begin.byte, end.byte)).cloned()?;
        self.spend(NODE_WEIGHT).then(|| self.expr(home, expr, base.as_ref()))
    }

    fn call(&mut self, home: &'o Kept, call: &'o Call, expr: &'o Expr) -> Json {
        let environment = &expr.place.range().environment;
        let placed = |kind, value| object([("range", span(environment, call.argument)), (kind, value)]);
        let any = || Json::Bool(true);
        let (takes, argument) = match &call.function {
            Function::Unary(function, argument) => {
                let (takes, _) = signatures::unary(*function);
                (describe::schema(takes.unwrap_or(&ANY)), self.expr(home, argument, None))
            }
            Function::Join(first, second) | Function::Split(first, second) => {
                let joins = matches!(call.function, Function::Join(..));
                let takes = [&STRING, if joins { &STRINGS } else { &STRING }];
                let takes = takes.into_iter().map(|schema| describe::schema(schema)).collect();
                let items = vec![self.expr(home, first, None), self.expr(home, second, None)];
                (tuple(takes), placed("list", Json::Array(items)))
            }
            Function::Plaintext(_, place) => {
                let schema = describe::schema(&STRING);
                (any(), json!({ "range": range(place.range()), "schema": schema, "literal": SECRET }))
            }
            Function::Ciphertext(text, at) => {
                let text = literal(environment, *at, &shown(text));
                (any(), placed("object", object([("ciphertext", text)])))
            }
            Function::Validate { schema, value } => {
                let takes = describe::schema(&signatures::SCHEMA_OF_SCHEMAS);
                let fields =
                    [("schema", self.expr(home, schema, None)), ("value", self.expr(home, value, None))];
                (record([("schema", takes), ("value", any())]), placed("object", object(fields)))
            }
            Function::Open { provider, inputs } => {
                let takes = self.catalogue.provider(&provider.name);
                let takes = takes.map_or_else(|_| any(), |schemas| describe::schema(&schemas.inputs));
                let inputs = self.expr(home, inputs, None);
                match named(environment, provider) {
                    None => (takes, inputs),
                    Some(name) => (
                        record([("inputs", takes), ("provider", describe::schema(&STRING))]),
                        unplaced([("inputs", inputs), ("provider", name)]),
                    ),
                }
            }
            Function::Rotate { provider, inputs, state } => {
                let (takes, keeps) = self.catalogue.rotator(&provider.name).map_or_else(
                    |_| (any(), any()),
                    |all| (describe::schema(&all.inputs), alternatives(describe::schema(&all.state))),
                );
                let inputs = self.expr(home, inputs, None);
                let state = match state {
                    Some(state) => self.expr(home, state, None),
                    None => json!({ "range": nowhere(environment), "schema": true }),
                };
                match named(environment, provider) {
                    None => (
                        record([("inputs", takes), ("state", keeps)]),
                        unplaced([("inputs", inputs), ("state", state)]),
                    ),
                    Some(name) => (
                        record([
                            ("inputs", takes),
                            ("provider", describe::schema(&STRING)),
                            ("state", keeps),
                        ]),
                        unplaced([("inputs", inputs), ("provider", name), ("state", state)]),
                    ),
                }
            }
        };
        object([
            ("name", (*call.name).into()),
            ("nameRange", span(environment, call.at)),
            ("argSchema", takes),
            ("arg", argument),
        ])
    }
}

/// What is known of an expression that was never computed.
fn undetermined(expr: &Expr) -> Json {
    match &expr.kind {
        ExprKind::Null => json!({ "type": "null" }),
        ExprKind::Bool(flag) => json!({ "type": "boolean", "const": flag }),
        ExprKind::Number(text) => json!({ "type": "number", "const": number(&shown(text)) }),
        ExprKind::String(text) => json!({ "type": "string", "const": shown(text) }),
        ExprKind::Template(..) => describe::schema(&STRING),
        ExprKind::List(_) => describe::schema(&LIST),
        ExprKind::Object(_) => json!({ "type": "object", "additionalProperties": true }),
        ExprKind::Reference(_) => Json::Bool(true),
        ExprKind::Call(call) => match &call.function {
            Function::Unary(function, _) => describe::schema(signatures::unary(*function).1),
            Function::Join(..) | Function::Plaintext(..) | Function::Ciphertext(..) => {
                describe::schema(&STRING)
            }
            Function::Split(..) => describe::schema(&STRINGS),
            Function::Validate { .. } | Function::Open { .. } | Function::Rotate { .. } => Json::Bool(true),
        },
    }
}

/// Every expression of a document that a value can come from.
fn index(home: &Kept) -> Index<'_> {
    let mut index = HashMap::new();
    let place = &home.document.place;
    let mut left: Vec<(&Expr, Option<Value>)> = Vec::new();
    let base = |base: Option<&Value>, entry: &Entry| base.and_then(|base| below(base, &entry.key, place));
    let root = home.scope.base.as_ref();
    left.extend(home.document.values.iter().map(|entry| (&entry.value, base(root, entry))));
    while let Some((expr, over)) = left.pop() {
        let mut insert = |range: &Range| {
            index.insert((range.begin.byte, range.end.byte), (expr, over.clone()));
        };
        insert(expr.place.range());
        match &expr.kind {
            ExprKind::Object(entries) => {
                left.extend(entries.iter().map(|entry| (&entry.value, base(over.as_ref(), entry))));
            }
            ExprKind::List(items) => left.extend(items.iter().map(|item| (item, None))),
            // The value of a secret is defined where its text stands.
            ExprKind::Call(call) => {
                if let Function::Plaintext(_, place) = &call.function {
                    insert(place.range());
                }
            }
            _ => {}
        }
    }
    index
}

fn named(environment: &Arc<str>, provider: &Provider) -> Option<Json> {
    Some(literal(environment, provider.at?, &provider.name))
}

fn literal(environment: &Arc<str>, at: Span, text: &str) -> Json {
    json!({ "range": span(environment, at), "schema": { "type": "string", "const": text }, "literal": text })
}

/// An argument of which the reference does not say where it stands.
fn unplaced<const N: usize>(fields: [(&str, Json); N]) -> Json {
    object([("range", nowhere("")), ("object", object(fields))])
}

fn tuple(items: Vec<Json>) -> Json {
    object([("type", "array".into()), ("prefixItems", Json::Array(items)), ("items", false.into())])
}

/// This, or nothing.
fn alternatives(schema: Json) -> Json {
    object([("oneOf", Json::Array(vec![schema, json!({ "type": "null" })])), ("type", "".into())])
}

/// An object with all of these properties.
fn record<const N: usize>(properties: [(&str, Json); N]) -> Json {
    let names = properties.iter().map(|(name, _)| Json::from(*name)).collect();
    object([("type", "object".into()), ("properties", object(properties)), ("required", Json::Array(names))])
}

fn span(environment: &Arc<str>, at: Span) -> Json {
    range(&at.within(environment))
}
