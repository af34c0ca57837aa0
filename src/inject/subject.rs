//! What a problem or warning is about: in words for refusals, and typed, so that `check` finds the place in a manifest.

use std::fmt;

use super::keys::{Key, PREFIX};
use crate::yaml::Mark;

/// Whose annotations they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The pod's own.
    Pod,
    /// Its namespace's: defaults.
    Namespace,
    /// The operator's `--default` flags, whose keys have no prefix.
    Operator,
}

/// What a problem or warning is about. Its text is what refusals say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// An annotation.
    Annotation {
        /// Whose it is.
        source: Source,
        /// Its key, without the prefix.
        key: String,
    },
    /// A place in the document of the annotation `config`.
    Config {
        /// Whose it is.
        source: Source,
        /// The keys that lead there; none for the document itself.
        at: Vec<String>,
        /// What exactly there, where that can be said.
        focus: Focus,
    },
    /// A container.
    Container(String),
    /// A mount of a container.
    Mount {
        /// The container.
        container: String,
        /// Where it mounts.
        path: String,
    },
    /// A volume.
    Volume(String),
    /// A variable that is asked for.
    Variable(String),
    /// A file that is asked for.
    File {
        /// Its name.
        name: String,
        /// The mode that is asked for, where that is the matter.
        mode: Option<u32>,
    },
    /// The containers that a variable or file names.
    Receivers(Box<Subject>),
    /// A field of the pod, as `spec.containers[0].name`.
    Field(String),
    /// Something else, and the annotation that it comes from.
    Words(&'static str, Option<Key>),
}

/// What at a place of `config` is meant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Focus {
    /// The place itself.
    #[default]
    Whole,
    /// A key below it.
    Key(String),
    /// An element of the list there.
    Element(usize),
    /// A position in the document, which can't be read.
    Mark(Mark),
}

impl Subject {
    /// An annotation of the pod's own.
    pub fn key(key: Key) -> Self {
        Self::own(key.name())
    }

    /// An annotation of the pod's own, by its key without the prefix.
    pub fn own(key: impl Into<String>) -> Self {
        Self::Annotation { source: Source::Pod, key: key.into() }
    }

    /// A container.
    pub fn container(name: &str) -> Self {
        Self::Container(name.to_owned())
    }

    /// A file that is asked for.
    pub fn file(name: &impl ToString) -> Self {
        Self::File { name: name.to_string(), mode: None }
    }
}

impl From<&'static str> for Subject {
    fn from(words: &'static str) -> Self {
        Self::Words(words, None)
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Annotation { source, key } => annotation(f, *source, key),
            Self::Config { source, at, .. } => {
                annotation(f, *source, Key::Config.name())?;
                if at.is_empty() { Ok(()) } else { write!(f, ", {}", at.join(".")) }
            }
            Self::Container(name) => write!(f, "container {name}"),
            Self::Mount { container, path } => write!(f, "container {container}, mount {path}"),
            Self::Volume(name) => write!(f, "volume {name}"),
            Self::Variable(name) => write!(f, "variable {name}"),
            Self::File { name, mode: None } => write!(f, "file {name}"),
            Self::File { name, mode: Some(mode) } => write!(f, "file {name}, mode {mode:04o}"),
            Self::Receivers(of) => write!(f, "{of}, containers"),
            Self::Field(field) => f.write_str(field),
            Self::Words(words, _) => f.write_str(words),
        }
    }
}

fn annotation(f: &mut fmt::Formatter<'_>, source: Source, key: &str) -> fmt::Result {
    match source {
        Source::Pod => write!(f, "{PREFIX}{key}"),
        Source::Namespace => write!(f, "namespace annotation {PREFIX}{key}"),
        Source::Operator => write!(f, "operator default {key}"),
    }
}
