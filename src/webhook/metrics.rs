//! What the webhook counts, for Prometheus. No label ever holds text that somebody else chose.

use std::{
    fmt,
    sync::{Arc, atomic::AtomicU64},
    time::{Duration, UNIX_EPOCH},
};

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder, text},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram, info::Info},
    registry::Registry,
};

use super::{
    certs::Certificate,
    freshness::{Freshness, Stale},
    record::{Endpoint, Outcome},
};

/// From 100 µs, since an admission takes about that, to 5 s, where the API server has given up.
const DURATION_BUCKETS: [f64; 15] =
    [1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];

/// How an admission can end.
const OF_PODS: [Outcome; 4] = [Outcome::Injected, Outcome::Skipped, Outcome::Rejected, Outcome::Error];
/// How the check of a workload can end.
const OF_WORKLOADS: [Outcome; 5] =
    [Outcome::Passed, Outcome::Warned, Outcome::Skipped, Outcome::Rejected, Outcome::Error];

impl EncodeLabelValue for Outcome {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        self.as_str().encode(encoder)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AdmissionLabels {
    outcome: Outcome,
}

/// All of the webhook's metrics; clones share them.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    admissions: Family<AdmissionLabels, Counter>,
    checks: Family<AdmissionLabels, Counter>,
    duration: Histogram,
    in_flight: Gauge,
    certificate_expiry: Gauge<f64, AtomicU64>,
    reload_failures: Counter,
    handshake_failures: Counter,
    certificate_sync: Freshness,
    bundles_overwritten: Counter,
    namespace_watch: Freshness,
}

impl Metrics {
    /// Registers everything, so that each name is there from the first scrape.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("esc_injector");
        // Creates the series at zero: a rate over a series that begins at one misses the first event.
        let family = |outcomes: &[Outcome]| {
            let family = Family::<AdmissionLabels, Counter>::default();
            for &outcome in outcomes {
                family.get_or_create_owned(&AdmissionLabels { outcome });
            }
            family
        };
        let (admissions, checks) = (family(&OF_PODS), family(&OF_WORKLOADS));
        let duration = Histogram::new(DURATION_BUCKETS);
        let in_flight = Gauge::default();
        let certificate_expiry = Gauge::default();
        let reload_failures = Counter::default();
        let handshake_failures = Counter::default();
        let certificate_sync = Freshness::default();
        let bundles_overwritten = Counter::default();
        let namespace_watch = Freshness::default();
        registry.register("admissions", "Admission reviews answered, by how they ended", admissions.clone());
        registry.register("workload_checks", "Workloads checked, by how that ended", checks.clone());
        registry.register(
            "admission_duration_seconds",
            "From the request's head to the answer, of admissions and checks",
            duration.clone(),
        );
        registry.register("inflight_requests", "Admission requests being answered", in_flight.clone());
        registry.register(
            "certificate_expiry_timestamp_seconds",
            "When the serving certificate ends, in seconds since the epoch",
            certificate_expiry.clone(),
        );
        registry.register(
            "certificate_reload_failures",
            "Readings of the certificate files that gave no usable pair",
            reload_failures.clone(),
        );
        registry.register("tls_handshake_failures", "TLS handshakes that failed", handshake_failures.clone());
        registry.register_collector(Box::new(Stale {
            name: "namespace_watch_stale_seconds",
            help: "For how long the watch on namespaces has not been alive; 0 while it is",
            freshness: namespace_watch.clone(),
        }));
        registry.register_collector(Box::new(Stale {
            name: "certificate_sync_stale_seconds",
            help: "Since the certificates kept in the cluster were last known to be in order; 0 if none are kept there",
            freshness: certificate_sync.clone(),
        }));
        registry.register(
            "ca_bundle_overwritten",
            "Times that a caBundle of ours was found overwritten, and put back",
            bundles_overwritten.clone(),
        );
        registry.register("build", "What this build is", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
        Self {
            registry: Arc::new(registry),
            admissions,
            checks,
            duration,
            in_flight,
            certificate_expiry,
            reload_failures,
            handshake_failures,
            certificate_sync,
            bundles_overwritten,
            namespace_watch,
        }
    }

    /// An admission or a check was answered. The time is that of both.
    pub fn admission(&self, endpoint: Endpoint, outcome: Outcome, took: Duration) {
        let family = match endpoint {
            Endpoint::Asked | Endpoint::All => &self.admissions,
            Endpoint::Workloads => &self.checks,
        };
        family.get_or_create_owned(&AdmissionLabels { outcome }).inc();
        self.duration.observe(took.as_secs_f64());
    }

    /// Where the watch on namespaces says whether it is alive.
    pub(super) fn namespace_watch(&self) -> &Freshness {
        &self.namespace_watch
    }

    /// An admission failed without an answer whose time would mean anything.
    pub fn admission_failed(&self) {
        self.admissions.get_or_create_owned(&AdmissionLabels { outcome: Outcome::Error }).inc();
    }

    /// A request is being answered for as long as the guard lives.
    pub fn in_flight(&self) -> InFlight {
        self.in_flight.inc();
        InFlight(self.in_flight.clone())
    }

    /// This certificate is served from now on.
    pub fn certificate(&self, certificate: &Certificate) {
        if let Some(end) = certificate.not_after().and_then(|end| end.duration_since(UNIX_EPOCH).ok()) {
            self.certificate_expiry.set(end.as_secs_f64());
        }
    }

    /// The certificate files held nothing usable.
    pub fn certificate_reload_failed(&self) {
        self.reload_failures.inc();
    }

    /// Certificates are kept in the cluster from now on: what is not in order is stale.
    pub fn certificates_are_kept(&self) {
        self.certificate_sync.start();
    }

    /// The certificates kept in the cluster are in order.
    pub fn certificates_in_order(&self) {
        self.certificate_sync.touch();
    }

    /// A caBundle of ours was overwritten.
    pub fn bundle_overwritten(&self) {
        self.bundles_overwritten.inc();
    }

    /// A TLS handshake failed.
    pub fn handshake_failed(&self) {
        self.handshake_failures.inc();
    }

    /// All metrics in `OpenMetrics` text.
    pub fn render(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

/// Counts one request as in flight until it is dropped, however it ends.
#[derive(Debug)]
pub struct InFlight(Gauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_by_outcome_and_forgets_finished_requests() {
        let metrics = Metrics::new();
        let guard = metrics.in_flight();
        assert!(metrics.render().unwrap().contains("esc_injector_inflight_requests 1\n"));
        drop(guard);
        metrics.admission(Endpoint::Asked, Outcome::Injected, Duration::from_micros(180));
        metrics.admission(Endpoint::Workloads, Outcome::Warned, Duration::from_secs(1));
        let text = metrics.render().unwrap();
        for line in [
            "esc_injector_inflight_requests 0\n",
            "esc_injector_admissions_total{outcome=\"injected\"} 1\n",
            "esc_injector_admissions_total{outcome=\"rejected\"} 0\n",
            "esc_injector_workload_checks_total{outcome=\"warned\"} 1\n",
            "esc_injector_workload_checks_total{outcome=\"passed\"} 0\n",
            "esc_injector_namespace_watch_stale_seconds 0.0\n",
            "esc_injector_admission_duration_seconds_bucket{le=\"0.0001\"} 0\n",
            "esc_injector_admission_duration_seconds_bucket{le=\"0.00025\"} 1\n",
        ] {
            assert!(text.contains(line), "{line} not in\n{text}");
        }
    }
}
