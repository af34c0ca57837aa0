//! What injection promises of a pod, through the one function that decides it.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    missing_docs,
    reason = "tests fail by panicking"
)]

mod awkward;
mod kubelet;
mod properties;
mod refresh;
mod refusals;
mod repair;
mod resources;
mod skips;
mod support;
mod views;
