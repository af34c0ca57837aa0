//! What the cluster's store holds: every key that there is now, as etcd's API gives it. What it held before is in its
//! files alone (`planted::found_on_disk`).

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{LAST_WORDS, planted};

/// Where `shell/common.sh` has it listen: without encryption, for this machine alone.
const ADDRESS: &str = "127.0.0.1:23790";

/// Keys asked for at once: bodies of some megabytes.
const PAGE: usize = 500;

/// A key with its value as it is stored: protobuf, in which text and the data of Secrets are plain bytes, or JSON.
struct Stored {
    key: Vec<u8>,
    value: Vec<u8>,
}

/// Keys whose values hold one of these texts, plain or in base64.
pub fn keys_holding(texts: &[&str]) -> Vec<String> {
    let forms: Vec<_> = texts.iter().flat_map(|text| planted::forms(text)).collect();
    // What is no text becomes a mark, and the text beside it stays.
    let holds = |stored: &Stored| {
        let value = text(&stored.value);
        forms.iter().any(|form| value.contains(form.as_str()))
    };
    dump().iter().filter(|stored| holds(stored)).map(|stored| text(&stored.key)).collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Everything, as it was at one moment.
fn dump() -> Vec<Stored> {
    let (mut all, mut from, mut revision) = (Vec::new(), vec![0], Value::Null);
    loop {
        // From a key to a byte of zero: all keys from it on.
        let mut asked = json!({
            "key": STANDARD.encode(&from), "range_end": STANDARD.encode([0]), "limit": PAGE,
        });
        if !revision.is_null() {
            asked["revision"] = revision.clone();
        }
        let answer = post("/v3/kv/range", &asked);
        revision = answer["header"]["revision"].clone();
        for stored in answer["kvs"].as_array().expect("etcd holds something") {
            let bytes = |what: &str| STANDARD.decode(stored[what].as_str().unwrap_or_default()).unwrap();
            all.push(Stored { key: bytes("key"), value: bytes("value") });
        }
        if answer["more"] != true {
            return all;
        }
        // The next key that there can be.
        from = all.last().map(|stored| [stored.key.as_slice(), &[0]].concat()).unwrap();
    }
}

fn post(path: &str, body: &Value) -> Value {
    let body = body.to_string();
    let mut stream = TcpStream::connect(ADDRESS).unwrap();
    stream.set_read_timeout(Some(LAST_WORDS)).unwrap();
    // Of this version an answer is whole, and ends with the connection.
    write!(stream, "POST {path} HTTP/1.0\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer of etcd");
    assert!(head.lines().next().is_some_and(|line| line.contains(" 200 ")), "{head}\n{body}");
    serde_json::from_str(body).unwrap()
}
