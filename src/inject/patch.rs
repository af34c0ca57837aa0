//! Builds a JSON Patch by hand, operation by operation, applying each to a copy as it goes.
//!
//! A computed difference would rewrite neighbours in arrays; here every operation is one that somebody meant, and
//! indices are right because the copy is always current.

use json_patch::{
    AddOperation, PatchOperation, RemoveOperation, ReplaceOperation,
    jsonptr::{PointerBuf, Token},
};
use serde::Serialize;

use super::json::{Json, Members};

/// A JSON Patch (RFC 6902).
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Patch(pub Vec<Operation>);

/// One operation of a patch.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub enum Operation {
    /// Adds a member, or inserts an element.
    Add {
        /// Where.
        path: PointerBuf,
        /// What.
        value: Json<'static>,
    },
    /// Replaces what is there.
    Replace {
        /// Where.
        path: PointerBuf,
        /// By what.
        value: Json<'static>,
    },
    /// Removes what is there.
    Remove {
        /// Where.
        path: PointerBuf,
    },
}

impl Operation {
    /// What it acts on.
    pub fn path(&self) -> &PointerBuf {
        match self {
            Self::Add { path, .. } | Self::Replace { path, .. } | Self::Remove { path } => path,
        }
    }
}

impl From<Patch> for json_patch::Patch {
    fn from(patch: Patch) -> Self {
        let operations = patch.0.into_iter().map(|operation| match operation {
            Operation::Add { path, value } => {
                PatchOperation::Add(AddOperation { path, value: value.to_value() })
            }
            Operation::Replace { path, value } => {
                PatchOperation::Replace(ReplaceOperation { path, value: value.to_value() })
            }
            Operation::Remove { path } => PatchOperation::Remove(RemoveOperation { path }),
        });
        Self(operations.collect())
    }
}

/// A copy of a document and the operations that made it from the original.
#[derive(Debug)]
pub struct Editor<'a> {
    document: Json<'a>,
    operations: Vec<Operation>,
}

/// One step into a document.
#[derive(Debug, Clone, Copy)]
pub enum Step<'a> {
    /// A member of an object.
    Key(&'a str),
    /// An element of an array.
    Index(usize),
}

impl<'a> Editor<'a> {
    /// Begins with a copy of the document, or of as much of it as will be looked at or written.
    pub fn new(document: Json<'a>) -> Self {
        Self { document, operations: Vec::new() }
    }

