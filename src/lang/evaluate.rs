//! Computes the expressions of one document.
//!
//! On demand and each once: a reference walks the expressions as far as they are literal objects and lists, and
//! computes only what it finally names, so the order of a document does not matter and an object may refer to
//! its own siblings. Every expression is computed over its *base*, the value that the imports have at the same
//! place.

use std::{collections::HashMap, sync::Arc};

use super::{
    access,
    budget::{Budget, Exceeded},
    builtins::CallError,
    diagnostic::{Diagnostics, Range},
    interpolation::{self, Accessor, Part},
    merge::{inherit, merge},
    syntax::{Document, Entries, Expr, ExprKind},
    text,
    value::{Kind, NODE_WEIGHT, Properties, Value},
};
use crate::secret::Secret;

/// Levels of nesting of a value. Deeper ones could not be read back by common JSON readers.
const MAX_DEPTH: usize = 64;

/// Expressions that wait for one another: nesting and chains of references. Bounds the stack.
const MAX_WAITING: usize = 256;

/// What a document's references can reach beside its own values.
pub(super) struct Scope {
    /// Directly imported environments by the names that the document gives them.
    pub(super) imports: Value,
    /// `${environments…}`, as far as the document names them.
    pub(super) environments: Value,
    /// `${context…}`.
    pub(super) context: Value,
    /// What the merged imports amount to.
    pub(super) base: Value,
}

enum State {
    Running,
    Done(Value),
}

pub(super) struct Evaluator<'e> {
    document: &'e Document,
    scope: &'e Scope,
    budget: &'e mut Budget,
    diagnostics: &'e mut Diagnostics,
    states: HashMap<usize, State>,
    waiting: usize,
}

impl<'e> Evaluator<'e> {
    pub(super) fn new(
        document: &'e Document,
        scope: &'e Scope,
        budget: &'e mut Budget,
        diagnostics: &'e mut Diagnostics,
    ) -> Self {
        Self { document, scope, budget, diagnostics, states: HashMap::new(), waiting: 0 }
    }

    /// The document's values over its imports.
    pub(super) fn environment(mut self) -> Value {
        self.evaluate(&self.document.values, Some(&self.scope.base))
    }

    fn evaluate(&mut self, expr: &'e Expr, base: Option<&Value>) -> Value {
        match self.states.get(&expr.id) {
            Some(State::Done(value)) => return value.clone(),
            // References look before they come here, and nothing else leads back.
            Some(State::Running) => return Value::unknown(expr.range.clone()),
            None => {}
        }
        if self.waiting >= MAX_WAITING {
            return self.fail(&expr.range, "references and nesting lead too deep");
        }
        self.waiting += 1;
        self.states.insert(expr.id, State::Running);
        let value = self.compute(expr, base);
        let value = if value.depth() > MAX_DEPTH {
            self.fail(&expr.range, format!("the value is nested deeper than {MAX_DEPTH} levels"))
        } else {
            value
        };
        self.waiting -= 1;
        self.states.insert(expr.id, State::Done(value.clone()));
        value
    }

    fn compute(&mut self, expr: &'e Expr, base: Option<&Value>) -> Value {
        let range = &expr.range;
        if let Err(exceeded) = self.budget.charge(NODE_WEIGHT) {
            return self.exceeded(exceeded, range);
        }
        let leaf = |kind, secret| Value::new(kind, secret, range.clone());
        let value = match &expr.kind {
            ExprKind::Invalid => Value::unknown(range.clone()),
            ExprKind::Null => leaf(Kind::Null, false),
            ExprKind::Bool(flag) => leaf(Kind::Bool(*flag), false),
            ExprKind::Number(text) => leaf(Kind::Number(Arc::clone(text)), false),
            ExprKind::String(text) => leaf(Kind::String(Arc::clone(text)), false),
            ExprKind::Secret(text) => leaf(Kind::String(Arc::clone(text)), true),
            ExprKind::List(items) => {
                let items = items.iter().map(|item| self.evaluate(item, None)).collect();
                return Value::array(items, false, range.clone());
            }
            ExprKind::Object(entries) => return self.object(entries, range, base),
            ExprKind::Reference(accessors) => self.reference(accessors, range),
            ExprKind::Template(parts) => self.template(parts, range),
            ExprKind::Call(builtin, argument) => {
                let argument = self.evaluate(argument, None);
                if argument.any_unknown() {
                    return Value::unknown(range.clone());
                }
                match builtin.call(&argument, range, self.budget.left()) {
                    Ok(value) => value,
                    Err(CallError::Argument(summary)) => return self.fail(range, summary),
                    Err(CallError::TooLarge) => return self.too_large(range),
                }
            }
        };
        if let Err(exceeded) = self.budget.charge(value.weight()) {
            return self.exceeded(exceeded, range);
        }
        match base {
            // What the base adds has been charged when the imports were merged.
            Some(base) => merge(base.clone(), &value),
            None => value,
        }
    }

