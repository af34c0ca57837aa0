//! Many pods and one ESC: a rollout against a rate limit, and sidecars that live through an outage. Agents are real
//! processes, ESC is the local server, and between them stands a gate that limits, fails and counts.
//!
//! ```console
//! $ cargo bench --bench rollout                        # prints numbers, draws target/rollout/*.svg
//! $ cargo bench --bench rollout -- --svg docs/images   # draws the pictures of the documentation
//! ```
//!
//! As a test (`cargo test --benches`) a few pods go the same way, and nothing is drawn.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    missing_docs,
    unreachable_pub,
    reason = "a bench fails by panicking"
)]

use std::{fs, path::PathBuf, thread, time::Duration};

use clap::Parser;

mod esc;
mod gate;
mod plot;
mod pods;

use esc::Esc;
use gate::{Gate, Limit};
use plot::Picture;
use pods::Pods;

#[derive(Parser)]
#[command(about = "A rollout under a rate limit, and an outage, with real agent processes")]
struct Args {
    /// The binary to measure [default: the one that cargo built for this bench]
    #[arg(long, value_name = "PATH", default_value = env!("CARGO_BIN_EXE_esc-injector"))]
    binary: PathBuf,
    /// Pods of the rollout
    #[arg(long, default_value_t = 1000)]
    pods: usize,
    /// Pods that start at a time
    #[arg(long, default_value_t = 250)]
    at_once: usize,
    /// Requests that ESC allows in a second
    #[arg(long, default_value_t = 50)]
    limit: u32,
    /// Sidecars that live through the outage
    #[arg(long, default_value_t = 250)]
    sidecars: usize,
    /// Their `refresh`, in seconds
    #[arg(long, default_value_t = 20)]
    refresh: u64,
    /// How long ESC is down, in seconds
    #[arg(long, default_value_t = 60)]
    outage: u64,
    /// Where to draw
    #[arg(long, value_name = "DIRECTORY", default_value = "target/rollout")]
    svg: PathBuf,
    /// Given by `cargo bench`; without it, this is a test
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let mut args = Args::parse();
    if !args.bench {
        (args.pods, args.at_once, args.limit) = (12, 6, 10);
        (args.sidecars, args.refresh, args.outage) = (3, 1, 2);
    }
    let esc = Esc::start(&args.binary);
    let pictures = [rollout(&args, &esc), outage(&args, &esc)];
    if args.bench {
        fs::create_dir_all(&args.svg).unwrap();
        for (name, picture) in ["rollout", "outage"].into_iter().zip(pictures) {
            let file = args.svg.join(format!("{name}.svg"));
            fs::write(&file, picture.draw()).unwrap();
            println!("{}", file.display());
        }
    }
}

/// All pods start, so many at a time, and ESC allows fewer requests than they would make.
fn rollout(args: &Args, esc: &Esc) -> Picture {
    let gate = Gate::start(esc.address, Some(Limit { each_second: args.limit, burst: args.limit }));
    let pods = Pods::new(args.binary.clone(), &gate.url(), args.pods, None);
    let mut times = pods.run_all(args.at_once);
    let seen = gate.seen();
    times.sort();
    let all = seen.requests.len();
    let limited = seen.count(gate::Kind::Limited);
    // Nothing was opened twice, and nobody went without.
    assert_eq!((times.len(), seen.opens), (args.pods, args.pods));
    // The gate's clock runs while directories are made.
    let at = |request: Option<&(f64, gate::Kind)>| request.map_or(0.0, |(at, _)| *at);
    let last = at(seen.requests.last()) - at(seen.requests.first());
    let lines = vec![
        format!(
            "{} pods, {} at a time, ESC allows {} requests a second",
            args.pods, args.at_once, args.limit
        ),
        format!(
            "all ready after {last:.0} s; the requests alone take {} s",
            2 * args.pods as u32 / args.limit
        ),
        format!("{} opens, {all} requests, of which {limited} were turned away with 429", seen.opens),
        format!(
            "a pod took {:.1} s (median), {:.1} s (95 %), {:.1} s (longest)",
            of(&times, 50),
            of(&times, 95),
            of(&times, 100)
        ),
        format!("most requests in one second: {}", seen.most(0.0, f64::MAX)),
    ];
    show(args, &lines);
    let title = "Rollout under a rate limit".to_owned();
    Picture { title, lines, shaded: None, limit: Some(args.limit), seconds: seen.by_second() }
}

/// Sidecars refresh, ESC goes away, and comes back.
fn outage(args: &Args, esc: &Esc) -> Picture {
    let gate = Gate::start(esc.address, None);
    let pods = Pods::new(args.binary.clone(), &gate.url(), args.sidecars, Some(args.refresh));
    let running = pods.start_all();
    running.wait_until(pods::Pod::is_ready);
    let started = gate.elapsed();
    let interval = Duration::from_secs(args.refresh);
    // The first refresh is scattered over half an interval, so that the second interval is a steady one.
    thread::sleep(interval * 3);
    gate.set_down(true);
    let down = gate.elapsed();
    thread::sleep(Duration::from_secs(args.outage));
    running.wait_until(pods::Pod::is_stale);
    gate.set_down(false);
    let up = gate.elapsed();
    running.wait_until(|pod| !pod.is_stale());
    let fresh = gate.elapsed();
    thread::sleep(interval * 2);
    let seen = gate.seen();
    drop(running);
    let steady = started + args.refresh as f64 * 1.5;
    let lines = vec![
        format!(
            "{} sidecars, a refresh each {} s, ESC fails for {:.0} s",
            args.sidecars,
            args.refresh,
            up - down
        ),
        format!(
            "requests a second: {:.0} before (at most {}), {:.0} during (at most {})",
            seen.mean(steady, down),
            seen.most(steady, down),
            seen.mean(down, up),
            seen.most(down, up)
        ),
        format!("after: at most {}; together they would be {}", seen.most(up, f64::MAX), 2 * args.sidecars),
        format!("all fresh again {:.0} s after the end of the outage", fresh - up),
    ];
    show(args, &lines);
    let title = "Sidecars through an outage".to_owned();
    Picture { title, lines, shaded: Some((down, up)), limit: None, seconds: seen.by_second() }
}

/// What many of these are below.
fn of(sorted: &[Duration], percent: usize) -> f64 {
    let index = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted[index].as_secs_f64()
}

fn show(args: &Args, lines: &[String]) {
    if args.bench {
        println!("{}\n", lines.join("\n"));
    }
}
