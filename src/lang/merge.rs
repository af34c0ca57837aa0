//! How environments are laid over one another: objects unite key by key, everything else replaces.

use std::sync::Arc;

use super::value::{Kind, Properties, Value};

/// Lays `over` upon `base`. A null replaces too: it does not delete.
///
/// `base` is taken by value: when nobody shares it, a union costs no more than what is laid over it, so folding
/// many imports is linear.
pub(super) fn merge(base: Value, over: &Value) -> Value {
    let (Kind::Object(below), Kind::Object(above)) = (base.kind(), over.kind()) else {
        return over.clone();
    };
    let mut united = Arc::clone(below);
    drop(base);
    let properties = Arc::make_mut(&mut united);
    for (key, value) in above.iter() {
        let value = match properties.remove(key) {
            Some(inherited) => merge(inherited, value),
            None => value.clone(),
        };
        properties.insert(Arc::clone(key), value);
    }
    Value::new(Kind::Object(united), over.is_secret(), over.range().clone())
}

/// Adds to the properties of an object literal what it inherits. Its own properties have been laid over the
/// inherited ones already.
pub(super) fn inherit(mut own: Properties, base: &Properties) -> Properties {
    for (key, value) in base {
        if !own.contains_key(key) {
            own.insert(Arc::clone(key), value.clone());
        }
    }
    own
}
