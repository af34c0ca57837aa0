//! Who asks, who is left alone, and what is said of an agent that nobody asked for. The chart's policies decide the
//! same in CEL.

use esc_injector::inject::{Context, Outcome, concerns, document::Document, inject};
use serde_json::{Value, json};

use crate::support::{context, injected, pod, policy};

const MIRROR: &str = "kubernetes.io/config.mirror";
const ENVIRONMENT: (&str, &str) = ("environment", "acme/shop/prod");

/// Whether the pod is skipped, and with which warnings.
fn skipped(pod: &Value, everyone: bool) -> Option<Vec<String>> {
    let policy = policy();
    let context = Context { everyone, ..context(&policy) };
    let outcome = inject(pod, &context);
    assert_eq!(
        matches!(outcome, Outcome::Skipped { .. }),
        !concerns(&Document::from(pod.clone()), &context),
        "{pod}"
    );
    match outcome {
        Outcome::Skipped { warnings } => Some(warnings.iter().map(ToString::to_string).collect()),
        _ => None,
    }
}

#[test]
fn a_pod_asks_by_any_key_of_ours_but_the_status() {
    /// Annotations, whether the pod is skipped where pods have to ask, and where all are injected.
    type Case<'a> = (&'a [(&'a str, &'a str)], bool, bool);
    let table: [Case<'_>; 10] = [
        (&[], true, false),
        (&[("status", "injected")], true, false),
        (&[("status", "anything")], true, false),
        (&[ENVIRONMENT], false, false),
        (&[("inject", "true")], false, false),
        (&[("nonsense", "")], false, false),
        (&[("inject", "false")], true, true),
        (&[("inject", "false"), ENVIRONMENT], true, true),
        // No other spelling is an opt-out; the pod is refused.
        (&[("inject", "False")], false, false),
        (&[("inject", "")], false, false),
    ];
    for (annotations, where_asked, where_all) in table {
        let pod = pod(annotations);
        assert_eq!(skipped(&pod, false).is_some(), where_asked, "{annotations:?}");
        assert_eq!(skipped(&pod, true).is_some(), where_all, "{annotations:?} where all are injected");
    }
    let mut mirror = pod(&[ENVIRONMENT]);
    mirror["metadata"]["annotations"][MIRROR] = json!("");
    assert_eq!((skipped(&mirror, false), skipped(&mirror, true)), (Some(Vec::new()), Some(Vec::new())));
    let without_annotations = json!({"metadata": {"labels": {"esc.pulumi.com/inject": "true"}}, "spec": {}});
    assert_eq!(skipped(&without_annotations, false), Some(Vec::new()));
}

#[test]
fn an_agent_that_nobody_asked_for_is_left_and_warned_of() {
    let (live, _) = injected(&pod(&[ENVIRONMENT, ("env.A", "a")]));
    let mut opted_out = live.clone();
    opted_out["metadata"]["annotations"]["esc.pulumi.com/inject"] = json!("false");
    let mut stripped = live.clone();
    stripped["metadata"]["annotations"] = json!({"esc.pulumi.com/status": "injected"});
    for (pod, everyone) in [(&opted_out, false), (&opted_out, true), (&stripped, false)] {
        let warnings = skipped(pod, everyone).expect("skipped");
        assert!(matches!(warnings.as_slice(), [one] if one.starts_with("[ESC215]")), "{warnings:?}");
    }
    // A container of that name alone is not ours.
    opted_out["spec"]["initContainers"][0]["env"] = json!([]);
    assert_eq!(skipped(&opted_out, false), Some(Vec::new()));
}
