//! Environments as a whole: listing, making, copying, deleting and bringing back, and their settings.

use axum::{
    extract::{RawQuery, Request, State},
    response::{IntoResponse, Response},
};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::{
    super::{
        App,
        error::ApiError,
        names::{DEFAULT_PROJECT, EnvironmentName},
        people::Author,
        policy::Policy,
        principal::Principal,
        right::Right,
        storage::new_id,
        store::{Environment, New, Page, Revision, StoreError},
    },
    AppState, Entered, Member, answer, body, parameter, time,
};
use crate::secret::Secret;

/// Environments in one answer. Clients ask for the rest with the token that comes along.
const PAGE: usize = 500;

/// `GET /api/esc/environments`: those of every organization that the token covers.
pub(super) async fn list_all(
    State(app): AppState,
    principal: Principal,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let after = after(query.as_deref())?;
    let only = parameter(query.as_deref(), "organization");
    app.blocking(move |app| {
        let mut organizations = app.store.organizations()?;
        organizations.retain(|name| principal.covers(name));
        organizations.retain(|name| only.as_ref().is_none_or(|only| only == name));
        listed(app, &principal, &organizations, after)
    })
    .await
}

/// `GET /api/esc/environments/{organization}`.
pub(super) async fn list(
    State(app): AppState,
    Member { principal, organization, .. }: Member,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let after = after(query.as_deref())?;
    app.blocking(move |app| {
        existing(app, &organization)?;
        listed(app, &principal, &[organization], after)
    })
    .await
}

fn after(query: Option<&str>) -> Result<Option<EnvironmentName>, ApiError> {
    let Some(token) = parameter(query, "continuationToken") else { return Ok(None) };
    let mut parts = token.splitn(3, '/');
    parts
        .next()
        .zip(parts.next())
        .zip(parts.next())
        .and_then(|((organization, project), environment)| {
            EnvironmentName::new(organization, project, environment)
        })
        .map(Some)
        .ok_or_else(|| ApiError::bad_request("query parameter `continuationToken` is none of ours"))
}

fn listed(
    app: &App,
    principal: &Principal,
    organizations: &[String],
    mut after: Option<EnvironmentName>,
) -> Result<Response, ApiError> {
    let mut found = Vec::new();
    let mut next = String::new();
    'organizations: for organization in organizations {
        if after.as_ref().is_some_and(|after| after.organization() > organization.as_str()) {
            continue;
        }
        let mut from = after.take().filter(|after| after.organization() == organization);
        loop {
            let page = app.store.list(organization, Page { after: from.as_ref(), count: PAGE })?;
            let Some((last, _)) = page.last() else { break };
            from = Some(last.clone());
            for (name, environment) in page {
                // What somebody may not see is not there.
                if !app.policy.allows(principal, &name, &environment.grants, Right::Read) {
                    continue;
                }
                if found.len() == PAGE {
                    next = found
                        .last()
                        .map(|(name, _): &(EnvironmentName, _)| name.to_string())
                        .unwrap_or_default();
                    break 'organizations;
                }
                found.push((name, environment));
            }
        }
    }
    let environments: Vec<_> = found.iter().map(|(name, environment)| summary(name, environment)).collect();
    answer(&json!({ "environments": environments, "nextToken": next }))
}

fn summary(name: &EnvironmentName, environment: &Environment) -> Json {
    let tags: serde_json::Map<_, _> =
        environment.tags.iter().map(|(name, tag)| (name.clone(), json!(tag.value))).collect();
    let mut summary = json!({
        "id": environment.id,
        "organization": name.organization(),
        "project": name.project(),
        "name": name.environment(),
        "created": time(environment.created),
        "modified": time(environment.modified),
        "ownedBy": owner(&environment.owner),
        "settings": { "deletionProtected": environment.protected },
        "tags": tags,
    });
    if let (Some(deleted), Json::Object(summary)) = (environment.deleted, &mut summary) {
        summary.insert("deletedAt".to_owned(), json!(time(deleted)));
    }
    summary
}

fn owner(author: &Author) -> Json {
    json!({ "githubLogin": author.login, "name": author.name, "avatarUrl": "" })
}

fn existing(app: &App, organization: &str) -> Result<(), ApiError> {
    if app.store.has_organization(organization)? {
        Ok(())
    } else {
        Err(StoreError::NoOrganization(organization.to_owned()).into())
    }
}

#[derive(Deserialize)]
struct Create {
    project: Option<String>,
    name: String,
}

