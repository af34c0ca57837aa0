//! Opening environments, and reading what was opened.

use std::{str::FromStr, sync::Arc, time::Duration};

use axum::{
    extract::{RawPathParams, RawQuery, State},
    response::Response,
};
use http::StatusCode;
use serde::Serialize;
use serde_json::json;

use super::{
    super::{
        App,
        error::{ApiError, json_response},
        names::Version,
        wire::{DiagnosticWire, EnvironmentWire, ValueWire},
    },
    AppState, Entered, form,
};
use crate::{
    esc::{
        duration,
        path::{Path, Segment},
    },
    lang::{
        Evaluation, Options, Outcome,
        value::{Kind, Value},
    },
};

/// Life of a session when the client does not say: what ESC's own command line asks for.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(2 * 3600);

/// Longest life of a session: a day covers every client, and decrypted values should not lie in memory for
/// longer than somebody may still want them.
const MAX_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// `POST …/open`.
pub(super) async fn open(
    State(app): AppState,
    entered: Entered,
    query: RawQuery,
) -> Result<Response, ApiError> {
    open_at(app, entered, Version::Latest, query).await
}

/// `POST …/versions/{version}/open`.
pub(super) async fn open_version(
    State(app): AppState,
    entered: Entered,
    params: RawPathParams,
    query: RawQuery,
) -> Result<Response, ApiError> {
    let version = param(&params, "version");
    let version = Version::parse(version)
        .ok_or_else(|| ApiError::not_found(format!("`{version}` is no revision and no tag")))?;
    open_at(app, entered, version, query).await
}

async fn open_at(
    app: Arc<App>,
    Entered { principal, environment }: Entered,
    version: Version,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let lifetime = lifetime(query.as_deref())?;
    let (files, name) = (Arc::clone(&app.files), environment.clone());
    let read = tokio::task::spawn_blocking(move || files.definition(&name, &version));
    let text = read.await.map_err(|_| ApiError::internal())??;
    if text.expose_str().is_none() {
        return Err(ApiError::bad_request(format!("the definition of `{environment}` is no UTF-8 text")));
    }
    let evaluation = Evaluation::new(&environment.local(), text, Options::default());
    let imports = app.files.imports_of(environment.organization());
    let evaluated = app.providers.evaluate(evaluation, imports, &app.evaluations).await;
    let (outcome, limit) = evaluated.map_err(|error| {
        tracing::error!(%error, "can't evaluate");
        ApiError::internal()
    })?;
    // Values that have expired are of no use.
    let lifetime = limit.map_or(lifetime, |limit| lifetime.min(limit));
    if outcome.has_errors() {
        return Err(ApiError::evaluation(&environment.to_string(), outcome.diagnostics));
    }
    let Outcome { value, diagnostics, .. } = outcome;
    let id = app.sessions.open(principal, environment, value, lifetime, app.clock.now())?;
    let warnings: Vec<_> = diagnostics.iter().map(DiagnosticWire).collect();
    if warnings.is_empty() {
        answer(&json!({ "id": id }))
    } else {
        answer(&json!({ "id": id, "diagnostics": warnings }))
    }
}

/// `GET …/open/{session}`, the whole environment or one `property` of it.
pub(super) async fn read(
    State(app): AppState,
    Entered { principal, environment }: Entered,
    params: RawPathParams,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let value = app
        .sessions
        .read(param(&params, "session"), &principal, &environment, app.clock.now())
        .ok_or_else(|| ApiError::not_found("there is no such open session: it may have expired"))?;
    match parameter(query.as_deref(), "property") {
        None => answer(&EnvironmentWire(&value)),
        Some(text) => {
            let path = Path::from_str(&text).map_err(|error| ApiError::bad_request(error.to_string()))?;
            let property = property(&value, path.segments())
                .ok_or_else(|| ApiError::not_found(format!("there is no property `{text}`")))?;
            answer(&ValueWire(property))
        }
    }
}

fn answer(body: &impl Serialize) -> Result<Response, ApiError> {
    let body = serde_json::to_vec(body).map_err(|_| {
        tracing::error!("an answer can't be written as JSON");
        ApiError::internal()
    })?;
    Ok(json_response(StatusCode::OK, body))
}

fn param<'p>(params: &'p RawPathParams, wanted: &str) -> &'p str {
    params.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value).unwrap_or_default()
}

/// A query parameter; one that is blank is as good as none.
fn parameter(query: Option<&str>, wanted: &str) -> Option<String> {
    form::parse(query.unwrap_or_default().as_bytes())
        .find(|(name, _)| name == wanted)
        .and_then(|(_, value)| value.expose_str().map(str::to_owned))
        .filter(|value| !value.is_empty())
}

fn lifetime(query: Option<&str>) -> Result<Duration, ApiError> {
    let Some(text) = parameter(query, "duration") else { return Ok(DEFAULT_LIFETIME) };
    let lifetime = duration::parse(&text)
        .map_err(|error| ApiError::bad_request(format!("query parameter `duration`: {error}")))?;
    if lifetime.is_zero() || lifetime > MAX_LIFETIME {
        return Err(ApiError::bad_request(format!(
            "query parameter `duration`: must be above 0 and at most {}",
            duration::format(MAX_LIFETIME)
        )));
    }
    Ok(lifetime)
}

/// ESC's own look-up: `*` is a key like any other, and what does not fit is not there.
fn property<'v>(root: &'v Value, segments: &[Segment]) -> Option<&'v Value> {
    segments.iter().try_fold(root, |value, segment| match (value.kind(), segment) {
        (Kind::Object(properties), Segment::Key(key)) => properties.get(key.as_str()),
        (Kind::Object(properties), Segment::Wildcard) => properties.get("*"),
        (Kind::Array(items), Segment::Index(index)) => items.get(usize::try_from(*index).ok()?),
        _ => None,
    })
}
