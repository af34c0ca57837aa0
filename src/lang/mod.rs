//! ESC's environment language: a definition goes in, values and diagnostics come out.
//!
//! Pure: no I/O, no clock. Other environments are reached only through [`Load`], which the caller implements.
//! The way of a document: YAML nodes ▶ `syntax` (what it says) ▶ `program` (its imports) ▶ `evaluate` (its
//! expressions). Diagnostics quote names and references, never values.
//!
//! `fn::secret` yields its text exactly as written, because that is what ESC delivers once a definition is
//! stored: there the text is encrypted before anything reads it, so neither `$$` nor `${` mean anything in it.

use crate::secret::Secret;

mod access;
mod budget;
mod builtins;
pub mod diagnostic;
pub mod envelope;
mod evaluate;
mod interpolation;
mod json;
mod merge;
mod program;
pub mod seal;
mod syntax;
mod text;
pub mod value;

pub use program::evaluate;

/// Largest definition that is read, in bytes. Real ones are a few KiB.
pub const MAX_DOCUMENT: usize = 4 << 20;

/// Imports of one document, and documents of one evaluation. Real environments have a handful.
const MAX_IMPORTS: usize = 256;

/// Gives the definitions that a document imports.
pub trait Load {
    /// The definition behind a name of an `imports` list: `[project/]environment[@version]`.
    fn load(&self, name: &str) -> Result<Secret, LoadError>;
}

/// Why a definition can't be had, in words for the author of the importing document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct LoadError(pub String);

/// What an evaluation yields. The value is complete only if no diagnostic is an error.
#[derive(Debug)]
pub struct Outcome {
    /// The environment: always an object.
    pub value: value::Value,
    /// Everything that was found wrong, in the order in which it was found.
    pub diagnostics: Vec<diagnostic::Diagnostic>,
}

impl Outcome {
    /// Whether the value must not be used.
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(|diagnostic| diagnostic.severity == diagnostic::Severity::Error)
    }
}

#[cfg(test)]
mod tests;
