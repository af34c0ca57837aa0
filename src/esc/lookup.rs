//! Follows property paths into values, and says what is near where one leads nowhere.

use super::{
    path::{Path, Segment, below_index, below_key},
    value::{Kind, Value},
};

/// A path leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.describe())]
pub struct NotFound {
    /// The path that was asked for.
    pub path: String,
    /// The longest part that exists; empty for the root.
    pub resolved: String,
    /// The segment that was missing there.
    pub missing: String,
    /// The nearest name that exists there, if one is near.
    pub suggestion: Option<String>,
    /// The names that exist there. For the agent's log only, never for error texts.
    pub available: Vec<String>,
}

impl NotFound {
    fn describe(&self) -> String {
        let Self { path, resolved, missing, suggestion, .. } = self;
        let place = if resolved.is_empty() { "the environment".to_owned() } else { format!("`{resolved}`") };
        let hint = suggestion.as_ref().map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
        format!("`{path}` does not exist: {place} has no `{missing}`{hint}")
    }
}

impl Path {
    /// Looks the path up. Wildcards over arrays collect into an array.
    ///
    /// A path into an unknown value leads to an unknown value: what is missing there is the computation.
    pub fn get(&self, root: &Value) -> Result<Value, NotFound> {
        lookup(root, self.segments()).map_err(|Missing { resolved, at, segment, rest }| NotFound {
            path: self.as_str().to_owned(),
            resolved,
            missing: segment.to_string(),
            suggestion: suggest(at, segment, rest),
            available: names(at).map(str::to_owned).collect(),
        })
    }
}

/// What to say of a key or index that a value does not have. `resolved` is the value's own path.
pub(crate) fn not_found(at: &Value, resolved: &str, key: &str) -> NotFound {
    let segment = match (&at.kind, key.parse()) {
        (Kind::Array(_), Ok(index)) => Segment::Index(index),
        _ => Segment::Key(key.to_owned()),
    };
    let missing = segment.to_string();
    let dot = if resolved.is_empty() || missing.starts_with('[') { "" } else { "." };
    NotFound {
        path: format!("{resolved}{dot}{missing}"),
        resolved: resolved.to_owned(),
        suggestion: suggest(at, &segment, &[]),
        available: names(at).map(str::to_owned).collect(),
        missing,
    }
}

/// Where a look-up ended: the part that exists, the value there, and the segment that it does not have.
struct Missing<'a> {
    resolved: String,
    at: &'a Value,
    segment: &'a Segment,
    rest: &'a [Segment],
}

impl Missing<'_> {
    fn below(mut self, step: impl FnOnce(&str) -> String) -> Self {
        self.resolved = step(&self.resolved);
        self
    }
}

fn lookup<'a>(value: &'a Value, segments: &'a [Segment]) -> Result<Value, Missing<'a>> {
    let Some((segment, rest)) = segments.split_first() else { return Ok(value.clone()) };
    let missing = || Missing { resolved: String::new(), at: value, segment, rest };
    match (&value.kind, segment) {
        (Kind::Unknown, _) => Ok(value.clone()),
        (Kind::Object(entries), Segment::Key(_) | Segment::Wildcard) => {
            let name = if let Segment::Key(name) = segment { name } else { "*" };
            let inner = entries.get(name).ok_or_else(missing)?;
            lookup(inner, rest).map_err(|missing| missing.below(|below| below_key(name, below)))
        }
        (Kind::Array(items), Segment::Index(wanted)) => {
            let index = usize::try_from(*wanted).map_err(|_| missing())?;
            let inner = items.get(index).ok_or_else(missing)?;
            lookup(inner, rest).map_err(|missing| missing.below(|below| below_index(index, below)))
        }
        (Kind::Array(items), Segment::Wildcard) => {
            let select = |(index, item)| {
                lookup(item, rest).map_err(|missing| missing.below(|below| below_index(index, below)))
            };
            let selected = items.iter().enumerate().map(select).collect::<Result<_, _>>()?;
            Ok(Value { kind: Kind::Array(selected), secret: value.secret })
        }
        _ => Err(missing()),
    }
}

/// The names that exist below a value.
fn names(value: &Value) -> impl Iterator<Item = &str> {
    let entries = if let Kind::Object(entries) = &value.kind { Some(entries) } else { None };
    entries.into_iter().flat_map(|entries| entries.keys().map(String::as_str))
}

