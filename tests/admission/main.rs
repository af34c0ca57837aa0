//! The webhook as an API server meets it: through real sockets.
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

mod answers;
mod apiserver;
mod authority;
mod by_hand;
mod certificates;
mod client;
mod limits;
mod namespace_api;
mod namespaces;
mod process;
mod reviews;
mod setup;
mod told;
mod workloads;
