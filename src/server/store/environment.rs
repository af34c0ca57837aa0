//! What is kept of an environment, and the rules of its revisions and tags. Pure.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use super::{
    super::{names::Version, people::Author},
    Grants,
    rule::{MAX_TAGS, MAX_TEXT, Rule},
};

/// Longest name of a tag, in bytes.
const MAX_TAG_NAME: usize = 128;

/// The tag that the server keeps on the newest revision.
pub(in crate::server) const LATEST: &str = "latest";

/// What an environment is called by, whatever its name: random, and never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(in crate::server) struct EnvironmentId(pub(in crate::server) u128);

impl fmt::Display for EnvironmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl From<EnvironmentId> for String {
    fn from(id: EnvironmentId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for EnvironmentId {
    type Error = std::num::ParseIntError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        u128::from_str_radix(&text, 16).map(Self)
    }
}

/// An environment without its revisions' texts. Times are seconds since the epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::server) struct Environment {
    pub(in crate::server) id: EnvironmentId,
    pub(in crate::server) created: u64,
    pub(in crate::server) modified: u64,
    pub(in crate::server) owner: Author,
    /// The newest revision.
    pub(in crate::server) latest: u64,
    /// Changes with each revision.
    pub(in crate::server) etag: String,
    #[serde(default)]
    pub(in crate::server) protected: bool,
    #[serde(default)]
    pub(in crate::server) deleted: Option<u64>,
    #[serde(default)]
    pub(in crate::server) tags: BTreeMap<String, Tag>,
    #[serde(default)]
    pub(in crate::server) revision_tags: BTreeMap<String, RevisionTag>,
    /// What teams and users were given of it.
    #[serde(default)]
    pub(in crate::server) grants: Grants,
}

/// A name with a value, for people and their tools.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::server) struct Tag {
    pub(in crate::server) value: String,
    pub(in crate::server) created: u64,
    pub(in crate::server) modified: u64,
    pub(in crate::server) editor: Author,
}

/// A name for a revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::server) struct RevisionTag {
    pub(in crate::server) revision: u64,
    pub(in crate::server) created: u64,
    pub(in crate::server) modified: u64,
    pub(in crate::server) editor: Author,
}

/// One revision without its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::server) struct Revision {
    pub(in crate::server) number: u64,
    pub(in crate::server) created: u64,
    pub(in crate::server) creator: Author,
    #[serde(default)]
    pub(in crate::server) retracted: Option<Retraction>,
}

/// Why and for what a revision was withdrawn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::server) struct Retraction {
    pub(in crate::server) replacement: Option<u64>,
    pub(in crate::server) at: u64,
    pub(in crate::server) by: Author,
    pub(in crate::server) reason: Option<String>,
}

impl Environment {
    /// A new one with `latest` revisions.
    pub(in crate::server) fn new(id: EnvironmentId, latest: u64, owner: Author, now: u64) -> Self {
        Self {
            id,
            created: now,
            modified: now,
            owner,
            latest,
            etag: etag(id, latest),
            protected: false,
            deleted: None,
            tags: BTreeMap::new(),
            revision_tags: BTreeMap::new(),
            grants: Grants::default(),
        }
    }

    /// The next revision is there.
    pub(super) fn advance(&mut self, now: u64) {
        self.latest += 1;
        self.modified = now;
        self.etag = etag(self.id, self.latest);
    }

    /// The number behind a version, if there may be such a revision.
    pub(super) fn resolve(&self, version: &Version) -> Option<u64> {
        match version {
            Version::Latest => Some(self.latest),
            Version::Revision(number) => (1..=self.latest).contains(number).then_some(*number),
            Version::Tag(name) => self.revision_tags.get(name).map(|tag| tag.revision),
        }
    }

    /// The tags of a revision, `latest` among them.
    pub(in crate::server) fn tags_of(&self, number: u64) -> Vec<&str> {
        let latest = (number == self.latest).then_some(LATEST);
        let others = self.revision_tags.iter().filter(|(_, tag)| tag.revision == number);
        latest.into_iter().chain(others.map(|(name, _)| name.as_str())).collect()
    }

