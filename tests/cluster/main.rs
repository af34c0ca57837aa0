//! The whole product on the real Kubernetes of `tests/cluster/up`, the chart installed by Helm.
//!
//! In `node` everything runs as in production: webhook, ESC and applications are pods.
//!
//! In all others a replica of the webhook is a process of this machine on an address of its own, with the chart's command
//! line and the rights of the chart's ServiceAccount, behind the chart's Service. Pods are created as users and
//! controllers create them, and stay Pending.
#![allow(
    clippy::unwrap_in_result,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::disallowed_methods,
    missing_docs,
    unreachable_pub,
    reason = "tests fail by panicking, and nobody else reads them"
)]

mod admission;
mod certificates;
mod faults;
mod install;
mod namespaces;
mod neighbours;
mod node;
mod policies;
mod secrets;
mod support;
mod upgrade;
