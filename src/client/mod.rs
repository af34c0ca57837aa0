//! ESC over HTTP: authenticate, open, read.
//!
//! Two calls per environment: one `open`, one read of the whole session; paths are looked up by the caller. Values
//! leave only as [`crate::esc::value::Value`]. Errors, logs and `Debug` never show a token, a session id or an
//! answer's body; of ESC's own words only the summaries of diagnostics are passed on.

mod api;
mod auth;
mod callback;
mod diagnostic;
mod endpoint;
mod error;
mod identity;
mod retry;
mod tls;
mod transport;

pub use api::{Answered, Client, Settings};
pub use auth::Credentials;
pub use callback::{callback, direct, reason};
pub use diagnostic::Diagnostic;
pub use error::{AccessError, Action, Cause};
pub use identity::Identity;
pub(crate) use retry::chance;
pub use retry::{Budget, Repeat};
