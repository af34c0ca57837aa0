//! The local ESC server, through real sockets.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    missing_docs,
    reason = "tests fail by panicking, and write their fixtures in place"
)]

mod access;
mod cli;
mod commands;
mod data;
mod durability;
mod errors;
mod exchange;
mod external;
mod grants;
mod harness;
mod https;
mod issuer;
mod issuers;
mod opening;
mod process;
mod providers;
mod rotation;
mod slow;
mod starting;
mod store;
mod tokens;
