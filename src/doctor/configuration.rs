//! What the API server was told: the two webhook configurations and the policies, held against the chart's
//! (`expected`).

use serde_json::Value;

use super::{
    Api, Check, Refusal, Settings,
    expected::{EXPECTED, Expected},
    list, text, unasked,
};
use crate::codes::installation as codes;

/// What opens a namespace.
const LABEL: &str = "esc.pulumi.com/injection";

/// What every namespace carries.
const NAME: &str = "kubernetes.io/metadata.name";

/// The condition by which the chart turns an entry off that it may not drop.
const SWITCHED_OFF: &str = "switched-off";

const GROUP: &str = "/apis/admissionregistration.k8s.io/v1";

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
    let narrowed = narrowed(expected, webhook);
    if !wrong.is_empty() {
        Check::bad(subject, wrong.join("; "), codes::CHANGED_ENTRY)
    } else if expected.must_fail && text(webhook, "/failurePolicy") == Some("Ignore") {
        Check::doubtful(
            subject,
            "its failurePolicy is Ignore: while the webhook is down, the policies alone keep pods from starting without secrets",
            codes::CHANGED_ENTRY,
        )
        .fix("Set webhook.failurePolicy to Fail, unless that was meant.")
    } else if !narrowed.is_empty() {
        let told = format!("sees less than the chart lets it by itself: {}", narrowed.join("; "));
        Check::doubtful(subject, told, codes::CHANGED_ENTRY)
            .fix("Nothing, if the chart's values say so below webhook; else restore it with `helm upgrade`.")
    } else if is_switched_off(expected, webhook) {
        Check::good(subject, "is switched off, as the chart does it (workloadChecks)")
    } else {
        Check::good(subject, "is as the chart writes it, with a caBundle")
    }
}

/// What is not as the chart writes it, whatever its values.
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
    if webhook.get("rules") != Some(&expected.rules()) {
        wrong.push("its rules are others: it is not asked for what it should be, or for more".to_owned());
    }
    let (mut missing, mut other) = (Vec::new(), Vec::new());
    for (name, expression) in expected.conditions {
        match condition(webhook, name) {
            None => missing.push(*name),
            Some(found) if found.trim() != *expression => other.push(*name),
            Some(_) => {}
        }
    }
    if !missing.is_empty() {
        wrong.push(format!("lacks match conditions: {}", missing.join(", ")));
    }
    if !other.is_empty() {
        wrong.push(format!("has match conditions that say something else: {}", other.join(", ")));
    }
    if expected.must_fail && text(webhook, "/reinvocationPolicy") == Some("Never") {
        wrong.push("is not asked again when others change the pod (reinvocationPolicy Never)".to_owned());
    }
    let selects = |key: &str, operator: &str, values: &[&str]| {
        list(webhook, "/namespaceSelector/matchExpressions").iter().any(|found| {
            let of: Vec<_> = list(found, "/values").iter().filter_map(Value::as_str).collect();
            (text(found, "/key"), text(found, "/operator")) == (Some(key), Some(operator))
                && values.iter().all(|value| of.contains(value))
                && (operator == "NotIn" || of.len() == values.len())
        })
    };
    if !selects(LABEL, "In", expected.labels) {
        let labels = expected.labels.join(" or ");
        wrong.push(format!("does not select namespaces by the label {LABEL}, {labels}"));
    }
    if !selects(NAME, "NotIn", &["kube-system", &settings.home]) {
        wrong.push(format!("does not leave out the namespaces kube-system and {}", settings.home));
    }
    let timeout = webhook.pointer("/timeoutSeconds").and_then(Value::as_u64).unwrap_or(10);
    // The API server's own limit for a request is 30 seconds, and others are asked as well.
    if timeout > 15 {
        wrong.push(format!("may keep each pod waiting for {timeout} s"));
    }
    wrong
}

/// What lets it see less than the chart does without values for that.
fn narrowed(expected: &Expected, webhook: &Value) -> Vec<String> {
    let mut narrowed = Vec::new();
    let conditions =
        list(webhook, "/matchConditions").iter().filter_map(|condition| text(condition, "/name"));
    let own: Vec<_> = conditions
        .filter(|name| !expected.conditions.iter().any(|(known, _)| known == name))
        .filter(|name| *name != SWITCHED_OFF || !is_switched_off(expected, webhook))
        .collect();
    if !own.is_empty() {
        narrowed.push(format!("match conditions {}", own.join(", ")));
    }
    let says = |pointer: &str| match webhook.pointer(pointer) {
        Some(Value::Object(entries)) => entries.values().any(|value| match value {
            Value::Array(items) => !items.is_empty(),
            Value::Object(entries) => !entries.is_empty(),
            _ => false,
        }),
        _ => false,
    };
    if says("/objectSelector") {
        narrowed.push("an objectSelector".to_owned());
    }
    let more = list(webhook, "/namespaceSelector/matchExpressions").len() > 2;
    let labels = webhook.pointer("/namespaceSelector/matchLabels").and_then(Value::as_object);
    if more || labels.is_some_and(|labels| !labels.is_empty()) {
        narrowed.push("a namespaceSelector of more than the label and the name".to_owned());
    }
    narrowed
}

