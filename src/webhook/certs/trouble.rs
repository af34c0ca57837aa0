//! Why the certificates that the webhook makes itself can't be kept up, in words and codes for whoever is on call.

use super::{authority::AuthorityError, state::Damage};
use crate::{
    codes::{Code, cluster as codes},
    webhook::cluster::ClusterError,
};

/// Why a round did not end well.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// The API server.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error(
        "[{code}] Secret {secret} of namespace {namespace} does not exist",
        code = codes::CA_SECRET_MISSING
    )]
    SecretMissing { secret: String, namespace: String },
    #[error("[{code}] Secret {secret}: {damage}", code = codes::CA_SECRET_DAMAGED)]
    SecretDamaged { secret: String, damage: Damage },
    #[error("[{code}] {kind} {name} does not exist", code = codes::CONFIGURATION_MISSING)]
    ConfigurationMissing { kind: &'static str, name: String },
    #[error(
        "[{code}] {kind} {name} has none of the entries {entries}",
        code = codes::CONFIGURATION_FOREIGN
    )]
    ConfigurationForeign { kind: &'static str, name: String, entries: String },
    #[error(
        "[{code}] the caBundle of {kind} {name} was overwritten by {by}",
        code = codes::BUNDLE_OVERWRITTEN
    )]
    Overwritten { kind: &'static str, name: String, by: String },
    #[error("[{code}] {0}", code = codes::CERTIFICATE_NOT_MADE)]
    Making(#[from] AuthorityError),
}

impl Trouble {
    /// The code that a person can look up.
    pub(super) fn code(&self) -> Option<Code> {
        Some(match self {
            Self::Cluster(error) => return error.code(),
            Self::SecretMissing { .. } => codes::CA_SECRET_MISSING,
            Self::SecretDamaged { .. } => codes::CA_SECRET_DAMAGED,
            Self::ConfigurationMissing { .. } => codes::CONFIGURATION_MISSING,
            Self::ConfigurationForeign { .. } => codes::CONFIGURATION_FOREIGN,
            Self::Overwritten { .. } => codes::BUNDLE_OVERWRITTEN,
            Self::Making(_) => codes::CERTIFICATE_NOT_MADE,
        })
    }
}
