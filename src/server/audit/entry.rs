//! A line of the audit log.

use serde::{Deserialize, Serialize};

use crate::server::rfc3339;

/// One line. Times are RFC 3339, to the second.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When the request was answered.
    pub time: String,
    /// What was asked for, such as `environment.open`.
    pub action: String,
    /// Who asked: a login, or an organization. Absent when nobody signed in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// Who the identity token or the access token says it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// `organization/project/environment`, or the organization alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The revision that was read or made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
    /// What exactly, where action and target leave it open, such as `team:payments open`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The answer's status.
    pub status: u16,
    /// `allowed`, `denied` (401, 403, 404) or `failed`.
    pub outcome: Outcome,
    /// The client's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// How many refusals this line stands for: those like an earlier one, of callers who have not signed in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// When that earlier one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
}

impl Entry {
    /// A line that says when (in seconds since the epoch), what, and how it ended; the rest is to be filled in.
    pub(in crate::server) fn new(time: u64, action: &str, status: u16) -> Self {
        Self {
            time: rfc3339(time),
            action: action.to_owned(),
            actor: None,
            subject: None,
            target: None,
            revision: None,
            detail: None,
            status,
            outcome: Outcome::of(status),
            from: None,
            count: None,
            since: None,
        }
    }
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It did what it should.
    Allowed,
    /// The asker may not, or must not know.
    Denied,
    /// Something else was wrong.
    Failed,
}

impl Outcome {
    /// What a status means.
    pub(in crate::server) fn of(status: u16) -> Self {
        match status {
            200..300 => Self::Allowed,
            401 | 403 | 404 => Self::Denied,
            _ => Self::Failed,
        }
    }
}
