//! Accepts connections, within limits, and lets them finish at the end.

use std::{future::Future, pin::pin, sync::Arc, time::Duration};

use axum::{Extension, Router, middleware::AddExtension};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::{GracefulShutdown, Watcher},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tower::Layer;

use super::audit::Peer;

/// Connections at once; more wait in the kernel's queue. Agents keep theirs for two requests.
const MAX_CONNECTIONS: usize = 512;

/// A client that is slower than this is broken or hostile.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection in constant use is closed after this, one that nobody reads from too.
const CONNECTION_LIFETIME: Duration = Duration::from_secs(300);

/// Largest head of a request: tokens take a few KiB.
const MAX_HEAD: usize = 64 << 10;

/// How long running requests may take to finish at the end.
const DRAIN: Duration = Duration::from_secs(5);

/// After a failed accept: when file descriptors run out, trying again at once would only burn CPU.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The router, with the other side's address for each request.
type Service = AddExtension<Router, Peer>;

/// Serves until `shutdown` completes.
pub(super) async fn serve(
    listener: TcpListener,
    tls: Option<Arc<rustls::ServerConfig>>,
    router: Router,
    shutdown: impl Future<Output = ()>,
) {
    let tls = tls.map(TlsAcceptor::from);
    let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let graceful = GracefulShutdown::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = async {
            let permit = Arc::clone(&connections).acquire_owned().await;
            (listener.accept().await, permit)
        };
        let (accepted, permit) = tokio::select! {
            () = &mut shutdown => break,
            accepted = accepted => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "can't accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (tls, watcher) = (tls.clone(), graceful.watcher());
        // Around the whole router: a layer on it would be built anew for every route of every connection.
        let service = Extension(Peer(peer)).layer(router.clone());
        tokio::spawn(async move {
            let _permit = permit;
            connection(stream, tls, service, watcher).await;
        });
    }
    drop(listener);
    if timeout(DRAIN, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests were still running at the end");
    }
}

async fn connection(stream: TcpStream, tls: Option<TlsAcceptor>, service: Service, watcher: Watcher) {
    // Answers are small: waiting to fill packets would only delay them.
    let _ = stream.set_nodelay(true);
    match tls {
        None => http(stream, service, watcher).await,
        Some(tls) => match timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)).await {
            Ok(Ok(stream)) => http(stream, service, watcher).await,
            Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
            Err(_) => tracing::debug!("TLS handshake took too long"),
        },
    }
}

async fn http(stream: impl AsyncRead + AsyncWrite + Unpin + 'static, service: Service, watcher: Watcher) {
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    match timeout(CONNECTION_LIFETIME, watcher.watch(connection)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "connection ended early"),
        Err(_) => tracing::debug!("connection lasted too long"),
    }
}
