//! The outline of a definition that clients walk to find where a path is written: `exprs` of a check.
//!
//! Objects, lists, functions and places are as ESC has them; other texts are given as they stand, references
//! included. The argument of a secret is never given.

use serde_json::{Map, Value, json};

use super::wire::NodeRange;
use crate::yaml::{self, Dialect, Node, NodeKind, Scalar};

/// The outline of what stands under `values`; empty if the text is no definition.
pub(super) fn outline(environment: &str, text: &str) -> Value {
    let documents = yaml::parse(text).unwrap_or_default();
    let Some(Node { kind: NodeKind::Mapping(pairs, _), .. }) = documents.first() else { return json!({}) };
    pairs
        .iter()
        .find(|(key, _)| string(key).is_some_and(|name| name.eq_ignore_ascii_case("values")))
        .map_or_else(|| json!({}), |(_, values)| entries(environment, values))
}

fn entries(environment: &str, node: &Node) -> Value {
    let NodeKind::Mapping(pairs, _) = &node.kind else { return json!({}) };
    let entry = |(key, value): &(Node, Node)| Some((string(key)?, expression(environment, value)));
    Value::Object(pairs.iter().filter_map(entry).collect())
}

fn expression(environment: &str, node: &Node) -> Value {
    let mut out = Map::new();
    out.insert("range".to_owned(), range(environment, node));
    let (member, value) = match &node.kind {
        NodeKind::Sequence(items, _) => {
            ("list", items.iter().map(|item| expression(environment, item)).collect())
        }
        NodeKind::Mapping(pairs, _) => match pairs.as_slice() {
            [(key, argument)] if string(key).is_some_and(|name| name.starts_with("fn::")) => {
                ("builtin", builtin(environment, key, argument))
            }
            _ => ("object", entries(environment, node)),
        },
        NodeKind::Scalar { .. } => ("literal", literal(node)),
        NodeKind::Alias(_) => ("literal", Value::Null),
    };
    out.insert(member.to_owned(), value);
    Value::Object(out)
}

fn builtin(environment: &str, key: &Node, argument: &Node) -> Value {
    let name = string(key).unwrap_or_default();
    let is_text = matches!(argument.kind, NodeKind::Scalar { .. });
    let argument = if name == "fn::secret" && is_text {
        json!({ "range": range(environment, argument), "literal": "[secret]" })
    } else {
        expression(environment, argument)
    };
    json!({ "name": name, "nameRange": range(environment, key), "arg": argument })
}

fn literal(node: &Node) -> Value {
    match yaml::resolve(node, Dialect::Esc) {
        None | Some(Scalar::Null) => Value::Null,
        Some(Scalar::Bool(flag)) => Value::Bool(flag),
        Some(Scalar::Number(text)) => text.parse().map_or(Value::Null, Value::Number),
        Some(Scalar::String(text)) => Value::String(text),
    }
}

fn string(node: &Node) -> Option<String> {
    match yaml::resolve(node, Dialect::Esc) {
        Some(Scalar::String(text)) => Some(text),
        _ => None,
    }
}

fn range(environment: &str, node: &Node) -> Value {
    serde_json::to_value(NodeRange { environment, begin: node.start, end: node.end }).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::outline;

    #[test]
    fn outlines_what_clients_walk() {
        let exprs = outline(
            "<yaml>",
            "values:\n  db: {host: h, port: 5}\n  list: [a, '${db.host}']\n  s: {fn::secret: c4n4ry}\n",
        );
        assert_eq!(exprs["db"]["object"]["port"]["literal"], 5);
        assert_eq!(exprs["db"]["object"]["host"]["range"]["begin"]["column"], 14);
        assert_eq!(exprs["list"]["list"][1]["literal"], "${db.host}");
        assert_eq!(exprs["s"]["builtin"]["name"], "fn::secret");
        assert_eq!(exprs["s"]["builtin"]["arg"]["range"]["environment"], "<yaml>");
        assert!(!exprs.to_string().contains("c4n4ry"));
        for text in ["", "values: [", "[]", "values: 5"] {
            assert_eq!(outline("<yaml>", text), serde_json::json!({}), "{text}");
        }
    }
}
