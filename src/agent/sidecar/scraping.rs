//! The port for metrics, which somebody else may hold for a while: a container of the pod that is about to end, or on the
//! node's network another pod.

use super::{
    super::metrics::{self, Metrics},
    pace::Timing,
};
use crate::{client::chance, codes::refresh as codes};

/// Opens the port, again and again until it can be had, and serves until it is dropped. That it can't is told once.
pub(super) async fn serve(port: u16, metrics: Metrics, timing: Timing) {
    let mut failures = 0_u32;
    let listener = loop {
        match metrics::listen(port).await {
            Ok(listener) => break listener,
            Err(error) => {
                failures = failures.saturating_add(1);
                let wait = timing.after_busy_port(failures, chance());
                if failures == 1 {
                    tracing::warn!(
                        code = codes::METRICS_PORT.id(),
                        fix = codes::METRICS_PORT.entry().fix,
                        more = codes::METRICS_PORT.command(),
                        "opening the metrics port {port}: {error}; trying again"
                    );
                }
                tokio::time::sleep(wait).await;
            }
        }
    };
    if failures > 0 {
        tracing::info!(failures, "the metrics port {port} is open now");
    }
    metrics::serve(listener, metrics).await;
}
