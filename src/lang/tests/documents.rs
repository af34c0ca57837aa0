//! Documents and their defects.

use super::{Value, open_with, plain, summaries};
use crate::lang::diagnostic::Severity;

#[test]
fn reads_documents() {
    for (document, expected) in [
        ("", "{}"),
        ("values: {}", "{}"),
        ("VALUES: {a: 1}", r#"{"a":1}"#),
        ("description: d\nimports: []\nvalues: {a: 1}", r#"{"a":1}"#),
        ("values: {a: 1}\n---\nvalues: {b: 1}", r#"{"a":1}"#),
        ("imports: []\nvalues: {}", "{}"),
    ] {
        assert_eq!(plain(&open_with(&[], document)), expected, "{document}");
    }
    for (document, expected) in [
        ("# nothing", "environment must be an object"),
        ("[]", "environment must be an object"),
        ("values:", "values must be an object"),
        ("values: []", "values must be an object"),
        ("imports: null\nvalues: {a: 1}", "imports must be a list"),
        ("imports: p/a", "imports must be a list"),
        ("imports: [{p/a: null}]", "import must be an object"),
        ("imports: [1]", "import must be a string or an object"),
        ("imports: [{a: {}, b: {}}]", "import must have a single key"),
        ("imports: [p/none]", "no p/none here"),
        ("imports: [p/root]", "cyclic import of p/root"),
    ] {
        assert_eq!(summaries(&open_with(&[], document)), [expected], "{document}");
    }
    let merge = open_with(&[("p/a", "")], "imports: [{p/a: {merge: 1}}]");
    assert_eq!(summaries(&merge), ["merge must be a boolean value"]);
}

#[test]
fn an_unknown_field_is_only_a_warning() {
    let outcome = open_with(&[], "foo: 1\nvalues: {a: 1}");
    assert!(!outcome.has_errors());
    assert_eq!(outcome.diagnostics[0].severity, Severity::Warning);
    assert!(outcome.diagnostics[0].summary.starts_with("Field 'foo' does not exist"));
}

#[test]
fn values_know_where_they_are_defined() {
    let outcome =
        open_with(&[("p/a", "values:\n  inherited: 1\n")], "imports: [p/a]\nvalues:\n  own: text\n");
    let properties = outcome.value.as_object().unwrap();
    let place = |value: &Value| {
        let range = value.range();
        (range.environment.to_string(), range.begin.line, range.begin.column, range.begin.byte)
    };
    assert_eq!(place(properties.get("own").unwrap()), ("p/root".to_owned(), 3, 8, 30));
    assert_eq!(place(properties.get("inherited").unwrap()), ("p/a".to_owned(), 2, 14, 21));
}

#[test]
fn of_two_equal_fields_the_last_counts_with_a_warning() {
    let outcome = open_with(&[], "values: {a: 1}\nvalues: {b: 2}");
    assert_eq!(summaries(&outcome), ["duplicate key \"values\""]);
    assert!(!outcome.has_errors());
    assert_eq!(super::json(&outcome.value), r#"{"b":2}"#);
}

#[test]
fn a_document_with_errors_is_not_evaluated() {
    let outcome = open_with(&[], "values: {a: \"${\", b: \"${none}\"}");
    assert_eq!(summaries(&outcome), ["missing closing brace '}' in interpolation"]);
    let outcome = open_with(&[("p/a", "values: [1]")], "imports: [p/a]\nvalues: {b: \"${none}\"}");
    assert_eq!(summaries(&outcome), ["values must be an object"]);
}

#[test]
fn duplicate_and_reserved_keys_do_not_hide_what_else_is_wrong() {
    let outcome = open_with(&[], "values: {a: 1, a: 2, context: 1, b: \"${none}\"}");
    assert_eq!(
        summaries(&outcome),
        ["\"context\" is a reserved key", "duplicate key \"a\"", "unknown property \"none\""]
    );
    assert_eq!(super::json(&outcome.value), r#"{"a":1,"b":"[unknown]"}"#);
}

#[test]
fn what_is_wrong_within_an_unknown_function_is_told_too() {
    let outcome = open_with(&[], "values: {a: {fn::none: [{fn::nothing: 1}, '${a']}}");
    let reserved = "'fn::' is a reserved prefix";
    assert_eq!(summaries(&outcome), [reserved, "missing closing brace '}' in interpolation", reserved]);
}
