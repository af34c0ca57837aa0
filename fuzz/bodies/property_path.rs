//! A path that parses keeps its text, and looking it up never panics.

use esc_injector::esc::{path::Path, value::Value};

const ENVIRONMENT: &[u8] =
    br#"{"properties":{"a":{"value":[{"value":{"b":{"value":1},"*":{"value":null}}},{"unknown":true}]}}}"#;

/// A path.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(path) = text.parse::<Path>() else { return };
    assert_eq!(path.as_str(), text);
    let environment = Value::from_environment(ENVIRONMENT).expect("the environment is well-formed");
    if let Err(missing) = path.get(&environment) {
        assert!(missing.to_string().contains("does not exist"));
    }
}
