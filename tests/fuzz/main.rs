//! The fuzz targets on a stable compiler: every seed, and what a small generator makes of them. The fuzzer itself, in
//! `fuzz/`, finds more and takes longer; this keeps its targets compiling and its promises kept.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::print_stderr,
    missing_docs,
    unreachable_pub,
    reason = "tests fail by panicking"
)]

mod mutate;

#[path = "../../fuzz/bodies/mod.rs"]
mod bodies;

use std::{fs, panic, path::Path};

use mutate::Generator;

/// Inputs of each target besides its seeds: a second or two of a debug build, all targets together.
const MUTATIONS: usize = 2_000;

/// Lets the body see every seed and their mutations; a failure shows the bytes that made it.
fn smoke(target: &str, mutations: usize, body: fn(&[u8])) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let mut files: Vec<_> = fs::read_dir(&directory)
        .unwrap_or_else(|error| panic!("{}: {error}", directory.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let seeds: Vec<Vec<u8>> = files.iter().map(|file| fs::read(file).unwrap()).collect();
    assert!(seeds.len() >= 3, "{target} has seeds");
    let tried = |input: &[u8]| {
        if let Err(cause) = panic::catch_unwind(|| body(input)) {
            eprintln!("{target} fails for b\"{}\"", input.escape_ascii());
            panic::resume_unwind(cause);
        }
    };
    tried(b"");
    for seed in &seeds {
        tried(seed);
    }
    let mut generator = Generator::new(seeds);
    for _ in 0..mutations {
        tried(&generator.next_input());
    }
}

macro_rules! targets {
    ($($target:ident: $mutations:expr),+ $(,)?) => {
        $(
            #[test]
            fn $target() {
                smoke(stringify!($target), $mutations, bodies::$target::run);
            }
        )+

        /// Each target of the fuzzer is tried here, and has its entry in the manifest.
        #[test]
        fn no_target_is_left_out() {
            let tried = [$(stringify!($target)),+];
            let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
            let manifest = fs::read_to_string(fuzz.join("Cargo.toml")).unwrap();
            let mut found: Vec<_> = fs::read_dir(fuzz.join("fuzz_targets"))
                .unwrap()
                .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
                .collect();
            found.sort();
            assert_eq!(found, tried);
            for target in tried {
                assert!(manifest.contains(&format!("path = \"fuzz_targets/{target}.rs\"")), "{target}");
                let source = fs::read_to_string(fuzz.join(format!("fuzz_targets/{target}.rs"))).unwrap();
                assert!(source.contains(&format!("bodies::{target}::run(data)")), "{target}");
            }
        }
    };
}

// The first three decide on whole pods, several times each.
targets! {
    admission_review: MUTATIONS / 8,
    annotations: MUTATIONS / 8,
    config: MUTATIONS / 8,
    env_file: MUTATIONS,
    lang: MUTATIONS / 8,
    property_path: MUTATIONS,
    reference: MUTATIONS,
    seal: MUTATIONS,
    template: MUTATIONS,
    wire: MUTATIONS,
    yaml: MUTATIONS,
}
