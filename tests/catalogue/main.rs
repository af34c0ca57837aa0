//! The catalogue of codes keeps its word: each code can be provoked, and its fix, applied, makes it go away.
//!
//! | codes | proved by |
//! |---|---|
//! | of manifests | pairs of files in `pods`, through `esc-injector inject` |
//! | of the agent and the wrapper | pairs in `agent` and `wrapper`, with a scripted ESC |
//! | that need more machinery | tests of other suites, which `elsewhere` names |
//! | that nothing can provoke | nobody, and `elsewhere` says why |
#![allow(
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

use std::collections::BTreeMap;

use esc_injector::codes;

/// The codes that a text shows in brackets, each once, in order of their numbers.
fn codes_in(text: &str) -> Vec<String> {
    let shown = text.match_indices("[ESC").filter_map(|(at, _)| text.get(at + 1..at + 7));
    let shown: std::collections::BTreeSet<_> =
        shown.filter(|id| codes::find(id).is_some()).map(str::to_owned).collect();
    shown.into_iter().collect()
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
