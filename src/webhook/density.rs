//! How many values a JSON text can hold, told before a tree is made of it.
//!
//! A tree is many times its text where values are short: 8 MiB of `{"":0},` become 600 MiB. What an object is stored
//! as bounds real ones; only whoever posts here by hand writes such a text.

/// Most values of a body of which a tree is made. The largest object that the API server takes, 3 MiB, would have
/// 380,000 if it were all the shortest of variables. Two trees of 400,000, the worst that can be made, were measured at
/// 310 MiB.
pub(super) const MAX_VALUES: usize = 400_000;

/// Never fewer than there are: each value but the first follows one of three characters outside of a text.
pub(super) fn values(json: &[u8]) -> usize {
    let mut values = 1;
    let mut bytes = json.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b',' | b'[' | b'{' => values += 1,
            b'"' => skip_text(&mut bytes),
            _ => {}
        }
    }
    values
}

fn skip_text<'a>(bytes: &mut impl Iterator<Item = &'a u8>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return,
            // Whatever is escaped ends no text.
            b'\\' => {
                bytes.next();
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn count(value: &Value) -> usize {
        let below: usize = match value {
            Value::Array(values) => values.iter().map(count).sum(),
            Value::Object(values) => values.values().map(count).sum(),
            _ => 0,
        };
        1 + below
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(json!(null)),
            any::<i32>().prop_map(Value::from),
            r#"[,\[\]{}"\\a]{0,8}"#.prop_map(Value::from)
        ];
        leaf.prop_recursive(4, 64, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::vec((r#"[,{"\\]{0,4}"#, inner), 0..6)
                    .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_text_never_holds_more_values_than_are_told(value in json()) {
            let told = values(value.to_string().as_bytes());
            prop_assert!(told >= count(&value));
            // Nor many more: each counted character belongs to a value of its own, but for empty ones.
            prop_assert!(told <= 2 * count(&value));
        }
    }

    #[test]
    fn texts_count_as_one_whatever_is_in_them() {
        assert_eq!(values(br#"["a,b,c", "[{", "\",,", "\\"]"#), 5);
        for broken in [&b"\"a,"[..], b"\"\\", b"\\", b""] {
            assert_eq!(values(broken), 1);
        }
    }
}
