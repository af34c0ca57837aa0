//! What opening an environment costs in processor time: reading and evaluating all its documents, which a loader
//! hands over from memory.
//!
//! `alone` is one environment of so many keys; `flat` a root of 100 keys that imports N of the same size; in `chain`
//! each imports the one before, and the root the last.
//!
//! `--count KEYS TIMES` evaluates one environment so often and prints the processor time of each; under
//! `valgrind --tool=callgrind` the difference between two such counts is what an evaluation costs in instructions,
//! which are the same on a busy machine.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    missing_docs,
    reason = "a bench fails by panicking"
)]

use std::{collections::BTreeMap, hint::black_box, sync::Arc};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group};
use esc_injector::{
    lang::{
        Evaluation, Load, LoadError, Options, Progress, envelope,
        seal::{self, Found},
        seam::NoProviders,
        value::Properties,
    },
    secret::Secret,
};

mod corpus;

use corpus::{Corpus, KEYS};

struct Documents(BTreeMap<String, String>);

impl Load for Documents {
    fn load(&self, name: &str) -> Result<Secret, LoadError> {
        let text = self.0.get(name).ok_or_else(|| LoadError(format!("no {name}")))?;
        Ok(Secret::from(text.as_str()))
    }

    /// Not a cipher: this measures the language.
    fn decrypt(&self, _: &str, ciphertext: &[u8]) -> Result<Secret, LoadError> {
        Ok(Secret::new(ciphertext.iter().map(|byte| byte.wrapping_add(128)).collect()))
    }
}

/// The definition with its secrets as ciphertexts, as it would be kept.
fn sealed(text: &str) -> String {
    let sealed = seal::seal(text, &mut |found| match found {
        Found::Plain(plain) => {
            let hidden: Vec<u8> = plain.value.expose().iter().map(|byte| byte.wrapping_sub(128)).collect();
            Ok(Some(envelope::close(&hidden)))
        }
        Found::Sealed(_) => Ok(None),
    });
    sealed.unwrap()
}

/// What is opened, and what it imports.
fn stored(corpus: &Corpus) -> (String, Documents) {
    let imports = corpus.imports.iter().map(|(name, text)| (name.clone(), sealed(text)));
    (sealed(&corpus.root), Documents(imports.collect()))
}

fn open(root: &str, documents: &Documents) -> usize {
    let mut evaluation = Evaluation::new("bench/root", Secret::from(root), Options::default());
    // Nothing in them waits for a provider.
    let Progress::Done(outcome) = evaluation.run(documents, &NoProviders) else { unreachable!() };
    assert!(!outcome.has_errors(), "{:?}", outcome.diagnostics);
    outcome.value.as_object().map_or(0, Properties::len)
}

fn opens(c: &mut Criterion) {
    let mut group = c.benchmark_group("open");
    group.sample_size(20);
    for keys in [1, 10, 100] {
        let (root, documents) = stored(&corpus::alone(keys));
        assert_eq!(open(&root, &documents), keys);
        group.bench_function(BenchmarkId::new("alone", keys), |b| {
            b.iter(|| open(black_box(&root), &documents));
        });
    }
    for imports in [10, 25, 50] {
        group.throughput(Throughput::Elements(((imports + 1) * KEYS) as u64));
        for (shape, corpus) in [("flat", corpus::flat(imports)), ("chain", corpus::chain(imports))] {
            let (root, documents) = stored(&corpus);
            let root: Arc<str> = root.into();
            assert_eq!(open(&root, &documents), (imports + 1) * KEYS);
            group.bench_function(BenchmarkId::new(shape, imports), |b| {
                b.iter(|| open(black_box(&root), &documents));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, opens);

/// On a processor, of the only thread, in nanoseconds.
fn processor_time() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split_whitespace().next().unwrap().parse().unwrap()
}

fn count(keys: usize, times: usize) {
    let (root, documents) = stored(&corpus::alone(keys));
    assert_eq!(open(&root, &documents), keys);
    let before = processor_time();
    for _ in 0..times {
        black_box(open(black_box(&root), &documents));
    }
    let microseconds = (processor_time() - before) as f64 / 1e3 / times as f64;
    println!("{keys} keys, {times} times: {microseconds:.1} µs of processor time each");
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, keys, times, ..] = arguments.as_slice()
        && flag == "--count"
    {
        return count(keys.parse().unwrap(), times.parse().unwrap());
    }
    benches();
    Criterion::default().configure_from_args().final_summary();
}
