//! A reference that parses is written as one that parses to the same.
#![no_main]

use esc_injector::esc::{duration, reference::Reference};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(reference) = text.parse::<Reference>() {
        assert_eq!(reference.to_string().parse(), Ok(reference));
    }
    if let Ok(duration) = duration::parse(text) {
        assert_eq!(duration::parse(&duration::format(duration)), Ok(duration));
    }
});
