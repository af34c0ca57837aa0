//! What is read from any bytes as a file of variables is written as these bytes.
#![no_main]

use esc_injector::{agent::envfile, secret::Secret};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|content: &[u8]| {
    let content = Secret::new(content.to_vec());
    if let Ok(variables) = envfile::parse(&content) {
        assert!(envfile::write(&variables) == content);
    }
});
