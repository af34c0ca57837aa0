//! Findings as programs read them. Names of members are public: they only grow.

use serde_json::{Value, json};

use super::count;
use crate::manifest::{
    check::Summary,
    finding::{Finding, Severity, Spot},
};

/// All of it as one object.
pub fn value(findings: &[Finding], summary: &Summary) -> Value {
    json!({
        "findings": findings.iter().map(one).collect::<Vec<_>>(),
        "summary": {
            "objects": summary.objects,
            "asking": summary.asking,
            "errors": count(findings, Severity::Error),
            "warnings": count(findings, Severity::Warning),
            "silent": summary.silent,
            "unknownNamespaces": summary.unknown_namespaces,
            "opened": summary.opened,
        },
    })
}

fn one(finding: &Finding) -> Value {
    let Finding { severity, code, message, has_fix, object, place } = finding;
    let (object, namespace) = object.clone().unzip();
    let number = |of: fn(Spot) -> usize| place.spot.map(of);
    json!({
        "severity": severity.word(),
        "code": code.id(),
        "title": code.entry().title,
        "message": message,
        "fix": has_fix.then(|| code.entry().fix),
        "object": object,
        "namespace": namespace,
        "file": place.file,
        "line": number(|spot| spot.line),
        "column": number(|spot| spot.column),
        "endColumn": number(|spot| spot.end_column),
        "template": place.template,
    })
}
