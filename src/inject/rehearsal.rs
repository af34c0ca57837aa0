//! Applies a patch as the API server will, to see that it does: a patch that does not apply is answered with a failure
//! that no `failurePolicy` softens and that doesn't say whose it is.
//!
//! By the patch's own paths, as RFC 6901 and RFC 6902 have it: a second opinion on what [`super::patch`] did.

use json_patch::jsonptr::{Pointer, Token};

use super::{
    json::Json,
    patch::{Operation, Patch},
};

/// The operation that can't be done.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("operation {index} at {path}")]
pub struct Unappliable {
    /// Its number, from 0.
    pub index: usize,
    /// What it acts on.
    pub path: String,
}

/// Applies all operations. What is left of the document after a failure is of no use.
pub fn apply(document: &mut Json<'_>, patch: &Patch) -> Result<(), Unappliable> {
    for (index, operation) in patch.0.iter().enumerate() {
        if apply_one(document, operation).is_none() {
            return Err(Unappliable { index, path: operation.path().to_string() });
        }
    }
    Ok(())
}

/// None if it can't be done.
fn apply_one(document: &mut Json<'_>, operation: &Operation) -> Option<()> {
    let (parent, last) = operation.path().split_back()?;
    match (find(document, parent)?, operation) {
        (Json::Object(members), Operation::Add { value, .. }) => {
            members.insert(last.decoded().into_owned(), value.clone());
        }
        (Json::Object(members), Operation::Replace { value, .. }) => {
            *members.get_mut(&last.decoded())? = value.clone();
        }
        (Json::Object(members), Operation::Remove { .. }) => {
            members.remove(&last.decoded())?;
        }
        (Json::List(items), Operation::Add { value, .. }) => {
            let index = index(&last).filter(|index| *index <= items.len())?;
            items.insert(index, value.clone());
        }
        (Json::List(items), Operation::Replace { value, .. }) => {
            *items.get_mut(index(&last)?)? = value.clone();
        }
        (Json::List(items), Operation::Remove { .. }) => {
            let index = index(&last).filter(|index| *index < items.len())?;
            items.remove(index);
        }
        _ => return None,
    }
    Some(())
}

fn find<'d, 'a>(document: &'d mut Json<'a>, path: &Pointer) -> Option<&'d mut Json<'a>> {
    path.tokens().try_fold(document, |value, token| match value {
        Json::Object(members) => members.get_mut(&token.decoded()),
        Json::List(items) => items.get_mut(index(&token)?),
        _ => None,
    })
}

/// We never write `-`, nor leading zeros.
fn index(token: &Token<'_>) -> Option<usize> {
    token.encoded().parse().ok()
}

#[cfg(test)]
mod tests {
    use json_patch::jsonptr::PointerBuf;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn at(path: &str) -> PointerBuf {
        PointerBuf::parse(path).expect("a pointer")
    }

    #[test]
    fn tells_which_operation_can_not_be_done() {
        let text = r#"{"spec": {"list": [1]}, "text": "x"}"#;
        let add = |path| Operation::Add { path: at(path), value: Json::from(true) };
        for impossible in [
            add("/nothing/below"),
            add("/text/below"),
            add("/spec/list/2"),
            add("/spec/list/x"),
            Operation::Replace { path: at("/nothing"), value: Json::Null },
            Operation::Replace { path: at("/spec/list/1"), value: Json::Null },
            Operation::Remove { path: at("/nothing") },
            Operation::Remove { path: at("/spec/list/1") },
            Operation::Remove { path: at("") },
        ] {
            let path = impossible.path().to_string();
            let patch =
                Patch(vec![add("/spec/list/0"), Operation::Remove { path: at("/spec/list/0") }, impossible]);
            let mut document = serde_json::from_str(text).expect("JSON");
            assert_eq!(apply(&mut document, &patch), Err(Unappliable { index: 2, path }));
        }
    }

    fn operation() -> impl Strategy<Value = Operation> {
        let path = prop::collection::vec(
            prop_oneof![Just("a"), Just("b~1c"), Just("0"), Just("1"), Just("2")],
            1..4,
        );
        let path = path.prop_map(|tokens| at(&format!("/{}", tokens.join("/"))));
        let value = || {
            prop_oneof![
                Just(Json::Null),
                Just(Json::from([Json::from(true)])),
                Just(Json::object([("a", Json::from(1_u64))]))
            ]
        };
        prop_oneof![
            (path.clone(), value()).prop_map(|(path, value)| Operation::Add { path, value }),
            (path.clone(), value()).prop_map(|(path, value)| Operation::Replace { path, value }),
            path.prop_map(|path| Operation::Remove { path }),
        ]
    }

    proptest! {
        #[test]
        fn applies_as_the_library_does(operations in prop::collection::vec(operation(), 0..8)) {
            let before = json!({"a": [{"a": 1}, [2], "x"], "b/c": {"0": {"1": [true]}}});
            let text = before.to_string();
            let patch = Patch(operations);
            let mut ours: Json<'_> = serde_json::from_str(&text).expect("JSON");
            let mut theirs: Value = before;
            let applied = apply(&mut ours, &patch).is_ok();
            prop_assert_eq!(applied, json_patch::patch(&mut theirs, &json_patch::Patch::from(patch)).is_ok());
            if applied {
                prop_assert_eq!(ours.to_value(), theirs);
            }
        }
    }
}
