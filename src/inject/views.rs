//! Who gets what: receivers with the same files and variables share a view, which has volumes of its own.

use std::collections::BTreeMap;

use super::{
    pod::Container,
    receivers::Receiving,
    request::{For, Request},
};
use crate::agent::plan::{FileEntry, Projections, VariableEntry};

/// A set of files and variables, and who gets it. Never empty of either.
#[derive(Debug)]
pub struct View<'a> {
    /// In the order in which they start.
    pub containers: Vec<&'a Container<'a>>,
    /// Which of ESC's projections are in it.
    pub projections: Projections,
    /// Files by name.
    pub files: Vec<FileEntry>,
    /// Variables by name.
    pub variables: Vec<VariableEntry>,
}

impl View<'_> {
    /// Whether it can have files.
    pub fn has_files(&self) -> bool {
        !self.files.is_empty() || self.projections.files()
    }

    /// Whether it can't do without a way for variables.
    pub fn needs_variables(&self) -> bool {
        !self.variables.is_empty() || self.projections.env()
    }
}

/// Positions of the entries that go to some receivers and not to others.
#[derive(Debug, Default, PartialEq, Eq)]
struct Named {
    files: Vec<usize>,
    variables: Vec<usize>,
}

/// What decides on a receiver's view: whether it gets what is for all, and what names it.
type Share<'n> = (bool, Option<&'n Named>);

/// Groups the receivers. One that gets nothing is in no view.
pub fn group<'a>(receivers: &[Receiving<'a>], request: &Request) -> Vec<View<'a>> {
    let named = named(request);
    let something_for_all = request.projections != Projections::None
        || request.variables.iter().any(|variable| variable.containers.is_none())
        || request.files.iter().any(|file| file.containers.is_none());
    let mut shares: Vec<(Share<'_>, Vec<&'a Container<'a>>)> = Vec::new();
    for receiving in receivers {
        let share = (receiving.of_everything && something_for_all, named.get(receiving.container.name));
        if share == (false, None) {
            continue;
        }
        match shares.iter_mut().find(|(known, _)| *known == share) {
            Some((_, containers)) => containers.push(receiving.container),
            None => shares.push((share, vec![receiving.container])),
        }
    }
    let view = |((of_everything, named), containers): (Share<'_>, _)| View {
        containers,
        projections: if of_everything { request.projections } else { Projections::None },
        files: entries(&request.files, of_everything, named.map(|named| named.files.as_slice())),
        variables: entries(&request.variables, of_everything, named.map(|named| named.variables.as_slice())),
    };
    shares.into_iter().map(view).collect()
}

/// The entries that name containers, by container.
fn named(request: &Request) -> BTreeMap<&str, Named> {
    let mut named: BTreeMap<&str, Named> = BTreeMap::new();
    for (index, file) in request.files.iter().enumerate() {
        for name in file.containers.iter().flatten() {
            note(&mut named.entry(name).or_default().files, index);
        }
    }
    for (index, variable) in request.variables.iter().enumerate() {
        for name in variable.containers.iter().flatten() {
            note(&mut named.entry(name).or_default().variables, index);
        }
    }
    named
}

/// Notes an entry, once also where it names a container twice.
fn note(indices: &mut Vec<usize>, index: usize) {
    if indices.last() != Some(&index) {
        indices.push(index);
    }
}

/// The entries of a share, in their order.
fn entries<T: Clone>(all: &[For<T>], of_everything: bool, named: Option<&[usize]>) -> Vec<T> {
    let goes = |index: usize, entry: &For<T>| match entry.containers {
        None => of_everything,
        Some(_) => named.is_some_and(|named| named.binary_search(&index).is_ok()),
    };
    all.iter()
        .enumerate()
        .filter(|(index, entry)| goes(*index, entry))
        .map(|(_, entry)| entry.entry.clone())
        .collect()
}