/// `POST /api/esc/environments/{organization}`.
pub(super) async fn create(
    State(app): AppState,
    Member { principal, organization, noted }: Member,
    request: Request,
) -> Result<Response, ApiError> {
    if !app.policy.may_create(&principal) {
        return Err(ApiError::new(StatusCode::FORBIDDEN, "the access token may not create environments"));
    }
    let Create { project, name } = body::json(request).await?;
    let name = new_name(&organization, project.as_deref().unwrap_or(DEFAULT_PROJECT), &name)?;
    noted.environment(&name);
    app.blocking(move |app| {
        let (id, owner, now) = (new_id()?, principal.author(), app.now());
        let revision = Revision { number: 1, created: now, creator: owner.clone(), retracted: None };
        let mut environment = Environment::new(id, 1, owner, now);
        Policy::welcome(&principal, &mut environment.grants);
        app.store.create(New { name, environment, revisions: vec![(revision, Secret::from(""))] })?;
        answer(&json!({}))
    })
    .await
}

pub(super) fn new_name(organization: &str, project: &str, name: &str) -> Result<EnvironmentName, ApiError> {
    let name = EnvironmentName::new(organization, project, name).ok_or_else(|| {
        ApiError::bad_request(
            "names of projects and environments have 1 to 100 letters, digits, `-`, `_` and `.`, and don't begin \
             with a dot",
        )
    })?;
    match name.reserved() {
        Some(reason) => Err(ApiError::bad_request(reason)),
        None => Ok(name),
    }
}

/// `DELETE …/{environment}`.
pub(super) async fn delete(State(app): AppState, entered: Entered) -> Result<Response, ApiError> {
    entered.require(&app, Right::Admin).await?;
    app.blocking(move |app| {
        app.store.delete(&entered.environment, app.now())?;
        Ok(StatusCode::NO_CONTENT.into_response())
    })
    .await
}

/// `GET /api/esc/environments/{organization}/restore`: what can be brought back.
pub(super) async fn deleted(
    State(app): AppState,
    Member { principal, organization, .. }: Member,
) -> Result<Response, ApiError> {
    app.blocking(move |app| {
        existing(app, &organization)?;
        let environments: Vec<_> = app
            .store
            .deleted(&organization)?
            .iter()
            .filter(|(name, environment)| {
                app.policy.allows(&principal, name, &environment.grants, Right::Admin)
            })
            .map(|(name, environment)| summary(name, environment))
            .collect();
        answer(&json!({ "environments": environments, "nextToken": "" }))
    })
    .await
}

#[derive(Deserialize)]
struct Restore {
    project: Option<String>,
    name: String,
}

/// `PUT /api/esc/environments/{organization}/restore`.
pub(super) async fn restore(
    State(app): AppState,
    Member { principal, organization, noted }: Member,
    request: Request,
) -> Result<Response, ApiError> {
    let Restore { project, name } = body::json(request).await?;
    let environment = new_name(&organization, project.as_deref().unwrap_or(DEFAULT_PROJECT), &name)?;
    noted.environment(&environment);
    let entered = Entered { principal, environment, noted };
    app.blocking(move |app| {
        let deleted = app.store.deleted(&organization)?;
        let newest = deleted.iter().find(|(name, _)| *name == entered.environment);
        let grants = newest.map(|(_, environment)| &environment.grants);
        entered.judge(app.policy.most(&entered.principal, &entered.environment, grants), Right::Admin)?;
        match app.store.restore(&entered.environment) {
            // Who was given something of the deleted one need not know that there is another one by now.
            Err(StoreError::Exists(name)) if app.most(&entered.principal, &name)?.is_none() => {
                Err(StoreError::NoEnvironment(name).into())
            }
            restored => Ok(restored.map(|()| StatusCode::NO_CONTENT.into_response())?),
        }
    })
    .await
}

/// `GET …/settings`.
pub(super) async fn settings(State(app): AppState, entered: Entered) -> Result<Response, ApiError> {
    entered.require(&app, Right::Read).await?;
    app.blocking(move |app| {
        let environment = app.store.environment(&entered.environment)?;
        answer(&json!({ "deletionProtected": environment.protected }))
    })
    .await
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Settings {
    deletion_protected: Option<bool>,
}

/// `PATCH …/settings`.
pub(super) async fn change_settings(
    State(app): AppState,
    entered: Entered,
    request: Request,
) -> Result<Response, ApiError> {
    entered.require(&app, Right::Admin).await?;
    let Settings { deletion_protected } = body::json(request).await?;
    app.blocking(move |app| {
        let environment = app.store.modify(&entered.environment, &mut |environment| {
            environment.protected = deletion_protected.unwrap_or(environment.protected);
            Ok(())
        })?;
        answer(&json!({ "deletionProtected": environment.protected }))
    })
    .await
}

/// `GET …/metadata`.
pub(super) async fn metadata(State(app): AppState, entered: Entered) -> Result<Response, ApiError> {
    entered.require(&app, Right::Read).await?;
    app.blocking(move |app| {
        let environment = app.store.environment(&entered.environment)?;
        answer(&json!({
            "id": environment.id,
            "ownedBy": owner(&environment.owner),
            "gatedActions": [],
            "openRequestNeeded": false,
        }))
    })
    .await
}
