//! The chart's values against its schema, for as much of JSON Schema as the chart uses.

use serde_json::Value;

use super::root;

/// What of chart values the schema does not allow.
pub fn wrong_values(values: &Value) -> Vec<String> {
    let text = std::fs::read_to_string(root().join("charts/esc-injector/values.schema.json")).unwrap();
    let mut out = Vec::new();
    check(values, &serde_json::from_str(&text).unwrap(), "", true, &mut out);
    out
}

/// `is_top` and below: whoever sets some values need not set the others, which have defaults.
fn check(value: &Value, schema: &Value, path: &str, has_defaults: bool, out: &mut Vec<String>) {
    let Some(schema) = schema.as_object() else { return };
    for (keyword, says) in schema {
        let fits = match keyword.as_str() {
            "$schema" | "title" | "description" => true,
            "type" => match says {
                Value::Array(kinds) => kinds.iter().any(|kind| is_of(value, kind)),
                kind => is_of(value, kind),
            },
            "enum" => says.as_array().unwrap().contains(value),
            "const" => says == value,
            "pattern" => {
                let pattern = regex::Regex::new(says.as_str().unwrap()).unwrap();
                value.as_str().is_none_or(|text| pattern.is_match(text))
            }
            "minimum" => value.as_f64().is_none_or(|number| number >= says.as_f64().unwrap()),
            "maximum" => value.as_f64().is_none_or(|number| number <= says.as_f64().unwrap()),
            "minLength" => value.as_str().is_none_or(|text| text.len() as u64 >= says.as_u64().unwrap()),
            "maxLength" => value.as_str().is_none_or(|text| text.len() as u64 <= says.as_u64().unwrap()),
            "minItems" => value.as_array().is_none_or(|items| items.len() as u64 >= says.as_u64().unwrap()),
            "maxItems" => value.as_array().is_none_or(|items| items.len() as u64 <= says.as_u64().unwrap()),
            "maxProperties" => value.as_object().is_none_or(|map| map.len() as u64 <= says.as_u64().unwrap()),
            "required" if has_defaults => true,
            "required" => value.as_object().is_none_or(|map| {
                says.as_array().unwrap().iter().all(|key| map.contains_key(key.as_str().unwrap()))
            }),
            "not" => !fits(value, says),
            "anyOf" => says.as_array().unwrap().iter().any(|one| fits(value, one)),
            "propertyNames" => value
                .as_object()
                .is_none_or(|map| map.keys().all(|key| fits(&Value::String(key.clone()), says))),
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    check(item, says, &format!("{path}[{index}]"), false, out);
                }
                true
            }
            "properties" => {
                for (key, below) in says.as_object().unwrap() {
                    if let Some(value) = value.get(key) {
                        check(value, below, &format!("{path}.{key}"), has_defaults, out);
                    }
                }
                true
            }
            "additionalProperties" => {
                let known = schema.get("properties").and_then(Value::as_object);
                for (key, value) in value.as_object().into_iter().flatten() {
                    if known.is_none_or(|known| !known.contains_key(key)) {
                        match says {
                            Value::Bool(allowed) if !allowed => out.push(format!("{path}.{key} is unknown")),
                            schema => check(value, schema, &format!("{path}.{key}"), false, out),
                        }
                    }
                }
                true
            }
            other => panic!("tests/docs/schema.rs does not know the keyword {other}"),
        };
        if !fits {
            out.push(format!("{path}: {keyword} {says}"));
        }
    }
}

fn fits(value: &Value, schema: &Value) -> bool {
    let mut out = Vec::new();
    check(value, schema, "", false, &mut out);
    out.is_empty()
}

fn is_of(value: &Value, kind: &Value) -> bool {
    match kind.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "null" => value.is_null(),
        other => panic!("a type called {other}"),
    }
}

#[test]
fn the_chart_s_own_values_fit_and_mistakes_do_not() {
    use esc_injector::yaml::{self, Dialect};
    let read = |text: &str| yaml::to_json(&yaml::parse(text).unwrap()[0], Dialect::Kubernetes).unwrap();
    let own = std::fs::read_to_string(root().join("charts/esc-injector/values.yaml")).unwrap();
    assert_eq!(wrong_values(&read(&own)), Vec::<String>::new());
    for (text, is_right) in [
        ("replicas: 3", true),
        ("replicas: two", false),
        ("replica: 3", false),
        ("image: {pullPolicy: Sometimes}", false),
        ("api: {url: https://esc.example.com}", true),
        ("api: {url: esc.example.com}", false),
        ("defaults: {timeout: 30}", false),
        ("webhook: {timeoutSeconds: 31}", false),
    ] {
        assert_eq!(wrong_values(&read(text)).is_empty(), is_right, "{text}: {:?}", wrong_values(&read(text)));
    }
}
