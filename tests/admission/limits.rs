//! What a client can take from the webhook, and what it can't.

use std::{io, sync::Arc, time::Duration};

use esc_injector::webhook::Limits;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    sync::Barrier,
    task::JoinSet,
};

use crate::{
    client::{Client, dial, is_closed, metric},
    reviews::{review, small_pod},
    setup::{Authority, Running, quick, soon},
};

const SHORT: Duration = Duration::from_millis(300);

fn body() -> Vec<u8> {
    serde_json::to_vec(&review("u-1", &small_pod())).unwrap()
}

/// Everything that the server says until it closes.
async fn read_all(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut said = Vec::new();
    // However it closes.
    let _ = soon(stream.read_to_end(&mut said)).await;
    String::from_utf8_lossy(&said).into_owned()
}

/// Writes a byte at a time until the server has had enough; gives what it said.
async fn trickle(stream: impl AsyncRead + AsyncWrite + Send + 'static, text: &'static str) -> String {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let writing = tokio::spawn(async move {
        for byte in text.bytes().cycle() {
            if writer.write_all(&[byte]).await.is_err() || writer.flush().await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let said = read_all(&mut reader).await;
    writing.abort();
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_whose_tree_would_be_many_times_their_size_get_413() {
    let webhook = Running::start(quick()).await;
    let dense = format!(r#"{{"request": {{"uid": "u-1", "object": [{}0]}}}}"#, "[],".repeat(1_000_000));
    let head = "POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n";
    let mut stream = dial(webhook.admission, &webhook.tls()).await.unwrap();
    stream
        .write_all(format!("{head}Content-Length: {}\r\n\r\n{dense}", dense.len()).as_bytes())
        .await
        .unwrap();
    stream.flush().await.unwrap();
    let said = soon(async {
        let mut said = vec![0; 12];
        stream.read_exact(&mut said).await.unwrap();
        String::from_utf8(said).unwrap()
    })
    .await;
    assert_eq!(said, "HTTP/1.1 413");
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_over_8_mib_get_413_whether_announced_or_not() {
    let webhook = Running::start(quick()).await;
    let head = "POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n";

    let mut announced = dial(webhook.admission, &webhook.tls()).await.unwrap();
    announced.write_all(format!("{head}Content-Length: 8388609\r\n\r\n").as_bytes()).await.unwrap();
    let said = read_all(&mut announced).await;
    assert!(said.starts_with("HTTP/1.1 413") && said.contains("ESC903"), "{said}");

    let chunked = dial(webhook.admission, &webhook.tls()).await.unwrap();
    let (mut reader, mut writer) = tokio::io::split(chunked);
    let writing = tokio::spawn(async move {
        writer.write_all(format!("{head}Transfer-Encoding: chunked\r\n\r\n").as_bytes()).await?;
        let spaces = vec![b' '; 0x10000];
        for _ in 0..=128 {
            writer.write_all(b"10000\r\n").await?;
            writer.write_all(&spaces).await?;
            writer.write_all(b"\r\n").await?;
        }
        // What TLS still holds may be the very bytes that are too many.
        writer.flush().await?;
        io::Result::Ok(())
    });
    let said = read_all(&mut reader).await;
    assert!(said.starts_with("HTTP/1.1 413") && said.contains("ESC903"), "{said}");
    writing.abort();

    let fits = [body(), vec![b' '; 8 * 1024 * 1024 - body().len()]].concat();
    let reply = soon(async { webhook.client().await.post("/mutate", fits).await }).await.unwrap();
    assert_eq!(reply.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_that_does_not_come_is_given_up() {
    let webhook = Running::start(Limits { handshake: SHORT, ..quick() }).await;
    let mut silent = TcpStream::connect(webhook.admission).await.unwrap();
    assert_eq!(read_all(&mut silent).await, "");
    let slow = TcpStream::connect(webhook.admission).await.unwrap();
    // The beginning of a ClientHello that announces more than ever comes.
    trickle(slow, "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}").await;
    assert_eq!(metric(webhook.health, "esc_injector_tls_handshake_failures_total").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_head_is_given_up() {
    let webhook = Running::start(Limits { head: SHORT, ..quick() }).await;
    let stream = dial(webhook.admission, &webhook.tls()).await.unwrap();
    assert_eq!(trickle(stream, "POST /mutate HTTP/1.1\r\nX-More: and more").await, "");
    // The plain port has the same limits.
    let stream = TcpStream::connect(webhook.health).await.unwrap();
    assert_eq!(trickle(stream, "GET /livez HTTP/1.1\r\nX-More: and more").await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_without_end_is_refused() {
    let webhook = Running::start(quick()).await;
    let mut stream = dial(webhook.admission, &webhook.tls()).await.unwrap();
    let head = format!("POST /mutate HTTP/1.1\r\nX-Long: {}", "x".repeat(64 * 1024));
    let _ = stream.write_all(head.as_bytes()).await;
    let said = read_all(&mut stream).await;
    assert!(said.starts_with("HTTP/1.1 431"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_body_is_answered_within_the_reviews_timeout() {
    let webhook = Running::start(quick()).await;
    let stream = dial(webhook.admission, &webhook.tls()).await.unwrap();
    let (reader, mut writer) = tokio::io::split(stream);
    let head = "POST /mutate?timeout=1s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n";
    writer.write_all(head.as_bytes()).await.unwrap();
    let said = trickle(reader.unsplit(writer), " ").await;
    assert!(said.starts_with("HTTP/1.1 408") && said.contains("ESC904"), "{said}");
    assert_eq!(metric(webhook.health, "esc_injector_admissions_total{outcome=\"error\"}").await, 1);
    assert_eq!(metric(webhook.health, "esc_injector_inflight_requests").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_large_bodies_do_not_keep_small_ones_waiting() {
    let webhook = Running::start(quick()).await;
    let mut slow = Vec::new();
    for _ in 0..8 {
        let mut stream = dial(webhook.admission, &webhook.tls()).await.unwrap();
        let head = "POST /mutate?timeout=30s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 8000000\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        slow.push(stream);
    }
    let reply = soon(async { webhook.client().await.post("/mutate", body()).await }).await.unwrap();
    assert_eq!(reply.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_rest_longer_than_a_head_may_take() {
    let webhook = Running::start(Limits { head: SHORT, ..quick() }).await;
    let mut client = webhook.client().await;
    for _ in 0..3 {
        tokio::time::sleep(2 * SHORT).await;
        assert_eq!(soon(client.post("/mutate", body())).await.unwrap().status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_rest_too_long_are_closed() {
    let webhook = Running::start(Limits { idle: SHORT, ..quick() }).await;
    let mut client = webhook.client().await;
    assert_eq!(soon(client.post("/mutate", body())).await.unwrap().status, 200);
    crate::setup::eventually(async || is_closed(&mut client).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_begins_a_new_rest() {
    let webhook = Running::start(Limits { idle: 5 * SHORT, ..quick() }).await;
    let mut client = webhook.client().await;
    for _ in 0..8 {
        assert_eq!(soon(client.post("/mutate", body())).await.unwrap().status, 200);
        tokio::time::sleep(SHORT).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_do_not_read_their_answers_are_dropped() {
    let webhook = Running::start(Limits { idle: SHORT, ..quick() }).await;
    let mut stream = dial(webhook.admission, &webhook.tls()).await.unwrap();
    let request = b"GET /mutate HTTP/1.1\r\nHost: x\r\n\r\n".repeat(1000);
    // Fills every buffer on the way back, and then stays.
    soon(async { while stream.write_all(&request).await.is_ok() {} }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_carries_many_requests() {
    let webhook = Running::start(quick()).await;
    let mut client = webhook.client().await;
    for _ in 0..50 {
        let reply = soon(client.post("/mutate", body())).await.unwrap();
        assert!(reply.status == 200 && !reply.asks_to_close());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_connections_at_once_are_served() {
    let webhook = Running::start(quick()).await;
    let (tls, address, body) = (webhook.tls(), webhook.admission, body());
    let all_there = Arc::new(Barrier::new(200));
    let mut clients = JoinSet::new();
    for _ in 0..200 {
        let (tls, body, all_there) = (Arc::clone(&tls), body.clone(), Arc::clone(&all_there));
        clients.spawn(async move {
            let mut client = Client::connect(address, &tls).await.unwrap();
            all_there.wait().await;
            client.post("/mutate", body).await.unwrap().status
        });
    }
    let statuses = soon(clients.join_all()).await;
    assert!(statuses.iter().all(|status| *status == 200));
}

#[tokio::test(flavor = "multi_thread")]
async fn resting_connections_make_room_for_new_ones() {
    let webhook = Running::start(Limits { connections: 4, ..quick() }).await;
    let mut resting = Vec::new();
    for _ in 0..2 {
        // One that was used, and one that never was.
        let mut used = webhook.client().await;
        assert_eq!(soon(used.post("/mutate", body())).await.unwrap().status, 200);
        resting.push(used);
        resting.push(webhook.client().await);
    }
    let reply = soon(async { webhook.client().await.post("/mutate", body()).await }).await.unwrap();
    assert_eq!(reply.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn http_2_is_refused_in_the_handshake() {
    let webhook = Running::start(quick()).await;
    let error = dial(webhook.admission, &webhook.authority.client(&["h2"])).await.unwrap_err();
    assert!(error.to_string().contains("NoApplicationProtocol"), "{error}");
    let stream = dial(webhook.admission, &webhook.authority.client(&["h2", "http/1.1"])).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"http/1.1".as_slice()));
    dial(webhook.admission, &webhook.authority.client(&[])).await.unwrap();
    assert_eq!(metric(webhook.health, "esc_injector_tls_handshake_failures_total").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_do_not_trust_the_certificate_are_counted() {
    let webhook = Running::start(quick()).await;
    let stranger = Authority::new().client(&["http/1.1"]);
    dial(webhook.admission, &stranger).await.unwrap_err();
    let name = "esc_injector_tls_handshake_failures_total";
    crate::setup::eventually(async || metric(webhook.health, name).await >= 1).await;
}
