//! Who the token belongs to, which clients ask when they sign in; and who we are, for those whom we send tokens to.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use http::StatusCode;
use serde_json::json;

use super::{
    super::{
        App,
        error::{ApiError, json_response},
        principal::{DEV_USER, Principal},
    },
    AppState, answer,
};
use crate::esc::token_type::TokenType;

/// `GET /api/user`.
pub(super) async fn current(State(app): AppState, principal: Principal) -> Result<Response, ApiError> {
    let organizations: Vec<_> = organizations(app, &principal)
        .await?
        .into_iter()
        .map(|name| json!({ "name": name, "githubLogin": name, "avatarUrl": "" }))
        .collect();
    let login = match &principal {
        Principal::Dev => DEV_USER,
        Principal::Workload { token_type: TokenType::Personal(login), .. } => login,
        Principal::Workload { organization, .. } => organization,
    };
    let mut user = json!({
        "id": login,
        "githubLogin": login,
        "name": login,
        "email": "",
        "avatarUrl": "",
        "organizations": organizations,
        "identities": [],
        "siteAdmin": false,
    });
    if let Principal::Workload { organization, subject, token_type, .. } = &principal {
        let mut info = json!({ "name": subject, "organization": organization });
        if let TokenType::Team(team) = token_type {
            insert(&mut info, "team", json!(team));
        }
        insert(&mut user, "tokenInfo", info);
    }
    Ok(json_response(StatusCode::OK, user.to_string().into_bytes()))
}

/// `GET /api/user/organizations/default`.
pub(super) async fn default_organization(
    State(app): AppState,
    principal: Principal,
) -> Result<Response, ApiError> {
    match organizations(app, &principal).await?.into_iter().next() {
        // With a capital H: so the clients read it.
        Some(name) => {
            Ok(json_response(StatusCode::OK, json!({ "gitHubLogin": name }).to_string().into_bytes()))
        }
        None => Err(ApiError::not_found("there is no organization")),
    }
}

/// `GET /.well-known/openid-configuration`: for everybody.
pub(super) async fn discovery(State(app): AppState) -> Result<Response, ApiError> {
    answer(&app.signer.discovery())
}

/// `GET /.well-known/jwks.json`: for everybody.
pub(super) async fn key_set(State(app): AppState) -> Result<Response, ApiError> {
    answer(&app.signer.key_set())
}

async fn organizations(app: Arc<App>, principal: &Principal) -> Result<Vec<String>, ApiError> {
    if let Principal::Workload { organization, .. } = principal {
        return Ok(vec![organization.clone()]);
    }
    app.blocking(|app| Ok(app.store.organizations()?)).await
}

fn insert(object: &mut serde_json::Value, key: &str, value: serde_json::Value) {
    if let Some(object) = object.as_object_mut() {
        object.insert(key.to_owned(), value);
    }
}
