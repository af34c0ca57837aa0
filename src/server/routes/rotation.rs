//! Rotating the secrets of an environment.

use axum::{
    extract::{Extension, Request, State},
    response::Response,
};
use serde::Deserialize;
use serde_json::json;

use super::{
    super::{
        audit::Peer,
        error::ApiError,
        right::Right,
        rotation::{self, Rotated, Wanted},
    },
    AppState, Entered, answer, body, time,
};

/// Without paths everything is rotated: a misspelt word must not mean that.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rotate {
    /// Pulumi's command line writes it with a capital letter.
    #[serde(default, alias = "Paths")]
    paths: Option<Vec<String>>,
}

/// `POST …/rotate`.
pub(super) async fn rotate(
    State(app): AppState,
    entered: Entered,
    peer: Option<Extension<Peer>>,
    request: Request,
) -> Result<Response, ApiError> {
    entered.require(&app, Right::Write).await?;
    let Rotate { paths } = body::json(request).await?;
    let Entered { principal, environment, noted } = entered;
    let login = principal.author().login;
    let wanted = Wanted {
        principal,
        environment,
        paths: paths.unwrap_or_default(),
        from: peer.map(|Extension(Peer(address))| address.ip().to_string()),
    };
    let rotated = rotation::rotate(&app, wanted).await?;
    if let Some(revision) = rotated.after {
        noted.revision(revision);
    }
    answer(&json!({ "id": rotated.id, "secretRotationEvent": event(&rotated, &login) }))
}

fn event(rotated: &Rotated, login: &str) -> serde_json::Value {
    let status = |failed: bool| if failed { "failed" } else { "succeeded" };
    let secrets: Vec<_> = rotated
        .secrets
        .iter()
        .map(|secret| {
            let mut described = json!({
                "id": secret.id,
                "environmentPath": secret.path,
                "status": status(secret.failure.is_some()),
            });
            if let (Some(reason), Some(described)) = (&secret.failure, described.as_object_mut()) {
                described.insert("errorMessage".to_owned(), json!(reason));
            }
            described
        })
        .collect();
    let mut event = json!({
        "id": rotated.id,
        "environmentId": rotated.environment,
        "created": time(rotated.begun),
        "completed": time(rotated.ended),
        "preRotationRevision": rotated.before,
        "userID": login,
        "status": status(rotated.secrets.iter().any(|secret| secret.failure.is_some())),
        "rotations": secrets,
    });
    if let (Some(revision), Some(event)) = (rotated.after, event.as_object_mut()) {
        event.insert("postRotationRevision".to_owned(), json!(revision));
    }
    event
}
