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
pub(super) struct Freshness(Arc<Mutex<Option<Instant>>>);

impl Freshness {
    /// From now on it is stale until it is touched.
    pub(super) fn start(&self) {
        self.lock().get_or_insert_with(Instant::now);
    }

    /// It is in order now.
    pub(super) fn touch(&self) {
        *self.lock() = Some(Instant::now());
    }

    /// Seconds since it was; none if nobody keeps it.
    fn seconds(&self) -> f64 {
        self.lock().map(|since| since.elapsed().as_secs_f64()).unwrap_or_default()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
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
