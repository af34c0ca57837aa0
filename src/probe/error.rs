//! What does not work, with its code.

use reqwest::Url;

use crate::{
    codes::{Code, installation as codes},
    inject::problem::one_line,
};

/// What does not work.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The API server.
    #[error("asking the API server")]
    ApiServer(#[source] Box<kube::Error>),
    /// A configuration is missing or forbidden.
    #[error("reading {resource} {name}: {why}")]
    Configuration {
        /// Kind of the configuration.
        resource: &'static str,
        /// Its name.
        name: String,
        /// In the API server's words.
        why: String,
    },
    /// A configuration that has no entry of ours.
    #[error("reading {resource} {name}: it has no entry that names a Service")]
    NoEntry {
        /// Kind of the configuration.
        resource: &'static str,
        /// Its name.
        name: String,
    },
    /// No CA.
    #[error("entry {entry}: its caBundle {why}")]
    Bundle {
        /// Name of the entry.
        entry: String,
        /// What is wrong.
        why: String,
    },
    /// No connection, no trust, or no answer in time.
    #[error("entry {entry}: asking {url}")]
    NoAnswer {
        /// Name of the entry.
        entry: String,
        /// Whom.
        url: Url,
        /// Why.
        source: reqwest::Error,
    },
    /// An answer that helps no pod.
    #[error("entry {entry}: {why}")]
    Answer {
        /// Name of the entry.
        entry: String,
        /// What is wrong.
        why: String,
    },
    /// The API server refused the trial pod.
    #[error("creating a trial pod in namespace {namespace} (dry run): {why}")]
    TrialRefused {
        /// Where.
        namespace: String,
        /// In the API server's words.
        why: String,
    },
    /// The API server let it pass as it was.
    #[error("creating a trial pod in namespace {namespace} (dry run): it came back without the agent")]
    TrialNotInjected {
        /// Where.
        namespace: String,
    },
}

impl ProbeError {
    /// A failure to read a configuration: the API server said no, or nothing.
    pub(super) fn from_reading(resource: &'static str, name: &str, source: kube::Error) -> Self {
        Self::from_answer(source, |why| Self::Configuration { resource, name: name.to_owned(), why })
    }

    /// A failure to create the trial pod.
    pub(super) fn from_creating(namespace: &str, source: kube::Error) -> Self {
        Self::from_answer(source, |why| Self::TrialRefused { namespace: namespace.to_owned(), why })
    }

    /// The status has it all in one text; kube's own error says it three times.
    fn from_answer(source: kube::Error, refused: impl FnOnce(String) -> Self) -> Self {
        match source {
            kube::Error::Api(status) => refused(one_line(&status.message)),
            other => Self::ApiServer(Box::new(other)),
        }
    }

    /// Its code.
    pub fn code(&self) -> Code {
        match self {
            Self::ApiServer(_) => codes::NO_API_SERVER,
            Self::Configuration { .. } | Self::NoEntry { .. } => codes::NO_CONFIGURATION,
            Self::Bundle { .. } => codes::NO_BUNDLE,
            Self::NoAnswer { .. } => codes::NO_ANSWER,
            Self::Answer { .. } => codes::WRONG_ANSWER,
            Self::TrialRefused { .. } | Self::TrialNotInjected { .. } => codes::TRIAL_POD_NOT_INJECTED,
        }
    }
}
