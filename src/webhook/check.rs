//! `/check`: what would become of the pods of a workload, said while a person looks at it. No sockets, no clock.
//!
//! Pods of a controller are refused where nobody looks, in its events. So the template is judged when the workload is
//! applied, by the function that will judge the pods. Nothing is ever changed here.

use serde_json::Value;

use super::{
    namespaces::Known,
    record::{self, Record, named},
    response::{Response, refusal, texts},
    review::WorkloadChange,
    rules::{Rules, WorkloadChecks},
};
use crate::{
    codes::{self, admission},
    inject::{self, Context, Outcome, Problem, document::Document},
    manifest::workload::{self, Made},
};

/// Answers for one workload.
pub(super) fn check<'a>(uid: &'a str, change: &WorkloadChange, rules: &Rules) -> (Response<'a>, Record) {
    let (response, record) = judge(uid, change, rules);
    let name = |key| metadata(&change.object, key).and_then(Value::as_str);
    let owner = named(change.kind, name("name"), name("generateName"));
    let record = record.about(&change.namespace, owner, change.dry_run);
    (response, record)
}

fn judge<'a>(uid: &'a str, change: &WorkloadChange, rules: &Rules) -> (Response<'a>, Record) {
    let skipped = || (Response::allow(uid, Vec::new()), Record::new(record::Outcome::Skipped));
    if rules.workload_checks == WorkloadChecks::Off || !concerns(change) {
        return skipped();
    }
    let Some(Made { pod, with_token }) = workload::made(change.kind, &change.object) else {
        return skipped();
    };
    let known = rules.namespaces.get(&change.namespace);
    let namespace = match &known {
        Known::Yes(namespace) => Some(namespace.as_ref()),
        Known::Unread | Known::NotYet => None,
    };
    let context = Context {
        namespace: &change.namespace,
        namespace_annotations: namespace.map(|namespace| &namespace.annotations),
        everyone: namespace.is_some_and(|namespace| namespace.everyone),
        api_server: rules.api_server.release(),
        policy: &rules.policy,
    };
    if matches!(known, Known::NotYet) && inject::concerns(&Document::from(pod.clone()), &context) {
        let code = admission::NAMESPACE_UNKNOWN;
        let warning = format!(
            "[{code}] not checked: the webhook does not know namespace `{}` yet; pods are checked when they are created",
            change.namespace
        );
        let record = Record { codes: vec![code], ..Record::new(record::Outcome::Skipped) };
        return (Response::allow(uid, vec![warning]), record);
    }
    match inject::inject(&pod, &context) {
        Outcome::Skipped { warnings } => {
            (Response::allow(uid, texts(&warnings)), Record::new(record::Outcome::Skipped))
        }
        Outcome::Refused(problems) => refused(uid, change.kind, &problems, rules.workload_checks),
        Outcome::Injected { warnings, .. } => {
            let warnings = texts(&warnings);
            // Refused only with its token: whether that is mounted is the ServiceAccount's to say.
            let with_token = with_token.map(|pod| inject::inject(&pod, &context));
            let Some(Outcome::Refused(problems)) = with_token else {
                return (Response::allow(uid, warnings), Record::new(record::Outcome::Passed));
            };
            let sure = "will be refused, unless their ServiceAccount mounts no token";
            let warnings = warnings.into_iter().chain(said(change.kind, sure, &problems)).collect();
            (Response::allow(uid, warnings), record(record::Outcome::Warned, &problems))
        }
    }
}

/// Whether the change brings pods that somebody is about to see refused: no object that only goes away, none that
/// another object's controller makes (whose template was checked), none whose template stays as it is.
fn concerns(change: &WorkloadChange) -> bool {
    let metadata = |key| metadata(&change.object, key);
    if metadata("deletionTimestamp").is_some_and(|stamp| !stamp.is_null()) {
        return false;
    }
    if metadata("ownerReferences")
        .and_then(Value::as_array)
        .is_some_and(|owners| owners.iter().any(is_controller))
    {
        return false;
    }
    let template = |object| workload::template(change.kind, object);
    template(&change.before).is_none_or(|before| Some(before) != template(&change.object))
}

fn metadata<'o>(object: &'o Value, key: &str) -> Option<&'o Value> {
    object.get("metadata")?.get(key)
}

fn is_controller(owner: &Value) -> bool {
    owner.get("controller").and_then(Value::as_bool) == Some(true)
}

fn refused<'a>(
    uid: &'a str,
    kind: &str,
    problems: &[Problem],
    checks: WorkloadChecks,
) -> (Response<'a>, Record) {
    if checks == WorkloadChecks::Deny {
        let (denial, message) = refusal(problems);
        let message = format!("pods of this {kind} would be refused:\n{message}");
        return (Response::deny(uid, denial, message), record(record::Outcome::Rejected, problems));
    }
    let warnings = said(kind, "will be refused", problems);
    (Response::allow(uid, warnings), record(record::Outcome::Warned, problems))
}

fn record(outcome: record::Outcome, problems: &[Problem]) -> Record {
    Record { codes: problems.iter().map(|problem| problem.code).collect(), ..Record::new(outcome) }
}

/// Each problem as a warning, and where to read on.
fn said(kind: &str, what: &str, problems: &[Problem]) -> Vec<String> {
    let mut said: Vec<_> = problems
        .iter()
        .map(|Problem { code, subject, message, .. }| {
            format!("[{code}] pods of this {kind} {what}: {subject}: {message}")
        })
        .collect();
    said.extend(codes::hint(&said.join("\n")));
    said
}
