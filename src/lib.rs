//! Delivers Pulumi ESC secrets and configuration to Kubernetes pods.
//!
//! One binary is the admission webhook, the in-pod agent, the exec wrapper, the offline tools and a local
//! ESC-compatible server. The map:
//!
//! | module | what it is for | may do I/O |
//! |---|---|---|
//! | [`inject`] | annotations ▶ request ▶ plan ▶ patch | no |
//! | [`webhook`] | serves admissions over TLS | yes |
//! | [`agent`] | inside the pod: fetch, publish, exec | yes |
//! | [`esc`] | the ESC domain: references, paths, values, projections, formats | no |
//! | [`client`] | ESC over HTTP | yes |
//! | [`manifest`] | manifests offline: where pods are, what injection makes of them | no |
//! | [`lang`] | ESC's environment language | no |
//! | [`server`] | a local ESC-compatible server | yes |
//! | [`yaml`] | YAML in Kubernetes' and ESC's dialects, in and out | no |
//! | [`codes`] | every error code a person can meet: cause and fix | no |
//! | [`secret`] | the one type that holds secret bytes | no |
//!

pub mod agent;
pub mod client;
pub mod codes;
pub mod esc;
pub mod inject;
pub mod lang;
pub mod manifest;
pub mod secret;
pub mod server;
pub mod webhook;
pub mod yaml;
