//! What a definition says: YAML nodes to imports and expressions.
//!
//! Reading never stops at a defect: what is wrong becomes a diagnostic, and the rest is read on, so that an
//! author sees everything at once.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    MAX_DOCUMENT, MAX_IMPORTS,
    builtins::Builtin,
    diagnostic::{Diagnostics, Range},
    interpolation::{self, Accessor},
    value::Text,
};
use crate::{
    secret::Secret,
    yaml::{self, Dialect, Mark, Node, NodeKind, Scalar},
};

/// Keys under `values` that would hide what references can reach.
const RESERVED: &[&str] = &["imports", "context", "environments"];

/// A definition.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) imports: Vec<Import>,
    /// What `${environments.PROJECT.ENVIRONMENT…}` names, once each.
    pub(super) named: BTreeMap<Named, Range>,
    /// Always an object.
    pub(super) values: Expr,
}

/// An environment by the names of a reference.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Named {
    pub(super) project: Arc<str>,
    pub(super) environment: Arc<str>,
}

/// One entry of `imports`.
#[derive(Debug)]
pub(super) struct Import {
    /// As it is written, with its version: references use the same text.
    pub(super) name: Arc<str>,
    /// Whether its values become the document's own.
    pub(super) merge: bool,
    pub(super) range: Range,
}

/// An expression. The id tells expressions of one document apart.
#[derive(Debug)]
pub(super) struct Expr {
    pub(super) id: usize,
    pub(super) kind: ExprKind,
    pub(super) range: Range,
}

/// What an expression is.
#[derive(Debug)]
pub(super) enum ExprKind {
    Null,
    Bool(bool),
    Number(Text),
    String(Text),
    /// `fn::secret`.
    Secret(Text),
    /// A string that is one reference and nothing else: it copies the value.
    Reference(Vec<Accessor>),
    /// A string with references in it.
    Template(Vec<interpolation::Part>),
    List(Vec<Expr>),
    Object(Entries),
    Call(Builtin, Box<Expr>),
    /// Not understood; a diagnostic has been given.
    Invalid,
}

/// Properties by name: evaluation goes in this order too.
pub(super) type Entries = BTreeMap<Arc<str>, Expr>;

/// Reads a definition.
pub(super) fn read(environment: &Arc<str>, text: &str, diagnostics: &mut Diagnostics) -> Document {
    let mut reader = Reader { environment, diagnostics, named: BTreeMap::new(), next_id: 0 };
    let start = Range::start_of(environment);
    if text.len() > MAX_DOCUMENT {
        reader.diagnostics.error(&start, format!("the definition is larger than {MAX_DOCUMENT} bytes"));
        return reader.empty(start);
    }
    match yaml::parse(text) {
        Err(error) => {
            let range = Range::at(environment, error.mark);
            let Mark { line, .. } = error.mark;
            reader.diagnostics.error(&range, format!("yaml: line {line}: {}", error.message));
            reader.empty(range)
        }
        Ok(documents) => match documents.first() {
            // Nothing at all is an empty environment; a comment alone is a mistake.
            None => {
                if !text.trim().is_empty() {
                    reader.diagnostics.error(&start, "environment must be an object");
                }
                reader.empty(start)
            }
            Some(node) => reader.document(node),
        },
    }
}

struct Reader<'r> {
    environment: &'r Arc<str>,
    diagnostics: &'r mut Diagnostics,
    named: BTreeMap<Named, Range>,
    next_id: usize,
}

