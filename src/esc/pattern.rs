//! Patterns of names, as operators and namespaces write them: `*` stands for anything.

/// A text in which `*` stands for any characters, also none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(String);

impl Pattern {
    /// Any text is a pattern.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the whole text is of this form.
    pub fn matches(&self, text: &str) -> bool {
        let mut pieces = self.0.split('*');
        let first = pieces.next().unwrap_or_default();
        let Some(mut rest) = text.strip_prefix(first) else { return false };
        let Some(last) = pieces.next_back() else { return rest.is_empty() };
        // The leftmost place of every piece leaves the most for those that follow.
        for piece in pieces {
            match rest.split_once(piece) {
                Some((_, after)) => rest = after,
                None => return false,
            }
        }
        rest.ends_with(last)
    }
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    #[test]
    fn patterns_match_whole_texts() {
        for (pattern, text, expected) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("a", "", false),
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "anything", true),
            ("system:serviceaccount:shop:*", "system:serviceaccount:shop:api", true),
            ("system:serviceaccount:shop:*", "system:serviceaccount:shop2:api", false),
            ("system:serviceaccount:*:api", "system:serviceaccount:shop:api", true),
            ("system:serviceaccount:*:api", "system:serviceaccount:shop:api2", false),
            ("a*b*c", "abc", true),
            ("a*b*c", "axxbxxbxxc", true),
            ("a*b*c", "ac", false),
            ("a*a", "a", false),
            ("a*bc*c", "abc", false),
            ("a**b", "ab", true),
            ("*.x", "é.x", true),
        ] {
            assert_eq!(Pattern::new(pattern).matches(text), expected, "{pattern} {text}");
        }
    }
}
