//! A pod's JSON, as much of it as is looked at or written here.
//!
//! It borrows from the text that brought it, and what nobody here looks at is passed over while reading: of a large pod,
//! most. Every list keeps all its elements, so positions are those of the pod.

use std::{borrow::Cow, fmt};

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::Value;

use super::{
    json::{Json, Members},
    names::{AGENT, is_our_volume},
};

/// A pod as it was sent. Whatever else the text is, such as a number, is kept too: who reads it says what is wrong.
#[derive(Clone)]
pub struct Document<'a>(Json<'a>);

/// Which part of a value is kept.
#[derive(Clone, Copy)]
enum Keep {
    All,
    /// Of an object, these members, and of them what is said there.
    Members(&'static [(&'static str, Keep)]),
    /// Of each object of a list, these members; all of one whose name says that it is ours.
    Elements {
        kept: &'static [&'static str],
        ours: fn(&str) -> bool,
    },
    /// The same, of one object.
    Element {
        kept: &'static [&'static str],
        ours: fn(&str) -> bool,
    },
}

/// What decisions go by, and what is written.
const POD: Keep = Keep::Members(&[("metadata", METADATA), ("spec", SPEC)]);

const METADATA: Keep = Keep::Members(&[
    ("name", Keep::All),
    ("generateName", Keep::All),
    ("annotations", Keep::All),
    ("ownerReferences", Keep::All),
]);

const SPEC: Keep = Keep::Members(&[
    ("volumes", Keep::Elements { kept: &["name"], ours: is_our_volume }),
    ("initContainers", CONTAINERS),
    ("containers", CONTAINERS),
    ("securityContext", Keep::All),
    ("resources", Keep::All),
    ("restartPolicy", Keep::All),
    ("shareProcessNamespace", Keep::All),
    ("hostPID", Keep::All),
    ("os", Keep::All),
    ("nodeSelector", Keep::All),
]);

const CONTAINERS: Keep = Keep::Elements {
    kept: &[
        "name",
        "command",
        "args",
        "env",
        "ports",
        "volumeMounts",
        "resources",
        "restartPolicy",
        "securityContext",
    ],
    ours: |name| name == AGENT,
};

impl<'a> Document<'a> {
    /// The pod.
    pub fn root(&self) -> &Json<'a> {
        &self.0
    }

    /// Whether it is a JSON object, as every pod is.
    pub fn is_object(&self) -> bool {
        self.0.as_object().is_some()
    }

    /// What stands in its metadata.
    pub fn metadata(&self, key: &str) -> Option<&Json<'a>> {
        self.0.get("metadata")?.get(key)
    }

    /// Its annotations.
    pub fn annotations(&self) -> Option<&Members<'a>> {
        self.metadata("annotations")?.as_object()
    }
}

impl From<Value> for Document<'static> {
    fn from(pod: Value) -> Self {
        Self(POD.part_of(pod))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Document<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        POD.deserialize(deserializer).map(Self)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Json<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Keep::All.deserialize(deserializer)
    }
}

/// How `serde_json` hands over a number that no integer holds: as an object with this one member. The name is its own
/// affair; `numbers_stay_as_they_were_written` tells if it ever changes.
const NUMBER: &str = "$serde_json::private::Number";

impl<'de> DeserializeSeed<'de> for Keep {
    type Value = Json<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Keep {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json<'de>, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Json<'de>, E> {
        Ok(Json::Bool(flag))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Json<'de>, E> {
        Ok(Json::Number(number.into()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Json<'de>, E> {
        Ok(Json::Number(number.into()))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json<'de>, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self.element())? {
            list.push(item);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json<'de>, A::Error> {
        let mut kept = Members::default();
        let mut gate = Gate::new(self);
        while let Some(Key(key)) = members.next_key()? {
            if key == NUMBER {
                let digits: String = members.next_value()?;
                return digits.parse().map(Json::Number).map_err(|_| A::Error::custom("a number is none"));
            }
            let Some(keep) = gate.keep(&key) else {
                members.next_value::<IgnoredAny>()?;
                continue;
            };
            let value = members.next_value_seed(keep)?;
            gate.passed(&key, &value);
            kept.push(key, value);
        }
        Ok(Json::Object(kept))
    }
}

impl Keep {
    /// What is kept of each element of a list.
    fn element(self) -> Self {
        match self {
            Self::Elements { kept, ours } => Self::Element { kept, ours },
            _ => Self::All,
        }
    }

    /// The same of a tree as of a text.
    fn part_of(self, value: Value) -> Json<'static> {
        match value {
            Value::Null => Json::Null,
            Value::Bool(flag) => Json::Bool(flag),
            Value::Number(number) => Json::Number(number),
            Value::String(text) => Json::from(text),
            Value::Array(items) => items.into_iter().map(|item| self.element().part_of(item)).collect(),
            Value::Object(members) => {
                let mut kept = Members::default();
                let mut gate = Gate::new(self);
                for (key, value) in members {
                    let Some(keep) = gate.keep(&key) else { continue };
                    let value = keep.part_of(value);
                    gate.passed(&key, &value);
                    kept.push(key, value);
                }
                Json::Object(kept)
            }
        }
    }
}

/// Lets members of one object pass.
struct Gate {
    keep: Keep,
    /// Whether the others are passed over. An element is kept whole until its name says that nobody asks for the rest; the
    /// API server writes names first.
    is_narrow: bool,
}

impl Gate {
    fn new(keep: Keep) -> Self {
        Self { keep, is_narrow: matches!(keep, Keep::Members(_)) }
    }

    /// What is kept of a member; none where nobody looks at it.
    fn keep(&self, key: &str) -> Option<Keep> {
        let named = match self.keep {
            Keep::Members(members) => members.iter().find(|(name, _)| *name == key).map(|(_, keep)| *keep),
            Keep::Element { kept, .. } => kept.contains(&key).then_some(Keep::All),
            Keep::All | Keep::Elements { .. } => None,
        };
        named.or((!self.is_narrow).then_some(Keep::All))
    }

    fn passed(&mut self, key: &str, value: &Json<'_>) {
        if let (Keep::Element { ours, .. }, "name", Some(name)) = (self.keep, key, value.as_str()) {
            self.is_narrow = !ours(name);
        }
    }
}

/// The name of a member, borrowed where nothing in it is escaped.
struct Key<'de>(Cow<'de, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Key<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a member")
            }

            fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(key)))
            }

            fn visit_str<E>(self, key: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(key.to_owned())))
            }
        }
        deserializer.deserialize_str(Reader)
    }
}

// A pod must not get into a log by way of `{:?}`.
impl fmt::Debug for Document<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Document")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> Value {
        serde_json::from_str::<Document<'_>>(text).unwrap().root().to_value()
    }

    #[test]
    fn keeps_what_is_looked_at_and_every_place_in_a_list() {
        let pod = json!({
            "kind": "Pod",
            "metadata": {"name": "shop", "labels": {"a": "b"}, "annotations": {"x": "y"}, "managedFields": [{}]},
            "spec": {
                "volumes": [
                    {"name": "data", "emptyDir": {}},
                    {"emptyDir": {"medium": "Memory"}, "name": "late"},
                    {"name": "esc-files-1", "emptyDir": {"sizeLimit": "16Mi"}},
                    null,
                ],
                "initContainers": [{"name": "esc-agent", "image": "x", "startupProbe": {"periodSeconds": 1}}],
                "containers": [{"name": "app", "image": "x", "args": ["a"], "env": [{"name": "A", "value": "1"}]}],
                "tolerations": [{}],
            },
            "status": {},
        });
        let expected = json!({
            "metadata": {"name": "shop", "annotations": {"x": "y"}},
            "spec": {
                "volumes": [
                    {"name": "data"},
                    {"emptyDir": {"medium": "Memory"}, "name": "late"},
                    {"name": "esc-files-1", "emptyDir": {"sizeLimit": "16Mi"}},
                    null,
                ],
                "initContainers": [{"name": "esc-agent", "image": "x", "startupProbe": {"periodSeconds": 1}}],
                "containers": [{"name": "app", "args": ["a"], "env": [{"name": "A", "value": "1"}]}],
            },
        });
        assert_eq!(read(&pod.to_string()), expected);
    }

    #[test]
    fn numbers_stay_as_they_were_written() {
        let text = r#"{"metadata":{"annotations":{"a":1.50,"b":123456789012345678901234567890,"c":-0}}}"#;
        assert_eq!(read(text).to_string(), text);
        let document: Document<'_> =
            serde_json::from_str(r#"{"spec":{"securityContext":{"runAsUser":65532}}}"#).unwrap();
        let user = document.root().get("spec").and_then(|spec| spec.get("securityContext")?.get("runAsUser"));
        assert_eq!(user.and_then(Json::as_i64), Some(65532));
    }

    #[test]
    fn what_is_no_pod_is_kept_for_who_says_so() {
        for text in [
            "null",
            "7",
            "\"pod\"",
            "[{}]",
            r#"{"spec":7,"metadata":[1]}"#,
            r#"{"spec":{"containers":{"a":1}}}"#,
        ] {
            assert_eq!(read(text).to_string(), text);
        }
    }

    #[test]
    fn shows_nothing_of_a_pod_when_it_is_debugged() {
        let document: Document<'_> = serde_json::from_str(r#"{"metadata":{"name":"planted"}}"#).unwrap();
        assert_eq!(format!("{document:?}"), "Document");
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(json!(null)),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".{0,6}".prop_map(Value::from)
        ];
        leaf.prop_recursive(4, 64, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::vec((".{0,4}", inner), 0..6)
                    .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn text_and_tree_are_read_alike(annotations in json()) {
            let pod = json!({"metadata": {"annotations": annotations}});
            prop_assert_eq!(&read(&pod.to_string()), &pod);
            prop_assert_eq!(Document::from(pod.clone()).root().to_value(), pod);
        }
    }
}
