//! Why the agent gives up, in the shapes that its readers need: a log line, a termination message, an exit code.

use rustix::io::Errno;

use super::{binary::CopyError, content::Problem, fetch::FetchError, publish::PublishError};
use crate::{
    client::{AccessError, Cause},
    codes::{Code, delivery as codes},
};

/// Kubelet keeps this much of a termination message.
const TERMINATION_MESSAGE_LIMIT: usize = 4096;

/// A failure that ends the agent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("[{code}] {what}")]
pub struct Failure {
    /// Its stable code.
    pub code: Code,
    /// What kind it is.
    pub kind: Kind,
    /// What was attempted, on what, and why it failed.
    pub what: String,
    /// What to do about it, where more can be said than the code says.
    fix: Option<String>,
}

/// Kinds of failure, as exit codes tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The pod's identity is refused.
    Denied,
    /// ESC is out of reach.
    Unreachable,
    /// It may work later.
    Temporary,
    /// The environment's content does not fit what was asked for.
    Data,
    /// The pod or the operator has to change something.
    Configuration,
    /// A defect of ours.
    Internal,
    /// The pod is going away.
    Interrupted,
}

impl Failure {
    /// A failure in our own words.
    pub fn new(code: Code, kind: Kind, what: impl Into<String>) -> Self {
        Self { code, kind, what: what.into(), fix: None }
    }

    /// What to do about it.
    pub fn fix(&self) -> &str {
        self.fix.as_deref().unwrap_or(self.code.entry().fix)
    }

    /// `[ESC301] what. Fix: … More: …`, cut in the middle if it is too long for kubelet, so that fix and hint are there.
    pub fn termination_message(&self) -> String {
        let mut head = self.to_string();
        let stop = if head.ends_with(['.', '?']) { "" } else { "." };
        let hint = crate::codes::hint(&head).unwrap_or_default();
        let tail = format!("{stop} Fix: {} {hint}", self.fix());
        let room = TERMINATION_MESSAGE_LIMIT.saturating_sub(tail.len());
        if head.len() > room {
            const ELLIPSIS: char = '…';
            let room = room.saturating_sub(ELLIPSIS.len_utf8());
            let end = (0..=room).rev().find(|&end| head.is_char_boundary(end)).unwrap_or(0);
            head.truncate(end);
            head.push(ELLIPSIS);
        }
        head + &tail
    }
}

impl From<AccessError> for Failure {
    fn from(error: AccessError) -> Self {
        Self { fix: error.fix(), ..Self::new(error.code(), kind(&error.cause), error.to_string()) }
    }
}

/// All refusals in one failure. The first gives code and kind.
impl From<FetchError> for Failure {
    fn from(error: FetchError) -> Self {
        let first = error.first();
        Self { fix: first.fix(), ..Self::new(error.code(), kind(&first.cause), error.to_string()) }
    }
}

fn kind(cause: &Cause) -> Kind {
    match cause {
        Cause::Unreachable { .. } => Kind::Unreachable,
        Cause::Throttled { .. } | Cause::Failing { .. } | Cause::Conflict | Cause::SessionGone => {
            Kind::Temporary
        }
        Cause::ExchangeRefused { .. }
        | Cause::Unauthenticated
        | Cause::Forbidden
        | Cause::ApprovalNeeded { .. } => Kind::Denied,
        Cause::Definition(_) | Cause::TooLarge { .. } => Kind::Data,
        Cause::Untrusted { .. }
        | Cause::Misconfigured { .. }
        | Cause::NoToken { .. }
        | Cause::NotFound
        | Cause::BadRequest
        | Cause::Malformed { .. } => Kind::Configuration,
    }
}

impl From<PublishError> for Failure {
    fn from(error: PublishError) -> Self {
        let (code, kind) = volume(Some(error.errno));
        Self::new(code, kind, error.to_string())
    }
}

impl From<CopyError> for Failure {
    fn from(error: CopyError) -> Self {
        let (code, kind) = volume(Errno::from_io_error(&error.source));
        Self::new(code, kind, error.to_string())
    }
}

fn volume(errno: Option<Errno>) -> (Code, Kind) {
    match errno {
        Some(Errno::NOSPC | Errno::DQUOT | Errno::FBIG) => (codes::VOLUME_FULL, Kind::Configuration),
        Some(Errno::ROFS | Errno::ACCESS | Errno::PERM) => (codes::VOLUME_READ_ONLY, Kind::Configuration),
        _ => (codes::VOLUME_FAILED, Kind::Temporary),
    }
}

/// All that keeps the values from being delivered, in one failure. The first problem gives the code.
impl From<Vec<Problem>> for Failure {
    fn from(problems: Vec<Problem>) -> Self {
        let Some(first) = problems.first().map(Problem::code) else {
            return Self::new(codes::DEFECT, Kind::Internal, "a failure without a problem");
        };
        let told = problems.iter().map(|problem| match problem.code() {
            code if code == first => problem.to_string(),
            code => format!("[{code}] {problem}"),
        });
        let what = told.collect::<Vec<_>>().join("; ");
        Self::new(first, Kind::Data, what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn termination_message_keeps_the_fix_and_fits() {
        let short = Failure::new(codes::NUL, Kind::Data, "variable A holds a NUL byte");
        assert_eq!(
            short.termination_message(),
            "[ESC407] variable A holds a NUL byte. Fix: Deliver the value as a file. More: esc-injector explain ESC407"
        );
        let long = Failure::new(codes::NUL, Kind::Data, "ä".repeat(5000)).termination_message();
        assert!(long.len() <= TERMINATION_MESSAGE_LIMIT && long.len() > TERMINATION_MESSAGE_LIMIT - 4);
        assert!(
            long.ends_with("ä…. Fix: Deliver the value as a file. More: esc-injector explain ESC407"),
            "{long}"
        );
        // A code that is cut away is still explained.
        let several = format!("{}; [ESC415] variable B", "ä".repeat(5000));
        let several = Failure::new(codes::NUL, Kind::Data, several).termination_message();
        assert!(
            several.len() <= TERMINATION_MESSAGE_LIMIT && several.ends_with("ESC407 ESC415"),
            "{several}"
        );
    }
}
