//! The names and places that injection adds to a pod. Public: users see them, and other tools match on them.

/// The injected container.
pub const AGENT: &str = "esc-agent";
/// The binary's volume: a disk `emptyDir`, since a copy in memory would count against the pod.
pub const BINARY_VOLUME: &str = "esc-bin";
/// The projected token, or the static token's Secret.
pub const TOKEN_VOLUME: &str = "esc-token";
/// An empty volume over the default API token, which the agent has no use for.
pub const NO_TOKEN_VOLUME: &str = "esc-no-token";
/// Where the API server would mount its default token into the agent.
pub const API_TOKEN_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// Where the binary is, in the agent and in containers.
pub const BINARY_DIR: &str = "/esc/bin";
/// The binary's own name there.
pub const BINARY: &str = "/esc/bin/esc-injector";
/// Where a container's variables are.
pub const ENV_DIR: &str = "/esc/env";
/// What a restarted sidecar must not forget.
pub const STATE_VOLUME: &str = "esc-state";
/// Where the sidecar keeps it.
pub const STATE_DIR: &str = "/esc/state";
/// Where the agent finds its token.
pub const TOKEN_DIR: &str = "/esc/token";
/// The token's file.
pub const TOKEN_FILE: &str = "/esc/token/token";
/// The annotation that the webhook writes.
pub const STATUS: &str = "esc.pulumi.com/status";
/// The autoscaler's list of local volumes that don't keep a pod on its node.
pub const SAFE_TO_EVICT: &str = "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes";

/// The volume of a view's files.
pub fn files_volume(view: usize) -> String {
    format!("esc-files-{view}")
}

/// The volume of a view's variables.
pub fn env_volume(view: usize) -> String {
    format!("esc-env-{view}")
}

/// Where the agent writes a view's files.
pub fn files_dir(view: usize) -> String {
    format!("/esc/files/{view}")
}

/// Where the agent writes a view's variables.
pub fn env_dir(view: usize) -> String {
    format!("/esc/env/{view}")
}

/// Whether a volume carries a name of ours.
pub fn is_our_volume(name: &str) -> bool {
    let numbered = |prefix| {
        name.strip_prefix(prefix)
            .is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
    };
    matches!(name, BINARY_VOLUME | TOKEN_VOLUME | NO_TOKEN_VOLUME | STATE_VOLUME)
        || numbered("esc-files-")
        || numbered("esc-env-")
}
