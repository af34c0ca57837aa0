//! The operator's policy flags, shared by every command that decides what to inject.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{Args, ValueEnum};
use reqwest::Url;
use rustls_pki_types::{CertificateDer, pem::PemObject};

use super::{
    exit::{Exit, Failure},
    input, names,
};
use crate::{
    esc::{duration, token_type::TokenType},
    inject::{
        policy::{self, AuthMode, EXCLUDED_CONTAINERS, Policy, START_AFTER},
        version::Version,
    },
};

/// ESC's address unless somebody says otherwise.
const API_URL: &str = "https://api.pulumi.com";

/// Settings that decide what is injected.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Injection policy")]
pub struct PolicyArgs {
    /// Image of the injected container
    #[arg(long, env = "ESC_INJECTOR_AGENT_IMAGE", value_name = "REF", default_value = concat!("ghcr.io/esc-injector/esc-injector:", env!("CARGO_PKG_VERSION")))]
    pub agent_image: String,
    /// ESC's address, with or without /api/esc
    #[arg(long, env = "ESC_INJECTOR_API_URL", value_name = "URL", default_value = API_URL)]
    pub api_url: String,
    /// Another address that an annotation may choose (repeatable)
    #[arg(long, env = "ESC_INJECTOR_ALLOW_API_URL", value_name = "URL", value_delimiter = ',')]
    pub allow_api_url: Vec<String>,
    /// How pods prove who they are
    #[arg(long, env = "ESC_INJECTOR_AUTH", value_enum, default_value_t = AuthFlag::Oidc)]
    pub auth: AuthFlag,
    /// Audience of the projected token [default: urn:pulumi:org:ORG of the environment]
    #[arg(long, env = "ESC_INJECTOR_AUDIENCE", value_name = "AUDIENCE")]
    pub audience: Option<String>,
    /// Audience that an annotation may choose, with * as wildcard (repeatable) [default: urn:pulumi:org:* and the ESC address]
    #[arg(long, env = "ESC_INJECTOR_ALLOW_AUDIENCE", value_name = "PATTERN", value_delimiter = ',')]
    pub allow_audience: Vec<String>,
    /// Kind of token that pods get: organization, team:NAME or personal:LOGIN
    #[arg(long, env = "ESC_INJECTOR_TOKEN_TYPE", value_name = "TYPE", default_value = "organization")]
    pub token_type: TokenType,
    /// PEM certificates that the agent trusts for ESC
    #[arg(long, env = "ESC_INJECTOR_CA_FILE", value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// Container that receives nothing unless named (repeatable; adds to the built-in list)
    #[arg(long, env = "ESC_INJECTOR_EXCLUDE_CONTAINER", value_name = "NAME", value_delimiter = ',')]
    pub exclude_container: Vec<String>,
    /// Native sidecar that starts before the agent (repeatable; adds to the built-in list)
    #[arg(long, env = "ESC_INJECTOR_START_AFTER", value_name = "NAME", value_delimiter = ',')]
    pub start_after: Vec<String>,
    /// Annotation default below the namespace's, key without the prefix (repeatable; one a line in the variable)
    // Not at commas: values have them.
    #[arg(long = "default", env = "ESC_INJECTOR_DEFAULT", value_name = "KEY=VALUE", value_delimiter = '\n', value_parser = key_value)]
    pub defaults: Vec<(String, String)>,
    /// Proxy of the agent for https
    // It may hold a password.
    #[arg(long, env = "ESC_INJECTOR_HTTPS_PROXY", value_name = "URL", hide_env_values = true)]
    pub https_proxy: Option<String>,
    /// Hosts that the agent reaches without the proxy
    #[arg(long, env = "ESC_INJECTOR_NO_PROXY", value_name = "HOSTS")]
    pub no_proxy: Option<String>,
    /// Smallest refresh interval that a pod may ask for
    #[arg(long, env = "ESC_INJECTOR_MIN_REFRESH", value_name = "DURATION", default_value = "1m", value_parser = duration_flag)]
    pub min_refresh: Duration,
    /// Oldest kubelet of the cluster, such as 1.35 [default: not known]
    #[arg(long, env = "ESC_INJECTOR_MIN_KUBELET", value_name = "VERSION")]
    pub min_kubelet: Option<Version>,
    /// Address that on-change may call besides this machine (repeatable)
    #[arg(long, env = "ESC_INJECTOR_ALLOW_ON_CHANGE_URL", value_name = "URL", value_delimiter = ',')]
    pub allow_on_change_url: Vec<String>,
    /// Uid of the agent where the pod does not settle it; empty leaves it to the platform (OpenShift)
    #[arg(long, env = "ESC_INJECTOR_AGENT_USER", value_name = "UID", default_value = "65532")]
    pub agent_user: String,
    /// The injector's own namespace, which is never injected
    #[arg(long, env = "ESC_INJECTOR_OWN_NAMESPACE", value_name = "NAME", value_parser = names::label)]
    pub own_namespace: Option<String>,
}