    /// What stands at a path.
    pub fn get(&self, path: &[Step<'_>]) -> Option<&Json<'a>> {
        path.iter().try_fold(&self.document, |value, step| match step {
            Step::Key(key) => value.get(key),
            Step::Index(index) => value.as_list()?.get(*index),
        })
    }

    fn get_mut(&mut self, path: &[Step<'_>]) -> Option<&mut Json<'a>> {
        path.iter().try_fold(&mut self.document, |value, step| match (value, step) {
            (Json::Object(members), Step::Key(key)) => members.get_mut(key),
            (Json::List(items), Step::Index(index)) => items.get_mut(*index),
            _ => None,
        })
    }

    /// Sets a member of an object or replaces an element of an array. Its parent must exist; nothing happens where it
    /// does not, or where the value stands there already.
    pub fn set(&mut self, path: &[Step<'_>], value: Json<'static>) {
        if self.get(path) == Some(&value) {
            return;
        }
        let Some((last, parent)) = path.split_last() else { return };
        let replaces = match (self.get_mut(parent), last) {
            (Some(Json::Object(members)), Step::Key(key)) => {
                members.insert((*key).to_owned(), value.clone()).is_some()
            }
            (Some(Json::List(items)), Step::Index(index)) => match items.get_mut(*index) {
                Some(item) => {
                    *item = value.clone();
                    true
                }
                None => return,
            },
            _ => return,
        };
        let path = pointer(path);
        self.operations.push(if replaces {
            Operation::Replace { path, value }
        } else {
            Operation::Add { path, value }
        });
    }

    /// Inserts an element into an array; at the end when the index is past it.
    pub fn insert(&mut self, array: &[Step<'_>], index: usize, value: Json<'static>) {
        self.ensure(array, || Json::List(Vec::new()));
        let Some(Json::List(items)) = self.get_mut(array) else { return };
        let index = index.min(items.len());
        items.insert(index, value.clone());
        // An array that was added just now is added with what goes into it.
        if let Some(Operation::Add { path, value: Json::List(items) }) = self.operations.last_mut()
            && index == items.len()
            && *path == pointer(array)
        {
            items.push(value);
            return;
        }
        let mut path = pointer(array);
        path.push_back(index);
        self.operations.push(Operation::Add { path, value });
    }

    /// Appends an element to an array.
    pub fn push(&mut self, array: &[Step<'_>], value: Json<'static>) {
        self.insert(array, usize::MAX, value);
    }

    /// Removes what stands at a path, if anything does.
    pub fn remove(&mut self, path: &[Step<'_>]) {
        let Some((last, parent)) = path.split_last() else { return };
        let removed = match (self.get_mut(parent), last) {
            (Some(Json::Object(members)), Step::Key(key)) => members.remove(key).is_some(),
            (Some(Json::List(items)), Step::Index(index)) if *index < items.len() => {
                items.remove(*index);
                true
            }
            _ => false,
        };
        if removed {
            self.operations.push(Operation::Remove { path: pointer(path) });
        }
    }

    /// Makes sure that something stands at a path: an absent value, or a null, becomes `empty()`.
    pub fn ensure(&mut self, path: &[Step<'_>], empty: impl FnOnce() -> Json<'static>) {
        if matches!(self.get(path), None | Some(Json::Null)) {
            self.set(path, empty());
        }
    }

    /// Makes sure that an object stands at a path.
    pub fn ensure_object(&mut self, path: &[Step<'_>]) {
        self.ensure(path, || Json::Object(Members::default()));
    }

    /// The operations, in order.
    pub fn into_patch(self) -> Patch {
        Patch(self.operations)
    }
}

fn pointer(path: &[Step<'_>]) -> PointerBuf {
    PointerBuf::from_tokens(path.iter().map(|step| match step {
        Step::Key(key) => Token::from(*key),
        Step::Index(index) => Token::from(*index),
    }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn operations_make_the_copy_from_the_original() {
        let original = json!({"a": null, "list": [1, 2], "odd/key~": {"x": 1}});
        let text = original.to_string();
        let mut editor = Editor::new(serde_json::from_str(&text).expect("JSON"));
        editor.ensure_object(&[Step::Key("a")]);
        editor.set(&[Step::Key("a"), Step::Key("b/c")], Json::from(1_u64));
        editor.insert(&[Step::Key("list")], 0, Json::from(0_u64));
        editor.push(&[Step::Key("list")], Json::from(3_u64));
        editor.push(&[Step::Key("new")], Json::from("first"));
        editor.set(&[Step::Key("list"), Step::Index(1)], Json::from("one"));
        editor.remove(&[Step::Key("odd/key~"), Step::Key("x")]);
        editor.remove(&[Step::Key("nothing")]);
        editor.set(&[Step::Key("list"), Step::Index(1)], Json::from("one"));
        let expected = json!({"a": {"b/c": 1}, "list": [0, "one", 2, 3], "odd/key~": {}, "new": ["first"]});
        assert_eq!(editor.document.to_value(), expected);
        let patch = editor.into_patch();
        assert_eq!(patch.0.len(), 7);
        assert_eq!(
            serde_json::to_value(&patch.0[1..3]).expect("JSON"),
            json!([{"op": "add", "path": "/a/b~1c", "value": 1}, {"op": "add", "path": "/list/0", "value": 0}])
        );
        let mut patched = original;
        json_patch::patch(&mut patched, &json_patch::Patch::from(patch)).expect("applies");
        assert_eq!(patched, expected);
    }
}
