//! Releases of Kubernetes, as far as they decide what a pod can have.

use std::{fmt, str::FromStr};

/// A release, without its patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    major: u32,
    minor: u32,
}

/// The text is no release.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no release of Kubernetes: write 1.35")]
pub struct VersionError(String);

impl Version {
    /// `major.minor`.
    pub const fn new(major: u32, minor: u32) -> Self {
        Self { major, minor }
    }
}

impl FromStr for Version {
    type Err = VersionError;

    /// Reads `1.35`, `v1.35.2` and what distributions make of it (`1.35+`).
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fail = || VersionError(text.to_owned());
        let mut parts = text.strip_prefix('v').unwrap_or(text).split('.');
        let mut number = || {
            let part = parts.next().ok_or_else(fail)?;
            part.strip_suffix('+').unwrap_or(part).parse().map_err(|_| fail())
        };
        Ok(Self { major: number()?, minor: number()? })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_and_distributions_write() {
        for (text, expected) in [
            ("1.35", Some((1, 35))),
            ("v1.36.3", Some((1, 36))),
            ("1.35+", Some((1, 35))),
            ("1", None),
            ("", None),
            ("1.x", None),
        ] {
            let expected = expected.map(|(major, minor)| Version::new(major, minor));
            assert_eq!(text.parse::<Version>().ok(), expected, "{text}");
        }
        assert!(Version::new(1, 9) < Version::new(1, 35));
    }
}
