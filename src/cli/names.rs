//! Names of Kubernetes objects, checked where they come in: they become parts of paths and of certificates.

/// The name of most objects: a DNS subdomain.
pub fn object(text: &str) -> Result<String, String> {
    if text.len() <= 253 && text.split('.').all(is_label) {
        return Ok(text.to_owned());
    }
    Err("a name of an object has lower-case letters, digits, hyphens and dots, and begins and ends with a letter or digit".to_owned())
}

/// The name of a namespace or Service: a DNS label.
pub fn label(text: &str) -> Result<String, String> {
    if text.len() <= 63 && is_label(text) {
        return Ok(text.to_owned());
    }
    Err("a name of a namespace or Service has at most 63 lower-case letters, digits and hyphens, and begins and ends with a letter or digit".to_owned())
}

fn is_label(text: &str) -> bool {
    let is_inner = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-';
    let bytes = text.as_bytes();
    bytes.iter().all(is_inner)
        && [bytes.first(), bytes.last()].iter().all(|end| end.is_some_and(|end| *end != b'-'))
}

#[cfg(test)]
mod tests {
    use super::{label, object};

    #[test]
    fn only_what_kubernetes_takes_for_a_name_is_one() {
        let long = "a".repeat(64);
        for (text, is_label, is_object) in [
            ("esc-injector", true, true),
            ("a1", true, true),
            ("esc.injector", false, true),
            (long.as_str(), false, true),
            ("", false, false),
            ("-a", false, false),
            ("a-", false, false),
            ("a..b", false, false),
            ("A", false, false),
            ("a/b", false, false),
            ("a?x=y", false, false),
            ("ä", false, false),
        ] {
            assert_eq!(label(text).is_ok(), is_label, "{text}");
            assert_eq!(object(text).is_ok(), is_object, "{text}");
        }
    }
}
