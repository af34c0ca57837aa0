//! The connection to the cluster's API server, and what can go wrong with a call.
//!
//! Nothing here knows what the calls are for. Bodies are read here and not by the client library, which logs the text
//! of an answer that it can't decode: the text may be the Secret with the authority's key.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use kube::{Client, client::Body};
use serde_json::Value;
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::{
    codes::{Code, cluster as codes},
    kubeconfig::{self, describe},
};

/// Longest that one call may take: an API server that is busy answers within seconds, one that is gone never does.
const CALL: Duration = Duration::from_secs(15);

/// Longest that a connection may be silent. Watches end by themselves before.
const SILENCE: Duration = Duration::from_secs(300);

/// Largest answer that is read. A webhook configuration may be 1.5 MiB, a Secret 1 MiB.
const MAX_ANSWER: usize = 4 * 1024 * 1024;

/// Most of an API server's own words that is repeated.
const MAX_MESSAGE: usize = 300;

/// An API server that answers to us, and the namespace that we live in. Clones share the connections.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    namespace: String,
}

/// A cluster can't be used: it is not known where it is, or a call failed.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// No in-cluster configuration and no kubeconfig.
    #[error(
        "[{code}] finding the API server: {0}; outside a cluster pass --kubernetes off",
        code = codes::NOT_CONFIGURED
    )]
    NotConfigured(String),
    /// No answer.
    #[error("[{code}] {attempt}: {reason}", code = codes::UNREACHABLE)]
    Unreachable {
        /// What was asked.
        attempt: String,
        /// What the network said.
        reason: String,
    },
    /// The API server knows us, but we may not, or it doesn't know us.
    #[error("[{code}] {attempt}: {reason}", code = codes::FORBIDDEN)]
    Forbidden {
        /// What was asked.
        attempt: String,
        /// The API server's words.
        reason: String,
    },
    /// There is no such object.
    #[error("{attempt}: not found")]
    NotFound {
        /// What was asked.
        attempt: String,
    },
    /// The object changed since it was read.
    #[error("{attempt}: it changed meanwhile")]
    Conflict {
        /// What was asked.
        attempt: String,
    },
    /// The request can't be written down.
    #[error("[{code}] {attempt}: {reason}", code = codes::UNEXPECTED_ANSWER)]
    Unaskable {
        /// What was to be asked.
        attempt: String,
        /// Why not.
        reason: String,
    },
    /// Any other answer.
    #[error("[{code}] {attempt}: {status}: {reason}", code = codes::UNEXPECTED_ANSWER)]
    Unexpected {
        /// What was asked.
        attempt: String,
        /// The answer's status.
        status: StatusCode,
        /// The API server's words, if it had some.
        reason: String,
    },
}

impl ClusterError {
    /// The code of its kind; none for what is part of normal life.
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::NotConfigured(_) => Some(codes::NOT_CONFIGURED),
            Self::Unreachable { .. } => Some(codes::UNREACHABLE),
            Self::Forbidden { .. } => Some(codes::FORBIDDEN),
            Self::Unexpected { .. } | Self::Unaskable { .. } => Some(codes::UNEXPECTED_ANSWER),
            Self::NotFound { .. } | Self::Conflict { .. } => None,
        }
    }
}

/// An object as the API server gave it.
pub(super) struct Answer {
    /// The object.
    pub(super) object: Value,
    /// The API server's clock when it answered, to the second.
    pub(super) at: Option<SystemTime>,
}

impl Cluster {
    /// The cluster of the kubeconfig, or else the one that this process runs in.
    pub async fn infer() -> Result<Self, ClusterError> {
        let config = kubeconfig::infer(None)
            .await
            .map_err(|trouble| ClusterError::NotConfigured(trouble.to_string()))?;
        Self::new(config).map_err(|error| ClusterError::NotConfigured(describe(&error)))
    }

    /// The cluster of this configuration.
    pub fn new(mut config: kube::Config) -> Result<Self, kube::Error> {
        config.read_timeout = Some(SILENCE);
        config.reset_reader_on_write = true;
        let namespace = config.default_namespace.clone();
        Ok(Self { client: Client::try_from(config)?, namespace })
    }

