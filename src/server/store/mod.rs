//! Where definitions come from.

use std::io;

use super::names::{EnvironmentName, Version};

mod files;

pub(super) use files::Files;

/// Why a definition can't be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum StoreError {
    #[error("organization `{0}` does not exist")]
    NoOrganization(String),
    #[error("environment `{0}` does not exist")]
    NoEnvironment(EnvironmentName),
    #[error("environment `{environment}` has no version `{version}`: a file has only revision 1, the latest")]
    NoVersion { environment: EnvironmentName, version: Version },
    #[error("the definition of `{environment}` can't be read")]
    Unreadable { environment: EnvironmentName, source: io::Error },
}
