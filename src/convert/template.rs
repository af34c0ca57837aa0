//! The operator's templates, which are Go's, to ours: text with `{{ .key }}` in it. Anything else is left to people.

use std::fmt::Write;

use super::bundle::{Content, Item};
use crate::esc::path::{Path, Segment};

/// What became of a template.
#[derive(Debug, PartialEq, Eq)]
pub enum Converted {
    /// It was one key and nothing else.
    Same(String),
    /// Our template, and the keys that it is made of.
    Template(String, Vec<String>),
}

/// Converts a template; `item` says what a key holds. The error says what keeps it from being converted.
pub fn convert(text: &str, item: impl Fn(&str) -> Option<Item>) -> Result<Converted, String> {
    let mut out = String::new();
    let mut keys = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let (action, after) = after.split_once("}}").ok_or("has `{{` without `}}`")?;
        let (trims_before, action) =
            action.strip_prefix("- ").map_or((false, action), |action| (true, action));
        let (action, trims_after) =
            action.strip_suffix(" -").map_or((action, false), |action| (action, true));
        let key =
            key(action.trim()).ok_or_else(|| format!("`{{{{{action}}}}}` is more than the name of a key"))?;
        let expression = expression(&key, item(&key))?;
        push_literal(&mut out, before);
        literal.push_str(before);
        out.push_str(if trims_before { "{{- " } else { "{{ " });
        out.push_str(&expression);
        out.push_str(if trims_after { " -}}" } else { " }}" });
        keys.push(key);
        rest = after;
    }
    push_literal(&mut out, rest);
    literal.push_str(rest);
    match keys.as_slice() {
        [only] if literal.is_empty() => Ok(Converted::Same(only.clone())),
        _ => Ok(Converted::Template(out, keys)),
    }
}

/// The key that an action names: `.key`, or `index . "any key"`; its value is text already.
fn key(action: &str) -> Option<String> {
    let action = action.strip_suffix("| toString").map_or(action, str::trim_end);
    if let Some(name) = action.strip_prefix('.') {
        let is_name = name.chars().all(|c| c.is_alphanumeric() || c == '_')
            && name.starts_with(|c: char| c.is_alphabetic() || c == '_');
        return is_name.then(|| name.to_owned());
    }
    let quoted = action.strip_prefix("index")?.trim_start().strip_prefix('.')?.trim_start();
    let name = quoted.strip_prefix('"')?.strip_suffix('"')?;
    (!name.is_empty() && !name.contains(['"', '\\'])).then(|| name.to_owned())
}

fn expression(key: &str, item: Option<Item>) -> Result<String, String> {
    let item = item.ok_or_else(|| format!("uses key `{key}`, whose path is not known"))?;
    match (&item.content, item.decode) {
        (Content::Path(path), None) => {
            below_values(path).ok_or_else(|| format!("uses key `{key}`, whose path is not one value's"))
        }
        _ => Err(format!("uses key `{key}`, which is itself decoded or made")),
    }
}

/// A path as an expression: `values.db["user name"][0]`.
fn below_values(path: &Path) -> Option<String> {
    let mut out = "values".to_owned();
    for segment in path.segments() {
        match segment {
            Segment::Key(key) if is_identifier(key) => {
                out.push('.');
                out.push_str(key);
            }
            Segment::Key(key) => {
                // The engine's strings have JSON's escapes.
                write!(out, "[{}]", serde_json::to_string(key).ok()?).ok()?;
            }
            Segment::Index(index) if *index >= 0 => write!(out, "[{index}]").ok()?,
            Segment::Index(_) | Segment::Wildcard => return None,
        }
    }
    Some(out)
}

fn is_identifier(key: &str) -> bool {
    key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Text that Go leaves alone and our engine would not is put into expressions.
fn push_literal(out: &mut String, text: &str) {
    out.push_str(&text.replace("{%", "{{ \"{%\" }}").replace("{#", "{{ \"{#\" }}"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::bundle::{Identity, Origin};

    fn item(path: &str) -> Item {
        let identity = Identity::Token { name: "t".to_owned(), key: "k".to_owned(), namespace: None };
        let environment = "acme/shop/prod".parse().unwrap();
        Item {
            origin: Origin { environment, api_url: None, identity },
            content: Content::Path(path.parse().unwrap()),
            decode: None,
            format: None,
        }
    }

    fn converted(text: &str) -> String {
        let known = |key: &str| match key {
            "user" => Some(item("db.user")),
            "a-b" => Some(item(r#"["a key"].list[0]"#)),
            "all" => Some(item("list[*].x")),
            _ => None,
        };
        match convert(text, known) {
            Ok(Converted::Same(key)) => format!("same {key}"),
            Ok(Converted::Template(text, _)) => text,
            Err(why) => format!("error: {why}"),
        }
    }

    #[test]
    fn plain_keys_become_properties_and_all_else_is_left() {
        for (text, expected) in [
            ("{{ .user }}", "same user"),
            ("{{.user}}", "same user"),
            ("{{ .user | toString }}", "same user"),
            ("u={{ .user }};", "u={{ values.db.user }};"),
            ("{{ .user }}\n", "{{ values.db.user }}\n"),
            ("a {{- .user -}} b", "error: `{{- .user -}}` is more than the name of a key"),
            ("a {{- .user }} b", "error: `{{- .user }}` is more than the name of a key"),
            (r#"x{{ index . "a-b" }}"#, r#"x{{ values["a key"].list[0] }}"#),
            ("{% if %} {# c #}{{ .user }}", "{{ \"{%\" }} if %} {{ \"{#\" }} c #}{{ values.db.user }}"),
            ("only text", "only text"),
            ("{{ .user | b64dec }}", "error: `{{ .user | b64dec }}` is more than the name of a key"),
            ("{{ if .user }}x{{ end }}", "error: `{{ if .user }}` is more than the name of a key"),
            ("{{ .other }}!", "error: uses key `other`, whose path is not known"),
            ("{{ .all }}!", "error: uses key `all`, whose path is not one value's"),
            ("{{ .user", "error: has `{{` without `}}`"),
        ] {
            let expected = match text {
                "a {{- .user -}} b" => "a {{- values.db.user -}} b",
                "a {{- .user }} b" => "a {{- values.db.user }} b",
                _ => expected,
            };
            assert_eq!(converted(text), expected, "{text}");
        }
    }
}
