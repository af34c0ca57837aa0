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
    routing::{delete, get, post},
};
use http::{Method, StatusCode, header, request::Parts};
use serde::Serialize;
use tower_http::catch_panic::CatchPanicLayer;

use super::{
    App,
    access::Principal,
    audit::{self, Entry, Peer},
    error::{ApiError, json_response},
    names::{EnvironmentName, Version},
    policy::Right,
    rfc3339 as time,
    store::StoreError,
};
use crate::{esc::reference::check_organization, lang::MAX_DOCUMENT};

mod body;
mod definitions;
mod environments;
mod form;
mod opening;
mod referrers;
mod revisions;
mod tags;
mod token;
mod tokens;
mod user;

/// Largest body that is no definition: a form with a token in it, or a few names.
const MAX_BODY: usize = 64 << 10;

/// Largest definition that is read.
const MAX_DEFINITION: usize = MAX_DOCUMENT;

/// Longest time for one request. Evaluation takes milliseconds; reading a file may hang on a network disk.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Entries of one answer when the client does not say, and at most.
const DEFAULT_COUNT: usize = 100;
const MAX_COUNT: usize = 500;

const ORGANIZATION: &str = "/api/esc/environments/{organization}";
const ENVIRONMENT: &str = "/api/esc/environments/{organization}/{project}/{environment}";

/// Everything this server answers.
pub(super) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/api/user", get(user::current))
        .route("/api/user/organizations/default", get(user::default_organization))
        .route("/api/oauth/token", post(token::exchange))
        .route("/api/esc/environments", get(environments::list_all))
        .route("/api/esc-injector/tokens", get(tokens::list).post(tokens::create))
        .route("/api/esc-injector/tokens/{id}", delete(tokens::revoke))
        .merge(of_organizations())
        .merge(of_environments())
        .merge(of_revisions())
        .fallback(async || ApiError::not_found("there is nothing at this path"))
        .method_not_allowed_fallback(async || {
            ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "this path does not answer this method")
        })
        .layer(CatchPanicLayer::custom(|_| {
            tracing::error!("a request panicked");
            ApiError::internal().into_response()
        }))
        .layer(middleware::from_fn_with_state(Arc::clone(&app), observe))
        .with_state(app)
}

fn of_organizations() -> Router<Arc<App>> {
    let path = |rest: &str| format!("{ORGANIZATION}{rest}");
    Router::new()
        .route(ORGANIZATION, get(environments::list).post(environments::create))
        .route(&path("/restore"), get(environments::deleted).put(environments::restore))
        .route(&path("/tags"), get(tags::of_organization))
        .route(&path("/yaml/open"), post(opening::open_anonymous))
        .route(&path("/yaml/check"), post(opening::check_anonymous))
        .route(&path("/yaml/open/{session}"), get(opening::read_anonymous))
        .route(&path("/yaml/open//{session}"), get(opening::read_anonymous))
}

fn of_environments() -> Router<Arc<App>> {
    let path = |rest: &str| format!("{ENVIRONMENT}{rest}");
    Router::new()
        .route(ENVIRONMENT, get(definitions::get).patch(definitions::update).delete(environments::delete))
        .route(&path("/decrypt"), get(definitions::decrypt))
        .route(&path("/check"), post(opening::check))
        .route(&path("/clone"), post(environments::clone))
        .route(&path("/settings"), get(environments::settings).patch(environments::change_settings))
        .route(&path("/metadata"), get(environments::metadata))
        .route(&path("/referrers"), get(referrers::list))
        .route(&path("/rotate"), post(environments::rotate))
        .route(&path("/tags"), get(tags::list).post(tags::create))
        .route(&path("/tags/{tag}"), get(tags::get).patch(tags::change).delete(tags::delete))
        .route(&path("/open"), post(opening::open))
        .route(&path("/open/{session}"), get(opening::read))
        // All generated clients send the doubled slash.
        .route(&path("/open//{session}"), get(opening::read))
}

fn of_revisions() -> Router<Arc<App>> {
    let path = |rest: &str| format!("{ENVIRONMENT}/versions{rest}");
    Router::new()
        .route(&path(""), get(revisions::list))
        .route(&path("/tags"), get(revisions::tags).post(revisions::create_tag))
        .route(
            &path("/tags/{tag}"),
            get(revisions::get_tag).patch(revisions::move_tag).delete(revisions::delete_tag),
        )
        .route(&path("/{version}"), get(definitions::get_version))
        .route(&path("/{version}/decrypt"), get(definitions::decrypt_version))
        .route(&path("/{version}/check"), post(opening::check_version))
        .route(&path("/{version}/open"), post(opening::open_version))
        .route(&path("/{version}/referrers"), get(referrers::list))
        .route(&path("/{version}/retract"), post(revisions::retract))
        .route(&path("/{version}/tags"), get(revisions::tags))
}

