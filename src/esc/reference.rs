//! What an environment is called: `organization/project/environment[@version]`.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A full reference to an environment, checked by ESC's name rules.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Reference {
    organization: String,
    project: String,
    environment: String,
    version: Option<String>,
}

/// Why a text is no reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no environment reference: {reason}")]
pub struct ReferenceError {
    /// What was given.
    pub text: String,
    /// What is wrong with it.
    pub reason: String,
}

impl Reference {
    /// The organization.
    pub fn organization(&self) -> &str {
        &self.organization
    }

    /// The project.
    pub fn project(&self) -> &str {
        &self.project
    }

    /// The environment's own name.
    pub fn environment(&self) -> &str {
        &self.environment
    }

    /// Revision number or tag, if pinned; `latest` is the same as none.
    pub fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        read(text).map_err(|reason| ReferenceError { text: text.to_owned(), reason })
    }
}

fn read(text: &str) -> Result<Reference, String> {
    let (name, version) = match text.split_once('@') {
        Some((name, version)) => (name, Some(version)),
        None => (text, None),
    };
    let parts: Vec<&str> = name.split('/').collect();
    let [organization, project, environment] = parts.as_slice() else {
        return Err("write organization/project/environment".to_owned());
    };
    if environment.contains(':') {
        return Err("write `@` before the version, not `:`".to_owned());
    }
    check_organization(organization)?;
    check_name("project", project)?;
    check_name("environment", environment)?;
    if matches!(*environment, "open" | "yaml") {
        return Err(format!("`{environment}` is reserved by ESC and can't name an environment"));
    }
    Ok(Reference {
        organization: (*organization).to_owned(),
        project: (*project).to_owned(),
        environment: (*environment).to_owned(),
        version: version.map(read_version).transpose()?.flatten(),
    })
}

/// ESC's rule for the names of organizations.
pub(crate) fn check_organization(name: &str) -> Result<(), String> {
    if !(3..=40).contains(&name.len()) {
        return Err("the organization has 3 to 40 characters".to_owned());
    }
    if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)) {
        return Err("the organization has only letters, digits, `-` and `_`".to_owned());
    }
    if name.starts_with(['-', '_']) || name.ends_with(['-', '_']) {
        return Err("the organization starts and ends with a letter or digit".to_owned());
    }
    Ok(())
}

/// ESC's rule for the names of projects and environments.
pub(crate) fn check_name(what: &str, name: &str) -> Result<(), String> {
    if !(1..=100).contains(&name.len()) {
        return Err(format!("the {what} has 1 to 100 characters"));
    }
    if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)) {
        return Err(format!("the {what} has only letters, digits, `-`, `_` and `.`"));
    }
    if name.starts_with('.') {
        return Err(format!("the {what} can't start with a dot"));
    }
    Ok(())
}

/// A revision number in its shortest form, or a tag; none for `latest`.
fn read_version(text: &str) -> Result<Option<String>, String> {
    if text == "latest" {
        return Ok(None);
    }
    if text.is_empty() {
        return Err("the version after `@` is missing: write a revision number or a tag".to_owned());
    }
    if !text.starts_with(|c: char| c.is_ascii_digit()) {
        let legal = |c: char| c.is_alphanumeric() || "-_.".contains(c);
        return if text.chars().all(legal) {
            Ok(Some(text.to_owned()))
        } else {
            Err("a revision tag has only letters, digits, `-`, `_` and `.`".to_owned())
        };
    }
    match text.parse::<u64>() {
        Ok(0) => Err("revisions count from 1".to_owned()),
        Ok(revision) => Ok(Some(revision.to_string())),
        Err(_) => Err("a version is a revision number, or a tag that starts with a non-digit".to_owned()),
    }
}

impl TryFrom<String> for Reference {
    type Error = ReferenceError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Reference> for String {
    fn from(reference: Reference) -> Self {
        reference.to_string()
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.organization, self.project, self.environment)?;
        self.version.as_ref().map_or(Ok(()), |version| write!(f, "@{version}"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Reference;

    #[test]
    fn reads_names_and_versions() {
        for (text, version, written) in [
            ("acme/shop/prod", None, "acme/shop/prod"),
            ("acme/shop/prod@3", Some("3"), "acme/shop/prod@3"),
            ("acme/shop/prod@003", Some("3"), "acme/shop/prod@3"),
            ("acme/shop/prod@stable", Some("stable"), "acme/shop/prod@stable"),
            ("acme/shop/prod@v1.2-rc_1", Some("v1.2-rc_1"), "acme/shop/prod@v1.2-rc_1"),
            ("acme/shop/prod@latest", None, "acme/shop/prod"),
            ("dev/default/my_app.eu-1", None, "dev/default/my_app.eu-1"),
        ] {
            let reference: Reference = text.parse().unwrap();
            assert_eq!(reference.version(), version, "{text}");
            assert_eq!(reference.to_string(), written);
            assert_eq!(serde_json::to_string(&reference).unwrap(), format!("\"{written}\""));
            assert_eq!(written.parse::<Reference>().unwrap(), reference);
        }
        let reference: Reference = "acme/shop/prod@3".parse().unwrap();
        assert_eq!(
            (reference.organization(), reference.project(), reference.environment()),
            ("acme", "shop", "prod")
        );
    }

    #[test]
    fn errors_say_the_fix() {
        let long = format!("acme/shop/{}", "x".repeat(101));
        for (text, reason) in [
            ("", "write organization/project/environment"),
            ("prod", "write organization/project/environment"),
            ("shop/prod", "write organization/project/environment"),
            ("shop/prod@3", "write organization/project/environment"),
            ("a/b/c/d", "write organization/project/environment"),
            ("acme/shop/prod:3", "write `@` before the version, not `:`"),
            ("acme/shop/prod@", "the version after `@` is missing: write a revision number or a tag"),
            ("acme/shop/prod@0", "revisions count from 1"),
            ("acme/shop/prod@3a", "a version is a revision number, or a tag that starts with a non-digit"),
            ("acme/shop/prod@a b", "a revision tag has only letters, digits, `-`, `_` and `.`"),
            ("acme/shop/prod@a@b", "a revision tag has only letters, digits, `-`, `_` and `.`"),
            ("ac/shop/prod", "the organization has 3 to 40 characters"),
            ("-acme/shop/prod", "the organization starts and ends with a letter or digit"),
            ("acme.io/shop/prod", "the organization has only letters, digits, `-` and `_`"),
            ("acme//prod", "the project has 1 to 100 characters"),
            ("acme/shop/", "the environment has 1 to 100 characters"),
            ("acme/shop/.prod", "the environment can't start with a dot"),
            ("acme/shop/..", "the environment can't start with a dot"),
            ("acme/sh op/prod", "the project has only letters, digits, `-`, `_` and `.`"),
            ("acme/shop/prod\n", "the environment has only letters, digits, `-`, `_` and `.`"),
            ("acme/shop/open", "`open` is reserved by ESC and can't name an environment"),
            (&long, "the environment has 1 to 100 characters"),
        ] {
            let error = text.parse::<Reference>().unwrap_err();
            assert_eq!(error.reason, reason, "{text}");
            assert_eq!(error.to_string(), format!("`{text}` is no environment reference: {reason}"));
        }
    }

    proptest! {
        #[test]
        fn what_it_reads_it_writes(text in "[a-z0-9/@:._-]{0,30}") {
            if let Ok(reference) = text.parse::<Reference>() {
                prop_assert_eq!(reference.to_string().parse::<Reference>(), Ok(reference));
            }
        }
    }
}
