//! What the promises are proved with. Nothing in here asserts anything about the product.

pub mod audit;
pub mod authority;
pub mod cluster;
pub mod command;
pub mod endpoints;
pub mod handshakes;
pub mod local;
pub mod namespace;
pub mod neighbour;
pub mod pods;
pub mod proxy;
pub mod release;
pub mod replica;
pub mod report;
pub mod stream;

use std::{
    thread,
    time::{Duration, Instant},
};

/// Longer than anything here takes on a busy machine: who waits this long has failed.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Asks again and again until the answer is there.
#[track_caller]
pub fn eventually<T>(what: &str, mut answer: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(answer) = answer() {
            return answer;
        }
        assert!(begun.elapsed() < PATIENCE, "still not so after {PATIENCE:?}: {what}");
        thread::sleep(Duration::from_millis(50));
    }
}
