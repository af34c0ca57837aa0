//! What keeps the values from being fresh, and how often that is worth a warning.

use std::time::{Duration, Instant};

use super::super::{deliver::Undeliverable, failure::Failure, fetch::FetchError, metrics::Outcome};
use crate::{
    codes::{Code, refresh as codes},
    esc::lookup::NotFound,
};

/// Why a refresh failed.
#[derive(Debug)]
pub(super) struct Trouble {
    /// What it means for the values.
    pub(super) code: Code,
    pub(super) outcome: Outcome,
    /// The cause, with its own code.
    pub(super) failure: Failure,
    /// What the log is told besides, and only the log.
    pub(super) missing: Vec<NotFound>,
}

impl Trouble {
    /// The values don't fit what the pod asks for.
    pub(super) fn content(why: Undeliverable) -> Self {
        let (failure, missing) = why.untold();
        Self { code: codes::STALE_CONTENT, outcome: Outcome::Undeliverable, failure, missing }
    }

    /// They do, but can't be written.
    pub(super) fn volume(failure: Failure) -> Self {
        Self { code: codes::STALE_VOLUME, outcome: Outcome::Undeliverable, failure, missing: Vec::new() }
    }
}

impl From<FetchError> for Trouble {
    fn from(error: FetchError) -> Self {
        let (code, outcome) = if error.is_outage() {
            (codes::STALE_OUTAGE, Outcome::Outage)
        } else {
            (codes::STALE_REFUSED, Outcome::Refused)
        };
        Self { code, outcome, failure: error.into(), missing: Vec::new() }
    }
}

/// The trouble we are in, if any.
#[derive(Debug)]
pub(super) struct Troubles {
    remind: Duration,
    current: Option<Current>,
}

#[derive(Debug)]
struct Current {
    code: Code,
    times: u32,
    told: Option<Instant>,
}

impl Troubles {
    pub(super) fn new(remind: Duration) -> Self {
        Self { remind, current: None }
    }

    /// Trouble of this kind; tells how many times in a row.
    pub(super) fn again(&mut self, code: Code) -> u32 {
        match &mut self.current {
            Some(current) if current.code == code => {
                current.times = current.times.saturating_add(1);
                current.times
            }
            current => {
                *current = Some(Current { code, times: 1, told: None });
                1
            }
        }
    }

    /// Whether it is time to tell of it: at once, and then now and again.
    pub(super) fn is_to_be_told(&mut self) -> bool {
        let Some(current) = &mut self.current else { return false };
        if current.told.is_some_and(|told| told.elapsed() < self.remind) {
            return false;
        }
        current.told = Some(Instant::now());
        true
    }

    /// All is well; tells what was not.
    pub(super) fn over(&mut self) -> Option<Code> {
        self.current.take().map(|current| current.code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lasting_trouble_is_told_once_and_a_new_one_at_once() {
        let mut troubles = Troubles::new(Duration::MAX);
        assert_eq!(troubles.over(), None);
        assert_eq!(troubles.again(codes::STALE_OUTAGE), 1);
        assert!(troubles.is_to_be_told());
        assert_eq!(troubles.again(codes::STALE_OUTAGE), 2);
        assert!(!troubles.is_to_be_told());
        assert_eq!(troubles.again(codes::STALE_REFUSED), 1);
        assert!(troubles.is_to_be_told());
        assert_eq!(troubles.over(), Some(codes::STALE_REFUSED));
        assert_eq!(troubles.again(codes::STALE_REFUSED), 1);
        assert!(troubles.is_to_be_told());
    }
}
