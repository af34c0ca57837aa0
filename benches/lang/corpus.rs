//! Environments to evaluate.
//!
//! Every one has 100 keys: 60 strings, 30 strings with two references each (one into its own values, one into an
//! import where there is one), and 10 secrets. Secrets stand in the clear: who opens them otherwise seals them first.

use std::{collections::BTreeMap, fmt::Write};

pub const KEYS: usize = 100;

/// An environment's definition; `number` keeps its keys apart from those of the others.
fn environment(number: usize, keys: usize, imports: &[String]) -> String {
    let mut text = String::new();
    if !imports.is_empty() {
        text.push_str("imports:\n");
        for import in imports {
            writeln!(text, "  - {import}").unwrap();
        }
    }
    text.push_str("values:\n");
    for key in 0..keys {
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
                let secret = format!("secret {number} {key}");
                writeln!(text, "  key{number}_{key}:\n    fn::secret: {secret}").unwrap();
            }
        }
    }
    text
}

pub fn name(number: usize) -> String {
    format!("bench/env{number}")
}

/// The definition of an environment, and those that it imports by their names.
pub struct Corpus {
    pub root: String,
    pub imports: BTreeMap<String, String>,
}

/// One environment alone.
pub fn alone(keys: usize) -> Corpus {
    Corpus { root: environment(0, keys, &[]), imports: BTreeMap::new() }
}

/// A root that imports all the others.
pub fn flat(imports: usize) -> Corpus {
    let names: Vec<_> = (0..imports).map(name).collect();
    let of = |number| (name(number), environment(number, KEYS, &[]));
    Corpus { root: environment(imports, KEYS, &names), imports: (0..imports).map(of).collect() }
}

/// Each imports the one before.
pub fn chain(imports: usize) -> Corpus {
    let below = |number: usize| number.checked_sub(1).map(name).into_iter().collect::<Vec<_>>();
    let of = |number| (name(number), environment(number, KEYS, &below(number)));
    Corpus { root: environment(imports, KEYS, &below(imports)), imports: (0..imports).map(of).collect() }
}
