//! Nodes to JSON: anchors and merge keys expanded where the dialect has them, under a budget.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Number, Value};

use super::{Dialect, MAX_DEPTH, Node, NodeKind, Scalar, YamlError, resolve};

/// What aliases may add to a document, in nodes plus bytes of text. An object of Kubernetes has at most about 1.5 MB
/// and few manifests use aliases for more than a few lines; a bomb needs far more.
const ALIAS_BUDGET: usize = 500_000;

/// A document as JSON, in document order. Anchors expand under a budget (against bombs); a repeated key and a key
/// that is no string are errors.
///
/// Kubernetes' reader is followed where it is odd: boolean and numeric keys become text, and of an own key and a
/// merged one the later wins.
pub fn to_json(node: &Node, dialect: Dialect) -> Result<Value, YamlError> {
    let mut anchors = BTreeMap::new();
    let budget = collect(node, &mut anchors) + ALIAS_BUDGET;
    Expander { dialect, anchors, budget, open: Vec::new() }.node(node, 0)
}

/// Finds every anchor; returns what the document weighs without expansion. Bounded by the parser's depth limit.
fn collect<'a>(node: &'a Node, anchors: &mut BTreeMap<usize, &'a Node>) -> usize {
    let (anchor, below) = match &node.kind {
        NodeKind::Scalar { anchor, .. } => (*anchor, 0),
        NodeKind::Alias(_) => (None, 0),
        NodeKind::Sequence(items, anchor) => (*anchor, items.iter().map(|item| collect(item, anchors)).sum()),
        NodeKind::Mapping(entries, anchor) => {
            let below =
                entries.iter().map(|(key, value)| collect(key, anchors) + collect(value, anchors)).sum();
            (*anchor, below)
        }
    };
    if let Some(anchor) = anchor {
        anchors.insert(anchor, node);
    }
    weight(node) + below
}

/// What producing a node costs, without what is below it.
fn weight(node: &Node) -> usize {
    match &node.kind {
        NodeKind::Scalar { text, .. } => 1 + text.len(),
        _ => 1,
    }
}

struct Expander<'a> {
    dialect: Dialect,
    anchors: BTreeMap<usize, &'a Node>,
    /// What may still be produced.
    budget: usize,
    /// Aliases being expanded, against anchors that contain themselves.
    open: Vec<usize>,
}

impl<'a> Expander<'a> {
    fn node(&mut self, node: &'a Node, depth: usize) -> Result<Value, YamlError> {
        if depth >= MAX_DEPTH && matches!(node.kind, NodeKind::Sequence(..) | NodeKind::Mapping(..)) {
            return fail(node, format!("nested deeper than {MAX_DEPTH} levels"));
        }
        match self.budget.checked_sub(weight(node)) {
            Some(left) => self.budget = left,
            None => return fail(node, "the aliases expand to too much"),
        }
        match &node.kind {
            NodeKind::Scalar { .. } => self.scalar(node),
            NodeKind::Sequence(items, _) => items
                .iter()
                .map(|item| self.node(item, depth + 1))
                .collect::<Result<_, _>>()
                .map(Value::Array),
            NodeKind::Mapping(entries, _) => self.mapping(entries, depth).map(Value::Object),
            NodeKind::Alias(anchor) => self.alias(node, *anchor, depth),
        }
    }

    fn scalar(&self, node: &Node) -> Result<Value, YamlError> {
        Ok(match resolve(node, self.dialect) {
            None | Some(Scalar::Null) => Value::Null,
            Some(Scalar::Bool(value)) => Value::Bool(value),
            Some(Scalar::String(text)) => Value::String(text),
            Some(Scalar::Number(text)) => match text.parse::<Number>() {
                Ok(number) => Value::Number(number),
                Err(_) => return fail(node, "JSON has no NaN and no infinity"),
            },
        })
    }

