//! The sidecar, as kubelet starts it, and with shorter times as a process of the tests' own.

use std::{
    fs,
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use esc_injector::{
    agent::{
        self, Options,
        sidecar::pace::{Limit, Telling, Timing},
        state::{Fingerprint, State},
    },
    cli::logging::{self, LogFormat, LogLevel},
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::{
    harness::{BINARY, Outcome, Pod},
    live::{Live, Mood, values, wait},
    volumes::Mount,
};

/// Milliseconds that a second of the plan lasts, in [`sidecar_process`].
const SECOND: &str = "TEST_SECOND_MS";

/// Milliseconds that one refresh may take there.
const FETCH: &str = "TEST_FETCH_MS";

/// Longer than any that a test waits for to the end.
const LONG_FETCH: u64 = 120_000;

/// Not a test: the sidecar with shorter times, which the tests start as a process of its own.
#[test]
#[ignore = "a process of other tests"]
fn sidecar_process() {
    let (Ok(second), Ok(plan)) = (std::env::var(SECOND), std::env::var("ESC_INJECTOR_PLAN")) else { return };
    let fetch = std::env::var(FETCH).unwrap().parse().unwrap();
    logging::start(LogLevel::Trace, LogFormat::Json);
    let second = Duration::from_millis(second.parse().unwrap());
    let limit = Limit { pause: second, most: 1000, window: second };
    let timing = Timing {
        second,
        fetch: Duration::from_millis(fetch),
        retry_first: second,
        retry_longest: second * 4,
        refused_longest: second * 4,
        keep_former: second * 20,
        remind: Duration::from_secs(3600),
        telling: Telling { post: Duration::from_secs(20), again: second, call: limit, restart: limit },
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let fingerprint = Fingerprint::of(&plan);
    let plan = agent::read_plan(&plan).unwrap();
    let result = runtime.block_on(agent::sidecar(&plan, &fingerprint, &Options::default(), &timing));
    panic!("the sidecar ended: {result:?}");
}

/// A running sidecar; killed when dropped.
pub struct Running<'a> {
    pub pod: &'a Pod,
    process: Option<Child>,
}

impl Pod {
    /// With a refresh each second of the plan.
    pub fn refreshing(url: &str, on_change: &Value) -> Self {
        let mut pod = Self::new(url).timeout(1);
        fs::create_dir(pod.path("state")).unwrap();
        pod.plan["refresh"] = json!({
            "intervalSeconds": 1, "onChange": on_change.clone(), "restartSpreadSeconds": 0, "stateDir": pod.path("state"),
        });
        pod
    }

    fn with_plan(&self, mut command: Command) -> Command {
        command
            .env_clear()
            .env("ESC_INJECTOR_PLAN", self.plan.to_string())
            .env("ESC_INJECTOR_LOG_LEVEL", "trace")
            .env("ESC_INJECTOR_TERMINATION_LOG", self.path("termination"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(fs::File::options().create(true).append(true).open(self.path("log")).unwrap());
        command
    }

    /// The real thing, by this command.
    pub fn sidecar_by(&self, mut command: Command) -> Running<'_> {
        command.arg(BINARY).args(["agent", "sidecar"]);
        Running { pod: self, process: Some(self.with_plan(command).spawn().unwrap()) }
    }

    /// The real thing.
    pub fn sidecar(&self) -> Running<'_> {
        let mut command = self.with_plan(Command::new(BINARY));
        Running { pod: self, process: Some(command.args(["agent", "sidecar"]).spawn().unwrap()) }
    }

    /// The same code, with so many milliseconds to a second of the plan.
    pub fn quick_sidecar(&self, second: u64) -> Running<'_> {
        self.quick_sidecar_within(second, LONG_FETCH)
    }

    /// And so many to one refresh.
    pub fn quick_sidecar_within(&self, second: u64, fetch: u64) -> Running<'_> {
        let mut command = self.with_plan(Command::new(std::env::current_exe().unwrap()));
        command.args(["--exact", "sidecar::sidecar_process", "--ignored", "--nocapture"]);
        command.env(SECOND, second.to_string()).env(FETCH, fetch.to_string());
        Running { pod: self, process: Some(command.spawn().unwrap()) }
    }

    /// Whether the startup probe succeeds.
    pub fn is_ready(&self) -> bool {
        let mut command = self.with_plan(Command::new(BINARY));
        let output = command.args(["agent", "ready"]).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        match output.status.code() {
            Some(0) => assert_eq!(said, ""),
            Some(1) => assert!(said.starts_with("[ESC613] "), "{said}"),
            other => panic!("{other:?} {said}"),
        }
        output.status.success()
    }

    pub fn state(&self) -> State {
        let text = fs::read_to_string(self.path("state/state.json")).unwrap();
        crate::harness::assert_no_canary("the state", &text);
        serde_json::from_str(&text).unwrap()
    }

    pub fn certificate(&self) -> String {
        fs::read_to_string(self.path("files/tls/ca.crt")).unwrap()
    }

    pub fn said(&self) -> String {
        let log = fs::read_to_string(self.path("log")).unwrap();
        crate::harness::assert_no_canary("the log", &log);
        log
    }

    /// Whatever a sidecar left for others to see holds no secret.
    pub fn assert_nothing_shows(&self) {
        for file in ["log", "termination", "state/ready", "state/state.json"] {
            let text = fs::read_to_string(self.path(file)).unwrap_or_default();
            crate::harness::assert_no_canary(file, &text);
        }
    }

    /// Lines of the log with this code.
    pub fn told(&self, code: &str) -> usize {
        self.said().matches(&format!("\"code\":\"{code}\"")).count()
    }
}

