//! Where the API server is and who we are to it: from a kubeconfig, or as the pod that this process is.
//!
//! The client library's errors quote what it could not read, and a kubeconfig holds tokens and keys: everyone who tells
//! of such an error does it by [`describe`].

use std::error::Error;

use kube::{
    Client, Config,
    client::AuthError,
    config::{KubeConfigOptions, KubeconfigError},
};

/// Why the API server is not known, with nothing of the kubeconfig's contents.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct KubeconfigTrouble(String);

impl KubeconfigTrouble {
    fn of(error: &(dyn Error + 'static)) -> Self {
        Self(describe(error))
    }
}

/// The cluster of the kubeconfig, or else the one that this process runs in. With a context, that of the kubeconfig only.
pub async fn infer(context: Option<String>) -> Result<Config, KubeconfigTrouble> {
    match context {
        None => Config::infer().await.map_err(|error| {
            KubeconfigTrouble(format!("{}, and no pod's ServiceAccount is mounted here", describe(&error)))
        }),
        Some(_) => {
            let options = KubeConfigOptions { context, ..KubeConfigOptions::default() };
            Config::from_kubeconfig(&options).await.map_err(|error| KubeconfigTrouble::of(&error))
        }
    }
}

/// A client with this configuration; a program that the kubeconfig names for signing in is run.
pub fn client(config: Config) -> Result<Client, KubeconfigTrouble> {
    Client::try_from(config).map_err(|error| KubeconfigTrouble::of(&error))
}

/// An error of the client library with its sources, since the outermost one says only that there was one; without what
/// it quotes.
pub fn describe(error: &(dyn Error + 'static)) -> String {
    let mut told = error.to_string();
    let mut next = Some(error);
    while let Some(cause) = next {
        if let Some(discreet) = discreetly(cause) {
            return discreet;
        }
        let text = cause.to_string();
        if !told.contains(&text) {
            told = format!("{told}: {text}");
        }
        next = cause.source();
    }
    told
}

/// An error that quotes what may be secret, in our words.
fn discreetly(error: &(dyn Error + 'static)) -> Option<String> {
    if let Some(error) = error.downcast_ref::<KubeconfigError>() {
        return match error {
            KubeconfigError::Parse(error) => {
                let place = error.location().map_or_else(String::new, |place| {
                    format!(" at line {}, column {}", place.line(), place.column())
                });
                Some(format!("the kubeconfig is damaged{place}: no YAML, or not what is expected there"))
            }
            KubeconfigError::LoadClientKey(_) => Some(
                "the kubeconfig's client key can't be read: a missing file, or damaged base64".to_owned(),
            ),
            KubeconfigError::ReadConfig(error, path) => {
                Some(format!("the kubeconfig {} can't be read: {error}", path.display()))
            }
            KubeconfigError::CurrentContextNotSet => Some("the kubeconfig has no current context".to_owned()),
            _ => None,
        };
    }
    if let Some(kube::Error::ProxyProtocolUnsupported { .. }) = error.downcast_ref() {
        return Some(
            "the proxy of the kubeconfig or of HTTPS_PROXY has a protocol that is not supported".to_owned(),
        );
    }
    match error.downcast_ref::<AuthError>()? {
        AuthError::AuthExecRun { out, .. } => {
            Some(format!("the program that the kubeconfig names for signing in failed: {}", out.status))
        }
        AuthError::AuthExecParse(_) | AuthError::ParseTokenKey(_) => Some(
            "the program that the kubeconfig names for signing in answered something unexpected".to_owned(),
        ),
        _ => None,
    }
}
