//! What answers go by: what the operator settled, and what the cluster says.

use super::{namespaces::Namespaces, version::ApiServer};
use crate::inject::Policy;

/// What an answer goes by.
#[derive(Debug, Clone)]
pub struct Rules {
    /// What the operator settled for pods.
    pub policy: Policy,
    /// What namespaces say.
    pub namespaces: Namespaces,
    /// Which release the API server is of.
    pub api_server: ApiServer,
    /// What is answered for workloads.
    pub workload_checks: WorkloadChecks,
}

/// What is answered for a workload whose pods would be refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WorkloadChecks {
    /// It is allowed, with a warning for each problem.
    #[default]
    Warn,
    /// It is denied.
    Deny,
    /// Nothing is checked.
    Off,
}
