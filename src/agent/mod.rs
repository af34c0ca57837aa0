//! Inside the pod: fetch the environment, publish it to tmpfs, start the application, keep it fresh.
//!
//! [`plan`], [`mesh`], [`signal`] and [`wrapper`] are the contract with the webhook and are pure; [`content`], [`envfile`] and
//! [`kubelet`] are pure too. Everything else does I/O.

pub mod binary;
pub mod content;
pub mod deliver;
pub mod envfile;
pub mod exec;
pub mod failure;
pub mod fetch;
pub mod init;
pub mod kubelet;
pub mod mesh;
pub mod metrics;
pub mod notify;
pub mod plan;
pub mod publish;
pub mod sidecar;
pub mod signal;
pub mod state;
pub mod wrapper;

pub use failure::{Failure, Kind};
pub use init::{Options, Report, init, read_plan};
pub use sidecar::{Restart, sidecar};
