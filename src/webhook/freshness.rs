//! How long ago something last was in order, told as a metric at the moment of the scrape.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::gauge::ConstGauge,
};
use tokio::time::Instant;

/// When something last was in order; clones share it. It begins as something that nobody keeps.
#[derive(Debug, Clone, Default)]
pub(super) struct Freshness(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// When it last was in order; none if nobody keeps it.
    since: Option<Instant>,
    /// It has been ever since.
    lasts: bool,
}

impl Freshness {
    /// From now on it is stale until it is touched.
    pub(super) fn start(&self) {
        self.lock().since.get_or_insert_with(Instant::now);
    }

    /// It is in order now.
    pub(super) fn touch(&self) {
        *self.lock() = State { since: Some(Instant::now()), lasts: false };
    }

    /// It is in order now, and until it breaks.
    pub(super) fn lasts(&self) {
        *self.lock() = State { since: Some(Instant::now()), lasts: true };
    }

    /// It is not in order, and nobody can say that it was since it was last said to be.
    pub(super) fn broke(&self) {
        self.lock().lasts = false;
    }

    /// Seconds since it was in order; 0 while it is, and if nobody keeps it.
    fn seconds(&self) -> f64 {
        let state = self.lock();
        match state.since {
            Some(since) if !state.lasts => since.elapsed().as_secs_f64(),
            _ => 0.0,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The age of a [`Freshness`] as a gauge.
#[derive(Debug)]
pub(super) struct Stale {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    pub(super) freshness: Freshness,
}

impl Collector for Stale {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let gauge = ConstGauge::new(self.freshness.seconds());
        gauge.encode(encoder.encode_descriptor(self.name, self.help, None, gauge.metric_type())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether it grows older.
    fn ages(freshness: &Freshness) -> bool {
        let before = freshness.seconds();
        // The clock stands still for a moment at most.
        (0..1_000_000).any(|_| freshness.seconds() > before)
    }

    #[test]
    fn what_lasts_is_fresh_until_it_breaks_and_then_as_old_as_its_last_sign() {
        let freshness = Freshness::default();
        assert!(!ages(&freshness), "nobody keeps it");
        freshness.clone().start();
        assert!(ages(&freshness));
        freshness.lasts();
        assert!(!ages(&freshness));
        freshness.broke();
        assert!(ages(&freshness));
        let age = freshness.seconds();
        freshness.broke();
        assert!(freshness.seconds() >= age, "a second failure does not make it younger");
        freshness.touch();
        assert!(ages(&freshness));
    }
}
