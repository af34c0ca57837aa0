//! HTTP at the edge: which requests are admissions, how much and how long is read, what is logged of them.

use std::{any::Any, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    response::{IntoResponse, Response},
    routing::post,
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body as _, Bytes};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, timeout_at},
};
use tower_http::catch_panic::CatchPanicLayer;

use super::{
    density::{self, MAX_VALUES},
    handler::{self, Answer},
    limits::{LARGE_BODIES, LARGE_BODY, MAX_BODY},
    metrics::Metrics,
    record::{Endpoint, Outcome},
    rules::Rules,
};
use crate::codes::{Code, admission};

/// The client's address, put into a request's extensions by the connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub SocketAddr);

/// What every admission needs.
pub(super) struct Admissions {
    rules: Rules,
    metrics: Metrics,
    /// Budget of a request that names none.
    budget: Duration,
    large: Semaphore,
}

impl Admissions {
    pub(super) fn new(rules: Rules, metrics: Metrics, budget: Duration) -> Self {
        Self { rules, metrics, budget, large: Semaphore::new(LARGE_BODIES) }
    }
}

/// What the TLS port serves.
pub(super) fn router(admissions: Arc<Admissions>) -> Router {
    let metrics = admissions.metrics.clone();
    let routes = Router::new()
        .route("/mutate", post(async |state, request| admit(state, Endpoint::Asked, request).await))
        .route("/mutate/all", post(async |state, request| admit(state, Endpoint::All, request).await))
        .route("/check", post(async |state, request| admit(state, Endpoint::Workloads, request).await))
        .method_not_allowed_fallback(async || {
            let mut response = not_served(StatusCode::METHOD_NOT_ALLOWED, "only POST is served here");
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
            response
        })
        .fallback(async || {
            not_served(StatusCode::NOT_FOUND, "only /mutate, /mutate/all and /check are served here")
        })
        .with_state(admissions);
    survive_panics(routes, metrics)
}

/// A defect that one pod trips must not take the webhook away from all others.
fn survive_panics(routes: Router, metrics: Metrics) -> Router {
    routes.layer(CatchPanicLayer::custom(move |_: Box<dyn Any + Send + 'static>| {
        // The panic's own message may quote the pod: it goes nowhere.
        metrics.admission_failed();
        let code = admission::INTERNAL;
        tracing::error!(code = code.id(), "an admission panicked");
        handler::fault(StatusCode::INTERNAL_SERVER_ERROR, code, code.entry().title).into_response()
    }))
}

fn not_served(status: StatusCode, message: &str) -> Response {
    handler::fault(status, admission::NOT_SERVED, message).into_response()
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }
}

async fn admit(State(state): State<Arc<Admissions>>, endpoint: Endpoint, request: Request) -> Response {
    let started = Instant::now();
    let _in_flight = state.metrics.in_flight();
    let peer = request.extensions().get::<Peer>().copied();
    let deadline = started + budget(request.uri().query()).unwrap_or(state.budget);
    let answer = match state.read(request, deadline).await {
        Ok(Read { body, _turn }) => handler::answer(&body, endpoint, &state.rules),
        Err(unread) => unread.into(),
    };
    let took = started.elapsed();
    state.metrics.admission(endpoint, answer.record.outcome, took);
    log(&answer, endpoint, took, peer);
    answer.into_response()
}

/// One line an admission: enough to find it, nothing of what the pod says.
fn log(answer: &Answer, endpoint: Endpoint, took: Duration, peer: Option<Peer>) {
    let record = &answer.record;
    let codes = record.codes.iter().map(|code| code.id()).collect::<Vec<_>>().join(",");
    let (namespace, owner, dry_run) = (record.namespace.as_str(), record.owner.as_str(), record.dry_run);
    let (outcome, micros) = (record.outcome.as_str(), u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    if record.outcome != Outcome::Error {
        if endpoint == Endpoint::Workloads {
            tracing::info!(outcome, namespace, owner, dry_run, codes, micros, "workload check");
        } else {
            tracing::info!(outcome, namespace, owner, dry_run, codes, micros, "admission");
        }
        return;
    }
    let peer = peer.map(|Peer(address)| address.to_string());
    let (status, error) = (answer.status.as_u16(), record.error.as_deref());
    if record.is_our_defect() {
        tracing::error!(namespace, owner, dry_run, codes, micros, status, error, peer, "admission failed");
    } else {
        // Whoever can reach the port can cause these.
        tracing::warn!(namespace, owner, dry_run, codes, micros, status, error, peer, "admission failed");
    }
}

/// A body, with its turn if it is a large one: the turn lasts until the answer is made.
struct Read<'a> {
    body: Bytes,
    _turn: Option<SemaphorePermit<'a>>,
}

/// Why a body was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unread {
    ContentType,
    Compressed,
    TooLarge,
    TooDense,
    TooSlow,
    CutOff,
}

