//! The JSON Schema of the annotation `config`, for editors and for people: every key with its meaning.
//!
//! Written by hand beside the parser ([`super::config`]), whose tables of keys it takes; a test holds both to the same
//! verdict on a table of documents. Where the parser knows more than a schema can say (the grammar of property paths, the
//! syntax of templates) the schema accepts what it can't judge.

use serde_json::{Map, Value, json};

use super::{config::Key, pod::MAX_CONTAINERS};

/// The schema as text, with a line break at its end.
pub fn config_schema() -> String {
    let mut text = serde_json::to_string_pretty(&schema()).unwrap_or_default();
    text.push('\n');
    text
}

fn schema() -> Value {
    let entries = |names: &Value, entry: &str| {
        json!({
            "type": ["object", "null"],
            "propertyNames": names,
            "additionalProperties": {"$ref": format!("#/$defs/{entry}")},
        })
    };
    let variable_name = json!({"pattern": "^[A-Za-z_][A-Za-z0-9_]*$"});
    let file_name = json!({
        "pattern": "^[^/]+(/[^/]+)*$",
        "not": {"pattern": "(^|/)(\\.$|\\./|\\.\\.)"},
    });
    let mut top = Map::new();
    for key in Key::TOP {
        let schema = match key {
            Key::Environments => json!({
                "type": "array",
                "items": {"type": "string", "pattern": "^[^/@]+/[^/@]+/[^/@]+(@[^@]+)?$"},
            }),
            Key::Env => entries(&variable_name, "variable"),
            Key::Files => entries(&file_name, "file"),
            _ => field(*key),
        };
        top.insert(key.name().to_owned(), described(*key, schema));
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "esc.pulumi.com/config",
        "description": "The annotation esc.pulumi.com/config: what a pod asks of Pulumi ESC, in one document.",
        "type": ["object", "null"],
        "properties": top,
        "additionalProperties": false,
        "$defs": {
            "path": {
                "description": "A property path, such as db.url or hosts[0].name; `.` alone is the whole environment.",
                "type": "string",
                "minLength": 1,
            },
            "variable": {"anyOf": [{"$ref": "#/$defs/path"}, entry(Key::VARIABLE, &["path"])]},
            "file": {"anyOf": [
                {"$ref": "#/$defs/path"},
                entry(&without(Key::FILE, &[Key::Template]), &["path"]),
                entry(&without(Key::FILE, &[Key::Path, Key::Format, Key::Decode]), &["template"]),
            ]},
        },
    })
}

fn without(keys: &[Key], left_out: &[Key]) -> Vec<Key> {
    keys.iter().copied().filter(|key| !left_out.contains(key)).collect()
}

/// The long form of an entry.
fn entry(keys: &[Key], required: &[&str]) -> Value {
    let properties: Map<String, Value> =
        keys.iter().map(|key| (key.name().to_owned(), described(*key, field(*key)))).collect();
    json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
        "not": {"properties": {"optional": {"const": true}}, "required": ["optional", "default"]},
    })
}

/// What a key of an entry may hold.
fn field(key: Key) -> Value {
    match key {
        Key::Path => json!({"$ref": "#/$defs/path"}),
        Key::Format => json!({"enum": ["raw", "json", "yaml", "dotenv", "properties"]}),
        Key::Decode => json!({"enum": ["base64"]}),
        Key::Mode => json!({"type": "string", "pattern": "^0?[4-7][0-7][0-7]$"}),
        Key::Optional => json!({"type": "boolean"}),
        Key::Containers => json!({
            "type": "array",
            "items": {"type": "string"},
            "minItems": 1,
            "maxItems": MAX_CONTAINERS,
        }),
        _ => json!({"type": "string"}),
    }
}

fn described(key: Key, mut schema: Value) -> Value {
    if let Some(object) = schema.as_object_mut() {
        object.insert("description".to_owned(), key.meaning().into());
    }
    schema
}