    /// Adds a tag for a revision.
    pub(in crate::server) fn add_revision_tag(
        &mut self,
        name: &str,
        revision: Option<u64>,
        by: &Author,
        now: u64,
    ) -> Result<(), Rule> {
        check_revision_tag(name)?;
        if self.revision_tags.contains_key(name) {
            return Err(Rule::TagExists(name.to_owned()));
        }
        if self.revision_tags.len() >= MAX_TAGS {
            return Err(Rule::TooManyTags);
        }
        let revision = self.existing(revision.unwrap_or(self.latest))?;
        let tag = RevisionTag { revision, created: now, modified: now, editor: by.clone() };
        self.revision_tags.insert(name.to_owned(), tag);
        Ok(())
    }

    /// Moves a tag to another revision.
    pub(in crate::server) fn move_revision_tag(
        &mut self,
        name: &str,
        revision: u64,
        by: &Author,
        now: u64,
    ) -> Result<(), Rule> {
        if name == LATEST {
            return Err(Rule::Latest(name.to_owned()));
        }
        let revision = self.existing(revision)?;
        let tag = self.revision_tags.get_mut(name).ok_or_else(|| Rule::NoTag(name.to_owned()))?;
        (tag.revision, tag.modified, tag.editor) = (revision, now, by.clone());
        Ok(())
    }

    /// Takes a tag away.
    pub(in crate::server) fn remove_revision_tag(&mut self, name: &str) -> Result<(), Rule> {
        if name == LATEST {
            return Err(Rule::Latest(name.to_owned()));
        }
        self.revision_tags.remove(name).map(|_| ()).ok_or_else(|| Rule::NoTag(name.to_owned()))
    }

    /// What `latest` is, as other tags are kept.
    pub(in crate::server) fn latest_tag(&self) -> RevisionTag {
        RevisionTag {
            revision: self.latest,
            created: self.created,
            modified: self.modified,
            editor: self.owner.clone(),
        }
    }

    /// Adds a tag with a value.
    pub(in crate::server) fn add_tag(
        &mut self,
        name: &str,
        value: &str,
        by: &Author,
        now: u64,
    ) -> Result<(), Rule> {
        check_tag(name)?;
        check_text("value", value)?;
        if self.tags.contains_key(name) {
            return Err(Rule::TagExists(name.to_owned()));
        }
        if self.tags.len() >= MAX_TAGS {
            return Err(Rule::TooManyTags);
        }
        let tag = Tag { value: value.to_owned(), created: now, modified: now, editor: by.clone() };
        self.tags.insert(name.to_owned(), tag);
        Ok(())
    }

    /// Gives a tag another value, another name, or both, if its value still is `current`.
    pub(in crate::server) fn change_tag(
        &mut self,
        name: &str,
        current: Option<&str>,
        new_name: Option<&str>,
        value: &str,
        (by, now): (&Author, u64),
    ) -> Result<(), Rule> {
        check_text("value", value)?;
        let tag = self.tags.get(name).ok_or_else(|| Rule::NoTag(name.to_owned()))?;
        if current.is_some_and(|current| current != tag.value) {
            return Err(Rule::TagChanged(name.to_owned()));
        }
        let changed =
            Tag { value: value.to_owned(), created: tag.created, modified: now, editor: by.clone() };
        let new_name = new_name.unwrap_or(name);
        if new_name != name {
            check_tag(new_name)?;
            if self.tags.contains_key(new_name) {
                return Err(Rule::TagExists(new_name.to_owned()));
            }
            self.tags.remove(name);
        }
        self.tags.insert(new_name.to_owned(), changed);
        Ok(())
    }

    /// Takes a tag away.
    pub(in crate::server) fn remove_tag(&mut self, name: &str) -> Result<(), Rule> {
        self.tags.remove(name).map(|_| ()).ok_or_else(|| Rule::NoTag(name.to_owned()))
    }

