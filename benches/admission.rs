//! CPU time of an admission without its transport: the whole handler from bytes to bytes, and the pure core alone.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub,
    reason = "a bench fails by panicking"
)]

use std::hint::black_box;

use clap::Parser;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use esc_injector::{
    cli::policy::PolicyArgs,
    inject::{Context, Outcome, Policy, inject},
    webhook::{Endpoint, Rules, WorkloadChecks, handler::answer, namespaces::Namespaces, version::ApiServer},
};
use serde_json::Value;

#[path = "../tests/admission/reviews.rs"]
mod reviews;

fn policy() -> Policy {
    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        policy: PolicyArgs,
    }
    Flags::parse_from(["bench"]).policy.into_policy().unwrap()
}

/// Pods that ask for a variable and a file.
fn pods() -> [(&'static str, Value); 2] {
    let asks = [("environment", "acme/shop/prod"), ("env.DATABASE_URL", "db.url"), ("file.ca.crt", "tls.ca")];
    [
        ("one container", reviews::asking(reviews::small_pod(), &asks)),
        ("six containers", reviews::asking(reviews::large_pod(), &asks)),
    ]
}

fn handler(c: &mut Criterion) {
    let rules = Rules {
        policy: policy(),
        namespaces: Namespaces::unread(),
        api_server: ApiServer::default(),
        workload_checks: WorkloadChecks::default(),
    };
    let mut group = c.benchmark_group("handler");
    for (name, pod) in pods() {
        let body =
            serde_json::to_vec(&reviews::review("e8f8d2c4-1b53-4c9c-8f6e-5f1f0a5d9b11", &pod)).unwrap();
        let answered: Value = serde_json::from_slice(&answer(&body, Endpoint::Asked, &rules).body).unwrap();
        assert!(answered["response"]["patch"].is_string(), "{answered}");
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(format!("{name}, {} KB", body.len() / 1000), |b| {
            b.iter(|| answer(black_box(&body), Endpoint::Asked, &rules));
        });
    }
    group.finish();
}

fn core(c: &mut Criterion) {
    let policy = policy();
    let context = Context {
        namespace: "shop",
        namespace_annotations: None,
        everyone: false,
        api_server: None,
        policy: &policy,
    };
    let mut group = c.benchmark_group("inject");
    for (name, pod) in pods() {
        assert!(matches!(inject(&pod, &context), Outcome::Injected { .. }));
        group.bench_function(name, |b| b.iter(|| inject(black_box(&pod), &context)));
    }
    group.finish();
}

criterion_group!(benches, handler, core);
criterion_main!(benches);
