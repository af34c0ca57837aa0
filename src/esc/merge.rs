//! How environments are laid over one another: objects unite key by key, everything else replaces.

use super::value::{Kind, Value};

/// Folds environments left to right, each laid over those before it. Of none it makes an empty object.
pub fn fold(environments: impl IntoIterator<Item = Value>) -> Value {
    let empty = || Value { kind: Kind::Object(std::collections::BTreeMap::new()), secret: false };
    environments.into_iter().reduce(merge).unwrap_or_else(empty)
}

/// Lays `over` upon `base`. A null replaces too: it does not delete. Secret is a value that replaces as it was marked,
/// and a union if either part was: the mark must not get lost from what is inherited.
fn merge(base: Value, over: Value) -> Value {
    match (base.kind, over.kind) {
        (Kind::Object(mut united), Kind::Object(above)) => {
            for (key, value) in above {
                let value = match united.remove(&key) {
                    Some(inherited) => merge(inherited, value),
                    None => value,
                };
                united.insert(key, value);
            }
            Value { kind: Kind::Object(united), secret: base.secret || over.secret }
        }
        (_, kind) => Value { kind, secret: over.secret },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::esc::render::{Format, render};

    fn environment(json: &str) -> Value {
        fn wrap(json: serde_json::Value) -> serde_json::Value {
            match json {
                serde_json::Value::Array(items) => {
                    serde_json::json!({"value": items.into_iter().map(wrap).collect::<Vec<_>>()})
                }
                serde_json::Value::Object(entries) => {
                    let entries: serde_json::Map<_, _> =
                        entries.into_iter().map(|(key, value)| (key, wrap(value))).collect();
                    serde_json::json!({ "value": entries })
                }
                scalar => serde_json::json!({ "value": scalar }),
            }
        }
        let mut wrapped = wrap(serde_json::from_str(json).unwrap());
        Value::from_environment(
            serde_json::json!({"properties": wrapped["value"].take()}).to_string().as_bytes(),
        )
        .unwrap()
    }

    #[test]
    fn folds_as_esc_merges_imports() {
        let a = r#"{"o":{"x":1,"y":2,"d":{"k":"v"}},"arr":[1,2,3],"s":"a"}"#;
        let b = r#"{"o":{"y":3,"z":4},"arr":[9],"s":"b"}"#;
        let top = r#"{"o":{"x":"top"},"arr":[],"s":null}"#;
        for (environments, expected) in [
            (vec![a, b], r#"{"arr":[9],"o":{"d":{"k":"v"},"x":1,"y":3,"z":4},"s":"b"}"#),
            (vec![b, a], r#"{"arr":[1,2,3],"o":{"d":{"k":"v"},"x":1,"y":2,"z":4},"s":"a"}"#),
            (vec![a, b, top], r#"{"arr":[],"o":{"d":{"k":"v"},"x":"top","y":3,"z":4},"s":null}"#),
            (vec![a, r#"{"o":"scalar"}"#], r#"{"arr":[1,2,3],"o":"scalar","s":"a"}"#),
            (vec![a, r#"{"o":"str"}"#, b], r#"{"arr":[9],"o":{"y":3,"z":4},"s":"b"}"#),
            (vec![a], a),
            (vec![], "{}"),
        ] {
            let folded = fold(environments.iter().map(|json| environment(json)));
            let folded = render(&folded, Format::Json).unwrap();
            let mut expected: serde_json::Value = serde_json::from_str(expected).unwrap();
            expected.sort_all_objects();
            assert_eq!(folded.expose_str().unwrap(), expected.to_string(), "{environments:?}");
        }
    }

    #[test]
    fn marks_follow_the_values() {
        let with = |text: &str| Value::from_environment(text.as_bytes()).unwrap();
        let secret = with(
            r#"{"properties":{"a":{"value":"x","secret":true},"o":{"value":{"k":{"value":1}},"secret":true}}}"#,
        );
        let plain = with(r#"{"properties":{"a":{"value":"y"},"o":{"value":{"l":{"value":2}}}}}"#);
        let marks = |value: &Value| {
            let Kind::Object(entries) = &value.kind else { panic!("an object") };
            (entries["a"].secret, entries["o"].secret)
        };
        assert_eq!(marks(&fold([secret.clone(), plain.clone()])), (false, true));
        assert_eq!(marks(&fold([plain, secret])), (true, true));
    }
}
