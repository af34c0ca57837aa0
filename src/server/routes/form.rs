//! `a=b&c=d`, as queries and forms write it.

use percent_encoding::percent_decode;

use crate::secret::Secret;

/// The pairs in their order. What is no UTF-8 after decoding has replacement characters: who asks for a property by a
/// broken name must not get all of them, as if no name had been there.
pub(super) fn parse(text: &[u8]) -> impl Iterator<Item = (String, Secret)> {
    text.split(|&byte| byte == b'&').filter(|pair| !pair.is_empty()).map(|pair| {
        let mut halves = pair.splitn(2, |&byte| byte == b'=');
        let name = decode(halves.next().unwrap_or_default());
        let value = decode(halves.next().unwrap_or_default());
        (name, Secret::from(value))
    })
}

fn decode(text: &[u8]) -> String {
    let spaced: Vec<u8> = text.iter().map(|&byte| if byte == b'+' { b' ' } else { byte }).collect();
    String::from_utf8(percent_decode(&spaced).collect())
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn reads_what_browsers_write() {
        for (text, expected) in [
            ("", &[] as &[(&str, &str)]),
            ("a=b&c=d", &[("a", "b"), ("c", "d")]),
            ("before=&count=", &[("before", ""), ("count", "")]),
            ("a=x+y%2Bz%3D%26=", &[("a", "x y+z=&=")]),
            ("a&&b=1", &[("a", ""), ("b", "1")]),
            ("a=%ff&b=1", &[("a", "\u{fffd}"), ("b", "1")]),
            ("a=%zz", &[("a", "%zz")]),
        ] {
            let found: Vec<_> = parse(text.as_bytes())
                .map(|(name, value)| (name, value.expose_str().unwrap().to_owned()))
                .collect();
            let found: Vec<_> = found.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            assert_eq!(found, expected, "{text}");
        }
    }
}
