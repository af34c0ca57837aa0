//! Bodies that come slowly, or never.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use crate::harness::{TOKEN, TestServer, exchange, request, session};

const CHECK: &str = "/api/esc/environments/acme/yaml/check";

/// Sends the head of a request and the first half of its body.
fn half(server: &TestServer, headers: &[(&str, &str)], body: &str) -> (TcpStream, Vec<u8>) {
    let mut bytes = request("POST", CHECK, headers, body.as_bytes());
    let rest = bytes.split_off(bytes.len() - body.len() / 2);
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.write_all(&bytes).unwrap();
    (stream, rest)
}

#[test]
fn bodies_that_do_not_come_hold_up_nobody() {
    let server = TestServer::start(&[("acme/p/e.yaml", "values: {a: 1}")]);
    let token = format!("token {TOKEN}");
    let body = format!("values: {{a: {}}}", "x".repeat(1000));
    // More than there are threads, of any kind, in a small server.
    let slow: Vec<_> = (0..100).map(|_| half(&server, &[("Authorization", &token)], &body)).collect();
    let id = server.open("acme/p/e");
    assert_eq!(server.read("acme/p/e", &id).json()["properties"]["a"]["value"], 1);
    // They are answered when the rest is there; those that go away instead leave nothing behind.
    for (index, (stream, rest)) in slow.into_iter().enumerate() {
        if index % 10 == 0 {
            let answer = exchange(stream, &rest);
            assert_eq!(answer.status, 200, "{}", answer.body);
        }
    }
    let again = server.request("POST", CHECK, &[("Authorization", &token)], body.as_bytes());
    assert_eq!(again.status, 200, "{}", again.body);
    assert!(!session(&server.send("POST", "/api/esc/environments/acme/p/e/open")).is_empty());
}

#[test]
fn nobody_waits_for_the_body_of_a_stranger() {
    let server = TestServer::start(&[("acme/p/e.yaml", "values: {a: 1}")]);
    for headers in [&[][..], &[("Authorization", "token pul-wrong")]] {
        let (mut stream, _) = half(&server, headers, &"x".repeat(1000));
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 401");
    }
    // What announces too much is refused before it is sent.
    let token = format!("token {TOKEN}");
    let mut stream = TcpStream::connect(server.address).unwrap();
    let head = format!(
        "POST {CHECK} HTTP/1.1\r\nHost: x\r\nAuthorization: {token}\r\nContent-Length: 99999999\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");
}
