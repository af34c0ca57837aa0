//! The JSON Schema of `config` and its parser say the same.

use regex::Regex;
use serde_json::Value;

use crate::{check, json};

/// Documents, and whether they are good.
const DOCUMENTS: &[(&str, bool)] = &[
    ("", true),
    ("{}", true),
    ("env:", true),
    ("environments: [acme/shop/prod, acme/team-a/over@stable]", true),
    ("environments: []", true),
    ("environments: acme/shop/prod", false),
    ("environments: [acme/prod]", false),
    ("environments: [1]", false),
    ("containers: [app]", true),
    ("containers: []", false),
    ("containers: app", false),
    ("containers: [1]", false),
    ("env: {A: a.b, B: {path: '.'}, _c9: {path: x, format: json, containers: [app]}}", true),
    ("env: {A: {path: a, optional: true}, B: {path: b, default: ''}}", true),
    ("env: {A: {path: a, optional: false, default: x}}", true),
    ("env: {A: {path: a, optional: true, default: x}}", false),
    ("env: {A: {path: a, optional: 'true'}}", false),
    ("env: {A: {path: a, default: 1}}", false),
    ("env: {A: {path: ''}}", false),
    ("env: {A: ''}", false),
    ("env: {A: 1}", false),
    ("env: {A: null}", false),
    ("env: {A: [a]}", false),
    ("env: {A: {}}", false),
    ("env: {A: {path: 1}}", false),
    ("env: {A: {path: a, formt: json}}", false),
    ("env: {A: {path: a, format: jsn}}", false),
    ("env: {A: {path: a, mode: '0440'}}", false),
    ("env: {A: {path: a, containers: []}}", false),
    ("env: {1A: a}", false),
    ("env: {A-B: a}", false),
    ("env: [A]", false),
    ("files: {tls/ca.crt: tls.ca, .env: x, a..b: y}", true),
    ("files: {a: {path: a, format: yaml, decode: base64, mode: '0444', containers: [app]}}", true),
    ("files: {a: {template: 'x {{ values.y }}', mode: '444', optional: true}}", true),
    ("files: {a: {template: x, path: y}}", false),
    ("files: {a: {template: x, format: json}}", false),
    ("files: {a: {template: x, decode: base64}}", false),
    ("files: {a: {mode: '0444'}}", false),
    ("files: {a: {path: a, mode: 440}}", false),
    ("files: {a: {path: a, mode: '0044'}}", false),
    ("files: {a: {path: a, mode: '01777'}}", false),
    ("files: {a: {path: a, decode: hex}}", false),
    ("files: {/a: x}", false),
    ("files: {a//b: x}", false),
    ("files: {a/: x}", false),
    ("files: {../a: x}", false),
    ("files: {a/./b: x}", false),
    ("files: {..data: x}", false),
    ("files: {.: x}", false),
    ("file: {a: x}", false),
    ("[]", false),
    ("text", false),
];

#[test]
fn the_schema_and_the_parser_agree() {
    let said = check(&["--schema"], "");
    assert_eq!(said.code, 0, "{said:?}");
    let schema: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    for (document, is_good) in DOCUMENTS {
        let nodes = esc_injector::yaml::parse(document).unwrap();
        let value = nodes.first().map_or(Value::Null, |node| {
            esc_injector::yaml::to_json(node, esc_injector::yaml::Dialect::Esc).unwrap()
        });
        assert_eq!(accepts(&schema, &schema, &value), *is_good, "schema: {document}");
        let pod = serde_json::json!({
            "kind": "Pod",
            "metadata": {"name": "p", "annotations": {"esc.pulumi.com/config": document}},
            "spec": {"securityContext": {"fsGroup": 7}, "containers": [{"name": "app", "command": ["x"]}]},
        });
        // A default, so that the document may name others.
        let arguments = ["--default", "environment=acme/shop/prod"];
        let problems = json(&arguments, &pod.to_string())["findings"].clone();
        let problems = problems.as_array().unwrap();
        assert_eq!(problems.is_empty(), *is_good, "parser: {document}: {problems:?}");
    }
}

