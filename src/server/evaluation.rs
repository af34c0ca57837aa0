//! From what the store has to what an environment means: opens the secrets, finds the imports, evaluates.
//!
//! Everything here blocks: routes call it through [`super::App::evaluating`].

use std::{collections::HashMap, sync::Arc};

use super::{
    App,
    access::Principal,
    names::{EnvironmentName, ImportName, Version},
    policy::Right,
    store::{Definition, EnvironmentId, Page, StoreError},
};
use crate::{
    lang::{
        self, Load, LoadError, Outcome,
        diagnostic::{Diagnostic, Range, Severity},
        seal::SealError,
        value::{Properties, Value},
    },
    secret::Secret,
};

/// What ESC's own evaluator calls a document without a name.
pub(super) const ANONYMOUS: &str = "<yaml>";

/// Names that are looked at at once to find whose an id is.
const LIST: usize = 256;

/// Retracted revisions in a row that an import is led through. Replacements are younger or older at will, but each
/// was whole when it was named, so real ways are short.
const MAX_REPLACEMENTS: usize = 16;

impl App {
    /// Evaluates a stored environment for somebody.
    pub(super) fn evaluate(
        &self,
        principal: &Principal,
        name: &EnvironmentName,
        definition: &Definition,
    ) -> Outcome {
        let id = definition.environment.id;
        self.evaluate_text(principal, name.organization(), &name.local(), &definition.text, &mut |found| {
            found == id
        })
    }

    /// Evaluates a text as an environment of an organization. `may_open` says whose ciphertexts it may have.
    pub(super) fn evaluate_text(
        &self,
        principal: &Principal,
        organization: &str,
        label: &str,
        text: &Secret,
        may_open: &mut dyn FnMut(EnvironmentId) -> bool,
    ) -> Outcome {
        let label_shared = Arc::from(label);
        let Some(text) = text.expose_str() else {
            let start = Range::start_of(&label_shared);
            return failed(start, "the definition is no UTF-8 text".to_owned());
        };
        match self.opened(text, may_open) {
            Ok(text) => {
                let imports = Imports { app: self, principal, organization };
                lang::evaluate(label, text.expose_str().unwrap_or_default(), &imports)
            }
            Err(SealError { summary, begin, end }) => {
                failed(Range { environment: label_shared, begin, end }, summary)
            }
        }
    }

    /// A definition with its secrets in the clear.
    pub(super) fn opened(
        &self,
        text: &str,
        may_open: &mut dyn FnMut(EnvironmentId) -> bool,
    ) -> Result<Secret, SealError> {
        // What has no ciphertext is for the language to judge, in its own words.
        if text.contains("ciphertext") && text.len() <= lang::MAX_DOCUMENT {
            self.vault.open(text, may_open)
        } else {
            Ok(Secret::from(text))
        }
    }

    /// Tells whose secrets somebody may have, of all environments of an organization, by their ids.
    pub(super) fn openable<'a>(
        &'a self,
        principal: &'a Principal,
        organization: &'a str,
    ) -> impl FnMut(EnvironmentId) -> bool + 'a {
        // A definition has many secrets, and most are of one environment.
        let mut known = HashMap::new();
        move |id| *known.entry(id).or_insert_with(|| self.may_open(principal, organization, id))
    }

    fn may_open(&self, principal: &Principal, organization: &str, id: EnvironmentId) -> bool {
        let mut after: Option<EnvironmentName> = None;
        loop {
            let page = Page { after: after.as_ref(), count: LIST };
            let Ok(found) = self.store.list(organization, page) else { return false };
            if let Some((name, _)) = found.iter().find(|(_, environment)| environment.id == id) {
                return self.policy.allows(principal, name, Right::Open);
            }
            match found.into_iter().next_back() {
                Some((name, _)) => after = Some(name),
                None => return false,
            }
        }
    }
}

fn failed(range: Range, summary: String) -> Outcome {
    Outcome {
        value: Value::object(Properties::new(), range.clone()),
        diagnostics: vec![Diagnostic { severity: Severity::Error, summary, range }],
    }
}

/// What an environment imports, as far as whoever asks may open it.
struct Imports<'a> {
    app: &'a App,
    principal: &'a Principal,
    organization: &'a str,
}

impl Load for Imports<'_> {
    fn load(&self, name: &str) -> Result<Secret, LoadError> {
        let ImportName { environment, mut version } = ImportName::parse(self.organization, name)
            .ok_or_else(|| LoadError(format!("`{name}` is no environment name")))?;
        if !self.app.policy.allows(self.principal, &environment, Right::Open) {
            return Err(LoadError(StoreError::NoEnvironment(environment).to_string()));
        }
        for _ in 0..MAX_REPLACEMENTS {
            match self.app.store.definition(&environment, &version) {
                Ok(definition) => {
                    let id = definition.environment.id;
                    let Some(text) = definition.text.expose_str() else {
                        return Err(LoadError(format!("the definition of `{environment}` is no UTF-8 text")));
                    };
                    return self.app.opened(text, &mut |found| found == id).map_err(|error| {
                        LoadError(format!("line {} of `{environment}`: {}", error.begin.line, error.summary))
                    });
                }
                // Who pinned a revision that was withdrawn gets the one that replaces it.
                Err(StoreError::Retracted { replacement: Some(number), .. }) => {
                    version = Version::Revision(number);
                }
                Err(error) => {
                    if let StoreError::Database(_) | StoreError::Corrupt(_) = &error {
                        tracing::error!(%error, "an import can't be read");
                    }
                    return Err(LoadError(error.to_string()));
                }
            }
        }
        Err(LoadError(format!("too many revisions of `{environment}` in a row were retracted")))
    }
}
