//! The objects of a document: those of lists as well, and what namespaces among them say.

use serde_json::Value;

use super::locate::Step;
use crate::inject::Namespace;

/// The members of a List (`List`, `PodList`, …), or of a bare array, and the key that leads to them.
pub fn items(value: &Value) -> Option<(Option<&'static str>, &Vec<Value>)> {
    const ITEMS: &str = "items";
    let is_list = value.get("kind").and_then(Value::as_str).is_some_and(|kind| kind.ends_with("List"));
    if is_list && let Some(items) = value.get(ITEMS).and_then(Value::as_array) {
        return Some((Some(ITEMS), items));
    }
    Some((None, value.as_array()?))
}

/// Whether it is a List, and of nothing.
pub fn is_empty_list(value: &Value) -> bool {
    items(value).is_some_and(|(key, items)| key.is_some() && items.is_empty())
}

/// Shows every object, with what leads to it.
pub fn visit<'v>(value: &'v Value, see: &mut impl FnMut(&'v Value, &[Step])) {
    below(value, &mut Vec::new(), see);
}

fn below<'v>(value: &'v Value, base: &mut Vec<Step>, see: &mut impl FnMut(&'v Value, &[Step])) {
    let Some((key, items)) = items(value) else {
        if value.is_object() {
            see(value, base);
        }
        return;
    };
    let depth = base.len();
    base.extend(key.map(Step::from));
    for (index, item) in items.iter().enumerate() {
        base.push(Step::Index(index));
        below(item, base, see);
        base.pop();
    }
    base.truncate(depth);
}

/// The texts of an object's labels or annotations.
pub fn texts<'v>(metadata: &'v Value, key: &str) -> impl Iterator<Item = (&'v str, &'v str)> {
    let entries = metadata.get(key).and_then(Value::as_object).into_iter().flatten();
    entries.filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)))
}

/// Name and words of an object that is a namespace.
pub fn namespace(object: &Value) -> Option<(&str, Namespace)> {
    if object.get("kind")?.as_str()? != "Namespace" {
        return None;
    }
    let metadata = object.get("metadata")?;
    let says = Namespace::read(texts(metadata, "labels"), texts(metadata, "annotations"));
    Some((metadata.get("name")?.as_str()?, says))
}
