//! The properties of an object, laid over those of another without copying them.
//!
//! A chain of imports in which every environment adds a few keys to a thousand inherited ones must not copy the
//! thousand each time. So properties lie in layers, and a layer is melted into the one above only when that one
//! has grown to about its size: there are never more than a handful of layers, and no key is copied more than
//! a logarithmic number of times.

use std::{fmt, sync::Arc};

use super::value::{Summary, Value};

/// A layer at most this many times as large as the one above it is melted into that one.
const MELTING: usize = 2;

/// Properties by name, in the order of their names.
#[derive(Clone, Default)]
pub struct Properties(Option<Arc<Layer>>);

/// An entry.
type Entry = (Arc<str>, Value);

struct Layer {
    /// Sorted, without duplicates.
    own: Vec<Entry>,
    /// What holds where `own` is silent.
    below: Option<Arc<Self>>,
    /// Different names in all layers.
    len: usize,
    /// Of everything that can be seen from above.
    summary: Summary,
}

impl Properties {
    /// None.
    pub fn new() -> Self {
        Self(None)
    }

    /// From entries that are sorted by name and have no duplicates.
    pub(super) fn from_sorted(own: Vec<Entry>) -> Self {
        Self::default().overlaid(own)
    }

    /// These properties with others laid over them; `top` is sorted by name and has no duplicates.
    pub(super) fn overlaid(&self, mut top: Vec<Entry>) -> Self {
        if top.is_empty() {
            return self.clone();
        }
        let (mut len, mut summary) =
            self.0.as_ref().map_or((0, Summary::default()), |layer| (layer.len, layer.summary));
        for (key, value) in &top {
            match self.get(key) {
                Some(hidden) => summary.remove(value_weight(key, hidden)),
                None => len += 1,
            }
            summary.add(value_weight(key, value));
        }
        let mut below = self.0.clone();
        while let Some(layer) = &below
            && layer.own.len() <= MELTING * top.len()
        {
            top = melt(top, &layer.own);
            below.clone_from(&layer.below.clone());
        }
        Self(Some(Arc::new(Layer { own: top, below, len, summary })))
    }

    /// A property.
    pub fn get(&self, key: &str) -> Option<&Value> {
        let mut layer = self.0.as_deref();
        while let Some(Layer { own, below, .. }) = layer {
            if let Ok(at) = own.binary_search_by(|(name, _)| (**name).cmp(key)) {
                return own.get(at).map(|(_, value)| value);
            }
            layer = below.as_deref();
        }
        None
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |layer| layer.len)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All of them, in the order of their names.
    pub fn iter(&self) -> Iter<'_> {
        let mut layers = Vec::new();
        let mut layer = self.0.as_deref();
        while let Some(Layer { own, below, .. }) = layer {
            layers.push(own.as_slice());
            layer = below.as_deref();
        }
        Iter { layers }
    }

    /// The names, in order.
    pub fn keys(&self) -> impl Iterator<Item = &Arc<str>> {
        self.iter().map(|(key, _)| key)
    }

    pub(super) fn summary(&self) -> Summary {
        self.0.as_ref().map_or(Summary::default(), |layer| layer.summary)
    }
}

fn value_weight(key: &str, value: &Value) -> Summary {
    let mut summary = value.summary();
    summary.weight = summary.weight.saturating_add(key.len());
    summary
}

/// Two sorted lists as one; on equal names the upper wins.
fn melt(upper: Vec<Entry>, lower: &[Entry]) -> Vec<Entry> {
    let mut out = Vec::with_capacity(upper.len() + lower.len());
    let mut lower = lower.iter().peekable();
    for entry in upper {
        while let Some(below) = lower.next_if(|below| below.0 < entry.0) {
            out.push(below.clone());
        }
        lower.next_if(|below| below.0 == entry.0);
        out.push(entry);
    }
    out.extend(lower.cloned());
    out
}

/// Goes through all layers at once.
pub struct Iter<'p> {
    /// What is left of each layer, the uppermost first.
    layers: Vec<&'p [Entry]>,
}

