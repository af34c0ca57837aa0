//! Evaluates an environment with everything it imports.
//!
//! Every imported name is loaded and evaluated once, by itself: an import never sees the values of its importer.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Load, MAX_IMPORTS, Outcome,
    budget::{Budget, Exceeded},
    diagnostic::{Diagnostics, Range},
    evaluate::{Evaluator, Scope},
    merge::merge,
    syntax::{self, Document, Import, Named},
    value::{Properties, Value},
};

/// Imports that import one another. Bounds the stack.
const MAX_IMPORT_DEPTH: usize = 32;

/// Evaluates the definition `text` of the environment `name` (`project/environment`).
pub fn evaluate(name: &str, text: &str, loader: &dyn Load) -> Outcome {
    let name: Arc<str> = Arc::from(name);
    let mut program = Program {
        root: Arc::clone(&name),
        loader,
        budget: Budget::new(),
        diagnostics: Diagnostics::default(),
        imports: BTreeMap::from([(Arc::clone(&name), State::Running)]),
        depth: 0,
    };
    let value = program.environment(&name, text);
    Outcome { value, diagnostics: program.diagnostics.into_vec() }
}

enum State {
    Running,
    Done(Value),
}

struct Program<'p> {
    root: Arc<str>,
    loader: &'p dyn Load,
    budget: Budget,
    diagnostics: Diagnostics,
    imports: BTreeMap<Arc<str>, State>,
    depth: usize,
}

impl Program<'_> {
    fn environment(&mut self, name: &Arc<str>, text: &str) -> Value {
        let document = syntax::read(name, text, &mut self.diagnostics);
        let scope = self.scope(name, &document);
        Evaluator::new(&document, &scope, &mut self.budget, &mut self.diagnostics).environment()
    }

    fn scope(&mut self, name: &Arc<str>, document: &Document) -> Scope {
        let start = Range::start_of(name);
        let mut imports = Properties::new();
        let mut base = Value::object(Properties::new(), document.values.range.clone());
        for import in &document.imports {
            let value = self.import(import);
            if import.merge {
                base = self.lay_over(base, &value, &import.range);
            }
            imports.insert(Arc::clone(&import.name), value);
        }
        let named = |environment: &Arc<str>| {
            let name = Value::string(&**environment, false, start.clone());
            Value::object(Properties::from([(Arc::from("name"), name)]), start.clone())
        };
        let context = Value::object(
            Properties::from([
                (Arc::from("currentEnvironment"), named(name)),
                (Arc::from("rootEnvironment"), named(&self.root)),
            ]),
            start.clone(),
        );
        let environments = self.named(document, &start);
        Scope { imports: Value::object(imports, start), environments, context, base }
    }

    /// The environments that references name without importing them.
    fn named(&mut self, document: &Document, start: &Range) -> Value {
        let mut projects: BTreeMap<Arc<str>, Properties> = BTreeMap::new();
        for (Named { project, environment }, range) in &document.named {
            let name = format!("{project}/{environment}").into();
            let value = self.import(&Import { name, merge: false, range: range.clone() });
            projects.entry(Arc::clone(project)).or_default().insert(Arc::clone(environment), value);
        }
        let objects = projects.into_iter().map(|(name, below)| (name, Value::object(below, start.clone())));
        Value::object(objects.collect(), start.clone())
    }

    /// What could not be computed makes the whole base unknown, so that nothing is called missing that may have
    /// been there.
    fn lay_over(&mut self, base: Value, over: &Value, range: &Range) -> Value {
        match self.budget.charge(over.weight()) {
            Ok(()) if base.is_unknown() || over.is_unknown() => Value::unknown(range.clone()),
            Ok(()) => merge(base, over),
            Err(exceeded) => {
                if exceeded == Exceeded::Now {
                    self.diagnostics.error(range, Budget::MESSAGE);
                }
                Value::unknown(range.clone())
            }
        }
    }

    /// The value of an import; unknown with a diagnostic if it can't be had.
    fn import(&mut self, import: &Import) -> Value {
        let name = &import.name;
        let problem = match self.imports.get(name) {
            Some(State::Done(value)) => return value.clone(),
            Some(State::Running) => format!("cyclic import of {name}"),
            None if self.imports.len() > MAX_IMPORTS => format!("more than {MAX_IMPORTS} imports altogether"),
            None if self.depth >= MAX_IMPORT_DEPTH => {
                format!("imports lead deeper than {MAX_IMPORT_DEPTH} levels")
            }
            None => match self.loader.load(name) {
                Err(error) => error.to_string(),
                Ok(text) => match text.expose_str() {
                    None => format!("the definition of {name} is no UTF-8 text"),
                    Some(text) => {
                        self.imports.insert(Arc::clone(name), State::Running);
                        self.depth += 1;
                        let value = self.environment(name, text);
                        self.depth -= 1;
                        self.imports.insert(Arc::clone(name), State::Done(value.clone()));
                        return value;
                    }
                },
            },
        };
        self.diagnostics.error(&import.range, problem);
        let unknown = Value::unknown(import.range.clone());
        // It has been said, and need not be tried again.
        self.imports.entry(Arc::clone(name)).or_insert_with(|| State::Done(unknown.clone()));
        unknown
    }
}