impl Running<'_> {
    pub fn pid(&self) -> Pid {
        Pid::from_child(self.process.as_ref().unwrap())
    }

    pub fn wait_until_ready(&self) {
        let mark = self.pod.path("state/ready");
        wait("the mark", || mark.exists());
        assert!(self.pod.is_ready());
    }

    /// Waits for its end: the exit code, or none if a signal ended it.
    pub fn end(mut self) -> Outcome {
        let status = self.process.take().unwrap().wait().unwrap();
        let termination = fs::read_to_string(self.pod.path("termination")).unwrap_or_default();
        crate::harness::assert_no_canary("the termination message", &termination);
        assert_ne!(status.signal(), Some(6), "{}", self.pod.said());
        Outcome { code: status.code(), stderr: self.pod.said(), termination }
    }

    pub fn terminate(self) -> Outcome {
        kill_process(self.pid(), Signal::TERM).unwrap();
        self.end()
    }

    pub fn kill(self) {
        kill_process(self.pid(), Signal::KILL).unwrap();
        assert_eq!(self.end().code, None);
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _ = process.kill();
            let _ = process.wait();
        }
        if std::thread::panicking() {
            eprintln!("{}", fs::read_to_string(self.pod.path("log")).unwrap_or_default());
        } else {
            self.pod.assert_nothing_shows();
        }
    }
}

fn none() -> Value {
    json!({"kind": "none"})
}

fn set(pod: &Pod) -> [std::path::PathBuf; 2] {
    ["files", "env"].map(|dir| fs::read_link(pod.path(dir).join("..data")).unwrap())
}

#[test]
fn a_change_arrives_and_nothing_else_is_published() {
    let live = Live::start(Mood::Values(values(1, "one")));
    let pod = Pod::refreshing(&live.url, &none());
    assert!(!pod.is_ready());
    let running = pod.quick_sidecar(20);
    running.wait_until_ready();
    let first = set(&pod);
    assert_eq!(pod.certificate(), "one");
    live.wait_for_more(5);
    assert_eq!(set(&pod), first, "the same values are no new set");
    live.set(Mood::Values(values(1, "two")));
    wait("the change", || pod.certificate() == "two");
    let second = set(&pod);
    assert_ne!(second[0], first[0]);
    assert_eq!(second[1], first[1], "the variables are as they were");
    live.wait_for_more(3);
    assert_eq!(set(&pod), second);
    assert!(pod.is_ready());
    wait("the former set goes", || !pod.path("files").join(&first[0]).exists());
    assert!(pod.state().stale_since.is_none());
}

