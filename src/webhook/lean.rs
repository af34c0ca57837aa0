//! Reads a review without what no decision needs: `metadata.managedFields`, which is half of many pods, the old
//! object, the user. To build and drop those trees would cost more than the whole admission.
//!
//! It knows reviews as the API server writes them. Whatever else comes is read again by [`super::review`], whole and
//! leniently, so nothing is refused here.

use std::fmt;

use serde::{
    Deserialize,
    de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor},
};
use serde_json::{Map, Value};

/// The review, with the request as a map of what matters.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Lean {
    #[serde(default)]
    pub(super) api_version: Value,
    #[serde(default)]
    pub(super) kind: Value,
    #[serde(deserialize_with = "request")]
    pub(super) request: Map<String, Value>,
}

/// A JSON object of which some members are left out, and one is read by rules of its own.
struct Object {
    skip: fn(&str) -> bool,
    inner: Option<(&'static str, &'static Object)>,
}

const REQUEST: Object = Object {
    skip: |key| {
        !matches!(key, "uid" | "resource" | "subResource" | "operation" | "namespace" | "dryRun" | "object")
    },
    inner: Some(("object", &POD)),
};
const POD: Object = Object { skip: |_| false, inner: Some(("metadata", &METADATA)) };
const METADATA: Object = Object { skip: |key| key == "managedFields", inner: None };

fn request<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Map<String, Value>, D::Error> {
    (&REQUEST).deserialize(deserializer)
}

impl<'de> DeserializeSeed<'de> for &Object {
    type Value = Map<String, Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for &Object {
    type Value = Map<String, Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = members.next_key::<String>()? {
            if (self.skip)(&key) {
                members.next_value::<IgnoredAny>()?;
                continue;
            }
            let value = match self.inner {
                Some((name, inner)) if name == key => Value::Object(members.next_value_seed(inner)?),
                _ => members.next_value()?,
            };
            map.insert(key, value);
        }
        Ok(map)
    }
}
