//! What holds for all documents.

use proptest::prelude::*;
use serde_json::{Map, Value as Json, json};

use super::{Options, json as plain_json, open_with, run, summaries};

/// Values of a document: JSON is YAML. References are among the strings.
fn values_of(leaf: BoxedStrategy<Json>) -> impl Strategy<Value = Json> {
    let below = leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Json::from),
            entries(inner, 0..4).prop_map(Json::Object),
        ]
    });
    entries(below.boxed(), 0..5).prop_map(Json::Object)
}

fn entries(
    value: BoxedStrategy<Json>,
    size: std::ops::Range<usize>,
) -> impl Strategy<Value = Map<String, Json>> {
    prop::collection::btree_map("[a-d]", value, size).prop_map(|entries| entries.into_iter().collect())
}

fn scalars() -> BoxedStrategy<Json> {
    prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(Json::from),
        (0..9).prop_map(Json::from),
        "[a-z]{0,3}".prop_map(Json::from)
    ]
    .boxed()
}

/// Strings that refer to one another, among others.
fn with_references() -> BoxedStrategy<Json> {
    let reference =
        prop_oneof!["\\$\\{[a-d](\\.[a-d]|\\[[01]\\]){0,2}\\}", "x\\$\\{[a-d]\\}\\$\\{[a-d]\\.[a-d]\\}"];
    prop_oneof![scalars(), reference.prop_map(Json::from)].boxed()
}

fn definition(imports: &[&str], values: &Json) -> String {
    json!({ "imports": imports, "values": values }).to_string()
}

fn merged(documents: &[(&'static str, &str)], imports: &[&str]) -> String {
    let outcome = open_with(documents, &definition(imports, &json!({})));
    assert_eq!(summaries(&outcome), Vec::<&str>::new());
    plain_json(&outcome.value)
}

/// The same document with the keys of all its objects turned around.
fn reversed(value: &Json) -> Json {
    match value {
        Json::Array(items) => items.iter().map(reversed).collect(),
        Json::Object(entries) => {
            entries.iter().rev().map(|(key, value)| (key.clone(), reversed(value))).collect()
        }
        scalar => scalar.clone(),
    }
}

/// Expressions that take secrets through every function.
fn with_secrets() -> impl Strategy<Value = Json> {
    let reference = "\\$\\{[a-d](\\.[a-d]|\\[[01]\\])?\\}".prop_map(Json::from);
    let leaf = prop_oneof![
        Just(json!({"fn::secret": "hunter2"})),
        Just(json!({"fn::secret": "{\"hunter2\":[\"hunter2\"]}"})),
        Just(json!({"fn::secret": "aHVudGVyMg=="})),
        reference.clone(),
        reference.prop_map(|text| Json::from(format!("pre {}", text.as_str().unwrap()))),
        Just(json!("public")),
    ];
    let unary = prop::sample::select(vec![
        "fn::toJSON",
        "fn::toString",
        "fn::toYAML",
        "fn::toBase64",
        "fn::fromBase64",
        "fn::fromJSON",
        "fn::final",
    ]);
    let expression = leaf.prop_recursive(3, 12, 3, move |inner| {
        prop_oneof![
            (unary.clone(), inner.clone()).prop_map(|(function, argument)| json!({function: argument})),
            inner.clone().prop_map(|value| json!({"fn::join": [",", [value, "x"]]})),
            inner.clone().prop_map(|value| json!({"fn::split": ["u", value]})),
            inner.clone().prop_map(|value| json!({"fn::concat": [[value], ["x"]]})),
            (inner.clone(), inner.clone()).prop_map(
                |(schema, value)| json!({"fn::validate": {"schema": {"const": schema}, "value": value}})
            ),
            inner.clone().prop_map(|value| json!({"fn::open::test": {"a": value}})),
            inner.clone().prop_map(|value| json!({"fn::open::secret-wrapper": {"a": value}})),
            prop::collection::vec(inner.clone(), 0..3).prop_map(Json::from),
            entries(inner.boxed(), 1..3).prop_map(Json::Object),
        ]
    });
    entries(expression.boxed(), 1..5).prop_map(Json::Object)
}

proptest! {
    #[test]
    fn no_document_makes_it_panic(
        lines in prop::collection::vec("( ){0,4}[abc]: ([abc]|\\$\\{[abc.\\[\\]0]{0,6}\\}|\\[[abc]\\]|\\{fn::(join|split|concat|toJSON|fromJSON|secret|final|validate|open|rotate|open::test): [abc]\\}|)", 0..12),
        imports in "(imports: \\[(p/a|p/root|x)\\]\n)?",
    ) {
        let root = format!("{imports}values:\n  {}\n", lines.join("\n  "));
        open_with(&[("p/a", "values: {a: {b: 1}}")], &root);
    }

    #[test]
    fn merging_is_associative_and_has_a_neutral_element(
        a in values_of(scalars()), b in values_of(scalars()), c in values_of(scalars()),
    ) {
        let (a, b, c) = (definition(&[], &a), definition(&[], &b), definition(&[], &c));
        let documents = [
            ("p/a", a.as_str()), ("p/b", &b), ("p/c", &c), ("p/empty", "values: {}"),
            ("p/ab", "imports: [p/a, p/b]"), ("p/bc", "imports: [p/b, p/c]"),
        ];
        let flat = merged(&documents, &["p/a", "p/b", "p/c"]);
        prop_assert_eq!(&merged(&documents, &["p/ab", "p/c"]), &flat);
        prop_assert_eq!(&merged(&documents, &["p/empty", "p/a", "p/empty", "p/b", "p/c", "p/empty"]), &flat);
        prop_assert_eq!(merged(&documents, &["p/a", "p/a"]), merged(&documents, &["p/a"]));
    }

    #[test]
    fn a_documents_own_values_merge_as_an_import_would(
        a in values_of(scalars()), b in values_of(scalars()),
    ) {
        let (base, over) = (definition(&[], &a), definition(&[], &b));
        let documents = [("p/a", base.as_str()), ("p/b", &over)];
        let own = open_with(&documents, &definition(&["p/a"], &b));
        prop_assert_eq!(plain_json(&own.value), merged(&documents, &["p/a", "p/b"]));
    }

    #[test]
    fn the_order_of_keys_does_not_matter(
        base in values_of(scalars()), values in values_of(with_references()),
    ) {
        let base = definition(&[], &base);
        let open = |values: &Json| {
            let outcome = open_with(&[("p/a", &base)], &definition(&["p/a"], values));
            let mut found: Vec<_> = summaries(&outcome).into_iter().map(str::to_owned).collect();
            found.sort();
            (plain_json(&outcome.value), found)
        };
        prop_assert_eq!(open(&values), open(&reversed(&values)));
    }

    #[test]
    fn redaction_never_leaks(values in with_secrets()) {
        let outcome = run(&[], &definition(&[], &values), Options::default());
        let shown = format!("{} {:?} {:?}", outcome.value.redacted_json(), outcome, outcome.diagnostics);
        for planted in ["hunter2", "aHVudGVyMg"] {
            prop_assert!(!shown.contains(planted), "{planted} in {shown}");
        }
    }
}
