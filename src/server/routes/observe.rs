//! What all requests share: limits, a line in the log, and one in the audit log.

use std::{
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{Method, StatusCode, header, request::Parts};

use super::{
    super::{
        App,
        audit::{self, Entry, Peer},
        error::ApiError,
        names::EnvironmentName,
        principal::Principal,
    },
    AppState, ENVIRONMENT, MAX_BODY, MAX_DEFINITION, access_token,
};
use crate::secret::Secret;

/// Longest time for one request. Evaluation takes milliseconds; reading a file may hang on a network disk.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// What a request turned out to be about, for its line in the logs.
#[derive(Debug, Clone, Default)]
pub(super) struct Noted(Arc<Notes>);

#[derive(Debug, Default)]
struct Notes {
    principal: OnceLock<Principal>,
    /// The name of the token, where it has one.
    token: OnceLock<Arc<str>>,
    organization: OnceLock<String>,
    environment: OnceLock<EnvironmentName>,
    revision: OnceLock<u64>,
    detail: OnceLock<String>,
}

impl Noted {
    /// Whose token was shown, or would be given.
    pub(super) fn principal(&self, principal: &Principal, token: Option<Arc<str>>) {
        // The first one counts: there is one in a request.
        let _ = self.0.principal.set(principal.clone());
        if let Some(name) = token {
            let _ = self.0.token.set(name);
        }
    }

    pub(super) fn organization(&self, name: &str) {
        let _ = self.0.organization.set(name.to_owned());
    }

    pub(super) fn environment(&self, name: &EnvironmentName) {
        let _ = self.0.environment.set(name.clone());
    }

    /// What exactly was to be done, where action and target leave it open. Never a value.
    pub(super) fn detail(&self, text: String) {
        let _ = self.0.detail.set(text);
    }

    /// The revision that is read, or was made.
    pub(super) fn revision(&self, number: u64) {
        let _ = self.0.revision.set(number);
    }
}

pub(super) fn noted(parts: &Parts) -> Noted {
    parts.extensions.get::<Noted>().cloned().unwrap_or_default()
}

/// Limits a request and logs it: never its query, its body, or what its path holds beside the checked names.
pub(super) async fn observe(State(app): AppState, mut request: Request, next: Next) -> Response {
    let start = Instant::now();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let peer = request.extensions().get::<Peer>().copied();
    let noted = Noted::default();
    request.extensions_mut().insert(noted.clone());
    let is_audited = app.audit.is_some();
    let token =
        access_token(request.headers()).filter(|_| is_audited).map(|token| Secret::new(token.to_vec()));
    let limit = limit(&method, route.as_deref());
    let response = if announces_more(&request, limit) {
        too_large(limit).into_response()
    } else {
        tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await.unwrap_or_else(|_| {
            ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "the request took too long").into_response()
        })
    };
    let action = route.as_deref().and_then(|route| audit::action(&method, route));
    // Refused before anybody has asked for the token: who has a valid one is no stranger to the audit log.
    if let Some(token) = token
        && noted.0.principal.get().is_none()
        && response.status().as_u16() >= 400
        && let Ok(principal) = app.tokens.authenticate(token.expose(), app.clock.now())
    {
        noted.principal(&principal, app.tokens.name(token.expose()));
    }
    let response = match action {
        Some(action) if is_audited => record(&app, action, &noted, peer, response).await,
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
    let (now, status) = (app.now(), response.status().as_u16());
    let notes = &noted.0;
    let author = notes.principal.get().map(Principal::author);
    let entry = Entry {
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
        detail: notes.detail.get().cloned(),
        from: peer.map(|Peer(address)| address.ip().to_string()),
        ..Entry::new(now, action, status)
    };
    let recorded = app.blocking(move |app| {
        let written = match &app.audit {
            Some(audit) if entry.actor.is_none() && status >= 400 => audit.refused(&entry, now),
            Some(audit) => audit.record(&entry),
            None => Ok(()),
        };
        written.map_err(|error| {
            tracing::error!(%error, "the audit log can't be written");
            ApiError::internal()
        })
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
        Some(route) => ["/yaml/open", "/yaml/check", "/encrypt-secrets", "/decrypt-secrets"]
            .iter()
            .any(|end| route.ends_with(end)),
        None => false,
    };
    if takes_definition { MAX_DEFINITION } else { MAX_BODY }
}

fn announces_more(request: &Request, limit: usize) -> bool {
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    length.and_then(|text| text.parse::<u64>().ok()).is_some_and(|length| length > limit as u64)
}

pub(super) fn too_large(limit: usize) -> ApiError {
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the body is larger than {limit} bytes"))
}
