//! The names of organizations, projects, environments and versions: checked once, then safe as path components.

use std::fmt;

use crate::esc::reference::{check_name, check_organization};

/// The project that a name without one belongs to.
pub(super) const DEFAULT_PROJECT: &str = "default";

/// A checked `organization/project/environment`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct EnvironmentName {
    organization: String,
    project: String,
    environment: String,
}

/// Which revision of an environment is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Version {
    /// The newest one.
    Latest,
    /// A revision by its number.
    Revision(u64),
    /// A revision by one of its tags.
    Tag(String),
}

/// An environment as an `imports` list names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ImportName {
    /// In the organization of the importing environment.
    pub(super) environment: EnvironmentName,
    /// The newest one unless it is pinned.
    pub(super) version: Version,
}

impl EnvironmentName {
    /// None if one of the three breaks ESC's rules.
    pub(super) fn new(organization: &str, project: &str, environment: &str) -> Option<Self> {
        let legal = check_organization(organization).is_ok()
            && check_name("project", project).is_ok()
            && check_name("environment", environment).is_ok();
        legal.then(|| Self {
            organization: organization.to_owned(),
            project: project.to_owned(),
            environment: environment.to_owned(),
        })
    }

    /// Why no environment can be made with this name: it is a word of the API's paths.
    pub(super) fn reserved(&self) -> Option<&'static str> {
        if self.project == "yaml" {
            Some("a project can't be called `yaml`")
        } else if matches!(self.environment.as_str(), "open" | "yaml") {
            Some("an environment can't be called `open` or `yaml`")
        } else {
            None
        }
    }

    /// The organization.
    pub(super) fn organization(&self) -> &str {
        &self.organization
    }

    /// The project.
    pub(super) fn project(&self) -> &str {
        &self.project
    }

    /// The environment's own name.
    pub(super) fn environment(&self) -> &str {
        &self.environment
    }

    /// What the environment is called within its organization, as `${context.currentEnvironment.name}` says it.
    pub(super) fn local(&self) -> String {
        if self.project == DEFAULT_PROJECT {
            self.environment.clone()
        } else {
            format!("{}/{}", self.project, self.environment)
        }
    }
}

/// `is a`, `are a, b` or `is none`, for messages that name what there is.
pub(super) fn listed(names: &[String]) -> String {
    match names {
        [] => "is none".to_owned(),
        [one] => format!("is {one}"),
        many => format!("are {}", many.join(", ")),
    }
}

impl fmt::Display for EnvironmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.organization, self.project, self.environment)
    }
}

impl Version {
    /// What starts with a digit is a number, or nothing.
    pub(super) fn parse(text: &str) -> Option<Self> {
        match text.as_bytes().first() {
            None => None,
            Some(first) if first.is_ascii_digit() => text.parse().ok().map(Self::Revision),
            Some(_) if text == "latest" => Some(Self::Latest),
            Some(_) => Some(Self::Tag(text.to_owned())),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latest => f.write_str("latest"),
            Self::Revision(number) => write!(f, "{number}"),
            Self::Tag(tag) => f.write_str(tag),
        }
    }
}

impl ImportName {
    /// Reads `[project/]environment[@version]`.
    pub(super) fn parse(organization: &str, text: &str) -> Option<Self> {
        let (name, version) = match text.split_once('@') {
            Some((name, version)) => (name, Version::parse(version)?),
            None => (text, Version::Latest),
        };
        let (project, environment) = name.split_once('/').unwrap_or((DEFAULT_PROJECT, name));
        Some(Self { environment: EnvironmentName::new(organization, project, environment)?, version })
    }
}

#[cfg(test)]
mod tests {
    use super::{EnvironmentName, ImportName, Version};

    #[test]
    fn names_can_never_leave_their_folder() {
        for (project, environment) in [
            ("..", "e"),
            ("p", ".."),
            ("p", ".hidden"),
            ("p", "a/b"),
            ("p", "a\\b"),
            ("p", "a\0"),
            ("p", ""),
            ("", "e"),
            ("p", "e@1"),
            ("p", "é"),
        ] {
            assert_eq!(EnvironmentName::new("acme", project, environment), None, "{project} {environment}");
        }
        for organization in ["..", "ab", "-abc", "abc-", "a.b", "a/b", &"a".repeat(41)] {
            assert_eq!(EnvironmentName::new(organization, "p", "e"), None, "{organization}");
        }
        assert!(EnvironmentName::new("acme", "open", "a..b").is_some());
    }

    #[test]
    fn reads_import_names() {
        let name = |project, environment, version| {
            let environment = EnvironmentName::new("acme", project, environment).unwrap();
            Some(ImportName { environment, version })
        };
        for (text, expected) in [
            ("base", name("default", "base", Version::Latest)),
            ("p/e", name("p", "e", Version::Latest)),
            ("p/e@3", name("p", "e", Version::Revision(3))),
            ("p/e@latest", name("p", "e", Version::Latest)),
            ("p/e@stable", name("p", "e", Version::Tag("stable".to_owned()))),
            ("p/e@", None),
            ("p/e@3x", None),
            ("a/p/e", None),
            ("../e", None),
        ] {
            assert_eq!(ImportName::parse("acme", text), expected, "{text}");
        }
    }

    #[test]
    fn the_default_project_goes_without_saying() {
        assert_eq!(EnvironmentName::new("acme", "default", "e").unwrap().local(), "e");
        assert_eq!(EnvironmentName::new("acme", "p", "e").unwrap().local(), "p/e");
    }
}
