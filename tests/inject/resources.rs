//! The agent's resources beside what the pod's author chose.

use serde_json::{Value, json};

use crate::support::{injected, pod, refused, run};

fn of_agent(annotations: &[(&str, &str)], guaranteed: bool) -> Value {
    let mut all = vec![("environment", "acme/shop/prod"), ("file.a", "a")];
    all.extend(annotations);
    let mut pod = pod(&all);
    if guaranteed {
        pod["spec"]["containers"][0]["resources"] = json!({"limits": {"cpu": 1, "memory": "1Gi"}});
    }
    injected(&pod).0["spec"]["initContainers"][0]["resources"].clone()
}

#[test]
fn a_default_gives_way_to_the_half_that_was_chosen() {
    for (key, value, expected) in [
        (
            "agent-memory-request",
            "128Mi",
            json!({"requests": {"cpu": "5m", "memory": "128Mi"}, "limits": {"memory": "128Mi"}}),
        ),
        (
            "agent-memory-limit",
            "16Mi",
            json!({"requests": {"cpu": "5m", "memory": "16Mi"}, "limits": {"memory": "16Mi"}}),
        ),
        (
            "agent-cpu-limit",
            "1m",
            json!({"requests": {"cpu": "1m", "memory": "32Mi"}, "limits": {"cpu": "1m", "memory": "64Mi"}}),
        ),
        (
            "agent-memory-limit",
            "1Gi",
            json!({"requests": {"cpu": "5m", "memory": "32Mi"}, "limits": {"memory": "1Gi"}}),
        ),
        ("agent-memory-limit", "", json!({"requests": {"cpu": "5m", "memory": "32Mi"}})),
    ] {
        assert_eq!(of_agent(&[(key, value)], false), expected, "{key}: {value}");
    }
}

#[test]
fn a_guaranteed_pod_stays_guaranteed() {
    for (key, value, cpu, memory) in [
        ("agent-cpu-request", "100m", "100m", "64Mi"),
        ("agent-cpu-limit", "1", "1", "64Mi"),
        ("agent-memory-limit", "48Mi", "50m", "48Mi"),
    ] {
        let both = json!({"cpu": cpu, "memory": memory});
        assert_eq!(
            of_agent(&[(key, value)], true),
            json!({"requests": both, "limits": both}),
            "{key}: {value}"
        );
    }
}

#[test]
fn refuses_a_request_above_its_limit() {
    for resource in ["cpu", "memory", "ephemeral-storage"] {
        let (request, limit) = (format!("agent-{resource}-request"), format!("agent-{resource}-limit"));
        let chosen = [("environment", "acme/shop/prod"), (&*request, "2M"), (&*limit, "1M")];
        let problems = refused(run(&pod(&chosen)));
        let said = problems[0].to_string();
        assert!(said.starts_with("[ESC106]") && said.contains(&request) && said.contains(&limit), "{said}");
    }
}
