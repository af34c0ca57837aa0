//! What a pod gets instead: variables and files, each with who gets it, and who asks for them.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::bundle::{Content, Identity, Item, Origin};
use crate::esc::{
    names::{FileName, VariableName},
    reference::Reference,
};

/// Where ESC is and who asks, as one pod says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// ESC's service root, if not the usual one.
    pub api_url: Option<String>,
    /// A Secret beside the pod, and the key of the token in it.
    pub token: Option<(String, String)>,
    /// Whom the pod's own token is for, if not as usual.
    pub audience: Option<String>,
}

impl Access {
    /// How a pod of this namespace would ask.
    pub fn of(origin: &Origin, namespace: &str) -> Self {
        let api_url = origin.api_url.clone();
        match &origin.identity {
            Identity::Token { name, key, namespace: own }
                if own.as_deref().is_none_or(|own| own == namespace) =>
            {
                Self { api_url, token: Some((name.clone(), key.clone())), audience: None }
            }
            // A pod can't mount another namespace's Secret.
            Identity::Token { .. } => Self { api_url, token: None, audience: None },
            Identity::Account { audience, .. } => Self { api_url, token: None, audience: audience.clone() },
        }
    }
}

/// A variable or file.
#[derive(Debug, Clone)]
pub struct Entry {
    /// What it holds.
    pub item: Item,
    /// The containers that get it.
    pub containers: BTreeSet<String>,
    /// Whether it may be missing.
    pub is_optional: bool,
    /// Mode of the file.
    pub mode: Option<u64>,
}

/// All that a pod gets.
#[derive(Debug, Default)]
pub struct Delivery {
    /// What is opened, in order of use.
    pub environments: Vec<Reference>,
    /// By whom, and where.
    pub access: Option<Access>,
    /// Variables by name.
    pub variables: BTreeMap<String, Entry>,
    /// Files by name.
    pub files: BTreeMap<String, Entry>,
    /// Containers that get the environment's own `environmentVariables`.
    pub projected: BTreeSet<String>,
    /// Where files appear, if not as usual.
    pub mount_path: Option<String>,
    /// How often they are renewed.
    pub refresh: Option<Duration>,
}

impl Delivery {
    /// Whether a pod with this delivery could also get this item; the error says why not.
    pub fn admits(&self, item: &Item, namespace: &str) -> Result<(), String> {
        match &self.access {
            Some(access) if *access != Access::of(&item.origin, namespace) => {
                Err("comes from another ESC, or by another token, and a pod has one of each".to_owned())
            }
            _ => self.collides(item),
        }
    }

    /// Environments of one pod are opened as one: a property that two of them are asked for is only there once.
    fn collides(&self, item: &Item) -> Result<(), String> {
        let Content::Path(path) = &item.content else { return Ok(()) };
        if self.environments.iter().all(|environment| *environment == item.origin.environment) {
            return Ok(());
        }
        let own = path.segments();
        for other in self.variables.values().chain(self.files.values()).map(|entry| &entry.item) {
            let Content::Path(present) = &other.content else { continue };
            let lies_in = present.segments().starts_with(own) || own.starts_with(present.segments());
            if lies_in && other.origin.environment != item.origin.environment {
                let (one, two) = (&other.origin.environment, &item.origin.environment);
                return Err(format!(
                    "reads {path} of {two}, and another place {present} of {one}: opened as one, they have it once"
                ));
            }
        }
        Ok(())
    }

    fn open(&mut self, item: &Item, namespace: &str) {
        self.access.get_or_insert_with(|| Access::of(&item.origin, namespace));
        if !self.environments.contains(&item.origin.environment) {
            self.environments.push(item.origin.environment.clone());
        }
    }

    /// Whether a variable can be added; the error says why not.
    pub fn admits_variable(&self, name: &str, entry: &Entry, namespace: &str) -> Result<(), String> {
        self.admits(&entry.item, namespace)?;
        name.parse::<VariableName>().map_err(|error| error.to_string())?;
        if entry.item.decode.is_some() {
            return Err(format!("variable {name} would have to be decoded, which only files are"));
        }
        if matches!(entry.item.content, Content::Template(_)) {
            return Err(format!("variable {name} would be made of a template, which only files are"));
        }
        same(self.variables.get(name), entry).map_err(|why| format!("variable {name} {why}"))
    }

    /// Whether a file can be added; the error says why not.
    pub fn admits_file(&self, name: &str, entry: &Entry, namespace: &str) -> Result<(), String> {
        self.admits(&entry.item, namespace)?;
        name.parse::<FileName>().map_err(|error| error.to_string())?;
        same(self.files.get(name), entry).map_err(|why| format!("file {name} {why}"))
    }

    /// Adds a variable that was admitted.
    pub fn add_variable(&mut self, name: &str, entry: Entry, namespace: &str) {
        self.open(&entry.item, namespace);
        add(&mut self.variables, name, entry);
    }

    /// Adds a file that was admitted.
    pub fn add_file(&mut self, name: &str, entry: Entry, namespace: &str) {
        self.open(&entry.item, namespace);
        add(&mut self.files, name, entry);
    }

    /// Adds the environment's own variables for a container.
    pub fn add_projection(&mut self, item: &Item, container: &str, namespace: &str) {
        self.open(item, namespace);
        self.projected.insert(container.to_owned());
    }

    /// Every container that gets something.
    pub fn receivers(&self) -> BTreeSet<&str> {
        let entries = self.variables.values().chain(self.files.values());
        let named = entries.flat_map(|entry| &entry.containers);
        named.chain(&self.projected).map(String::as_str).collect()
    }

    /// Whether there is nothing to deliver.
    pub fn is_empty(&self) -> bool {
        self.environments.is_empty()
    }
}

fn same(present: Option<&Entry>, entry: &Entry) -> Result<(), &'static str> {
    let is_same = present.is_none_or(|present| {
        (&present.item, present.is_optional, present.mode) == (&entry.item, entry.is_optional, entry.mode)
    });
    if is_same {
        Ok(())
    } else {
        Err("is something else in another container or place, and a pod has one of each name")
    }
}

fn add(entries: &mut BTreeMap<String, Entry>, name: &str, entry: Entry) {
    match entries.get_mut(name) {
        Some(present) => present.containers.extend(entry.containers),
        None => {
            entries.insert(name.to_owned(), entry);
        }
    }
}
