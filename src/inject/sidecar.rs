//! What makes the agent's container a native sidecar: fields of it that are ours, and repaired.

use serde_json::{Map, Value, json};

use super::refresh::Refresh;
use crate::agent::plan::OnChange;

/// The binary in its own image, which the probe starts: probes know nothing of an entry point.
const IMAGE_BINARY: &str = "/esc-injector";

/// Seconds that one probe may take: to start a process takes long on a node that starts a hundred pods.
const PROBE_TIMEOUT: u32 = 5;

/// Probes, one a second, beyond the budget of the fetch: the agent itself is to say why it failed.
const PROBE_MARGIN: u64 = 30;

/// The exit code that restarts the pod's containers: none of those that the agent ends with for any other reason.
pub const RESTART_EXIT_CODE: u8 = 42;

/// The port's name in the container.
pub const METRICS_PORT: &str = "esc-metrics";

/// The fields, by their names; none for a plain init container.
pub fn fields(refresh: Option<&Refresh>, timeout_seconds: u64) -> Map<String, Value> {
    let mut fields = Map::new();
    let Some(refresh) = refresh else { return fields };
    fields.insert("restartPolicy".to_owned(), json!("Always"));
    if let OnChange::Restart { exit_code } = refresh.on_change {
        let rule = json!({
            "action": "RestartAllContainers",
            "exitCodes": {"operator": "In", "values": [exit_code]},
        });
        fields.insert("restartPolicyRules".to_owned(), json!([rule]));
    }
    let probe = json!({
        "exec": {"command": [IMAGE_BINARY, "agent", "ready"]},
        "periodSeconds": 1,
        "timeoutSeconds": PROBE_TIMEOUT,
        "failureThreshold": timeout_seconds.saturating_add(PROBE_MARGIN),
    });
    fields.insert("startupProbe".to_owned(), probe);
    fields
}

/// The container's port, where metrics are served.
pub fn port(refresh: Option<&Refresh>) -> Option<Value> {
    let port = refresh?.metrics_port?;
    Some(json!({"name": METRICS_PORT, "containerPort": port, "protocol": "TCP"}))
}