/// What goes wrong ▶ what the agent says of it, with the cause. docs/refresh.md shows this table.
pub fn faults() -> Vec<(Mood, &'static str, &'static str)> {
    vec![
        (Mood::Down, "ESC601", "[ESC301]"),
        (Mood::Status(403, ""), "ESC602", "[ESC309]"),
        (Mood::CutOff, "ESC601", "[ESC301]"),
        (Mood::Status(404, ""), "ESC602", "[ESC311]"),
        (Mood::Status(503, ""), "ESC601", "[ESC303]"),
        (Mood::Status(401, ""), "ESC602", "[ESC308]"),
        (Mood::Status(500, ""), "ESC601", "[ESC303]"),
        (Mood::Status(409, ""), "ESC602", "[ESC314]"),
        (Mood::Status(429, "retry-after: 0\r\n"), "ESC601", "[ESC302]"),
        (Mood::Status(302, "location: http://127.0.0.1:1/\r\n"), "ESC602", "[ESC316]"),
        (Mood::Values("{\"properties\":{\"db\":{\"value\":{}}}}".to_owned()), "ESC603", "[ESC404]"),
        (Mood::Values("<html>".to_owned()), "ESC602", "[ESC316]"),
        (Mood::Status(200, "content-type: text/html\r\n"), "ESC602", "[ESC316]"),
    ]
}

#[test]
fn the_last_good_set_outlives_any_outage() {
    let live = Live::start(Mood::Values(values(1, "one")));
    let pod = Pod::refreshing(&live.url, &none());
    let running = pod.quick_sidecar(10);
    running.wait_until_ready();
    let first = set(&pod);
    for (round, (mood, code, cause)) in faults().into_iter().enumerate() {
        let before = pod.told(code);
        live.set(mood);
        live.wait_for_more(4);
        wait("a warning", || pod.told(code) > before);
        let said = pod.said();
        let last = said
            .lines()
            .rfind(|line| line.contains("\"WARN\"") && line.contains(&format!("\"code\":\"{code}\"")))
            .unwrap();
        assert!(last.contains(cause) && last.contains("the values in place stay"), "{cause} in {last}");
        assert_eq!(set(&pod), first, "{code} in round {round}");
        assert_eq!(pod.certificate(), "one");
        wait("the state", || pod.state().stale_since.is_some());
        assert!(pod.is_ready());
        live.set(Mood::Values(values(1, "one")));
        wait("freshness", || pod.state().stale_since.is_none());
    }
    // A wire without traces, an answer that takes its time: nothing that is worth a word.
    live.set(Mood::Slow(
        Duration::from_millis(50),
        json!({"properties": {"db": {"value": {"password": {"value": "x"}, "port": {"value": 2}}},
            "tls": {"value": {"ca": {"value": "two"}}}, "somethingNew": {"value": 1}}, "more": true})
        .to_string(),
    ));
    wait("the change", || pod.certificate() == "two");
    drop(running);
    assert_eq!(pod.said().matches("no such property").count(), 3, "once for each of the properties");
    let vanished = pod.said();
    let line = vanished.lines().find(|line| line.contains("\"code\":\"ESC603\"")).unwrap();
    assert!(line.contains("DB_PASSWORD") && line.contains("db.password"), "{line}");
}

#[test]
fn a_full_volume_keeps_the_last_set_until_there_is_room() {
    let live = Live::start(Mood::Values(values(1, "one")));
    let pod = Pod::refreshing(&live.url, &none());
    let test = "a_full_volume_keeps_the_last_set_until_there_is_room";
    let Some(_mount) = Mount::new(test, pod.path("files"), "size=64k") else { return };
    let running = pod.quick_sidecar(20);
    running.wait_until_ready();
    let first = set(&pod);
    live.set(Mood::Values(values(2, &"x".repeat(100_000))));
    wait("the warning", || pod.told("ESC604") > 0);
    assert_eq!((set(&pod), pod.certificate().as_str()), (first, "one"), "neither files nor variables");
    assert!(pod.is_ready() && pod.said().contains("[ESC410]"));
    live.set(Mood::Values(values(2, "two")));
    wait("the change", || pod.certificate() == "two");
    drop(running);
}

#[test]
fn a_lasting_outage_is_told_once_and_asked_about_ever_less() {
    let live = Live::start(Mood::Values(values(1, "one")));
    let pod = Pod::refreshing(&live.url, &none());
    let running = pod.quick_sidecar(10);
    running.wait_until_ready();
    live.set(Mood::Status(503, ""));
    live.wait_for_more(20);
    live.set(Mood::Values(values(1, "one")));
    wait("freshness", || pod.said().contains("the values are fresh again"));
    let log = pod.said();
    let warnings: Vec<_> =
        log.lines().filter(|line| line.contains("\"level\":\"WARN\"") && line.contains("stale")).collect();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
}

