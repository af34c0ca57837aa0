//! Rotates secrets: asks the rotators of an environment for new states, and keeps these as a new revision.
//!
//! A secret that was rotated and not kept is lost for ever, so everything that can fail is tried before the first
//! rotator is asked: whether the definition can be read, evaluated and rewritten, whether it has room for what is new, and
//! whether the audit log takes a line. After that nothing stops what was begun: neither a client that goes away nor a
//! rotator that fails nor somebody who changes the definition meanwhile. What could be rotated is kept, and what could not
//! is told.
//!
//! A new state is kept at once, as a revision, while other rotators are still being asked: whoever ends the process
//! takes away at most what was answered in that very moment, and what was not answered yet.

use std::{
    collections::{BTreeMap, HashSet},
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
};

use http::StatusCode;

use super::{
    App,
    audit::Entry,
    error::ApiError,
    evaluation::Question,
    names::{EnvironmentName, Version},
    policy::Policy,
    principal::Principal,
    providers::{Keep, ProviderError},
    random::{hex, random},
    store::{Definition, EnvironmentId, StoreError},
};
use crate::{
    esc::{path::Path, value::Value},
    lang::{MAX_DOCUMENT, Mode, seam::RotationStatus},
    secret::Secret,
};

mod state;
mod text;

use state::Site;

/// How often the states are put on top of what somebody else has saved meanwhile. More than so many changes in this
/// moment are no people's.
const MAX_ATTEMPTS: usize = 20;

/// Environments that are being rotated: two rotations at once would each begin with the same state, and one of the new
/// ones would be lost.
#[derive(Debug, Default)]
pub(super) struct Running(Mutex<HashSet<EnvironmentId>>);

/// One of them.
struct Begun {
    app: Arc<App>,
    id: EnvironmentId,
}

