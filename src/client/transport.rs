//! One HTTP exchange: bounded in time and size, without redirects, and told apart by what it means for a retry.

use std::{
    error::Error,
    fmt,
    time::{Duration, SystemTime},
};

use reqwest::{Client, NoProxy, Proxy, RequestBuilder, Response, StatusCode, header, redirect};
use tokio::time::Instant;

use super::{endpoint::Endpoint, tls};
use crate::secret::Secret;

/// The most that is read of an answer: what all files of a pod have room for by default. Beyond it something is
/// wrong, and the agent has a memory limit of its own.
pub(super) const LARGEST_ANSWER: usize = 16 * 1024 * 1024;

/// A host that does not take the connection in this time is not there.
const CONNECT: Duration = Duration::from_secs(5);

/// How long a connection waits for the next request. Open and read follow each other at once; the next refresh is
/// minutes away, and would find that the other side has closed the connection meanwhile.
const IDLE: Duration = Duration::from_secs(5);

/// Longest attempt. Long enough for an environment whose providers are slow, short enough to leave room for a
/// second attempt in the default budget of two minutes.
const ATTEMPT: Duration = Duration::from_secs(55);

/// What was answered. Holds the body, hence no `Debug`.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) retry_after: Option<Duration>,
    pub(super) request_id: Option<String>,
    pub(super) body: Secret,
}

/// No (whole) answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Lost {
    /// Nothing came back. `refused`: because somebody turned the connection away, and not because nobody answered.
    Unanswered { why: String, refused: bool },
    /// An answer began and did not end.
    CutOff { why: String },
    /// Whoever is there can't prove to be ESC.
    Untrusted { why: String },
    /// The answer is too large.
    TooLarge,
}

/// Operator's settings of the way to ESC.
#[derive(Debug, Clone, Copy)]
pub(super) struct Route<'a> {
    pub(super) ca: Option<&'a str>,
    pub(super) https_proxy: Option<&'a str>,
    pub(super) no_proxy: Option<&'a str>,
}

/// Builds the HTTP client; the error says which setting is unusable.
pub(super) fn client(endpoint: &Endpoint, route: Route<'_>) -> Result<Client, String> {
    let tls = if endpoint.is_encrypted() { tls::config(route.ca)? } else { tls::unused()? };
    let mut builder = Client::builder()
        .tls_backend_preconfigured(tls)
        .user_agent(concat!("esc-injector/", env!("CARGO_PKG_VERSION")))
        // A redirect would carry the token to somebody else.
        .redirect(redirect::Policy::none())
        .referer(false)
        .no_proxy()
        .http1_only()
        .tcp_nodelay(true)
        .connect_timeout(CONNECT)
        .pool_idle_timeout(IDLE);
    if let Some(proxy) = route.https_proxy.filter(|_| !endpoint.is_loopback()) {
        // The text stays out of the error: it may hold a password.
        let proxy = Proxy::https(proxy).map_err(|_| "the proxy is no URL".to_owned())?;
        let direct = direct(route.no_proxy, std::env::var(KUBERNETES_HOST).ok().as_deref());
        builder = builder.proxy(proxy.no_proxy(NoProxy::from_string(&direct)));
    }
    builder.build().map_err(|error| format!("the HTTP client can't be set up: {}", innermost(&error)))
}

/// Where every container of a pod finds the API server's address.
const KUBERNETES_HOST: &str = "KUBERNETES_SERVICE_HOST";

/// The hosts that bypass the proxy: those that the operator lists, and those that only the cluster itself knows. In
/// the words of the HTTP client, for which a domain is itself and all below it.
fn direct(listed: Option<&str>, api_server: Option<&str>) -> String {
    let listed = listed.unwrap_or_default().split(',').map(str::trim);
    // Many write it so, and mean it.
    let listed =
        listed.map(|host| host.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(host));
    let in_cluster = [Some("svc"), Some("cluster.local"), api_server].into_iter().flatten();
    listed.chain(in_cluster).filter(|host| !host.is_empty()).collect::<Vec<_>>().join(",")
}

/// Sends a request and reads its whole answer, in the time that is left.
pub(super) async fn send(request: RequestBuilder, remaining: Duration) -> Result<Answer, Lost> {
    let limit = ATTEMPT.min(remaining);
    let deadline = Instant::now() + limit;
    let within = || format!("within {} ms", milliseconds(limit));
    let response = match tokio::time::timeout_at(deadline, request.send()).await {
        Err(_) => return Err(Lost::Unanswered { why: format!("no answer {}", within()), refused: false }),
        Ok(Err(error)) => return Err(unanswered(&error)),
        Ok(Ok(response)) => response,
    };
    let status = response.status();
    let retry_after =
        text(&response, &header::RETRY_AFTER).and_then(|text| parse_retry_after(text, SystemTime::now()));
    let request_id = text(&response, &header::HeaderName::from_static("x-pulumi-request-id"))
        .filter(|id| is_request_id(id))
        .map(str::to_owned);
    let body = match tokio::time::timeout_at(deadline, body(response)).await {
        Err(_) => return Err(Lost::CutOff { why: format!("the answer was not complete {}", within()) }),
        Ok(body) => body?,
    };
    tracing::debug!(status = status.as_u16(), bytes = body.len(), "answer");
    Ok(Answer { status, retry_after, request_id, body })
}

