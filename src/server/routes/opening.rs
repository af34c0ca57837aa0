//! Opening environments and definitions, checking them, and reading what was opened.

use std::{str::FromStr, sync::Arc, time::Duration};

use axum::{
    extract::{RawPathParams, RawQuery, Request, State},
    response::Response,
};
use http::StatusCode;
use serde_json::json;

use super::{
    super::{
        App,
        error::ApiError,
        evaluation::Question,
        names::{EnvironmentName, Version},
        right::Right,
        sessions::Subject,
        store::Definition,
        wire::{CheckWire, DiagnosticWire, EnvironmentWire, ValueWire},
    },
    AppState, Entered, Member, answer, answer_with, body, param, parameter, version,
};
use crate::{
    esc::{
        duration,
        path::{Path, Segment},
    },
    lang::{
        ANONYMOUS, Mode, Outcome,
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
    let version = version(&params)?;
    open_at(app, entered, version, query).await
}

async fn open_at(
    app: Arc<App>,
    entered: Entered,
    version: Version,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    entered.require(&app, Right::Open).await?;
    let Entered { principal, environment, noted } = entered;
    let lifetime = lifetime(query.as_deref())?;
    let definition = definition(&app, &environment, version).await?;
    noted.revision(definition.revision.number);
    let question = Question::stored(&principal, &environment, &definition, Mode::Open);
    let (outcome, limit) = app.evaluate(question).await?;
    if outcome.has_errors() {
        return Err(ApiError::evaluation(&environment.to_string(), outcome.diagnostics));
    }
    // Values that have expired are of no use.
    let lifetime = limit.map_or(lifetime, |limit| lifetime.min(limit));
    let Outcome { value, diagnostics, .. } = outcome;
    let subject = Subject::Environment(environment);
    let id = app.sessions.open(principal, subject, value, lifetime, app.clock.now())?;
    opened(&id, &diagnostics)
}

async fn definition(
    app: &Arc<App>,
    name: &EnvironmentName,
    version: Version,
) -> Result<Definition, ApiError> {
    let name = name.clone();
    app.blocking(move |app| Ok(app.store.definition(&name, &version)?)).await
}

/// `POST …/yaml/open`: a definition that is not kept.
pub(super) async fn open_anonymous(
    State(app): AppState,
    Member { principal, organization, .. }: Member,
    RawQuery(query): RawQuery,
    request: Request,
) -> Result<Response, ApiError> {
    let lifetime = lifetime(query.as_deref())?;
    let text = body::definition(request).await?;
    let question = Question::anonymous(&principal, &organization, text, Mode::Open);
    let (outcome, limit) = app.evaluate(question).await?;
    if outcome.has_errors() {
        return Err(ApiError::evaluation(ANONYMOUS, outcome.diagnostics));
    }
    let lifetime = limit.map_or(lifetime, |limit| lifetime.min(limit));
    let Outcome { value, diagnostics, .. } = outcome;
    let subject = Subject::Anonymous(organization);
    let id = app.sessions.open(principal, subject, value, lifetime, app.clock.now())?;
    opened(&id, &diagnostics)
}

fn opened(id: &str, diagnostics: &[crate::lang::diagnostic::Diagnostic]) -> Result<Response, ApiError> {
    let warnings: Vec<_> = diagnostics.iter().map(DiagnosticWire).collect();
    if warnings.is_empty() {
        answer(&json!({ "id": id }))
    } else {
        answer(&json!({ "id": id, "diagnostics": warnings }))
    }
}

/// `POST …/yaml/check`: what a definition that is not kept would mean.
pub(super) async fn check_anonymous(
    State(app): AppState,
    Member { principal, organization, .. }: Member,
    RawQuery(query): RawQuery,
    request: Request,
) -> Result<Response, ApiError> {
    let show = shows_secrets(query.as_deref());
    let text = body::definition(request).await?;
    let mode = Mode::Check { show_secrets: show };
    let question = Question::anonymous(&principal, &organization, text, mode).with_outline();
    let (outcome, _) = app.evaluate(question).await?;
    app.evaluating(move |_| checked(&outcome, ANONYMOUS, show)).await
}

/// `POST …/check`.
pub(super) async fn check(
    State(app): AppState,
    entered: Entered,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    check_at(app, entered, Version::Latest, shows_secrets(query.as_deref())).await
}

/// `POST …/versions/{version}/check`.
pub(super) async fn check_version(
    State(app): AppState,
    entered: Entered,
    params: RawPathParams,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let version = version(&params)?;
    check_at(app, entered, version, shows_secrets(query.as_deref())).await
}

async fn check_at(
    app: Arc<App>,
    entered: Entered,
    version: Version,
    show: bool,
) -> Result<Response, ApiError> {
    entered.require(&app, Right::Open).await?;
    let Entered { principal, environment, noted } = entered;
    let definition = definition(&app, &environment, version).await?;
    noted.revision(definition.revision.number);
    let mode = Mode::Check { show_secrets: show };
    let question = Question::stored(&principal, &environment, &definition, mode).with_outline();
    let (outcome, _) = app.evaluate(question).await?;
    app.evaluating(move |_| checked(&outcome, &environment.local(), show)).await
}

/// What is wrong stands in the answer beside what is known; clients want both.
fn checked(outcome: &Outcome, label: &str, show_secrets: bool) -> Result<Response, ApiError> {
    let message = format!("environment `{label}` has errors");
    let failed = outcome.has_errors();
    let status = if failed { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    let failure = failed.then_some((status.as_u16(), message.as_str()));
    answer_with(status, &CheckWire { outcome, show_secrets, failure })
}

/// `GET …/open/{session}`, the whole environment or one `property` of it.
pub(super) async fn read(
    State(app): AppState,
    entered: Entered,
    params: RawPathParams,
    query: RawQuery,
) -> Result<Response, ApiError> {
    entered.require(&app, Right::Open).await?;
    let Entered { principal, environment, .. } = entered;
    let value = app.sessions.read(
        param(&params, "session"),
        &principal,
        &Subject::Environment(environment),
        app.clock.now(),
    );
    show(value, query)
}

/// `GET …/yaml/open/{session}`.
pub(super) async fn read_anonymous(
    State(app): AppState,
    Member { principal, organization, .. }: Member,
    params: RawPathParams,
    query: RawQuery,
) -> Result<Response, ApiError> {
    let subject = Subject::Anonymous(organization);
    show(app.sessions.read(param(&params, "session"), &principal, &subject, app.clock.now()), query)
}

fn show(value: Option<Value>, RawQuery(query): RawQuery) -> Result<Response, ApiError> {
    let value =
        value.ok_or_else(|| ApiError::not_found("there is no such open session: it may have expired"))?;
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

/// Checks a definition before it is kept: what would not open is not kept.
pub(super) fn acceptable(
    name: &EnvironmentName,
    outcome: Outcome,
) -> Result<Vec<crate::lang::diagnostic::Diagnostic>, ApiError> {
    if outcome.has_errors() {
        return Err(ApiError::evaluation(&name.to_string(), outcome.diagnostics));
    }
    Ok(outcome.diagnostics)
}

fn shows_secrets(query: Option<&str>) -> bool {
    parameter(query, "showSecrets").is_some_and(|text| text == "true")
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
