//! One connection: its handshake, its requests, its end; each with a time limit.

use std::{convert::Infallible, io, net::SocketAddr, pin::pin, sync::Arc};

use axum::{Router, response::Response};
use http::{HeaderValue, Request, header};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::Notify,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::Service;

use super::{
    clock::{Activity, Phase, Timed},
    limits::{Limits, MAX_HEAD},
    metrics::Metrics,
    router::Peer,
};
use crate::codes::admission::CERTIFICATE_REFUSED;

/// What all connections of a port share.
pub(super) struct Port {
    /// None on the plain port.
    pub tls: Option<TlsAcceptor>,
    pub router: Router,
    pub limits: Limits,
    pub metrics: Metrics,
    /// From now on, answers ask clients to close and come back elsewhere.
    pub leaving: CancellationToken,
    /// From now on, connections end as soon as they are between requests.
    pub stop: CancellationToken,
    /// Connections at rest give up their place.
    pub make_room: Notify,
}

/// Serves a connection until it ends.
pub(super) async fn serve(port: Arc<Port>, stream: TcpStream, peer: SocketAddr) {
    // Answers are one small write: waiting to fill a segment would cost 40 ms. Failing to say so costs no more.
    let _ = stream.set_nodelay(true);
    let Some(tls) = &port.tls else { return serve_http(&port, stream, peer).await };
    match timeout(port.limits.handshake, tls.accept(stream)).await {
        Ok(Ok(stream)) => serve_http(&port, stream, peer).await,
        Ok(Err(error)) => {
            port.metrics.handshake_failed();
            log_handshake_failure(&error, peer);
        }
        Err(_) => {
            port.metrics.handshake_failed();
            tracing::debug!(%peer, "no TLS handshake in time");
        }
    }
}

/// An alert is worth a warning: most are an API server that doesn't trust us, and then pods fail. The rest is mostly
/// probes and port scanners.
fn log_handshake_failure(error: &io::Error, peer: SocketAddr) {
    let cause = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
    if let Some(rustls::Error::AlertReceived(alert)) = cause {
        let code = CERTIFICATE_REFUSED.id();
        tracing::warn!(code, %peer, ?alert, "the client refused the TLS handshake");
    } else {
        tracing::debug!(%peer, %error, "TLS handshake failed");
    }
}

async fn serve_http<S: AsyncRead + AsyncWrite + Unpin>(port: &Port, stream: S, peer: SocketAddr) {
    let activity = Arc::new(Activity::default());
    let stream = Timed::new(stream, Arc::clone(&activity), port.limits);
    let service = service_fn(|mut request: Request<Incoming>| {
        activity.enter(Phase::Serving);
        request.extensions_mut().insert(Peer(peer));
        // A router is always ready.
        let answer = port.router.clone().call(request);
        let activity = &activity;
        async move {
            let mut response: Response = answer.await?;
            if port.leaving.is_cancelled() {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            activity.enter(Phase::Resting);
            Ok::<_, Infallible>(response)
        }
    });
    let connection = http1::Builder::new()
        // Our own clock is used instead: see there.
        .header_read_timeout(None)
        .max_header_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let mut closing = false;
    loop {
        tokio::select! {
            result = connection.as_mut() => {
                if let Err(error) = result {
                    tracing::debug!(%peer, %error, "connection ended early");
                }
                return;
            }
            () = port.stop.cancelled(), if !closing => {
                closing = true;
                connection.as_mut().graceful_shutdown();
            }
            () = port.make_room.notified(), if !closing => {
                if activity.phase() == Phase::Resting {
                    connection.as_mut().graceful_shutdown();
                    // An answer may still be on its way out, at the pace of the client.
                    let _ = timeout(port.limits.head, connection).await;
                    return;
                }
            }
        }
    }
}