impl From<Unread> for Answer {
    fn from(unread: Unread) -> Self {
        let (status, code, message): (_, Code, _) = match unread {
            Unread::ContentType => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                admission::NOT_SERVED,
                "the content type is not application/json",
            ),
            Unread::Compressed => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, admission::NOT_SERVED, "the body is compressed")
            }
            Unread::TooLarge => {
                (StatusCode::PAYLOAD_TOO_LARGE, admission::TOO_LARGE, "the body is over 8 MiB")
            }
            Unread::TooDense => {
                (StatusCode::PAYLOAD_TOO_LARGE, admission::TOO_LARGE, "the body holds over 400,000 values")
            }
            Unread::TooSlow => {
                (StatusCode::REQUEST_TIMEOUT, admission::TOO_SLOW, "the body did not arrive in time")
            }
            Unread::CutOff => (StatusCode::BAD_REQUEST, admission::UNREADABLE, "the body was cut off"),
        };
        handler::fault(status, code, message)
    }
}

impl Admissions {
    async fn read(&self, request: Request, deadline: Instant) -> Result<Read<'_>, Unread> {
        check_headers(request.headers())?;
        let body = request.into_body();
        let announced = body.size_hint().exact();
        if announced.is_some_and(|bytes| bytes > MAX_BODY as u64) {
            return Err(Unread::TooLarge);
        }
        // A body that doesn't say its size may be large.
        let turn = if announced.is_some_and(|bytes| bytes <= LARGE_BODY) {
            None
        } else {
            let turn = timeout_at(deadline, self.large.acquire()).await.map_err(|_| Unread::TooSlow)?;
            // The semaphore is never closed.
            turn.ok()
        };
        let collected = timeout_at(deadline, Limited::new(body, MAX_BODY).collect()).await;
        match collected.map_err(|_| Unread::TooSlow)? {
            Ok(body) => {
                let body = body.to_bytes();
                // What takes no turn has no room for so many.
                if turn.is_some() && density::values(&body) > MAX_VALUES {
                    return Err(Unread::TooDense);
                }
                Ok(Read { body, _turn: turn })
            }
            Err(error) if error.is::<LengthLimitError>() => Err(Unread::TooLarge),
            Err(_) => Err(Unread::CutOff),
        }
    }
}

fn check_headers(headers: &HeaderMap) -> Result<(), Unread> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let essence = text(header::CONTENT_TYPE).and_then(|value| value.split(';').next()).unwrap_or_default();
    if !essence.trim().eq_ignore_ascii_case("application/json") {
        return Err(Unread::ContentType);
    }
    match text(header::CONTENT_ENCODING) {
        None => Ok(()),
        Some(encoding) if encoding.trim().eq_ignore_ascii_case("identity") => Ok(()),
        Some(_) => Err(Unread::Compressed),
    }
}

/// 90 % of what the API server waits, which it says as `?timeout=5s`: the rest is for the network, and an answer that
/// comes too late is none.
fn budget(query: Option<&str>) -> Option<Duration> {
    /// Kubernetes allows no more.
    const MAX_SECONDS: u64 = 30;
    let value = query?.split('&').find_map(|pair| pair.strip_prefix("timeout="))?;
    let seconds: u64 = value.strip_suffix('s')?.parse().ok()?;
    (1..=MAX_SECONDS).contains(&seconds).then(|| Duration::from_millis(seconds * 900))
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tower::ServiceExt;

    use super::*;

    #[test]
    fn the_budget_is_below_the_reviews_own_timeout() {
        for (query, expected) in [
            ("timeout=5s", Some(4500)),
            ("a=b&timeout=30s", Some(27_000)),
            ("timeout=0s", None),
            ("timeout=31s", None),
            ("timeout=5", None),
            ("timeout=1m0s", None),
            ("xtimeout=5s", None),
            ("", None),
        ] {
            assert_eq!(budget(Some(query)), expected.map(Duration::from_millis), "{query}");
        }
        assert_eq!(budget(None), None);
    }

    #[test]
    fn only_plain_json_is_read() {
        for (content_type, encoding, expected) in [
            ("application/json", None, Ok(())),
            ("Application/JSON; charset=utf-8", None, Ok(())),
            ("application/json", Some("identity"), Ok(())),
            ("application/json", Some("gzip"), Err(Unread::Compressed)),
            ("text/plain", None, Err(Unread::ContentType)),
            ("application/json-patch+json", None, Err(Unread::ContentType)),
            ("", None, Err(Unread::ContentType)),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
            if let Some(encoding) = encoding {
                headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
            }
            assert_eq!(check_headers(&headers), expected, "{content_type} {encoding:?}");
        }
        assert_eq!(check_headers(&HeaderMap::new()), Err(Unread::ContentType));
    }

    #[tokio::test]
    async fn a_panic_is_answered_and_tells_nothing() {
        let metrics = Metrics::new();
        let routes = Router::new().route("/", get(async || -> String { panic!("planted") }));
        let request = Request::get("/").body(Body::empty()).unwrap();
        let response = survive_panics(routes, metrics.clone()).oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let body = std::str::from_utf8(&body).unwrap();
        assert!(body.contains("ESC911") && !body.contains("planted"), "{body}");
        assert!(metrics.render().unwrap().contains("admissions_total{outcome=\"error\"} 1"));
    }
}
