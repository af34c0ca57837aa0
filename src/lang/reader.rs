//! Reads a definition: YAML nodes to imports and expressions.
//!
//! Reading never stops at a defect: what is wrong becomes a diagnostic, and the rest is read on, so that an
//! author sees everything at once. What holds a stand-in for something broken is never evaluated.

use std::sync::Arc;

use super::{
    MAX_DOCUMENT, MAX_IMPORTS,
    diagnostic::{Diagnostics, Range},
    interpolation::{self, Part},
    place::{Place, Step},
    syntax::{Document, Entry, Expr, ExprKind, Import, Reference, Span, TextMap, key_place, part_of},
    text::quoted,
};
use crate::{
    secret::Secret,
    yaml::{self, Dialect, Mark, Node, NodeKind, Scalar, esc_string},
};

/// Keys under `values` that would hide what references can reach.
const RESERVED: &[&str] = &["imports", "context", "environments"];

/// How the text of `fn::secret` is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Secrets {
    /// As it stands. What is stored is encrypted before anything reads it, so that neither `$$` nor `${` mean
    /// anything in it.
    #[default]
    Stored,
    /// As any other string: ESC reads a definition that is evaluated without being stored so.
    Literal,
}

/// Reads a definition. With errors among the diagnostics it must not be evaluated.
pub(super) fn read(
    environment: &Arc<str>,
    text: &str,
    secrets: Secrets,
    diagnostics: &mut Diagnostics,
) -> Document {
    let start = Place::root(Range::start_of(environment));
    if text.len() > MAX_DOCUMENT {
        diagnostics.error(&start, format!("the definition is larger than {MAX_DOCUMENT} bytes"));
        return empty(start);
    }
    match yaml::parse(text) {
        Err(error) => {
            let place = Place::root(Range::at(environment, error.mark));
            let Mark { line, .. } = error.mark;
            diagnostics.error(&place, format!("yaml: line {line}: {}", error.message));
            empty(place)
        }
        Ok(documents) => match documents.first() {
            // Nothing at all is an empty environment; a comment alone is a mistake.
            None => {
                if !text.trim().is_empty() {
                    diagnostics.error(&start, "environment must be an object");
                }
                empty(start)
            }
            Some(node) => {
                let place = Place::root(Range::of(environment, node));
                let refused = Diagnostics::default();
                Reader { secrets, diagnostics, refused, next_id: 0 }.document(node, place)
            }
        },
    }
}

fn empty(place: Place) -> Document {
    Document {
        place,
        imports: Vec::new(),
        refused: Diagnostics::default(),
        values: Vec::new(),
        expressions: 0,
    }
}

pub(super) struct Reader<'r> {
    pub(super) secrets: Secrets,
    diagnostics: &'r mut Diagnostics,
    refused: Diagnostics,
    next_id: usize,
}

