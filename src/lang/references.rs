//! Follows references: into a document's own expressions, into its imports, into any environment, and into the
//! context.

use std::sync::Arc;

use super::{
    access::{self, AccessError, below},
    evaluate::{Accept, Evaluator},
    interpolation::{Access, Accessor, Part},
    place::Place,
    signatures::STRING,
    syntax::{Entry, ExprKind, Function, TextMap},
    text,
    value::{Properties, Value},
};
use crate::secret::Secret;

impl<'e> Evaluator<'e> {
    pub(super) fn template(&mut self, parts: &'e [Part], map: &TextMap, place: &Place) -> Value {
        let mut out = text::Buffer::default();
        let (mut secret, mut unknown, mut passed) = (false, false, 0);
        for part in parts {
            out.extend_from_slice(part.text.expose());
            let Some(accesses) = &part.reference else { continue };
            let value = self.reference(accesses, (map, passed), place);
            passed += accesses.len();
            secret |= value.any_secret();
            unknown |= value.any_unknown();
            if unknown {
                continue;
            }
            if text::append(&mut out, &value, self.program.budget.left()).is_err() {
                return self.too_large(place);
            }
        }
        if unknown {
            return Value::unknown_of(Some(Arc::clone(&STRING)), secret, place.clone());
        }
        let value = Value::string(Secret::new(text::take(out)), secret, place.clone());
        self.charged(value.computed_as(Arc::clone(&STRING)), place)
    }

    /// What a reference of an expression at `place` names. `map` tells where its accesses stand, and how many of
    /// the expression's come before.
    pub(super) fn reference(
        &mut self,
        accesses: &'e [Access],
        map: (&TextMap, usize),
        place: &Place,
    ) -> Value {
        let scope = self.scope;
        let suggest = self.program.suggestions > 0;
        let found = match accesses.split_first() {
            Some((Access { accessor: Accessor::Key(root), .. }, rest)) => match root.as_str() {
                "imports" => access::get(&scope.imports, rest, place, suggest),
                "context" => access::get(self.program.context(scope), rest, place, suggest),
                "environments" => self.named(rest, place, suggest),
                _ => self.walk(accesses, place, suggest),
            },
            _ => self.walk(accesses, place, suggest),
        };
        found.unwrap_or_else(|AccessError { left, summary }| {
            let index = accesses.len().saturating_sub(left);
            let (map, passed) = map;
            let blamed = match accesses.get(index) {
                Some(access) => map.place(place, passed + index, &access.bytes),
                None => place.clone(),
            };
            self.program.suggestions = self.program.suggestions.saturating_sub(1);
            self.error(&blamed, summary);
            Value::unknown(place.clone())
        })
    }

    /// `${environments.PROJECT.ENVIRONMENT…}`: an import for this one reference.
    fn named(&mut self, accesses: &'e [Access], place: &Place, suggest: bool) -> Result<Value, AccessError> {
        let [project, environment, rest @ ..] = accesses else {
            // Unknown without a word, as in the reference.
            return Ok(Value::unknown(place.clone()));
        };
        let (Accessor::Key(project), Accessor::Key(environment)) = (&project.accessor, &environment.accessor)
        else {
            return Err(AccessError::new(accesses, access::INDEX_ON_OBJECT));
        };
        let name: Arc<str> = format!("{project}/{environment}").into();
        let scope = self.scope;
        let imported = self.program.import(&scope.name, &name, place, &scope.root, self.world);
        self.unsettled |= imported.unsettled;
        access::get(&imported.value, rest, place, suggest)
    }

    /// Follows a reference through the document's own expressions.
    fn walk(&mut self, accesses: &'e [Access], place: &Place, suggest: bool) -> Result<Value, AccessError> {
        let mut entries: &'e [Entry] = &self.document.values;
        let mut base = self.scope.base.clone();
        let mut rest = accesses;
        loop {
            // `entries` are those of the object that has been reached.
            let Some((access, after)) = rest.split_first() else {
                return Ok(Value::unknown(place.clone()));
            };
            let Accessor::Key(key) = &access.accessor else {
                return Err(AccessError::new(rest, access::INDEX_ON_OBJECT));
            };
            let inherited = base.as_ref().and_then(|base| below(base, key, place));
            let Ok(at) = entries.binary_search_by(|entry| (*entry.key).cmp(key)) else {
                return match (&base, inherited) {
                    (_, Some(inherited)) => access::get(&inherited, after, place, suggest),
                    // An import that could not be had may have had it.
                    (Some(base), None) if access::unknown_below(base).is_some() => {
                        access::get(base, rest, place, suggest)
                    }
                    (Some(base), None) if base.as_object().is_some() => {
                        let names = base.as_object().into_iter().flat_map(Properties::keys);
                        let names = entries.iter().map(|entry| &entry.key).chain(names).map(AsRef::as_ref);
                        Err(AccessError::new(rest, access::unknown_property(key, names, suggest)))
                    }
                    _ => {
                        let names = entries.iter().map(|entry| &*entry.key);
                        Err(AccessError::new(rest, access::unknown_property(key, names, suggest)))
                    }
                };
            };
            let Some(entry) = entries.get(at) else { return Ok(Value::unknown(place.clone())) };
            let mut expr = &entry.value;
            base = inherited;
            rest = after;
            // Through lists, down to the next object or to what has to be computed.
            loop {
                let Some((access, after)) = rest.split_first() else {
                    return Ok(self.evaluate(expr, base, Accept::default()));
                };
                match &expr.kind {
                    ExprKind::Object(below) => {
                        entries = below;
                        break;
                    }
                    ExprKind::List(items) => {
                        let Accessor::Index(index) = access.accessor else {
                            return Err(AccessError::new(rest, access::NAME_ON_ARRAY));
                        };
                        let at = access::position(index, items.len())
                            .map_err(|summary| AccessError::new(rest, summary))?;
                        match items.get(at) {
                            Some(item) => (expr, base, rest) = (item, None, after),
                            None => return Ok(Value::unknown(place.clone())),
                        }
                    }
                    ExprKind::Call(call) if matches!(call.function, Function::Plaintext(..)) => {
                        return Err(AccessError::new(rest, access::NO_RECEIVER));
                    }
                    ExprKind::Call(call) if matches!(call.function, Function::Ciphertext(..)) => {
                        // Said of the reference as a whole.
                        return Err(AccessError::new(&[], "internal error: no receiver"));
                    }
                    // Only its value says what lies below.
                    _ => {
                        let value = self.evaluate(expr, base, Accept::default());
                        return access::get(&value, rest, place, suggest);
                    }
                }
            }
        }
    }
}
