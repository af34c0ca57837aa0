//! The accept loop of a port: how many connections there are, and how they end.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::TcpListener,
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::{sleep, timeout},
};

use super::connection::{self, Port};

/// How often resting connections are asked to go while there is no room.
const MAKE_ROOM_EVERY: Duration = Duration::from_millis(100);

/// How long to wait when the system has no more file descriptors.
const EXHAUSTED_WAIT: Duration = Duration::from_millis(100);

/// Accepts until the port is stopped, then waits for requests in flight as long as the limits say.
pub(super) async fn serve(port: Port, listener: TcpListener) {
    let room = Arc::new(Semaphore::new(port.limits.connections));
    let port = Arc::new(port);
    let mut connections = JoinSet::new();
    while let Some(permit) = port.stop.run_until_cancelled(a_place(&port, &room)).await {
        let accepted = tokio::select! {
            () = port.stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                // An IPv4 client as such, whichever socket it came in by.
                let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
                let served = connection::serve(Arc::clone(&port), stream, peer);
                connections.spawn(async move {
                    served.await;
                    drop(permit);
                });
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "accepting a connection failed");
                sleep(EXHAUSTED_WAIT).await;
            }
        }
        // Forgets those that ended.
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    let all = async { while connections.join_next().await.is_some() {} };
    if timeout(port.limits.drain, all).await.is_err() {
        tracing::warn!(left = connections.len(), "closing connections that did not end in time");
    }
}

/// A place for one more connection. When there is none, connections at rest have to give theirs: strangers who only
/// hold connections must not lock the API server out.
async fn a_place(port: &Port, room: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    if let Ok(permit) = Arc::clone(room).try_acquire_owned() {
        return Some(permit);
    }
    tracing::warn!(connections = port.limits.connections, "no room for more connections");
    loop {
        port.make_room.notify_waiters();
        if let Ok(permit) = timeout(MAKE_ROOM_EVERY, Arc::clone(room).acquire_owned()).await {
            return permit.ok();
        }
    }
}

/// Whether it is the one client's trouble, and the next accept may well succeed.
fn is_of_one_connection(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}
