//! The paths that are served, and what their handlers share: who asks, for what, and how it is answered.

use std::sync::Arc;

use axum::{
    Router,
    extract::{FromRequestParts, RawPathParams, State},
    middleware,
    response::{IntoResponse, Response},
    routing::{delete, get, patch, post},
};
use http::{HeaderMap, StatusCode, header, request::Parts};
use serde::Serialize;
use tower_http::catch_panic::CatchPanicLayer;

use super::{
    App,
    error::{ApiError, json_response},
    names::{EnvironmentName, Version},
    people::Author,
    principal::Principal,
    rfc3339 as time,
    right::Right,
    signing::KEY_SET_PATH,
    store::{Environment, Rule, StoreError},
};
use crate::{esc::reference::check_organization, lang::MAX_DOCUMENT};

mod body;
mod cloning;
mod definitions;
mod environments;
mod form;
mod grants;
mod observe;
mod opening;
mod referrers;
mod revisions;
mod rotation;
mod secrets;
mod tags;
mod token;
mod tokens;
mod user;

use observe::{Noted, noted, observe, too_large};

/// Largest body that is no definition: a form with a token in it, or a few names.
const MAX_BODY: usize = 64 << 10;

/// Largest definition that is read.
const MAX_DEFINITION: usize = MAX_DOCUMENT;

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
        .route("/.well-known/openid-configuration", get(user::discovery))
        .route(KEY_SET_PATH, get(user::key_set))
        .route("/api/esc/environments", get(environments::list_all))
        .route("/api/esc-injector/tokens", get(tokens::list).post(tokens::create))
        .route("/api/esc-injector/tokens/{id}", delete(tokens::revoke))
        .route(
            "/api/esc-injector/grants/{organization}/{project}/{environment}",
            get(grants::list).put(grants::change),
        )
        .route("/api/orgs/{organization}/teams/{team}", patch(grants::change_team))
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
        .route(&path("/encrypt-secrets"), post(secrets::encrypt))
        .route(&path("/decrypt-secrets"), post(secrets::decrypt))
        .route(&path("/check"), post(opening::check))
        .route(&path("/clone"), post(cloning::clone))
        .route(&path("/settings"), get(environments::settings).patch(environments::change_settings))
        .route(&path("/metadata"), get(environments::metadata))
        .route(&path("/referrers"), get(referrers::list))
        .route(&path("/rotate"), post(rotation::rotate))
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

/// The access token that a request shows.
fn access_token(headers: &HeaderMap) -> Option<&[u8]> {
    let header = headers.get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, token) = header.split_at_checked(b"token ".len())?;
    scheme.eq_ignore_ascii_case(b"token ").then(|| token.trim_ascii())
}

impl FromRequestParts<Arc<App>> for Principal {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        match access_token(&parts.headers) {
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
    async fn require(&self, app: &Arc<App>, right: Right) -> Result<(), ApiError> {
        if app.policy.asks_for_grants(&self.principal) {
            let (principal, name) = (self.principal.clone(), self.environment.clone());
            let most = app.blocking(move |app| Ok(app.most(&principal, &name)?)).await?;
            self.judge(most, right)
        } else {
            self.judge(app.policy.most(&self.principal, &self.environment, None), right)
        }
    }

    /// Changes what is kept of the environment beside its revisions. Whether the asker may is for the caller to know.
    async fn change(
        self,
        app: &Arc<App>,
        mut change: impl FnMut(&mut Environment, &Author, u64) -> Result<(), Rule> + Send + 'static,
    ) -> Result<Environment, ApiError> {
        app.blocking(move |app| {
            let (by, now) = (self.principal.author(), app.now());
            let change = &mut |environment: &mut Environment| change(environment, &by, now);
            Ok(app.store.modify(&self.environment, change)?)
        })
        .await
    }

    fn judge(&self, most: Option<Right>, right: Right) -> Result<(), ApiError> {
        match most {
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