/// `--auth`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AuthFlag {
    /// Exchange the pod's own ServiceAccount token
    Oidc,
    /// A static token from a Secret in the pod's namespace
    Token,
}

fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or_else(|| format!("`{text}` is not KEY=VALUE"))?;
    Ok((key.to_owned(), value.to_owned()))
}

fn duration_flag(text: &str) -> Result<Duration, String> {
    duration::parse(text).map_err(|error| error.to_string())
}

impl PolicyArgs {
    /// Uses this address of ESC, unless another was given.
    pub fn prefer_api_url(&mut self, url: String) {
        if self.api_url == API_URL {
            self.api_url = url;
        }
    }

    /// Checks the flags and reads the files they name.
    pub fn into_policy(self) -> Result<Policy, Failure> {
        let ca_pem = self.ca_file.as_deref().map(read_certificates).transpose()?;
        let agent_user = match self.agent_user.as_str() {
            "" => None,
            text => match text.parse() {
                Ok(0) | Err(_) => {
                    let message = format!("--agent-user `{text}`: expected a uid above 0, or nothing");
                    return Err(Failure::new(Exit::Usage, message));
                }
                Ok(uid) => Some(uid),
            },
        };
        let https_proxy = self.https_proxy.filter(|proxy| !proxy.is_empty());
        if https_proxy.as_deref().is_some_and(|proxy| !is_proxy(proxy)) {
            // The text stays out of the error: it may hold a password.
            let message = "--https-proxy: expected http://HOST:PORT or https://HOST:PORT";
            return Err(Failure::new(Exit::Configuration, message));
        }
        let service_root = |flag: &str, url: &str| {
            policy::service_root(url)
                .map_err(|error| Failure::new(Exit::Configuration, format!("{flag}: {error}")))
        };
        let api_url = service_root("--api-url", &self.api_url)?;
        let allowed_api_urls = self.allow_api_url.iter().map(|url| service_root("--allow-api-url", url));
        let defaults: BTreeMap<_, _> = self.defaults.into_iter().collect();
        let problems = policy::problems_of_defaults(&defaults);
        if !problems.is_empty() {
            let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
            let message = format!("--default would keep every pod out\n  {}", problems.join("\n  "));
            return Err(Failure::new(Exit::Configuration, message));
        }
        let allowed_audiences = if self.allow_audience.is_empty() {
            vec!["urn:pulumi:org:*".to_owned(), api_url.clone(), format!("{api_url}/api/esc")]
        } else {
            self.allow_audience
        };
        Ok(Policy {
            agent_image: self.agent_image,
            allowed_api_urls: allowed_api_urls.collect::<Result<_, _>>()?,
            api_url,
            auth: match self.auth {
                AuthFlag::Oidc => AuthMode::Oidc,
                AuthFlag::Token => AuthMode::Token,
            },
            audience: self.audience,
            allowed_audiences,
            token_type: self.token_type,
            ca_pem,
            excluded_containers: with_defaults(EXCLUDED_CONTAINERS, self.exclude_container),
            start_after: with_defaults(START_AFTER, self.start_after),
            defaults,
            https_proxy,
            no_proxy: self.no_proxy,
            min_refresh: self.min_refresh,
            allowed_on_change_urls: self.allow_on_change_url,
            min_kubelet: self.min_kubelet,
            agent_user,
            own_namespace: self.own_namespace,
            agent_log_level: "info".to_owned(),
        })
    }
}

/// Whether the agent can take it for a proxy: an address of http or https; without a scheme it is http.
fn is_proxy(text: &str) -> bool {
    let url = if text.contains("://") { Url::parse(text) } else { Url::parse(&format!("http://{text}")) };
    url.is_ok_and(|url| {
        let is_name = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
        matches!(url.scheme(), "http" | "https")
            && url.host_str().is_some_and(|host| !host.is_empty() && host.chars().all(is_name))
    })
}

/// Certificates of authorities, and nothing else: every pod carries the text for all to read.
fn read_certificates(path: &Path) -> Result<String, Failure> {
    /// A plan has room for twice as much.
    const MAX_BYTES: usize = 32 * 1024;
    /// Larger ones are something else.
    const MOST: u64 = 1024 * 1024;
    let fail =
        |what: &str| Failure::new(Exit::Configuration, format!("--ca-file {}: {what}", path.display()));
    let text = input::read_small(path, MOST).map_err(|error| fail(&error))?;
    if text.len() > MAX_BYTES {
        return Err(fail("over 32 KiB, and it travels in every pod: keep the certificates that ESC needs"));
    }
    let mut begins = text.lines().filter(|line| line.contains("-----BEGIN "));
    if begins.any(|line| line.trim() != "-----BEGIN CERTIFICATE-----") {
        return Err(fail("holds something else than certificates, and every pod would carry it"));
    }
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(text),
        Ok(_) => Err(fail("holds no PEM certificate")),
        Err(_) => Err(fail("is damaged PEM")),
    }
}

fn with_defaults(defaults: &[&str], more: Vec<String>) -> Vec<String> {
    defaults.iter().map(|&name| name.to_owned()).chain(more).collect()
}
