//! The same as for annotations, for a `config` of any text.

/// The text of `config`.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let annotations = [("environment", "acme/shop/prod"), ("config", text)];
    super::annotations::decide(
        annotations.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())),
    );
}
