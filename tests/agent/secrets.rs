//! That no secret shows: one sidecar that does all it can do and meets all that can go wrong, at the most talkative level.
//! Every other test searches what its agents leave as well.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
};

use serde_json::{Value, json};

use crate::{
    certificates::{Authority, Certificates},
    harness::{PASSWORD, Pod, assert_no_canary},
    live::{Live, Mood, values, wait},
    sidecar::faults,
    telling::Application,
};

#[test]
fn nothing_that_a_sidecar_says_in_any_trouble_holds_a_secret() {
    let ours = Authority::new();
    let good = || ours.sign("127.0.0.1", false).server();
    let live = Live::start_tls(Mood::Values(values(1, "one")), good());
    let mut pod = Pod::refreshing(&live.url, &Value::Null).exchange();
    let application = Application::start(pod.path("files/tls/ca.crt"), &[500, 404]);
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    pod.plan["api"]["ca"] = json!(ours.ca);
    pod.plan["refresh"]["onChange"] = json!({"kind": "post", "url": application.url});
    pod.plan["refresh"]["metricsPort"] = json!(port);
    pod.view()["files"] = json!([
        {"name": "tls/ca.crt", "path": "tls.ca"},
        {"name": "whole.yaml", "path": "."},
        {"name": "t", "template": "{{ values.db.password }}{{ values.db.port }}"},
    ]);
    let running = pod.quick_sidecar(10);
    running.wait_until_ready();
    let unfit = |value: &str| Mood::Values(json!({"properties": {"db": {"value": value}}}).to_string());
    let more = [
        // Where objects are expected there is the secret itself; it is no number, no base64, not even text.
        (unfit(PASSWORD), "ESC603", ""),
        (Mood::Values(format!("{{\"properties\":{{\"db\":\"{PASSWORD}\"}}}}")), "ESC602", ""),
        (Mood::Values(values(1, "nul\0")), "", ""),
        (Mood::Values(values(1, PASSWORD)), "", ""),
    ];
    for (mood, code, _) in faults().into_iter().chain(more) {
        let before = pod.told(code);
        live.set(mood);
        live.wait_for_more(3);
        if !code.is_empty() {
            wait("a warning", || pod.told(code) > before);
        }
        live.set(Mood::Values(values(1, "one")));
        wait("freshness", || pod.state().stale_since.is_none());
    }
    live.prove_by(Some(Certificates::new().server()));
    wait("distrust", || pod.said().contains("[ESC304]"));
    live.prove_by(Some(good()));
    wait("freshness", || pod.state().stale_since.is_none());
    wait("a POST that succeeds", || pod.said().contains("told the application"));
    assert!(application.calls().len() >= 3);
    let mut metrics = String::new();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    stream.read_to_string(&mut metrics).unwrap();
    assert!(metrics.contains("esc_agent_fetches_total"), "{metrics}");
    assert_no_canary("the metrics", &metrics);
    assert!(pod.said().contains("exchanged the pod's token"));
    let outcome = running.terminate();
    assert_eq!(outcome.code, None, "the process of the test dies of the signal");
    pod.assert_nothing_shows();
}