impl<'p> Iterator for Iter<'p> {
    type Item = (&'p Arc<str>, &'p Value);

    fn next(&mut self) -> Option<Self::Item> {
        if let [only] = self.layers.as_mut_slice() {
            let (first, rest) = only.split_first()?;
            *only = rest;
            return Some((&first.0, &first.1));
        }
        let mut least: Option<&'p Entry> = None;
        for layer in &self.layers {
            if let Some(first) = layer.first()
                && least.is_none_or(|least| first.0 < least.0)
            {
                least = Some(first);
            }
        }
        let (key, value) = least?;
        for layer in &mut self.layers {
            if let Some((first, rest)) = layer.split_first()
                && first.0 == *key
            {
                *layer = rest;
            }
        }
        Some((key, value))
    }
}

impl<'p> IntoIterator for &'p Properties {
    type Item = (&'p Arc<str>, &'p Value);
    type IntoIter = Iter<'p>;

    fn into_iter(self) -> Iter<'p> {
        self.iter()
    }
}

impl FromIterator<Entry> for Properties {
    /// Of equal names the last wins.
    fn from_iter<I: IntoIterator<Item = Entry>>(entries: I) -> Self {
        let mut sorted: Vec<Entry> = entries.into_iter().collect();
        // Stable: of equal names the last comes last.
        sorted.sort_by(|one, other| one.0.cmp(&other.0));
        sorted.dedup_by(|later, kept| {
            let same = later.0 == kept.0;
            if same {
                std::mem::swap(later, kept);
            }
            same
        });
        Self::from_sorted(sorted)
    }
}

impl<const N: usize> From<[Entry; N]> for Properties {
    fn from(entries: [Entry; N]) -> Self {
        entries.into_iter().collect()
    }
}

impl fmt::Debug for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc};

    use proptest::prelude::*;

    use super::Properties;
    use crate::lang::{
        diagnostic::Range,
        value::{Kind, Value},
    };

    fn number(n: u32, secret: bool) -> Value {
        let text = Arc::new(n.to_string().into());
        Value::new(Kind::Number(text), secret, Range::start_of(&Arc::from("p/e")))
    }

    fn text(value: &Value) -> (String, bool) {
        let Kind::Number(text) = value.kind() else { panic!("a number") };
        (text.expose_str().unwrap().to_owned(), value.is_secret())
    }

    proptest! {
        #[test]
        fn behaves_as_one_map(layers in prop::collection::vec(prop::collection::btree_map("[a-e]{1,2}", (0u32..5, any::<bool>()), 0..8), 0..8)) {
            let mut expected: BTreeMap<String, (String, bool)> = BTreeMap::new();
            let mut found = Properties::new();
            for layer in layers {
                let entries = layer.iter().map(|(key, (n, secret))| (Arc::from(key.as_str()), number(*n, *secret)));
                found = found.overlaid(entries.collect());
                expected.extend(layer.iter().map(|(key, (n, secret))| (key.clone(), (n.to_string(), *secret))));
            }
            prop_assert_eq!(found.len(), expected.len());
            let listed: Vec<_> = found.iter().map(|(key, value)| (key.to_string(), text(value))).collect();
            prop_assert_eq!(&listed, &expected.clone().into_iter().collect::<Vec<_>>());
            for (key, value) in &expected {
                prop_assert_eq!(&text(found.get(key).unwrap()), value);
            }
            prop_assert!(found.get("zz").is_none());
            let fresh: Properties = found.iter().map(|(key, value)| (Arc::clone(key), value.clone())).collect();
            prop_assert_eq!(found.summary(), fresh.summary());
        }
    }

    #[test]
    fn layers_stay_few_however_many_are_laid_over() {
        let mut properties = Properties::new();
        for n in 0..5000 {
            properties = properties.overlaid(vec![(Arc::from(format!("k{n:04}")), number(n, false))]);
        }
        assert_eq!(properties.len(), 5000);
        assert!(properties.iter().layers.len() <= 13, "{}", properties.iter().layers.len());
    }
}
