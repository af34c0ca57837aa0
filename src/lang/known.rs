//! Holds what is known of an unknown value against a schema: whether everything that the one schema accepts is
//! accepted by the other.

use super::{
    place::{push_index, push_key},
    schema::Schema,
    validate::{At, Validator},
};

impl<'v> Validator<'v> {
    /// Whether everything that `known` accepts is accepted. `root` holds the definitions of `known`.
    pub(super) fn known(&mut self, known: &Schema, root: &Schema, schema: &'v Schema, at: At<'_>) -> bool {
        self.descend(at, |this| this.check_known(known, root, schema, at))
    }

    fn check_known(&mut self, known: &Schema, root: &Schema, schema: &'v Schema, at: At<'_>) -> bool {
        if schema.is_any() || (known.is_any() && !schema.is_never()) {
            return true;
        }
        if schema.is_never() || known.is_never() {
            return false;
        }
        let mut fits =
            match schema.reference.as_deref().map(|reference| Schema::resolve(self.root, reference)) {
                None => true,
                Some(Ok(target)) => self.known(known, root, target, at),
                Some(Err(error)) => self.fail(at, format!("invalid schema: {error}")),
            };
        if let Some(reference) = known.reference.as_deref()
            && let Ok(target) = Schema::resolve(root, reference)
        {
            fits &= self.known(target, root, schema, at);
        }
        for alternatives in [&known.any_of, &known.one_of] {
            fits &= self.known_alternatives(alternatives, root, schema, at);
        }
        if let (Some(actual), Some(kind)) = (&known.kind, &schema.kind)
            && actual != kind
        {
            fits = self.fail(at, format!("expected {kind}, got {actual}"));
        }
        for alternatives in [&schema.any_of, &schema.one_of] {
            fits &= self.any_of(alternatives, at, |this, schema| this.known(known, root, schema, at));
        }
        match known.kind.as_deref() {
            Some("array") => fits & self.known_array(known, root, schema, at),
            Some("object") => fits & self.known_object(known, root, schema, at),
            _ => fits,
        }
    }

    fn known_alternatives(
        &mut self,
        alternatives: &[Schema],
        root: &Schema,
        schema: &'v Schema,
        at: At<'_>,
    ) -> bool {
        if alternatives.is_empty() {
            return true;
        }
        let before = self.findings.len();
        for known in alternatives {
            if self.known(known, root, schema, at) {
                self.findings.truncate(before);
                return true;
            }
        }
        self.fail(at, "at least one subschema must match")
    }

    fn known_array(&mut self, known: &Schema, root: &Schema, schema: &'v Schema, at: At<'_>) -> bool {
        let mut fits = true;
        for index in 0..known.prefix_items.len().max(schema.prefix_items.len()) {
            let of = |list: &Schema, index| list.prefix_items.get(index).or(list.items.as_deref()).cloned();
            let accepts = schema.prefix_items.get(index).or(schema.items.as_deref());
            if let (Some(actual), Some(accepts)) = (of(known, index), accepts) {
                let mut path = at.path.to_owned();
                push_index(&mut path, index);
                fits &= self.known(&actual, root, accepts, At { place: at.place, path: &path });
            }
        }
        if let (Some(actual), Some(accepts)) = (&known.items, &schema.items)
            && !actual.is_never()
        {
            fits &= self.known(actual, root, accepts, at);
        }
        fits
    }

    fn known_object(&mut self, known: &Schema, root: &Schema, schema: &'v Schema, at: At<'_>) -> bool {
        let mut fits = true;
        let below = |key: &str| {
            let mut path = at.path.to_owned();
            push_key(&mut path, key);
            path
        };
        for (key, actual) in &known.properties {
            if let Some(accepts) = schema.properties.get(key).or(schema.additional.as_deref()) {
                fits &= self.known(actual, root, accepts, At { place: at.place, path: &below(key) });
            }
        }
        match &known.additional {
            Some(actual) => {
                if let Some(accepts) = &schema.additional
                    && !actual.is_never()
                {
                    fits &= self.known(actual, root, accepts, at);
                }
            }
            None => {
                let dependents =
                    schema.dependent_required.iter().filter(|(key, _)| known.required.contains(key));
                for key in schema.required.iter().chain(dependents.flat_map(|(_, dependents)| dependents)) {
                    if !known.required.contains(key) {
                        let path = below(key);
                        fits = self.fail(At { place: at.place, path: &path }, "missing required property");
                    }
                }
            }
        }
        fits
    }
}
