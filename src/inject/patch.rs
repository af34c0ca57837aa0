//! Builds a JSON Patch by hand, operation by operation, applying each to a copy as it goes.
//!
//! A computed difference would rewrite neighbours in arrays; here every operation is one that somebody meant, and
//! indices are right because the copy is always current.

use json_patch::{
    AddOperation, Patch, PatchOperation, RemoveOperation, ReplaceOperation,
    jsonptr::{PointerBuf, Token},
};
use serde_json::{Map, Value};

/// A copy of a document and the operations that made it from the original.
#[derive(Debug)]
pub struct Editor {
    document: Value,
    operations: Vec<PatchOperation>,
}

/// One step into a document.
#[derive(Debug, Clone, Copy)]
pub enum Step<'a> {
    /// A member of an object.
    Key(&'a str),
    /// An element of an array.
    Index(usize),
}

impl Editor {
    /// Begins with a copy of the document, or of as much of it as will be looked at or written.
    pub fn new(document: Value) -> Self {
        Self { document, operations: Vec::new() }
    }

    /// What stands at a path.
    pub fn get(&self, path: &[Step<'_>]) -> Option<&Value> {
        path.iter().try_fold(&self.document, |value, step| match step {
            Step::Key(key) => value.get(key),
            Step::Index(index) => value.get(index),
        })
    }

    fn get_mut(&mut self, path: &[Step<'_>]) -> Option<&mut Value> {
        path.iter().try_fold(&mut self.document, |value, step| match step {
            Step::Key(key) => value.get_mut(key),
            Step::Index(index) => value.get_mut(index),
        })
    }

    /// Sets a member of an object or replaces an element of an array. Its parent must exist; nothing happens where it
    /// does not, or where the value stands there already.
    pub fn set(&mut self, path: &[Step<'_>], value: Value) {
        if self.get(path) == Some(&value) {
            return;
        }
        let Some((last, parent)) = path.split_last() else { return };
        let replaces = match (self.get_mut(parent), last) {
            (Some(Value::Object(map)), Step::Key(key)) => {
                map.insert((*key).to_owned(), value.clone()).is_some()
            }
            (Some(Value::Array(items)), Step::Index(index)) => match items.get_mut(*index) {
                Some(item) => {
                    item.clone_from(&value);
                    true
                }
                None => return,
            },
            _ => return,
        };
        let path = pointer(path);
        self.operations.push(if replaces {
            PatchOperation::Replace(ReplaceOperation { path, value })
        } else {
            PatchOperation::Add(AddOperation { path, value })
        });
    }

    /// Inserts an element into an array; at the end when the index is past it.
    pub fn insert(&mut self, array: &[Step<'_>], index: usize, value: Value) {
        self.ensure(array, || Value::Array(Vec::new()));
        let Some(Value::Array(items)) = self.get_mut(array) else { return };
        let index = index.min(items.len());
        items.insert(index, value.clone());
        // An array that was added just now is added with what goes into it.
        if let Some(PatchOperation::Add(AddOperation { path, value: Value::Array(items) })) =
            self.operations.last_mut()
            && index == items.len()
            && *path == pointer(array)
        {
            items.push(value);
            return;
        }
        let mut path = pointer(array);
        path.push_back(index);
        self.operations.push(PatchOperation::Add(AddOperation { path, value }));
    }

    /// Appends an element to an array.
    pub fn push(&mut self, array: &[Step<'_>], value: Value) {
        self.insert(array, usize::MAX, value);
    }

    /// Removes what stands at a path, if anything does.
    pub fn remove(&mut self, path: &[Step<'_>]) {
        let Some((last, parent)) = path.split_last() else { return };
        let removed = match (self.get_mut(parent), last) {
            // Not swap_remove: the order of a user's fields is the user's.
            (Some(Value::Object(map)), Step::Key(key)) => map.shift_remove(*key).is_some(),
            (Some(Value::Array(items)), Step::Index(index)) if *index < items.len() => {
                items.remove(*index);
                true
            }
            _ => false,
        };
        if removed {
            self.operations.push(PatchOperation::Remove(RemoveOperation { path: pointer(path) }));
        }
    }

    /// Makes sure that something stands at a path: an absent value, or a null, becomes `empty()`.
    pub fn ensure(&mut self, path: &[Step<'_>], empty: impl FnOnce() -> Value) {
        if self.get(path).is_none_or(Value::is_null) {
            self.set(path, empty());
        }
    }

    /// Makes sure that an object stands at a path.
    pub fn ensure_object(&mut self, path: &[Step<'_>]) {
        self.ensure(path, || Value::Object(Map::new()));
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
        let mut editor = Editor::new(original.clone());
        editor.ensure_object(&[Step::Key("a")]);
        editor.set(&[Step::Key("a"), Step::Key("b/c")], json!(1));
        editor.insert(&[Step::Key("list")], 0, json!(0));
        editor.push(&[Step::Key("list")], json!(3));
        editor.push(&[Step::Key("new")], json!("first"));
        editor.set(&[Step::Key("list"), Step::Index(1)], json!("one"));
        editor.remove(&[Step::Key("odd/key~"), Step::Key("x")]);
        editor.remove(&[Step::Key("nothing")]);
        editor.set(&[Step::Key("list"), Step::Index(1)], json!("one"));
        let expected = json!({"a": {"b/c": 1}, "list": [0, "one", 2, 3], "odd/key~": {}, "new": ["first"]});
        assert_eq!(editor.document, expected);
        let patch = editor.into_patch();
        assert_eq!(patch.0.len(), 7);
        let mut patched = original;
        json_patch::patch(&mut patched, &patch).expect("applies");
        assert_eq!(patched, expected);
    }
}
