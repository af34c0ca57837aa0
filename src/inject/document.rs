//! A pod's JSON, as much of it as is looked at or written here.
//!
//! It borrows from the text that brought it, and keeps the members of an object in a list: of a large pod, the trees of
//! maps that [`Value`] makes of it would cost more time than all the rest of an admission. What nobody here looks at is
//! passed over while reading. Every list keeps all its elements, so positions are those of the pod.

use std::{borrow::Cow, fmt};

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::{Number, Value};

use super::names::{AGENT, is_our_volume};

/// A pod as it was sent. Whatever else the text is, such as a number, is kept too: who reads it says what is wrong.
#[derive(Clone)]
pub struct Document<'a>(Json<'a>);

/// A JSON value.
#[derive(Clone)]
pub enum Json<'a> {
    /// `null`.
    Null,
    /// `true`, `false`.
    Bool(bool),
    /// A number, as it was written.
    Number(Number),
    /// A text.
    Text(Cow<'a, str>),
    /// An array.
    List(Vec<Json<'a>>),
    /// An object.
    Object(Members<'a>),
}

/// The members of an object, in order.
#[derive(Clone, Default)]
pub struct Members<'a>(Vec<(Cow<'a, str>, Json<'a>)>);

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

impl<'a> Json<'a> {
    /// A member of an object.
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.as_object()?.get(key)
    }

    /// The members of an object.
    pub fn as_object(&self) -> Option<&Members<'a>> {
        if let Self::Object(members) = self { Some(members) } else { None }
    }

    /// The elements of a list.
    pub fn as_list(&self) -> Option<&[Self]> {
        if let Self::List(items) = self { Some(items) } else { None }
    }

    /// A text.
    pub fn as_str(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// True or false.
    pub fn as_bool(&self) -> Option<bool> {
        if let Self::Bool(flag) = self { Some(*flag) } else { None }
    }

    /// An integer.
    pub fn as_i64(&self) -> Option<i64> {
        if let Self::Number(number) = self { number.as_i64() } else { None }
    }

    /// The same as a tree that can be changed.
    pub fn to_value(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(flag) => Value::Bool(*flag),
            Self::Number(number) => Value::Number(number.clone()),
            Self::Text(text) => Value::String(text.to_string()),
            Self::List(items) => Value::Array(items.iter().map(Self::to_value).collect()),
            Self::Object(members) => {
                Value::Object(members.iter().map(|(key, value)| (key.to_owned(), value.to_value())).collect())
            }
        }
    }
}

impl<'a> Members<'a> {
    /// A member. Of two with one name the later counts, as for most readers of JSON.
    pub fn get(&self, key: &str) -> Option<&Json<'a>> {
        self.0.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// All members.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Json<'a>)> {
        self.0.iter().map(|(key, value)| (key.as_ref(), value))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Value> for Document<'static> {
    fn from(pod: Value) -> Self {
        Self(Json::from(pod))
    }
}

impl From<Value> for Json<'static> {
    fn from(value: Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(flag) => Self::Bool(flag),
            Value::Number(number) => Self::Number(number),
            Value::String(text) => Self::Text(Cow::Owned(text)),
            Value::Array(items) => Self::List(items.into_iter().map(Self::from).collect()),
            Value::Object(map) => Self::Object(Members(
                map.into_iter().map(|(key, value)| (Cow::Owned(key), Self::from(value))).collect(),
            )),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Document<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        POD.deserialize(deserializer).map(Self)
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
        let element = match self {
            Self::Elements { kept, ours } => Self::Element { kept, ours },
            _ => Self::All,
        };
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(element)? {
            list.push(item);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json<'de>, A::Error> {
        let mut kept = Vec::new();
        // An element is kept whole until its name says that nobody asks for the rest; the API server writes names first.
        let mut passes_over = matches!(self, Self::Members(_));
        while let Some(Key(key)) = members.next_key()? {
            if key == NUMBER {
                let digits: String = members.next_value()?;
                return digits.parse().map(Json::Number).map_err(|_| A::Error::custom("a number is none"));
            }
            let keep = self.member(&key);
            if keep.is_none() && passes_over {
                members.next_value::<IgnoredAny>()?;
                continue;
            }
            let value = members.next_value_seed(keep.unwrap_or(Self::All))?;
            if let (Self::Element { ours, .. }, "name", Json::Text(name)) = (self, key.as_ref(), &value) {
                passes_over = !ours(name);
            }
            kept.push((key, value));
        }
        Ok(Json::Object(Members(kept)))
    }
}

impl Keep {
    /// What is kept of a member; none where nobody looks at it.
    fn member(self, key: &str) -> Option<Self> {
        match self {
            Self::Members(members) => members.iter().find(|(name, _)| *name == key).map(|(_, keep)| *keep),
            Self::Element { kept, .. } => kept.contains(&key).then_some(Self::All),
            Self::All | Self::Elements { .. } => Some(Self::All),
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

impl fmt::Debug for Members<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(key, _)| key)).finish()
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
