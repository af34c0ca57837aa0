//! What the sidecar counts, for Prometheus, and the plain port that shows it. Nothing here tells a value, a path, or
//! text that somebody else chose.

use std::{
    fmt, io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{Router, extract::State, http::StatusCode, http::header, response::IntoResponse, routing::get};
use hyper::server::conn::http1;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder, text},
    metrics::{counter::Counter, family::Family, gauge::Gauge, info::Info},
    registry::Registry,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::timeout,
};

use super::state::Moment;

/// Longest connection. A scrape takes a millisecond.
const CONNECTION: Duration = Duration::from_secs(10);

/// Connections at a time: more than there are Prometheus servers, and little memory.
const CONNECTIONS: usize = 8;

/// Largest request head. A scrape's is 300 bytes.
const MAX_HEAD: usize = 8 * 1024;

/// How a fetch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The values are there, changed or not.
    Success,
    /// ESC is unreachable, throttled or failing.
    Outage,
    /// ESC refuses, or answers what it never should.
    Refused,
    /// The values don't fit what was asked for, or can't be written.
    Undeliverable,
}

impl EncodeLabelValue for Outcome {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        match self {
            Self::Success => "success",
            Self::Outage => "outage",
            Self::Refused => "refused",
            Self::Undeliverable => "undeliverable",
        }
        .encode(encoder)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FetchLabels {
    outcome: Outcome,
}

/// How telling the application ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Telling {
    /// It was told.
    Told,
    /// It could not be.
    Failed,
}

impl EncodeLabelValue for Telling {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        match self {
            Self::Told => "told",
            Self::Failed => "failed",
        }
        .encode(encoder)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TellingLabels {
    outcome: Telling,
}

/// All of the sidecar's metrics; clones share them.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    fetches: Family<FetchLabels, Counter>,
    publishes: Counter,
    notifications: Family<TellingLabels, Counter>,
    last_success: Gauge<f64, AtomicU64>,
    stale: Gauge<f64, AtomicU64>,
    /// Milliseconds since the epoch; zero when nothing is stale.
    stale_since: Arc<AtomicU64>,
}

impl Metrics {
    /// Registers everything, so that each name is there from the first scrape.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("esc_agent");
        let fetches = Family::<FetchLabels, Counter>::default();
        for outcome in [Outcome::Success, Outcome::Outage, Outcome::Refused, Outcome::Undeliverable] {
            // Creates the series at zero: a rate over a series that begins at one misses the first event.
            fetches.get_or_create_owned(&FetchLabels { outcome });
        }
        let notifications = Family::<TellingLabels, Counter>::default();
        for outcome in [Telling::Told, Telling::Failed] {
            notifications.get_or_create_owned(&TellingLabels { outcome });
        }
        let publishes = Counter::default();
        let last_success = Gauge::default();
        let stale = Gauge::default();
        registry.register("fetches", "Fetches of all environments, by how they ended", fetches.clone());
        registry.register("publishes", "Sets of files and variables put in place", publishes.clone());
        registry.register(
            "notifications",
            "Attempts to tell the application of a change, by how they ended",
            notifications.clone(),
        );
        registry.register(
            "last_success_timestamp_seconds",
            "When the values were last known to be fresh, in seconds since the epoch",
            last_success.clone(),
        );
        registry.register(
            "stale_seconds",
            "For how long the values may be old: zero while refreshes succeed",
            stale.clone(),
        );
        registry.register("build", "What this build is", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
        Self {
            registry: Arc::new(registry),
            fetches,
            publishes,
            notifications,
            last_success,
            stale,
            stale_since: Arc::default(),
        }
    }

    /// A fetch ended.
    pub fn fetched(&self, outcome: Outcome) {
        self.fetches.get_or_create_owned(&FetchLabels { outcome }).inc();
    }

    /// A set was put in place.
    pub fn published(&self) {
        self.publishes.inc();
    }

    /// The application was told, or could not be.
    pub fn told(&self, outcome: Telling) {
        self.notifications.get_or_create_owned(&TellingLabels { outcome }).inc();
    }

    /// How fresh the values are.
    pub fn freshness(&self, last_success: Option<Moment>, stale_since: Option<Moment>) {
        if let Some(moment) = last_success {
            self.last_success.set(moment.as_secs_f64());
        }
        self.stale_since.store(stale_since.map_or(0, Moment::as_millis), Ordering::Relaxed);
    }

    /// All metrics in `OpenMetrics` text.
    pub fn render(&self) -> Result<String, fmt::Error> {
        let stale = match self.stale_since.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            since => Moment::from_millis(since).elapsed(),
        };
        self.stale.set(stale.as_secs_f64());
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

/// Opens the port on all addresses of the pod.
pub async fn listen(port: u16) -> io::Result<TcpListener> {
    match TcpListener::bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))).await {
        Ok(listener) => Ok(listener),
        // Nodes without IPv6. If it is the port that is taken, this says so again.
        Err(_) => TcpListener::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))).await,
    }
}

/// Serves until it is dropped.
pub async fn serve(listener: TcpListener, metrics: Metrics) {
    let router = Router::new().route("/metrics", get(render)).with_state(metrics);
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        // Never closed.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let router = router.clone();
                tokio::spawn(async move {
                    connection(stream, router).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::debug!("accepting a connection: {error}");
                // Out of file descriptors, most likely: others have to end first.
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, router: Router) {
    let connection = http1::Builder::new()
        .keep_alive(false)
        // The limit below covers the head too.
        .header_read_timeout(None)
        .max_header_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    match timeout(CONNECTION, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!("a connection to the metrics port: {error}"),
        Err(_) => tracing::debug!("a connection to the metrics port took too long"),
    }
}

async fn render(State(metrics): State<Metrics>) -> impl IntoResponse {
    /// What Prometheus negotiates for this text.
    const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    metrics
        .render()
        .map(|text| ([(header::CONTENT_TYPE, OPEN_METRICS)], text))
        .map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_each_name_from_the_start_and_counts_by_outcome() {
        let metrics = Metrics::new();
        for line in [
            "esc_agent_fetches_total{outcome=\"success\"} 0\n",
            "esc_agent_fetches_total{outcome=\"undeliverable\"} 0\n",
            "esc_agent_publishes_total 0\n",
            "esc_agent_notifications_total{outcome=\"failed\"} 0\n",
            "esc_agent_stale_seconds 0.0\n",
        ] {
            let text = metrics.render().unwrap();
            assert!(text.contains(line), "{line} not in\n{text}");
        }
        metrics.fetched(Outcome::Outage);
        metrics.freshness(Some(Moment::from_millis(1_763_823_851_500)), Some(Moment::from_millis(1)));
        let text = metrics.render().unwrap();
        assert!(text.contains("esc_agent_fetches_total{outcome=\"outage\"} 1\n"), "{text}");
        assert!(text.contains("esc_agent_last_success_timestamp_seconds 1763823851.5\n"), "{text}");
        assert!(!text.contains("esc_agent_stale_seconds 0.0\n"), "{text}");
        metrics.freshness(Some(Moment::now()), None);
        assert!(metrics.render().unwrap().contains("esc_agent_stale_seconds 0.0\n"));
    }
}
