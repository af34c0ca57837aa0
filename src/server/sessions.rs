//! Opened environments, until they expire or there are too many.
//!
//! A session is a snapshot: editing a file does not change what was opened before.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use subtle::ConstantTimeEq;

use super::{
    names::EnvironmentName,
    principal::Principal,
    random::{NoRandomness, hex, random},
};
use crate::lang::value::Value;

/// What was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Subject {
    /// An environment.
    Environment(EnvironmentName),
    /// A definition that somebody sent, within an organization.
    Anonymous(String),
}

/// Sessions that are kept; the oldest goes first. Clients read right after opening, so this is many times what
/// is in flight even when a whole cluster starts.
const MAX_SESSIONS: usize = 4096;

/// What all sessions together may hold, in [`Value::weight`].
const MAX_WEIGHT: usize = 256 << 20;

/// Every open session.
#[derive(Debug, Default)]
pub(super) struct Sessions(Mutex<Open>);

#[derive(Debug, Default)]
struct Open {
    by_age: VecDeque<Session>,
    weight: usize,
}

#[derive(Debug)]
struct Session {
    id: String,
    owner: Principal,
    subject: Subject,
    value: Value,
    expires: SystemTime,
}

impl Sessions {
    /// Keeps an opened environment for its owner, and gives the session's id.
    pub(super) fn open(
        &self,
        owner: Principal,
        subject: Subject,
        value: Value,
        lifetime: Duration,
        now: SystemTime,
    ) -> Result<String, NoRandomness> {
        let id = hex(&random::<16>()?);
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        open.by_age.retain(|session| now < session.expires);
        open.weight = open.by_age.iter().map(|session| session.value.weight()).sum();
        open.weight += value.weight();
        while open.by_age.len() >= MAX_SESSIONS || open.weight > MAX_WEIGHT {
            let Some(oldest) = open.by_age.pop_front() else { break };
            open.weight -= oldest.value.weight();
        }
        let expires = now + lifetime;
        open.by_age.push_back(Session { id: id.clone(), owner, subject, value, expires });
        Ok(id)
    }

    /// The environment behind an id, if it was opened by the same identity as the same thing and has not
    /// expired.
    pub(super) fn read(
        &self,
        id: &str,
        owner: &Principal,
        subject: &Subject,
        now: SystemTime,
    ) -> Option<Value> {
        let open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        open.by_age
            .iter()
            .find(|session| bool::from(session.id.as_bytes().ct_eq(id.as_bytes())))
            .filter(|session| session.owner == *owner && session.subject == *subject)
            .filter(|session| now < session.expires)
            .map(|session| session.value.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::Arc,
        time::{Duration, SystemTime},
    };

    use super::{MAX_SESSIONS, MAX_WEIGHT, Sessions};
    use crate::{
        lang::{
            diagnostic::Range,
            value::{Properties, Value},
        },
        server::{names::EnvironmentName, principal::Principal, sessions::Subject},
    };

    const HOUR: Duration = Duration::from_secs(3600);

    fn range() -> Range {
        Range::start_of(&Arc::from("p/e"))
    }

    fn environment(name: &str) -> Subject {
        Subject::Environment(EnvironmentName::new("acme", "p", name).unwrap())
    }

    fn open(sessions: &Sessions, value: Value, now: SystemTime) -> String {
        sessions.open(Principal::Dev, environment("e"), value, HOUR, now).unwrap()
    }

    fn empty() -> Value {
        Value::object(Properties::new(), range())
    }

    #[test]
    fn is_bound_to_its_identity_environment_and_time() {
        let sessions = Sessions::default();
        let now = SystemTime::now();
        let id = open(&sessions, empty(), now);
        let other = Principal::Workload {
            organization: "acme".to_owned(),
            subject: "s".to_owned(),
            token_type: crate::esc::token_type::TokenType::Organization,
            right: None,
            ceiling: crate::server::right::Right::Open,
        };
        let read = |id: &str, owner, name, now| sessions.read(id, owner, &environment(name), now).is_some();
        assert!(read(&id, &Principal::Dev, "e", now));
        assert!(read(&id, &Principal::Dev, "e", now + HOUR - Duration::from_secs(1)));
        assert!(!read(&id, &Principal::Dev, "e", now + HOUR));
        assert!(!read(&id, &Principal::Dev, "f", now));
        assert!(!read(&id, &other, "e", now));
        assert!(!read("", &Principal::Dev, "e", now));
    }

    #[test]
    fn drops_the_oldest_when_there_are_too_many() {
        let sessions = Sessions::default();
        let now = SystemTime::now();
        let ids: Vec<_> = (0..=MAX_SESSIONS).map(|_| open(&sessions, empty(), now)).collect();
        let read = |id: &str| sessions.read(id, &Principal::Dev, &environment("e"), now).is_some();
        assert!(!read(&ids[0]));
        assert!(read(&ids[1]));
    }

    #[test]
    fn drops_the_oldest_when_they_hold_too_much() {
        let sessions = Sessions::default();
        let now = SystemTime::now();
        let large = Value::string("x".repeat(MAX_WEIGHT / 4), false, range());
        let ids: Vec<_> = (0..4).map(|_| open(&sessions, large.clone(), now)).collect();
        let read = |id: &str| sessions.read(id, &Principal::Dev, &environment("e"), now).is_some();
        assert!(!read(&ids[0]));
        assert!(read(&ids[1]));
    }
}
