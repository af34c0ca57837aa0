//! What a document imports: loaded and evaluated once for each name, and laid over one another.

use std::sync::{Arc, OnceLock};

use super::{
    MAX_IMPORTS, Secrets,
    budget::{Budget, Exceeded},
    diagnostic::{Diagnostics, Range},
    evaluate::Scope,
    export,
    merge::merge,
    place::Place,
    program::{ANONYMOUS, Evaluation, MAX_WAITING, State, World},
    syntax::Document,
    value::{Properties, Value},
};

/// Imports that import one another.
const MAX_IMPORT_DEPTH: usize = 128;

/// What an import amounts to.
pub(super) struct Imported {
    /// Unknown if it could not be had, of which has been told.
    pub(super) value: Value,
    /// Whether something in it waits for a provider.
    pub(super) unsettled: bool,
}

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

    /// `${context…}` for an environment. Most never ask for it.
    pub(super) fn context<'s>(&self, scope: &'s Scope) -> &'s Value {
        scope.context.get_or_init(|| self.context_of(&scope.name, &scope.root))
    }

    pub(super) fn context_of(&self, name: &Arc<str>, root: &Arc<str>) -> Value {
        let place = Place::root(Range::start_of(name));
        let named = |environment: &Arc<str>| {
            let name = Value::string(&**environment, false, place.clone());
            Value::object(Properties::from([(Arc::from("name"), name)]), place.clone())
        };
        let given = self.options.context.iter();
        let given = given.map(|(key, value)| (Arc::clone(key), export::import(value, false, &place)));
        let own =
            [(Arc::from("currentEnvironment"), named(name)), (Arc::from("rootEnvironment"), named(root))];
        Value::object(given.chain(own).collect(), place.clone())
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
}
