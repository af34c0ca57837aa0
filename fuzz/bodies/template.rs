//! A template ends, with a text or an error, and an error tells no value.

use esc_injector::esc::{
    render::template::{self, Root},
    value::Value,
};

const WIRE: &[u8] =
    br#"{"properties":{"a":{"value":"hunter2"},"b":{"value":[{"value":1},{"value":{"c":{"value":null}}}]}}}"#;

/// A template.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let environment = Value::from_environment(WIRE).expect("an environment");
    let is_sound = template::check(text).is_ok();
    match Root::new(environment).render(text) {
        // What admission refuses must not work in the pod, or the refusal was wrong.
        Ok(_) => assert!(is_sound, "it renders, and is refused"),
        // A template can quote the value only by spelling it out itself.
        Err(error) => assert!(text.contains("hunter2") || !error.to_string().contains("hunter2")),
    }
}
