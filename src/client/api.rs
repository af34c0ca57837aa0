//! The client itself: authenticate once, then open and read each environment.

use reqwest::{RequestBuilder, StatusCode, Url, header};
use serde::Deserialize;

use super::{
    auth::{self, Credentials},
    diagnostic::Refusal,
    endpoint::{self, Endpoint},
    error::{AccessError, Action, Cause},
    retry::{self, Budget, Repeat},
    transport::{self, Answer, LARGEST_ANSWER, Lost, Route},
};
use crate::{
    esc::{reference::Reference, value::Value},
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
    token: Option<Secret>,
    opens: Repeat,
    /// A token is renewed once: what ESC refuses twice it refuses for another reason than age.
    renewed: bool,
}

/// Handle of an opened environment: with a token, as good as its values.
struct Session(Secret);

impl Client {
    /// Prepares the way; nothing is sent yet.
    pub fn new(settings: &Settings, credentials: Credentials) -> Result<Self, AccessError> {
        let fail = |why| AccessError {
            action: Action::Connect { url: shown(&settings.url) },
            cause: Cause::Misconfigured { why },
        };
        let endpoint = Endpoint::parse(&settings.url).map_err(fail)?;
        let route = Route {
            ca: settings.ca.as_deref(),
            https_proxy: settings.https_proxy.as_deref(),
            no_proxy: settings.no_proxy.as_deref(),
        };
        let http = transport::client(&endpoint, route).map_err(fail)?;
        Ok(Self { http, endpoint, credentials, token: None, opens: settings.opens, renewed: false })
    }

    /// Gets an access token, if there is none yet.
    pub async fn authenticate(&mut self, budget: &Budget) -> Result<(), AccessError> {
        if self.token.is_none() {
            self.token = Some(self.obtain(budget).await?);
        }
        Ok(())
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

    async fn obtain(&self, budget: &Budget) -> Result<Secret, AccessError> {
        let file = self.credentials.file().to_owned();
        let token =
            self.credentials.read().map_err(|cause| AccessError { action: Action::Token { file }, cause })?;
        match &self.credentials {
            Credentials::Static { .. } => Ok(token),
            Credentials::Exchange { organization, token_type, .. } => {
                let subject = token.expose_str().unwrap_or_default();
                let form = auth::form(organization, token_type, subject);
                let exchange = || self.http.post(self.endpoint.exchange()).form(&form);
                // A token more does no harm, so that nothing but the budget limits the attempts.
                let result = retry::run(budget, Repeat::Freely, async |left| {
                    transport::send(exchange().header(header::ACCEPT, "application/json"), left).await
                });
                let cause = match whole(result.await) {
                    Ok(answer) if answer.status.is_success() => {
                        match auth::access_token(answer.body.expose()) {
                            Some(token) => return Ok(token),
                            None => malformed("ESC's answer holds no access token"),
                        }
                    }
                    Ok(answer) => match answer.status.as_u16() {
                        status @ (400 | 401 | 403 | 404) => Cause::ExchangeRefused { status },
                        _ => refusal(&answer),
                    },
                    Err(cause) => cause,
                };
                Err(AccessError { action: Action::Exchange { organization: organization.clone() }, cause })
            }
        }
    }

    async fn open(&mut self, reference: &Reference, budget: &Budget) -> Result<Session, AccessError> {
        let fail = |cause| AccessError { action: Action::Open { environment: reference.to_string() }, cause };
        if reference.version().is_some_and(|version| !endpoint::is_segment(version)) {
            return Err(fail(Cause::NotFound));
        }
        let url = self.endpoint.open(reference);
        let answer =
            self.authorized(self.opens, budget, |http| http.post(url.clone())).await?.map_err(fail)?;
        Session::read(answer.body.expose()).map_err(fail)
    }

    async fn read(
        &mut self,
        reference: &Reference,
        session: &Session,
        budget: &Budget,
    ) -> Result<Value, AccessError> {
        let fail = |cause| AccessError { action: Action::Read { environment: reference.to_string() }, cause };
        let url: Url = self.endpoint.session(reference, session.0.expose_str().unwrap_or_default());
        let answer = self.authorized(Repeat::Freely, budget, |http| http.get(url.clone())).await?;
        match answer {
            Ok(answer) => Value::from_environment(answer.body.expose()).map_err(|error| fail(error.into())),
            // It was there a moment ago: it is the session that is unknown, not the environment.
            Err(Cause::NotFound) => Err(fail(Cause::SessionGone)),
            Err(cause) => Err(fail(cause)),
        }
    }

    /// Sends a request with the token; gets a new token once if ESC does not accept an exchanged one.
    ///
    /// The outer error is about the token, the inner one about the request.
    async fn authorized(
        &mut self,
        repeat: Repeat,
        budget: &Budget,
        request: impl Fn(&reqwest::Client) -> RequestBuilder,
    ) -> Result<Result<Answer, Cause>, AccessError> {
        loop {
            self.authenticate(budget).await?;
            let authorization = self.token.as_ref().and_then(authorization);
            let result = retry::run(budget, repeat, async |left| {
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
            let expired = answer.status == StatusCode::UNAUTHORIZED
                && matches!(self.credentials, Credentials::Exchange { .. })
                && !self.renewed;
            if expired {
                tracing::warn!("ESC does not accept the token any more; exchanging once more");
                self.renewed = true;
                self.token = None;
                continue;
            }
            return Ok(if answer.status.is_success() { Ok(answer) } else { Err(refusal(&answer)) });
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
        Ok(answer) if answer.status == StatusCode::TOO_MANY_REQUESTS => {
            Err(Cause::Throttled { attempts, asked: answer.retry_after })
        }
        Ok(answer) if answer.status.is_server_error() => {
            let (status, asked) = (answer.status.as_u16(), answer.retry_after);
            Err(Cause::Failing { status, attempts, request_id: answer.request_id, asked })
        }
        Ok(answer) => Ok(answer),
        Err(Lost::Unanswered { why } | Lost::CutOff { why }) => Err(Cause::Unreachable { why, attempts }),
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
