//! The catalogue of codes keeps its word: each code can be provoked, and its fix, applied, makes it go away.
//!
//! | codes | proved by |
//! |---|---|
//! | of manifests | pairs of files in `pods`, through `esc-injector inject` |
//! | of the agent and the wrapper | pairs in `agent` and `wrapper`, with a scripted ESC |
//! | that need more machinery | tests of other suites, which `elsewhere` names |
//! | that nothing can provoke | nobody, and `elsewhere` says why |
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    missing_docs,
    unreachable_pub,
    reason = "tests fail by panicking"
)]

mod agent;
#[path = "../agent/certificates.rs"]
mod certificates;
mod elsewhere;
#[path = "../agent/fault.rs"]
#[expect(dead_code, reason = "tests/agent needs more of it")]
mod fault;
#[path = "../agent/harness.rs"]
#[expect(dead_code, reason = "tests/agent needs more of it")]
mod harness;
mod pods;
mod wrapper;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use esc_injector::codes;

/// The codes that a text shows in brackets, each once, in order of their numbers.
fn codes_in(text: &str) -> Vec<String> {
    let shown = text.match_indices("[ESC").filter_map(|(at, _)| text.get(at + 1..at + 7));
    let shown: std::collections::BTreeSet<_> =
        shown.filter(|id| codes::find(id).is_some()).map(str::to_owned).collect();
    shown.into_iter().collect()
}

/// Texts of the program's own sources, without their tests and comments.
fn sources(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        found.push((path, code.collect::<Vec<_>>().join("\n")));
    }
}

#[test]
fn the_hint_is_made_in_one_place() {
    let mut found = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    let mut places: Vec<_> = found
        .iter()
        .filter(|(_, text)| text.contains("esc-injector explain"))
        .map(|(path, _)| path.file_name().unwrap().to_str().unwrap())
        // `explain` speaks of itself, and the report of `check` of codes as such.
        .filter(|name| !["explain.rs", "text.rs"].contains(name))
        .collect();
    places.sort_unstable();
    assert_eq!(places, ["mod.rs"], "`codes::hint` and `Code::command` make it");
    assert_eq!(codes::hint("[ESC301] x").as_deref(), Some("More: esc-injector explain ESC301"));
}

#[test]
fn every_code_has_one_proof() {
    let mut proofs: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    let mut add = |place: &'static str, codes: Vec<String>| {
        for code in codes {
            proofs.entry(code).or_default().push(place);
        }
    };
    add("pods", pods::codes());
    add("agent", agent::codes());
    add("wrapper", wrapper::codes());
    add("elsewhere", elsewhere::codes());
    for code in codes::all() {
        let places = proofs.remove(code.id()).unwrap_or_default();
        assert_eq!(
            places.len(),
            1,
            "{code} has to be proved in one place of tests/catalogue, and is in {places:?}"
        );
    }
    assert!(proofs.is_empty(), "no codes of the catalogue: {proofs:?}");
}
