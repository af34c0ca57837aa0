//! Computes the expressions of one document.
//!
//! On demand and each once: a reference walks the expressions as far as they are literal objects and lists, and
//! computes only what it finally names, so the order of a document does not matter and an object may refer to
//! its own siblings (`references`). Every expression is computed over its *base*, the value that the imports have at the same
//! place.

use std::sync::Arc;

use super::{
    Mode,
    access::below,
    budget::{BUDGET, Budget, Exceeded},
    evaluation::{Evaluation, MAX_WAITING, Scope, World},
    merge::merge,
    place::Place,
    schema::Schema,
    syntax::{Document, Entry, Expr, ExprKind, Function, Reference},
    validate::{Finding, validate},
    value::{Kind, Properties, Value},
};
/// Levels of nesting of a value. Deeper ones could not be read back by common JSON readers.
const MAX_DEPTH: usize = 64;

/// How far an expression is.
enum State {
    Fresh,
    Running,
    Done(Value),
}

/// What the place of an expression accepts.
#[derive(Clone, Copy, Default)]
pub(super) struct Accept<'s> {
    schema: Option<&'s Schema>,
    /// Only a rotation may look at it.
    reserved: bool,
}

impl<'s> Accept<'s> {
    pub(super) fn by(schema: &'s Schema) -> Self {
        Self { schema: Some(schema), reserved: false }
    }

    fn property(self, name: &str) -> Self {
        let schema = self.schema.and_then(|schema| schema.properties.get(name));
        Self { schema, reserved: self.reserved || self.schema.is_some_and(|schema| schema.reserves(name)) }
    }
}

pub(super) struct Evaluator<'e> {
    pub(super) program: &'e mut Evaluation,
    pub(super) world: World<'e>,
    pub(super) document: &'e Document,
    pub(super) scope: &'e Scope,
    states: Vec<State>,
    /// Whether something waits for a provider.
    pub(super) unsettled: bool,
}

impl<'e> Evaluator<'e> {
    pub(super) fn new(
        program: &'e mut Evaluation,
        world: World<'e>,
        document: &'e Document,
        scope: &'e Scope,
    ) -> Self {
        let states = std::iter::repeat_with(|| State::Fresh).take(document.expressions).collect();
        Self { program, world, document, scope, states, unsettled: false }
    }

    /// The document's values over its imports.
    pub(super) fn environment(&mut self) -> Value {
        let document = self.document;
        let base = self.scope.base.clone();
        let value = self.object(&document.values, &document.place, base, Accept::default());
        self.bounded(value, &document.place)
    }

    /// What the expressions have become, by their ids; none of those that were never needed.
    pub(super) fn into_values(self) -> Vec<Option<Value>> {
        let value = |state| match state {
            State::Done(value) => Some(value),
            State::Fresh | State::Running => None,
        };
        self.states.into_iter().map(value).collect()
    }

    /// Whether this is the environment that is opened, checked or rotated.
    pub(super) fn is_root(&self) -> bool {
        self.scope.name == self.program.root
    }

    /// The value of an expression that nothing lies below.
    pub(super) fn argument(&mut self, expr: &'e Expr) -> Value {
        self.evaluate(expr, None, Accept::default())
    }

    /// The value of an argument, and whether it fits. If it does not, that has been told.
    pub(super) fn typed(&mut self, expr: &'e Expr, schema: &Schema) -> (Value, bool) {
        let (value, findings) = self.held(expr, schema);
        let fits = findings.is_empty();
        for finding in findings {
            self.error(&finding.place, finding.summary);
        }
        (value, fits)
    }

    /// The value of an argument, and what is wrong with it, which is not told yet.
    pub(super) fn held(&mut self, expr: &'e Expr, schema: &Schema) -> (Value, Vec<Finding>) {
        let value = self.evaluate(expr, None, Accept::by(schema));
        let findings = validate(&value, schema, &mut self.program.budget);
        (value, findings)
    }

    pub(super) fn evaluate(&mut self, expr: &'e Expr, base: Option<Value>, accept: Accept<'_>) -> Value {
        match self.states.get(expr.id) {
            Some(State::Done(value)) => return value.clone(),
            // A reference led back, or a list or an object on its way.
            Some(State::Running) => {
                return self.fail(&expr.place, format!("cyclic reference to {}", expr.place.reference()));
            }
            Some(State::Fresh) | None => {}
        }
        if accept.reserved && !self.may_look() {
            return Value::reserved(expr.place.clone());
        }
        let value = match base {
            Some(base) if base.is_final() => {
                self.program.warning(&self.scope.name, &expr.place, "cannot override final value");
                base
            }
            base => self.within_stack(expr, base, accept),
        };
        self.set(expr, State::Done(value.clone()));
        value
    }

    /// Whether what is reserved for rotations may be looked at: in the root environment only, which is the one
    /// that is rotated, and when it is checked, so that nobody can refer to what they may not open.
    fn may_look(&self) -> bool {
        self.is_root() && !matches!(self.program.options.mode, Mode::Open)
    }

