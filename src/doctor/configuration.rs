//! What the API server was told: the two webhook configurations and the policies, held against the chart's.

use serde_json::Value;

use super::{Api, Check, Refusal, Settings, list, text, unasked};
use crate::codes::installation as codes;

const GROUP: &str = "/apis/admissionregistration.k8s.io/v1";

/// An entry as the chart writes it.
struct Expected {
    resource: &'static str,
    entry: &'static str,
    path: &'static str,
    /// Conditions without which the API server would send what is none of our business, or wrongly leave out.
    conditions: &'static [&'static str],
    /// Whether pods depend on it.
    must_fail: bool,
}

const EXPECTED: &[Expected] = &[
    Expected {
        resource: "mutatingwebhookconfigurations",
        entry: "pods.inject.esc.pulumi.com",
        path: "/mutate",
        conditions: &["asks", "not-opted-out", "not-a-mirror"],
        must_fail: true,
    },
    Expected {
        resource: "mutatingwebhookconfigurations",
        entry: "all.inject.esc.pulumi.com",
        path: "/mutate/all",
        conditions: &["not-opted-out", "not-a-mirror"],
        must_fail: true,
    },
    Expected {
        resource: "validatingwebhookconfigurations",
        entry: "workloads.inject.esc.pulumi.com",
        path: "/check",
        conditions: &["not-made-by-a-controller", "asks", "template-changed"],
        must_fail: false,
    },
];

/// Policies as the chart names them, after the installation's name.
const POLICIES: &[&str] =
    &["asked-must-be-injected", "asked-in-unlabelled-namespace", "guard-webhook-configuration"];

/// Asks for configurations and policies.
pub async fn check(api: &Api, settings: &Settings) -> Vec<Check> {
    let mut checks = Vec::new();
    for resource in ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"] {
        let answer = api.get(&format!("{GROUP}/{resource}/{}", settings.name)).await;
        for expected in EXPECTED.iter().filter(|expected| expected.resource == resource) {
            checks.push(entry(expected, &answer, settings));
        }
    }
    let policies = api.get(&format!("{GROUP}/validatingadmissionpolicies")).await;
    let bindings = api.get(&format!("{GROUP}/validatingadmissionpolicybindings")).await;
    checks.extend(POLICIES.iter().map(|policy| self::policy(policy, &settings.name, &policies, &bindings)));
    checks
}

fn entry(expected: &Expected, answer: &Result<Value, Refusal>, settings: &Settings) -> Check {
    let Expected { resource, entry, .. } = expected;
    let subject = format!("entry {entry}");
    let configuration = match answer {
        Ok(configuration) => configuration,
        Err(Refusal::Absent) => {
            let told = format!("there is no {resource} {}", settings.name);
            return Check::bad(subject, told, codes::NO_CONFIGURATION).fix(format!(
                "Restore it with `helm upgrade`; if the installation has another name, pass it with --name. {}",
                "`kubectl get mutatingwebhookconfigurations` lists them all."
            ));
        }
        Err(refusal) => return unasked(&subject, refusal),
    };
    let found = list(configuration, "/webhooks").iter().find(|webhook| text(webhook, "/name") == Some(entry));
    let Some(webhook) = found else {
        return Check::bad(
            subject,
            format!("{resource} {} has no such entry", settings.name),
            codes::NO_CONFIGURATION,
        );
    };
    if text(webhook, "/clientConfig/caBundle").unwrap_or_default().is_empty() {
        return Check::bad(subject, "its caBundle is empty", codes::NO_BUNDLE);
    }
    let wrong = mangled(expected, webhook, settings);
    match wrong.is_empty() {
        false => Check::bad(subject, wrong.join("; "), codes::CHANGED_ENTRY),
        true if expected.must_fail && text(webhook, "/failurePolicy") == Some("Ignore") => Check::doubtful(
            subject,
            "its failurePolicy is Ignore: while the webhook is down, the policies alone keep pods from starting without secrets",
            codes::CHANGED_ENTRY,
        )
        .fix("Set webhook.failurePolicy to Fail, unless that was meant."),
        true => Check::good(subject, "is as the chart writes it, with a caBundle"),
    }
}

/// What is not as the chart writes it.
fn mangled(expected: &Expected, webhook: &Value, settings: &Settings) -> Vec<String> {
    let mut wrong = Vec::new();
    let service = |key: &str| text(webhook, &format!("/clientConfig/service/{key}"));
    if service("name") != Some(&settings.name) || service("namespace") != Some(&settings.home) {
        let leads = format!("{}/{}", service("namespace").unwrap_or("?"), service("name").unwrap_or("?"));
        wrong.push(format!("leads to Service {leads}, not {}/{}", settings.home, settings.name));
    }
    if service("path") != Some(expected.path) {
        wrong.push(format!("asks {}, not {}", service("path").unwrap_or("/"), expected.path));
    }
    let conditions: Vec<_> =
        list(webhook, "/matchConditions").iter().filter_map(|condition| text(condition, "/name")).collect();
    if conditions.contains(&"switched-off") {
        return wrong;
    }
    let missing: Vec<_> =
        expected.conditions.iter().filter(|name| !conditions.contains(name)).copied().collect();
    if !missing.is_empty() {
        wrong.push(format!("lacks match conditions: {}", missing.join(", ")));
    }
    if expected.must_fail && text(webhook, "/reinvocationPolicy") == Some("Never") {
        wrong.push("is not asked again when others change the pod (reinvocationPolicy Never)".to_owned());
    }
    let selects = list(webhook, "/namespaceSelector/matchExpressions")
        .iter()
        .any(|expression| text(expression, "/key") == Some("esc.pulumi.com/injection"));
    if !selects {
        wrong.push("does not select namespaces by the label esc.pulumi.com/injection".to_owned());
    }
    let timeout = webhook.pointer("/timeoutSeconds").and_then(Value::as_u64).unwrap_or(10);
    // The API server's own limit for a request is 30 seconds, and others are asked as well.
    if timeout > 15 {
        wrong.push(format!("may keep each pod waiting for {timeout} s"));
    }
    wrong
}

