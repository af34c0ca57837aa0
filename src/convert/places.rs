//! What the places where a pod reads come to: variables and files of its delivery, or a reason why one has to stay as it is.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{
    annotations,
    bundle::{Bundle, Content, Item, Resolved},
    delivery::{Delivery, Entry},
    object,
    report::At,
    uses::{Read, Use, Volume},
};

/// Where files appear when nobody says where.
const MOUNT_PATH: &str = "/run/secrets/esc";

/// What a use comes to.
#[derive(Debug)]
pub enum Gets {
    Variables(Vec<(String, Entry)>),
    Projection(Box<Item>),
    Files(Vec<(String, Entry)>),
}

pub fn bundles_of(one: &Use) -> Vec<usize> {
    match &one.read {
        Read::Variable { bundle, .. } | Read::Variables { bundle, .. } => vec![*bundle],
        Read::Files { volume, .. } => volume.parts.iter().map(|(bundle, _)| *bundle).collect(),
    }
}

pub fn mark(bundles: &mut [Bundle], indices: &[usize], is_kept: bool) {
    for index in indices {
        if let Some(bundle) = bundles.get_mut(*index) {
            bundle.is_used = true;
            bundle.is_kept |= is_kept;
        }
    }
}

/// The names of each container's own variables, which win over `envFrom`.
pub fn own_variables(spec: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let containers = ["/initContainers", "/containers"].into_iter().flat_map(|list| object::list(spec, list));
    containers
        .map(|container| {
            let names =
                object::list(container, "/env").iter().filter_map(|entry| object::text(entry, "/name"));
            let name = object::text(container, "/name").unwrap_or_default();
            (name.to_owned(), names.map(str::to_owned).collect())
        })
        .collect()
}

pub struct Worker<'a, 'r> {
    pub namespace: &'a str,
    pub prefix: &'a str,
    pub bundles: &'a mut [Bundle],
    pub at: At<'r>,
    pub delivery: Delivery,
    /// Variables that are settled, by container.
    pub taken: BTreeMap<String, BTreeSet<String>>,
    /// Files that are elsewhere now: the field, and from where to where.
    pub moved: Vec<(String, String)>,
}

impl Worker<'_, '_> {
    /// Leaves a use as it is, and what it needs in use.
    pub fn leave(&mut self, one: &Use) -> Option<Gets> {
        mark(self.bundles, &bundles_of(one), true);
        None
    }

    pub fn left(&mut self, one: &Use, what: impl Into<String>, instead: impl Into<String>) -> Option<Gets> {
        self.at.left(&format!("{}.{}", self.prefix, one.field), what, instead);
        self.leave(one)
    }

    /// What a use reads, by names of ours.
    pub fn resolve(&mut self, one: &Use) -> Option<Gets> {
        mark(self.bundles, &bundles_of(one), false);
        match &one.read {
            Read::Variable { bundle, name, key } => match self.bundles.get(*bundle)?.resolve(key) {
                Resolved::Item(item) => Some(Gets::Variables(vec![(name.clone(), entry(one, *item, None))])),
                Resolved::Ambiguous => {
                    let what = format!("key {key} may come from several objects");
                    self.left(one, what, "name the key in the ExternalSecret's spec.data")
                }
                Resolved::Absent => self.left(
                    one,
                    format!("nothing makes key {key}"),
                    "correct the name, or take the variable out",
                ),
            },
            Read::Variables { bundle, prefix } => self.variables(one, *bundle, prefix),
            Read::Files { volume, sub_path, .. } => self.files(one, volume, sub_path.as_deref()),
        }
    }

    fn variables(&mut self, one: &Use, bundle: usize, prefix: &str) -> Option<Gets> {
        let found = self.bundles.get(bundle)?.clone();
        if !found.is_closed() {
            // What ESC itself calls variables needs no names.
            if let (true, "", [members]) = (found.items.is_empty(), prefix, found.members.as_slice())
                && members.path.as_str() == "environmentVariables"
            {
                let content = Content::Path(members.path.clone());
                let item = Item { origin: members.origin.clone(), content, decode: None, format: None };
                return Some(Gets::Projection(Box::new(item)));
            }
            let how = annotations::how_to_name(&found);
            return self.left(one, "which keys there are, only the environment knows", how);
        }
        let mut gets = Vec::new();
        let mut skipped = Vec::new();
        let taken = self.taken.entry(one.container.name.clone()).or_default();
        for (key, item) in &found.items {
            let name = format!("{prefix}{key}");
            if name.parse::<crate::esc::names::VariableName>().is_err() {
                skipped.push(name);
            } else if taken.insert(name.clone()) {
                gets.push((name, entry(one, item.clone(), None)));
            }
        }
        if !skipped.is_empty() {
            let what = format!("no legal names of variables, and not delivered: {}", skipped.join(", "));
            let instead = "name them with env.<VAR> if the application reads them by these names";
            self.at.note(&format!("{}.{}", self.prefix, one.field), what, instead);
        }
        Some(Gets::Variables(gets))
    }

