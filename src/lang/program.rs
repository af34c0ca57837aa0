//! Evaluates an environment with everything it imports (`imports`).
//!
//! Every imported name is loaded and evaluated once, by itself: an import never sees the values of its importer.
//!
//! Providers are not called here. An evaluation goes as far as it can ([`Evaluation::run`]), says what providers
//! are to be asked, and takes their answers ([`Evaluation::answer`]). Then it starts over with what it has
//! learned: documents are read once, environments that waited for nothing are kept, and the rest costs
//! milliseconds against a provider's round trip. That is much simpler than an evaluation that can be suspended
//! in the middle of everything, and cannot be told from it.

use std::sync::Arc;

use super::{
    Outcome,
    diagnostic::{Diagnostics, Range},
    evaluation::{Evaluation, MAX_SUGGESTIONS, State, World},
    outline::outline,
    place::Place,
    seam::{Answer, Call, CallId, Catalogue, Load},
    value::{Properties, Value},
};
use crate::secret::Secret;

/// How far an evaluation has come.
#[derive(Debug)]
pub enum Progress {
    /// It waits for answers; all of these can be asked for at once.
    Waiting(Vec<Call>),
    /// It is finished.
    Done(Outcome),
}

impl Evaluation {
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
}
