//! What a client is told when it can't have what it asked for: ESC's error JSON.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::json;

use super::{
    access::TokenError,
    identity::{IdentityError, KeysError},
    jwt::JwtError,
    random::NoRandomness,
    store::{Rule, StoreError},
    wire::DiagnosticWire,
};
use crate::lang::diagnostic::Diagnostic;

/// An answer that is no success.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    message: String,
    diagnostics: Vec<Diagnostic>,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), diagnostics: Vec::new() }
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    /// Says no more than that it is our fault; the log says the rest.
    pub(super) fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal error: see the server's log")
    }

    /// An environment that does not evaluate.
    pub(super) fn evaluation(environment: &str, diagnostics: Vec<Diagnostic>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            message: format!("environment `{environment}` has errors"),
            diagnostics,
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        // Clients trust the body's code, not the status.
        let mut body = json!({ "code": self.status.as_u16(), "message": self.message });
        let diagnostics: Vec<_> = self.diagnostics.iter().map(DiagnosticWire).collect();
        if !diagnostics.is_empty()
            && let (Some(body), Ok(diagnostics)) = (body.as_object_mut(), serde_json::to_value(diagnostics))
        {
            body.insert("diagnostics".to_owned(), diagnostics);
        }
        let mut response = json_response(self.status, body.to_string().into_bytes());
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("token"));
        }
        response
    }
}

/// A JSON answer that nobody on the way may keep.
pub(super) fn json_response(status: StatusCode, body: Vec<u8>) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (status, headers, body).into_response()
}

impl From<TokenError> for ApiError {
    fn from(error: TokenError) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, error.to_string())
    }
}

impl From<NoRandomness> for ApiError {
    fn from(error: NoRandomness) -> Self {
        tracing::error!(%error, "can't make an unguessable id");
        Self::internal()
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        let status = match &error {
            StoreError::NoOrganization(_)
            | StoreError::UnknownOrganization { .. }
            | StoreError::NoEnvironment(_)
            | StoreError::NoVersion { .. }
            | StoreError::Retracted { .. } => StatusCode::NOT_FOUND,
            StoreError::Exists(_) | StoreError::Changed(_) | StoreError::Protected(_) => StatusCode::CONFLICT,
            StoreError::ReadOnly => StatusCode::FORBIDDEN,
            StoreError::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            StoreError::TooManyTokens => StatusCode::BAD_REQUEST,
            StoreError::Rule(rule) => match rule {
                Rule::NoTag(_) => StatusCode::NOT_FOUND,
                Rule::TagExists(_) | Rule::TagChanged(_) => StatusCode::CONFLICT,
                _ => StatusCode::BAD_REQUEST,
            },
            StoreError::Unreadable { source, .. } | StoreError::Directory(source) => {
                tracing::error!(%error, %source, "the store fails");
                StatusCode::INTERNAL_SERVER_ERROR
            }
            StoreError::Database(source) => {
                tracing::error!(%error, %source, "the store fails");
                StatusCode::INTERNAL_SERVER_ERROR
            }
            StoreError::Corrupt(_) | StoreError::Busy => {
                tracing::error!(%error, "the store fails");
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        Self::new(status, error.to_string())
    }
}

impl From<Rule> for ApiError {
    fn from(rule: Rule) -> Self {
        StoreError::from(rule).into()
    }
}

impl From<IdentityError> for ApiError {
    fn from(error: IdentityError) -> Self {
        let status = match &error {
            IdentityError::Keys(KeysError::File { .. }) => {
                tracing::error!(%error, "can't verify identity tokens");
                return Self::internal();
            }
            // The log has the reason already, once for each attempt.
            IdentityError::Keys(KeysError::Unavailable { .. }) => {
                let message = "the issuer's keys can't be fetched now: see the server's log";
                return Self::new(StatusCode::SERVICE_UNAVAILABLE, message);
            }
            IdentityError::Token(JwtError::Malformed(_)) => StatusCode::BAD_REQUEST,
            IdentityError::Subject { .. } | IdentityError::NotAllowed { .. } => StatusCode::FORBIDDEN,
            IdentityError::Token(JwtError::NoKey | JwtError::Signature)
            | IdentityError::Issuer { .. }
            | IdentityError::Audience { .. }
            | IdentityError::NoIssuer { .. }
            | IdentityError::Expired
            | IdentityError::TooOld
            | IdentityError::NotYetValid => StatusCode::UNAUTHORIZED,
        };
        Self::new(status, error.to_string())
    }
}