impl Begun {
    fn new(app: &Arc<App>, id: EnvironmentId) -> Option<Self> {
        let mut running = app.rotations.0.lock().unwrap_or_else(PoisonError::into_inner);
        running.insert(id).then(|| Self { app: Arc::clone(app), id })
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.app.rotations.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

/// Who wants an environment rotated, and what of it.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) principal: Principal,
    pub(super) environment: EnvironmentName,
    /// Paths of rotators; all of them when empty.
    pub(super) paths: Vec<String>,
    /// Where the request came from, for the audit log.
    pub(super) from: Option<String>,
}

/// What became of it.
#[derive(Debug)]
pub(super) struct Rotated {
    pub(super) id: String,
    pub(super) environment: EnvironmentId,
    pub(super) begun: u64,
    pub(super) ended: u64,
    /// The revisions before and, if there is a new one, after.
    pub(super) before: u64,
    pub(super) after: Option<u64>,
    pub(super) secrets: Vec<RotatedSecret>,
}

/// What became of one secret.
#[derive(Debug)]
pub(super) struct RotatedSecret {
    pub(super) id: String,
    /// Below `values`.
    pub(super) path: String,
    /// The revision with its new state.
    pub(super) revision: Option<u64>,
    /// Why it was not rotated.
    pub(super) failure: Option<String>,
}

/// Rotates, to the end, whatever becomes of who waits for it.
pub(super) async fn rotate(app: &Arc<App>, wanted: Wanted) -> Result<Rotated, ApiError> {
    let task = app.tasks.spawn(run(Arc::clone(app), wanted));
    task.await.map_err(|_| ApiError::internal())?
}

async fn run(app: Arc<App>, wanted: Wanted) -> Result<Rotated, ApiError> {
    if app.policy == Policy::Files {
        return Err(StoreError::ReadOnly.into());
    }
    let name = wanted.environment.clone();
    let environment = app.blocking(move |app| Ok(app.store.environment(&name)?)).await?;
    let Some(_begun) = Begun::new(&app, environment.id) else {
        let message = format!("environment `{}` is being rotated", wanted.environment);
        return Err(ApiError::new(StatusCode::CONFLICT, message));
    };
    // Read only now: whoever rotated it a moment ago has saved it.
    let name = wanted.environment.clone();
    let definition = app.blocking(move |app| Ok(app.store.definition(&name, &Version::Latest)?)).await?;
    let sites = sites(&definition, &wanted.paths)?;
    has_room(&definition, &sites)?;
    let question = |mode| Question::stored(&wanted.principal, &wanted.environment, &definition, mode);
    let (checked, _) = app.evaluate(question(Mode::Check { show_secrets: true })).await?;
    if checked.has_errors() {
        return Err(ApiError::evaluation(&wanted.environment.to_string(), checked.diagnostics));
    }
    let paths: Vec<_> = sites.iter().map(|site| site.path.clone()).collect();
    let begun = app.now();
    let line = entry(&app, &wanted, "rotation.begin", None, paths.join(" "), true);
    record(&app, vec![line]).await?;

    let rotate = question(Mode::Rotate { paths });
    let wanted = Arc::new(wanted);
    let keeper = Arc::new(Keeper {
        app: Arc::clone(&app),
        wanted: Arc::clone(&wanted),
        id: environment.id,
        sites: sites.clone(),
        revisions: tokio::sync::Mutex::default(),
    });
    let evaluated = app.evaluate(rotate.keeping(keeper.keep())).await;
    let (rotations, broken) = match evaluated {
        Ok((outcome, _)) => (outcome.rotations, None),
        Err(error) => (Vec::new(), Some(error)),
    };
    let mut statuses: BTreeMap<_, _> = rotations
        .into_iter()
        .map(|rotation| (below_values(&rotation.path).to_owned(), rotation.status))
        .collect();
    let revisions = keeper.revisions.lock().await;
    let mut secrets = Vec::new();
    for Site { path, .. } in sites {
        let revision = revisions.get(&path).copied();
        let failure = match (revision, statuses.remove(&path)) {
            (Some(_), _) => None,
            (None, Some(RotationStatus::Failed(reason))) => Some(reason),
            (None, _) => Some("its inputs or its state could not be computed".to_owned()),
        };
        secrets.push(RotatedSecret { id: new_id()?, path, revision, failure });
    }
    let after = secrets.iter().filter_map(|secret| secret.revision).max();
    // What was saved has its line by now.
    let failures = secrets.iter().filter_map(|secret| {
        let detail = format!("{}: {}", secret.path, secret.failure.as_deref()?);
        Some(entry(&app, &wanted, "secret.rotate", None, detail, false))
    });
    let failures: Vec<_> = failures.collect();
    // It is over: that this can't be recorded changes nothing, and the log says so.
    let _ = record(&app, failures).await;
    if let Some(error) = broken {
        return Err(error);
    }
    Ok(Rotated {
        id: new_id()?,
        environment: environment.id,
        begun,
        ended: app.now(),
        before: definition.revision.number,
        after,
        secrets,
    })
}

/// The rotators that are wanted, each proven to be one whose state can be written.
fn sites(definition: &Definition, wanted: &[String]) -> Result<Vec<Site>, ApiError> {
    let text = definition.text.expose_str().unwrap_or_default();
    let all = state::sites(text);
    let mut sites: Vec<Site> = Vec::new();
    for path in wanted {
        let parsed = Path::from_str(path).map_err(|error| ApiError::bad_request(error.to_string()))?;
        let found = all.iter().find(|site| site.is(&parsed));
        let site = found.ok_or_else(|| ApiError::bad_request(format!("there is no rotator at `{path}`")))?;
        if !sites.contains(site) {
            sites.push(site.clone());
        }
    }
    if wanted.is_empty() {
        sites = all;
    }
    if sites.is_empty() {
        return Err(ApiError::bad_request("there is nothing to rotate: the environment has no `fn::rotate`"));
    }
    let sample = state::sample();
    let states: Vec<_> = sites.iter().map(|site| (site, &sample)).collect();
    state::write(text, &states).map_err(|error| ApiError::bad_request(error.to_string()))?;
    Ok(sites)
}

/// That new states will fit into the definition, with their secrets sealed.
fn has_room(definition: &Definition, sites: &[Site]) -> Result<(), ApiError> {
    let text = definition.text.expose_str().unwrap_or_default();
    if text.len().saturating_add(state::growth(text, sites)) <= MAX_DOCUMENT {
        return Ok(());
    }
    let message = format!(
        "the definition has {} bytes, and with the new states it could be larger than {MAX_DOCUMENT}: make it smaller, or \
         rotate fewer secrets at once",
        text.len()
    );
    Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, message))
}