    /// What is to replace a revision that is retracted; tags follow it there. `is_retracted` knows the others.
    pub(super) fn retract<E: From<Rule>>(
        &mut self,
        number: u64,
        replacement: Option<u64>,
        mut is_retracted: impl FnMut(u64) -> Result<bool, E>,
    ) -> Result<u64, E> {
        self.existing(number)?;
        if number == self.latest {
            return Err(Rule::RetractsLatest(number).into());
        }
        if is_retracted(number)? {
            return Err(Rule::IsRetracted(number).into());
        }
        let replacement = match replacement {
            Some(other) if other == number => return Err(Rule::ReplacesItself.into()),
            Some(other) => {
                self.existing(other)?;
                if is_retracted(other)? {
                    return Err(Rule::IsRetracted(other).into());
                }
                other
            }
            None => {
                let mut before = number - 1;
                while before > 0 && is_retracted(before)? {
                    before -= 1;
                }
                if before == 0 {
                    return Err(Rule::NoReplacement(number).into());
                }
                before
            }
        };
        for tag in self.revision_tags.values_mut().filter(|tag| tag.revision == number) {
            tag.revision = replacement;
        }
        Ok(replacement)
    }

    fn existing(&self, number: u64) -> Result<u64, Rule> {
        if (1..=self.latest).contains(&number) { Ok(number) } else { Err(Rule::NoRevision(number)) }
    }
}

/// The reason of a retraction.
pub(in crate::server) fn check_text(what: &'static str, text: &str) -> Result<(), Rule> {
    if text.len() > MAX_TEXT { Err(Rule::TooLong(what)) } else { Ok(()) }
}

/// What a tag of an environment may be called.
fn check_tag(name: &str) -> Result<(), Rule> {
    let reason = if name.is_empty() {
        "it is empty"
    } else if name.len() > MAX_TAG_NAME {
        "it is longer than 128 bytes"
    } else if name.chars().any(|c| c.is_control() || c == '/') {
        "it has a slash or a control character"
    } else if matches!(name, "." | "..") {
        "clients take it for a folder in paths"
    } else {
        return Ok(());
    };
    Err(Rule::TagName { name: name.to_owned(), reason })
}

/// What a revision tag may be called: it stands behind `@` and in paths.
fn check_revision_tag(name: &str) -> Result<(), Rule> {
    if name == LATEST {
        return Err(Rule::Latest(name.to_owned()));
    }
    check_tag(name)?;
    let reason = if name.starts_with(|c: char| c.is_ascii_digit()) {
        "it begins with a digit, as revision numbers do"
    } else if !name.chars().all(|c| c.is_alphanumeric() || "-_.".contains(c)) {
        "it has something else than letters, digits, `-`, `_` and `.`"
    } else if name == "tags" {
        "it is a word of the API"
    } else {
        return Ok(());
    };
    Err(Rule::TagName { name: name.to_owned(), reason })
}

fn etag(id: EnvironmentId, revision: u64) -> String {
    format!("{id}.{revision}")
}

#[cfg(test)]
mod tests {
    use super::{Environment, EnvironmentId, Rule};
    use crate::server::{names::Version, people::Author};

    fn jo() -> Author {
        Author { login: "jo".to_owned(), name: "Jo".to_owned() }
    }

    fn environment() -> Environment {
        Environment::new(EnvironmentId(7), 4, jo(), 100)
    }

    #[test]
    fn resolves_numbers_and_tags() {
        let mut it = environment();
        it.add_revision_tag("stable", Some(2), &jo(), 101).unwrap();
        for (version, expected) in [
            (Version::Latest, Some(4)),
            (Version::Revision(1), Some(1)),
            (Version::Revision(4), Some(4)),
            (Version::Revision(0), None),
            (Version::Revision(5), None),
            (Version::Tag("stable".to_owned()), Some(2)),
            (Version::Tag("none".to_owned()), None),
        ] {
            assert_eq!(it.resolve(&version), expected, "{version}");
        }
        assert_eq!((it.tags_of(4), it.tags_of(2), it.tags_of(1)), (vec!["latest"], vec!["stable"], vec![]));
    }

