//! Names that cross into a container: environment variables and files. Parsed once, then trusted.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A legal environment variable name: `[A-Za-z_][A-Za-z0-9_]*`, as every shell and kubelet accepts it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VariableName(String);

/// A relative file name below the mount path: no empty, `.` or `..` component, no NUL, nothing that collides
/// with kubelet's `..data` machinery (no component starts with `..`), each component ≤ 255 bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FileName(String);

/// Why a text is no legal name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is no legal {what}: {reason}")]
pub struct NameError {
    /// The name that was given.
    pub name: String,
    /// `variable name` or `file name`.
    pub what: &'static str,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl FromStr for VariableName {
    type Err = NameError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let reason = if name.is_empty() {
            "it is empty"
        } else if name.starts_with(|c: char| c.is_ascii_digit()) {
            "it starts with a digit"
        } else if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            "only letters, digits and `_` are allowed"
        } else {
            return Ok(Self(name.to_owned()));
        };
        Err(NameError { name: name.to_owned(), what: "variable name", reason })
    }
}

/// Longest file name that Linux's file systems take, in bytes.
const LONGEST_COMPONENT: usize = 255;

impl FromStr for FileName {
    type Err = NameError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let reason = if name.is_empty() {
            "it is empty"
        } else if name.starts_with('/') {
            "it is absolute: name a file below the mount path"
        } else if name.contains('\0') {
            "it contains a NUL byte"
        } else if let Some(reason) = name.split('/').find_map(component_problem) {
            reason
        } else {
            return Ok(Self(name.to_owned()));
        };
        Err(NameError { name: name.to_owned(), what: "file name", reason })
    }
}

fn component_problem(component: &str) -> Option<&'static str> {
    match component {
        "" => Some("a part between slashes is empty"),
        "." | ".." => Some("`.` and `..` are not allowed: name a file below the mount path"),
        _ if component.starts_with("..") => {
            Some("names that start with `..` belong to the volume's own links")
        }
        _ if component.len() > LONGEST_COMPONENT => Some("a part is longer than 255 bytes"),
        _ => None,
    }
}

/// What every name type shares: its text, and serde through it.
macro_rules! text_name {
    ($name:ident) => {
        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(name: String) -> Result<Self, Self::Error> {
                name.parse()
            }
        }
        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}
text_name!(VariableName);
text_name!(FileName);

#[cfg(test)]
mod tests {
    use super::{FileName, VariableName};

    #[test]
    fn variable_names_are_what_every_shell_takes() {
        for name in ["A", "_", "DATABASE_URL", "lower", "A1", "__x__"] {
            assert_eq!(name.parse::<VariableName>().unwrap().as_str(), name);
        }
        for name in ["", "1A", "A-B", "A.B", "bad name", "a=b", "Ä", "A\n", "A\0", "$A"] {
            assert!(name.parse::<VariableName>().is_err(), "{name:?}");
        }
    }

    #[test]
    fn file_names_stay_below_the_mount_path() {
        let longest = "x".repeat(255);
        for name in ["ca.crt", "tls/ca.crt", ".env", "a..b", "with blank", "é", longest.as_str()] {
            assert_eq!(name.parse::<FileName>().unwrap().as_str(), name);
        }
        let too_long = "x".repeat(256);
        for name in [
            "",
            "/etc/passwd",
            "..",
            ".",
            "../x",
            "a/../b",
            "a/./b",
            "a//b",
            "a/",
            "..data",
            "..2024",
            "a/..b",
            "a\0b",
            too_long.as_str(),
        ] {
            assert!(name.parse::<FileName>().is_err(), "{name:?}");
        }
    }

    #[test]
    fn serde_checks_too() {
        assert!(serde_json::from_str::<FileName>("\"../x\"").is_err());
        assert!(serde_json::from_str::<VariableName>("\"A-B\"").is_err());
        let name: FileName = serde_json::from_str("\"tls/ca.crt\"").unwrap();
        assert_eq!(serde_json::to_string(&name).unwrap(), "\"tls/ca.crt\"");
    }

    #[test]
    fn errors_name_the_name_and_the_reason() {
        let error = "A-B".parse::<VariableName>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "`A-B` is no legal variable name: only letters, digits and `_` are allowed"
        );
    }
}
