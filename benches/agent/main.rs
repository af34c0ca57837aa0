//! What the agent and the wrapper cost a node: a container's start through the wrapper, a sidecar at rest, a refresh.
//!
//! ```console
//! $ cargo bench --bench agent                                  # the bench profile's binary
//! $ cargo xtask dist                                           # what ships
//! $ cargo bench --bench agent -- --binary target/x86_64-unknown-linux-gnu/dist/esc-injector
//! ```
//!
//! Processor time is what the scheduler counted for the process, which others on the machine change little; the time of
//! a start is the median of many that take turns with the plain one. With `valgrind` instructions are counted besides.
//! As a test (`cargo test --benches`) each is done a few times, and nothing is printed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    missing_docs,
    unreachable_pub,
    reason = "a bench fails by panicking"
)]

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use clap::Parser;

#[path = "../../tests/agent/certificates.rs"]
mod certificates;

mod esc;
mod pod;
mod process;

use esc::Esc;
use pod::Pod;
use process::{Usage, children_processor_time};

#[derive(Parser)]
#[command(about = "What the agent and the wrapper cost: start, rest, refresh")]
struct Args {
    /// The binary to measure [default: the one that cargo built for this bench]
    #[arg(long, value_name = "PATH", default_value = env!("CARGO_BIN_EXE_esc-injector"))]
    binary: PathBuf,
    /// Starts of each kind
    #[arg(long, default_value_t = 1000)]
    starts: usize,
    /// Refreshes of each kind
    #[arg(long, default_value_t = 60)]
    refreshes: usize,
    /// How long a sidecar is watched at rest, in seconds
    #[arg(long, default_value_t = 60)]
    rest: u64,
    /// Given by `cargo bench`; without it, this is a test
    #[arg(long, hide = true)]
    bench: bool,
}

const PROGRAM: &str = "/bin/true";

/// A sidecar that looks again each second.
const OFTEN: u64 = 1;
/// One that has nothing to do for as long as it is watched.
const SELDOM: u64 = 3600;

fn main() {
    let mut args = Args::parse();
    if !args.bench {
        (args.starts, args.refreshes, args.rest) = (3, 2, 1);
    }
    let esc = Esc::start();
    starts(&args);
    rest(&args, &esc);
    for changes in [false, true] {
        esc.change_each_time(changes);
        refreshes(&args, &esc, changes);
    }
    if args.bench {
        instructions(&args, &esc);
    }
}

macro_rules! tell {
    ($args:expr, $($told:tt)+) => {
        if $args.bench {
            println!($($told)+);
        }
    };
}

/// A program alone, and through the wrapper.
fn starts(args: &Args) {
    for variables in [10, 10_000] {
        let directory = tempfile::tempdir().unwrap();
        let content: Vec<_> =
            (0..variables).map(|index| format!("+VARIABLE_{index}=value {index}\0")).collect();
        std::fs::write(directory.path().join("environ"), content.concat()).unwrap();
        let mut commands = [Command::new(PROGRAM), wrapped(&args.binary, directory.path())];
        let mut times = [Vec::new(), Vec::new()];
        let mut processor = [Duration::ZERO; 2];
        // Turns of ten: processor time of children is told in steps of 10 ms.
        for _ in 0..args.starts.div_ceil(10) {
            for (kind, command) in commands.iter_mut().enumerate() {
                let before = children_processor_time();
                for _ in 0..10 {
                    let start = Instant::now();
                    assert!(command.env_clear().status().unwrap().success());
                    times[kind].push(start.elapsed());
                }
                processor[kind] += children_processor_time().saturating_sub(before);
            }
        }
        let [plain, wrapped] = times.map(median);
        let each = |kind: usize| processor[kind].as_secs_f64() * 1e6 / (args.starts.div_ceil(10) * 10) as f64;
        tell!(
            args,
            "start with {variables} variables: plain {plain:.0} µs, through the wrapper {wrapped:.0} µs, more by {:.0} µs; \
             processor time {:.0} µs, {:.0} µs, more by {:.0} µs",
            wrapped - plain,
            each(0),
            each(1),
            each(1) - each(0)
        );
    }
}

fn wrapped(binary: &Path, directory: &Path) -> Command {
    let mut command = Command::new(binary);
    command.arg("exec").arg(format!("--env-dir={}", directory.display())).args(["--", PROGRAM]);
    command
}

/// In microseconds.
fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1e6
}

/// A sidecar between two refreshes.
fn rest(args: &Args, esc: &Esc) {
    let pod = Pod::new(esc, SELDOM);
    let sidecar = pod.sidecar(&args.binary);
    // Connections and former sets are let go within ten seconds.
    thread::sleep(Duration::from_secs(if args.bench { 15 } else { 0 }));
    let before = sidecar.usage();
    thread::sleep(Duration::from_secs(args.rest));
    let after = sidecar.usage();
    tell!(
        args,
        "sidecar at rest: {:.1} MiB resident, of which {:.1} MiB its own; in {} s {} µs of processor time, and {} wake-ups",
        after.resident_mebibytes,
        after.own_mebibytes,
        args.rest,
        after.processor_time.saturating_sub(before.processor_time).as_micros(),
        after.switches - before.switches
    );
}

/// Refreshes over TLS that find the same, or something new each time.
fn refreshes(args: &Args, esc: &Esc, changes: bool) {
    let pod = Pod::new(esc, OFTEN);
    let sidecar = pod.sidecar(&args.binary);
    let wait_for = |count: usize| {
        let end = esc.reads() + count;
        while esc.reads() < end {
            thread::sleep(Duration::from_millis(20));
        }
        // What follows a read is done in a moment.
        thread::sleep(Duration::from_millis(300));
    };
    wait_for(2);
    let (before, opened_before) = (sidecar.usage(), esc.connections());
    wait_for(args.refreshes);
    let Usage { processor_time, resident_mebibytes, .. } = sidecar.usage();
    let each = processor_time.saturating_sub(before.processor_time) / u32::try_from(args.refreshes).unwrap();
    tell!(
        args,
        "refresh that finds {}: {} µs of processor time, {:.1} MiB resident, {} connections for {} refreshes",
        if changes { "something new" } else { "the same" },
        each.as_micros(),
        resident_mebibytes,
        esc.connections() - opened_before,
        args.refreshes
    );
}

/// Instructions, which are the same on a busy machine.
fn instructions(args: &Args, esc: &Esc) {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("environ"), "+A=1\0").unwrap();
    let count = |words: &mut dyn FnMut(&mut Command)| {
        let mut command = Command::new("valgrind");
        command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(&args.binary);
        words(&mut command);
        let output = command.stdin(Stdio::null()).output().ok()?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let line = said.lines().rfind(|line| line.contains("Collected :"))?;
        line.rsplit_once(": ")?.1.trim().parse::<u64>().ok()
    };
    let exec = count(&mut |command| {
        command.arg("exec").arg(format!("--env-dir={}", directory.path().display())).args(["--", "/no/such"]);
    });
    let pod = Pod::new(esc, SELDOM);
    let init = count(&mut |command| {
        command.args(["agent", "init"]).env("ESC_INJECTOR_PLAN", pod.init_plan());
    });
    for (what, count) in [("the wrapper, up to its exec", exec), ("an init agent, from start to end", init)] {
        match count {
            Some(count) => println!("{what}: {:.1} million instructions", count as f64 / 1e6),
            None => println!("{what}: no valgrind here"),
        }
    }
}
