//! Questions to the API server. Every answer is an object or a reason why there is none; no token is ever part of
//! either.

use std::time::Duration;

use http::{Request, header};
use kube::Client;
use serde_json::Value;
use tokio::time::timeout;

use super::Settings;
use crate::{inject::problem::one_line, kubeconfig::describe};

/// Longest that one question may take.
const CALL: Duration = Duration::from_secs(15);

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The API server does not know who asks, in its words.
    Unauthenticated(String),
    /// Not allowed, in the API server's words.
    Forbidden(String),
    /// No such object.
    Absent,
    /// No answer.
    Silent(String),
    /// Anything else, in the API server's words.
    Other(String),
}

/// The API server.
#[derive(Clone)]
pub struct Api {
    client: Client,
}

impl Api {
    /// Asks through this client.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// For those who ask by themselves.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Reads an object.
    pub async fn get(&self, path: &str) -> Result<Value, Refusal> {
        self.send(Request::get(path).body(Vec::new())).await
    }

    /// Sends an object.
    pub async fn post(&self, path: &str, object: &Value) -> Result<Value, Refusal> {
        let request = Request::post(path).header(header::CONTENT_TYPE, "application/json");
        self.send(request.body(object.to_string().into_bytes())).await
    }

    async fn send(&self, request: Result<Request<Vec<u8>>, http::Error>) -> Result<Value, Refusal> {
        let request = request.map_err(|error| Refusal::Other(error.to_string()))?;
        match timeout(CALL, self.client.request(request)).await {
            Ok(Ok(object)) => Ok(object),
            Ok(Err(kube::Error::Api(status))) => Err(match status.code {
                401 => Refusal::Unauthenticated(one_line(&status.message)),
                403 => Refusal::Forbidden(one_line(&status.message)),
                404 => Refusal::Absent,
                _ => Refusal::Other(one_line(&status.message)),
            }),
            // It may quote the answer.
            Ok(Err(kube::Error::SerdeError(_))) => Err(Refusal::Other("no JSON".to_owned())),
            Ok(Err(error)) => Err(Refusal::Silent(one_line(&describe(&error)))),
            Err(_) => Err(Refusal::Silent(format!("no answer within {} s", CALL.as_secs()))),
        }
    }
}

/// Where the webhook's Deployment is.
pub fn deployment(settings: &Settings) -> String {
    let Settings { name, home, .. } = settings;
    format!("/apis/apps/v1/namespaces/{home}/deployments/{name}")
}