    /// The namespace of the ServiceAccount, or of the kubeconfig's context.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// For what the client library does better than `Cluster::call`: watches.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// One request with one JSON answer. `attempt` says it in words.
    pub(super) async fn call(&self, attempt: &str, request: Request<Body>) -> Result<Answer, ClusterError> {
        let unreachable = |reason: String| ClusterError::Unreachable { attempt: attempt.to_owned(), reason };
        let exchange = async {
            let response = self.client.send(request).await.map_err(|error| describe(&error))?;
            let (parts, body) = response.into_parts();
            let body = Limited::new(body, MAX_ANSWER).collect().await.map_err(|error| error.to_string())?;
            Ok(Response::from_parts(parts, Zeroizing::new(body.to_bytes().to_vec())))
        };
        let response = timeout(CALL, exchange)
            .await
            .map_err(|_| unreachable(format!("no answer within {CALL:?}")))?
            .map_err(unreachable)?;
        judge(attempt, &response)
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

/// A request with a JSON body, or with none.
pub(super) fn request(
    attempt: &str,
    method: Method,
    path: &str,
    content_type: &'static str,
    body: Option<&Value>,
) -> Result<Request<Body>, ClusterError> {
    let body = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
    Request::builder()
        .method(method)
        .uri(path)
        .header(header::ACCEPT, "application/json")
        .header(header::CONTENT_TYPE, content_type)
        .body(Body::from(body))
        .map_err(|error| ClusterError::Unaskable { attempt: attempt.to_owned(), reason: error.to_string() })
}

/// What an answer means. The body of a success is never repeated in an error.
fn judge(attempt: &str, response: &Response<Zeroizing<Vec<u8>>>) -> Result<Answer, ClusterError> {
    let (attempt, status) = (attempt.to_owned(), response.status());
    let at = response.headers().get(header::DATE).and_then(|date| date.to_str().ok());
    let at = at.and_then(|date| httpdate::parse_http_date(date).ok());
    if status.is_success() {
        let Ok(object) = serde_json::from_slice(response.body()) else {
            let reason = "the answer is no JSON".to_owned();
            return Err(ClusterError::Unexpected { attempt, status, reason });
        };
        return Ok(Answer { object, at });
    }
    let said: Option<Value> = serde_json::from_slice(response.body()).ok();
    let message = said.as_ref().and_then(|said| said.get("message")).and_then(Value::as_str);
    let reason: String = message
        .or_else(|| status.canonical_reason())
        .unwrap_or_default()
        .chars()
        .filter(|character| !character.is_control())
        .take(MAX_MESSAGE)
        .collect();
    Err(match status {
        StatusCode::NOT_FOUND => ClusterError::NotFound { attempt },
        StatusCode::CONFLICT => ClusterError::Conflict { attempt },
        StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED => ClusterError::Forbidden { attempt, reason },
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => ClusterError::Unreachable { attempt, reason },
        _ => ClusterError::Unexpected { attempt, status, reason },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Response<Zeroizing<Vec<u8>>> {
        Response::builder().status(status).body(Zeroizing::new(body.as_bytes().to_vec())).unwrap()
    }

    #[test]
    fn each_refusal_is_told_from_the_others() {
        let status = |message: &str| format!(r#"{{"kind":"Status","message":"{message}"}}"#);
        for (code, body, expected) in [
            (401, status("Unauthorized"), Some(codes::FORBIDDEN)),
            (403, status("User x cannot get resource"), Some(codes::FORBIDDEN)),
            (404, status("not found"), None),
            (409, status("the object has been modified"), None),
            (429, "slow down".to_owned(), Some(codes::UNREACHABLE)),
            (500, status("etcdserver: no leader"), Some(codes::UNEXPECTED_ANSWER)),
            (503, String::new(), Some(codes::UNREACHABLE)),
        ] {
            let error = judge("reading x", &answer(code, &body)).err().unwrap();
            assert_eq!(error.code(), expected, "{code}");
            assert!(error.to_string().contains("reading x"), "{error}");
        }
    }

    #[test]
    fn a_success_that_is_no_json_is_not_repeated() {
        let error = judge("reading x", &answer(200, "planted-key")).err().unwrap().to_string();
        assert!(error.contains("no JSON") && !error.contains("planted"), "{error}");
    }
}
