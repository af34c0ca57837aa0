//! An API server's side of the connection: HTTPS over HTTP/1.1, and raw bytes where it must be impolite.

use std::{io, net::SocketAddr, sync::Arc};

use http_body_util::{BodyExt, Full};
use hyper::{
    HeaderMap, Request, StatusCode,
    body::Bytes,
    client::conn::http1::{SendRequest, handshake},
    header,
};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, pki_types::ServerName};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

/// What the API server asks for in the handshake.
pub const SERVER_NAME: &str = "esc-injector.esc.svc";

/// An answer, read to its end.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub fn asks_to_close(&self) -> bool {
        self.headers.get(header::CONNECTION).is_some_and(|value| value == "close")
    }
}

/// One connection.
pub struct Client {
    sender: SendRequest<Full<Bytes>>,
    /// The leaf that the server showed, in DER; empty in plain text.
    pub certificate: Vec<u8>,
}

/// TLS to the webhook, and nothing said yet.
pub async fn dial(address: SocketAddr, tls: &Arc<ClientConfig>) -> io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let name = ServerName::try_from(SERVER_NAME).unwrap();
    TlsConnector::from(Arc::clone(tls)).connect(name, stream).await
}

impl Client {
    pub async fn connect(address: SocketAddr, tls: &Arc<ClientConfig>) -> io::Result<Self> {
        let stream = dial(address, tls).await?;
        let certificate = stream.get_ref().1.peer_certificates().unwrap()[0].to_vec();
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        tokio::spawn(connection);
        Ok(Self { sender, certificate })
    }

    pub async fn connect_plain(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        tokio::spawn(connection);
        Ok(Self { sender, certificate: Vec::new() })
    }

    pub async fn send(&mut self, request: Request<Full<Bytes>>) -> hyper::Result<Reply> {
        self.sender.ready().await?;
        let (parts, body) = self.sender.send_request(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Reply { status: parts.status, headers: parts.headers, body })
    }

    /// Posts a review as the API server does.
    pub async fn post(&mut self, path: &str, body: impl Into<Bytes>) -> hyper::Result<Reply> {
        let request = Request::post(format!("{path}?timeout=10s"))
            .header(header::HOST, SERVER_NAME)
            .header(header::USER_AGENT, "kube-apiserver-admission")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body.into()))
            .unwrap();
        self.send(request).await
    }

    pub async fn get(&mut self, path: &str) -> hyper::Result<Reply> {
        let request = Request::get(path).header(header::HOST, "localhost").body(Full::default()).unwrap();
        self.send(request).await
    }
}

/// Whether the server has closed the connection, and not just said nothing yet.
pub async fn is_closed(client: &mut Client) -> bool {
    client.sender.ready().await.is_err()
}

/// Reads the status of a GET on the plain port.
pub async fn status(address: SocketAddr, path: &str) -> StatusCode {
    Client::connect_plain(address).await.unwrap().get(path).await.unwrap().status
}

/// The value of a metric, labels included in its name. All of those that are asked for are whole numbers.
pub async fn metric(address: SocketAddr, name: &str) -> u64 {
    let reply = Client::connect_plain(address).await.unwrap().get("/metrics").await.unwrap();
    let text = std::str::from_utf8(&reply.body).unwrap();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let value = value.unwrap_or_else(|| panic!("{name} not in\n{text}"));
    value.strip_suffix(".0").unwrap_or(value).parse().unwrap()
}