    fn alias(&mut self, node: &Node, anchor: usize, depth: usize) -> Result<Value, YamlError> {
        if self.dialect == Dialect::Esc {
            return fail(node, "alias nodes are not supported");
        }
        if self.open.contains(&anchor) {
            return fail(node, "the anchor contains itself");
        }
        let Some(target) = self.anchors.get(&anchor).copied() else {
            return fail(node, "the anchor stands elsewhere in the text");
        };
        self.open.push(anchor);
        let value = self.node(target, depth);
        self.open.pop();
        value
    }

    fn mapping(
        &mut self,
        entries: &'a [(Node, Node)],
        depth: usize,
    ) -> Result<Map<String, Value>, YamlError> {
        let mut object = Map::new();
        let mut own = BTreeSet::new();
        for (key, value) in entries {
            if is_merge(key) {
                self.merge(key, value, depth, &mut object)?;
                continue;
            }
            let name = self.key(key)?;
            if !own.insert(name.clone()) {
                return fail(key, format!("the key `{name}` is repeated"));
            }
            let value = self.node(value, depth + 1)?;
            object.insert(name, value);
        }
        Ok(object)
    }

    fn key(&self, node: &'a Node) -> Result<String, YamlError> {
        let target = match &node.kind {
            NodeKind::Alias(anchor) if self.dialect == Dialect::Kubernetes => {
                self.anchors.get(anchor).copied()
            }
            _ => Some(node),
        };
        match target.and_then(|target| resolve::key(target, self.dialect)) {
            Some(name) => Ok(name),
            None => fail(node, "mapping keys must be strings"),
        }
    }

    /// `<<: *a`, `<<: {…}` or `<<: [*a, *b]`, of which the first wins.
    fn merge(
        &mut self,
        key: &Node,
        value: &'a Node,
        depth: usize,
        object: &mut Map<String, Value>,
    ) -> Result<(), YamlError> {
        if self.dialect == Dialect::Esc {
            return fail(key, "merge keys are not supported");
        }
        let sources = match &value.kind {
            NodeKind::Sequence(items, _) => items.as_slice(),
            _ => std::slice::from_ref(value),
        };
        for source in sources.iter().rev() {
            match self.node(source, depth + 1)? {
                Value::Object(merged) => object.extend(merged),
                _ => return fail(source, "a merge key needs a mapping or a sequence of mappings"),
            }
        }
        Ok(())
    }
}

fn is_merge(key: &Node) -> bool {
    match &key.kind {
        NodeKind::Scalar { text, plain, tag, .. } => {
            text == "<<" && ((*plain && tag.is_none()) || tag.as_deref() == Some("!!merge"))
        }
        _ => false,
    }
}

fn fail<T>(node: &Node, message: impl Into<String>) -> Result<T, YamlError> {
    Err(YamlError { mark: node.start, message: message.into() })
}

#[cfg(test)]
mod tests {
    use super::to_json;
    use crate::yaml::{Dialect, NodeKind, parse};

