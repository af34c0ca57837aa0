//! Reads and evaluates whole documents, each once for its name: first what it imports, laid over one another, then
//! its values over that.

use std::sync::{Arc, OnceLock};

use super::{
    MAX_IMPORTS, Secrets,
    budget::{Budget, Exceeded},
    diagnostic::{Diagnostics, Range},
    evaluate::Evaluator,
    evaluation::{ANONYMOUS, Evaluation, Imported, Kept, MAX_WAITING, Scope, State, World},
    merge::merge,
    place::Place,
    reader,
    syntax::Document,
    value::{Properties, Value},
};

/// What a byte of a definition counts against the budget: read, it takes at most about this many times its room.
const DOCUMENT_WEIGHT: usize = 16;

/// Imports that import one another.
const MAX_IMPORT_DEPTH: usize = 128;

impl Evaluation {
    /// What a document's references can reach, and whether something in it waits for a provider.
    pub(super) fn scope(
        &mut self,
        name: &Arc<str>,
        document: &Document,
        root: &Arc<str>,
        world: World<'_>,
    ) -> (Scope, bool) {
        let mut imports = Properties::new();
        let mut base = None;
        let mut unsettled = false;
        for import in &document.imports {
            let imported = self.import(name, &import.name, &import.place, root, world);
            unsettled |= imported.unsettled;
            if import.merge {
                base = Some(self.lay_over(name, base, &imported.value, &import.place));
            }
            imports = imports.overlaid(vec![(Arc::clone(&import.name), imported.value)]);
        }
        let scope = Scope {
            name: Arc::clone(name),
            root: Arc::clone(root),
            imports: Value::object(imports, document.place.clone()),
            context: OnceLock::new(),
            base,
        };
        (scope, unsettled)
    }

    /// What could not be computed makes the whole base unknown, so that nothing is called missing that may have
    /// been there.
    fn lay_over(&mut self, owner: &Arc<str>, base: Option<Value>, over: &Value, place: &Place) -> Value {
        let Some(base) = base else { return over.clone() };
        if base.is_unknown() || over.is_unknown() {
            return Value::unknown(place.clone());
        }
        merge(&base, over, &mut self.budget).unwrap_or_else(|exceeded| {
            if exceeded == Exceeded::Now {
                self.error(owner, place, Budget::MESSAGE);
            }
            Value::unknown(place.clone())
        })
    }

    /// The value of an import of `owner`.
    pub(super) fn import(
        &mut self,
        owner: &Arc<str>,
        name: &Arc<str>,
        place: &Place,
        root: &Arc<str>,
        world: World<'_>,
    ) -> Imported {
        // Without a name of its own, an environment leaves being the root to what it imports.
        let root = if **root == *ANONYMOUS { name } else { root };
        let known = self.environments.len();
        let problem = match self.environments.get_mut(name).map(|entry| &mut entry.state) {
            Some(State::Done(value)) => {
                let value = value.clone();
                return Imported { value, unsettled: self.is_unsettled(name) };
            }
            Some(State::Running) => Some(format!("cyclic import of {name}")),
            Some(State::Failed { reason, told }) => (!std::mem::replace(told, true)).then(|| reason.clone()),
            Some(State::Broken) => None,
            Some(State::Fresh) => return self.import_read(owner, name, place, root, world),
            None if known > MAX_IMPORTS => Some(format!("more than {MAX_IMPORTS} imports altogether")),
            None => match self.load(name, world) {
                Ok(()) => return self.import_read(owner, name, place, root, world),
                Err(reason) => {
                    let state = State::Failed { reason: reason.clone(), told: true };
                    self.insert(name, None, state, Diagnostics::default());
                    Some(reason)
                }
            },
        };
        if let Some(problem) = problem {
            self.error(owner, place, problem);
        }
        Imported { value: Value::unknown(place.clone()), unsettled: false }
    }

    fn is_unsettled(&self, name: &Arc<str>) -> bool {
        self.environments.get(name).is_some_and(|entry| entry.unsettled)
    }

    fn load(&mut self, name: &Arc<str>, world: World<'_>) -> Result<(), String> {
        let text = world.loader.load(name).map_err(|error| error.to_string())?;
        let text = text.expose_str().ok_or_else(|| format!("the definition of {name} is no UTF-8 text"))?;
        self.read(name, text, Secrets::Stored);
        Ok(())
    }

    /// An import that has just been read, or that evaluation has started over for.
    fn import_read(
        &mut self,
        owner: &Arc<str>,
        name: &Arc<str>,
        place: &Place,
        root: &Arc<str>,
        world: World<'_>,
    ) -> Imported {
        let document = self.environments.get(name).and_then(|entry| entry.document.clone());
        let Some(document) = document else {
            return Imported { value: Value::unknown(place.clone()), unsettled: false };
        };
        if self.import_depth >= MAX_IMPORT_DEPTH || self.waiting >= MAX_WAITING {
            self.error(owner, place, format!("imports lead deeper than {MAX_IMPORT_DEPTH} levels"));
            return Imported { value: Value::unknown(place.clone()), unsettled: false };
        }
        self.import_depth += 1;
        self.waiting += 1;
        let imported = self.evaluate(name, &document, root, world);
        self.waiting -= 1;
        self.import_depth -= 1;
        imported
    }

    /// Reads a document; it is there afterwards if it has no errors.
    pub(super) fn read(&mut self, name: &Arc<str>, text: &str, secrets: Secrets) {
        let mut diagnostics = Diagnostics::default();
        if self.budget.charge(text.len().saturating_mul(DOCUMENT_WEIGHT)).is_err() {
            diagnostics.error(&Place::root(Range::start_of(name)), Budget::MESSAGE);
            self.insert(name, None, State::Broken, diagnostics);
            return;
        }
        let mut document = reader::read(name, text, secrets, &mut diagnostics);
        if diagnostics.has_errors() {
            self.insert(name, None, State::Broken, diagnostics);
        } else {
            // Kept with the document, since evaluation may start over.
            diagnostics.append(std::mem::take(&mut document.refused));
            document.refused = diagnostics;
            self.insert(name, Some(Arc::new(document)), State::Fresh, Diagnostics::default());
        }
    }

    /// Evaluates a document that has been read. `root` is what it takes for the root of the evaluation.
    pub(super) fn evaluate(
        &mut self,
        name: &Arc<str>,
        document: &Arc<Document>,
        root: &Arc<str>,
        world: World<'_>,
    ) -> Imported {
        let document = Arc::clone(document);
        if let Some(entry) = self.environments.get_mut(name) {
            entry.state = State::Running;
            entry.diagnostics = document.refused.clone();
        }
        let (value, unsettled, kept) = if document.is_empty() {
            (Value::object(Properties::new(), document.place.clone()), false, None)
        } else {
            let (scope, waits) = self.scope(name, &document, root, world);
            let mut evaluator = Evaluator::new(self, world, &document, &scope);
            let value = evaluator.environment();
            let unsettled = evaluator.unsettled || waits;
            let values = evaluator.into_values();
            let kept = self.options.outline.then(|| Kept { document, scope, values });
            (value, unsettled, kept)
        };
        if let Some(entry) = self.environments.get_mut(name) {
            entry.state = State::Done(value.clone());
            entry.unsettled = unsettled;
            entry.kept = kept;
        }
        Imported { value, unsettled }
    }
}
