//! From what the store has to what an environment means: finds the imports, opens the secrets, evaluates.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use super::{
    App,
    error::ApiError,
    names::{EnvironmentName, ImportName, Version},
    principal::Principal,
    providers::{Caller, Keep},
    right::Right,
    store::{Definition, EnvironmentId, Page, StoreError},
};
use crate::{
    lang::{ANONYMOUS, Evaluation, Load, LoadError, Mode, Options, Outcome, Secrets, seal::SealError},
    secret::Secret,
};

/// Names that are looked at at once to find whose an id is.
const LIST: usize = 256;

/// Retracted revisions in a row that an import is led through. Replacements are younger or older at will, but each
/// was whole when it was named, so real ways are short.
const MAX_REPLACEMENTS: usize = 16;

/// Whose ciphertexts a definition may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    /// Only its own.
    Own(EnvironmentId),
    /// Its own, and those of every environment that whoever asks may open.
    OwnAndOpenable(EnvironmentId),
    /// Those of every environment that whoever asks may open.
    Openable,
}

/// A definition that is to be evaluated for somebody.
#[derive(Debug)]
pub(super) struct Question {
    principal: Principal,
    organization: String,
    label: String,
    text: Secret,
    whose: Whose,
    options: Options,
    keep: Option<Keep>,
}

impl Question {
    /// About a definition that is kept.
    pub(super) fn stored(
        principal: &Principal,
        name: &EnvironmentName,
        definition: &Definition,
        mode: Mode,
    ) -> Self {
        let whose = Whose::Own(definition.environment.id);
        Self::proposed(principal, name, definition.text.clone(), whose, mode)
    }

    /// About a text that is to be kept.
    pub(super) fn proposed(
        principal: &Principal,
        name: &EnvironmentName,
        text: Secret,
        whose: Whose,
        mode: Mode,
    ) -> Self {
        Self {
            principal: principal.clone(),
            organization: name.organization().to_owned(),
            label: name.local(),
            text,
            whose,
            options: Options { mode, ..Options::default() },
            keep: None,
        }
    }

    /// About a text that is not kept.
    pub(super) fn anonymous(principal: &Principal, organization: &str, text: Secret, mode: Mode) -> Self {
        Self {
            principal: principal.clone(),
            organization: organization.to_owned(),
            label: ANONYMOUS.to_owned(),
            text,
            whose: Whose::Openable,
            options: Options { mode, secrets: Secrets::Literal, ..Options::default() },
            keep: None,
        }
    }

    /// The same, where new states of rotators are kept so.
    pub(super) fn keeping(mut self, keep: Keep) -> Self {
        self.keep = Some(keep);
        self
    }

    /// The same, where tools are to be told how the definition is built.
    pub(super) fn with_outline(mut self) -> Self {
        self.options.outline = true;
        self
    }
}

impl App {
    /// Evaluates a definition. Also says how long the values are good for, if that is limited.
    pub(super) async fn evaluate(
        self: &Arc<Self>,
        question: Question,
    ) -> Result<(Outcome, Option<Duration>), ApiError> {
        let Question { principal, organization, label, text, whose, options, keep } = question;
        if text.expose_str().is_none() {
            return Err(ApiError::bad_request(format!("the definition of `{label}` is no UTF-8 text")));
        }
        let evaluation = Evaluation::new(&label, text, options);
        let caller = Caller { organization: organization.clone(), login: principal.author().login, keep };
        let world = World {
            app: Arc::clone(self),
            principal,
            organization,
            owners: Mutex::new(HashMap::from([(label, whose)])),
        };
        self.providers.evaluate(evaluation, world, &self.evaluations, caller).await.map_err(|error| {
            tracing::error!(%error, "can't evaluate");
            ApiError::internal()
        })
    }

