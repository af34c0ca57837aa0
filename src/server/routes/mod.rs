//! The paths that are served, and what all requests share: limits, errors, and one log line.

use std::{
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::{FromRequestParts, MatchedPath, RawPathParams, Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use http::{StatusCode, header, request::Parts};
use tower_http::catch_panic::CatchPanicLayer;

use super::{App, access::Principal, error::ApiError, names::EnvironmentName};

mod environments;
mod form;
mod token;
mod user;

/// Largest body that is read. Only the token exchange has one: a form with a token in it.
const MAX_BODY: usize = 64 << 10;

/// Longest time for one request. Evaluation takes milliseconds; reading a file may hang on a network disk.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Everything this server answers.
pub(super) fn router(app: Arc<App>) -> Router {
    const ENVIRONMENT: &str = "/api/esc/environments/{organization}/{project}/{environment}";
    let path = |rest: &str| format!("{ENVIRONMENT}{rest}");
    Router::new()
        .route("/api/user", get(user::current))
        .route("/api/user/organizations/default", get(user::default_organization))
        .route("/api/oauth/token", post(token::exchange))
        .route(&path("/open"), post(environments::open))
        .route(&path("/versions/{version}/open"), post(environments::open_version))
        .route(&path("/open/{session}"), get(environments::read))
        // All generated clients send the doubled slash.
        .route(&path("/open//{session}"), get(environments::read))
        .fallback(async || ApiError::not_found("there is nothing at this path"))
        .method_not_allowed_fallback(async || {
            ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "this path does not answer this method")
        })
        .layer(CatchPanicLayer::custom(|_| {
            tracing::error!("a request panicked");
            ApiError::internal().into_response()
        }))
        .layer(middleware::from_fn(observe))
        .with_state(app)
}

/// The environment that a request turned out to be about, for its log line.
#[derive(Clone, Default)]
struct Subject(Arc<OnceLock<EnvironmentName>>);

/// Limits a request and logs it: never its query, its body, or what its path holds beside the checked names.
async fn observe(mut request: Request, next: Next) -> Response {
    let start = Instant::now();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let subject = Subject::default();
    request.extensions_mut().insert(subject.clone());
    let response = if announces_too_much(&request) {
        too_large().into_response()
    } else {
        tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await.unwrap_or_else(|_| {
            ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "the request took too long").into_response()
        })
    };
    tracing::info!(
        %method,
        route = route.as_deref().unwrap_or("none"),
        environment = subject.0.get().map(tracing::field::display),
        status = response.status().as_u16(),
        duration_ms = start.elapsed().as_millis(),
        "answered"
    );
    response
}

fn announces_too_much(request: &Request) -> bool {
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    length.and_then(|text| text.parse::<u64>().ok()).is_some_and(|length| length > MAX_BODY as u64)
}

fn too_large() -> ApiError {
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the body is larger than {MAX_BODY} bytes"))
}

impl FromRequestParts<Arc<App>> for Principal {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let header = parts.headers.get(header::AUTHORIZATION).map(http::HeaderValue::as_bytes);
        let token = header
            .and_then(|value| value.split_at_checked(b"token ".len()))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"token "))
            .map(|(_, token)| token.trim_ascii());
        match token {
            Some(token) => Ok(app.tokens.authenticate(token, app.clock.now())?),
            None => Err(ApiError::new(
                StatusCode::UNAUTHORIZED,
                "expected the header `Authorization: token ACCESS_TOKEN`",
            )),
        }
    }
}

/// An environment of the path that the asking identity may enter.
struct Entered {
    principal: Principal,
    environment: EnvironmentName,
}

impl FromRequestParts<Arc<App>> for Entered {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let principal = Principal::from_request_parts(parts, app).await?;
        let params = RawPathParams::from_request_parts(parts, app)
            .await
            .map_err(|_| ApiError::bad_request("the path is no UTF-8 text"))?;
        let (mut organization, mut project, mut environment) = ("", "", "");
        for (name, value) in &params {
            match name {
                "organization" => organization = value,
                "project" => project = value,
                "environment" => environment = value,
                _ => {}
            }
        }
        let environment = EnvironmentName::new(organization, project, environment)
            .ok_or_else(|| ApiError::not_found("there is no environment with such a name"))?;
        if let Some(subject) = parts.extensions.get::<Subject>() {
            // Set once: there is one environment in a path.
            let _ = subject.0.set(environment.clone());
        }
        if !principal.covers(environment.organization()) {
            let message =
                format!("the access token does not cover organization `{}`", environment.organization());
            return Err(ApiError::new(StatusCode::FORBIDDEN, message));
        }
        Ok(Self { principal, environment })
    }
}

type AppState = State<Arc<App>>;
