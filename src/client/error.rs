//! Why the environment can't be had: what was attempted, on what, and what stood in the way.

use std::{fmt, path::PathBuf};

use super::{
    diagnostic::{self, Diagnostic},
    identity::Identity,
};
use crate::{
    codes::{Code, access as codes},
    esc::value::WireError,
};

/// Something between us and the environment failed.
///
/// Where the way to ESC is the trouble, it says which ESC: who reads it may not know, and it may be the wrong one.
#[derive(Debug, thiserror::Error)]
#[error("{action}{}: {cause}", if names_esc(action, cause) { format!(" at {esc}") } else { String::new() })]
pub struct AccessError {
    /// What was attempted.
    pub action: Action,
    /// ESC's address.
    pub esc: String,
    /// What stood in the way.
    pub cause: Cause,
}

/// A thing to attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Preparing the way to ESC.
    Connect {
        /// ESC's address.
        url: String,
    },
    /// Reading the token that proves who we are.
    Token {
        /// The file that holds it.
        file: PathBuf,
    },
    /// Exchanging the pod's token for one of ESC's.
    Exchange {
        /// Whose token is asked for.
        organization: String,
    },
    /// Opening an environment.
    Open {
        /// Its reference.
        environment: String,
    },
    /// Reading the opened environment.
    Read {
        /// Its reference.
        environment: String,
    },
}

/// What stood in the way.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// No answer at all.
    #[error("{why} (tried {})", times(*attempts))]
    Unreachable {
        /// The last attempt's reason.
        why: String,
        /// How often it was tried.
        attempts: u32,
        /// Whether the connection was turned away, rather than not answered.
        refused: bool,
    },
    /// 429 to the end.
    #[error("ESC limits the rate of requests (tried {})", times(*attempts))]
    Throttled {
        /// How often it was tried.
        attempts: u32,
    },
    /// 5xx to the end.
    #[error("ESC answered {status} (tried {}{})", times(*attempts), request(request_id.as_deref()))]
    Failing {
        /// The last answer's status.
        status: u16,
        /// How often it was tried.
        attempts: u32,
        /// What ESC's support can find it by.
        request_id: Option<String>,
    },
    /// The certificate does not prove that it is ESC.
    #[error("the server's certificate is not trusted: {why}")]
    Untrusted {
        /// The verifier's words.
        why: String,
    },
    /// The address, the proxy or the CA certificates are unusable.
    #[error("{why}")]
    Misconfigured {
        /// What is wrong.
        why: String,
    },
    /// No token to show.
    #[error("{why}")]
    NoToken {
        /// What is wrong with the file.
        why: String,
    },
    /// The exchange was refused.
    #[error("ESC refused the pod's identity{} ({status})", subject(identity.as_deref()))]
    ExchangeRefused {
        /// The answer's status.
        status: u16,
        /// Whom the token speaks of, if that can be read.
        identity: Option<Box<Identity>>,
    },
    /// 401.
    #[error("ESC does not accept the access token (401)")]
    Unauthenticated,
    /// 403.
    #[error("no permission (403)")]
    Forbidden,
    /// The environment opens only with an approval.
    #[error("opening this environment needs an approved request ({status})")]
    ApprovalNeeded {
        /// The answer's status.
        status: u16,
    },
    /// 404.
    #[error("ESC knows no such environment or version, or hides it from this identity (404)")]
    NotFound,
    /// 400 with what is wrong in the environment.
    #[error("the environment has errors: {}", diagnostic::list(.0))]
    Definition(Vec<Diagnostic>),
    /// 400 without.
    #[error("ESC takes the request for malformed (400)")]
    BadRequest,
    /// 409.
    #[error("the environment is being changed (409)")]
    Conflict,
    /// 404 for a session that was just opened.
    #[error("the session vanished right after it was opened, twice")]
    SessionGone,
    /// Not what ESC answers.
    #[error("{why}")]
    Malformed {
        /// What came instead, never quoting it.
        why: String,
    },
    /// More than we read.
    #[error("{why}")]
    TooLarge {
        /// What there is too much of.
        why: String,
    },
}

impl AccessError {
    /// Its stable code.
    pub fn code(&self) -> Code {
        match self.cause {
            Cause::Unreachable { .. } => codes::UNREACHABLE,
            Cause::Throttled { .. } => codes::THROTTLED,
            Cause::Failing { .. } => codes::FAILING,
            Cause::Untrusted { .. } => codes::UNTRUSTED,
            Cause::Misconfigured { .. } => codes::ADDRESS,
            Cause::NoToken { .. } => codes::TOKEN_FILE,
            Cause::ExchangeRefused { .. } => codes::EXCHANGE_REFUSED,
            Cause::Unauthenticated => codes::UNAUTHENTICATED,
            Cause::Forbidden => codes::FORBIDDEN,
            Cause::ApprovalNeeded { .. } => codes::APPROVAL,
            Cause::NotFound => codes::NOT_FOUND,
            Cause::Definition(_) => codes::DEFINITION,
            Cause::BadRequest => codes::BAD_REQUEST,
            Cause::Conflict => codes::CONFLICT,
            Cause::SessionGone => codes::SESSION_GONE,
            Cause::Malformed { .. } => codes::MALFORMED,
            Cause::TooLarge { .. } => codes::TOO_LARGE,
        }
    }

    /// What to do about it, in the words of this very pod; nothing where the code's own words are as good.
    pub fn fix(&self) -> Option<String> {
        match (&self.action, &self.cause) {
            (Action::Exchange { organization }, Cause::ExchangeRefused { identity: Some(identity), .. }) => {
                let Identity { issuer, subject, audience } = &**identity;
                Some(format!(
                    "Register the OIDC issuer `{issuer}` in organization {organization}, and add a policy that allows \
                     `sub: {subject}` with `aud: {audience}`."
                ))
            }
            _ => None,
        }
    }

    /// Whether ESC as a whole was out of order for as long as we tried, rather than refusing us.
    pub fn is_outage(&self) -> bool {
        matches!(self.cause, Cause::Unreachable { .. } | Cause::Throttled { .. } | Cause::Failing { .. })
    }
}

fn names_esc(action: &Action, cause: &Cause) -> bool {
    let is_on_the_way = matches!(
        cause,
        Cause::Unreachable { .. } | Cause::Throttled { .. } | Cause::Failing { .. } | Cause::Untrusted { .. }
    );
    is_on_the_way && !matches!(action, Action::Connect { .. })
}

impl From<WireError> for Cause {
    fn from(error: WireError) -> Self {
        match error {
            WireError::Malformed { .. } => Self::Malformed { why: error.to_string() },
            WireError::TooManyValues => Self::TooLarge { why: error.to_string() },
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect { url } => write!(f, "connecting to {url}"),
            Self::Token { file } => write!(f, "reading the token {}", file.display()),
            Self::Exchange { organization } => {
                write!(f, "exchanging the pod's token for one of organization {organization}")
            }
            Self::Open { environment } => write!(f, "opening {environment}"),
            Self::Read { environment } => write!(f, "reading {environment}"),
        }
    }
}

fn times(attempts: u32) -> String {
    match attempts {
        1 => "once".to_owned(),
        more => format!("{more} times"),
    }
}

fn subject(identity: Option<&Identity>) -> String {
    identity.map(|identity| format!(" {}", identity.subject)).unwrap_or_default()
}

fn request(id: Option<&str>) -> String {
    id.map(|id| format!("; request id {id}")).unwrap_or_default()
}
