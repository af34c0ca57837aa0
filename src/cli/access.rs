//! What commands that talk to an ESC share: the token, and what a failure means for the exit code.

use std::path::PathBuf;

use super::exit::{Exit, Failure};
use crate::{
    client::{AccessError, Cause, Credentials},
    secret::Secret,
};

/// Where ESC's own tools look for the token.
const VARIABLE: &str = "PULUMI_ACCESS_TOKEN";

/// The token in a file, or in the variable that ESC's own tools read.
pub fn credentials(file: Option<PathBuf>) -> Result<Credentials, Failure> {
    if let Some(file) = file {
        return Ok(Credentials::Static { file });
    }
    let token = std::env::var(VARIABLE).ok().map(Secret::from);
    match token.filter(|token| !token.expose().trim_ascii().is_empty()) {
        Some(token) => Ok(Credentials::Given { token: Secret::new(token.expose().trim_ascii().to_vec()) }),
        None => Err(Failure::new(Exit::Usage, format!("set {VARIABLE}, or give --token-file"))),
    }
}

/// A failure with the exit code that scripts rely on.
pub fn failure(error: &AccessError) -> Failure {
    let exit = match &error.cause {
        Cause::Unreachable { .. } | Cause::Untrusted { .. } => Exit::Unreachable,
        Cause::Throttled { .. } | Cause::Failing { .. } | Cause::Conflict | Cause::SessionGone => {
            Exit::Temporary
        }
        Cause::Misconfigured { .. } | Cause::NoToken { .. } => Exit::Configuration,
        Cause::ExchangeRefused { .. }
        | Cause::Unauthenticated
        | Cause::Forbidden
        | Cause::ApprovalNeeded { .. } => Exit::Denied,
        Cause::NotFound
        | Cause::Definition(_)
        | Cause::BadRequest
        | Cause::Malformed { .. }
        | Cause::TooLarge { .. } => Exit::Data,
    };
    Failure::new(exit, format!("[{}] {error}. Fix: {}", error.code(), error.code().entry().fix))
}
