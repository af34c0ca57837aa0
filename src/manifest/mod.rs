//! Kubernetes manifests: streams of documents in, the same stream with injected pods out. Pure.
//!
//! [`stream`] reads and writes the text; [`workload`] knows where a kind keeps its pod; [`rewrite`] injects. [`check`] says
//! what is wrong with manifests, [`locate`] and [`lines`] where in their text, and [`report`] says it to people and programs.

pub mod check;
pub mod finding;
pub mod lines;
pub mod locate;
pub mod objects;
pub mod report;
pub mod rewrite;
pub mod stream;
pub mod workload;
