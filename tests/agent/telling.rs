//! How the application learns of a change: POST, signal, restart.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::{
    harness::{Pod, assert_no_canary},
    live::{Live, Mood, values, wait},
};

/// An application with a URL: answers these statuses in turn, then 204; keeps what it saw.
pub struct Application {
    pub url: String,
    calls: Arc<Mutex<Vec<(String, String)>>>,
}

impl Application {
    /// `file` is read at each call.
    pub fn start(file: std::path::PathBuf, statuses: &'static [u16]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/reload?key=canary", listener.local_addr().unwrap());
        let calls: Arc<Mutex<Vec<(String, String)>>> = Arc::default();
        let seen = Arc::clone(&calls);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                let mut head = String::new();
                let mut reader = BufReader::new(&stream);
                while reader.read_line(&mut head).is_ok_and(|read| read > 2) {}
                let mut seen = seen.lock().unwrap();
                let status = statuses.get(seen.len()).copied().unwrap_or(204);
                seen.push((head, fs::read_to_string(&file).unwrap()));
                let answer = format!(
                    "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: 0\r\nlocation: /elsewhere\r\n\r\n"
                );
                let _ = (&stream).write_all(answer.as_bytes());
            }
        });
        Self { url, calls }
    }

    /// Each request as it came, and what the file held then.
    pub fn calls(&self) -> Vec<(String, String)> {
        let calls = self.calls.lock().unwrap().clone();
        for (request, _) in &calls {
            assert_no_canary("the POST", request);
        }
        calls
    }
}

#[test]
fn a_post_follows_a_change_that_is_visible() {
    let live = Live::start(Mood::Values(values(1, "one")));
    let mut pod = Pod::refreshing(&live.url, &Value::Null);
    let application = Application::start(pod.path("files/tls/ca.crt"), &[]);
    pod.plan["refresh"]["onChange"] = json!({"kind": "post", "url": application.url});
    let running = pod.quick_sidecar(20);
    running.wait_until_ready();
    live.wait_for_more(4);
    assert_eq!(application.calls(), [], "nothing changed, and the first set is no change");
    live.set(Mood::Values(values(1, "two")));
    wait("the POST", || !application.calls().is_empty());
    live.wait_for_more(4);
    let calls = application.calls();
    assert_eq!(calls.len(), 1, "{calls:?}");
    let (head, file) = &calls[0];
    assert!(head.starts_with("POST /reload?key=canary HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("content-length: 0") && head.contains("user-agent: esc-injector/"), "{head}");
    assert!(!head.to_ascii_lowercase().contains("authorization"), "{head}");
    assert_eq!(file, "two");
    wait("the state", || pod.state().untold_since.is_none());
    assert!(!pod.said().contains("/reload"), "the path may hold a token");
    drop(running);
}

#[test]
fn a_post_that_fails_is_tried_again_and_redirects_are_failures() {
    let live = Live::start(Mood::Values(values(1, "one")));
    let mut pod = Pod::refreshing(&live.url, &Value::Null);
    // Three for the first round, one more for the next.
    let application = Application::start(pod.path("files/tls/ca.crt"), &[500, 302, 503, 500]);
    pod.plan["refresh"]["onChange"] = json!({"kind": "post", "url": application.url});
    let running = pod.quick_sidecar(20);
    running.wait_until_ready();
    live.set(Mood::Values(values(1, "two")));
    wait("success", || pod.said().contains("told the application"));
    let calls = application.calls();
    assert_eq!(calls.len(), 5, "{calls:?}");
    assert!(calls.iter().all(|(head, _)| head.starts_with("POST /reload")), "{calls:?}");
    assert_eq!(pod.told("ESC607"), 1);
    drop(running);
}

#[test]
fn a_change_that_a_crash_kept_from_being_told_is_told_by_the_next_run() {
    let live = Live::start(Mood::Values(values(1, "one")));
    let mut pod = Pod::refreshing(&live.url, &Value::Null);
    let application = Application::start(pod.path("files/tls/ca.crt"), &[500; 1000]);
    pod.plan["refresh"]["onChange"] = json!({"kind": "post", "url": application.url});
    let running = pod.quick_sidecar(20);
    running.wait_until_ready();
    live.set(Mood::Values(values(1, "two")));
    wait("a call", || !application.calls().is_empty());
    running.kill();
    assert!(pod.state().untold_since.is_some());
    let before = application.calls().len();
    live.set(Mood::Down);
    let running = pod.quick_sidecar(20);
    wait("another call", || application.calls().len() > before);
    drop(running);
}

/// A namespace of processes as a pod shares one: `pause` is its pid 1. Ended when dropped.
struct Shared {
    pause: Child,
    inner: i32,
}

impl Shared {
    /// `None` where that is not allowed.
    fn new(test: &str) -> Option<Self> {
        let mut command = Command::new("unshare");
        command.args([
            "--pid",
            "--fork",
            "--mount-proc",
            "--kill-child",
            "sh",
            "-c",
            "echo ready; exec sleep 3600",
        ]);
        let mut pause = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
        let mut line = String::new();
        BufReader::new(pause.stdout.take()?).read_line(&mut line).ok()?;
        if line != "ready\n" {
            let _ = pause.wait();
            eprintln!("SKIPPED {test}: new namespaces are not allowed here");
            return None;
        }
        let children = format!("/proc/{0}/task/{0}/children", pause.id());
        let inner = fs::read_to_string(children).ok()?.trim().parse().ok()?;
        Some(Self { pause, inner })
    }

    /// Runs a command in it, as a container's main process.
    fn enter(&self) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.inner.to_string(), "--pid", "--mount", "--"]);
        command
    }

    /// A program of this name that writes a line into its file for each SIGUSR1.
    fn application(&self, pod: &Pod, name: &str) -> Child {
        let program = pod.path(name);
        fs::copy("/bin/sh", &program).unwrap();
        let file = pod.path(&format!("{name}.hups"));
        let script =
            format!("trap 'echo told >> {0}' USR1; : > {0}; while :; do sleep 0.02; done", file.display());
        let child = self.enter().arg(&program).args(["-c", &script]).stdin(Stdio::null()).spawn().unwrap();
        wait("the application", || file.exists());
        child
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // The kernel ends all that live in it.
        let _ = kill_process(Pid::from_raw(self.inner).unwrap(), Signal::KILL);
        let _ = self.pause.wait();
    }
}

