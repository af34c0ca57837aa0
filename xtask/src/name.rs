//! Names of images, in full: kubelet looks an image up by its full name, and a short one would never be found.

use std::{fmt, str::FromStr};

/// `registry/repository:tag`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageName {
    full: String,
    tag_at: usize,
}

/// Why a text names no image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAName {
    /// No registry in front.
    #[error("the registry is missing; write it in full, as localhost/esc-injector:1.0.0")]
    Registry,
    /// No tag at the end.
    #[error("the tag is missing; write it in full, as localhost/esc-injector:1.0.0")]
    Tag,
    /// Characters that registries refuse.
    #[error("repositories have lower-case letters, digits and . _ - /; tags have letters, digits and . _ -")]
    Characters,
}

impl ImageName {
    /// The tag alone.
    pub fn tag(&self) -> &str {
        self.full.get(self.tag_at..).unwrap_or_default()
    }
}

impl FromStr for ImageName {
    type Err = NotAName;

    fn from_str(text: &str) -> Result<Self, NotAName> {
        let (registry, path) = text.split_once('/').ok_or(NotAName::Registry)?;
        // The rule of every container tool: without one of these it is a repository of Docker Hub.
        if registry != "localhost" && !registry.contains(['.', ':']) {
            return Err(NotAName::Registry);
        }
        let (repository, tag) = path.split_once(':').ok_or(NotAName::Tag)?;
        let is_lower = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
        let parts_are_good = repository.split('/').all(|part| {
            part.starts_with(|c: char| c.is_ascii_alphanumeric())
                && part.ends_with(|c: char| c.is_ascii_alphanumeric())
                && part.chars().all(is_lower)
        });
        let registry_is_good =
            !registry.is_empty() && registry.chars().all(|c| c.is_ascii_alphanumeric() || ".-:".contains(c));
        let tag_is_good = (1..=128).contains(&tag.len())
            && !tag.starts_with(['.', '-'])
            && tag.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
        if !(parts_are_good && registry_is_good && tag_is_good) {
            return Err(NotAName::Characters);
        }
        Ok(Self { full: text.to_owned(), tag_at: text.len() - tag.len() })
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.full)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_full_names_are_names() {
        for (text, expected) in [
            ("localhost/esc-injector:0.1.0", Ok("0.1.0")),
            ("registry.example:5000/acme/esc-injector:v1", Ok("v1")),
            ("esc-injector:0.1.0", Err(NotAName::Registry)),
            ("acme/esc-injector:0.1.0", Err(NotAName::Registry)),
            ("localhost/esc-injector", Err(NotAName::Tag)),
            ("localhost/esc-injector:", Err(NotAName::Characters)),
            ("localhost/Esc:1", Err(NotAName::Characters)),
            ("localhost//esc:1", Err(NotAName::Characters)),
            ("localhost/esc:1@sha256", Err(NotAName::Characters)),
            ("localhost/esc:-1", Err(NotAName::Characters)),
        ] {
            let name = text.parse::<ImageName>();
            assert_eq!(name.as_ref().map(ImageName::tag).map_err(|error| *error), expected, "{text}");
        }
    }
}