async fn body(mut response: Response) -> Result<Secret, Lost> {
    let announced = response.content_length().unwrap_or(0);
    let Some(announced) = usize::try_from(announced).ok().filter(|&size| size <= LARGEST_ANSWER) else {
        return Err(Lost::TooLarge);
    };
    // With the announced size there is no reallocation, whose leavings could not be wiped.
    let mut body = Vec::with_capacity(announced);
    while let Some(chunk) = response.chunk().await.map_err(|error| Lost::CutOff { why: innermost(&error) })? {
        if body.len() + chunk.len() > LARGEST_ANSWER {
            return Err(Lost::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Secret::new(body))
}

fn text<'a>(response: &'a Response, name: &header::HeaderName) -> Option<&'a str> {
    response.headers().get(name).and_then(|value| value.to_str().ok())
}

/// What comes from outside is shown only if it looks like an identifier.
fn is_request_id(id: &str) -> bool {
    (1..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn unanswered(error: &reqwest::Error) -> Lost {
    let why = innermost(error);
    if sources(error).any(is_certificate_error) {
        return Lost::Untrusted { why };
    }
    let refused = sources(error).any(is_refusal);
    Lost::Unanswered { why, refused }
}

fn is_refusal(error: &(dyn Error + 'static)) -> bool {
    use std::io::ErrorKind;
    let kind = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
    matches!(
        kind,
        Some(ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted)
    )
}

fn sources<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| inner(*error))
}

/// Like `source`, but does not skip what an `io::Error` wraps.
fn inner<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
        Some(wrapped) => Some(wrapped),
        None => error.source(),
    }
}

fn is_certificate_error(error: &(dyn Error + 'static)) -> bool {
    matches!(error.downcast_ref::<rustls::Error>(), Some(rustls::Error::InvalidCertificate(_)))
}

/// The cause at the bottom. What lies above it repeats the URL, which may hold a session id.
pub(super) fn innermost(error: &(dyn Error + 'static)) -> String {
    match error.downcast_ref::<reqwest::Error>() {
        Some(error) if error.source().is_none() => "the connection failed".to_owned(),
        _ => sources(error).last().map(ToString::to_string).unwrap_or_default(),
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unanswered { why, .. } | Self::CutOff { why } | Self::Untrusted { why } => f.write_str(why),
            Self::TooLarge => f.write_str("the answer is too large"),
        }
    }
}

/// A `Retry-After` header: seconds, or a date.
fn parse_retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<u32>() {
        return Some(Duration::from_secs(seconds.into()));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

/// For logs.
pub(super) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_both_forms_of_retry_after() {
        let now = httpdate::parse_http_date("Sun, 22 Nov 2026 10:00:00 GMT").unwrap();
        let cases = [
            ("7", Some(7)),
            (" 0 ", Some(0)),
            ("Sun, 22 Nov 2026 10:00:30 GMT", Some(30)),
            ("Sun, 22 Nov 2026 09:00:00 GMT", Some(0)),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
            ("99999999999999999999", None),
        ];
        for (text, seconds) in cases {
            assert_eq!(parse_retry_after(text, now), seconds.map(Duration::from_secs), "{text}");
        }
    }

    #[test]
    fn shows_only_request_ids_that_look_like_one() {
        let cases =
            [("r-1", true), ("", false), ("a b", false), ("<script>", false), (&"x".repeat(65), false)];
        for (id, shown) in cases {
            assert_eq!(is_request_id(id), shown, "{id}");
        }
    }

    #[test]
    fn what_only_the_cluster_knows_bypasses_the_proxy() {
        for (listed, api_server, expected) in [
            (None, None, "svc,cluster.local"),
            (Some(""), Some("10.96.0.1"), "svc,cluster.local,10.96.0.1"),
            (
                Some(" a.example , *.b.example,*,, 10.0.0.0/8"),
                None,
                "a.example,.b.example,*,10.0.0.0/8,svc,cluster.local",
            ),
        ] {
            assert_eq!(direct(listed, api_server), expected);
        }
    }

    #[test]
    fn refuses_an_unusable_proxy_without_repeating_it() {
        let endpoint = Endpoint::parse("https://api.pulumi.com").unwrap();
        let route = Route { ca: None, https_proxy: Some("http://user:hunter2@[bad"), no_proxy: None };
        let error = client(&endpoint, route).err().unwrap();
        assert_eq!(error, "the proxy is no URL");
    }
}
