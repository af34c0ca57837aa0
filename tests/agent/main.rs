//! The agent and the exec wrapper, driven as kubelet drives them: the real binary, a real plan, real directories.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::disallowed_methods,
    missing_docs,
    unreachable_pub,
    reason = "tests fail by panicking"
)]

mod certificates;
mod content;
mod delivery;
mod exec;
mod fault;
mod faults;
mod golden;
mod harness;
mod live;
mod local;
mod secrets;
mod sidecar;
mod telling;
mod volumes;
mod ways;
