//! Where the steps of references lead, as tools are told of it: each with where it stands, and where that is defined
//! which it reaches.

use serde_json::{Value as Json, json};

use super::{
    access::below,
    describe::object,
    diagnostic::Range,
    evaluation::{Evaluation, Kept, State},
    interpolation::{Access, Accessor},
    syntax::{Entry, Expr, ExprKind, TextMap},
    value::{Kind, Value},
};
use crate::yaml::Mark;

/// The steps of a reference, each with where it stands and where what it reaches is defined.
pub(super) fn steps(
    program: &Evaluation,
    home: &Kept,
    expr: &Expr,
    accesses: &[Access],
    (map, passed): (&TextMap, usize),
) -> Json {
    let environment = &expr.place.range().environment;
    let mut reached = reached(program, home, expr, accesses).into_iter();
    let step = |(index, access): (usize, &Access)| {
        let at = map.mapped(&expr.place, passed + index, &access.bytes);
        let at = at.map_or_else(|| nowhere(environment), |place| range(place.range()));
        // What is not reached is taken for the reference itself.
        let value = reached.next().unwrap_or_else(|| range(expr.place.range()));
        match &access.accessor {
            Accessor::Key(key) => object([("key", key.as_str().into()), ("range", at), ("value", value)]),
            Accessor::Index(index) => object([("index", (*index).into()), ("range", at), ("value", value)]),
        }
    };
    accesses.iter().enumerate().map(step).collect()
}

/// Where that is defined which the steps of a reference reach, as far as they do.
fn reached(program: &Evaluation, home: &Kept, expr: &Expr, accesses: &[Access]) -> Vec<Json> {
    let environment = &home.scope.name;
    let here = || range(expr.place.range());
    let root = match accesses.first().map(|access| &access.accessor) {
        Some(Accessor::Key(key)) => key.as_str(),
        _ => return Vec::new(),
    };
    let mut out = Vec::new();
    match root {
        // What is nobody's expression is nowhere: neither the roots, nor whole environments.
        "imports" | "context" => {
            let scope = &home.scope;
            let receiver = if root == "imports" { &scope.imports } else { program.context(scope) };
            follow(receiver, accesses.get(1..).unwrap_or_default(), &mut out);
            let unplaced = if root == "imports" { 1 } else { out.len() };
            out.iter_mut().take(unplaced).for_each(|place| *place = nowhere(environment));
            out.insert(0, nowhere(environment));
        }
        "environments" => {
            let [_, project, name, rest @ ..] = accesses else { return out };
            let (Accessor::Key(project), Accessor::Key(name)) = (&project.accessor, &name.accessor) else {
                return out;
            };
            out.extend([here(), here()]);
            if let Some(State::Done(value)) = program.state(&format!("{project}/{name}")) {
                out.push(nowhere(environment));
                follow(value, rest, &mut out);
            }
        }
        _ => walk(home, accesses, &mut out),
    }
    out
}

/// Through the document's own expressions.
fn walk(home: &Kept, accesses: &[Access], out: &mut Vec<Json>) {
    let mut entries: &[Entry] = &home.document.values;
    let mut base = home.scope.base.clone();
    let mut rest = accesses;
    while let Some((Access { accessor: Accessor::Key(key), .. }, after)) = rest.split_first() {
        let Ok(at) = entries.binary_search_by(|entry| (*entry.key).cmp(key)) else {
            if let Some(base) = &base {
                follow(base, rest, out);
            }
            return;
        };
        let Some(mut expr) = entries.get(at).map(|entry| &entry.value) else { return };
        base = base.as_ref().and_then(|base| below(base, key, &expr.place));
        rest = after;
        loop {
            out.push(range(expr.place.range()));
            match (&expr.kind, rest.split_first()) {
                (_, None) => return,
                (ExprKind::Object(below), Some(_)) => {
                    entries = below;
                    break;
                }
                (ExprKind::List(items), Some((Access { accessor: Accessor::Index(index), .. }, after))) => {
                    let item = usize::try_from(*index).ok().and_then(|index| items.get(index));
                    let Some(item) = item else { return };
                    (expr, base, rest) = (item, None, after);
                }
                (_, Some(_)) => {
                    if let Some(value) = home.values.get(expr.id).and_then(Option::as_ref) {
                        follow(value, rest, out);
                    }
                    return;
                }
            }
        }
    }
}

/// Through a value.
fn follow(receiver: &Value, accesses: &[Access], out: &mut Vec<Json>) {
    let mut receiver = receiver;
    for access in accesses {
        let next = match (receiver.kind(), &access.accessor) {
            (Kind::Object(properties), Accessor::Key(key)) => properties.get(key),
            (Kind::Array(items), Accessor::Index(index)) => {
                usize::try_from(*index).ok().and_then(|index| items.get(index))
            }
            _ => None,
        };
        let Some(next) = next else { return };
        out.push(range(next.range()));
        receiver = next;
    }
}

pub(super) fn range(range: &Range) -> Json {
    let Range { environment, begin, end } = range;
    let mark = |mark: &Mark| json!({ "line": mark.line, "column": mark.column, "byte": mark.byte });
    json!({ "environment": &**environment, "begin": mark(begin), "end": mark(end) })
}

/// The range of what stands in no text.
pub(super) fn nowhere(environment: &str) -> Json {
    let mark = json!({ "line": 0, "column": 0, "byte": 0 });
    json!({ "environment": environment, "begin": mark, "end": mark })
}
