//! What the namespaces of the cluster say, in memory: an admission never waits for the API server.
//!
//! `watch` keeps it up to date. A namespace that is not here, in a webhook that does have a cluster, was created a
//! moment ago or not seen yet: whoever asks has to be asked again, since nobody knows what it forbids.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

pub(super) mod watch;

use crate::inject::Namespace;

/// What is known of a namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// Nothing is, of any: there is no cluster to read them from.
    Unread,
    /// Nothing yet.
    NotYet,
    /// What it says.
    Yes(Arc<Namespace>),
}

/// All namespaces of the cluster; clones share them.
#[derive(Clone)]
pub struct Namespaces(Option<Arc<RwLock<Map>>>);

/// By name. Most say nothing, and share one allocation for it.
type Map = HashMap<Box<str>, Arc<Namespace>>;

impl Namespaces {
    /// Without a cluster.
    pub fn unread() -> Self {
        Self(None)
    }

    /// Of a cluster; none of them known yet.
    pub fn empty() -> Self {
        Self(Some(Arc::default()))
    }

    /// What is known of the namespace.
    pub fn get(&self, name: &str) -> Known {
        let Some(map) = &self.0 else { return Known::Unread };
        // A panic elsewhere can't leave the map half changed.
        let map = map.read().unwrap_or_else(PoisonError::into_inner);
        map.get(name).cloned().map_or(Known::NotYet, Known::Yes)
    }

    /// These are all there are.
    pub fn replace(&self, namespaces: impl IntoIterator<Item = (String, Namespace)>) {
        let nothing = Arc::new(Namespace::default());
        let share = |namespace| {
            if namespace == *nothing { Arc::clone(&nothing) } else { Arc::new(namespace) }
        };
        let new: Map = namespaces
            .into_iter()
            .map(|(name, namespace)| (name.into_boxed_str(), share(namespace)))
            .collect();
        self.change(|map| *map = new);
    }

    /// The namespace is new, or says something else.
    pub fn put(&self, name: String, namespace: Namespace) {
        self.change(|map| {
            map.insert(name.into_boxed_str(), Arc::new(namespace));
        });
    }

    /// The namespace is gone.
    pub fn remove(&self, name: &str) {
        self.change(|map| {
            map.remove(name);
        });
    }

    fn change(&self, change: impl FnOnce(&mut Map)) {
        if let Some(map) = &self.0 {
            change(&mut map.write().unwrap_or_else(PoisonError::into_inner));
        }
    }
}

// There may be ten thousand.
impl fmt::Debug for Namespaces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Namespaces")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saying(value: &str) -> Namespace {
        Namespace::read([], [("esc.pulumi.com/environment", value), ("theirs", "x")])
    }

    #[test]
    fn what_is_known_follows_what_is_seen() {
        let namespaces = Namespaces::empty();
        assert_eq!(namespaces.get("shop"), Known::NotYet);
        namespaces.replace([("shop".to_owned(), saying("a")), ("quiet".to_owned(), Namespace::default())]);
        assert_eq!(namespaces.get("shop"), Known::Yes(Arc::new(saying("a"))));
        assert_eq!(namespaces.get("quiet"), Known::Yes(Arc::default()));
        namespaces.clone().put("shop".to_owned(), saying("b"));
        assert_eq!(namespaces.get("shop"), Known::Yes(Arc::new(saying("b"))));
        namespaces.remove("shop");
        assert_eq!(namespaces.get("shop"), Known::NotYet);
        namespaces.replace([]);
        assert_eq!(namespaces.get("quiet"), Known::NotYet);
    }

    #[test]
    fn without_a_cluster_nothing_is_ever_known() {
        let namespaces = Namespaces::unread();
        namespaces.put("shop".to_owned(), saying("a"));
        assert_eq!(namespaces.get("shop"), Known::Unread);
    }
}
