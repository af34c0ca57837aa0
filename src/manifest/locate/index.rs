//! What makes fields of large documents quick to find: the keys of their long mappings, and their anchors.

use std::collections::HashMap;

use super::text_of;
use crate::yaml::{Node, NodeKind};

/// Mappings with fewer keys are searched from the front.
const LONG: usize = 16;

/// Where things are in a tree of nodes.
#[derive(Debug, Default)]
pub struct Index {
    /// Of each long mapping, by its span: at which entry a key stands first.
    keys: HashMap<(usize, usize), HashMap<String, usize>>,
    /// What leads to each anchor: the children's numbers, where a key and its value are two.
    anchors: HashMap<usize, Vec<usize>>,
}

impl Index {
    /// Goes through a tree, whose depth the parser has limited.
    pub fn of(root: &Node) -> Self {
        let mut index = Self::default();
        index.add(root, &mut Vec::new());
        index
    }

    fn add(&mut self, node: &Node, path: &mut Vec<usize>) {
        let anchor = match &node.kind {
            NodeKind::Scalar { anchor, .. }
            | NodeKind::Sequence(_, anchor)
            | NodeKind::Mapping(_, anchor) => *anchor,
            NodeKind::Alias(_) => None,
        };
        if let Some(anchor) = anchor {
            self.anchors.entry(anchor).or_insert_with(|| path.clone());
        }
        if let NodeKind::Mapping(entries, _) = &node.kind
            && entries.len() >= LONG
        {
            let keys = self.keys.entry(span(node)).or_default();
            for (number, (key, _)) in entries.iter().enumerate() {
                if let Some(text) = text_of(key) {
                    keys.entry(text.to_owned()).or_insert(number);
                }
            }
        }
        for (number, child) in children(node).enumerate() {
            path.push(number);
            self.add(child, path);
            path.pop();
        }
    }

    /// The entry of a mapping that has a key.
    pub fn entry<'n>(
        &self,
        mapping: &Node,
        entries: &'n [(Node, Node)],
        key: &str,
    ) -> Option<&'n (Node, Node)> {
        let is_it = |entry: &&(Node, Node)| text_of(&entry.0) == Some(key);
        match self.keys.get(&span(mapping)) {
            Some(keys) if entries.len() >= LONG => {
                keys.get(key).and_then(|number| entries.get(*number)).filter(is_it)
            }
            _ => entries.iter().find(is_it),
        }
    }

    /// What an alias stands for.
    pub fn anchored<'n>(&self, root: &'n Node, anchor: usize) -> Option<&'n Node> {
        self.anchors.get(&anchor)?.iter().try_fold(root, |node, number| children(node).nth(*number))
    }
}

fn span(node: &Node) -> (usize, usize) {
    (node.start.byte, node.end.byte)
}

fn children(node: &Node) -> Box<dyn Iterator<Item = &Node> + '_> {
    match &node.kind {
        NodeKind::Sequence(items, _) => Box::new(items.iter()),
        NodeKind::Mapping(entries, _) => Box::new(entries.iter().flat_map(|(key, value)| [key, value])),
        NodeKind::Scalar { .. } | NodeKind::Alias(_) => Box::new(std::iter::empty()),
    }
}
