//! How long certificates live and what waits for what: every duration of the self-managed certificates in one place.

use std::time::Duration;

/// The defaults are for production; tests shorten them.
#[derive(Debug, Clone, Copy)]
pub struct Lifetimes {
    /// Of an authority. When a fifth of it is left, the next one is introduced.
    pub authority: Duration,
    /// Of a serving certificate. When a third of it is left, it is renewed.
    pub leaf: Duration,
    /// How far before its making a certificate begins, for clocks that are behind.
    pub backdate: Duration,
    /// How long a bundle must have been in place before anything depends on what is new in it.
    pub overlap: Duration,
    /// Longest time between two looks at the cluster when no watch reports anything.
    pub resync: Duration,
    /// Shortest wait after something failed or was fought over; it doubles up to [`Lifetimes::resync`].
    pub retry: Duration,
    /// How long a replica that knows no authority leaves an emptied Secret to those that do.
    pub restore: Duration,
}

impl Default for Lifetimes {
    fn default() -> Self {
        const MINUTE: Duration = Duration::from_secs(60);
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        Self {
            authority: 5 * 365 * DAY,
            leaf: DAY,
            backdate: 60 * MINUTE,
            // API servers follow webhook configurations within a second. Twenty minutes are still ten if the clocks
            // of two replicas are ten minutes apart.
            overlap: 20 * MINUTE,
            // Three small reads a minute for each replica: nothing to an API server, and it bounds what a watch that
            // died in silence can cost.
            resync: MINUTE,
            retry: Duration::from_millis(500),
            // A replica with an authority in its memory puts it back within a second.
            restore: Duration::from_secs(15),
        }
    }
}
