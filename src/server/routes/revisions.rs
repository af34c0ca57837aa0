//! Revisions and the tags that name them.

use axum::{
    extract::{RawPathParams, RawQuery, Request, State},
    response::{IntoResponse, Response},
};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::{
    super::{
        error::ApiError,
        people::Author,
        right::Right,
        store::{
            Environment, Page, Retraction, Revision,
            environment::{LATEST, RevisionTag, check_text},
        },
    },
    AppState, Entered, answer, body, count, param, parameter, time,
};

/// `GET …/versions`, newest first.
pub(super) async fn list(
    State(app): AppState,
    entered: Entered,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    entered.require(&app, Right::Read).await?;
    // 0 stands for none, as clients send it.
    let before = match parameter(query.as_deref(), "before") {
        None => None,
        Some(text) => Some(text.parse::<u64>().map_err(|_| {
            ApiError::bad_request("query parameter `before` must be the number of a revision")
        })?),
    };
    let page = Page { after: before.filter(|before| *before > 0), count: count(query.as_deref())? };
    app.blocking(move |app| {
        let (environment, revisions) = app.store.history(&entered.environment, page)?;
        let revisions: Vec<_> = revisions.iter().map(|revision| described(&environment, revision)).collect();
        answer(&revisions)
    })
    .await
}

fn described(environment: &Environment, revision: &Revision) -> Json {
    let mut described = json!({
        "number": revision.number,
        "created": time(revision.created),
        "creatorLogin": revision.creator.login,
        "creatorName": revision.creator.name,
        "tags": environment.tags_of(revision.number),
    });
    if let (Some(retraction), Json::Object(described)) = (&revision.retracted, &mut described) {
        described.insert(
            "retracted".to_owned(),
            json!({
                "replacement": retraction.replacement,
                "at": time(retraction.at),
                "byLogin": retraction.by.login,
                "byName": retraction.by.name,
                "reason": retraction.reason.as_deref().unwrap_or_default(),
            }),
        );
    }
    described
}

#[derive(Deserialize)]
struct Retract {
    replacement: Option<u64>,
    reason: Option<String>,
}

/// `POST …/versions/{version}/retract`.
pub(super) async fn retract(
    State(app): AppState,
    entered: Entered,
    params: RawPathParams,
    request: Request,
) -> Result<Response, ApiError> {
    entered.require(&app, Right::Write).await?;
    let number = param(&params, "version")
        .parse::<u64>()
        .map_err(|_| ApiError::bad_request("only a revision can be retracted, by its number"))?;
    let Retract { replacement, reason } = body::json(request).await?;
    check_text("reason", reason.as_deref().unwrap_or_default())?;
    app.blocking(move |app| {
        let retraction = Retraction { replacement, at: app.now(), by: entered.principal.author(), reason };
        app.store.retract(&entered.environment, number, replacement, retraction)?;
        Ok(StatusCode::NO_CONTENT.into_response())
    })
    .await
}

fn tag(name: &str, tag: &RevisionTag) -> Json {
    json!({
        "name": name,
        "revision": tag.revision,
        "created": time(tag.created),
        "modified": time(tag.modified),
        "editorLogin": tag.editor.login,
        "editorName": tag.editor.name,
    })
}

/// `GET …/versions/tags` and `GET …/versions/{version}/tags`, in order of their names.
pub(super) async fn tags(
    State(app): AppState,
    entered: Entered,
    params: RawPathParams,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    entered.require(&app, Right::Read).await?;
    let after = parameter(query.as_deref(), "after");
    let count = count(query.as_deref())?;
    let only = match param(&params, "version") {
        "" => None,
        text => Some(text.parse::<u64>().map_err(|_| ApiError::not_found("there is no such revision"))?),
    };
    app.blocking(move |app| {
        let environment = app.store.environment(&entered.environment)?;
        let latest = environment.latest_tag();
        let mut all: Vec<_> =
            environment.revision_tags.iter().map(|(name, tag)| (name.as_str(), tag)).collect();
        all.push((LATEST, &latest));
        all.sort_by_key(|(name, _)| *name);
        let tags: Vec<_> = all
            .into_iter()
            .filter(|(_, tag)| only.is_none_or(|only| only == tag.revision))
            .filter(|(name, _)| after.as_deref().is_none_or(|after| *name > after))
            .take(count)
            .map(|(name, found)| tag(name, found))
            .collect();
        answer(&json!({ "tags": tags, "nextToken": "" }))
    })
    .await
}

/// `GET …/versions/tags/{tag}`.
pub(super) async fn get_tag(
    State(app): AppState,
    entered: Entered,
    params: RawPathParams,
) -> Result<Response, ApiError> {
    entered.require(&app, Right::Read).await?;
    let name = param(&params, "tag").to_owned();
    app.blocking(move |app| {
        let environment = app.store.environment(&entered.environment)?;
        let latest = environment.latest_tag();
        let found = if name == LATEST { Some(&latest) } else { environment.revision_tags.get(&name) };
        match found {
            Some(found) => answer(&tag(&name, found)),
            None => Err(ApiError::not_found(format!("there is no tag `{name}`"))),
        }
    })
    .await
}

#[derive(Deserialize)]
struct NewTag {
    name: String,
    revision: Option<u64>,
}

/// `POST …/versions/tags`.
pub(super) async fn create_tag(
    State(app): AppState,
    entered: Entered,
    request: Request,
) -> Result<Response, ApiError> {
    entered.require(&app, Right::Write).await?;
    let NewTag { name, revision } = body::json(request).await?;
    let add = move |environment: &mut Environment, by: &Author, now| {
        environment.add_revision_tag(&name, revision, by, now)
    };
    entered.change(&app, add).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

#[derive(Deserialize)]
struct MovedTag {
    revision: Option<u64>,
}

/// `PATCH …/versions/tags/{tag}`.
pub(super) async fn move_tag(
    State(app): AppState,
    entered: Entered,
    params: RawPathParams,
    request: Request,
) -> Result<Response, ApiError> {
    entered.require(&app, Right::Write).await?;
    let name = param(&params, "tag").to_owned();
    let MovedTag { revision } = body::json(request).await?;
    let move_it = move |environment: &mut Environment, by: &Author, now| {
        let revision = revision.unwrap_or(environment.latest);
        environment.move_revision_tag(&name, revision, by, now)
    };
    entered.change(&app, move_it).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `DELETE …/versions/tags/{tag}`.
pub(super) async fn delete_tag(
    State(app): AppState,
    entered: Entered,
    params: RawPathParams,
) -> Result<Response, ApiError> {
    entered.require(&app, Right::Write).await?;
    let name = param(&params, "tag").to_owned();
    entered.change(&app, move |environment, _, _| environment.remove_revision_tag(&name)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
