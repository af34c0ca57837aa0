//! The Helm chart: what its values do, what it refuses, and that it asks for no more than it needs.
//!
//! Needs Helm 3 and 4, which `tests/cluster/install` builds: `cargo test --test chart -- --ignored`.
#![allow(
    clippy::unwrap_in_result,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub,
    reason = "tests fail by panicking, and nobody else reads them"
)]

mod admission;
mod helm;
mod notes;
mod objects;
mod rendering;
mod rights;
mod schema;
mod security;
mod values;
