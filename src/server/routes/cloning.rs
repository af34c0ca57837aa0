//! Copying environments: secrets are sealed anew, for the copy.

use axum::{
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use http::StatusCode;
use serde::Deserialize;
use serde_json::Value as Json;

use super::{
    super::{
        App,
        error::ApiError,
        names::{EnvironmentName, Version},
        policy::Policy,
        principal::Principal,
        right::Right,
        storage::new_id,
        store::{Environment, New, Page, Revision},
    },
    AppState, Entered, body,
    environments::new_name,
};
use crate::secret::Secret;

/// Revisions that a copy with its history may have: all are read, sealed anew, and written at once.
const MAX_HISTORY: usize = 1000;

/// What they may have together, for the same reason: room for large definitions, and no threat to the machine.
const MAX_HISTORY_BYTES: usize = 64 << 20;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "these are ESC's words")]
struct Clone {
    project: Option<String>,
    name: String,
    version: Option<Json>,
    #[serde(default)]
    preserve_history: bool,
    #[serde(default)]
    preserve_access: bool,
    #[serde(default)]
    preserve_environment_tags: bool,
    #[serde(default)]
    preserve_revision_tags: bool,
}

/// `POST …/clone`: a copy. Secrets are sealed anew, for the copy.
pub(super) async fn clone(
    State(app): AppState,
    entered: Entered,
    request: Request,
) -> Result<Response, ApiError> {
    // A copy's owner sees its values.
    entered.require(&app, Right::Open).await?;
    if !app.policy.may_create(&entered.principal) {
        return Err(ApiError::new(StatusCode::FORBIDDEN, "the access token may not create environments"));
    }
    let clone: Clone = body::json(request).await?;
    if clone.preserve_access {
        let message = "grants can't be copied: clone without `preserveAccess`, and give them to the copy";
        return Err(ApiError::bad_request(message));
    }
    let Entered { principal, environment: source, .. } = entered;
    let project = clone.project.as_deref().filter(|project| !project.is_empty()).unwrap_or(source.project());
    let name = new_name(source.organization(), project, &clone.name)?;
    app.evaluating(move |app| {
        app.store.create(copy(app, &principal, &source, &clone, name)?)?;
        Ok(StatusCode::NO_CONTENT.into_response())
    })
    .await
}

fn copy(
    app: &App,
    principal: &Principal,
    source: &EnvironmentName,
    clone: &Clone,
    name: EnvironmentName,
) -> Result<New, ApiError> {
    let version = match &clone.version {
        None | Some(Json::Null) => Version::Latest,
        Some(Json::String(text)) if text.is_empty() => Version::Latest,
        Some(Json::String(text)) => Version::parse(text)
            .ok_or_else(|| ApiError::not_found(format!("`{text}` is no revision and no tag")))?,
        Some(other) => other
            .as_u64()
            .map(Version::Revision)
            .ok_or_else(|| ApiError::bad_request("`version` must be a revision or a tag"))?,
    };
    let newest = app.store.definition(source, &version)?;
    let (id, from, now, owner) = (new_id()?, newest.environment.id, app.now(), principal.author());
    let seal = |text: &Secret| {
        let text = text.expose_str().unwrap_or_default();
        app.vault.seal(id, text, &mut |found| found == from).map(Secret::from).map_err(|error| {
            ApiError::bad_request(format!("line {} of the definition: {}", error.begin.line, error.summary))
        })
    };
    let mut revisions = Vec::new();
    if clone.preserve_history {
        let before = Page { after: Some(newest.revision.number + 1), count: MAX_HISTORY + 1 };
        let (_, mut history) = app.store.history(source, before)?;
        if history.len() > MAX_HISTORY {
            let message = format!("more than {MAX_HISTORY} revisions can't be copied: clone without history");
            return Err(ApiError::bad_request(message));
        }
        history.reverse();
        let mut bytes = 0;
        for mut revision in history {
            // What was withdrawn keeps its number, and nothing else.
            let text: Secret = if revision.retracted.is_some() {
                Secret::from("")
            } else {
                let version = Version::Revision(revision.number);
                seal(&app.store.definition(source, &version)?.text)?
            };
            // What replaced it may come after the last revision that is copied.
            if let Some(retraction) = &mut revision.retracted {
                retraction.replacement =
                    retraction.replacement.map(|number| number.min(newest.revision.number));
            }
            bytes += text.len();
            if bytes > MAX_HISTORY_BYTES {
                let message = "the history is too large to be copied at once: clone without history";
                return Err(ApiError::bad_request(message));
            }
            revisions.push((revision, text));
        }
    } else {
        let revision = Revision { number: 1, created: now, creator: owner.clone(), retracted: None };
        revisions.push((revision, seal(&newest.text)?));
    }
    let latest = revisions.last().map_or(1, |(revision, _)| revision.number);
    let mut environment = Environment::new(id, latest, owner, now);
    Policy::welcome(principal, &mut environment.grants);
    if clone.preserve_environment_tags {
        environment.tags.clone_from(&newest.environment.tags);
    }
    if clone.preserve_revision_tags && clone.preserve_history {
        environment.revision_tags.clone_from(&newest.environment.revision_tags);
        environment.revision_tags.retain(|_, tag| tag.revision <= latest);
    }
    Ok(New { name, environment, revisions })
}