impl Reader<'_> {
    pub(super) fn error(&mut self, place: &Place, summary: impl Into<String>) {
        self.diagnostics.error(place, summary);
    }

    pub(super) fn expr(&mut self, kind: ExprKind, place: Place) -> Expr {
        let id = self.next_id;
        self.next_id += 1;
        Expr { id, kind, place }
    }

    fn document(mut self, node: &Node, place: Place) -> Document {
        let (mut imports, mut values) = (Vec::new(), Vec::new());
        let NodeKind::Mapping(pairs, _) = &node.kind else {
            self.error(&place, "environment must be an object");
            return empty(place);
        };
        let mut seen: Vec<Arc<str>> = Vec::new();
        for (key, value) in pairs {
            let Some(name) = self.key(&place, key) else { continue };
            if seen.contains(&name) {
                self.diagnostics.warning(
                    &key_place(&place, &name, span(key)),
                    format!("duplicate key {}", quoted(&name)),
                );
            }
            // Of two the last counts.
            let below = child(&place, &name, value);
            match name.to_ascii_lowercase().as_str() {
                "imports" => imports = self.imports(value, &below),
                "values" => values = self.values(value, &below),
                "description" => self.description(value, &below),
                _ => self.diagnostics.warning(
                    &key_place(&place, &name, span(key)),
                    format!(
                        "Field '{name}' does not exist on Object 'environment'. Existing fields are: 'imports', \
                         'values', 'description'"
                    ),
                ),
            }
            // There are three that can repeat; others are remembered too, as long as they are few.
            if seen.len() < 16 {
                seen.push(name);
            }
        }
        Document { place, imports, refused: self.refused, values, expressions: self.next_id }
    }

    fn description(&mut self, node: &Node, place: &Place) {
        let expr = self.expression(node, place.clone());
        if !matches!(expr.kind, ExprKind::String(_)) {
            self.error(place, "description must be a string");
        }
    }

    fn imports(&mut self, node: &Node, place: &Place) -> Vec<Import> {
        let NodeKind::Sequence(items, _) = &node.kind else {
            self.error(place, "imports must be a list");
            return Vec::new();
        };
        if items.len() > MAX_IMPORTS {
            self.error(place, format!("more than {MAX_IMPORTS} imports"));
        }
        let items = items.iter().enumerate().take(MAX_IMPORTS);
        items.filter_map(|(index, item)| self.import(item, element(place, index, item))).collect()
    }

    fn import(&mut self, node: &Node, place: Place) -> Option<Import> {
        if let Some(name) = esc_string(node) {
            return Some(Import { name: name.into(), merge: true, place });
        }
        let NodeKind::Mapping(pairs, _) = &node.kind else {
            self.error(&place, "import must be a string or an object");
            return None;
        };
        let [(key, options)] = pairs.as_slice() else {
            self.error(&place, "import must have a single key");
            return None;
        };
        let name = self.key(&place, key)?;
        let below = child(&place, &name, options);
        let NodeKind::Mapping(pairs, _) = &options.kind else {
            self.error(&below, "import must be an object");
            return None;
        };
        let mut merge = true;
        for (key, value) in pairs {
            // Other options are ignored, as the reference does.
            if let Some(option) = self.key(&below, key)
                && option.eq_ignore_ascii_case("merge")
            {
                match yaml::resolve(value, Dialect::Esc) {
                    Some(Scalar::Bool(flag)) => merge = flag,
                    _ => self.error(&child(&below, &option, value), "merge must be a boolean value"),
                }
            }
        }
        let place = key_place(&place, &name, span(key));
        Some(Import { name, merge, place })
    }

    fn values(&mut self, node: &Node, place: &Place) -> Vec<Entry> {
        let NodeKind::Mapping(pairs, _) = &node.kind else {
            self.error(place, "values must be an object");
            return Vec::new();
        };
        let mut entries = Vec::new();
        for (key, value) in pairs {
            let Some(name) = self.key(place, key) else { continue };
            let at = span(key);
            if RESERVED.contains(&&*name) {
                self.refused
                    .error(&key_place(place, &name, at), format!("{} is a reserved key", quoted(&name)));
                continue;
            }
            if function_name(&name).is_some() {
                let summary = format!("builtin function call {} not allowed at the top level", quoted(&name));
                self.error(&key_place(place, &name, at), summary);
            }
            let value = self.expression(value, child(place, &name, value));
            entries.push(Entry { key: name, at, value });
        }
        self.sorted(place, entries)
    }

    /// Of equal keys the first counts.
    fn sorted(&mut self, object: &Place, mut entries: Vec<Entry>) -> Vec<Entry> {
        // Stable: equal keys stay in the order of the text.
        entries.sort_by(|one, other| one.key.cmp(&other.key));
        let refused = &mut self.refused;
        entries.dedup_by(|later, first| {
            let same = later.key == first.key;
            if same {
                let place = key_place(object, &later.key, later.at);
                refused.error(&place, format!("duplicate key {}", quoted(&later.key)));
            }
            same
        });
        entries
    }

    fn key(&mut self, object: &Place, node: &Node) -> Option<Arc<str>> {
        if let Some(name) = esc_string(node) {
            return Some(name.into());
        }
        let (text, summary) = match &node.kind {
            NodeKind::Scalar { text, .. } => (text.as_str(), "mapping keys must be strings"),
            NodeKind::Alias(_) => ("", "alias nodes are not supported"),
            _ => ("", "mapping keys must be strings"),
        };
        self.error(&key_place(object, &text.into(), span(node)), summary);
        None
    }

    /// The key of an object below `values`, which is a string like any other but must hold no reference.
    fn object_key(&mut self, object: &Place, node: &Node) -> Option<Arc<str>> {
        let name = self.key(object, node)?;
        if !name.contains('$') {
            return Some(name);
        }
        let template = interpolation::parse(&name);
        let place = key_place(object, &name, span(node));
        for problem in &template.problems {
            self.error(&place, problem.summary);
        }
        match template.parts.as_slice() {
            [Part { text, reference: None }] => text.expose_str().map(Arc::from),
            _ => {
                self.error(&place, "object keys must be strings");
                None
            }
        }
    }

    pub(super) fn expression(&mut self, node: &Node, place: Place) -> Expr {
        let kind = match &node.kind {
            NodeKind::Alias(_) => self.broken(&place, "alias nodes are not supported"),
            NodeKind::Sequence(items, _) => ExprKind::List(
                items
                    .iter()
                    .enumerate()
                    .map(|(index, item)| self.expression(item, element(&place, index, item)))
                    .collect(),
            ),
            NodeKind::Mapping(pairs, _) => match self.call(pairs, &place) {
                Some(call) => call,
                None => self.object(pairs, &place),
            },
            NodeKind::Scalar { plain, .. } => match yaml::resolve(node, Dialect::Esc) {
                None | Some(Scalar::Null) => ExprKind::Null,
                Some(Scalar::Bool(flag)) => ExprKind::Bool(flag),
                Some(Scalar::Number(text)) if text.ends_with("Inf") || text == "NaN" => {
                    self.broken(&place, "the number can't be written as JSON")
                }
                Some(Scalar::Number(text)) => ExprKind::Number(Arc::new(text.into())),
                Some(Scalar::String(text)) => {
                    let mapped = *plain && node.start.line == node.end.line;
                    self.string(text, mapped, &place)
                }
            },
        };
        self.expr(kind, place)
    }

    /// Reports what can't be evaluated, and stands in for it.
    pub(super) fn broken(&mut self, place: &Place, summary: impl Into<String>) -> ExprKind {
        self.error(place, summary);
        ExprKind::Null
    }

    /// A string; `mapped` if its characters stand in the text as they are.
    fn string(&mut self, text: String, mapped: bool, place: &Place) -> ExprKind {
        if !text.contains('$') {
            return ExprKind::String(Arc::new(text.into()));
        }
        let text = Secret::from(text);
        let text = text.expose_str().unwrap_or_default();
        let mut template = interpolation::parse(text);
        for problem in &template.problems {
            let part = mapped.then(|| {
                let columns = |end: usize| text.get(..end).map(|text| text.chars().count());
                let columns = (columns(problem.bytes.start)?, columns(problem.bytes.end)?);
                Some(part_of(place, &problem.bytes, columns))
            });
            self.error(part.flatten().as_ref().unwrap_or(place), problem.summary);
        }
        if !template.problems.is_empty() {
            return ExprKind::Null;
        }
        let map = if mapped {
            let accesses = template.parts.iter().filter_map(|part| part.reference.as_ref()).flatten();
            TextMap::new(text, accesses.map(|access| &access.bytes))
        } else {
            TextMap::default()
        };
        match template.parts.as_mut_slice() {
            [] => ExprKind::String(Arc::new(Secret::from(""))),
            [Part { text, reference: None }] => ExprKind::String(Arc::new(text.clone())),
            [Part { text, reference: Some(accesses) }] if text.is_empty() => {
                ExprKind::Reference(Reference { accesses: std::mem::take(accesses), map })
            }
            _ => ExprKind::Template(template.parts, map),
        }
    }

    fn object(&mut self, pairs: &[(Node, Node)], place: &Place) -> ExprKind {
        let mut entries = Vec::with_capacity(pairs.len());
        for (key, value) in pairs {
            let Some(name) = self.object_key(place, key) else { continue };
            // Letter case does not matter here: `FN::secret` is no call, and must not pass for one.
            if pairs.len() > 1 && function_name(&name).is_some() {
                let summary = format!(
                    "illegal call to builtin function: {} must be the only key within its containing object",
                    quoted(&name)
                );
                self.error(place, summary);
            }
            let value = self.expression(value, child(place, &name, value));
            entries.push(Entry { key: name, at: span(key), value });
        }
        ExprKind::Object(self.sorted(place, entries))
    }
}

/// Where a key or another node stands.
pub(super) fn span(node: &Node) -> Span {
    Span { begin: node.start, end: node.end }
}

/// Where the value of a property stands.
pub(super) fn child(object: &Place, key: &Arc<str>, value: &Node) -> Place {
    object.below(Step::Key(Arc::clone(key)), Range::of(&object.range().environment, value))
}

fn element(list: &Place, index: usize, item: &Node) -> Place {
    list.below(Step::Index(index), Range::of(&list.range().environment, item))
}

/// What follows `fn::`, in any letter case of it.
pub(super) fn function_name(key: &str) -> Option<&str> {
    let (prefix, name) = key.split_at_checked(4)?;
    prefix.eq_ignore_ascii_case("fn::").then_some(name)
}
