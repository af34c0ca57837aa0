//! Reading raw objects of Kubernetes: fields and names.

use serde_json::Value;

/// A text below an object, by JSON pointer.
pub fn text<'a>(object: &'a Value, pointer: &str) -> Option<&'a str> {
    object.pointer(pointer)?.as_str()
}

/// A list below an object, by JSON pointer; empty if there is none.
pub fn list<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    object.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The kind of an object of this API group, in any version.
pub fn kind_in<'a>(object: &'a Value, group: &str) -> Option<&'a str> {
    let version = text(object, "/apiVersion")?;
    (version.split_once('/')?.0 == group).then(|| text(object, "/kind"))?
}

/// `ExternalSecret shop/db`, for messages.
pub fn name(object: &Value) -> String {
    let kind = text(object, "/kind").unwrap_or("object");
    let name = text(object, "/metadata/name").or_else(|| text(object, "/metadata/generateName"));
    let name = name.unwrap_or("(unnamed)");
    match text(object, "/metadata/namespace") {
        Some(namespace) => format!("{kind} {namespace}/{name}"),
        None => format!("{kind} {name}"),
    }
}

/// The namespace of an object, and its name.
pub fn namespaced(object: &Value, default: &str) -> (String, String) {
    let namespace = text(object, "/metadata/namespace").unwrap_or(default);
    (namespace.to_owned(), text(object, "/metadata/name").unwrap_or_default().to_owned())
}
