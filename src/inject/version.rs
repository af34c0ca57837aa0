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

    /// The first number.
    pub const fn major(self) -> u32 {
        self.major
    }

    /// The second number.
    pub const fn minor(self) -> u32 {
        self.minor
    }
}

/// What is known of a cluster's releases.
#[derive(Debug, Clone, Copy)]
pub struct Releases {
    /// The API server's.
    pub api_server: Option<Version>,
    /// That of the oldest kubelet, as the operator says it.
    pub min_kubelet: Option<Version>,
}

impl Releases {
    /// How many releases a kubelet may be older than its API server.
    const SKEW: u32 = 3;

    /// Whether the API server is of this release or newer: no kubelet is newer than it.
    pub fn api_server_is_at_least(self, version: Version) -> bool {
        self.api_server.max(self.min_kubelet).is_some_and(|known| known >= version)
    }

    /// Whether every kubelet is of this release or newer.
    pub fn kubelets_are_at_least(self, version: Version) -> bool {
        let Version { major, minor } = version;
        let implied = Version { major, minor: minor.saturating_add(Self::SKEW) };
        self.min_kubelet.is_some_and(|oldest| oldest >= version)
            || self.api_server.is_some_and(|api_server| api_server >= implied)
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