    fn json(text: &str, dialect: Dialect) -> Result<String, String> {
        let documents = parse(text).map_err(|error| error.to_string())?;
        to_json(&documents[0], dialect).map(|value| value.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn keeps_order_and_exact_integers() {
        for dialect in [Dialect::Kubernetes, Dialect::Esc] {
            assert_eq!(
                json("z: 18446744073709551615\na: [1, x, null, {}]\nm: true\n", dialect).unwrap(),
                r#"{"z":18446744073709551615,"a":[1,"x",null,{}],"m":true}"#
            );
        }
    }

    /// Seen with sigs.k8s.io/yaml 1.4.0, except for the order of keys.
    #[test]
    fn expands_anchors_and_merge_keys_as_kubectl_does() {
        for (text, expected) in [
            ("x: &a [1]\nz: *a", r#"{"x":[1],"z":[1]}"#),
            ("a: &k foo\n*k : 2", r#"{"a":"foo","foo":2}"#),
            ("a: &x {b: 1, c: 2}\nd: {<<: *x, b: 9}", r#"{"a":{"b":1,"c":2},"d":{"b":9,"c":2}}"#),
            ("a: &x {b: 1, c: 2}\nd: {b: 9, <<: *x}", r#"{"a":{"b":1,"c":2},"d":{"b":1,"c":2}}"#),
            (
                "a: &x {b: 1}\nc: &y {b: 2, z: 3}\nd: {<<: [*x, *y]}",
                r#"{"a":{"b":1},"c":{"b":2,"z":3},"d":{"b":1,"z":3}}"#,
            ),
            ("d: {<<: {b: 1}, c: 2}", r#"{"d":{"b":1,"c":2}}"#),
            ("d: {<<: {q: 1}, <<: {r: 2}}", r#"{"d":{"q":1,"r":2}}"#),
            ("d: {'<<': {b: 1}}", r#"{"d":{"<<":{"b":1}}}"#),
            (
                "1: a\ntrue: b\non2: c\n1.5: d\n1e6: e\n0x10: f",
                r#"{"1":"a","true":"b","on2":"c","1.5":"d","1e+06":"e","16":"f"}"#,
            ),
        ] {
            assert_eq!(json(text, Dialect::Kubernetes).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn refuses_what_it_can_not_carry() {
        for (text, expected) in [
            ("a: 1\na: 2", "line 2, column 1: the key `a` is repeated"),
            ("1: a\n'1': b", "line 2, column 1: the key `1` is repeated"),
            ("~: a", "line 1, column 1: mapping keys must be strings"),
            ("[a]: b", "line 1, column 1: mapping keys must be strings"),
            ("? {a: b}\n: c", "line 1, column 3: mapping keys must be strings"),
            ("d: {<<: 1}", "line 1, column 9: a merge key needs a mapping or a sequence of mappings"),
            ("a: &x [*x]", "line 1, column 8: the anchor contains itself"),
            ("a: .nan", "line 1, column 4: JSON has no NaN and no infinity"),
        ] {
            assert_eq!(json(text, Dialect::Kubernetes).unwrap_err(), expected, "{text}");
        }
    }

    #[test]
    fn esc_has_no_aliases_and_only_string_keys() {
        for (text, expected) in [
            ("x: &a 1\ny: *a", "line 2, column 4: alias nodes are not supported"),
            ("<<: {a: 1}", "line 1, column 1: merge keys are not supported"),
            ("1: a", "line 1, column 1: mapping keys must be strings"),
            ("true: a", "line 1, column 1: mapping keys must be strings"),
        ] {
            assert_eq!(json(text, Dialect::Esc).unwrap_err(), expected, "{text}");
        }
        assert_eq!(json("yes: &a 1", Dialect::Esc).unwrap(), r#"{"yes":1}"#);
    }

    #[test]
    fn an_alias_does_not_reach_beyond_what_is_read() {
        assert!(parse("a: &x 1\n---\nb: *x\n").is_err());
        let NodeKind::Sequence(items, _) = parse("[&x 1, [*x]]").unwrap().remove(0).kind else {
            panic!("a sequence")
        };
        let error = to_json(&items[1], Dialect::Kubernetes).unwrap_err();
        assert_eq!(error.to_string(), "line 1, column 9: the anchor stands elsewhere in the text");
    }

    #[test]
    fn bombs_run_out_of_budget() {
        let bomb = |width: usize, levels: usize| {
            let level = |level: usize| {
                let below = if level == 0 { "x".to_owned() } else { format!("*a{}", level - 1) };
                format!("a{level}: &a{level} [{}]", vec![below; width].join(", "))
            };
            (0..levels).map(level).collect::<Vec<_>>().join("\n")
        };
        assert!(json(&bomb(9, 9), Dialect::Kubernetes).unwrap_err().contains("too much"));
        assert!(json(&bomb(1, 128), Dialect::Kubernetes).unwrap_err().contains("nested deeper"));
        assert!(json(&bomb(1, 127), Dialect::Kubernetes).is_ok());

        let long = format!("a: &a {}\nb: [{}]\n", "x".repeat(100_000), ["*a"; 10].join(", "));
        assert!(json(&long, Dialect::Kubernetes).unwrap_err().contains("too much"));
    }
}
