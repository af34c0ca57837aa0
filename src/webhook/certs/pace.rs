//! How fast things are tried again.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    time::Duration,
};

use tokio::time::Instant;

use super::bundle::Bundles;

/// Who wins when something else sets the bundle as well: we, but ever more slowly.
#[derive(Debug, Default)]
pub(super) struct Repairs {
    /// The bundle that was last seen in place everywhere, and in which objects: a configuration that was made anew was
    /// not overwritten.
    in_place: Option<(String, Vec<String>)>,
    /// Repairs in a row, and the moment of the last one.
    last: Option<(u32, Instant)>,
}

/// What to do about a bundle that is not in place.
pub(super) enum Repair {
    /// It never was: nobody overwrote it.
    Ours,
    /// Put it back.
    Now,
    /// Put it back later.
    Hold(Duration),
}

impl Repairs {
    pub(super) fn seen(&mut self, bundle: String, bundles: &Bundles) {
        let uids = bundles.0.iter().map(|configuration| configuration.uid().to_owned()).collect();
        self.in_place = Some((bundle, uids));
    }

    pub(super) fn overwritten(
        &mut self,
        bundle: &str,
        uid: &str,
        retry: Duration,
        most: Duration,
        forget: Duration,
    ) -> Repair {
        let was_there =
            |(seen, uids): &(String, Vec<String>)| seen == bundle && uids.iter().any(|known| known == uid);
        if !self.in_place.as_ref().is_some_and(was_there) {
            return Repair::Ours;
        }
        let now = Instant::now();
        let (count, wait) = match self.last {
            Some((count, last)) if now < last + forget => {
                let wait = most.min(retry.saturating_mul(1 << count.min(16)));
                (count + 1, (last + wait).saturating_duration_since(now))
            }
            _ => (1, Duration::ZERO),
        };
        if !wait.is_zero() {
            return Repair::Hold(wait + jitter(retry / 4));
        }
        self.last = Some((count, now));
        Repair::Now
    }
}

/// A wait that doubles with each failure, and differs between replicas.
pub(super) fn back_off(first: Duration, most: Duration, failures: u32) -> Duration {
    let wait = most.min(first.saturating_mul(1 << failures.min(16)));
    wait / 2 + jitter(wait / 2)
}

/// A random part of a duration.
pub(super) fn jitter(most: Duration) -> Duration {
    // Randomly seeded, and not worth a generator of its own.
    let random = RandomState::new().build_hasher().finish();
    let nanos = u64::try_from(most.as_nanos()).unwrap_or(u64::MAX);
    Duration::from_nanos(random.checked_rem(nanos).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_grows_and_ends_growing() {
        let (first, most) = (Duration::from_millis(500), Duration::from_secs(60));
        for (failures, at_least, at_most) in
            [(0, 250, 500), (1, 500, 1000), (7, 30_000, 60_000), (99, 30_000, 60_000)]
        {
            let wait = back_off(first, most, failures).as_millis();
            assert!((at_least..=at_most).contains(&wait), "{failures}: {wait}");
        }
        assert_eq!(jitter(Duration::ZERO), Duration::ZERO);
    }
}