    #[test]
    fn a_revision_changes_the_etag() {
        let mut it = environment();
        let before = it.etag.clone();
        it.advance(102);
        assert_ne!(it.etag, before);
        assert_eq!((it.latest, it.modified), (5, 102));
    }

    #[test]
    fn revision_tags_have_rules() {
        let mut it = environment();
        it.add_revision_tag("stable", None, &jo(), 101).unwrap();
        assert_eq!(it.revision_tags["stable"].revision, 4);
        it.move_revision_tag("stable", 1, &jo(), 102).unwrap();
        for (result, expected) in [
            (it.add_revision_tag("stable", None, &jo(), 1), Rule::TagExists("stable".to_owned())),
            (it.add_revision_tag("latest", None, &jo(), 1), Rule::Latest("latest".to_owned())),
            (it.add_revision_tag("x", Some(9), &jo(), 1), Rule::NoRevision(9)),
            (it.move_revision_tag("stable", 0, &jo(), 1), Rule::NoRevision(0)),
            (it.move_revision_tag("none", 1, &jo(), 1), Rule::NoTag("none".to_owned())),
            (it.move_revision_tag("latest", 1, &jo(), 1), Rule::Latest("latest".to_owned())),
            (it.remove_revision_tag("latest"), Rule::Latest("latest".to_owned())),
            (it.remove_revision_tag("none"), Rule::NoTag("none".to_owned())),
        ] {
            assert_eq!(result, Err(expected));
        }
        for name in ["", "1st", "a b", "a/b", "tags", &"a".repeat(129)] {
            assert!(matches!(it.add_revision_tag(name, None, &jo(), 1), Err(Rule::TagName { .. })), "{name}");
        }
        it.remove_revision_tag("stable").unwrap();
    }

    #[test]
    fn tags_have_rules() {
        let mut it = environment();
        it.add_tag("team", "a", &jo(), 1).unwrap();
        it.add_tag("tier", "1", &jo(), 1).unwrap();
        assert_eq!(it.add_tag("team", "b", &jo(), 1), Err(Rule::TagExists("team".to_owned())));
        let at = (&jo(), 2);
        assert_eq!(it.change_tag("team", Some("x"), None, "b", at), Err(Rule::TagChanged("team".to_owned())));
        assert_eq!(it.change_tag("none", None, None, "b", at), Err(Rule::NoTag("none".to_owned())));
        assert_eq!(
            it.change_tag("team", None, Some("tier"), "b", at),
            Err(Rule::TagExists("tier".to_owned()))
        );
        it.change_tag("team", Some("a"), Some("squad"), "b", at).unwrap();
        assert_eq!((it.tags["squad"].value.as_str(), it.tags["squad"].created), ("b", 1));
        assert!(!it.tags.contains_key("team"));
        assert_eq!(it.add_tag("long", &"x".repeat(1025), &jo(), 1), Err(Rule::TooLong("value")));
        it.remove_tag("squad").unwrap();
        for index in 1..256 {
            it.add_tag(&format!("t{index}"), "", &jo(), 1).unwrap();
        }
        assert_eq!(it.add_tag("one more", "", &jo(), 1), Err(Rule::TooManyTags));
    }

    #[test]
    fn retracting_finds_a_replacement_and_moves_tags() {
        let gone = |number| Ok::<_, Rule>(number == 2);
        let mut it = environment();
        it.add_revision_tag("stable", Some(3), &jo(), 1).unwrap();
        assert_eq!(it.retract(3, None, gone), Ok(1));
        assert_eq!(it.revision_tags["stable"].revision, 1);
        assert_eq!(it.retract(3, Some(4), gone), Ok(4));
        for (number, replacement, expected) in [
            (4, None, Rule::RetractsLatest(4)),
            (2, None, Rule::IsRetracted(2)),
            (1, None, Rule::NoReplacement(1)),
            (3, Some(2), Rule::IsRetracted(2)),
            (3, Some(3), Rule::ReplacesItself),
            (3, Some(9), Rule::NoRevision(9)),
            (9, None, Rule::NoRevision(9)),
        ] {
            assert_eq!(it.retract(number, replacement, gone), Err(expected));
        }
    }
}