/// What a match condition says.
fn condition<'w>(webhook: &'w Value, name: &str) -> Option<&'w str> {
    let mut conditions = list(webhook, "/matchConditions").iter();
    text(conditions.find(|condition| text(condition, "/name") == Some(name))?, "/expression")
}

/// Whether the chart itself turned it off, which it does to none that pods depend on.
fn is_switched_off(expected: &Expected, webhook: &Value) -> bool {
    !expected.must_fail && condition(webhook, SWITCHED_OFF) == Some("false")
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

    /// The entries of the plain manifests, in their order, of installation `inj` in namespace `esc`.
    fn webhooks() -> Vec<Value> {
        let text = include_str!("../../deploy/base/esc-injector.yaml");
        let configurations =
            text.split("\n---\n").filter(|text| text.contains("WebhookConfiguration\nmetadata"));
        let mut all: Vec<Value> = configurations
            .map(|text| serde_saphyr::from_str::<Value>(text).unwrap())
            .flat_map(|configuration| list(&configuration, "/webhooks").to_vec())
            .collect();
        for webhook in &mut all {
            webhook["clientConfig"]["caBundle"] = json!("eA==");
            webhook["clientConfig"]["service"]["name"] = json!("inj");
            webhook["clientConfig"]["service"]["namespace"] = json!("esc");
            webhook["namespaceSelector"]["matchExpressions"][1]["values"] =
                json!(["kube-system", "esc", "more"]);
        }
        all
    }

    fn judge(index: usize, pointer: &str, value: Value) -> (Verdict, Option<&'static str>, String) {
        let mut webhook = webhooks().remove(index);
        assert_eq!(text(&webhook, "/name"), Some(EXPECTED[index].entry));
        *webhook.pointer_mut(pointer).unwrap() = value;
        let check = entry(&EXPECTED[index], &Ok(json!({"webhooks": [webhook]})), &settings());
        (check.verdict, check.code.map(crate::codes::Code::id), check.found)
    }

    #[test]
    fn an_entry_is_held_against_the_charts() {
        let off = json!({"name": "switched-off", "expression": "false"});
        let conditions = |index: usize, more: &[&Value]| {
            let webhook = webhooks().remove(index);
            let own = list(&webhook, "/matchConditions").to_vec();
            json!(more.iter().copied().cloned().chain(own).collect::<Vec<_>>())
        };
        for index in 0..3 {
            let (verdict, _, told) = judge(index, "/timeoutSeconds", json!(7));
            assert_eq!(verdict, Verdict::Good, "{told}");
            for (pointer, value, verdict, code, part) in [
                ("/name", json!("other"), Verdict::Bad, "ESC812", "no such entry"),
                ("/clientConfig/caBundle", json!(""), Verdict::Bad, "ESC813", "caBundle"),
                ("/clientConfig/service/name", json!("x"), Verdict::Bad, "ESC822", "Service esc/x"),
                ("/clientConfig/service/path", json!("/x"), Verdict::Bad, "ESC822", "asks /x"),
                ("/rules", json!([]), Verdict::Bad, "ESC822", "rules"),
                ("/rules/0/operations/0", json!("DELETE"), Verdict::Bad, "ESC822", "rules"),
                ("/matchConditions", json!([&off]), Verdict::Bad, "ESC822", "lacks match conditions: "),
                ("/matchConditions/1/expression", json!("false"), Verdict::Bad, "ESC822", "something else: "),
                ("/namespaceSelector", json!({}), Verdict::Bad, "ESC822", "label"),
                (
                    "/namespaceSelector/matchExpressions/0/operator",
                    json!("NotIn"),
                    Verdict::Bad,
                    "ESC822",
                    "label",
                ),
                (
                    "/namespaceSelector/matchExpressions/0/values",
                    json!(["x"]),
                    Verdict::Bad,
                    "ESC822",
                    "label",
                ),
                (
                    "/namespaceSelector/matchExpressions/1/values",
                    json!(["x"]),
                    Verdict::Bad,
                    "ESC822",
                    "kube-system",
                ),
                (
                    "/objectSelector",
                    json!({"matchLabels": {"a": "b"}}),
                    Verdict::Doubtful,
                    "ESC822",
                    "objectSelector",
                ),
                ("/timeoutSeconds", json!(30), Verdict::Bad, "ESC822", "30 s"),
            ] {
                let (found, id, told) = judge(index, pointer, value);
                assert_eq!((found, id), (verdict, Some(code)), "{pointer}: {told}");
                assert!(told.contains(part), "{told}");
            }
            let (verdict, _, told) = judge(index, "/matchConditions", conditions(index, &[&off]));
            let expected = if index < 2 { Verdict::Doubtful } else { Verdict::Good };
            assert_eq!(verdict, expected, "{told}");
            assert!(told.contains("switched"), "{told}");
        }
        for (pointer, value, verdict, part) in [
            ("/failurePolicy", json!("Ignore"), Verdict::Doubtful, "Ignore"),
            ("/reinvocationPolicy", json!("Never"), Verdict::Bad, "Never"),
        ] {
            let (found, id, told) = judge(0, pointer, value);
            assert_eq!((found, id), (verdict, Some("ESC822")), "{told}");
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
