//! Reads calls of functions: an object whose only key begins with `fn::`.

use std::sync::Arc;

use super::{
    diagnostic::Range,
    place::Place,
    reader::{Reader, Secrets, child, function_name, span},
    syntax::{Call, Expr, ExprKind, Function, Provider, Span, Unary},
};
use crate::{
    secret::Secret,
    yaml::{Node, NodeKind, esc_string},
};

const SECRETS_ARE_LITERALS: &str = "secret values must be string literals";

impl Reader<'_> {
    /// A function call, if the only key names a function.
    pub(super) fn call(&mut self, pairs: &[(Node, Node)], place: &Place) -> Option<ExprKind> {
        let [(key, argument)] = pairs else { return None };
        let name = esc_string(key)?;
        function_name(name)?;
        let name: Arc<str> = name.into();
        let below = child(place, &name, argument);
        // Only the exact prefix calls: `FN::secret` is none, and must not pass for one.
        let function =
            name.strip_prefix("fn::").and_then(|function| self.function(function, argument, below));
        Some(match function {
            Some(function) => {
                ExprKind::Call(Box::new(Call { name, at: span(key), argument: span(argument), function }))
            }
            None => {
                // Its argument may be broken, too.
                self.expression(argument, child(place, &name, argument));
                let key = place.at(span(key).within(&place.range().environment));
                self.broken(&key, "'fn::' is a reserved prefix")
            }
        })
    }

    /// None if there is no such function.
    fn function(&mut self, name: &str, argument: &Node, place: Place) -> Option<Function> {
        let unary = match name {
            "concat" => Unary::Concat,
            "final" => Unary::Final,
            "fromBase64" => Unary::FromBase64,
            "fromJSON" => Unary::FromJson,
            "toBase64" => Unary::ToBase64,
            "toJSON" => Unary::ToJson,
            "toString" => Unary::ToString,
            "toYAML" => Unary::ToYaml,
            "join" => {
                let (delimiter, values) = self.pair(name, argument, place);
                return Some(Function::Join(delimiter, values));
            }
            "split" => {
                let (delimiter, text) = self.pair(name, argument, place);
                return Some(Function::Split(delimiter, text));
            }
            "secret" => return Some(self.secret(argument, &place)),
            "validate" => return Some(self.validate(argument, &place)),
            "open" => return Some(self.open(argument, &place)),
            "rotate" => return Some(self.rotate(None, argument, &place)),
            _ => {
                if let Some(provider) = name.strip_prefix("open::") {
                    let inputs = self.expression(argument, place);
                    let provider = Provider { name: provider.into(), at: None };
                    return Some(Function::Open { provider, inputs });
                }
                let rotator = name.strip_prefix("rotate::")?;
                return Some(self.rotate(Some(rotator), argument, &place));
            }
        };
        if unary == Unary::Concat && !matches!(argument.kind, NodeKind::Sequence(..)) {
            self.error(&place, "the argument to fn::concat must be an array of arrays");
        }
        Some(Function::Unary(unary, self.expression(argument, place)))
    }

    fn missing(&mut self, place: &Place) -> Expr {
        self.expr(ExprKind::Null, place.clone())
    }

    fn pair(&mut self, name: &str, argument: &Node, place: Place) -> (Expr, Expr) {
        let expr = self.expression(argument, place);
        if let ExprKind::List(items) = expr.kind
            && let Ok([first, second]) = <[Expr; 2]>::try_from(items)
        {
            return (first, second);
        }
        self.error(&expr.place, format!("the argument to fn::{name} must be a two-valued list"));
        (self.missing(&expr.place), self.missing(&expr.place))
    }

    fn secret(&mut self, argument: &Node, place: &Place) -> Function {
        if let Some(text) = esc_string(argument) {
            return Function::Plaintext(self.plaintext(text, argument, place), place.clone());
        }
        if let NodeKind::Mapping(pairs, _) = &argument.kind
            && let [(key, ciphertext)] = pairs.as_slice()
            && esc_string(key) == Some("ciphertext")
            && let Some(text) = esc_string(ciphertext)
        {
            return Function::Ciphertext(Arc::new(text.into()), span(ciphertext));
        }
        // What it holds may be broken, too.
        self.expression(argument, place.clone());
        self.error(place, SECRETS_ARE_LITERALS);
        Function::Plaintext(Arc::new(Secret::from("")), place.clone())
    }

    fn plaintext(&mut self, text: &str, node: &Node, place: &Place) -> super::value::Text {
        match self.secrets {
            Secrets::Stored => Arc::new(text.into()),
            Secrets::Literal => {
                let expr = self.expression(node, place.clone());
                match expr.kind {
                    ExprKind::String(text) => text,
                    ExprKind::Template(..) | ExprKind::Reference(_) => {
                        self.error(place, SECRETS_ARE_LITERALS);
                        Arc::new(Secret::from(""))
                    }
                    // A broken reference has been told of.
                    _ => Arc::new(Secret::from("")),
                }
            }
        }
    }

    fn validate(&mut self, argument: &Node, place: &Place) -> Function {
        let mut found = Fields::default();
        if self.fields(argument, place, &["schema", "value"], &mut found) {
            for (name, field) in ["schema", "value"].into_iter().zip([&found.first, &found.second]) {
                if field.is_none() {
                    self.error(place, format!("missing required property '{name}'"));
                }
            }
        } else {
            self.error(
                place,
                "the argument to fn::validate must be an object containing 'schema' and 'value'",
            );
        }
        let schema = found.first.unwrap_or_else(|| self.missing(place));
        let value = found.second.unwrap_or_else(|| self.missing(place));
        Function::Validate { schema, value }
    }

    fn open(&mut self, argument: &Node, place: &Place) -> Function {
        let mut found = Fields::default();
        let mut provider = Provider { name: "".into(), at: None };
        if self.fields(argument, place, &["provider", "inputs"], &mut found) {
            provider = self.provider(found.first, place);
            self.require_inputs(found.second.as_ref(), place);
        } else {
            self.error(
                place,
                "the argument to fn::open must be an object containing 'provider' and 'inputs'",
            );
        }
        let inputs = found.second.unwrap_or_else(|| self.missing(place));
        Function::Open { provider, inputs }
    }

    fn rotate(&mut self, rotator: Option<&str>, argument: &Node, place: &Place) -> Function {
        let mut found = Fields::default();
        let mut provider = Provider { name: rotator.unwrap_or_default().into(), at: None };
        if self.fields(argument, place, &["provider", "inputs", "state"], &mut found) {
            if rotator.is_none() {
                provider = self.provider(found.first.take(), place);
            }
            self.require_inputs(found.second.as_ref(), place);
            if let Some(state) = &found.third
                && !matches!(state.kind, ExprKind::Object(_))
            {
                self.error(&state.place, "rotation state must be an object literal");
            }
        } else {
            let provider = if rotator.is_none() { "'provider', " } else { "" };
            let summary = format!(
                "the argument to fn::rotate must be an object containing {provider}'inputs' and 'state'"
            );
            self.error(place, summary);
        }
        let inputs = found.second.unwrap_or_else(|| self.missing(place));
        Function::Rotate { provider, inputs, state: found.third }
    }

    fn provider(&mut self, expr: Option<Expr>, place: &Place) -> Provider {
        match expr {
            None => self.error(place, "missing provider name ('provider')"),
            Some(Expr { kind: ExprKind::String(text), place, .. }) => {
                let Range { begin, end, .. } = *place.range();
                let name = text.expose_str().unwrap_or_default().into();
                return Provider { name, at: Some(Span { begin, end }) };
            }
            Some(other) => self.error(&other.place, "provider name must be a string literal"),
        }
        Provider { name: "".into(), at: None }
    }

    fn require_inputs(&mut self, inputs: Option<&Expr>, place: &Place) {
        if inputs.is_none() {
            self.error(place, "missing provider inputs ('inputs')");
        }
    }

    /// Reads an argument that must be an object literal into its fields; false if it is none. What is not asked
    /// for is read, too, since it may be broken.
    fn fields(&mut self, argument: &Node, place: &Place, names: &[&str], found: &mut Fields) -> bool {
        let expr = self.expression(argument, place.clone());
        let ExprKind::Object(entries) = expr.kind else { return false };
        for entry in entries {
            let field = match names.iter().position(|name| **name == *entry.key) {
                Some(0) => &mut found.first,
                Some(1) => &mut found.second,
                Some(_) => &mut found.third,
                None => continue,
            };
            *field = Some(entry.value);
        }
        true
    }
}

/// Fields of an argument, in the order in which they were asked for.
#[derive(Default)]
struct Fields {
    first: Option<Expr>,
    second: Option<Expr>,
    third: Option<Expr>,
}
