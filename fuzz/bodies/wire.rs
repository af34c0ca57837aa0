//! What is read from any bytes as an answer of ESC's can be written as JSON that any reader takes, and as text that is
//! the same whenever it is written.

use esc_injector::esc::{
    render::{Format, render},
    value::Value,
};

/// A body.
pub fn run(wire: &[u8]) {
    let Ok(environment) = Value::from_environment(wire) else { return };
    assert!(environment.to_text().ok() == environment.to_text().ok());
    if let Ok(json) = render(&environment, Format::Json) {
        serde_json::from_slice::<serde_json::Value>(json.expose()).expect("our JSON is JSON");
    }
}
