//! What time it is for certificates.

use std::time::{Duration, SystemTime};

use crate::codes::cluster as codes;

/// How far our clock may be from the API server's before its clock is used. It tells whole seconds, and takes a while
/// to arrive.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(30);

/// Our clock, set by the API server's if it is far from it: the API server judges our certificates by its own.
#[derive(Debug, Default)]
pub(super) struct Clock {
    ahead: Duration,
    behind: Duration,
}

impl Clock {
    /// Takes in what the API server's clock said between two moments of ours.
    pub(super) fn compare(&mut self, at: Option<SystemTime>, before: SystemTime, after: SystemTime) {
        let Some(at) = at else { return };
        let ahead = before.duration_since(at).unwrap_or_default();
        let behind = at.duration_since(after).unwrap_or_default();
        let far = |apart: Duration| if apart > CLOCK_TOLERANCE { apart } else { Duration::ZERO };
        let (ahead, behind) = (far(ahead), far(behind));
        let is_far = |clock: &Self| clock.ahead + clock.behind > Duration::ZERO;
        let was_far = is_far(self);
        *self = Self { ahead, behind };
        if is_far(self) && !was_far {
            let seconds = (ahead + behind).as_secs();
            let direction = if ahead > behind { "ahead of" } else { "behind" };
            let code = codes::CLOCK_APART.id();
            tracing::warn!(
                code,
                seconds,
                "this machine's clock is {direction} the API server's, which is used"
            );
        }
    }

    pub(super) fn of(&self, ours: SystemTime) -> SystemTime {
        ours.checked_sub(self.ahead).unwrap_or(SystemTime::UNIX_EPOCH) + self.behind
    }

    pub(super) fn now(&self) -> SystemTime {
        self.of(SystemTime::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_servers_clock_counts_only_when_ours_is_far_from_it() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let second = Duration::from_secs(1);
        for (at, expected) in [
            (None, now),
            (Some(now), now),
            (Some(now - 20 * second), now),
            (Some(now + 20 * second), now),
            (Some(now - 1000 * second), now - 1000 * second),
            (Some(now + 1000 * second), now + 1000 * second),
        ] {
            let mut clock = Clock::default();
            clock.compare(at, now, now);
            assert_eq!(clock.of(now), expected);
            // And ours counts again once it is right.
            clock.compare(Some(now), now, now);
            assert_eq!(clock.of(now), now);
        }
    }
}
