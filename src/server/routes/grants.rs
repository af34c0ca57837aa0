//! What teams and users are given of environments: the way that Pulumi Cloud has for teams, and one of our own for both.

use axum::{
    extract::{FromRequestParts, RawPathParams, Request, State},
    response::{IntoResponse, Response},
};
use http::{StatusCode, request::Parts};
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;

use super::{
    super::{
        App,
        error::ApiError,
        names::EnvironmentName,
        people::Grantee,
        right::Right,
        store::{Grants, described, require_organization},
        tokens,
    },
    AppState, Entered, Member, answer, body, param, params,
};

/// Somebody who says who may do what in an organization.
struct Administrator;

impl Administrator {
    fn require(app: &App, entered: &Entered) -> Result<Self, ApiError> {
        if app.policy.may_administer(&entered.principal, entered.environment.organization()) {
            return Ok(Self);
        }
        Err(refused())
    }
}

fn refused() -> ApiError {
    let message = "only an operator's token and an administrator's of the organization give rights";
    ApiError::new(StatusCode::FORBIDDEN, message)
}

/// `GET /api/esc-injector/grants/{organization}/{project}/{environment}`.
pub(super) async fn list(State(app): AppState, entered: Entered) -> Result<Response, ApiError> {
    Administrator::require(&app, &entered)?;
    app.blocking(move |app| answer(&listed(&app.store.environment(&entered.environment)?.grants))).await
}

/// What was given, as the API and the command line show it.
fn listed(grants: &Grants) -> serde_json::Value {
    let grants: Vec<_> =
        grants.all().map(|(grantee, right)| json!({ "grantee": grantee, "right": right })).collect();
    json!({ "grants": grants })
}

#[derive(Deserialize)]
struct Change {
    grantee: Grantee,
    /// None takes away what was given.
    right: Option<Right>,
}

/// `PUT /api/esc-injector/grants/{organization}/{project}/{environment}`.
pub(super) async fn change(
    State(app): AppState,
    entered: Entered,
    request: Request,
) -> Result<Response, ApiError> {
    Administrator::require(&app, &entered)?;
    let Change { grantee, right } = body::json(request).await?;
    give(&app, entered, grantee, right).await
}

async fn give(
    app: &Arc<App>,
    entered: Entered,
    grantee: Grantee,
    right: Option<Right>,
) -> Result<Response, ApiError> {
    tokens::check_grantee(&grantee)?;
    entered.noted.detail(described(&grantee, right));
    app.blocking(move |app| {
        require_organization(&*app.store, entered.environment.organization())?;
        app.store.modify(&entered.environment, &mut |environment| environment.grants.set(&grantee, right))?;
        Ok(StatusCode::NO_CONTENT.into_response())
    })
    .await
}

/// A team of the path, and an administrator of its organization.
pub(super) struct Team {
    member: Member,
    name: String,
}

impl FromRequestParts<Arc<App>> for Team {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let member = Member::from_request_parts(parts, app).await?;
        if !app.policy.may_administer(&member.principal, &member.organization) {
            return Err(refused());
        }
        let params: RawPathParams = params(parts, app).await?;
        Ok(Self { member, name: param(&params, "team").to_owned() })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TeamChange {
    add_environment_permission: Option<Permission>,
    edit_environment_permission: Option<Permission>,
    remove_environment: Option<Permission>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Permission {
    project_name: String,
    env_name: String,
    #[serde(rename = "permission")]
    right: Option<Right>,
}

/// `PATCH /api/orgs/{organization}/teams/{team}`: as far as it is about environments.
pub(super) async fn change_team(
    State(app): AppState,
    Team { member, name }: Team,
    request: Request,
) -> Result<Response, ApiError> {
    let change: TeamChange = body::json(request).await?;
    let (permission, right) = match change {
        TeamChange {
            add_environment_permission: Some(permission),
            edit_environment_permission: None,
            remove_environment: None,
        }
        | TeamChange {
            add_environment_permission: None,
            edit_environment_permission: Some(permission),
            remove_environment: None,
        } => {
            let right = permission.right.ok_or_else(|| ApiError::bad_request("`permission` is missing"))?;
            (permission, Some(right))
        }
        TeamChange {
            add_environment_permission: None,
            edit_environment_permission: None,
            remove_environment: Some(permission),
        } => (permission, None),
        _ => {
            return Err(ApiError::bad_request(
                "exactly one of `addEnvironmentPermission`, `editEnvironmentPermission` and `removeEnvironment` is \
                 needed",
            ));
        }
    };
    let Permission { project_name, env_name, .. } = permission;
    let environment = EnvironmentName::new(&member.organization, &project_name, &env_name)
        .ok_or_else(|| ApiError::not_found("there is no environment with such a name"))?;
    member.noted.environment(&environment);
    let entered = Entered { principal: member.principal, environment, noted: member.noted };
    give(&app, entered, Grantee::Team(name), right).await
}
