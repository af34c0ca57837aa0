//! The whole flow on one machine: a local ESC, the webhook over TLS, the API server's part, and the containers of the
//! injected pod as processes.
//!
//! Everything but the API server and the kubelet is the real thing. [`apiserver`] and [`kubelet`] stand in for those
//! two; [`check`] holds what arrived against what stands in ESC. [`story`] tells it all in order.

pub mod apiserver;
pub mod certificates;
pub mod check;
pub mod identity;
pub mod kubelet;
mod narrator;
pub mod services;
pub mod story;