#[test]
fn esc_is_left_alone_for_as_long_as_it_asks() {
    let live = Live::start(Mood::Values(values(1, "one")));
    let pod = Pod::refreshing(&live.url, &none());
    let running = pod.quick_sidecar(10);
    running.wait_until_ready();
    live.set(Mood::Status(429, "retry-after: 1\r\n"));
    let before = live.opens();
    live.wait_for_more(3);
    // The first of them was on its way by the old rules.
    for gap in &live.gaps()[before + 1..] {
        assert!(*gap >= Duration::from_secs(1), "{gap:?}");
    }
}

#[test]
fn a_restarted_sidecar_is_ready_at_once_while_esc_is_down() {
    let live = Live::start(Mood::Values(values(1, "one")));
    let mut pod = Pod::refreshing(&live.url, &none());
    pod.plan["binaryDir"] = json!(pod.path("bin"));
    let running = pod.sidecar();
    running.wait_until_ready();
    running.kill();
    let before = pod.listing();
    live.set(Mood::Down);
    let running = pod.sidecar();
    wait("adoption", || pod.said().contains("ready with the set that lies there"));
    assert!(pod.is_ready());
    wait("an attempt", || pod.told("ESC601") > 0);
    assert_eq!(pod.listing(), before);
    live.set(Mood::Values(values(1, "two")));
    wait("the change", || pod.certificate() == "two");
    assert_eq!(running.terminate().code, Some(0));
}

#[test]
fn what_a_crash_left_half_done_is_not_adopted() {
    let live = Live::start(Mood::Values(values(1, "one")));
    let pod = Pod::refreshing(&live.url, &none());
    pod.sidecar().wait_until_ready();
    assert!(pod.is_ready());
    // As if the process had died between the switches of the two directories.
    let files = pod.path("files");
    let former = fs::read_link(files.join("..data")).unwrap();
    fs::rename(files.join(&former), files.join("..1")).unwrap();
    fs::remove_file(files.join("..data")).unwrap();
    std::os::unix::fs::symlink("..1", files.join("..data")).unwrap();
    assert!(!pod.is_ready());
    live.set(Mood::Down);
    let outcome = pod.sidecar().end();
    assert_eq!(outcome.code, Some(69), "{}", outcome.stderr);
    assert!(outcome.termination.starts_with("[ESC301] "), "{}", outcome.termination);
    assert!(!pod.is_ready());
    live.set(Mood::Values(values(1, "one")));
    let running = pod.sidecar();
    wait("a whole", || pod.is_ready());
    drop(running);
}

#[test]
fn a_set_of_another_plan_is_not_adopted() {
    let live = Live::start(Mood::Values(values(1, "one")));
    let mut pod = Pod::refreshing(&live.url, &none());
    pod.sidecar().wait_until_ready();
    pod.view()["files"] = json!([{"name": "port", "path": "db.port"}]);
    assert!(!pod.is_ready());
    let running = pod.sidecar();
    wait("the new plan's set", || pod.is_ready());
    assert_eq!(fs::read_to_string(pod.path("files/port")).unwrap(), "1");
    assert!(!pod.path("files/tls").exists());
    assert_eq!(running.terminate().code, Some(0));
}

#[test]
fn the_first_fetch_fails_as_init_does() {
    let live = Live::start(Mood::Status(403, ""));
    let pod = Pod::refreshing(&live.url, &none());
    let outcome = pod.sidecar().end();
    assert_eq!(outcome.code, Some(77), "{}", outcome.stderr);
    assert!(outcome.termination.starts_with("[ESC309] "), "{}", outcome.termination);
    assert!(pod.listing().is_empty() && !pod.is_ready());
    let mut plain = Pod::new(&live.url);
    plain.plan["environments"] = json!(["acme/shop/prod"]);
    let outcome = plain.sidecar().end();
    assert_eq!(outcome.code, Some(78), "a plan without refresh");
}

#[test]
fn an_application_that_started_without_gets_its_values_later() {
    let live = Live::start(Mood::Down);
    let mut pod = Pod::refreshing(&live.url, &none());
    pod.plan["onFailure"] = json!("start");
    let running = pod.quick_sidecar(20);
    running.wait_until_ready();
    assert!(pod.path("env/degraded").exists());
    live.set(Mood::Values(values(1, "one")));
    wait("the values", || pod.path("files/tls/ca.crt").exists());
    wait("the mark goes", || !pod.path("env/degraded").exists() && pod.path("env/environ").exists());
    assert!(pod.is_ready());
    drop(running);
}

