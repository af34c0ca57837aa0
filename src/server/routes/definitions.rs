//! Definitions: reading them, with their secrets sealed or in the clear, and adding revisions.

use std::sync::Arc;

use axum::{
    extract::{RawPathParams, Request, State},
    response::Response,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde_json::json;

use super::{
    super::{
        App,
        error::ApiError,
        evaluation::{Question, Whose},
        names::Version,
        policy::Policy,
        right::Right,
        store::{Definition, Environment, StoreError},
        wire::DiagnosticWire,
    },
    AppState, Entered, MAX_DEFINITION, answer, body,
    opening::acceptable,
    version,
};
use crate::{
    lang::{Mode, seal::SealError},
    secret::Secret,
};

/// Tells clients which revision they see.
const REVISION: HeaderName = HeaderName::from_static("pulumi-esc-revision");

/// `GET …/{environment}`: secrets as ciphertexts.
pub(super) async fn get(State(app): AppState, entered: Entered) -> Result<Response, ApiError> {
    sealed(app, entered, Version::Latest).await
}

/// `GET …/versions/{version}`.
pub(super) async fn get_version(
    State(app): AppState,
    entered: Entered,
    params: RawPathParams,
) -> Result<Response, ApiError> {
    let version = version(&params)?;
    sealed(app, entered, version).await
}

async fn sealed(app: Arc<App>, entered: Entered, version: Version) -> Result<Response, ApiError> {
    entered.require(&app, Right::Read).await?;
    app.evaluating(move |app| {
        let definition = app.store.definition(&entered.environment, &version)?;
        entered.noted.revision(definition.revision.number);
        let id = definition.environment.id;
        let text = whole(app, &definition)?;
        // Files hold secrets in the clear.
        let sealed =
            app.vault.seal(id, text, &mut |found| found == id).map_err(|error| unreadable(&error))?;
        Ok(yaml(&Secret::from(sealed), &definition))
    })
    .await
}

/// `GET …/decrypt`: secrets in the clear.
pub(super) async fn decrypt(State(app): AppState, entered: Entered) -> Result<Response, ApiError> {
    in_the_clear(app, entered, Version::Latest).await
}

/// `GET …/versions/{version}/decrypt`.
pub(super) async fn decrypt_version(
    State(app): AppState,
    entered: Entered,
    params: RawPathParams,
) -> Result<Response, ApiError> {
    let version = version(&params)?;
    in_the_clear(app, entered, version).await
}

async fn in_the_clear(app: Arc<App>, entered: Entered, version: Version) -> Result<Response, ApiError> {
    entered.require(&app, Right::Open).await?;
    app.evaluating(move |app| {
        let definition = app.store.definition(&entered.environment, &version)?;
        entered.noted.revision(definition.revision.number);
        let id = definition.environment.id;
        let text = whole(app, &definition)?;
        let text = app.opened(text, &mut |found| found == id).map_err(|error| unreadable(&error))?;
        Ok(yaml(&text, &definition))
    })
    .await
}

/// All of a definition. A file is read no further than a definition may be long, and a part of one is none.
fn whole<'d>(app: &App, definition: &'d Definition) -> Result<&'d str, ApiError> {
    if app.policy == Policy::Files && definition.text.len() > MAX_DEFINITION {
        let message = format!("the definition is larger than {MAX_DEFINITION} bytes");
        return Err(ApiError::bad_request(message));
    }
    definition.text.expose_str().ok_or_else(not_text)
}

fn not_text() -> ApiError {
    ApiError::bad_request("the definition is no UTF-8 text")
}

fn unreadable(error: &SealError) -> ApiError {
    ApiError::bad_request(format!("line {} of the definition: {}", error.begin.line, error.summary))
}

fn yaml(text: &Secret, definition: &Definition) -> Response {
    let mut response = Response::new(text.expose().to_vec().into());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-yaml"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    tag(headers, &definition.environment, definition.revision.number);
    response
}

/// Which revision it is, and what a change on top of it has to name.
fn tag(headers: &mut HeaderMap, environment: &Environment, revision: u64) {
    headers.insert(REVISION, HeaderValue::from(revision));
    if let Ok(value) = HeaderValue::try_from(format!("\"{}\"", environment.etag)) {
        headers.insert(header::ETAG, value);
    }
}

/// The tag that a change expects the environment to have. Clients send it in either header.
fn expected(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::IF_MATCH).or_else(|| headers.get(header::ETAG))?;
    // What is no text is no tag of ours, and must not count as none.
    let text = value.to_str().unwrap_or("?").trim();
    let text = text.strip_prefix("W/").unwrap_or(text).trim_matches('"');
    (text != "*" && !text.is_empty()).then(|| text.to_owned())
}

/// `PATCH …/{environment}`: a new revision.
pub(super) async fn update(
    State(app): AppState,
    entered: Entered,
    request: Request,
) -> Result<Response, ApiError> {
    entered.require(&app, Right::Write).await?;
    let expected = expected(request.headers());
    let text = body::definition(request).await?;
    let Entered { principal, environment: name, noted } = entered;
    let before = {
        let (name, expected) = (name.clone(), expected.clone());
        app.blocking(move |app| {
            let before = app.store.environment(&name)?;
            // Tells so before it complains about the text; the store looks again when it writes.
            if expected.is_some_and(|expected| expected != before.etag) {
                return Err(StoreError::Changed(name).into());
            }
            Ok(before)
        })
        .await?
    };
    let whose = Whose::OwnAndOpenable(before.id);
    let mode = Mode::Check { show_secrets: true };
    let question = Question::proposed(&principal, &name, text.clone(), whose, mode);
    let (outcome, _) = app.evaluate(question).await?;
    let warnings = acceptable(&name, outcome)?;
    app.evaluating(move |app| {
        let text_now = text.expose_str().ok_or_else(not_text)?;
        let mut foreign = app.openable(&principal, name.organization());
        let mut may_open = |id| id == before.id || foreign(id);
        let sealed =
            app.vault.seal(before.id, text_now, &mut may_open).map_err(|error| unreadable(&error))?;
        let (by, now) = (principal.author(), app.now());
        let after = app.store.update(&name, expected.as_deref(), &Secret::from(sealed), &by, now)?;
        noted.revision(after.latest);
        let warnings: Vec<_> = warnings.iter().map(DiagnosticWire).collect();
        let mut response = if warnings.is_empty() {
            answer(&json!({}))
        } else {
            answer(&json!({ "diagnostics": warnings }))
        }?;
        *response.status_mut() = StatusCode::OK;
        tag(response.headers_mut(), &after, after.latest);
        Ok(response)
    })
    .await
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, header};

    use super::expected;

    #[test]
    fn reads_the_expected_tag_as_clients_send_it() {
        for (name, value, tag) in [
            (header::ETAG, "\"abc.1\"", Some("abc.1")),
            (header::ETAG, "abc.1", Some("abc.1")),
            (header::IF_MATCH, "W/\"abc.1\"", Some("abc.1")),
            (header::IF_MATCH, "*", None),
            (header::IF_MATCH, "", None),
            (header::ACCEPT, "x", None),
        ] {
            let headers = HeaderMap::from_iter([(name, HeaderValue::from_static(value))]);
            assert_eq!(expected(&headers).as_deref(), tag, "{value}");
        }
        let both = HeaderMap::from_iter([
            (header::ETAG, HeaderValue::from_static("one")),
            (header::IF_MATCH, HeaderValue::from_static("two")),
        ]);
        assert_eq!(expected(&both).as_deref(), Some("two"));
    }
}
