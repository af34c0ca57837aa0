//! The entries of the webhook configurations as the chart writes them; a test holds them against the plain manifests.

use serde_json::{Value, json};

/// An entry as the chart writes it.
#[derive(Debug)]
pub struct Expected {
    /// Which configuration it is in.
    pub resource: &'static str,
    /// Its name.
    pub entry: &'static str,
    /// Where the webhook is asked.
    pub path: &'static str,
    /// Values of the namespace's label that it selects.
    pub labels: &'static [&'static str],
    /// Conditions without which the API server would send what is none of our business, or wrongly leave out: name and
    /// expression.
    pub conditions: &'static [(&'static str, &'static str)],
    /// Whether pods depend on it.
    pub must_fail: bool,
}

const NOT_OPTED_OUT: (&str, &str) =
    ("not-opted-out", "object.metadata.?annotations[?'esc.pulumi.com/inject'].orValue('') != 'false'");

const NOT_A_MIRROR: (&str, &str) =
    ("not-a-mirror", "!object.metadata.?annotations[?'kubernetes.io/config.mirror'].hasValue()");

/// All entries.
pub const EXPECTED: &[Expected] = &[
    Expected {
        resource: "mutatingwebhookconfigurations",
        entry: "pods.inject.esc.pulumi.com",
        path: "/mutate",
        labels: &["enabled"],
        conditions: &[
            (
                "asks",
                "object.metadata.?annotations.orValue({}).exists(key, key.startsWith('esc.pulumi.com/') && key != 'esc.pulumi.com/status')",
            ),
            NOT_OPTED_OUT,
            NOT_A_MIRROR,
        ],
        must_fail: true,
    },
    Expected {
        resource: "mutatingwebhookconfigurations",
        entry: "all.inject.esc.pulumi.com",
        path: "/mutate/all",
        labels: &["all"],
        conditions: &[NOT_OPTED_OUT, NOT_A_MIRROR],
        must_fail: true,
    },
    Expected {
        resource: "validatingwebhookconfigurations",
        entry: "workloads.inject.esc.pulumi.com",
        path: "/check",
        labels: &["enabled", "all"],
        conditions: &[
            (
                "not-made-by-a-controller",
                "!(request.resource.resource in ['replicasets', 'jobs']) || !object.metadata.?ownerReferences.orValue([]).exists(owner, owner.?controller.orValue(false))",
            ),
            (
                "asks",
                "(has(object.spec.jobTemplate) ? object.spec.jobTemplate.spec.template : has(object.spec.template) ? object.spec.template : object).?metadata.?annotations.orValue({}).exists(key, key.startsWith('esc.pulumi.com/') && key != 'esc.pulumi.com/status')",
            ),
            (
                "template-changed",
                "oldObject == null || object.spec.?template != oldObject.spec.?template || object.spec.?jobTemplate != oldObject.spec.?jobTemplate",
            ),
        ],
        must_fail: false,
    },
];

impl Expected {
    /// What the API server sends it.
    pub fn rules(&self) -> Value {
        let rule = |group: &str, operations: &[&str], resources: &[&str]| {
            json!({
                "apiGroups": [group], "apiVersions": ["v1"], "operations": operations, "resources": resources,
                "scope": "Namespaced",
            })
        };
        if self.must_fail {
            return json!([rule("", &["CREATE"], &["pods"])]);
        }
        let both = &["CREATE", "UPDATE"];
        json!([
            rule("apps", both, &["daemonsets", "deployments", "replicasets", "statefulsets"]),
            rule("batch", both, &["cronjobs", "jobs"]),
        ])
    }
}