    fn within_stack(&mut self, expr: &'e Expr, base: Option<Value>, accept: Accept<'_>) -> Value {
        if self.program.waiting >= MAX_WAITING {
            return self.fail(&expr.place, "references and nesting lead too deep");
        }
        if let Err(exceeded) = self.program.budget.step() {
            return self.exceeded(exceeded, &expr.place);
        }
        self.program.waiting += 1;
        self.set(expr, State::Running);
        let value = self.compute(expr, base, accept);
        self.program.waiting -= 1;
        self.bounded(value, &expr.place)
    }

    fn set(&mut self, expr: &Expr, state: State) {
        if let Some(slot) = self.states.get_mut(expr.id) {
            *slot = state;
        }
    }

    fn compute(&mut self, expr: &'e Expr, base: Option<Value>, accept: Accept<'_>) -> Value {
        let place = &expr.place;
        let leaf = |kind| Value::new(kind, false, place.clone());
        let value = match &expr.kind {
            ExprKind::Null => leaf(Kind::Null),
            ExprKind::Bool(flag) => leaf(Kind::Bool(*flag)),
            ExprKind::Number(text) => leaf(Kind::Number(Arc::clone(text))),
            ExprKind::String(text) => leaf(Kind::String(Arc::clone(text))),
            ExprKind::List(items) => {
                let items = items.iter().map(|item| self.evaluate(item, None, accept.items())).collect();
                Value::array(items, false, place.clone())
            }
            ExprKind::Object(entries) => return self.object(entries, place, base, accept),
            ExprKind::Reference(Reference { accesses, map }) => {
                self.reference(accesses, (map, 0), place).moved_to(place.clone())
            }
            ExprKind::Template(parts, map) => self.template(parts, map, place),
            ExprKind::Call(call) => {
                let value = self.call(call, expr);
                // What these yield stands for itself.
                if matches!(&call.function, Function::Validate { .. }) || value.is_final() {
                    return match base {
                        Some(base) => value.based_on(base),
                        None => value,
                    };
                }
                value
            }
        };
        match base {
            Some(base) => self.lay_over(&base, &value, place),
            None => value,
        }
    }

    fn lay_over(&mut self, base: &Value, value: &Value, place: &Place) -> Value {
        match merge(base, value, &mut self.program.budget) {
            Ok(merged) => merged,
            Err(exceeded) => self.exceeded(exceeded, place),
        }
    }

    fn object(
        &mut self,
        entries: &'e [Entry],
        place: &Place,
        base: Option<Value>,
        accept: Accept<'_>,
    ) -> Value {
        let mut own = Vec::with_capacity(entries.len());
        for entry in entries {
            let below = base.as_ref().and_then(|base| below(base, &entry.key, place));
            let value = self.evaluate(&entry.value, below, accept.property(&entry.key));
            own.push((Arc::clone(&entry.key), value));
        }
        let Some(base) = base else { return Value::object(Properties::from_sorted(own), place.clone()) };
        let properties = match base.as_object() {
            Some(inherited) => inherited.overlaid(own),
            None => Properties::from_sorted(own),
        };
        Value::object(properties, place.clone()).based_on(base)
    }

    pub(super) fn error(&mut self, place: &Place, summary: impl Into<String>) {
        self.program.error(&self.scope.name, place, summary);
    }

    pub(super) fn fail(&mut self, place: &Place, summary: impl Into<String>) -> Value {
        self.error(place, summary);
        Value::unknown(place.clone())
    }

    /// A value that is not shared with others yet, if it may be built.
    pub(super) fn charged(&mut self, value: Value, place: &Place) -> Value {
        match self.program.budget.charge(value.weight()) {
            Ok(()) => value,
            Err(exceeded) => self.exceeded(exceeded, place),
        }
    }

    /// A value, unless it is too deep or, written out, too large.
    fn bounded(&mut self, value: Value, place: &Place) -> Value {
        if value.depth() > MAX_DEPTH {
            return self.fail(place, format!("the value is nested deeper than {MAX_DEPTH} levels"));
        }
        if value.weight() > BUDGET {
            return self.too_large(place);
        }
        value
    }

    /// Something refused to be built because it would have exceeded what is left.
    pub(super) fn too_large(&mut self, place: &Place) -> Value {
        let exceeded = self.program.budget.exhaust();
        self.exceeded(exceeded, place)
    }

    pub(super) fn exceeded(&mut self, exceeded: Exceeded, place: &Place) -> Value {
        match exceeded {
            Exceeded::Now => self.fail(place, Budget::MESSAGE),
            Exceeded::Before => Value::unknown(place.clone()),
        }
    }
}

impl Accept<'_> {
    fn items(self) -> Self {
        Self { schema: self.schema.and_then(|schema| schema.items.as_deref()), reserved: self.reserved }
    }
}
