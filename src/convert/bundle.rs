//! What a Secret of the operator's, or a mount of the driver's, would hold: names, and where their values come from.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use crate::esc::{
    path::Path,
    reference::Reference,
    render::{Decode, Format},
};

/// Where values come from, and who asks for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The environment.
    pub environment: Reference,
    /// ESC's service root, where it is not the usual one.
    pub api_url: Option<String>,
    /// Who asks.
    pub identity: Identity,
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// The holder of a static token in a Secret.
    Token {
        /// The Secret's name.
        name: String,
        /// The token's key there.
        key: String,
        /// Where the Secret is, if not beside the object that uses it.
        namespace: Option<String>,
    },
    /// A `ServiceAccount`, by a token for this audience.
    Account {
        /// Whom the token is for; none for our own default.
        audience: Option<String>,
        /// Its namespace, if not that of the object that uses it.
        namespace: Option<String>,
        /// Its name.
        name: String,
    },
}

/// What a key of a Secret, or a file of a mount, holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Where from.
    pub origin: Origin,
    /// What.
    pub content: Content,
    /// How it is decoded.
    pub decode: Option<Decode>,
    /// How it is written.
    pub format: Option<Format>,
}

/// What a value is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// One property.
    Path(Path),
    /// A template of ours.
    Template(String),
}

/// An object of which all members are keys, by names that only the environment knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Members {
    /// Where from.
    pub origin: Origin,
    /// The object.
    pub path: Path,
}

/// Whose names are looked for in pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Secrets.
    Secret,
    /// Classes of mounts.
    Class,
}

/// All keys of a Secret, or all files of a mount.
#[derive(Debug, Clone)]
pub struct Bundle {
    /// The object that describes it, by number.
    pub manifest: usize,
    /// A Secret, or a mount.
    pub kind: Kind,
    /// Namespace and name by which pods know it.
    pub name: (String, String),
    /// Keys whose names are known.
    pub items: BTreeMap<String, Item>,
    /// Objects whose members are keys too; what `items` names wins.
    pub members: Vec<Members>,
    /// How often it is renewed; none for never.
    pub refresh: Option<Duration>,
    /// Whether a pod uses it.
    pub is_used: bool,
    /// Whether something needs the object that describes it.
    pub is_kept: bool,
}

/// The bundles by what pods know them by.
#[derive(Debug)]
pub struct Names(HashMap<(Kind, String, String), Vec<usize>>);

impl Names {
    /// Of all bundles; their numbers are their places.
    pub fn of(bundles: &[Bundle]) -> Self {
        let mut names: HashMap<_, Vec<usize>> = HashMap::new();
        for (index, Bundle { kind, name: (namespace, name), .. }) in bundles.iter().enumerate() {
            names.entry((*kind, namespace.clone(), name.clone())).or_default().push(index);
        }
        Self(names)
    }

    /// The bundles of a name: there should be one.
    pub fn find(&self, kind: Kind, namespace: &str, name: &str) -> &[usize] {
        self.0.get(&(kind, namespace.to_owned(), name.to_owned())).map_or(&[], Vec::as_slice)
    }
}

/// What can be said of a key.
#[derive(Debug)]
pub enum Resolved {
    /// What it holds.
    Item(Box<Item>),
    /// One of several objects has it, and only the environment knows which.
    Ambiguous,
    /// There is none of that name.
    Absent,
}

impl Bundle {
    /// What a key holds.
    pub fn resolve(&self, key: &str) -> Resolved {
        match (self.items.get(key), self.members.as_slice()) {
            (Some(item), _) => Resolved::Item(Box::new(item.clone())),
            (None, []) => Resolved::Absent,
            (None, [members]) => {
                members.item(key).map_or(Resolved::Absent, |item| Resolved::Item(Box::new(item)))
            }
            (None, _) => Resolved::Ambiguous,
        }
    }

    /// Whether all names are known.
    pub fn is_closed(&self) -> bool {
        self.members.is_empty()
    }

    /// Gives names to what the members are.
    pub fn name_members<'k>(&mut self, keys: impl IntoIterator<Item = &'k String>) -> bool {
        let mut named = Vec::new();
        for key in keys {
            match self.resolve(key) {
                Resolved::Item(item) => named.push((key.clone(), *item)),
                Resolved::Ambiguous => return false,
                Resolved::Absent => {}
            }
        }
        self.items.extend(named);
        self.members.clear();
        true
    }
}

impl Members {
    /// The member of this name.
    fn item(&self, key: &str) -> Option<Item> {
        let below = super::report::below(self.path.as_str(), key);
        let path = below.parse().ok()?;
        Some(Item { origin: self.origin.clone(), content: Content::Path(path), decode: None, format: None })
    }
}
