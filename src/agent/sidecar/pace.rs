//! How long the sidecar waits. Pure: who calls it brings the dice.
//!
//! All waits are scattered, so that pods that started together don't ask together: not on their schedule, and not
//! when an outage ends.

use std::time::Duration;

/// Every duration of the sidecar that is not in its plan. The defaults are for production; tests shorten them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// A second of the plan.
    pub second: Duration,
    /// The longest refresh, all requests together.
    pub fetch: Duration,
    /// Upper end of the first wait after an outage.
    pub retry_first: Duration,
    /// Upper end of every wait after an outage, unless the interval is shorter.
    pub retry_longest: Duration,
    /// Longest wait after a refusal, unless the interval is longer.
    pub refused_longest: Duration,
    /// How long a former set stays beside the new one, for readers in the middle of it.
    pub keep_former: Duration,
    /// How often a lasting trouble is told again.
    pub remind: Duration,
    /// How the application is told.
    pub telling: Telling,
}

/// How often and how long the application is told of changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Telling {
    /// Longest attempt to POST.
    pub post: Duration,
    /// Before the second attempt to POST or to find a process; doubled before the third.
    pub again: Duration,
    /// Limits of POST and signal.
    pub call: Limit,
    /// Limits of restarts.
    pub restart: Limit,
}

/// So often and no oftener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// From one to the next.
    pub pause: Duration,
    /// So many within the window.
    pub most: usize,
    /// The window.
    pub window: Duration,
}

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);

impl Default for Timing {
    fn default() -> Self {
        Self {
            second: Duration::from_secs(1),
            // No slower than the client's own limit allows two requests.
            fetch: 2 * MINUTE,
            retry_first: Duration::from_secs(5),
            retry_longest: Duration::from_secs(5 * 60),
            // Somebody corrects a permission and looks whether it helped: not much longer than that.
            refused_longest: 15 * MINUTE,
            // Longer than it takes to read any set; an old secret should not lie about for longer than that.
            keep_former: Duration::from_secs(10),
            remind: 5 * MINUTE,
            telling: Telling {
                post: Duration::from_secs(10),
                again: Duration::from_secs(2),
                // Below the operator's usual minimum of `refresh`: this only bites where that was lowered.
                call: Limit { pause: Duration::from_secs(10), most: 60, window: HOUR },
                // A restart costs the application its warmth and its users some errors. One each half hour keeps up
                // with credentials of an hour; a dozen in a row leaves room for somebody at work on the environment.
                restart: Limit { pause: 5 * MINUTE, most: 12, window: 6 * HOUR },
            },
        }
    }
}

impl Timing {
    /// A number of the plan's seconds.
    pub fn seconds(&self, seconds: u64) -> Duration {
        self.second.saturating_mul(u32::try_from(seconds).unwrap_or(u32::MAX))
    }

    /// From one success to the next fetch. `chance` is in `0.0..1.0`. Never less than the interval.
    ///
    /// The first wait is scattered more: a rollout starts its pods together.
    pub fn next(&self, interval: Duration, first: bool, chance: f64) -> Duration {
        let scatter = if first { 0.5 } else { 0.1 };
        interval + interval.mul_f64(scatter * chance)
    }

    /// After so many failures in a row of reaching ESC; what ESC asked for is a minimum.
    pub fn after_outage(&self, interval: Duration, failures: u32, asked: Duration, chance: f64) -> Duration {
        let doubled = doubled(self.retry_first, failures).min(self.retry_longest).min(interval);
        // Full jitter; ESC's wish comes before it, so that not all come at the end of it.
        asked + doubled.mul_f64(chance)
    }

    /// After so many attempts in a row to open a port that somebody else holds.
    pub fn after_busy_port(&self, failures: u32, chance: f64) -> Duration {
        let wait = doubled(self.retry_first, failures).min(self.retry_longest);
        // Half of it at least: a port does not come free by being asked for.
        wait.mul_f64(0.5 + chance / 2.0)
    }

    /// After so many refusals in a row.
    pub fn after_refusal(&self, interval: Duration, refusals: u32, chance: f64) -> Duration {
        let wait = doubled(interval, refusals).min(self.refused_longest.max(interval));
        wait + interval.mul_f64(0.1 * chance)
    }
}

impl Limit {
    /// How long to wait before the next, where `ago` says how long ago the last ones were, the latest first.
    pub fn wait(&self, ago: impl Iterator<Item = Duration>) -> Duration {
        let mut ago = ago.peekable();
        let pause = ago.peek().map_or(Duration::ZERO, |&last| self.pause.saturating_sub(last));
        let oldest = ago.nth(self.most.saturating_sub(1));
        pause.max(oldest.map_or(Duration::ZERO, |oldest| self.window.saturating_sub(oldest)))
    }
}

/// `first`, twice that, four times that…; `times` counts from one.
fn doubled(first: Duration, times: u32) -> Duration {
    let factor = 1_u32.checked_shl(times.saturating_sub(1)).unwrap_or(u32::MAX);
    first.saturating_mul(factor)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const INTERVAL: Duration = Duration::from_secs(600);

    proptest! {
        #[test]
        fn waits_stay_within_their_bounds(failures in 1_u32.., chance in 0.0..1.0_f64, seconds in 1_u64..1_000_000) {
            let timing = Timing::default();
            let interval = Duration::from_secs(seconds);
            prop_assert!(timing.next(interval, true, chance) >= interval);
            prop_assert!(timing.next(interval, false, chance) <= interval.mul_f64(1.1));
            prop_assert!(timing.after_outage(interval, failures, Duration::ZERO, chance) <= interval.min(timing.retry_longest));
            prop_assert!(timing.after_outage(interval, failures, interval, chance) >= interval);
            let refused = timing.after_refusal(interval, failures, chance);
            prop_assert!(refused >= interval);
            prop_assert!(refused <= interval.max(timing.refused_longest) + interval.mul_f64(0.1));
        }
    }

    #[test]
    fn waits_grow() {
        let timing = Timing::default();
        let outages: Vec<_> =
            (1..9).map(|n| timing.after_outage(INTERVAL, n, Duration::ZERO, 1.0).as_secs()).collect();
        assert_eq!(outages, [5, 10, 20, 40, 80, 160, 300, 300]);
        let minute = Duration::from_secs(60);
        let refusals: Vec<_> = (1..7).map(|n| timing.after_refusal(minute, n, 0.0).as_secs()).collect();
        assert_eq!(refusals, [60, 120, 240, 480, 900, 900]);
    }

    #[test]
    fn limits_count_pauses_and_windows() {
        let second = Duration::from_secs;
        let limit = Limit { pause: second(10), most: 3, window: second(100) };
        let cases: [(&[u64], u64); 7] = [
            (&[], 0),
            (&[3], 7),
            (&[10], 0),
            (&[11, 25], 0),
            (&[11, 25, 60], 40),
            (&[1, 25, 99], 9),
            (&[11, 25, 101, 102], 0),
        ];
        for (ago, wait) in cases {
            assert_eq!(limit.wait(ago.iter().map(|&ago| second(ago))), second(wait), "{ago:?}");
        }
    }
}