/// Counts the keys of entries, each with its description.
fn walk(value: &Value, seen: &mut usize) {
    if let Some(properties) = value.get("properties").and_then(Value::as_object)
        && value.get("required").and_then(Value::as_array).is_none_or(|keys| keys.len() < 2)
    {
        for (key, property) in properties {
            assert!(property["description"].as_str().is_some_and(|text| text.ends_with('.')), "{key}");
            *seen += 1;
        }
    }
    match value {
        Value::Object(members) => members.values().for_each(|value| walk(value, seen)),
        Value::Array(items) => items.iter().for_each(|value| walk(value, seen)),
        _ => {}
    }
}

#[test]
fn every_key_is_described() {
    let schema: Value = serde_json::from_str(&check(&["--schema"], "").out).unwrap();
    let mut seen = 0;
    walk(&schema, &mut seen);
    assert!(seen > 20, "{seen}");
}

/// As much of JSON Schema as the schema uses; another word in it fails.
fn accepts(root: &Value, schema: &Value, value: &Value) -> bool {
    schema.as_object().unwrap().iter().all(|(word, rule)| {
        let each = |rules: &Value| -> Vec<bool> {
            rules.as_array().unwrap().iter().map(|rule| accepts(root, rule, value)).collect()
        };
        match word.as_str() {
            "$schema" | "$id" | "$defs" | "title" | "description" => true,
            "$ref" => {
                let pointer = rule.as_str().unwrap().strip_prefix('#').unwrap();
                accepts(root, root.pointer(pointer).unwrap(), value)
            }
            "type" => match rule {
                Value::Array(kinds) => kinds.iter().any(|kind| is(kind, value)),
                kind => is(kind, value),
            },
            "enum" => rule.as_array().unwrap().contains(value),
            "const" => rule == value,
            "anyOf" => each(rule).contains(&true),
            "not" => !accepts(root, rule, value),
            "pattern" => {
                value.as_str().is_none_or(|text| Regex::new(rule.as_str().unwrap()).unwrap().is_match(text))
            }
            "minLength" => {
                value.as_str().is_none_or(|text| text.chars().count() as u64 >= rule.as_u64().unwrap())
            }
            "items" => {
                value.as_array().is_none_or(|items| items.iter().all(|item| accepts(root, rule, item)))
            }
            "minItems" => value.as_array().is_none_or(|items| items.len() as u64 >= rule.as_u64().unwrap()),
            "maxItems" => value.as_array().is_none_or(|items| items.len() as u64 <= rule.as_u64().unwrap()),
            "required" => value.as_object().is_none_or(|members| {
                rule.as_array().unwrap().iter().all(|key| members.contains_key(key.as_str().unwrap()))
            }),
            "properties" => value.as_object().is_none_or(|members| {
                rule.as_object()
                    .unwrap()
                    .iter()
                    .all(|(key, rule)| members.get(key).is_none_or(|value| accepts(root, rule, value)))
            }),
            "propertyNames" => value.as_object().is_none_or(|members| {
                members.keys().all(|key| accepts(root, rule, &Value::from(key.as_str())))
            }),
            "additionalProperties" => value.as_object().is_none_or(|members| {
                let known = schema.get("properties").and_then(Value::as_object);
                let other =
                    members.iter().filter(|(key, _)| known.is_none_or(|known| !known.contains_key(*key)));
                other
                    .into_iter()
                    .all(|(_, value)| rule.as_bool().unwrap_or_else(|| accepts(root, rule, value)))
            }),
            other => panic!("the test does not know `{other}`"),
        }
    })
}

fn is(kind: &Value, value: &Value) -> bool {
    match kind.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("the test does not know the type `{other}`"),
    }
}
