//! What the operator settled: parsed from flags once, then trusted.

use std::{collections::BTreeMap, time::Duration};

use super::{annotations, problem::Problem, subject::Source, values, version::Version};
use crate::esc::token_type::TokenType;

/// Containers that are not the user's: meshes, telemetry, other injectors. They receive nothing unless named.
pub const EXCLUDED_CONTAINERS: &[&str] = &[
    "istio-init",
    "istio-proxy",
    "istio-validation",
    "linkerd-init",
    "linkerd-network-validator",
    "linkerd-proxy",
    "consul-connect-inject-init",
    "consul-dataplane",
    "kuma-init",
    "kuma-sidecar",
    "vault-agent",
    "vault-agent-init",
    "datadog-agent",
    "datadog-lib-init",
    "opentelemetry-auto-instrumentation",
    "otc-container",
    "dapr",
    "daprd",
];

/// Native mesh sidecars: egress needs them before the agent can fetch.
pub const START_AFTER: &[&str] = &["istio-proxy", "linkerd-proxy", "consul-dataplane", "kuma-sidecar"];

/// Operator's settings that decide what is injected.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Image of the injected container.
    pub agent_image: String,
    /// Service root of ESC, without `/api/esc`.
    pub api_url: String,
    /// Other service roots that an annotation may choose.
    pub allowed_api_urls: Vec<String>,
    /// Whether pods exchange their own token, or must name a Secret.
    pub auth: AuthMode,
    /// Audience of the projected token; `urn:pulumi:org:ORG` when none.
    pub audience: Option<String>,
    /// Patterns (`*` matches anything) of audiences that an annotation may choose.
    pub allowed_audiences: Vec<String>,
    /// Kind of token that pods get unless they say otherwise.
    pub token_type: TokenType,
    /// PEM that travels in the plan.
    pub ca_pem: Option<String>,
    /// Containers that never receive anything unless named.
    pub excluded_containers: Vec<String>,
    /// Native sidecars that must be up before the agent.
    pub start_after: Vec<String>,
    /// Annotation defaults below the namespace's, by key without the prefix.
    pub defaults: BTreeMap<String, String>,
    /// Proxy of the agent.
    pub https_proxy: Option<String>,
    /// Hosts that bypass it.
    pub no_proxy: Option<String>,
    /// Smallest `refresh`.
    pub min_refresh: Duration,
    /// URLs that `on-change` may name, besides those of the pod itself.
    pub allowed_on_change_urls: Vec<String>,
    /// Oldest kubelet of the cluster, as far as the operator says it.
    pub min_kubelet: Option<Version>,
    /// Uid of the agent where the pod does not settle it; none on OpenShift.
    pub agent_user: Option<u32>,
    /// The injector's own namespace, which is never injected.
    pub own_namespace: Option<String>,
    /// Log level of the agent unless the pod says otherwise.
    pub agent_log_level: String,
}

/// ESC's address as the operator wrote it, with or without `/api/esc`: its service root, held to the rules of the
/// annotation.
pub fn service_root(url: &str) -> Result<String, String> {
    values::api_url(url)
}

/// What is wrong with annotation defaults, before they are wrong for every pod.
pub fn problems_of_defaults(defaults: &BTreeMap<String, String>) -> Vec<Problem> {
    let pairs = defaults.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    annotations::read(Source::Operator, pairs).problems
}

/// How pods prove who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AuthMode {
    /// Exchange the pod's own ServiceAccount token.
    #[default]
    Oidc,
    /// A static token from a Secret of the pod's namespace.
    Token,
}

/// Uid of the agent where nothing else settles it: nobody's, and the image's own.
const AGENT_USER: u32 = 65532;

impl Default for Policy {
    /// What holds without a single flag.
    fn default() -> Self {
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        Self {
            agent_image: concat!("ghcr.io/esc-injector/esc-injector:", env!("CARGO_PKG_VERSION")).to_owned(),
            api_url: "https://api.pulumi.com".to_owned(),
            allowed_api_urls: Vec::new(),
            auth: AuthMode::default(),
            audience: None,
            allowed_audiences: owned(&["urn:pulumi:org:*"]),
            token_type: TokenType::default(),
            ca_pem: None,
            excluded_containers: owned(EXCLUDED_CONTAINERS),
            start_after: owned(START_AFTER),
            defaults: BTreeMap::new(),
            https_proxy: None,
            no_proxy: None,
            min_refresh: Duration::from_secs(60),
            allowed_on_change_urls: Vec::new(),
            min_kubelet: None,
            agent_user: Some(AGENT_USER),
            own_namespace: None,
            agent_log_level: "info".to_owned(),
        }
    }
}