/// What was probably meant, in the form in which it has to be written.
fn suggest(at: &Value, segment: &Segment, rest: &[Segment]) -> Option<String> {
    let Segment::Key(wanted) = segment else { return None };
    if let Kind::Array(items) = &at.kind {
        let index: usize = wanted.parse().ok()?;
        return (index < items.len()).then(|| format!("[{index}]"));
    }
    let nearest = dotted_name(at, wanted, rest).or_else(|| nearest_name(at, wanted))?;
    Some(below_key(nearest, ""))
}

/// A key with dots whose dots were taken for steps: `files.ca.crt` for `files["ca.crt"]`.
fn dotted_name<'a>(at: &'a Value, wanted: &str, rest: &[Segment]) -> Option<&'a str> {
    let mut name = wanted.to_owned();
    rest.iter().find_map(|segment| {
        let Segment::Key(next) = segment else { return None };
        name = format!("{name}.{next}");
        names(at).find(|existing| *existing == name)
    })
}

/// The nearest name, if it is near enough that a slip of the finger explains the difference.
fn nearest_name<'a>(at: &'a Value, wanted: &str) -> Option<&'a str> {
    let allowed = (wanted.chars().count() / 3).max(1);
    names(at)
        .map(|name| (strsim::osa_distance(&name.to_lowercase(), &wanted.to_lowercase()), name))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use crate::esc::{path::Path, render, value::Value};

    /// Wraps plain JSON as ESC does.
    fn wrap(plain: &serde_json::Value) -> serde_json::Value {
        let payload = match plain {
            serde_json::Value::Array(items) => items.iter().map(wrap).collect(),
            serde_json::Value::Object(entries) => serde_json::Value::Object(
                entries.iter().map(|(key, value)| (key.clone(), wrap(value))).collect(),
            ),
            scalar => scalar.clone(),
        };
        serde_json::json!({ "value": payload })
    }

    fn environment(plain: &serde_json::Value) -> Value {
        let properties = wrap(plain)["value"].clone();
        Value::from_environment(serde_json::json!({ "properties": properties }).to_string().as_bytes())
            .unwrap()
    }

    /// The JSON at a path, or the whole error text.
    fn get(environment: &Value, path: &str) -> String {
        match path.parse::<Path>().unwrap().get(environment) {
            Ok(value) => {
                render::render(&value, render::Format::Json).unwrap().expose_str().unwrap().to_owned()
            }
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn gets_what_the_reference_gets() {
        let plain = serde_json::json!({
            "a": {"b": [{"c": 1}, 2, [3]], "0": "z", "*": "star", "": "e", "x.y": "dot"}, "n": null,
        });
        let environment = environment(&plain);
        for (path, expected) in [
            ("a.b[0].c", "1"),
            ("a.b[2][0]", "3"),
            ("a.0", r#""z""#),
            ("a[*]", r#""star""#),
            (r#"a["*"]"#, r#""star""#),
            ("a.*", r#""star""#),
            (r#"a[""]"#, r#""e""#),
            (r#"a["x.y"]"#, r#""dot""#),
            ("n", "null"),
        ] {
            assert_eq!(get(&environment, path), expected, "{path}");
        }
        for path in [
            "a.b[3]",
            "a.b[-1]",
            "a.b.0",
            "a[0]",
            "a.x.y",
            "n.x",
            "n[0]",
            "n[*]",
            "b",
            "a.b[9223372036854775807]",
        ] {
            assert!(get(&environment, path).contains("does not exist"), "{path}");
        }
        assert_eq!(get(&environment, "."), environment_json(&plain));
    }

    fn environment_json(plain: &serde_json::Value) -> String {
        let mut plain = plain.clone();
        plain.sort_all_objects();
        plain.to_string()
    }

    /// The 17 examples of the External Secrets Operator's document.
    #[test]
    fn gets_every_example_of_the_documentation() {
        let mut array: Vec<_> =
            (0..101).map(|index| serde_json::json!({"nested": index, "field": index})).collect();
        array[0] = serde_json::json!({"nested": "first", "field": "f"});
        let many = serde_json::Value::Array(array);
        let fields: Vec<_> =
            (0..101).map(|i| if i == 0 { "\"f\"".to_owned() } else { i.to_string() }).collect();
        let fields = format!("[{}]", fields.join(","));
        let environment = environment(&serde_json::json!({
            "root": {
                "nested": {"array": [{"double": [0, "n.a.d1"]}]},
                "double": {"nest": "dn"},
                "array": many,
                "array2": [[0, {"nested": "a2"}]],
                "key with \"escaped\" quotes": "quotes",
                "key with a .": "dot",
            },
            "root key with \"escaped\" quotes": {"nested": "rq"},
            "root key with a .": many,
        }));
        for (path, expected) in [
            ("root.nested", r#"{"array":[{"double":[0,"n.a.d1"]}]}"#),
            (r#"root["nested"]"#, r#"{"array":[{"double":[0,"n.a.d1"]}]}"#),
            ("root.double.nest", r#""dn""#),
            (r#"root["double"].nest"#, r#""dn""#),
            (r#"root["double"]["nest"]"#, r#""dn""#),
            ("root.array[0]", r#"{"field":"f","nested":"first"}"#),
            ("root.array[100]", r#"{"field":100,"nested":100}"#),
            ("root.array[0].nested", r#""first""#),
            // The document writes `array` here too, which can't hold objects and arrays at once.
            ("root.array2[0][1].nested", r#""a2""#),
            ("root.nested.array[0].double[1]", r#""n.a.d1""#),
            (r#"root["key with \"escaped\" quotes"]"#, r#""quotes""#),
            (r#"root["key with a ."]"#, r#""dot""#),
            (r#"["root key with \"escaped\" quotes"].nested"#, r#""rq""#),
            (r#"["root key with a ."][100]"#, r#"{"field":100,"nested":100}"#),
            ("root.array[*].field", fields.as_str()),
            (r#"root.array["*"].field"#, fields.as_str()),
        ] {
            assert_eq!(get(&environment, path), expected, "{path}");
        }
        assert!(get(&environment, "root").starts_with(r#"{"array":[{"field":"f""#));
    }

    #[test]
    fn wildcards_select_from_arrays() {
        let environment = environment(&serde_json::json!({
            "users": [{"name": "ann", "tags": ["a", "b"]}, {"name": "bob", "tags": []}],
            "grid": [[1, 2], [3]], "empty": [], "mixed": [{"name": 1}, {}],
        }));
        for (path, expected) in [
            ("users[*].name", r#"["ann","bob"]"#),
            (r#"users["*"].name"#, r#"["ann","bob"]"#),
            ("users.*.name", r#"["ann","bob"]"#),
            ("users[*].tags[*]", r#"[["a","b"],[]]"#),
            ("grid[*]", "[[1,2],[3]]"),
            ("grid[*][0]", "[1,3]"),
            ("empty[*].name", "[]"),
            ("mixed[*].name", "`mixed[*].name` does not exist: `mixed[1]` has no `name`"),
            ("grid[*][1]", "`grid[*][1]` does not exist: `grid[1]` has no `[1]`"),
            ("*", "`*` does not exist: the environment has no `[*]`"),
        ] {
            assert_eq!(get(&environment, path), expected, "{path}");
        }
    }

    #[test]
    fn a_missing_path_says_what_is_near() {
        let environment = environment(&serde_json::json!({
            "db": {"url": "u", "password": "hunter2", "Host": "h"}, "list": [1, 2], "files": {"ca.crt": "c", "a b": 1},
        }));
        for (path, expected) in [
            ("db.pasword", "`db.pasword` does not exist: `db` has no `pasword`; did you mean `password`?"),
            ("db.host", "`db.host` does not exist: `db` has no `host`; did you mean `Host`?"),
            ("dv.url", "`dv.url` does not exist: the environment has no `dv`; did you mean `db`?"),
            ("db.port", "`db.port` does not exist: `db` has no `port`"),
            ("db.url.x", "`db.url.x` does not exist: `db.url` has no `x`"),
            ("list.1", "`list.1` does not exist: `list` has no `1`; did you mean `[1]`?"),
            ("list.2", "`list.2` does not exist: `list` has no `2`"),
            ("list[2]", "`list[2]` does not exist: `list` has no `[2]`"),
            (
                "files.ca.crt",
                r#"`files.ca.crt` does not exist: `files` has no `ca`; did you mean `["ca.crt"]`?"#,
            ),
            (
                r#"files["ab"]"#,
                r#"`files["ab"]` does not exist: `files` has no `ab`; did you mean `["a b"]`?"#,
            ),
        ] {
            assert_eq!(get(&environment, path), expected, "{path}");
        }
        let error = "db.x".parse::<Path>().unwrap().get(&environment).unwrap_err();
        assert_eq!((error.resolved.as_str(), error.missing.as_str()), ("db", "x"));
        assert_eq!(error.available, ["Host", "password", "url"]);
    }

    #[test]
    fn a_path_into_the_unknown_is_unknown() {
        let environment = Value::from_environment(br#"{"properties":{"a":{"unknown":true}}}"#).unwrap();
        let value = "a.b[0]".parse::<Path>().unwrap().get(&environment).unwrap();
        assert!(value.has_unknown());
    }
}