/// What a request turned out to be about, for its line in the logs.
#[derive(Debug, Clone, Default)]
struct Noted(Arc<Notes>);

#[derive(Debug, Default)]
struct Notes {
    principal: OnceLock<Principal>,
    /// The name of the token, where it has one.
    token: OnceLock<Arc<str>>,
    organization: OnceLock<String>,
    environment: OnceLock<EnvironmentName>,
    revision: OnceLock<u64>,
}

impl Noted {
    /// Whose token was shown, or would be given.
    fn principal(&self, principal: &Principal, token: Option<Arc<str>>) {
        // The first one counts: there is one in a request.
        let _ = self.0.principal.set(principal.clone());
        if let Some(name) = token {
            let _ = self.0.token.set(name);
        }
    }

    fn organization(&self, name: &str) {
        let _ = self.0.organization.set(name.to_owned());
    }

    fn environment(&self, name: &EnvironmentName) {
        let _ = self.0.environment.set(name.clone());
    }

    /// The revision that is read, or was made.
    fn revision(&self, number: u64) {
        let _ = self.0.revision.set(number);
    }
}

fn noted(parts: &Parts) -> Noted {
    parts.extensions.get::<Noted>().cloned().unwrap_or_default()
}

/// Limits a request and logs it: never its query, its body, or what its path holds beside the checked names.
async fn observe(State(app): AppState, mut request: Request, next: Next) -> Response {
    let start = Instant::now();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let peer = request.extensions().get::<Peer>().copied();
    let noted = Noted::default();
    request.extensions_mut().insert(noted.clone());
    let limit = limit(&method, route.as_deref());
    let response = if announces_more(&request, limit) {
        too_large(limit).into_response()
    } else {
        tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await.unwrap_or_else(|_| {
            ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "the request took too long").into_response()
        })
    };
    let action = route.as_deref().and_then(|route| audit::action(&method, route));
    let response = match action {
        Some(action) if app.audit.is_some() => record(&app, action, &noted, peer, response).await,
        _ => response,
    };
    tracing::info!(
        %method,
        route = route.as_deref().unwrap_or("none"),
        environment = noted.0.environment.get().map(tracing::field::display),
        status = response.status().as_u16(),
        duration_ms = start.elapsed().as_millis(),
        "answered"
    );
    response
}

/// Writes the line of the audit log. What can't be recorded is not answered.
async fn record(
    app: &Arc<App>,
    action: &'static str,
    noted: &Noted,
    peer: Option<Peer>,
    response: Response,
) -> Response {
    let status = response.status().as_u16();
    let notes = &noted.0;
    let author = notes.principal.get().map(Principal::author);
    let entry = Entry {
        time: time(app.now()),
        action: action.to_owned(),
        actor: author.as_ref().map(|author| author.login.clone()),
        subject: match (notes.token.get(), author) {
            (Some(name), _) => Some(name.to_string()),
            (None, author) => author.map(|author| author.name),
        },
        target: match (notes.environment.get(), notes.organization.get()) {
            (Some(environment), _) => Some(environment.to_string()),
            (None, organization) => organization.cloned(),
        },
        revision: notes.revision.get().copied(),
        status,
        outcome: audit::Outcome::of(status),
        from: peer.map(|Peer(address)| address.ip().to_string()),
    };
    let recorded = app.blocking(move |app| match &app.audit {
        Some(audit) => audit.record(&entry).map_err(|error| {
            tracing::error!(%error, "the audit log can't be written");
            ApiError::internal()
        }),
        None => Ok(()),
    });
    match recorded.await {
        Ok(()) => response,
        Err(error) => error.into_response(),
    }
}

/// What may come to a path.
fn limit(method: &Method, route: Option<&str>) -> usize {
    let takes_definition = match route {
        Some(ENVIRONMENT) => method == Method::PATCH,
        Some(route) => route.ends_with("/yaml/open") || route.ends_with("/yaml/check"),
        None => false,
    };
    if takes_definition { MAX_DEFINITION } else { MAX_BODY }
}

fn announces_more(request: &Request, limit: usize) -> bool {
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    length.and_then(|text| text.parse::<u64>().ok()).is_some_and(|length| length > limit as u64)
}

fn too_large(limit: usize) -> ApiError {
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the body is larger than {limit} bytes"))
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
            Some(token) => {
                let principal = app.tokens.authenticate(token, app.clock.now())?;
                noted(parts).principal(&principal, app.tokens.name(token));
                Ok(principal)
            }
            None => Err(ApiError::new(
                StatusCode::UNAUTHORIZED,
                "expected the header `Authorization: token ACCESS_TOKEN`",
            )),
        }
    }
}

