//! The plain port: liveness, readiness, metrics. Nothing here tells anything about a pod.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use axum::{Router, extract::State, http::StatusCode, http::header, response::IntoResponse, routing::get};

use super::metrics::Metrics;

/// Whether traffic should come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Readiness {
    /// Not yet: certificates or listeners are missing.
    Starting,
    /// Yes.
    Ready,
    /// No longer: what still comes is served, but new traffic should go elsewhere.
    Draining,
}

/// The state that `/readyz` tells; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Health(Arc<AtomicU8>);

impl Health {
    /// Where it stands.
    pub fn readiness(&self) -> Readiness {
        match self.0.load(Ordering::Acquire) {
            0 => Readiness::Starting,
            1 => Readiness::Ready,
            _ => Readiness::Draining,
        }
    }

    /// Where it stands from now on.
    pub fn set(&self, readiness: Readiness) {
        self.0.store(readiness as u8, Ordering::Release);
    }
}

/// What the plain port serves.
pub(super) fn router(health: Health, metrics: Metrics) -> Router {
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(readyz).with_state(health))
        .route("/metrics", get(render).with_state(metrics))
}

async fn readyz(State(health): State<Health>) -> (StatusCode, &'static str) {
    match health.readiness() {
        Readiness::Starting => (StatusCode::SERVICE_UNAVAILABLE, "starting\n"),
        Readiness::Ready => (StatusCode::OK, "ok\n"),
        Readiness::Draining => (StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
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
    use axum::{body::Body, http::Request};
    use tower::ServiceExt;

    use super::*;

    #[tokio::test]
    async fn readiness_follows_the_state_and_liveness_does_not() {
        let health = Health::default();
        let router = router(health.clone(), Metrics::new());
        for (state, expected) in
            [(None, 503), (Some(Readiness::Ready), 200), (Some(Readiness::Draining), 503)]
        {
            if let Some(state) = state {
                health.set(state);
            }
            for (path, expected) in [("/readyz", expected), ("/livez", 200), ("/metrics", 200)] {
                let request = Request::get(path).body(Body::empty()).unwrap();
                let response = router.clone().oneshot(request).await.unwrap();
                assert_eq!(response.status().as_u16(), expected, "{path} when {state:?}");
            }
        }
    }
}
