#![no_main]

#[path = "../bodies/mod.rs"]
#[expect(dead_code, reason = "the bodies of all targets")]
mod bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::seal::run(data));