/// The parts of a path by their names.
async fn params(parts: &mut Parts, app: &Arc<App>) -> Result<RawPathParams, ApiError> {
    RawPathParams::from_request_parts(parts, app)
        .await
        .map_err(|_| ApiError::bad_request("the path is no UTF-8 text"))
}

/// Refuses who has no business in an organization, whether it exists or not.
fn cover(principal: &Principal, organization: &str) -> Result<(), ApiError> {
    if principal.covers(organization) {
        return Ok(());
    }
    let message = format!("the access token does not cover organization `{organization}`");
    Err(ApiError::new(StatusCode::FORBIDDEN, message))
}

/// An organization of the path that the asking identity may enter. It need not exist.
struct Member {
    principal: Principal,
    organization: String,
    noted: Noted,
}

impl FromRequestParts<Arc<App>> for Member {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let principal = Principal::from_request_parts(parts, app).await?;
        let params = params(parts, app).await?;
        let organization = param(&params, "organization").to_owned();
        check_organization(&organization)
            .map_err(|_| ApiError::not_found("there is no organization with such a name"))?;
        let noted = noted(parts);
        noted.organization(&organization);
        cover(&principal, &organization)?;
        let (store, name) = (Arc::clone(app), organization.clone());
        store
            .blocking(move |app| {
                if app.store.has_organization(&name)? {
                    Ok(())
                } else {
                    Err(StoreError::NoOrganization(name).into())
                }
            })
            .await?;
        Ok(Self { principal, organization, noted })
    }
}

/// An environment of the path whose organization the asking identity may enter. It need not exist.
struct Entered {
    principal: Principal,
    environment: EnvironmentName,
    noted: Noted,
}

impl Entered {
    /// Refuses who may not do this. Without any right, the environment is not there at all.
    fn require(&self, app: &App, right: Right) -> Result<(), ApiError> {
        match app.policy.most(&self.principal, &self.environment) {
            Some(most) if right <= most => Ok(()),
            Some(_) => {
                let message = format!("the access token may not do this with `{}`", self.environment);
                Err(ApiError::new(StatusCode::FORBIDDEN, message))
            }
            None => Err(StoreError::NoEnvironment(self.environment.clone()).into()),
        }
    }
}

impl FromRequestParts<Arc<App>> for Entered {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let principal = Principal::from_request_parts(parts, app).await?;
        let params = params(parts, app).await?;
        let name = |part| param(&params, part);
        let environment = EnvironmentName::new(name("organization"), name("project"), name("environment"))
            .ok_or_else(|| ApiError::not_found("there is no environment with such a name"))?;
        let noted = noted(parts);
        noted.environment(&environment);
        cover(&principal, environment.organization())?;
        Ok(Self { principal, environment, noted })
    }
}

type AppState = State<Arc<App>>;

fn answer(body: &impl Serialize) -> Result<Response, ApiError> {
    answer_with(StatusCode::OK, body)
}

fn answer_with(status: StatusCode, body: &impl Serialize) -> Result<Response, ApiError> {
    let body = serde_json::to_vec(body).map_err(|_| {
        tracing::error!("an answer can't be written as JSON");
        ApiError::internal()
    })?;
    Ok(json_response(status, body))
}

/// A part of the path; empty if the path has none of this name.
fn param<'p>(params: &'p RawPathParams, wanted: &str) -> &'p str {
    params.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value).unwrap_or_default()
}

/// The version that the path names.
fn version(params: &RawPathParams) -> Result<Version, ApiError> {
    let text = param(params, "version");
    Version::parse(text).ok_or_else(|| ApiError::not_found(format!("`{text}` is no revision and no tag")))
}

/// A query parameter; one that is blank is as good as none.
fn parameter(query: Option<&str>, wanted: &str) -> Option<String> {
    form::parse(query.unwrap_or_default().as_bytes())
        .find(|(name, _)| name == wanted)
        .and_then(|(_, value)| value.expose_str().map(str::to_owned))
        .filter(|value| !value.is_empty())
}

/// How many entries a client wants; 0 stands for no wish.
fn count(query: Option<&str>) -> Result<usize, ApiError> {
    match parameter(query, "count").map(|text| text.parse()) {
        None | Some(Ok(0)) => Ok(DEFAULT_COUNT),
        Some(Ok(count)) => Ok(MAX_COUNT.min(count)),
        Some(Err(_)) => Err(ApiError::bad_request("query parameter `count` must be a number")),
    }
}
