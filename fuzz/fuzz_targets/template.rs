//! A template ends, with a text or an error, and an error tells no value.
#![no_main]

use esc_injector::esc::{render::template::Root, value::Value};
use libfuzzer_sys::fuzz_target;

const WIRE: &[u8] = br#"{"properties":{"a":{"value":"hunter2"},"b":{"value":[{"value":1},{"value":{"c":{"value":null}}}]}}}"#;

fuzz_target!(|template: &str| {
    let environment = Value::from_environment(WIRE).expect("an environment");
    if let Err(error) = Root::new(environment).render(template) {
        assert!(!error.to_string().contains("hunter2"));
    }
});
