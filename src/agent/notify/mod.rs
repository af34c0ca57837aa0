//! Tells the application that its values changed: a POST, a signal, or a restart of the pod's containers.
//!
//! What is told is only that something changed. The limits of how often are kept by the caller, in
//! [`Limit`](super::sidecar::pace::Limit).

mod post;
pub mod process;
mod signal;

pub use post::Poster;
pub use signal::send as signal;
