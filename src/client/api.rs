//! The client itself: get a token for an organization, open and read its environments.
//!
//! It may live as long as the pod: tokens are kept until shortly before their end, and got anew from files that are
//! read anew.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use reqwest::{RequestBuilder, StatusCode, Url, header};
use serde::Deserialize;
use tokio::time::Instant;

use super::{
    auth::{self, Credentials, Exchanged},
    diagnostic::Refusal,
    endpoint::{self, Endpoint},
    error::{AccessError, Action, Cause},
    identity::Identity,
    retry::{self, Budget, Patience, Repeat},
    transport::{self, Answer, LARGEST_ANSWER, Lost, Route},
};
use crate::{
    esc::{reference::Reference, token_type::TokenType, value::Value},
    secret::Secret,
};

/// The media type of the API's version that we speak.
const ACCEPT: &str = "application/vnd.pulumi+8";

/// Where ESC is and how to get there. The proxy may hold a password, hence no `Debug`.
#[derive(Clone)]
pub struct Settings {
    /// Service root, without `/api/esc`.
    pub url: String,
    /// PEM certificates to trust besides the public roots.
    pub ca: Option<String>,
    /// Proxy for https.
    pub https_proxy: Option<String>,
    /// Hosts that bypass the proxy, as `NO_PROXY` lists them.
    pub no_proxy: Option<String>,
    /// What to do when an open fails and may have had effects.
    pub opens: Repeat,
}

/// A client of one ESC with one identity.
pub struct Client {
    http: reqwest::Client,
    endpoint: Endpoint,
    credentials: Credentials,
    /// Exchanged tokens by organization.
    tokens: BTreeMap<String, Kept>,
    opens: Repeat,
    patience: Patience,
}

/// An answer of any kind. Holds the body, hence no `Debug`.
pub struct Answered {
    /// Its status.
    pub status: u16,
    /// Its body.
    pub body: Secret,
}

/// A token that ESC gave us.
struct Kept {
    token: Secret,
    /// Until when it is used.
    until: Instant,
}

/// Handle of an opened environment: with a token, as good as its values.
struct Session(Secret);

impl Client {
    /// Prepares the way; nothing is sent yet.
    pub fn new(settings: &Settings, credentials: Credentials) -> Result<Self, AccessError> {
        let fail = |why| AccessError {
            action: Action::Connect { url: shown(&settings.url) },
            esc: shown(&settings.url),
            cause: Cause::Misconfigured { why },
        };
        let endpoint = Endpoint::parse(&settings.url).map_err(fail)?;
        let route = Route {
            ca: settings.ca.as_deref(),
            https_proxy: settings.https_proxy.as_deref(),
            no_proxy: settings.no_proxy.as_deref(),
        };
        let http = transport::client(&endpoint, route).map_err(fail)?;
        Ok(Self {
            http,
            endpoint,
            credentials,
            tokens: BTreeMap::new(),
            opens: settings.opens,
            patience: Patience::default(),
        })
    }

    fn failed(&self, action: Action, cause: Cause) -> AccessError {
        AccessError { action, esc: self.endpoint.shown(), cause }
    }

    /// How long ESC has asked us to stay away, from now; zero if it has not. Requests wait for it by themselves, as far
    /// as their budget goes.
    pub fn asked_to_wait(&self) -> Duration {
        self.patience.left()
    }

    /// Opens an environment and reads all of it: one open, one read.
    ///
    /// A session that is gone when it is to be read is opened once more.
    pub async fn fetch(&mut self, reference: &Reference, budget: &Budget) -> Result<Value, AccessError> {
        let mut reopened = false;
        loop {
            let session = self.open(reference, budget).await?;
            match self.read(reference, &session, budget).await {
                Err(AccessError { cause: Cause::SessionGone, .. }) if !reopened => {
                    tracing::warn!("the session vanished; opening {reference} once more");
                    reopened = true;
                }
                result => return result,
            }
        }
    }

