//! One evaluation: what is known so far of every environment that it has come to, and what it may still spend.
//!
//! This is what the steps share: `program` begins and ends an evaluation, `imports` reads and evaluates its
//! documents, `evaluate` their expressions, and `outline` tells how they are built.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use super::{
    Mode, Options,
    budget::Budget,
    diagnostic::{Diagnostics, Range},
    export,
    place::Place,
    seam::{Answer, Call, CallId, Catalogue, Load, Rotation},
    syntax::Document,
    value::{Properties, Value},
};
use crate::secret::Secret;

/// Steps that wait for one another: nesting, references and imports. Bounds the stack.
pub(super) const MAX_WAITING: usize = 256;

/// References that are told what was perhaps meant, of one evaluation: as many as are read.
pub(super) const MAX_SUGGESTIONS: usize = 100;

/// Calls of providers in one evaluation. An environment that reads from several vaults has a dozen.
const MAX_CALLS: usize = 256;

/// The name of an environment that has none because it is not stored.
pub const ANONYMOUS: &str = "<yaml>";

/// An evaluation on its way.
#[derive(Debug)]
pub struct Evaluation {
    pub(super) root: Arc<str>,
    pub(super) text: Secret,
    pub(super) options: Options,
    pub(super) budget: Budget,
    pub(super) environments: BTreeMap<Arc<str>, Environment>,
    pub(super) answers: BTreeMap<CallId, Answer>,
    pub(super) calls: Vec<Call>,
    asked: usize,
    pub(super) rotations: Vec<Rotation>,
    pub(super) waiting: usize,
    pub(super) import_depth: usize,
    /// References that may still be told what was perhaps meant: looking for it takes time.
    pub(super) suggestions: usize,
}

/// One environment of an evaluation.
#[derive(Debug)]
pub(super) struct Environment {
    /// None if it could not be had.
    pub(super) document: Option<Arc<Document>>,
    pub(super) state: State,
    /// What evaluating it has found.
    pub(super) diagnostics: Diagnostics,
    /// Whether something in it waits for a provider.
    pub(super) unsettled: bool,
    /// For the outline, if there is to be one.
    pub(super) kept: Option<Kept>,
    /// Among the environments, when it was first needed: diagnostics are told in this order.
    pub(super) order: usize,
}

/// How far an environment is.
#[derive(Debug)]
pub(super) enum State {
    /// It has been read.
    Fresh,
    Running,
    Done(Value),
    /// It can't be loaded, for this reason, which is told where it is first needed.
    Failed {
        reason: String,
        told: bool,
    },
    /// It has errors, which its own diagnostics tell.
    Broken,
}

/// What an evaluation can reach.
#[derive(Clone, Copy)]
pub(super) struct World<'w> {
    pub(super) loader: &'w dyn Load,
    pub(super) catalogue: &'w dyn Catalogue,
}

/// What a document's references can reach beside its own values.
#[derive(Debug)]
pub(super) struct Scope {
    /// The name under which the environment is evaluated.
    pub(super) name: Arc<str>,
    /// What it takes for the root of the evaluation.
    pub(super) root: Arc<str>,
    /// Directly imported environments by the names that the document gives them.
    pub(super) imports: Value,
    /// `${context…}`, once something has asked for it ([`Evaluation::context`]).
    pub(super) context: OnceLock<Value>,
    /// What the merged imports amount to.
    pub(super) base: Option<Value>,
}

/// What is kept of a document that was evaluated.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) document: Arc<Document>,
    pub(super) scope: Scope,
    /// By the ids of expressions; none of what was never needed.
    pub(super) values: Vec<Option<Value>>,
}

/// What an import amounts to.
pub(super) struct Imported {
    /// Unknown if it could not be had, of which has been told.
    pub(super) value: Value,
    /// Whether something in it waits for a provider.
    pub(super) unsettled: bool,
}

impl Evaluation {
    /// Begins to evaluate the definition `text` of the environment `name` (`project/environment`, or
    /// [`ANONYMOUS`]).
    pub fn new(name: &str, text: Secret, options: Options) -> Self {
        Self {
            root: Arc::from(name),
            text,
            options,
            budget: Budget::new(),
            environments: BTreeMap::new(),
            answers: BTreeMap::new(),
            calls: Vec::new(),
            asked: 0,
            rotations: Vec::new(),
            waiting: 0,
            import_depth: 0,
            suggestions: MAX_SUGGESTIONS,
        }
    }

    pub(super) fn insert(
        &mut self,
        name: &Arc<str>,
        document: Option<Arc<Document>>,
        state: State,
        diagnostics: Diagnostics,
    ) {
        let order = self.environments.len();
        let entry = Environment { document, state, diagnostics, unsettled: false, kept: None, order };
        self.environments.insert(Arc::clone(name), entry);
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

    /// What is kept of an environment for the outline.
    pub(super) fn kept(&self, name: &str) -> Option<&Kept> {
        self.environments.get(name)?.kept.as_ref()
    }

    /// How far an environment is, if it was ever needed.
    pub(super) fn state(&self, name: &str) -> Option<&State> {
        self.environments.get(name).map(|entry| &entry.state)
    }

    /// Reports what is wrong with a document of the environment `owner`, or with what it needs.
    pub(super) fn error(&mut self, owner: &Arc<str>, place: &Place, summary: impl Into<String>) {
        if let Some(entry) = self.environments.get_mut(owner) {
            entry.diagnostics.error(place, summary);
        }
    }

    /// Reports what is probably not meant.
    pub(super) fn warning(&mut self, owner: &Arc<str>, place: &Place, summary: impl Into<String>) {
        if let Some(entry) = self.environments.get_mut(owner) {
            entry.diagnostics.warning(place, summary);
        }
    }

    /// What has been answered to a call. If nothing has, it is asked for.
    pub(super) fn ask(&mut self, call: Call) -> Option<Answer> {
        if let Some(answer) = self.answers.get(&call.id) {
            return Some(answer.clone());
        }
        if self.asked >= MAX_CALLS {
            return Some(Err(format!("more than {MAX_CALLS} calls of providers")));
        }
        self.asked += 1;
        self.calls.push(call);
        None
    }

    /// Whether values are only checked: no provider is called.
    pub(super) fn is_check(&self) -> bool {
        matches!(self.options.mode, Mode::Check { .. })
    }
}
