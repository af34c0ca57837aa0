//! What was acknowledged stays, whatever happens to the process, and nobody ever sees half of it.

use std::{
    collections::BTreeMap,
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    harness::{Answer, TOKEN, TestServer, exchange, plain, request, session, write},
    process::{start, stop},
};

/// How often the server is killed. Each round takes about a second.
const KILLS: usize = 8;

/// Writers at once, each with an environment of its own.
const WRITERS: usize = 4;

/// Changes that are acknowledged before the server is killed in the midst of further ones.
const ACKNOWLEDGED: usize = 25;

fn serve(directory: &Path) -> (Child, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_esc-injector"));
    command.env_clear().args([
        "server",
        "--listen",
        "127.0.0.1:0",
        "--organization",
        "acme",
        "--log-level",
        "error",
    ]);
    command.arg("--data").arg(directory.join("data")).arg("--token-file").arg(directory.join("tokens"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let (child, url) = start(&mut command);
    (child, url.strip_prefix("http://").unwrap().to_owned())
}

/// None when nobody answers any more.
fn send(address: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Option<Answer> {
    let token = format!("token {TOKEN}");
    let headers = [&[("Authorization", token.as_str())], headers].concat();
    let stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let bytes = request(method, path, &headers, body.as_bytes());
    std::panic::catch_unwind(move || exchange(stream, &bytes)).ok()
}

fn environment(writer: usize) -> String {
    format!("/api/esc/environments/acme/p/e{writer}")
}

/// A definition whose parts belong together.
fn definition(number: u64) -> String {
    format!("values:\n  a: {number}\n  secret: {{fn::secret: kept-{number}}}\n  b: \"${{a}}/${{secret}}\"\n")
}

fn is_whole(values: &Value, number: u64) {
    assert_eq!(
        *values,
        json!({"a": number, "secret": format!("kept-{number}"), "b": format!("{number}/kept-{number}")})
    );
}

fn open(address: &str, writer: usize, version: u64) -> Value {
    let path = environment(writer);
    let id = session(&send(address, "POST", &format!("{path}/versions/{version}/open"), &[], "").unwrap());
    let read = send(address, "GET", &format!("{path}/open/{id}"), &[], "").unwrap();
    plain(&json!({ "value": read.json()["properties"] }))
}

#[test]
fn a_killed_server_has_lost_nothing_that_it_acknowledged() {
    // Threads that lose their connection midway are part of the test.
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), "tokens", TOKEN);
    let mut acknowledged: BTreeMap<usize, u64> = (0..WRITERS).map(|writer| (writer, 1)).collect();
    for round in 0..=KILLS {
        let (mut child, address) = serve(directory.path());
        if round == 0 {
            for writer in 0..WRITERS {
                let body = json!({"project": "p", "name": format!("e{writer}")}).to_string();
                let created = send(&address, "POST", "/api/esc/environments/acme", &[], &body).unwrap();
                assert_eq!(created.status, 200, "{}", created.body);
            }
        }
        for (&writer, number) in &mut acknowledged {
            let history =
                send(&address, "GET", &format!("{}/versions?count=1", environment(writer)), &[], "");
            let latest = history.unwrap().json()[0]["number"].as_u64().unwrap();
            // One more may have been written without anybody being told.
            assert!(latest == *number || latest == *number + 1, "{latest} after {number}");
            *number = latest;
            for version in latest.saturating_sub(3).max(2)..=latest {
                is_whole(&open(&address, writer, version), version);
            }
        }
        if round == KILLS {
            assert_eq!(stop(child, rustix::process::Signal::TERM).0, Some(0));
            break;
        }
        let (count, killed, alive) = (AtomicUsize::new(0), AtomicBool::new(false), AtomicUsize::new(WRITERS));
        let told = Mutex::new(&mut acknowledged);
        thread::scope(|scope| {
            for writer in 0..WRITERS {
                let (address, count, killed, alive, told) = (&address, &count, &killed, &alive, &told);
                scope.spawn(move || {
                    while !killed.load(Ordering::SeqCst) {
                        let next = told.lock().unwrap()[&writer] + 1;
                        let answer = send(address, "PATCH", &environment(writer), &[], &definition(next));
                        let Some(answer) = answer.filter(|answer| answer.status == 200) else { break };
                        assert_eq!(answer.body, "{}");
                        told.lock().unwrap().insert(writer, next);
                        count.fetch_add(1, Ordering::SeqCst);
                    }
                    alive.fetch_sub(1, Ordering::SeqCst);
                });
            }
            while count.load(Ordering::SeqCst) < ACKNOWLEDGED + round {
                assert!(alive.load(Ordering::SeqCst) > 0, "the server refuses changes");
                thread::yield_now();
            }
            child.kill().unwrap();
            killed.store(true, Ordering::SeqCst);
        });
        child.wait().unwrap();
    }
}

#[test]
fn of_a_hundred_writers_none_loses_a_change_and_no_reader_sees_half_of_one() {
    const WRITERS: u64 = 100;
    let server = TestServer::in_memory(&["acme"]);
    let address = server.address.to_string();
    let path = environment(0);
    send(&address, "POST", "/api/esc/environments/acme", &[], r#"{"project":"p","name":"e0"}"#).unwrap();
    send(&address, "PATCH", &path, &[], &definition(0)).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|_| {
                scope.spawn(|| {
                    loop {
                        let read = send(&address, "GET", &path, &[], "").unwrap();
                        let tag = read.head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap();
                        let text = read.body.split_once("a: ").unwrap().1;
                        let number: u64 = text.split_once('\n').unwrap().0.parse().unwrap();
                        let answer =
                            send(&address, "PATCH", &path, &[("If-Match", tag)], &definition(number + 1))
                                .unwrap();
                        match answer.status {
                            200 => break,
                            409 => {}
                            other => panic!("{other}: {}", answer.body),
                        }
                    }
                })
            })
            .collect();
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::SeqCst) {
                    let values = server.values("acme/p/e0");
                    is_whole(&values, values["a"].as_u64().unwrap());
                }
            });
        }
        for writer in writers {
            writer.join().unwrap();
        }
        done.store(true, Ordering::SeqCst);
    });
    is_whole(&server.values("acme/p/e0"), WRITERS);
    let history = send(&address, "GET", &format!("{path}/versions?count=1"), &[], "").unwrap();
    assert_eq!(history.json()[0]["number"], WRITERS + 2);
}
