//! Access tokens that are kept, for operators: an API of our own, which ESC has elsewhere.

use axum::{
    extract::{Extension, RawPathParams, Request, State},
    response::{IntoResponse, Response},
};
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::{
    super::{
        error::ApiError,
        principal::Principal,
        store::require_organization,
        tokens::{Holder, Token, TokenRefusal},
    },
    AppState, Noted, answer, body, param,
};

/// Only who may do everything may say who may do something.
fn require_operator(principal: &Principal) -> Result<(), ApiError> {
    match principal {
        Principal::Dev => Ok(()),
        Principal::Workload { .. } => {
            Err(ApiError::new(StatusCode::FORBIDDEN, "only an operator's token manages tokens"))
        }
    }
}

#[derive(Deserialize)]
struct Create {
    name: String,
    holder: Holder,
    /// Seconds.
    lifetime: Option<u64>,
}

/// `POST /api/esc-injector/tokens`.
pub(super) async fn create(
    State(app): AppState,
    principal: Principal,
    Extension(noted): Extension<Noted>,
    request: Request,
) -> Result<Response, ApiError> {
    require_operator(&principal)?;
    let Create { name, holder, lifetime } = body::json(request).await?;
    app.blocking(move |app| {
        let now = app.now();
        let expires = lifetime.map(|seconds| now.saturating_add(seconds));
        let (kept, token) = Token::new(name, holder, expires, principal.author(), now)?;
        if let Some(organization) = kept.holder.organization() {
            require_organization(&*app.store, organization)?;
        }
        app.store.add_token(&kept)?;
        noted.detail(kept.noted());
        app.tokens.remember(&kept);
        answer(&json!({ "id": kept.id, "token": token.expose_str() }))
    })
    .await
}

/// `GET /api/esc-injector/tokens`.
pub(super) async fn list(State(app): AppState, principal: Principal) -> Result<Response, ApiError> {
    require_operator(&principal)?;
    app.blocking(|app| {
        let tokens: Vec<_> = app.store.tokens()?.iter().map(Token::described).collect();
        answer(&json!({ "tokens": tokens }))
    })
    .await
}

/// `DELETE /api/esc-injector/tokens/{id}`.
pub(super) async fn revoke(
    State(app): AppState,
    principal: Principal,
    Extension(noted): Extension<Noted>,
    params: RawPathParams,
) -> Result<Response, ApiError> {
    require_operator(&principal)?;
    let id = param(&params, "id").to_owned();
    app.blocking(move |app| match app.store.remove_token(&id)? {
        Some(token) => {
            app.tokens.forget(&token);
            // Only now: what a path holds may be anything, even a token.
            noted.detail(token.noted());
            Ok(StatusCode::NO_CONTENT.into_response())
        }
        None => Err(ApiError::not_found(format!("there is no token `{id}`"))),
    })
    .await
}

impl From<TokenRefusal> for ApiError {
    fn from(refusal: TokenRefusal) -> Self {
        match refusal {
            TokenRefusal::NoRandomness(error) => error.into(),
            _ => Self::bad_request(refusal.to_string()),
        }
    }
}