    fn files(&mut self, one: &Use, volume: &Volume, sub_path: Option<&str>) -> Option<Gets> {
        let mut gets: Vec<(String, Entry)> = Vec::new();
        for (bundle, keys) in &volume.parts {
            let found = self.bundles.get(*bundle)?.clone();
            match keys {
                Some(keys) => {
                    for file in keys {
                        let Resolved::Item(item) = found.resolve(&file.key) else {
                            let what = format!("nothing makes key {}, or several objects may", file.key);
                            return self.left(one, what, "name the key in the ExternalSecret's spec.data");
                        };
                        gets.push((file.path.clone(), entry(one, *item, file.mode.or(volume.mode))));
                    }
                }
                None if found.is_closed() => {
                    let items = found.items.iter();
                    gets.extend(
                        items.map(|(key, item)| (key.clone(), entry(one, item.clone(), volume.mode))),
                    );
                }
                None => {
                    let single = sub_path.map(|path| (path, found.resolve(path)));
                    if let Some((path, Resolved::Item(item))) = single {
                        gets.push((path.to_owned(), entry(one, *item, volume.mode)));
                        continue;
                    }
                    let how = annotations::how_to_name(&found);
                    return self.left(one, "which keys there are, only the environment knows", how);
                }
            }
        }
        if let Some(path) = sub_path {
            gets.retain(|(name, _)| name == path);
            if gets.is_empty() {
                return self.left(
                    one,
                    format!("mounts {path}, which is none of the files"),
                    "correct subPath",
                );
            }
        }
        Some(Gets::Files(gets))
    }

    /// Puts what a use reads into the delivery, all of it or nothing.
    pub fn place(&mut self, one: &Use, gets: Gets, base: Option<&str>) -> bool {
        let namespace = self.namespace;
        let result = match &gets {
            Gets::Variables(all) => {
                all.iter().try_for_each(|(name, entry)| self.delivery.admits_variable(name, entry, namespace))
            }
            Gets::Projection(item) => self.delivery.admits(item, namespace),
            Gets::Files(all) => all.iter().try_for_each(|(name, entry)| {
                self.delivery.admits_file(&file_name(one, name, base), entry, namespace)
            }),
        };
        if let Err(why) = result {
            let instead = "keep it as it is, or decide by hand: docs/annotations.md has what can be said";
            self.left(one, why, instead);
            return false;
        }
        match gets {
            Gets::Variables(all) => {
                for (name, entry) in all {
                    self.delivery.add_variable(&name, entry, namespace);
                }
            }
            Gets::Projection(item) => self.delivery.add_projection(&item, &one.container.name, namespace),
            Gets::Files(all) => {
                for (name, entry) in all {
                    let name = file_name(one, &name, base);
                    self.tell_moved(one, &name, base);
                    self.delivery.add_file(&name, entry, namespace);
                }
                self.delivery.mount_path = base.filter(|base| *base != MOUNT_PATH).map(str::to_owned);
            }
        }
        true
    }

    /// An application looks for its files where they were.
    fn tell_moved(&mut self, one: &Use, name: &str, base: Option<&str>) {
        let Read::Files { mount_path, sub_path, volume } = &one.read else { return };
        if sub_path.is_none() && base.is_some() {
            return;
        }
        let before = match sub_path {
            Some(_) => mount_path.clone(),
            None => {
                format!("{mount_path}/{}", name.strip_prefix(&format!("{}/", volume.name)).unwrap_or(name))
            }
        };
        let now = format!("{}/{name}", base.unwrap_or(MOUNT_PATH));
        let what = format!("{before} is now {now}: a pod's files lie below one directory");
        self.moved.push((format!("{}.{}", self.prefix, one.field), what));
    }
}

/// Where files appear: where the pod's only volume of them is mounted. None where there are several, or none.
pub fn base(uses: &[Use], resolved: &[Option<Gets>]) -> Option<String> {
    let mounts = uses.iter().zip(resolved).filter(|(_, gets)| gets.is_some());
    let paths: BTreeSet<_> = mounts
        .filter_map(|(one, _)| match &one.read {
            Read::Files { mount_path, sub_path: None, .. } => Some(mount_path.trim_end_matches('/')),
            _ => None,
        })
        .collect();
    match (paths.len(), paths.first()) {
        (1, Some(path)) => Some((*path).to_owned()),
        _ => None,
    }
}

/// The name of a file below where files appear.
fn file_name(one: &Use, name: &str, base: Option<&str>) -> String {
    match &one.read {
        Read::Files { volume, sub_path, .. } if sub_path.is_some() || base.is_none() => {
            format!("{}/{name}", volume.name)
        }
        _ => name.to_owned(),
    }
}

fn entry(one: &Use, item: Item, mode: Option<u64>) -> Entry {
    Entry {
        item,
        containers: BTreeSet::from([one.container.name.clone()]),
        is_optional: one.is_optional,
        // Only what is narrower than ours was meant as a protection.
        mode: mode.filter(|mode| mode & 0o004 == 0),
    }
}
