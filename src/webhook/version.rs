//! Which release the API server is of: asked at the start and now and then, since clusters are upgraded under running
//! webhooks.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use http::Method;
use serde_json::Value;
use tokio::time::sleep;

use super::cluster::{Cluster, ClusterError, request};
use crate::inject::version::Version;

/// Time between questions: what a new release makes possible can wait for that long.
const INTERVAL: Duration = Duration::from_secs(600);

/// Time between questions that were not answered.
const RETRY: Duration = Duration::from_secs(15);

/// The release that is known last; clones share it.
// Major in the upper half and minor in the lower, so that no reader sees half of a change; zero is none.
#[derive(Debug, Clone, Default)]
pub struct ApiServer(Arc<AtomicU64>);

impl ApiServer {
    /// The release, once it is known.
    pub fn release(&self) -> Option<Version> {
        let packed = self.0.load(Ordering::Relaxed);
        let half = |bits: u64| u32::try_from(bits).unwrap_or_default();
        let (major, minor) = (half(packed >> 32), half(packed & u64::from(u32::MAX)));
        (major > 0).then(|| Version::new(major, minor))
    }

    /// Notes the release.
    pub fn set(&self, release: Version) {
        let packed = u64::from(release.major()) << 32 | u64::from(release.minor());
        self.0.store(packed, Ordering::Relaxed);
    }

    /// Asks for as long as it is polled. What was known stays while nobody answers.
    pub async fn follow(self, cluster: Cluster) -> Infallible {
        let mut is_silent = false;
        loop {
            match ask(&cluster).await {
                Ok(Some(release)) => {
                    if self.release() != Some(release) {
                        tracing::info!(%release, "the API server's release");
                    }
                    self.set(release);
                    is_silent = false;
                    sleep(INTERVAL).await;
                    continue;
                }
                Ok(None) if !is_silent => {
                    tracing::warn!("the API server's release can't be read from its answer");
                }
                Err(error) if !is_silent => {
                    tracing::warn!("the API server's release is not known: {error}");
                }
                Ok(None) | Err(_) => {}
            }
            is_silent = true;
            sleep(RETRY).await;
        }
    }
}

async fn ask(cluster: &Cluster) -> Result<Option<Version>, ClusterError> {
    const ATTEMPT: &str = "asking for the API server's version";
    let question = request(ATTEMPT, Method::GET, "/version", "application/json", None)?;
    Ok(read(&cluster.call(ATTEMPT, question).await?.object))
}

/// The release whose behaviour the server shows: with an emulated one, features go by that.
fn read(version: &Value) -> Option<Version> {
    let text = |key: &str| version.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    let major = text("emulationMajor").or_else(|| text("major"))?;
    let minor = text("emulationMinor").or_else(|| text("minor"))?;
    format!("{major}.{minor}").parse().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_release_is_the_one_that_is_emulated() {
        for (answer, expected) in [
            (json!({"major": "1", "minor": "36"}), Some((1, 36))),
            (json!({"major": "1", "minor": "35+"}), Some((1, 35))),
            (
                json!({"major": "1", "minor": "36", "emulationMajor": "1", "emulationMinor": "34"}),
                Some((1, 34)),
            ),
            (json!({"major": "1", "minor": ""}), None),
            (json!({"kind": "Status"}), None),
        ] {
            assert_eq!(read(&answer), expected.map(|(major, minor)| Version::new(major, minor)), "{answer}");
        }
    }

    #[test]
    fn what_is_noted_is_known_to_all_clones() {
        let known = ApiServer::default();
        assert_eq!(known.release(), None);
        known.clone().set(Version::new(1, 38));
        assert_eq!(known.release(), Some(Version::new(1, 38)));
    }
}
