//! What the promises are proved with. Nothing in here asserts anything about the product.

pub mod apps;
pub mod audit;
pub mod authority;
pub mod cluster;
pub mod command;
pub mod endpoints;
pub mod esc;
pub mod etcd;
pub mod handshakes;
pub mod installation;
pub mod local;
pub mod namespace;
pub mod neighbour;
pub mod planted;
pub mod pods;
pub mod processes;
pub mod proxy;
pub mod release;
pub mod replica;
pub mod report;
pub mod stream;
pub mod transcript;

use std::{
    thread,
    time::{Duration, Instant},
};

/// Longer than anything here takes on a busy machine: who waits this long has failed.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Before patience ends: for those who show what they see when something does not come.
pub const LAST_WORDS: Duration = Duration::from_secs(5);

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
