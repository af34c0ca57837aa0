//! The chart's values, as values.yaml itself comments them.

use esc_injector::yaml::{self, Dialect};
use serde_json::Value;

use super::root;

struct Documented {
    path: String,
    default: String,
    meaning: String,
}

fn text() -> String {
    std::fs::read_to_string(root().join("charts/esc-injector/values.yaml")).unwrap()
}

/// Every value with a comment that begins with `# --`. Its default is written as JSON.
fn documented() -> Vec<Documented> {
    let text = text();
    let defaults = yaml::to_json(&yaml::parse(&text).unwrap()[0], Dialect::Kubernetes).unwrap();
    let mut out = Vec::new();
    let mut parents: Vec<&str> = Vec::new();
    let mut meaning: Option<String> = None;
    for line in text.lines() {
        let content = line.trim_start();
        let depth = (line.len() - content.len()) / 2;
        if let Some(comment) = content.strip_prefix('#') {
            match (comment.trim().strip_prefix("-- "), &mut meaning) {
                (Some(begin), _) => meaning = Some(begin.to_owned()),
                (None, Some(begun)) => *begun = format!("{begun} {}", comment.trim()),
                (None, None) => {}
            }
            continue;
        }
        let key = content.split_once(':').map(|(key, _)| key).filter(|key| !key.starts_with('-'));
        if let Some(key) = key {
            parents.truncate(depth);
            parents.push(key);
            if let Some(meaning) = meaning.take() {
                let default = parents.iter().fold(&defaults, |value, key| &value[*key]);
                out.push(Documented { path: parents.join("."), default: default.to_string(), meaning });
            }
        }
        meaning = None;
    }
    out
}

/// The rows of the table in the chart's README.
pub fn rows() -> impl Iterator<Item = [String; 3]> {
    let escaped = |text: &str| text.replace('<', "&lt;");
    documented().into_iter().map(move |value| {
        [format!("`{}`", value.path), format!("`{}`", value.default), escaped(&value.meaning)]
    })
}

/// What a person can set: everything that is no object, or an empty one.
fn leaves(value: &Value, path: &str, out: &mut Vec<String>) {
    match value.as_object().filter(|object| !object.is_empty()) {
        None => out.push(path.to_owned()),
        Some(object) => {
            for (key, value) in object {
                let below = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                leaves(value, &below, out);
            }
        }
    }
}

#[test]
fn every_value_is_documented() {
    let documented: Vec<_> = documented().into_iter().map(|value| value.path).collect();
    let values = yaml::to_json(&yaml::parse(&text()).unwrap()[0], Dialect::Kubernetes).unwrap();
    let mut all = Vec::new();
    leaves(&values, "", &mut all);
    let covered = |path: &String| {
        documented.iter().any(|known| path == known || path.starts_with(&format!("{known}.")))
    };
    all.retain(|path| !covered(path));
    assert!(all.is_empty(), "values without a comment `# --`: {all:?}");
}
