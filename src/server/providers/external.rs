//! The provider and the rotator `external`: whatever a service of the user's answers.
//!
//! The service is asked by a POST over https, and told by a signed token which environment asks, for whom, and the
//! hash of the body. What it answers appears in values alone, never in a message.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use reqwest::{Client, StatusCode, Url, header};
use ring::digest::{SHA256, digest};
use serde_json::{Value as Json, json};

use super::{Hosts, Opened, Pending, Provider, ProviderError, Request, Rotator};
use crate::{
    client,
    esc::{
        render::{Format, render},
        value::{Kind, Value},
    },
    lang::{
        schema::Schema,
        seam::{ProviderSchema, RotatorSchema},
    },
    secret::Secret,
    server::signing::Signer,
};

/// Largest answer that is read: the size of the largest definition, into which a rotator's goes.
const MAX_ANSWER: usize = 512 << 10;

/// How deep an answer may nest; values in general may nest a little deeper.
const MAX_DEPTH: usize = 48;

/// Longest time to wait for an answer of a provider. A rotator may take as long as a rotation may.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks services.
pub(in crate::server) struct External {
    signer: Arc<Signer>,
    hosts: Hosts,
    client: Client,
}

impl External {
    /// Sets it up. `authorities` (PEM) are trusted beside the public ones.
    pub(in crate::server) fn new(
        signer: Arc<Signer>,
        hosts: Hosts,
        authorities: Option<&str>,
    ) -> Result<Self, String> {
        let client = client::direct(authorities, Some(Arc::new(hosts.clone())))?;
        Ok(Self { signer, hosts, client })
    }

    async fn ask(&self, request: Request<'_>, body: Secret) -> Result<Value, ProviderError> {
        let refused = |reason: &str| ProviderError::Refused(format!("external: {reason}"));
        let url = match request.inputs.get("url").map(|value| &value.kind) {
            Some(Kind::String(url)) => url.expose_str().unwrap_or_default(),
            _ => "",
        };
        let place = Url::parse(url).ok().filter(|place| {
            place.scheme() == "https" && place.username().is_empty() && place.password().is_none()
        });
        let place = place.ok_or_else(|| refused("`url` must be an https URL"))?;
        if !self.hosts.allow(&place) {
            return Err(refused("this server does not call the host in `url`"));
        }
        let token = self
            .signer
            .sign(url, &subject(request), claims(request, &body))
            .map_err(|error| refused(&error.to_string()))?;
        let mut bearer = header::HeaderValue::from_bytes(&[b"Bearer ", token.expose()].concat())
            .map_err(|_| refused("the token can't be sent"))?;
        bearer.set_sensitive(true);
        let asked = self
            .client
            .post(place)
            .header(header::AUTHORIZATION, bearer)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json")
            .body(body.expose().to_vec())
            .send()
            .await;
        let mut response = asked
            .map_err(|error| refused(&format!("no answer from the service: {}", client::reason(&error))))?;
        if response.status() != StatusCode::OK {
            return Err(refused(&format!("the service answers {}", response.status().as_u16())));
        }
        let mut answer = zeroize::Zeroizing::new(Vec::new());
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if answer.len() + chunk.len() > MAX_ANSWER => {
                    return Err(refused(&format!("the answer is larger than {MAX_ANSWER} bytes")));
                }
                Ok(Some(chunk)) => answer.extend_from_slice(&chunk),
                Ok(None) => break,
                Err(_) => return Err(refused("the answer ended early")),
            }
        }
        let json: Json = serde_json::from_slice(&answer).map_err(|_| refused("the answer is no JSON"))?;
        if !json.is_object() {
            return Err(refused("the answer is no JSON object"));
        }
        value(json, true, 0).ok_or_else(|| refused("the answer nests too deep"))
    }
}

/// Who asks.
fn subject(request: Request<'_>) -> String {
    format!("pulumi:environments:org:{}:env:{}", request.caller.organization, request.root_environment)
}

fn claims(request: Request<'_>, body: &Secret) -> Json {
    let organization = &request.caller.organization;
    let hash = STANDARD.encode(digest(&SHA256, body.expose()).as_ref());
    json!({
        "org": organization,
        "env": request.root_environment,
        "current_env": format!("{organization}/{}", request.environment),
        "root_env": format!("{organization}/{}", request.root_environment),
        "trigger_user": request.caller.login,
        "body_hash": format!("sha256-{hash}"),
    })
}