    /// One request to an API that is not ESC's own, of a server that speaks ESC otherwise. Not repeated; whatever is
    /// answered is given back.
    pub async fn ask(
        &self,
        method: &'static str,
        path: &str,
        body: Option<&serde_json::Value>,
        budget: &Budget,
    ) -> Result<Answered, AccessError> {
        let fail = |cause| self.failed(Action::Connect { url: self.endpoint.shown() }, cause);
        let token = match &self.credentials {
            Credentials::Given { token } => token.clone(),
            _ => self.read_token("")?,
        };
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap_or_default();
        let mut request = self.http.request(method, self.endpoint.at(path));
        if let Some(authorization) = authorization(&token) {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        if let Some(body) = body {
            request = request.header(header::CONTENT_TYPE, "application/json").body(body.to_string());
        }
        let answer = whole((transport::send(request, budget.remaining()).await, 1)).map_err(fail)?;
        Ok(Answered { status: answer.status.as_u16(), body: answer.body })
    }

    /// Gets what has to be shown to an organization, and opens nothing: whether ESC accepts who we are.
    pub async fn sign_in(&mut self, organization: &str, budget: &Budget) -> Result<(), AccessError> {
        self.token(organization, budget).await.map(drop)
    }

    /// What to show to an organization: the static token as it is now, or one that is exchanged when there is none yet.
    async fn token(&mut self, organization: &str, budget: &Budget) -> Result<Secret, AccessError> {
        let kept = self.tokens.get(organization).filter(|kept| Instant::now() < kept.until);
        if let Some(kept) = kept {
            return Ok(kept.token.clone());
        }
        if let Credentials::Given { token } = &self.credentials {
            return Ok(token.clone());
        }
        let (shown, token_type) = match &self.credentials {
            Credentials::Held { token_type, token } => (token.clone(), token_type),
            Credentials::Exchange { token_type, .. } => (self.read_token(organization)?, token_type),
            Credentials::Given { .. } | Credentials::Static { .. } => return self.read_token(organization),
        };
        let start = Instant::now();
        let Exchanged { token, lifetime } = self.exchange(organization, token_type, &shown, budget).await?;
        let ms = transport::milliseconds(start.elapsed());
        tracing::info!(ms, organization, "exchanged the pod's token for one of type {token_type}");
        let kept = Kept { token: token.clone(), until: start + auth::usable(lifetime) };
        self.tokens.insert(organization.to_owned(), kept);
        Ok(token)
    }

    fn read_token(&self, organization: &str) -> Result<Secret, AccessError> {
        let fail = |file, cause| self.failed(Action::Token { file }, cause);
        let Some(file) = self.credentials.file(organization) else {
            let why = format!("there is none for organization {organization}");
            return Err(fail(PathBuf::new(), Cause::NoToken { why }));
        };
        auth::read(file).map_err(|cause| fail(file.to_owned(), cause))
    }

    async fn exchange(
        &self,
        organization: &str,
        token_type: &TokenType,
        shown: &Secret,
        budget: &Budget,
    ) -> Result<Exchanged, AccessError> {
        let form = auth::form(organization, token_type, shown.expose_str().unwrap_or_default());
        let exchange = || self.http.post(self.endpoint.exchange()).form(&form);
        // A token more does no harm, so that nothing but the budget limits the attempts.
        let esc = self.endpoint.shown();
        let result = retry::run(budget, Repeat::Freely, &self.patience, &esc, async |left| {
            transport::send(exchange().header(header::ACCEPT, "application/json"), left).await
        });
        let cause = match whole(result.await) {
            Ok(answer) if answer.status.is_success() => match auth::exchanged(answer.body.expose()) {
                Some(exchanged) => return Ok(exchanged),
                None => malformed("ESC's answer holds no access token"),
            },
            Ok(answer) => match answer.status.as_u16() {
                status @ (400 | 401 | 403 | 404) => {
                    Cause::ExchangeRefused { status, identity: Identity::of(shown).map(Box::new) }
                }
                _ => refusal(&answer),
            },
            Err(cause) => cause,
        };
        Err(self.failed(Action::Exchange { organization: organization.to_owned() }, cause))
    }

    async fn open(&mut self, reference: &Reference, budget: &Budget) -> Result<Session, AccessError> {
        let action = || Action::Open { environment: reference.to_string() };
        if reference.version().is_some_and(|version| !endpoint::is_segment(version)) {
            return Err(self.failed(action(), Cause::NotFound));
        }
        let url = self.endpoint.open(reference);
        let answer = self
            .authorized(reference.organization(), self.opens, budget, |http| http.post(url.clone()))
            .await?;
        let session = answer.and_then(|answer| Session::read(answer.body.expose()));
        session.map_err(|cause| self.failed(action(), cause))
    }

    async fn read(
        &mut self,
        reference: &Reference,
        session: &Session,
        budget: &Budget,
    ) -> Result<Value, AccessError> {
        let url: Url = self.endpoint.session(reference, session.0.expose_str().unwrap_or_default());
        let answer = self
            .authorized(reference.organization(), Repeat::Freely, budget, |http| http.get(url.clone()))
            .await?;
        let value = match answer {
            Ok(answer) => Value::from_environment(answer.body.expose()).map_err(Cause::from),
            // It was there a moment ago: it is the session that is unknown, not the environment.
            Err(Cause::NotFound) => Err(Cause::SessionGone),
            Err(cause) => Err(cause),
        };
        value.map_err(|cause| self.failed(Action::Read { environment: reference.to_string() }, cause))
    }

    /// Sends a request with the organization's token. A token that ESC does not accept is got anew, once: what ESC
    /// refuses twice it refuses for another reason than age.
    ///
    /// The outer error is about the token, the inner one about the request.
    async fn authorized(
        &mut self,
        organization: &str,
        repeat: Repeat,
        budget: &Budget,
        request: impl Fn(&reqwest::Client) -> RequestBuilder,
    ) -> Result<Result<Answer, Cause>, AccessError> {
        let esc = self.endpoint.shown();
        let mut renewed = false;
        loop {
            let token = self.token(organization, budget).await?;
            let authorization = authorization(&token);
            let result = retry::run(budget, repeat, &self.patience, &esc, async |left| {
                let mut request = request(&self.http)
                    .header(header::ACCEPT, ACCEPT)
                    .header(header::CONTENT_TYPE, "application/json");
                if let Some(authorization) = &authorization {
                    request = request.header(header::AUTHORIZATION, authorization.clone());
                }
                transport::send(request, left).await
            });
            let answer = match whole(result.await) {
                Ok(answer) => answer,
                Err(cause) => return Ok(Err(cause)),
            };
            if answer.status == StatusCode::UNAUTHORIZED && !renewed && self.forget(organization, &token) {
                renewed = true;
                continue;
            }
            return Ok(if answer.status.is_success() { Ok(answer) } else { Err(refusal(&answer)) });
        }
    }

    /// Forgets a token that ESC does not accept any more; tells whether another one can be had.
    fn forget(&mut self, organization: &str, token: &Secret) -> bool {
        match &self.credentials {
            Credentials::Exchange { .. } | Credentials::Held { .. } => {
                tracing::warn!(organization, "ESC does not accept the token any more; exchanging once more");
                self.tokens.remove(organization);
                true
            }
            Credentials::Given { .. } => false,
            // Somebody may have replaced it in this moment.
            Credentials::Static { file } => auth::read(file).is_ok_and(|now| now != *token),
        }
    }
}

impl Session {
    fn read(body: &[u8]) -> Result<Self, Cause> {
        #[derive(Deserialize)]
        struct Opened {
            id: String,
        }
        let opened: Opened = serde_json::from_slice(body)
            .map_err(|_| malformed("ESC's answer to the open holds no session"))?;
        if !endpoint::is_segment(&opened.id) {
            return Err(malformed("ESC's answer to the open holds no usable session"));
        }
        Ok(Self(Secret::from(opened.id)))
    }
}

/// An answer to the end, or why there is none. 429 and 5xx are none: the budget went by over them.
fn whole((result, attempts): (Result<Answer, Lost>, u32)) -> Result<Answer, Cause> {
    match result {
        Ok(answer) if answer.status == StatusCode::TOO_MANY_REQUESTS => Err(Cause::Throttled { attempts }),
        Ok(answer) if answer.status.is_server_error() => {
            Err(Cause::Failing { status: answer.status.as_u16(), attempts, request_id: answer.request_id })
        }
        Ok(answer) => Ok(answer),
        Err(Lost::Unanswered { why, refused }) => Err(Cause::Unreachable { why, attempts, refused }),
        Err(Lost::CutOff { why }) => Err(Cause::Unreachable { why, attempts, refused: false }),
        Err(Lost::Untrusted { why }) => Err(Cause::Untrusted { why }),
        Err(Lost::TooLarge) => {
            Err(Cause::TooLarge { why: format!("the answer is larger than {LARGEST_ANSWER} bytes") })
        }
    }
}

/// What an answer other than success means.
fn refusal(answer: &Answer) -> Cause {
    let status = answer.status.as_u16();
    let Refusal { diagnostics, approval } = Refusal::read(answer.body.expose());
    match status {
        400 if !diagnostics.is_empty() => Cause::Definition(diagnostics),
        // 404 is left out: it says that there is nothing to approve.
        400 | 403 | 409 | 412 | 423 | 428 if approval => Cause::ApprovalNeeded { status },
        400 => Cause::BadRequest,
        401 => Cause::Unauthenticated,
        403 => Cause::Forbidden,
        404 => Cause::NotFound,
        409 => Cause::Conflict,
        300..400 => malformed(&format!("the server redirects ({status}), which ESC never does")),
        _ => malformed(&format!("the server answered {status}, which means nothing here")),
    }
}

fn malformed(why: &str) -> Cause {
    Cause::Malformed { why: why.to_owned() }
}

fn authorization(token: &Secret) -> Option<header::HeaderValue> {
    let text = Secret::new([b"token ", token.expose()].concat());
    let mut value = header::HeaderValue::from_bytes(text.expose()).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// An address as errors may show it: without user, password and query.
fn shown(url: &str) -> String {
    match Url::parse(url) {
        Ok(url) if url.has_host() => url.origin().ascii_serialization(),
        _ => "ESC".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer {
            status: StatusCode::from_u16(status).unwrap(),
            retry_after: None,
            request_id: None,
            body: Secret::from(body),
        }
    }

    #[test]
    fn refusals_are_told_apart() {
        let approval = r#"{"code":403,"message":"requires approval"}"#;
        let cases = [
            (400, r#"{"code":400,"diagnostics":[{"summary":"s"}]}"#, "ESC312"),
            (400, r#"{"code":400,"message":"m"}"#, "ESC313"),
            (401, "", "ESC308"),
            (403, r#"{"code":403,"message":"m"}"#, "ESC309"),
            (403, approval, "ESC310"),
            (409, approval, "ESC310"),
            (404, approval, "ESC311"),
            (404, "", "ESC311"),
            (409, "", "ESC314"),
            (301, "", "ESC316"),
            (418, "", "ESC316"),
        ];
        for (status, body, code) in cases {
            let error = AccessError {
                action: Action::Open { environment: "acme/shop/prod".to_owned() },
                esc: "https://api.pulumi.com/".to_owned(),
                cause: refusal(&answer(status, body)),
            };
            assert_eq!(error.code().id(), code, "{status} {body}");
            assert!(!error.is_outage());
        }
    }

    #[test]
    fn sessions_need_an_id_that_survives_in_a_path() {
        assert!(
            Session::read(br#"{"id":"s","diagnostics":[{"summary":"warn","severity":"warning"}]}"#).is_ok()
        );
        for body in [r#"{"id":""}"#, r#"{"id":".."}"#, r#"{"id":1}"#, "{}", "", "<html>"] {
            assert!(Session::read(body.as_bytes()).is_err(), "{body}");
        }
    }

    #[test]
    fn shown_addresses_hold_no_password() {
        assert_eq!(shown("https://u:hunter2@esc.example:8443/x?y=z"), "https://esc.example:8443");
        assert_eq!(shown("hunter2"), "ESC");
    }
}
