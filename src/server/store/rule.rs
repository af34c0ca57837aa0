//! What can't be done with revisions, tags and grants, and why.

/// Tags of one kind that an environment may have. They are kept together, and read with every open.
pub(super) const MAX_TAGS: usize = 256;

/// Longest value of an environment's tag, and longest reason of a retraction, in bytes.
pub(super) const MAX_TEXT: usize = 1024;

/// What can't be done, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(in crate::server) enum Rule {
    #[error("there is no tag `{0}`")]
    NoTag(String),
    #[error("tag `{0}` already exists")]
    TagExists(String),
    #[error("tag `{0}` has changed since it was read")]
    TagChanged(String),
    #[error("`{0}` is kept by the server: it is always the newest revision")]
    Latest(String),
    #[error("`{name}` is no tag name: {reason}")]
    TagName { name: String, reason: &'static str },
    #[error("there are {MAX_TAGS} tags, and can't be more")]
    TooManyTags,
    #[error("the {0} is longer than {MAX_TEXT} bytes")]
    TooLong(&'static str),
    #[error("`{0}` has no right that could be taken away")]
    NoGrant(String),
    #[error("as many teams or users as can have rights have some")]
    TooManyGrants,
    #[error("there is no revision {0}")]
    NoRevision(u64),
    #[error("revision {0} is retracted")]
    IsRetracted(u64),
    #[error("revision {0} is the latest one: only older ones can be retracted")]
    RetractsLatest(u64),
    #[error("a revision can't replace itself")]
    ReplacesItself,
    #[error("there is no revision before {0} to replace it: name the replacement")]
    NoReplacement(u64),
}
