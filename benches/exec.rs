//! Starting a program through the wrapper, against starting it alone: what every container start pays.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    missing_docs,
    reason = "a bench fails by panicking"
)]

use std::{path::Path, process::Command};

use criterion::{Criterion, criterion_group, criterion_main};

const WRAPPER: &str = env!("CARGO_BIN_EXE_esc-injector");
const PROGRAM: &str = "/bin/true";

fn wrapped(directory: &Path) -> Command {
    let mut command = Command::new(WRAPPER);
    command.arg("exec").arg(format!("--env-dir={}", directory.display())).args(["--", PROGRAM]);
    command
}

fn benches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("exec");
    group.bench_function("plain", |bencher| {
        bencher.iter(|| assert!(Command::new(PROGRAM).env_clear().status().unwrap().success()));
    });
    for (name, count) in [("wrapped", 10), ("wrapped with 10000 variables", 10_000)] {
        let directory = tempfile::tempdir().unwrap();
        let variables: Vec<_> =
            (0..count).map(|index| format!("+VARIABLE_{index}=value {index}\0")).collect();
        std::fs::write(directory.path().join("environ"), variables.concat()).unwrap();
        let mut command = wrapped(directory.path());
        command.env_clear();
        group.bench_function(name, |bencher| {
            bencher.iter(|| assert!(command.status().unwrap().success()));
        });
    }
    group.finish();
}

criterion_group!(exec, benches);
criterion_main!(exec);