    /// A definition with its secrets in the clear.
    pub(super) fn opened(
        &self,
        text: &str,
        may_open: &mut dyn FnMut(EnvironmentId) -> bool,
    ) -> Result<Secret, SealError> {
        // What has no ciphertext is for the language to judge, in its own words.
        if text.contains("ciphertext") && text.len() <= crate::lang::MAX_DOCUMENT {
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
            let found = match self.store.list(organization, page) {
                Ok(found) => found,
                Err(error) => {
                    log_failure(&error, "whose a secret is can't be told");
                    return false;
                }
            };
            if let Some((name, environment)) = found.iter().find(|(_, environment)| environment.id == id) {
                return self.policy.allows(principal, name, &environment.grants, Right::Open);
            }
            match found.into_iter().next_back() {
                Some((name, _)) => after = Some(name),
                None => return false,
            }
        }
    }
}

/// Tells the operator when it is the store that fails, and not whoever asks it for something that is not there.
fn log_failure(error: &StoreError, what: &str) {
    if let StoreError::Unreadable { source, .. } | StoreError::Directory(source) = error {
        tracing::error!(%error, %source, "{what}");
    } else if let StoreError::Database(source) = error {
        tracing::error!(%error, %source, "{what}");
    } else if let StoreError::Corrupt(_) = error {
        tracing::error!(%error, "{what}");
    }
}

/// What an evaluation can reach, as far as whoever asks may open it.
struct World {
    app: Arc<App>,
    principal: Principal,
    organization: String,
    /// Whose ciphertexts each definition may hold, by the name that it was loaded under.
    owners: Mutex<HashMap<String, Whose>>,
}

impl World {
    fn find(&self, name: &str) -> Result<Definition, LoadError> {
        let ImportName { environment, mut version } = ImportName::parse(&self.organization, name)
            .ok_or_else(|| LoadError(format!("`{name}` is no environment name")))?;
        let most = self.app.most(&self.principal, &environment).map_err(|error| {
            log_failure(&error, "what may be done with an import can't be told");
            LoadError(error.to_string())
        })?;
        if most < Some(Right::Open) {
            return Err(LoadError(StoreError::NoEnvironment(environment).to_string()));
        }
        for _ in 0..MAX_REPLACEMENTS {
            match self.app.store.definition(&environment, &version) {
                Ok(definition) => return Ok(definition),
                // Who pinned a revision that was withdrawn gets the one that replaces it.
                Err(StoreError::Retracted { replacement: Some(number), .. }) => {
                    version = Version::Revision(number);
                }
                Err(error) => {
                    log_failure(&error, "an import can't be read");
                    return Err(LoadError(error.to_string()));
                }
            }
        }
        Err(LoadError(format!("too many revisions of `{environment}` in a row were retracted")))
    }
}

impl Load for World {
    fn load(&self, name: &str) -> Result<Secret, LoadError> {
        let Definition { environment, text, .. } = self.find(name)?;
        if text.expose_str().is_none() {
            return Err(LoadError(format!("the definition of `{name}` is no UTF-8 text")));
        }
        let mut owners = self.owners.lock().unwrap_or_else(PoisonError::into_inner);
        // An environment that imports itself stays what it was.
        owners.entry(name.to_owned()).or_insert(Whose::Own(environment.id));
        Ok(text)
    }

    fn decrypt(&self, environment: &str, ciphertext: &[u8]) -> Result<Secret, LoadError> {
        let whose = {
            let owners = self.owners.lock().unwrap_or_else(PoisonError::into_inner);
            owners.get(environment).copied()
        };
        let mut may_open = |id| match whose {
            Some(Whose::Own(own)) => id == own,
            Some(Whose::OwnAndOpenable(own)) => {
                id == own || self.app.may_open(&self.principal, &self.organization, id)
            }
            Some(Whose::Openable) => self.app.may_open(&self.principal, &self.organization, id),
            None => false,
        };
        self.app.vault.reveal(ciphertext, &mut may_open).map_err(LoadError)
    }
}
