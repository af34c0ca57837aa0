//! Delivers Pulumi ESC secrets and configuration to Kubernetes pods.
//!
//! One binary is the admission webhook, the in-pod agent, the exec wrapper, the offline tools and a local
//! ESC-compatible server. The map:
//!
//! | module | what it is for | may do I/O |
//! |---|---|---|
//! | [`cli`] | one file per subcommand: arguments in, library call, output out | yes |
//! | [`inject`] | annotations ▶ request ▶ plan ▶ patch | no |
//! | [`webhook`] | serves admissions over TLS | yes |
//! | [`agent`] | inside the pod: fetch, publish, exec | yes |
//! | [`esc`] | the ESC domain: references, paths, values, projections, formats | no |
//! | [`client`] | ESC over HTTP | yes |
//! | [`convert`] | other operators' objects to annotations of ours | no |
//! | [`manifest`] | manifests: where pods are, what controllers and injection make of them | no |
//! | [`lang`] | ESC's environment language | no |
//! | [`server`] | a local ESC-compatible server | yes |
//! | [`yaml`] | YAML in Kubernetes' and ESC's dialects, in and out | no |
//! | [`codes`] | every error code a person can meet: cause and fix | no |
//! | [`doctor`] | what is wrong with an installation, asked of its cluster | yes |
//! | [`demo`] | the whole flow on one machine, without a cluster | yes |
//! | [`probe`] | whether an installation works, tried as the API server would | yes |
//! | [`kubeconfig`] | where the API server is, and errors about it that quote no secret | yes |
//! | [`exposure`] | who else can use a file that holds a secret | yes |
//! | [`prose`] | text for people: lists that stay short, lines that fit | no |
//! | [`secret`] | the one type that holds secret bytes | no |
//!
//! Arrows go one way: `webhook` ▶ `manifest` ▶ `inject` ▶ `esc`; `agent` ▶ `client` ▶ `esc`; `server` ▶ `lang` ▶ `esc`.
//! The webhook hands the agent a serialised [`agent::plan::Plan`]; the agent talks to the server only over HTTP.

pub mod agent;
pub mod cli;
pub mod client;
pub mod codes;
pub mod convert;
pub mod demo;
pub mod doctor;
pub mod esc;
pub mod exposure;
pub mod inject;
pub mod kubeconfig;
pub mod lang;
pub mod manifest;
pub mod probe;
pub mod prose;
pub mod secret;
pub mod server;
pub mod webhook;
pub mod yaml;
