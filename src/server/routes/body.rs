//! What a request brings along: definitions and JSON, within limits.

use axum::extract::Request;
use http::{StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

use super::{super::error::ApiError, MAX_BODY, MAX_DEFINITION, too_large};
use crate::secret::Secret;

/// The whole body, if it is not larger than `limit`.
async fn read(request: Request, limit: usize) -> Result<Secret, ApiError> {
    let encoding = request.headers().get(header::CONTENT_ENCODING);
    if encoding.is_some_and(|encoding| encoding != "identity") {
        let message = "the body must not be compressed";
        return Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
    }
    match Limited::new(request.into_body(), limit).collect().await {
        Ok(body) => Ok(Secret::new(body.to_bytes().to_vec())),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large(limit)),
        Err(_) => Err(ApiError::bad_request("the body ended early")),
    }
}

/// A definition.
pub(super) async fn definition(request: Request) -> Result<Secret, ApiError> {
    let text = read(request, MAX_DEFINITION).await?;
    match text.expose_str() {
        Some(_) => Ok(text),
        None => Err(ApiError::bad_request("the definition is no UTF-8 text")),
    }
}

/// JSON of a known shape. No body is an empty object.
pub(super) async fn json<T: DeserializeOwned>(request: Request) -> Result<T, ApiError> {
    json_within(request, MAX_BODY).await
}

/// The same, as large as definitions may be.
pub(super) async fn large_json<T: DeserializeOwned>(request: Request) -> Result<T, ApiError> {
    json_within(request, MAX_DEFINITION).await
}

async fn json_within<T: DeserializeOwned>(request: Request, limit: usize) -> Result<T, ApiError> {
    let body = read(request, limit).await?;
    let body = if body.expose().trim_ascii().is_empty() { b"{}" } else { body.expose() };
    // The reason could quote the body.
    serde_json::from_slice(body)
        .map_err(|_| ApiError::bad_request("the body is not the JSON that this path expects"))
}