    fn object(&mut self, entries: &'e Entries, range: &Range, base: Option<&Value>) -> Value {
        let inherited = base.and_then(Value::as_object);
        let mut properties = Properties::new();
        for (key, entry) in entries {
            let below = inherited.and_then(|properties| properties.get(key));
            properties.insert(Arc::clone(key), self.evaluate(entry, below));
        }
        if let Some(inherited) = inherited {
            properties = inherit(properties, inherited);
        }
        Value::object(properties, range.clone())
    }

    fn template(&mut self, parts: &'e [Part], range: &Range) -> Value {
        let mut out = text::Buffer::default();
        let (mut secret, mut unknown) = (false, false);
        for part in parts {
            out.extend_from_slice(part.text.expose());
            let Some(accessors) = &part.reference else { continue };
            let value = self.reference(accessors, range);
            secret |= value.any_secret();
            unknown |= value.any_unknown();
            let left = self.budget.left().saturating_sub(out.len());
            match text::to_text(&value, left) {
                Ok(text) => out.extend_from_slice(&text),
                Err(text::TooLong) => return self.too_large(range),
            }
        }
        if unknown {
            return Value::unknown(range.clone());
        }
        Value::string(Secret::new(text::take(out)), secret, range.clone())
    }

    fn reference(&mut self, accessors: &'e [Accessor], range: &Range) -> Value {
        let scope = self.scope;
        let found = match accessors.split_first() {
            Some((Accessor::Key(root), rest)) if root == "imports" => access::get(&scope.imports, rest),
            Some((Accessor::Key(root), rest)) if root == "context" => access::get(&scope.context, rest),
            Some((Accessor::Key(root), rest)) if root == "environments" => match rest {
                // What a reference names in full has been evaluated; the rest can't be listed.
                [Accessor::Key(_), Accessor::Key(_), ..] => access::get(&scope.environments, rest),
                _ => Err("${environments…} needs a project and an environment".to_owned()),
            },
            _ => self.walk(accessors, range),
        };
        match found {
            Ok(value) => value,
            Err(summary) => self.fail(range, summary),
        }
    }

    /// Follows a reference through the document's own expressions.
    fn walk(&mut self, accessors: &'e [Accessor], range: &Range) -> Result<Value, String> {
        let scope = self.scope;
        let mut expr = &self.document.values;
        let mut base = Some(&scope.base);
        for (index, accessor) in accessors.iter().enumerate() {
            match (&expr.kind, accessor) {
                (ExprKind::Object(entries), Accessor::Key(key)) => {
                    let inherited = base.and_then(Value::as_object);
                    let below = inherited.and_then(|properties| properties.get(key.as_str()));
                    match (entries.get(key.as_str()), below) {
                        (Some(entry), below) => (expr, base) = (entry, below),
                        (None, Some(below)) => {
                            return access::get(below, accessors.get(index + 1..).unwrap_or_default());
                        }
                        // An import that could not be had may have had it.
                        (None, None) if base.is_some_and(Value::is_unknown) => {
                            return Ok(Value::unknown(range.clone()));
                        }
                        (None, None) => {
                            let names =
                                entries.keys().chain(inherited.into_iter().flat_map(Properties::keys));
                            return Err(access::unknown_property(key, names.map(AsRef::as_ref)));
                        }
                    }
                }
                (ExprKind::List(items), Accessor::Index(at)) => {
                    let at = access::position(*at, items.len())?;
                    // The position lies within the list: this only avoids an index that could panic.
                    let Some(item) = items.get(at) else { return Err(access::NO_RECEIVER.to_owned()) };
                    (expr, base) = (item, None);
                }
                (ExprKind::Object(_), Accessor::Index(_)) => return Err(access::INDEX_ON_OBJECT.to_owned()),
                (ExprKind::List(_), Accessor::Key(_)) => return Err(access::NAME_ON_ARRAY.to_owned()),
                // Only its value says what lies below.
                _ => {
                    let passed = accessors.get(..index).unwrap_or_default();
                    let value = self.referenced(expr, base, passed, range);
                    return access::get(&value, accessors.get(index..).unwrap_or_default());
                }
            }
        }
        Ok(self.referenced(expr, base, accessors, range))
    }

    fn referenced(
        &mut self,
        expr: &'e Expr,
        base: Option<&Value>,
        path: &[Accessor],
        range: &Range,
    ) -> Value {
        if matches!(self.states.get(&expr.id), Some(State::Running)) {
            return self.fail(range, format!("cyclic reference to {}", interpolation::display(path)));
        }
        self.evaluate(expr, base)
    }

    fn fail(&mut self, range: &Range, summary: impl Into<String>) -> Value {
        self.diagnostics.error(range, summary);
        Value::unknown(range.clone())
    }

    /// Something refused to be built because it would have exceeded what is left.
    fn too_large(&mut self, range: &Range) -> Value {
        let exceeded = self.budget.exhaust();
        self.exceeded(exceeded, range)
    }

    fn exceeded(&mut self, exceeded: Exceeded, range: &Range) -> Value {
        match exceeded {
            Exceeded::Now => self.fail(range, Budget::MESSAGE),
            Exceeded::Before => Value::unknown(range.clone()),
        }
    }
}
