//! What is read from any bytes can be written as JSON that any reader takes.
#![no_main]

use esc_injector::esc::{
    render::{Format, render},
    value::Value,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|wire: &[u8]| {
    let Ok(environment) = Value::from_environment(wire) else { return };
    let _ = environment.to_text();
    if let Ok(json) = render(&environment, Format::Json) {
        serde_json::from_slice::<serde_json::Value>(json.expose()).expect("our JSON is JSON");
    }
});
