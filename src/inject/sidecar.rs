//! What makes the agent's container a native sidecar: fields of it that are ours, and repaired.

use super::{
    json::{Json, Members},
    refresh::Refresh,
};
use crate::agent::plan::OnChange;

/// The binary in its own image, which the probe starts: probes know nothing of an entry point.
const IMAGE_BINARY: &str = "/esc-injector";

/// Seconds that one probe may take: to start a process takes long on a node that starts a hundred pods.
const PROBE_TIMEOUT: u64 = 5;

/// Probes, one a second, beyond the budget of the fetch: the agent itself is to say why it failed.
const PROBE_MARGIN: u64 = 30;

/// The port's name in the container.
pub const METRICS_PORT: &str = "esc-metrics";

/// The fields, by their names; none for a plain init container.
pub fn fields(refresh: Option<&Refresh>, timeout_seconds: u64) -> Members<'static> {
    let mut fields = Members::default();
    let Some(refresh) = refresh else { return fields };
    fields.push("restartPolicy", "Always".into());
    if let OnChange::Restart { exit_code } = refresh.on_change {
        let codes = [u64::from(exit_code).into()];
        let rule = Json::object([
            ("action", "RestartAllContainers".into()),
            ("exitCodes", Json::object([("operator", "In".into()), ("values", codes.into())])),
        ]);
        fields.push("restartPolicyRules", [rule].into());
    }
    let command = [IMAGE_BINARY.into(), "agent".into(), "ready".into()];
    let probe = Json::object([
        ("exec", Json::object([("command", command.into())])),
        ("periodSeconds", 1_u64.into()),
        ("timeoutSeconds", PROBE_TIMEOUT.into()),
        ("failureThreshold", timeout_seconds.saturating_add(PROBE_MARGIN).into()),
    ]);
    fields.push("startupProbe", probe);
    fields
}

/// The container's port, where metrics are served.
pub fn port(refresh: Option<&Refresh>) -> Option<Json<'static>> {
    let port = refresh?.metrics_port?;
    Some(Json::object([
        ("name", METRICS_PORT.into()),
        ("containerPort", u64::from(port).into()),
        ("protocol", "TCP".into()),
    ]))
}
