//! What an evaluation needs from outside: definitions, plaintexts, and what providers answer.
//!
//! Definitions and plaintexts are asked for as they are needed ([`Load`]). Providers are slow: what they are to be
//! asked is collected ([`Call`]), and the evaluation goes on when the answers are there.

use std::sync::Arc;

use super::{place::Place, schema::Schema};
use crate::{esc, secret::Secret};

/// Gives the definitions that a document imports, and opens what is encrypted in them.
pub trait Load {
    /// The definition behind a name of an `imports` list: `[project/]environment[@version]`.
    fn load(&self, name: &str) -> Result<Secret, LoadError>;

    /// The plaintext of a ciphertext that stands in the definition of `environment`, as it was named to
    /// [`Load::load`] or to the evaluation.
    fn decrypt(&self, environment: &str, ciphertext: &[u8]) -> Result<Secret, LoadError> {
        let _ = ciphertext;
        Err(LoadError(format!("nothing is known that decrypts the secrets of {environment}")))
    }
}

/// Why a definition or a plaintext can't be had, in words for the author of the document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct LoadError(pub String);

/// Knows the providers and rotators that a definition may name.
pub trait Catalogue {
    /// What a provider takes and gives, or why there is none of this name.
    fn provider(&self, name: &str) -> Result<ProviderSchema, String>;

    /// What a rotator takes, keeps and gives, or why there is none of this name.
    fn rotator(&self, name: &str) -> Result<RotatorSchema, String>;
}

/// What a provider takes and gives.
#[derive(Debug, Clone)]
pub struct ProviderSchema {
    /// What it has to be given.
    pub inputs: Arc<Schema>,
    /// What it answers.
    pub outputs: Arc<Schema>,
}

/// What a rotator takes, keeps and gives.
#[derive(Debug, Clone)]
pub struct RotatorSchema {
    /// What it has to be given.
    pub inputs: Arc<Schema>,
    /// What it keeps in the definition from one rotation to the next. Before the first there is none.
    pub state: Arc<Schema>,
    /// What it answers.
    pub outputs: Arc<Schema>,
}

/// Knows no provider at all.
#[derive(Debug, Clone, Copy)]
pub struct NoProviders;

impl Catalogue for NoProviders {
    fn provider(&self, name: &str) -> Result<ProviderSchema, String> {
        Err(format!("unknown provider {}", super::text::quoted(name)))
    }

    fn rotator(&self, name: &str) -> Result<RotatorSchema, String> {
        Err(format!("unknown rotator {}", super::text::quoted(name)))
    }
}

/// Tells the calls of one evaluation apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CallId {
    pub(super) environment: Arc<str>,
    pub(super) expression: usize,
    pub(super) rotation: bool,
}

/// Something that a provider is to be asked.
#[derive(Debug, Clone)]
pub struct Call {
    /// For [`super::Evaluation::answer`].
    pub id: CallId,
    /// The name of the provider or rotator.
    pub name: Arc<str>,
    /// What it is to do.
    pub operation: Operation,
    /// What it is given: an object that fits its schema. Values that only a rotation may look at are unknown.
    pub inputs: esc::value::Value,
    /// The environment in whose definition the call stands.
    pub environment: Arc<str>,
    /// The environment that is being opened.
    pub root_environment: Arc<str>,
    /// Where the call stands.
    pub place: Place,
}

/// What is asked of a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// A provider's values.
    Open,
    /// A rotator's values for a state; none before the first rotation.
    OpenState(Option<esc::value::Value>),
    /// A rotator's next state after this one.
    Rotate(Option<esc::value::Value>),
}

/// What a provider answers; an error is told to the author of the document and must hold no secret.
pub type Answer = Result<esc::value::Value, String>;

/// What became of one rotator in a rotation.
#[derive(Debug, Clone)]
pub struct Rotation {
    /// The path of the call in the document.
    pub path: String,
    /// How it ended.
    pub status: RotationStatus,
}

/// How the rotation of one secret ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RotationStatus {
    /// There is a new state to be written into the document.
    Succeeded {
        /// The path of the state in the document.
        state_path: String,
        /// What it becomes.
        state: esc::value::Value,
    },
    /// The rotator failed, with this message.
    Failed(String),
    /// Its inputs or its state could not be computed.
    NotEvaluated,
}