fn hups(pod: &Pod, name: &str) -> usize {
    fs::read_to_string(pod.path(&format!("{name}.hups"))).unwrap().lines().count()
}

/// No SIGHUP: under `nohup` it is ignored, and a shell can't catch what it was started ignoring.
fn signal(process: Option<&str>) -> Value {
    let mut on_change = json!({"kind": "signal", "signal": "SIGUSR1"});
    if let Some(process) = process {
        on_change["process"] = json!(process);
    }
    on_change
}

#[test]
fn a_signal_reaches_the_process_by_name_and_the_main_process_without() {
    let test = "a_signal_reaches_the_process_by_name_and_the_main_process_without";
    for process in [Some("webapp"), None] {
        let Some(shared) = Shared::new(test) else { return };
        let live = Live::start(Mood::Values(values(1, "one")));
        let pod = Pod::refreshing(&live.url, &signal(process));
        let mut application = shared.application(&pod, "webapp");
        let running = pod.sidecar_by(shared.enter());
        running.wait_until_ready();
        live.set(Mood::Values(values(1, "two")));
        wait("the signal", || hups(&pod, "webapp") == 1);
        assert_eq!(pod.certificate(), "two");
        live.wait_for_more(2);
        assert_eq!(hups(&pod, "webapp"), 1, "once for one change");
        wait("the state", || pod.state().untold_since.is_none());
        drop((running, shared));
        let _ = application.wait();
    }
}

#[test]
fn an_unclear_or_missing_target_is_refused_with_its_code() {
    let test = "an_unclear_or_missing_target_is_refused_with_its_code";
    for (process, code) in [("webapp", "ESC610"), ("nobody", "ESC609")] {
        let Some(shared) = Shared::new(test) else { return };
        let live = Live::start(Mood::Values(values(1, "one")));
        let pod = Pod::refreshing(&live.url, &signal(Some(process)));
        let mut first = shared.application(&pod, "webapp");
        let second_pod = Pod::new(&live.url);
        let mut second = shared.application(&second_pod, "webapp");
        let running = pod.sidecar_by(shared.enter());
        running.wait_until_ready();
        live.set(Mood::Values(values(1, "two")));
        wait("the warning", || pod.told(code) > 0);
        assert_eq!(hups(&pod, "webapp") + hups(&second_pod, "webapp"), 0);
        assert!(pod.state().untold_since.is_some(), "it still has to be told");
        drop((running, shared));
        let _ = (first.wait(), second.wait());
    }
}

#[test]
fn without_a_shared_namespace_nobody_is_signalled() {
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--mount-proc", "--kill-child"]);
    if Shared::new("without_a_shared_namespace_nobody_is_signalled").is_none() {
        return;
    }
    let live = Live::start(Mood::Values(values(1, "one")));
    let pod = Pod::refreshing(&live.url, &signal(None));
    let running = pod.sidecar_by(command);
    running.wait_until_ready();
    live.set(Mood::Values(values(1, "two")));
    wait("the warning", || pod.told("ESC608") > 0);
    drop(running);
}

#[test]
fn a_restart_ends_with_the_code_of_the_plan_and_not_again_soon() {
    let live = Live::start(Mood::Values(values(1, "one")));
    let pod = Pod::refreshing(&live.url, &json!({"kind": "restart", "exitCode": 42}));
    let running = pod.sidecar();
    running.wait_until_ready();
    live.set(Mood::Values(values(1, "two")));
    let outcome = running.end();
    assert_eq!(outcome.code, Some(42), "{}", outcome.stderr);
    assert_eq!(pod.certificate(), "two");
    assert!(pod.is_ready(), "what lies there is whole");
    // Values that change at each open must not restart the pod at each refresh.
    live.set(Mood::Flapping);
    let running = pod.sidecar();
    wait("the guard", || pod.told("ESC612") > 0);
    live.wait_for_more(3);
    assert!(pod.state().untold_since.is_some() && pod.state().due.is_some());
    let outcome = running.terminate();
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert_eq!(pod.told("ESC612"), 1, "told once");
    assert_ne!(pod.certificate(), "two", "the files are fresh all the same");
    // The next run remembers.
    let running = pod.sidecar();
    live.wait_for_more(2);
    assert_eq!(running.terminate().code, Some(0));
}

#[test]
fn a_restart_is_scattered_and_not_forgotten() {
    let live = Live::start(Mood::Values(values(1, "one")));
    let mut pod = Pod::refreshing(&live.url, &json!({"kind": "restart", "exitCode": 42}));
    pod.plan["refresh"]["restartSpreadSeconds"] = json!(1_000_000);
    let running = pod.sidecar();
    running.wait_until_ready();
    live.set(Mood::Values(values(1, "two")));
    wait("the plan to restart", || pod.path("state/state.json").exists() && pod.state().due.is_some());
    let due = pod.state().due;
    assert_eq!(running.terminate().code, Some(0));
    let running = pod.sidecar();
    live.wait_for_more(2);
    assert_eq!(pod.state().due, due);
    assert_eq!(running.terminate().code, Some(0));
}
