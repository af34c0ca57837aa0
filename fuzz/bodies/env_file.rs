//! What is read from any bytes as a file of variables is written as these bytes.

use esc_injector::{agent::envfile, secret::Secret};

/// Any bytes.
pub fn run(content: &[u8]) {
    let content = Secret::new(content.to_vec());
    if let Ok(variables) = envfile::parse(&content) {
        assert!(envfile::write(&variables) == content, "it is written otherwise");
    }
}
