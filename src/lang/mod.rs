//! ESC's environment language: a definition goes in, values and diagnostics come out.
//!
//! Pure: no I/O, no clock. Other environments are reached only through [`Load`], which the caller implements,
//! and providers are called by the caller: see [`Evaluation`].
//!
//! The way of a document: YAML nodes ▶ `reader` (what it says: `syntax`) ▶ `imports` (what it stands on) ▶ `evaluate`
//! (its expressions); `program` goes that way with the root, and `evaluation` is what all of it knows so far.
//! Values are held against a [`schema::Schema`] where a function or a provider asks for one.
//!
//! Summaries of diagnostics are those of Pulumi's own evaluator, because tools match on them. They quote names and
//! references, never values.

use std::sync::Arc;

use crate::esc;

mod access;
mod budget;
mod builtins;
mod bytes;
mod calls;
mod decimal;
mod describe;
pub mod diagnostic;
pub mod envelope;
mod evaluate;
mod evaluation;
mod export;
mod functions;
mod imports;
mod interpolation;
mod json;
mod known;
mod merge;
mod outline;
pub mod place;
mod program;
mod properties;
mod reader;
mod references;
pub mod schema;
mod schema_reader;
pub mod seal;
pub mod seam;
mod signatures;
mod steps;
mod syntax;
mod text;
mod to_yaml;
mod validate;
pub mod value;

pub use evaluation::{ANONYMOUS, Evaluation};
pub use outline::Outline;
pub use program::Progress;
pub use reader::Secrets;
pub use seam::{Load, LoadError};

/// Largest definition that is read, in bytes. Real ones are a few KiB.
pub const MAX_DOCUMENT: usize = 1 << 20;

/// Imports of one document, and documents of one evaluation. Real environments have a handful.
const MAX_IMPORTS: usize = 256;

/// What an evaluation is for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Mode {
    /// The values are wanted.
    #[default]
    Open,
    /// The definition is to be checked: no provider is called, and what they would answer is unknown.
    Check {
        /// Whether encrypted secrets are decrypted; they are unknown otherwise.
        show_secrets: bool,
    },
    /// The rotators of the root environment are to rotate.
    Rotate {
        /// Paths of calls below `values`, as [`place::Place::path`] spells them; all calls when empty.
        paths: Vec<String>,
    },
}

/// How an environment is evaluated.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// What for.
    pub mode: Mode,
    /// How the text of `fn::secret` in the root environment is meant. That of imports is always as stored.
    pub secrets: Secrets,
    /// Whether tools are to be told how the definition is built.
    pub outline: bool,
    /// What `${context…}` holds beside the names of the environments.
    pub context: Vec<(Arc<str>, esc::value::Value)>,
}

/// What an evaluation yields. The value is complete only if no diagnostic is an error.
#[derive(Debug)]
pub struct Outcome {
    /// The environment: always an object.
    pub value: value::Value,
    /// Everything that was found wrong: of the root environment first, then of its imports.
    pub diagnostics: Vec<diagnostic::Diagnostic>,
    /// How the definition is built, if that was asked for.
    pub outline: Option<Box<Outline>>,
    /// What became of the rotators, in a rotation.
    pub rotations: Vec<seam::Rotation>,
}

impl Outcome {
    /// Whether the value must not be used.
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(|diagnostic| diagnostic.severity == diagnostic::Severity::Error)
    }
}

#[cfg(test)]
mod tests;
