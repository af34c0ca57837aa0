//! Evaluates an environment with everything it imports (`imports`).
//!
//! Every imported name is loaded and evaluated once, by itself: an import never sees the values of its importer.
//!
//! Providers are not called here. An evaluation goes as far as it can ([`Evaluation::run`]), says what providers
//! are to be asked, and takes their answers ([`Evaluation::answer`]). Then it starts over with what it has
//! learned: documents are read once, environments that waited for nothing are kept, and the rest costs
//! milliseconds against a provider's round trip. That is much simpler than an evaluation that can be suspended
//! in the middle of everything, and cannot be told from it.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Mode, Options, Outcome, Secrets,
    budget::Budget,
    diagnostic::{Diagnostics, Range},
    evaluate::Evaluator,
    imports::Imported,
    outline::{Kept, outline},
    place::Place,
    reader,
    seam::{Answer, Call, CallId, Catalogue, Load, Rotation},
    syntax::Document,
    value::{Properties, Value},
};
use crate::secret::Secret;

/// Steps that wait for one another: nesting, references and imports. Bounds the stack.
pub(super) const MAX_WAITING: usize = 256;

/// What a byte of a definition counts against the budget: read, it takes at most about this many times its room.
const DOCUMENT_WEIGHT: usize = 16;

/// References that are told what was perhaps meant, of one evaluation: as many as are read.
const MAX_SUGGESTIONS: usize = 100;

/// Calls of providers in one evaluation. An environment that reads from several vaults has a dozen.
const MAX_CALLS: usize = 256;

/// The name of an environment that has none because it is not stored.
pub const ANONYMOUS: &str = "<yaml>";

/// An evaluation on its way.
#[derive(Debug)]
pub struct Evaluation {
    pub(super) root: Arc<str>,
    text: Secret,
    pub(super) options: Options,
    pub(super) budget: Budget,
    pub(super) environments: BTreeMap<Arc<str>, Environment>,
    pub(super) answers: BTreeMap<CallId, Answer>,
    calls: Vec<Call>,
    asked: usize,
    pub(super) rotations: Vec<Rotation>,
    pub(super) waiting: usize,
    pub(super) import_depth: usize,
    /// References that may still be told what was perhaps meant: looking for it takes time.
    pub(super) suggestions: usize,
}

/// How far an evaluation has come.
#[derive(Debug)]
pub enum Progress {
    /// It waits for answers; all of these can be asked for at once.
    Waiting(Vec<Call>),
    /// It is finished.
    Done(Outcome),
}

/// One environment of an evaluation.
#[derive(Debug)]
pub(super) struct Environment {
    /// None if it could not be had.
    pub(super) document: Option<Arc<Document>>,
    pub(super) state: State,
    /// What evaluating it has found.
    diagnostics: Diagnostics,
    /// Whether something in it waits for a provider.
    pub(super) unsettled: bool,
    /// For the outline, if there is to be one.
    kept: Option<Kept>,
    /// Among the environments, when it was first needed: diagnostics are told in this order.
    order: usize,
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

    /// Evaluates as far as that is possible without further answers.
    ///
    /// Every call that is reported has to be answered before the next step. What is done is not to be run again.
    pub fn run(&mut self, loader: &dyn Load, catalogue: &dyn Catalogue) -> Progress {
        let world = World { loader, catalogue };
        self.start_over();
        let root = Arc::clone(&self.root);
        if !self.environments.contains_key(&root) {
            self.read_root();
        }
        let value = match self.environments.get(&root).and_then(|entry| entry.document.clone()) {
            Some(document) => self.evaluate(&root, &document, &root, world).value,
            None => Value::object(Properties::new(), Range::start_of(&root)),
        };
        if self.calls.is_empty() {
            Progress::Done(self.finish(value, catalogue))
        } else {
            Progress::Waiting(std::mem::take(&mut self.calls))
        }
    }

    /// Takes the answer to a call.
    pub fn answer(&mut self, id: CallId, answer: Answer) {
        self.answers.insert(id, answer);
    }

    fn start_over(&mut self) {
        self.rotations.clear();
        self.waiting = 0;
        self.import_depth = 0;
        self.suggestions = MAX_SUGGESTIONS;
        for entry in self.environments.values_mut() {
            match &mut entry.state {
                State::Done(_) if !entry.unsettled => {}
                State::Broken => {}
                State::Failed { told, .. } => *told = false,
                State::Fresh | State::Running | State::Done(_) => {
                    entry.state = State::Fresh;
                    entry.unsettled = false;
                }
            }
        }
    }

    fn read_root(&mut self) {
        let root = Arc::clone(&self.root);
        let text = std::mem::replace(&mut self.text, Secret::from(""));
        let secrets = self.options.secrets;
        match text.expose_str() {
            Some(text) => self.read(&root, text, secrets),
            None => {
                let mut diagnostics = Diagnostics::default();
                let place = Place::root(Range::start_of(&root));
                diagnostics.error(&place, "yaml: the definition is no UTF-8 text");
                self.insert(&root, None, State::Broken, diagnostics);
            }
        }
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

    fn finish(&mut self, value: Value, catalogue: &dyn Catalogue) -> Outcome {
        let outline = self.options.outline.then(|| Box::new(outline(self, catalogue, &value)));
        let mut entries: Vec<_> = std::mem::take(&mut self.environments).into_values().collect();
        entries.sort_by_key(|entry| entry.order);
        let mut diagnostics = Diagnostics::default();
        for entry in entries {
            diagnostics.append(entry.diagnostics);
        }
        Outcome {
            value,
            diagnostics: diagnostics.into_vec(),
            outline,
            rotations: std::mem::take(&mut self.rotations),
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
