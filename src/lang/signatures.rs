//! What the functions of the language take and give.
//!
//! Each is made once: a schema is large, and every call is held against some.

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock},
};

use super::{schema::Schema, syntax::Unary, validate::text};

/// Anything.
pub(super) static ANY: LazyLock<Arc<Schema>> = LazyLock::new(|| Arc::new(Schema::always()));

/// A string.
pub(super) static STRING: LazyLock<Arc<Schema>> = LazyLock::new(|| Arc::new(Schema::string()));

/// A list of strings.
pub(super) static STRINGS: LazyLock<Arc<Schema>> =
    LazyLock::new(|| Arc::new(Schema::list_of(Schema::string())));

/// A list.
pub(super) static LIST: LazyLock<Arc<Schema>> = LazyLock::new(|| Arc::new(Schema::list_of(Schema::always())));

/// A list of lists.
static LISTS: LazyLock<Arc<Schema>> =
    LazyLock::new(|| Arc::new(Schema::list_of(Schema::list_of(Schema::always()))));

/// What a function of one argument takes, none if anything, and what it gives.
pub(super) fn unary(function: Unary) -> (Option<&'static Arc<Schema>>, &'static Arc<Schema>) {
    match function {
        Unary::Concat => (Some(&LISTS), &LIST),
        Unary::FromBase64 | Unary::ToBase64 => (Some(&STRING), &STRING),
        Unary::FromJson => (Some(&STRING), &ANY),
        Unary::Final => (None, &ANY),
        Unary::ToJson | Unary::ToString | Unary::ToYaml => (None, &STRING),
    }
}

/// The schema of schemas, against which the argument of `fn::validate` is held.
pub(super) static SCHEMA_OF_SCHEMAS: LazyLock<Schema> = LazyLock::new(schema_of_schemas);

fn schema_of_schemas() -> Schema {
    const THIS: &str = "#/$defs/schema";
    let this = || Schema::reference_to(THIS);
    let by_name = |schema| Schema { additional: Some(Box::new(schema)), ..Schema::of_type("object") };
    let kinds = ["string", "number", "boolean", "array", "object", "null"];
    let fields = vec![
        ("$defs", by_name(this())),
        ("$ref", Schema::string()),
        ("anyOf", Schema::list_of(this())),
        ("oneOf", Schema::list_of(this())),
        ("prefixItems", Schema::list_of(this())),
        ("items", this()),
        ("additionalProperties", this()),
        ("properties", by_name(this())),
        ("type", Schema { choices: kinds.iter().map(|kind| text(kind)).collect(), ..Schema::string() }),
        ("enum", Schema::of_type("array")),
        ("multipleOf", Schema::of_type("number")),
        ("maximum", Schema::of_type("number")),
        ("exclusiveMaximum", Schema::of_type("number")),
        ("minimum", Schema::of_type("number")),
        ("exclusiveMinimum", Schema::of_type("number")),
        ("maxLength", Schema::of_type("number")),
        ("minLength", Schema::of_type("number")),
        ("pattern", Schema::string()),
        ("maxItems", Schema::of_type("number")),
        ("minItems", Schema::of_type("number")),
        ("uniqueItems", Schema::of_type("boolean")),
        ("maxProperties", Schema::of_type("number")),
        ("minProperties", Schema::of_type("number")),
        ("required", Schema::list_of(Schema::string())),
        ("dependentRequired", by_name(Schema::list_of(Schema::string()))),
        ("title", Schema::string()),
        ("description", Schema::string()),
        ("deprecated", Schema::of_type("boolean")),
        ("examples", Schema::of_type("array")),
    ];
    let object = Schema {
        properties: fields.into_iter().map(|(name, schema)| (Arc::from(name), schema)).collect(),
        ..Schema::of_type("object")
    };
    let either = Schema { any_of: vec![Schema::of_type("boolean"), object], ..Schema::default() };
    Schema { definitions: BTreeMap::from([("schema".into(), either)]), ..Schema::reference_to(THIS) }
}