/// Keeps new states, each as a revision of its own, one after the other.
struct Keeper {
    app: Arc<App>,
    wanted: Arc<Wanted>,
    id: EnvironmentId,
    sites: Vec<Site>,
    /// The revisions of what is kept, by the paths of the rotators.
    revisions: tokio::sync::Mutex<BTreeMap<String, u64>>,
}

impl Keeper {
    fn keep(self: &Arc<Self>) -> Keep {
        let keeper = Arc::clone(self);
        Keep::new(move |path, state| {
            let keeper = Arc::clone(&keeper);
            Box::pin(async move { keeper.save(below_values(&path), state).await })
        })
    }

    async fn save(self: &Arc<Self>, path: &str, state: Value) -> Result<(), ProviderError> {
        let mut revisions = self.revisions.lock().await;
        let (keeper, site) = (Arc::clone(self), self.sites.iter().find(|site| site.path == path).cloned());
        let saved = self.app.blocking(move |app| match site {
            Some(site) => keeper.write(app, &site, &state),
            None => Err(ApiError::internal()),
        });
        match saved.await {
            Ok(revision) => {
                revisions.insert(path.to_owned(), revision);
                let (app, wanted) = (&self.app, &self.wanted);
                let line = entry(app, wanted, "secret.rotate", Some(revision), path.to_owned(), true);
                // It is done, and saved: that this can't be recorded makes it no failure, and the log says so.
                let _ = record(app, vec![line]).await;
                Ok(())
            }
            Err(_) => {
                tracing::error!(
                    environment = %self.wanted.environment,
                    path,
                    "a secret was rotated, and its new state could not be saved"
                );
                let lost = "it was rotated, but the new state could not be saved, and is lost";
                Err(ProviderError::Refused(lost.to_owned()))
            }
        }
    }

    /// Puts a state on top of whatever is the newest definition. Blocks.
    fn write(&self, app: &App, site: &Site, state: &Value) -> Result<u64, ApiError> {
        let (name, by) = (&self.wanted.environment, self.wanted.principal.author());
        for _ in 0..MAX_ATTEMPTS {
            let newest = app.store.definition(name, &Version::Latest)?;
            if newest.environment.id != self.id {
                return Err(StoreError::NoEnvironment(name.clone()).into());
            }
            // Somebody may have changed the definition, and taken the rotator out of it.
            let text = newest.text.expose_str().unwrap_or_default();
            let written = state::write(text, &[(site, state)]).map_err(|_| ApiError::internal())?;
            let sealed = app
                .vault
                .seal(self.id, written.expose_str().unwrap_or_default(), &mut |found| found == self.id)
                .map_err(|_| ApiError::internal())?;
            let etag = Some(newest.environment.etag.as_str());
            match app.store.update(name, etag, &Secret::from(sealed), &by, app.now()) {
                Ok(environment) => return Ok(environment.latest),
                Err(StoreError::Changed(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Changed(name.clone()).into())
    }
}

/// A path without the `values` at its begin.
fn below_values(path: &str) -> &str {
    path.strip_prefix("values.").or(path.strip_prefix("values")).unwrap_or(path)
}

fn new_id() -> Result<String, ApiError> {
    Ok(hex(&random::<16>()?))
}

fn entry(
    app: &App,
    wanted: &Wanted,
    action: &str,
    revision: Option<u64>,
    detail: String,
    done: bool,
) -> Entry {
    let author = wanted.principal.author();
    Entry {
        actor: Some(author.login),
        subject: Some(author.name),
        target: Some(wanted.environment.to_string()),
        revision,
        detail: Some(detail),
        from: wanted.from.clone(),
        ..Entry::new(app.now(), action, if done { 200 } else { 500 })
    }
}

async fn record(app: &Arc<App>, lines: Vec<Entry>) -> Result<(), ApiError> {
    app.blocking(move |app| match &app.audit {
        Some(audit) => lines.iter().try_for_each(|line| {
            audit.record(line).map_err(|error| {
                tracing::error!(%error, "the audit log can't be written");
                ApiError::internal()
            })
        }),
        None => Ok(()),
    })
    .await
}
