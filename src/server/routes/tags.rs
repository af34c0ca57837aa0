//! Tags of environments: names with values.

use axum::{
    extract::{RawPathParams, RawQuery, Request, State},
    response::{IntoResponse, Response},
};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use super::{
    super::{
        error::ApiError,
        people::Author,
        right::Right,
        store::{Environment, Page, environment::Tag},
    },
    AppState, Entered, Member, answer, body, count, param, parameter, time,
};

/// What says that there is no further page: clients ask on until they see it.
const END: &str = "0";

/// Environments that are looked at in one go for the tags of an organization.
const LIST: usize = 500;

fn described(name: &str, tag: &Tag) -> Json {
    json!({
        "id": name,
        "name": name,
        "value": tag.value,
        "created": time(tag.created),
        "modified": time(tag.modified),
        "editorLogin": tag.editor.login,
        "editorName": tag.editor.name,
    })
}

/// A tag as it is now.
fn written(environment: &Environment, name: &str) -> Result<Response, ApiError> {
    let tag = environment.tags.get(name).ok_or_else(ApiError::internal)?;
    answer(&described(name, tag))
}

/// `GET …/tags`.
pub(super) async fn list(
    State(app): AppState,
    entered: Entered,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    entered.require(&app, Right::Read).await?;
    let after = parameter(query.as_deref(), "after");
    let count = count(query.as_deref())?;
    app.blocking(move |app| {
        let environment = app.store.environment(&entered.environment)?;
        let mut rest =
            environment.tags.iter().filter(|(name, _)| after.as_ref().is_none_or(|after| *name > after));
        let tags: Map<_, _> =
            rest.by_ref().take(count).map(|(name, tag)| (name.clone(), described(name, tag))).collect();
        let next = match (rest.next(), tags.keys().next_back()) {
            (Some(_), Some(last)) => last.as_str(),
            _ => END,
        };
        answer(&json!({ "tags": tags, "nextToken": next }))
    })
    .await
}

/// `GET …/tags/{tag}`.
pub(super) async fn get(
    State(app): AppState,
    entered: Entered,
    params: RawPathParams,
) -> Result<Response, ApiError> {
    entered.require(&app, Right::Read).await?;
    let name = param(&params, "tag").to_owned();
    app.blocking(move |app| match app.store.environment(&entered.environment)?.tags.get(&name) {
        Some(tag) => answer(&described(&name, tag)),
        None => Err(ApiError::not_found(format!("there is no tag `{name}`"))),
    })
    .await
}

#[derive(Deserialize)]
struct NewTag {
    name: String,
    #[serde(default)]
    value: String,
}

/// `POST …/tags`.
pub(super) async fn create(
    State(app): AppState,
    entered: Entered,
    request: Request,
) -> Result<Response, ApiError> {
    entered.require(&app, Right::Write).await?;
    let NewTag { name, value } = body::json(request).await?;
    let added = name.clone();
    let add =
        move |environment: &mut Environment, by: &Author, now| environment.add_tag(&name, &value, by, now);
    written(&entered.change(&app, add).await?, &added)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Changed {
    current_tag: Option<Half>,
    new_tag: Half,
}

#[derive(Deserialize)]
struct Half {
    name: Option<String>,
    value: Option<String>,
}

/// `PATCH …/tags/{tag}`.
pub(super) async fn change(
    State(app): AppState,
    entered: Entered,
    params: RawPathParams,
    request: Request,
) -> Result<Response, ApiError> {
    entered.require(&app, Right::Write).await?;
    let name = param(&params, "tag").to_owned();
    let Changed { current_tag, new_tag } = body::json(request).await?;
    let new_name = new_tag.name.filter(|name| !name.is_empty());
    let changed = new_name.clone().unwrap_or_else(|| name.clone());
    let change = move |environment: &mut Environment, by: &Author, now| {
        let current = current_tag.as_ref().and_then(|half| half.value.as_deref());
        let kept = environment.tags.get(&name).map(|tag| tag.value.clone()).unwrap_or_default();
        // A tag that only moves is sent without its value.
        let value = match new_tag.value.as_deref() {
            Some("") | None if new_name.is_some() => kept.as_str(),
            Some(value) => value,
            None => kept.as_str(),
        };
        environment.change_tag(&name, current, new_name.as_deref(), value, (by, now))
    };
    written(&entered.change(&app, change).await?, &changed)
}

/// `DELETE …/tags/{tag}`.
pub(super) async fn delete(
    State(app): AppState,
    entered: Entered,
    params: RawPathParams,
) -> Result<Response, ApiError> {
    entered.require(&app, Right::Write).await?;
    let name = param(&params, "tag").to_owned();
    entered.change(&app, move |environment, _, _| environment.remove_tag(&name)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `GET /api/esc/environments/{organization}/tags`: every name with the values it has.
pub(super) async fn of_organization(
    State(app): AppState,
    Member { principal, organization, .. }: Member,
) -> Result<Response, ApiError> {
    app.blocking(move |app| {
        let mut all: std::collections::BTreeMap<String, std::collections::BTreeSet<String>> =
            std::collections::BTreeMap::new();
        let mut after = None;
        loop {
            let page = app.store.list(&organization, Page { after: after.as_ref(), count: LIST })?;
            let Some((last, _)) = page.last() else { break };
            after = Some(last.clone());
            let visible = page.iter().filter(|(name, environment)| {
                app.policy.allows(&principal, name, &environment.grants, Right::Read)
            });
            for (name, tag) in visible.flat_map(|(_, environment)| &environment.tags) {
                all.entry(name.clone()).or_default().insert(tag.value.clone());
            }
        }
        let tags: Vec<_> =
            all.iter().map(|(name, values)| json!({ "name": name, "values": values })).collect();
        answer(&json!({ "tags": tags, "nextToken": END }))
    })
    .await
}