/// An answer as values. None if it nests too deep.
fn value(json: Json, secret: bool, depth: usize) -> Option<Value> {
    if depth > MAX_DEPTH {
        return None;
    }
    let kind = match json {
        Json::Null => Kind::Null,
        Json::Bool(flag) => Kind::Bool(flag),
        Json::Number(number) => Kind::Number(Secret::from(number.as_str())),
        Json::String(text) => Kind::String(Secret::from(text)),
        Json::Array(items) => {
            Kind::Array(items.into_iter().map(|item| value(item, secret, depth + 1)).collect::<Option<_>>()?)
        }
        Json::Object(fields) => {
            let fields = fields.into_iter().map(|(key, field)| Some((key, value(field, secret, depth + 1)?)));
            Kind::Object(fields.collect::<Option<_>>()?)
        }
    };
    Some(Value { kind, secret })
}

/// The same, but public.
fn published(value: Value) -> Value {
    let kind = match value.kind {
        Kind::Array(items) => Kind::Array(items.into_iter().map(published).collect()),
        Kind::Object(fields) => {
            Kind::Object(fields.into_iter().map(|(key, field)| (key, published(field))).collect())
        }
        other => other,
    };
    Value { kind, secret: false }
}

fn empty() -> Value {
    Value { kind: Kind::Object(BTreeMap::new()), secret: false }
}

fn one(name: &str, value: Value) -> Value {
    Value { kind: Kind::Object(BTreeMap::from([(name.to_owned(), value)])), secret: false }
}

fn body(value: &Value) -> Result<Secret, ProviderError> {
    let failed = |_| ProviderError::Refused("external: the request can't be written as JSON".to_owned());
    render(value, Format::Json).map_err(failed)
}

impl Provider for External {
    fn schema(&self) -> ProviderSchema {
        let inputs = Schema::record([
            ("url", Schema::string()),
            ("request", Schema::of_type("object")),
            ("secret", Schema::of_type("boolean")),
        ])
        .closed();
        let outputs = Schema::record([("response", Schema::of_type("object"))]);
        ProviderSchema {
            inputs: Arc::new(inputs.optional(&["request", "secret"])),
            outputs: Arc::new(outputs),
        }
    }

    fn open<'a>(&'a self, request: Request<'a>) -> Pending<'a, Opened> {
        Box::pin(async move {
            let body = body(request.inputs.get("request").unwrap_or(&empty()))?;
            let asked = tokio::time::timeout(PATIENCE, self.ask(request, body)).await;
            let limit = || ProviderError::TimedOut { name: "external".to_owned(), limit: PATIENCE };
            let answer = asked.map_err(|_| limit())??;
            let public =
                matches!(request.inputs.get("secret").map(|value| &value.kind), Some(Kind::Bool(false)));
            Ok(one("response", if public { published(answer) } else { answer }).into())
        })
    }
}

impl Rotator for External {
    fn schema(&self) -> RotatorSchema {
        let inputs = Schema::record([("url", Schema::string()), ("request", Schema::of_type("object"))]);
        let inputs = inputs.closed().optional(&["request"]).rotate_only(&["request"]);
        let state = Arc::new(Schema::record([("current", Schema::of_type("object"))]));
        RotatorSchema { inputs: Arc::new(inputs), state: Arc::clone(&state), outputs: state }
    }

    fn open<'a>(&'a self, _: Request<'a>, state: Option<&'a Value>) -> Pending<'a, Opened> {
        let value = match state {
            Some(Value { kind, .. }) => Value { kind: kind.clone(), secret: true },
            None => empty(),
        };
        Box::pin(std::future::ready(Ok(value.into())))
    }

    fn rotate<'a>(&'a self, request: Request<'a>, state: Option<&'a Value>) -> Pending<'a, Value> {
        Box::pin(async move {
            let current = match state.map(|state| &state.kind) {
                Some(Kind::Object(fields)) => fields.get("current").cloned(),
                _ => None,
            };
            let asked = request.inputs.get("request").cloned().unwrap_or_else(empty);
            let none = Value { kind: Kind::Null, secret: false };
            let fields = [("request".to_owned(), asked), ("state".to_owned(), current.unwrap_or(none))];
            let body = body(&Value { kind: Kind::Object(fields.into()), secret: true })?;
            Ok(one("current", self.ask(request, body).await?))
        })
    }
}
