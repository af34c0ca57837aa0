//! For how long a watch has not been alive.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Tells for how long a watch has not been alive; clones share it. Its followers say when it is heard and when it
/// broke, and whoever reads it needs no clock of theirs.
#[derive(Debug, Clone)]
pub struct Staleness(Arc<Mutex<State>>);

#[derive(Debug, Clone, Copy)]
struct State {
    heard: Instant,
    is_broken: bool,
}

impl Staleness {
    /// Of nothing that could go stale.
    pub fn none() -> Self {
        Self(Arc::new(Mutex::new(State { heard: Instant::now(), is_broken: false })))
    }

    /// It is to begin: stale from now on, until it is heard.
    pub fn begins(&self) {
        self.set(State { heard: Instant::now(), is_broken: true });
    }

    /// Something came, so it is alive.
    pub fn heard(&self) {
        self.set(State { heard: Instant::now(), is_broken: false });
    }

    /// It is not alive, and was not since it was last heard.
    pub fn broke(&self) {
        self.lock().is_broken = true;
    }

    /// For how long it has not been alive.
    pub fn age(&self) -> Duration {
        let State { heard, is_broken } = *self.lock();
        if is_broken { heard.elapsed() } else { Duration::ZERO }
    }

    fn set(&self, state: State) {
        *self.lock() = state;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_stale_from_when_it_was_last_heard_until_it_is_heard_again() {
        let staleness = Staleness::none();
        assert_eq!(staleness.age(), Duration::ZERO);
        staleness.clone().begins();
        let first = staleness.age();
        while staleness.age() <= first {}
        staleness.heard();
        assert_eq!(staleness.age(), Duration::ZERO);
        staleness.broke();
        let first = staleness.age();
        // A second failure does not make it younger.
        staleness.broke();
        while staleness.age() <= first {}
    }
}
