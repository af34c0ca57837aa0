//! Keeps the certificates that the webhook makes itself: the only part of them that does I/O.

use std::sync::Arc;

use super::{Lifetimes, Served};
use crate::webhook::{cluster::Cluster, health::Part, metrics::Metrics};

/// Certificates of an authority that all replicas share: kept in a Secret, told to the API server by `caBundle`.
#[derive(Debug, Clone)]
pub struct SelfManaged {
    /// Where Secret and webhook configurations are.
    pub cluster: Cluster,
    /// The namespace of Secret and Service.
    pub namespace: String,
    /// The Service that the API server calls; its name is the certificate's.
    pub service: String,
    /// The Secret with the authority. It must exist; empty is enough.
    pub secret: String,
    /// The name of both webhook configurations.
    pub configuration: String,
    /// How long things live.
    pub lifetimes: Lifetimes,
}

impl SelfManaged {
    /// Keeps the served certificate good, forever.
    pub(in crate::webhook) async fn keep(self, part: Part, _served: Arc<Served>, _metrics: Metrics) {
        part.waits_for("nothing makes certificates yet");
    }
}
