//! What a webhook process bears: the real binary, TLS, connections that are kept open as an API server's are.
//!
//! ```console
//! $ cargo bench --bench load                                  # the bench profile's binary
//! $ cargo xtask dist                                          # what ships
//! $ cargo bench --bench load -- --binary target/x86_64-unknown-linux-gnu/dist/esc-injector
//! $ cargo bench --bench load -- --binary OLD --binary NEW --rounds 5 --seconds 5
//! ```
//!
//! With several binaries the rounds take turns, since a busy machine is rarely busy in the same way twice; what is
//! printed are medians. As a test (`cargo test --benches`) a few requests of each kind are answered, and nothing is
//! measured.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    missing_docs,
    unreachable_pub,
    reason = "a bench fails by panicking"
)]

use std::{path::PathBuf, time::Duration};

use clap::Parser;
use tokio::runtime::{Builder, Runtime};

#[path = "../../tests/admission/reviews.rs"]
mod reviews;

mod bodies;
mod client;
mod process;
mod tls;

use bodies::{Bodies, Load};
use client::{Until, Volley};
use process::Webhook;
use tls::Certificates;

#[derive(Parser)]
#[command(about = "Load on a webhook process: throughput, latency, processor time, memory")]
struct Args {
    /// The binary to measure; repeatable [default: the one that cargo built for this bench]
    #[arg(long = "binary", value_name = "PATH")]
    binaries: Vec<PathBuf>,
    /// How long each kind of load lasts in each round
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// How often everything is measured
    #[arg(long, default_value_t = 1)]
    rounds: usize,
    /// Connections that are kept open, each with one request on its way
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Only this kind of load, by its first letters; repeatable
    #[arg(long = "only", value_name = "LOAD")]
    only: Vec<String>,
    /// Given by `cargo bench`; without it, this is a test
    #[arg(long, hide = true)]
    bench: bool,
}

/// Reviews after which memory is looked at.
const REVIEWS_FOR_MEMORY: usize = 20_000;

/// The numbers of one binary under one load; one entry a round.
#[derive(Default)]
struct Numbers {
    rate: Vec<f64>,
    latency: [Vec<f64>; 3],
    cpu: Vec<f64>,
}

/// The numbers of one binary that do not depend on the load.
#[derive(Default)]
struct Footprint {
    handshake: Vec<f64>,
    idle: Vec<f64>,
    after_reviews: Vec<f64>,
    at_end: Vec<f64>,
}

struct Measured {
    binary: PathBuf,
    footprint: Footprint,
    loads: Vec<Numbers>,
}

fn main() {
    let args = Args::parse();
    let binaries = if args.binaries.is_empty() {
        vec![PathBuf::from(env!("CARGO_BIN_EXE_esc-injector"))]
    } else {
        args.binaries.clone()
    };
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let certificates = Certificates::new();
    let bodies = Bodies::new();
    if !args.bench {
        for binary in &binaries {
            smoke(&runtime, binary, &certificates, &bodies);
        }
        return;
    }
    let loads: Vec<Load> = Load::ALL
        .into_iter()
        .filter(|load| {
            args.only.is_empty() || args.only.iter().any(|only| load.name().starts_with(only.as_str()))
        })
        .collect();
    let mut all: Vec<Measured> = binaries
        .into_iter()
        .map(|binary| Measured {
            binary,
            footprint: Footprint::default(),
            loads: loads.iter().map(|_| Numbers::default()).collect(),
        })
        .collect();
    let core = process::leave_a_core();
    for _ in 0..args.rounds {
        for measured in &mut all {
            round(&runtime, &args, (&loads, core), measured, (&certificates, &bodies));
        }
    }
    report(&args, (&loads, core), &all, &bodies);
}

/// Every kind of load is answered as it should be.
fn smoke(runtime: &Runtime, binary: &std::path::Path, certificates: &Certificates, bodies: &Bodies) {
    let webhook = Webhook::start(binary, certificates, None);
    runtime.block_on(async {
        let mut volley = Volley::connect(webhook.address, certificates, 4).await;
        for load in Load::ALL {
            let fired = volley.fire(bodies.requests(load), Until::Answers(16)).await;
            assert_eq!(fired.latencies.len(), 16);
        }
    });
}

fn round(
    runtime: &Runtime,
    args: &Args,
    (loads, core): (&[Load], Option<usize>),
    measured: &mut Measured,
    (certificates, bodies): (&Certificates, &Bodies),
) {
    let webhook = Webhook::start(&measured.binary, certificates, core);
    runtime.block_on(async {
        measured.footprint.handshake.push(webhook.first_handshake.as_secs_f64() * 1e3);
        measured.footprint.idle.push(webhook.resident_mebibytes());
        let mut volley = Volley::connect(webhook.address, certificates, args.connections).await;
        volley.fire(bodies.requests(Load::Mix), Until::Answers(REVIEWS_FOR_MEMORY)).await;
        measured.footprint.after_reviews.push(webhook.resident_mebibytes());
        for (load, numbers) in loads.iter().zip(&mut measured.loads) {
            let before = webhook.processor_time();
            let until = Until::Passed(Duration::from_secs(args.seconds));
            let mut fired = volley.fire(bodies.requests(*load), until).await;
            let answers = f64::from(u32::try_from(fired.latencies.len()).unwrap());
            let spent = webhook.processor_time().saturating_sub(before);
            numbers.rate.push(answers / fired.took.as_secs_f64());
            numbers.cpu.push(spent.as_secs_f64() * 1e6 / answers);
            fired.latencies.sort_unstable();
            for (column, per_mille) in numbers.latency.iter_mut().zip([500, 990, 999]) {
                let index = fired.latencies.len() * per_mille / 1000;
                column.push(f64::from(fired.latencies[index]) / 1e3);
            }
        }
        measured.footprint.at_end.push(webhook.resident_mebibytes());
    });
}

fn median(numbers: &[f64]) -> f64 {
    let mut numbers = numbers.to_vec();
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

fn report(args: &Args, (loads, core): (&[Load], Option<usize>), all: &[Measured], bodies: &Bodies) {
    let Args { connections, seconds, rounds, .. } = args;
    println!("{connections} connections, {seconds} s a load, medians of {rounds} rounds; latency in ms\n");
    if core.is_none() {
        println!("webhook and client share all cores: throughput says little\n");
    }
    for measured in all {
        let Footprint { handshake, idle, after_reviews, at_end } = &measured.footprint;
        println!("{}", measured.binary.display());
        println!(
            "  first handshake {:.1} ms after start; resident MiB: {:.1} at rest, {:.1} after {REVIEWS_FOR_MEMORY} \
             reviews, {:.1} at the end",
            median(handshake),
            median(idle),
            median(after_reviews),
            median(at_end),
        );
        println!("  load                    bytes      /s   CPU µs      p50      p99     p999");
        for (load, numbers) in loads.iter().zip(&measured.loads) {
            let [p50, p99, p999] = &numbers.latency;
            println!(
                "  {:<20} {:>8} {:>7.0} {:>8.0} {:>8.2} {:>8.2} {:>8.2}",
                load.name(),
                bodies.mean_bytes(*load),
                median(&numbers.rate),
                median(&numbers.cpu),
                median(p50),
                median(p99),
                median(p999),
            );
        }
        println!();
    }
}
