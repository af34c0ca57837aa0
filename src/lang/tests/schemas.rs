//! `fn::validate`.

use super::{document, json, open_with, summaries};

#[test]
fn values_are_held_against_a_schema_and_pass_through() {
    for (schema, value, expected) in [
        ("true", "1", &[] as &[&str]),
        ("{}", "[1]", &[]),
        ("{type: string, minLength: 5}", "abc", &["expected a string of at least length 5"]),
        ("{type: string, maxLength: 2}", "abc", &["expected a string of at most length 2"]),
        ("{type: string, minLength: 3, maxLength: 3}", "abc", &[]),
        ("{pattern: '^a+$'}", "aab", &["string must match the pattern \"^a+$\""]),
        ("{pattern: b}", "abc", &[]),
        ("{type: number}", "abc", &["expected number, got string"]),
        ("{type: 'null'}", "~", &[]),
        ("{type: boolean}", "~", &["expected boolean, got null"]),
        ("{const: x}", "y", &["expected \"x\""]),
        ("{const: {a: [1]}}", "{a: [1]}", &[]),
        ("{enum: [1, x]}", "2", &["expected one of [1,\"x\"]"]),
        ("{enum: [1]}", "2", &["expected 1"]),
        ("{multipleOf: 2}", "3", &["expected a multiple of 2"]),
        ("{minimum: 2}", "1", &["expected a number greater than or equal to 2"]),
        ("{exclusiveMinimum: 2}", "2", &["expected a number greater than 2"]),
        ("{maximum: 2}", "3", &["expected a number less than or equal to2"]),
        ("{exclusiveMaximum: 2}", "2", &["expected a number less than 2"]),
        ("{minItems: 1}", "[]", &["expected an array with at least 1 items"]),
        ("{maxItems: 1}", "[1, 2]", &["expected an array with at most 1 items"]),
        ("{minProperties: 1}", "{}", &["expected an object with at least 1 properties"]),
        ("{maxProperties: 1}", "{a: 1, b: 2}", &["expected an object with at most 1 properties"]),
        ("{type: array, items: {type: string}}", "[a, 1]", &["expected string, got number"]),
        (
            "{type: array, prefixItems: [{type: string}], items: {type: number}}",
            "[a, 1, b]",
            &["expected number, got string"],
        ),
        (
            "{type: object, properties: {x: {type: number}}, required: [x, y]}",
            "{x: s, z: 1}",
            &["expected number, got string", "missing required properties: y"],
        ),
        (
            "{additionalProperties: {type: string}, properties: {a: {type: number}}}",
            "{a: 1, b: 2}",
            &["expected string, got number"],
        ),
        ("{dependentRequired: {a: [b]}}", "{a: 1}", &["missing required properties: b"]),
        ("{dependentRequired: {a: [b]}}", "{c: 1}", &[]),
        ("{anyOf: [{type: string}, {type: number}]}", "1", &[]),
        (
            "{anyOf: [{type: string}, {type: number}]}",
            "true",
            &[
                "expected string, got boolean",
                "expected number, got boolean",
                "at least one subschema must match",
            ],
        ),
        ("{oneOf: [{type: string}, {type: number}]}", "1", &[]),
        ("{oneOf: [{type: number}, {minimum: 0}]}", "1", &["exactly one subschema may match"]),
        (
            "{oneOf: [{type: string}]}",
            "1",
            &["expected string, got number", "exactly one subschema must match"],
        ),
        ("{$ref: '#/$defs/n', $defs: {n: {type: number}}}", "x", &["expected number, got string"]),
        ("{$ref: '#/$defs/n'}", "x", &["invalid schema: unknown subschema #/$defs/n"]),
        (
            "{$ref: 'n'}",
            "x",
            &["invalid schema: only fragment references of the form #/$defs/ref are supported"],
        ),
        ("{pattern: '('}", "x", &["invalid schema: error parsing regexp"]),
        ("{minLength: -1}", "x", &["invalid schema: a count must be a whole number of at least 0"]),
        (
            "{type: strin}",
            "x",
            &[
                "expected boolean, got object",
                "expected one of [\"string\",\"number\",\"boolean\",\"array\",\"object\",\"null\"]",
                "at least one subschema must match",
            ],
        ),
    ] {
        let outcome = open_with(
            &[],
            &document(&format!("a:\n  fn::validate:\n    schema: {schema}\n    value: {value}")),
        );
        assert_eq!(summaries(&outcome), expected, "{schema} {value}");
        let plain = open_with(&[], &document(&format!("a: {value}")));
        assert_eq!(json(&outcome.value), json(&plain.value), "{schema} {value}");
    }
    for (argument, expected) in [
        ("1", &["the argument to fn::validate must be an object containing 'schema' and 'value'"] as &[&str]),
        ("{}", &["missing required property 'schema'", "missing required property 'value'"]),
    ] {
        assert_eq!(
            summaries(&open_with(&[], &document(&format!("a: {{fn::validate: {argument}}}")))),
            expected
        );
    }
}

#[test]
fn a_schema_that_refers_to_itself_ends() {
    let fragment =
        "a:\n  fn::validate:\n    schema: {$ref: '#/$defs/n', $defs: {n: {$ref: '#/$defs/n'}}}\n    value: 1";
    assert_eq!(summaries(&open_with(&[], &document(fragment))), ["the schema refers to itself too deeply"]);
}
