//! A reference that parses is written as one that parses to the same; so is a duration.

use esc_injector::esc::{duration, reference::Reference};

/// A reference or a duration.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(reference) = text.parse::<Reference>() {
        assert_eq!(reference.to_string().parse(), Ok(reference));
    }
    if let Ok(duration) = duration::parse(text) {
        assert_eq!(duration::parse(&duration::format(duration)), Ok(duration));
    }
}
