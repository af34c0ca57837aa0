//! `POST /api/oauth/token`: an identity token for an access token (RFC 8693), as a form or as JSON.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{
    extract::{Extension, Request, State},
    response::Response,
};
use http::{StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::json;

use super::{
    super::{
        App,
        error::{ApiError, json_response},
        identity::{Asked, Identity, organization_of},
        policy::Policy,
        principal::Principal,
        store::StoreError,
    },
    AppState, MAX_BODY, Noted, form, too_large,
};
use crate::{
    esc::{reference::check_organization, token_type::TokenType},
    secret::Secret,
};

const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const SUBJECT_TOKEN_TYPE: &str = "urn:ietf:params:oauth:token-type:id_token";
const TOKEN_TYPE_PREFIX: &str = "urn:pulumi:token-type:access_token:";

/// The scope of an organization's token that may do everything in it.
const ADMIN: &str = "admin";

/// Life of an access token when the client does not say, and at most: ESC's own defaults.
const DEFAULT_LIFETIME: u64 = 2 * 3600;
const MAX_LIFETIME: u64 = 25 * 3600;

/// What an exchange asks for.
struct Exchange {
    organization: String,
    token_type: TokenType,
    admin: bool,
    subject_token: Secret,
    lifetime: Duration,
}

/// Exchanges a token.
pub(super) async fn exchange(
    State(app): AppState,
    Extension(noted): Extension<Noted>,
    request: Request,
) -> Result<Response, ApiError> {
    if app.issuers.is_empty() {
        let message = "this server exchanges no tokens: it has no `--issuers` and no `--oidc-issuer`";
        return Err(ApiError::bad_request(message));
    }
    let Exchange { organization, token_type, admin, subject_token, lifetime } =
        Exchange::read(request).await?;
    if admin && app.policy != Policy::Files {
        let message = "this server gives no tokens with the scope `admin` in an exchange: make one with \
                       `esc-injector server token create --admin`";
        return Err(ApiError::new(StatusCode::FORBIDDEN, message));
    }
    note(&app, &noted, &organization).await?;
    let (name, now) = (organization.clone(), app.clock.now());
    let asked = Asked { organization: &organization, token_type: &token_type, token: &subject_token };
    let Identity { subject, named, max_expiration } = app.issuers.verify(asked, now).await?;
    let lifetime = max_expiration.map_or(lifetime, |most| lifetime.min(most));
    app.blocking(move |app| {
        if app.store.has_organization(&name)? { Ok(()) } else { Err(StoreError::NoOrganization(name).into()) }
    })
    .await?;
    let (right, ceiling) = Policy::exchanged(&token_type, named);
    let principal =
        Principal::Workload { organization, subject, token_type: token_type.clone(), right, ceiling };
    noted.principal(&principal, None);
    let token = app.tokens.issue(principal, lifetime, now)?;
    let body = json!({
        "access_token": token.expose_str(),
        "issued_token_type": token_type.urn(),
        "token_type": "token",
        "expires_in": lifetime.as_secs(),
        "scope": if admin { ADMIN.to_owned() } else { token_type.scope() },
    });
    Ok(json_response(StatusCode::OK, body.to_string().into_bytes()))
}

/// Notes what is asked for. A stranger makes up names without end: what does not exist is no target of its own.
async fn note(app: &Arc<App>, noted: &Noted, organization: &str) -> Result<(), ApiError> {
    if check_organization(organization).is_err() {
        return Ok(());
    }
    let name = organization.to_owned();
    if app.blocking(move |app| Ok(app.store.has_organization(&name)?)).await? {
        noted.organization(organization);
    } else {
        noted.detail(format!("there is no organization `{organization}`"));
    }
    Ok(())
}

impl Exchange {
    async fn read(request: Request) -> Result<Self, ApiError> {
        let is_json = request
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|kind| kind.to_ascii_lowercase().starts_with("application/json"));
        let body = match Limited::new(request.into_body(), MAX_BODY).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => return Err(too_large(MAX_BODY)),
            Err(_) => return Err(ApiError::bad_request("the body ended early")),
        };
        Self::from_fields(&if is_json { json_fields(&body)? } else { form::parse(&body).collect() })
    }

    fn from_fields(fields: &BTreeMap<String, Secret>) -> Result<Self, ApiError> {
        let field = |name: &str| fields.get(name).and_then(Secret::expose_str).unwrap_or_default();
        let expect = |name: &str, expected: &str| {
            if field(name) == expected {
                Ok(())
            } else {
                Err(ApiError::bad_request(format!("`{name}` must be `{expected}`")))
            }
        };
        expect("grant_type", GRANT_TYPE)?;
        expect("subject_token_type", SUBJECT_TOKEN_TYPE)?;
        let Some(organization) = organization_of(field("audience")) else {
            return Err(ApiError::bad_request("`audience` must be `urn:pulumi:org:ORGANIZATION`"));
        };
        let Some(subject_token) = fields.get("subject_token").filter(|token| !token.is_empty()) else {
            return Err(ApiError::bad_request("`subject_token` is missing"));
        };
        let lifetime = match field("expiration") {
            "" => DEFAULT_LIFETIME,
            text => match text.parse() {
                Ok(seconds @ 1..) => MAX_LIFETIME.min(seconds),
                _ => return Err(ApiError::bad_request("`expiration` must be a number of seconds above 0")),
            },
        };
        Ok(Self {
            organization: organization.to_owned(),
            token_type: token_type(field("requested_token_type"), field("scope"))?,
            admin: field("scope") == ADMIN,
            subject_token: subject_token.clone(),
            lifetime: Duration::from_secs(lifetime),
        })
    }
}

fn token_type(urn: &str, scope: &str) -> Result<TokenType, ApiError> {
    match (urn.strip_prefix(TOKEN_TYPE_PREFIX), scope.split_once(':')) {
        (Some("organization"), None) if matches!(scope, "" | ADMIN) => Ok(TokenType::Organization),
        (Some("team"), Some(("team", name))) if !name.is_empty() => Ok(TokenType::Team(name.to_owned())),
        (Some("personal"), Some(("user", login))) if !login.is_empty() => {
            Ok(TokenType::Personal(login.to_owned()))
        }
        (Some("organization" | "team" | "personal"), _) => Err(ApiError::bad_request(
            "`scope` must be empty or `admin` for an organization token, `team:NAME` for a team token, \
             `user:LOGIN` for a personal token",
        )),
        _ => Err(ApiError::bad_request(format!(
            "`requested_token_type` must be {TOKEN_TYPE_PREFIX}organization, …:team or …:personal"
        ))),
    }
}

fn json_fields(body: &[u8]) -> Result<BTreeMap<String, Secret>, ApiError> {
    let fields: BTreeMap<String, serde_json::Value> =
        serde_json::from_slice(body).map_err(|_| ApiError::bad_request("the body is no JSON object"))?;
    let text = |value| match value {
        serde_json::Value::String(text) => Some(Secret::from(text)),
        serde_json::Value::Number(number) => Some(Secret::from(number.to_string())),
        _ => None,
    };
    Ok(fields.into_iter().filter_map(|(name, value)| Some((name, text(value)?))).collect())
}
