//! What opening an environment costs in processor time: reading and evaluating all its documents, which a loader
//! hands over from memory.
//!
//! Every environment has 100 keys: 60 strings, 30 strings with two references each (one into its own values, one
//! into an import where there is one), and 10 encrypted secrets. `flat` is a root of 100 keys that imports N of
//! them; in `chain` each imports the one before, and the root the last.

#![allow(clippy::unwrap_used, missing_docs, reason = "a bench fails by panicking")]

use std::{collections::BTreeMap, fmt::Write, hint::black_box, sync::Arc};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use esc_injector::{
    lang::{Load, LoadError, envelope, evaluate, value::Properties},
    secret::Secret,
};

const KEYS: usize = 100;

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

/// An environment's definition; `number` keeps its keys apart from those of the others.
fn environment(number: usize, imports: &[String]) -> String {
    let mut text = String::new();
    if !imports.is_empty() {
        text.push_str("imports:\n");
        for import in imports {
            writeln!(text, "  - {import}").unwrap();
        }
    }
    text.push_str("values:\n");
    for key in 0..KEYS {
        match key % 10 {
            0..6 => writeln!(text, "  key{number}_{key}: the value number {key}").unwrap(),
            6..9 => {
                let own = key - 6;
                let other = if imports.is_empty() {
                    format!("key{number}_{}", own + 1)
                } else {
                    format!("key0_{}", key / 10 * 10)
                };
                writeln!(text, "  key{number}_{key}: ${{key{number}_{own}}}/${{{other}}}").unwrap();
            }
            _ => {
                let hidden: Vec<u8> =
                    format!("secret {number} {key}").bytes().map(|byte| byte.wrapping_sub(128)).collect();
                let ciphertext = envelope::close(&hidden);
                writeln!(text, "  key{number}_{key}:\n    fn::secret:\n      ciphertext: {ciphertext}")
                    .unwrap();
            }
        }
    }
    text
}

fn name(number: usize) -> String {
    format!("bench/env{number}")
}

fn flat(imports: usize) -> (String, Documents) {
    let names: Vec<_> = (0..imports).map(name).collect();
    let documents = (0..imports).map(|number| (name(number), environment(number, &[]))).collect();
    (environment(imports, &names), Documents(documents))
}

fn chain(imports: usize) -> (String, Documents) {
    let below = |number: usize| number.checked_sub(1).map(name).into_iter().collect::<Vec<_>>();
    let documents = (0..imports).map(|number| (name(number), environment(number, &below(number)))).collect();
    (environment(imports, &below(imports)), Documents(documents))
}

fn open(root: &str, documents: &Documents) -> usize {
    let outcome = evaluate("bench/root", root, documents);
    assert!(!outcome.has_errors(), "{:?}", outcome.diagnostics);
    outcome.value.as_object().map_or(0, Properties::len)
}

fn opens(c: &mut Criterion) {
    let mut group = c.benchmark_group("open");
    group.sample_size(20);
    let (root, documents) = flat(0);
    group.bench_function("one environment of 100 keys", |b| b.iter(|| open(black_box(&root), &documents)));
    for imports in [10, 25, 50] {
        group.throughput(Throughput::Elements(((imports + 1) * KEYS) as u64));
        for (shape, (root, documents)) in [("flat", flat(imports)), ("chain", chain(imports))] {
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
criterion_main!(benches);
