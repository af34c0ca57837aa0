//! Kubernetes manifests: streams of documents in, the same stream with injected pods out. Pure.
//!
//! [`stream`] reads and writes the text; [`workload`] knows where a kind keeps its pod; [`rewrite`] injects.

pub mod rewrite;
pub mod stream;
pub mod workload;