#[test]
fn sigterm_at_any_moment_leaves_a_whole_set_and_success() {
    let live = Live::start(Mood::Flapping);
    let mut slowest = Duration::ZERO;
    for batch in 0_u64..5 {
        let pods: Vec<_> = (0..10).map(|_| Pod::refreshing(&live.url, &none())).collect();
        let running: Vec<_> = pods.iter().map(Pod::sidecar).collect();
        for (number, running) in running.into_iter().enumerate() {
            // From the middle of the first fetch to the middle of the second refresh.
            let caught = || fs::read_to_string(running.pod.path("log")).is_ok_and(|log| !log.is_empty());
            wait("the signals are caught", caught);
            let number = u64::try_from(number).unwrap();
            std::thread::sleep(Duration::from_micros(997 * ((batch * 10 + number) * 37 % 101)));
            let pod = running.pod;
            let start = Instant::now();
            let outcome = running.terminate();
            slowest = slowest.max(start.elapsed());
            assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
            assert_eq!(outcome.termination, "");
            if pod.path("env/environ").exists() || pod.path("files/tls").exists() {
                let number = pod.certificate();
                assert_eq!(pod.records()[1], format!("+DB_PORT={number}"));
                assert!(pod.is_ready(), "whole, and marked so");
            }
        }
    }
    eprintln!("slowest end after SIGTERM: {slowest:?}");
    assert!(slowest < Duration::from_secs(20));
}

#[test]
fn the_probe_needs_no_network_and_tells_why_not() {
    let pod = Pod::refreshing("http://127.0.0.1:1", &none());
    assert!(!pod.is_ready());
    fs::write(pod.path("state/ready"), "{}").unwrap();
    assert!(!pod.is_ready());
    fs::write(pod.path("state/ready"), "x".repeat(1_000_000)).unwrap();
    assert!(!pod.is_ready());
    fs::remove_dir_all(pod.path("state")).unwrap();
    assert!(!pod.is_ready());
}

#[test]
fn state_that_can_not_be_kept_has_its_code() {
    let live = Live::start(Mood::Values(values(1, "one")));
    let pod = Pod::refreshing(&live.url, &none());
    fs::remove_dir(pod.path("state")).unwrap();
    let outcome = pod.sidecar().end();
    assert_eq!(outcome.code, Some(78));
    assert!(outcome.termination.starts_with("[ESC605] "), "{}", outcome.termination);
    assert!(pod.listing().is_empty(), "nothing is published that could not be marked");
}