fn policy(
    policy: &str,
    name: &str,
    policies: &Result<Value, Refusal>,
    bindings: &Result<Value, Refusal>,
) -> Check {
    let subject = format!("policy {policy}");
    let (policies, bindings) = match (policies, bindings) {
        (Ok(policies), Ok(bindings)) => (policies, bindings),
        (Err(refusal), _) | (_, Err(refusal)) => return unasked(&subject, refusal),
    };
    let wanted = format!("{name}-{policy}");
    let has = |objects: &Value, pointer: &str| {
        list(objects, "/items").iter().any(|object| text(object, pointer) == Some(&wanted))
    };
    match (has(policies, "/metadata/name"), has(bindings, "/spec/policyName")) {
        (true, true) => Check::good(subject, "is there, and bound"),
        (true, false) => Check::bad(subject, format!("{wanted} is bound to nothing"), codes::NO_POLICY),
        (false, _) => {
            let told = format!("{wanted} is not there: it was switched off, or deleted");
            Check::doubtful(subject, told, codes::NO_POLICY)
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::doctor::Verdict;

    fn settings() -> Settings {
        Settings {
            name: "inj".to_owned(),
            home: "esc".to_owned(),
            namespace: None,
            account: None,
            organization: None,
            is_inside: false,
            address: None,
            policy: |_| Err(String::new()),
        }
    }

    fn webhook() -> Value {
        json!({
            "name": "pods.inject.esc.pulumi.com",
            "clientConfig": {"caBundle": "eA==", "service": {"name": "inj", "namespace": "esc", "path": "/mutate"}},
            "matchConditions": [{"name": "asks"}, {"name": "not-opted-out"}, {"name": "not-a-mirror"}],
            "namespaceSelector": {"matchExpressions": [{"key": "esc.pulumi.com/injection"}]},
            "failurePolicy": "Fail", "reinvocationPolicy": "IfNeeded", "timeoutSeconds": 5,
        })
    }

    #[test]
    fn an_entry_is_held_against_the_charts() {
        let judge = |pointer: &str, value: Value| {
            let mut webhook = webhook();
            *webhook.pointer_mut(pointer).unwrap() = value;
            let check = entry(&EXPECTED[0], &Ok(json!({"webhooks": [webhook]})), &settings());
            (check.verdict, check.code.map(crate::codes::Code::id), check.found)
        };
        assert_eq!(judge("/timeoutSeconds", json!(5)).0, Verdict::Good);
        for (pointer, value, verdict, code, part) in [
            ("/name", json!("other"), Verdict::Bad, "ESC812", "no such entry"),
            ("/clientConfig/caBundle", json!(""), Verdict::Bad, "ESC813", "caBundle"),
            ("/clientConfig/service/name", json!("x"), Verdict::Bad, "ESC822", "Service esc/x"),
            ("/clientConfig/service/path", json!("/x"), Verdict::Bad, "ESC822", "/mutate"),
            (
                "/matchConditions",
                json!([{"name": "asks"}]),
                Verdict::Bad,
                "ESC822",
                "not-opted-out, not-a-mirror",
            ),
            ("/namespaceSelector", json!({}), Verdict::Bad, "ESC822", "label"),
            ("/failurePolicy", json!("Ignore"), Verdict::Doubtful, "ESC822", "Ignore"),
            ("/reinvocationPolicy", json!("Never"), Verdict::Bad, "ESC822", "Never"),
            ("/timeoutSeconds", json!(30), Verdict::Bad, "ESC822", "30 s"),
        ] {
            let (found, id, told) = judge(pointer, value);
            assert_eq!((found, id), (verdict, Some(code)), "{pointer}: {told}");
            assert!(told.contains(part), "{told}");
        }
        let absent = entry(&EXPECTED[0], &Err(Refusal::Absent), &settings());
        assert_eq!((absent.verdict, absent.code.map(crate::codes::Code::id)), (Verdict::Bad, Some("ESC812")));
        let forbidden = entry(&EXPECTED[0], &Err(Refusal::Forbidden("no".to_owned())), &settings());
        assert_eq!(forbidden.verdict, Verdict::Unknown);
    }

    #[test]
    fn a_policy_that_is_bound_to_nothing_protects_nobody() {
        let policies = Ok(json!({"items": [{"metadata": {"name": "inj-p"}}]}));
        let bound = Ok(json!({"items": [{"spec": {"policyName": "inj-p"}}]}));
        let nothing = Ok(json!({"items": []}));
        for (policies, bindings, verdict) in [
            (&policies, &bound, Verdict::Good),
            (&policies, &nothing, Verdict::Bad),
            (&nothing, &nothing, Verdict::Doubtful),
            (&Err(Refusal::Forbidden(String::new())), &bound, Verdict::Unknown),
        ] {
            assert_eq!(policy("p", "inj", policies, bindings).verdict, verdict);
        }
    }
}
