//! What each fuzz target does with its bytes: what must hold for all of them. Each panics when it does not.
//!
//! The targets feed these from the fuzzer, `tests/fuzz` from the seeds and a generator of its own.

pub mod admission_review;
pub mod annotations;
pub mod config;
pub mod env_file;
pub mod lang;
pub mod property_path;
pub mod reference;
pub mod seal;
pub mod template;
pub mod wire;
pub mod yaml;
