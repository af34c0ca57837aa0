//! How long and how much: every number that bounds what a client can take from the webhook.

use std::time::Duration;

/// Largest request body. The API server accepts objects of up to 3 MiB; a review can hold two of them and an envelope.
pub(super) const MAX_BODY: usize = 8 * 1024 * 1024;

/// From this size on, a body waits its turn. Real pods stay below; a full house of connections with bodies of this
/// size is 64 MiB.
pub(super) const LARGE_BODY: u64 = 128 * 1024;

/// Large bodies held at a time. Parsed, 8 MiB of hostile JSON can be many times its size.
pub(super) const LARGE_BODIES: usize = 2;

/// Largest request head. The API server's is 300 bytes.
pub(super) const MAX_HEAD: usize = 16 * 1024;

/// Time and concurrency limits. The defaults are for production; tests shorten them.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// For a TLS handshake.
    pub handshake: Duration,
    /// From a request head's first byte to its last.
    pub head: Duration,
    /// How long a connection may rest between requests.
    pub idle: Duration,
    /// Open connections per port.
    pub connections: usize,
    /// For a request that names no timeout of its own.
    pub request: Duration,
    /// How long requests are still served after the shutdown began.
    pub grace: Duration,
    /// How long requests in flight may take once no more are accepted.
    pub drain: Duration,
    /// How often the certificate files are read.
    pub certificate_poll: Duration,
    /// How long one watch on namespaces lasts before it is opened anew; at least a second.
    pub watch: Duration,
    /// How long the API server may take for an answer, and a watch to end when it should.
    pub answer: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(5),
            head: Duration::from_secs(5),
            // The API server rests connections for 90 s; whoever closes first must not be us, or a request may cross
            // the close on the wire and fail.
            idle: Duration::from_secs(120),
            // One API server admits 200 changes at a time by default, each on its own connection at worst: two and a
            // half of them at full load, for about 20 MiB of connection state.
            connections: 512,
            // 90 % of the 5 s that the chart sets.
            request: Duration::from_millis(4500),
            // Endpoints are removed everywhere about this long after a pod turns unready.
            grace: Duration::from_secs(5),
            // With the grace below the 30 s after which kubelet kills.
            drain: Duration::from_secs(20),
            // Kubelet brings a changed Secret within a minute; a sixth of that adds nothing noticeable.
            certificate_poll: Duration::from_secs(10),
            // Bounds for how long a dead connection passes for an idle watch; a request a minute is nothing.
            watch: Duration::from_secs(60),
            // The API server itself gives up on a request after 60 s, but a page of namespaces takes milliseconds.
            answer: Duration::from_secs(10),
        }
    }
}