#[test]
fn metrics_tell_how_fresh_the_values_are() {
    use std::io::{Read, Write};
    let live = Live::start(Mood::Values(values(1, "one")));
    let mut pod = Pod::refreshing(&live.url, &none());
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    pod.plan["refresh"]["metricsPort"] = json!(port);
    let running = pod.quick_sidecar(20);
    running.wait_until_ready();
    let scrape = || {
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    let value = |name: &str| -> f64 {
        let answer = scrape();
        let line = answer.lines().find_map(|line| line.strip_prefix(name)).expect(&answer);
        line.trim().parse().unwrap()
    };
    assert!(scrape().contains("application/openmetrics-text"));
    assert!(value("esc_agent_last_success_timestamp_seconds") > 1e9);
    wait("fetches", || value("esc_agent_fetches_total{outcome=\"success\"}") > 2.0);
    assert!((value("esc_agent_publishes_total") - 1.0).abs() < f64::EPSILON);
    assert!(value("esc_agent_stale_seconds").abs() < f64::EPSILON);
    live.set(Mood::Status(403, ""));
    wait("refusals", || value("esc_agent_fetches_total{outcome=\"refused\"}") > 0.0);
    wait("staleness", || value("esc_agent_stale_seconds") > 0.0);
    crate::harness::assert_no_canary("the metrics", &scrape());
    // A second one in the same pod goes without, says so once, and takes the port when it is free.
    let mut other = Pod::refreshing(&live.url, &none());
    live.set(Mood::Values(values(1, "one")));
    other.plan["refresh"]["metricsPort"] = json!(port);
    let without = other.quick_sidecar(10);
    without.wait_until_ready();
    wait("the warning", || other.told("ESC606") > 0);
    live.wait_for_more(20);
    assert_eq!(other.told("ESC606"), 1);
    assert!(!other.said().contains("is open now"));
    drop(running);
    wait("the port", || other.said().contains("is open now"));
    assert!(value("esc_agent_fetches_total{outcome=\"success\"}") > 1.0);
    drop(without);
}

/// How many pages are in memory, and how many files are open.
fn weight(pid: Pid) -> (u64, usize) {
    let proc = Path::new("/proc").join(pid.as_raw_nonzero().to_string());
    let status = fs::read_to_string(proc.join("status")).unwrap();
    let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kilobytes = rss.trim().trim_end_matches(" kB").parse().unwrap();
    (kilobytes, fs::read_dir(proc.join("fd")).unwrap().count())
}

/// Publishes at each refresh, so many times, and compares the weight before and after.
fn stays_light(refreshes: usize) {
    let live = Live::start(Mood::Flapping);
    let pod = Pod::refreshing(&live.url, &none());
    let running = pod.quick_sidecar(1);
    running.wait_until_ready();
    let wait_for = |refreshes: usize| {
        let end = live.opens() + refreshes;
        while live.opens() < end {
            live.wait_for_more(10);
        }
    };
    wait_for(refreshes / 5);
    let (before, files_before) = weight(running.pid());
    wait_for(refreshes);
    let (after, files_after) = weight(running.pid());
    eprintln!("{refreshes} refreshes: RSS {before} ▶ {after} kB, open files {files_before} ▶ {files_after}");
    assert!(after < before + 2048, "RSS grew from {before} to {after} kB in {refreshes} refreshes");
    // A connection may be open at one time and not at the other.
    assert!(files_after <= files_before + 4, "open files: {files_before} ▶ {files_after}");
    let sets = fs::read_dir(pod.path("files")).unwrap().count();
    assert!(sets <= 6, "{sets} entries in the directory");
}

#[test]
fn five_hundred_refreshes_leave_no_trace_in_memory() {
    stays_light(500);
}

#[test]
#[ignore = "takes a minute or more"]
fn ten_thousand_refreshes_leave_no_trace_in_memory() {
    stays_light(10_000);
}

/// What a reader finds that opens `..data` once, and then each file in it.
fn read_whole(dir: &Path) -> Option<[String; 3]> {
    use rustix::fs::{CWD, Mode, OFlags, openat};
    use std::io::Read;
    let set = openat(CWD, dir.join("..data"), OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).ok()?;
    let read = |name: &str| {
        let mut text = String::new();
        let file = openat(&set, name, OFlags::RDONLY, Mode::empty()).ok()?;
        fs::File::from(file).read_to_string(&mut text).ok()?;
        Some(text)
    };
    Some([read("a")?, read("deep/b")?, read("tls/ca.crt")?])
}

fn readers_see_whole_sets(refreshes: usize) {
    let live = Live::start(Mood::Flapping);
    let mut pod = Pod::refreshing(&live.url, &none());
    pod.view()["files"] = json!([
        {"name": "a", "path": "db.port"}, {"name": "deep/b", "path": "tls.ca"}, {"name": "tls/ca.crt", "path": "tls.ca"},
    ]);
    // Former sets stay for twenty times the interval, so that only a reader that takes longer finds one gone.
    let running = pod.quick_sidecar(5);
    running.wait_until_ready();
    let start = live.opens();
    let (mut passes, mut seen) = (0_u64, std::collections::BTreeSet::new());
    while live.opens() < start + refreshes {
        let begin = live.opens();
        let found = read_whole(&pod.path("files"));
        // By its path a file is always there, whole.
        let by_path = fs::read_to_string(pod.path("files/deep/b"));
        // What follows the next open sweeps the former set. A pass that long says nothing.
        if live.opens() > begin {
            continue;
        }
        let [a, b, c] = found.expect("a whole set");
        assert!(a == b && b == c, "a mixed set: {a} {b} {c}");
        assert!(by_path.expect("a file").parse::<u64>().is_ok());
        passes += 1;
        seen.insert(a);
    }
    eprintln!("{refreshes} refreshes: {passes} passes saw {} sets", seen.len());
    assert!(passes > 100 && seen.len() > refreshes / 10, "{passes} passes saw {} sets", seen.len());
}

#[test]
fn readers_see_whole_sets_while_three_hundred_refreshes_swap_them() {
    readers_see_whole_sets(300);
}

#[test]
#[ignore = "takes a while"]
fn readers_see_whole_sets_while_a_thousand_refreshes_swap_them() {
    readers_see_whole_sets(1000);
}
