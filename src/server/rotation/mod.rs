//! Rotates secrets: asks the rotators of an environment for new states, and keeps these as a new revision.
//!
//! A secret that was rotated and not kept is lost for ever, so everything that can fail is tried before the first
//! rotator is asked: whether the definition can be read, evaluated and rewritten, and whether the audit log takes a
//! line. After that nothing stops what was begun: neither a client that goes away nor a rotator that fails nor somebody
//! who changes the definition meanwhile. What could be rotated is kept, and what could not is told.

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
    random::{hex, random},
    store::{Definition, EnvironmentId, StoreError},
};
use crate::{
    esc::{path::Path, value::Value},
    lang::{Mode, seam::RotationStatus},
    secret::Secret,
};

mod state;

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
    let question = |mode| Question::stored(&wanted.principal, &wanted.environment, &definition, mode);
    let (checked, _) = app.evaluate(question(Mode::Check { show_secrets: true })).await?;
    if checked.has_errors() {
        return Err(ApiError::evaluation(&wanted.environment.to_string(), checked.diagnostics));
    }
    let paths: Vec<_> = sites.iter().map(|site| site.path.clone()).collect();
    let begun = app.now();
    let line = entry(&app, &wanted, "rotation.begin", None, paths.join(" "), true);
    record(&app, vec![line]).await?;

    let (outcome, _) = app.evaluate(question(Mode::Rotate { paths })).await?;
    let mut statuses: BTreeMap<_, _> = outcome
        .rotations
        .into_iter()
        .map(|rotation| {
            let below = rotation.path.strip_prefix("values.").or(rotation.path.strip_prefix("values"));
            (below.unwrap_or(&rotation.path).to_owned(), rotation.status)
        })
        .collect();
    let mut states = Vec::new();
    let mut secrets = Vec::new();
    for site in sites {
        let failure = match statuses.remove(&site.path) {
            Some(RotationStatus::Succeeded { state, .. }) => {
                states.push((site.clone(), state));
                None
            }
            Some(RotationStatus::Failed(reason)) => Some(reason),
            Some(RotationStatus::NotEvaluated) | None => {
                Some("its inputs or its state could not be computed".to_owned())
            }
        };
        secrets.push(RotatedSecret { id: new_id()?, path: site.path, failure });
    }
    let after = if states.is_empty() {
        None
    } else {
        save(&app, &wanted, environment.id, states, &mut secrets).await
    };
    let lines = secrets.iter().map(|secret| {
        let detail = match &secret.failure {
            None => secret.path.clone(),
            Some(reason) => format!("{}: {reason}", secret.path),
        };
        entry(&app, &wanted, "secret.rotate", after, detail, secret.failure.is_none())
    });
    let lines: Vec<_> = lines.collect();
    // It is done, and saved: that this can't be recorded makes it no failure, and the log says so.
    let _ = record(&app, lines).await;
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

/// Keeps new states as a revision. What can't be kept becomes a failure, and the log says that it is lost.
async fn save(
    app: &Arc<App>,
    wanted: &Wanted,
    id: EnvironmentId,
    states: Vec<(Site, Value)>,
    secrets: &mut [RotatedSecret],
) -> Option<u64> {
    let (name, by) = (wanted.environment.clone(), wanted.principal.author());
    let saved = app
        .blocking(move |app| {
            let mut states = states;
            let mut lost = Vec::new();
            for _ in 0..MAX_ATTEMPTS {
                let newest = app.store.definition(&name, &Version::Latest)?;
                if newest.environment.id != id {
                    return Err(StoreError::NoEnvironment(name).into());
                }
                let text = newest.text.expose_str().unwrap_or_default();
                // Somebody may have changed the definition, and taken a rotator out of it.
                states.retain(|(site, state)| {
                    let kept = state::write(text, &[(site, state)]).is_ok();
                    if !kept {
                        lost.push(site.path.clone());
                    }
                    kept
                });
                if states.is_empty() {
                    return Ok((None, lost));
                }
                let borrowed: Vec<_> = states.iter().map(|(site, state)| (site, state)).collect();
                let written = state::write(text, &borrowed).map_err(|_| ApiError::internal())?;
                let sealed = app
                    .vault
                    .seal(id, written.expose_str().unwrap_or_default(), &mut |found| found == id)
                    .map_err(|_| ApiError::internal())?;
                let etag = Some(newest.environment.etag.as_str());
                match app.store.update(&name, etag, &Secret::from(sealed), &by, app.now()) {
                    Ok(environment) => return Ok((Some(environment.latest), lost)),
                    Err(StoreError::Changed(_)) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            Err(StoreError::Changed(name).into())
        })
        .await;
    let (after, lost) = saved.unwrap_or((None, Vec::new()));
    for secret in secrets.iter_mut().filter(|secret| secret.failure.is_none()) {
        if after.is_none() || lost.contains(&secret.path) {
            tracing::error!(
                environment = %wanted.environment,
                path = secret.path,
                "a secret was rotated, and its new state could not be saved"
            );
            secret.failure =
                Some("it was rotated, but the new state could not be saved, and is lost".to_owned());
        }
    }
    after
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
