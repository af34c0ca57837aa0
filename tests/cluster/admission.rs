//! Which pods the API server sends, and what becomes of them.

use crate::support::{namespace::Namespace, pods, release::Release};

#[test]
#[ignore = "needs a cluster: tests/cluster/up"]
fn a_pod_that_asks_is_injected() {
    let authority = crate::support::authority::Authority::new();
    let mut release = Release::with_own_certificate(&authority);
    release.start_replicas(2);
    let stream = crate::support::stream::Stream::start();
    stream.flow();
    release.replicas[0].kill();
    stream.flow();
    stream.flow();
    crate::support::report::record("kill -9", &stream.stop(), "in flight", "");

    let namespace = Namespace::injected("shop");
    let pod = namespace.created(&pods::pod("shop", &pods::asks()));
    assert!(pods::agent(&pod).is_some(), "{pod:#}");
}
