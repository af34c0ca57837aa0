//! The plain port: liveness, readiness, metrics. Nothing here tells anything about a pod.
//!
//! Readiness is a latch. Every part that has something to wait for at the start takes a [`Part`]; when the last of
//! them is done the webhook is ready, and stays so until it leaves. What goes stale later is told by metrics: a
//! webhook that serves well with what it has must not be taken out of service.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::{Router, extract::State, http::StatusCode, http::header, response::IntoResponse, routing::get};

use super::metrics::Metrics;

/// Whether traffic should come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// Not yet, and for whom it waits: a line for each part.
    Starting(Vec<String>),
    /// Yes.
    Ready,
    /// No longer: what still comes is served, but new traffic should go elsewhere.
    Draining,
}

/// The state that `/readyz` tells; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Health(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    listening: bool,
    draining: bool,
    parts: Vec<(&'static str, Wait)>,
}

/// Where a part stands.
#[derive(Debug)]
enum Wait {
    For(String),
    Over,
}

impl Health {
    /// A part that readiness waits for. All parts are taken before [`Health::listening`].
    pub fn part(&self, name: &'static str, waits_for: &str) -> Part {
        let mut inner = self.lock();
        inner.parts.push((name, Wait::For(waits_for.to_owned())));
        Part { health: self.clone(), place: inner.parts.len() - 1 }
    }

    /// The ports are open: readiness depends on the parts alone now.
    pub fn listening(&self) {
        self.lock().listening = true;
    }

    /// Unready from now on.
    pub fn drain(&self) {
        self.lock().draining = true;
    }

    /// Where it stands.
    pub fn readiness(&self) -> Readiness {
        let inner = self.lock();
        if inner.draining {
            return Readiness::Draining;
        }
        let mut waits: Vec<_> = inner
            .parts
            .iter()
            .filter_map(|(name, wait)| match wait {
                Wait::For(what) => Some(format!("{name}: {what}")),
                Wait::Over => None,
            })
            .collect();
        if !inner.listening {
            waits.push("ports: opening".to_owned());
        }
        if waits.is_empty() { Readiness::Ready } else { Readiness::Starting(waits) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One thing that readiness waits for.
#[derive(Debug)]
pub struct Part {
    health: Health,
    place: usize,
}

impl Part {
    /// Says what it waits for now. Anybody on the network may read it. Once done, a part stays done.
    pub fn waits_for(&self, what: impl Into<String>) {
        if let Some((_, wait @ Wait::For(_))) = self.health.lock().parts.get_mut(self.place) {
            *wait = Wait::For(what.into());
        }
    }

    /// It waits no more.
    pub fn done(&self) {
        if let Some((_, wait)) = self.health.lock().parts.get_mut(self.place) {
            *wait = Wait::Over;
        }
    }

    /// Whether it waits no more.
    pub fn is_done(&self) -> bool {
        matches!(self.health.lock().parts.get(self.place), Some((_, Wait::Over)))
    }
}

/// What the plain port serves.
pub(super) fn router(health: Health, metrics: Metrics) -> Router {
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(readyz).with_state(health))
        .route("/metrics", get(render).with_state(metrics))
}

async fn readyz(State(health): State<Health>) -> (StatusCode, String) {
    match health.readiness() {
        Readiness::Starting(waits) => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("starting\n{}\n", waits.join("\n")))
        }
        Readiness::Ready => (StatusCode::OK, "ok\n".to_owned()),
        Readiness::Draining => (StatusCode::SERVICE_UNAVAILABLE, "draining\n".to_owned()),
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
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::*;

    async fn get(router: &Router, path: &str) -> (u16, String) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn readiness_waits_for_every_part_and_liveness_for_none() {
        let health = Health::default();
        let router = router(health.clone(), Metrics::new());
        let (one, other) = (health.part("one", "the moon"), health.part("other", "rain"));
        one.waits_for("the sun");
        assert_eq!(
            get(&router, "/readyz").await,
            (503, "starting\none: the sun\nother: rain\nports: opening\n".into())
        );
        one.done();
        health.listening();
        assert_eq!(get(&router, "/readyz").await, (503, "starting\nother: rain\n".into()));
        for path in ["/livez", "/metrics"] {
            assert_eq!(get(&router, path).await.0, 200, "{path}");
        }
        other.done();
        assert_eq!(get(&router, "/readyz").await, (200, "ok\n".into()));
        health.drain();
        assert_eq!(get(&router, "/readyz").await, (503, "draining\n".into()));
    }

    #[test]
    fn a_part_that_is_done_never_waits_again() {
        let health = Health::default();
        let part = health.part("one", "x");
        health.listening();
        part.done();
        part.waits_for("y");
        assert!(part.is_done());
        assert_eq!(health.readiness(), Readiness::Ready);
    }

    #[test]
    fn without_parts_it_is_ready_once_it_listens() {
        let health = Health::default();
        assert!(matches!(health.readiness(), Readiness::Starting(_)));
        health.listening();
        assert_eq!(health.readiness(), Readiness::Ready);
    }
}