impl Reader<'_> {
    fn range(&self, node: &Node) -> Range {
        Range::of(self.environment, node)
    }

    fn error(&mut self, node: &Node, summary: impl Into<String>) {
        let range = self.range(node);
        self.diagnostics.error(&range, summary);
    }

    fn warning(&mut self, node: &Node, summary: impl Into<String>) {
        let range = self.range(node);
        self.diagnostics.warning(&range, summary);
    }

    fn expr(&mut self, kind: ExprKind, range: Range) -> Expr {
        let id = self.next_id;
        self.next_id += 1;
        Expr { id, kind, range }
    }

    fn empty(&mut self, range: Range) -> Document {
        let values = self.expr(ExprKind::Object(Entries::new()), range);
        Document { imports: Vec::new(), named: BTreeMap::new(), values }
    }

    fn document(&mut self, node: &Node) -> Document {
        let range = self.range(node);
        let NodeKind::Mapping(pairs, _) = &node.kind else {
            self.error(node, "environment must be an object");
            return self.empty(range);
        };
        let (mut imports, mut values, mut description) = (None, None, None);
        for (key, value) in pairs {
            let Some(name) = self.key(key) else { continue };
            let place = match name.to_ascii_lowercase().as_str() {
                "imports" => &mut imports,
                "values" => &mut values,
                "description" => &mut description,
                _ => {
                    self.warning(
                        key,
                        format!(
                            "Field '{name}' does not exist on Object 'environment'. Existing fields are: \
                             'imports', 'values', 'description'"
                        ),
                    );
                    continue;
                }
            };
            if place.replace(value).is_some() {
                self.warning(key, format!("duplicate key \"{name}\": the last one counts"));
            }
        }
        if let Some(node) = description
            && !matches!(yaml::resolve(node, Dialect::Esc), Some(Scalar::String(_)))
        {
            self.error(node, "description must be a string");
        }
        let imports = imports.map(|node| self.imports(node)).unwrap_or_default();
        let values = match values {
            Some(node) => self.values(node),
            None => self.expr(ExprKind::Object(Entries::new()), range),
        };
        Document { imports, named: std::mem::take(&mut self.named), values }
    }

    fn imports(&mut self, node: &Node) -> Vec<Import> {
        let NodeKind::Sequence(items, _) = &node.kind else {
            self.error(node, "imports must be a list");
            return Vec::new();
        };
        if items.len() > MAX_IMPORTS {
            self.error(node, format!("more than {MAX_IMPORTS} imports"));
        }
        items.iter().take(MAX_IMPORTS).filter_map(|item| self.import(item)).collect()
    }

    fn import(&mut self, node: &Node) -> Option<Import> {
        let range = self.range(node);
        if let Some(Scalar::String(name)) = yaml::resolve(node, Dialect::Esc) {
            return Some(Import { name: name.into(), merge: true, range });
        }
        let NodeKind::Mapping(pairs, _) = &node.kind else {
            self.error(node, "import must be a string or an object");
            return None;
        };
        let [(key, options)] = pairs.as_slice() else {
            self.error(node, "import must have a single key");
            return None;
        };
        let name = self.key(key)?;
        let NodeKind::Mapping(options, _) = &options.kind else {
            self.error(options, "import must be an object");
            return None;
        };
        let mut merge = true;
        for (key, value) in options {
            // Other options are ignored, as the reference does.
            if self.key(key).as_deref() == Some("merge") {
                match yaml::resolve(value, Dialect::Esc) {
                    Some(Scalar::Bool(flag)) => merge = flag,
                    _ => self.error(value, "merge must be a boolean value"),
                }
            }
        }
        Some(Import { name, merge, range })
    }

    fn values(&mut self, node: &Node) -> Expr {
        let range = self.range(node);
        let NodeKind::Mapping(pairs, _) = &node.kind else {
            self.error(node, "values must be an object");
            return self.expr(ExprKind::Object(Entries::new()), range);
        };
        let mut entries = Entries::new();
        for (key, value) in pairs {
            let Some(name) = self.key(key) else { continue };
            if RESERVED.contains(&&*name) {
                self.error(key, format!("\"{name}\" is a reserved key"));
            } else if function_name(&name).is_some() {
                self.error(key, format!("builtin function call \"{name}\" not allowed at the top level"));
            } else {
                self.entry(&mut entries, key, name, value);
            }
        }
        self.expr(ExprKind::Object(entries), range)
    }

    /// The first of two equal keys counts.
    fn entry(&mut self, entries: &mut Entries, key: &Node, name: Arc<str>, value: &Node) {
        if entries.contains_key(&name) {
            self.error(key, format!("duplicate key \"{name}\""));
            return;
        }
        let expr = self.expression(value);
        entries.insert(name, expr);
    }

    fn key(&mut self, node: &Node) -> Option<Arc<str>> {
        match (&node.kind, yaml::resolve(node, Dialect::Esc)) {
            (_, Some(Scalar::String(name))) => Some(name.into()),
            (NodeKind::Alias(_), _) => {
                self.error(node, "alias nodes are not supported");
                None
            }
            _ => {
                self.error(node, "mapping keys must be strings");
                None
            }
        }
    }

    fn expression(&mut self, node: &Node) -> Expr {
        let range = self.range(node);
        let kind = match &node.kind {
            NodeKind::Alias(_) => self.invalid(node, "alias nodes are not supported"),
            NodeKind::Sequence(items, _) => {
                ExprKind::List(items.iter().map(|item| self.expression(item)).collect())
            }
            NodeKind::Mapping(pairs, _) => match self.call(pairs) {
                Some(call) => call,
                None => self.object(pairs),
            },
            NodeKind::Scalar { .. } => match yaml::resolve(node, Dialect::Esc) {
                None | Some(Scalar::Null) => ExprKind::Null,
                Some(Scalar::Bool(flag)) => ExprKind::Bool(flag),
                Some(Scalar::Number(text)) if text.parse::<serde_json::Number>().is_ok() => {
                    ExprKind::Number(Arc::new(text.into()))
                }
                Some(Scalar::Number(_)) => self.invalid(node, "the number can't be written as JSON"),
                Some(Scalar::String(text)) => self.string(node, &Secret::from(text)),
            },
        };
        self.expr(kind, range)
    }

    fn invalid(&mut self, node: &Node, summary: &str) -> ExprKind {
        self.error(node, summary);
        ExprKind::Invalid
    }

    fn string(&mut self, node: &Node, text: &Secret) -> ExprKind {
        let mut template = interpolation::parse(text.expose_str().unwrap_or_default());
        if !template.problems.is_empty() {
            for problem in template.problems {
                self.error(node, problem);
            }
            return ExprKind::Invalid;
        }
        let references = template.parts.iter().filter_map(|part| part.reference.as_deref());
        for reference in references {
            if let [Accessor::Key(root), Accessor::Key(project), Accessor::Key(environment), ..] = reference
                && root == "environments"
            {
                let named =
                    Named { project: project.as_str().into(), environment: environment.as_str().into() };
                let range = Range::of(self.environment, node);
                self.named.entry(named).or_insert(range);
            }
        }
        match template.parts.as_mut_slice() {
            [] => ExprKind::String(Arc::new(Secret::from(""))),
            [interpolation::Part { text, reference: None }] => ExprKind::String(Arc::new(text.clone())),
            [interpolation::Part { text, reference: Some(reference) }] if text.is_empty() => {
                ExprKind::Reference(std::mem::take(reference))
            }
            _ => ExprKind::Template(template.parts),
        }
    }

    fn object(&mut self, pairs: &[(Node, Node)]) -> ExprKind {
        let mut entries = Entries::new();
        for (key, value) in pairs {
            let Some(name) = self.key(key) else { continue };
            if function_name(&name).is_some() {
                self.error(
                    key,
                    format!(
                        "illegal call to builtin function: \"{name}\" must be the only key within its \
                         containing object"
                    ),
                );
                continue;
            }
            self.entry(&mut entries, key, name, value);
        }
        ExprKind::Object(entries)
    }

    /// A function call, if the only key names a function.
    fn call(&mut self, pairs: &[(Node, Node)]) -> Option<ExprKind> {
        let [(key, argument)] = pairs else { return None };
        let Some(Scalar::String(key_text)) = yaml::resolve(key, Dialect::Esc) else { return None };
        let name = function_name(&key_text)?;
        // Letter case matters: `FN::secret` is no call, and must not pass for one.
        if !key_text.starts_with("fn::") {
            return Some(self.invalid(key, "'fn::' is a reserved prefix"));
        }
        if name == "secret" {
            return Some(self.secret(argument));
        }
        if let Some(builtin) = Builtin::from_name(name) {
            return Some(ExprKind::Call(builtin, Box::new(self.expression(argument))));
        }
        Some(if Builtin::is_known_elsewhere(name) {
            self.invalid(key, &format!("{key_text} is not supported by this server yet"))
        } else {
            self.invalid(key, "'fn::' is a reserved prefix")
        })
    }

    fn secret(&mut self, argument: &Node) -> ExprKind {
        if let Some(Scalar::String(text)) = yaml::resolve(argument, Dialect::Esc) {
            return ExprKind::Secret(Arc::new(text.into()));
        }
        match &argument.kind {
            NodeKind::Mapping(pairs, _)
                if pairs.len() == 1
                    && pairs.iter().all(|(key, _)| {
                        matches!(yaml::resolve(key, Dialect::Esc), Some(Scalar::String(name)) if name == "ciphertext")
                    }) =>
            {
                self.invalid(argument, "encrypted secrets are not supported by this server yet")
            }
            _ => self.invalid(argument, "secret values must be string literals"),
        }
    }
}

/// What follows `fn::`, in any letter case of it.
fn function_name(key: &str) -> Option<&str> {
    let (prefix, name) = key.split_at_checked(4)?;
    prefix.eq_ignore_ascii_case("fn::").then_some(name)
}
