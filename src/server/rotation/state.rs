//! Finds the rotators of a definition, and writes their new states into its text. Pure.
//!
//! Only the state's own bytes are replaced: comments, order and formatting of everything else stay. What is written is
//! secret as a whole, and can't be a call, whatever a rotator answers.

use std::ops::Range;

use serde_json::Value as Json;
use zeroize::Zeroizing;

use super::text::{in_block, in_flow};
use crate::{
    esc::{
        path::{Path, Segment},
        render::{Format, render},
        value::{Kind, Value},
    },
    lang::place::{push_index, push_key},
    secret::Secret,
    yaml::{self, Dialect, Node, NodeKind, esc_string},
};

/// Bounds of what one state is expected to grow by when it is rotated, sealed, in bytes.
const LEAST_GROWTH: usize = 2 << 10;
const MOST_GROWTH: usize = 8 << 10;

/// A rotator in a definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Site {
    /// Its path below `values`, as diagnostics and rotations spell it.
    pub(super) path: String,
    steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
}

/// Why a state can't be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum StateError {
    #[error("the definition is no YAML")]
    Yaml,
    #[error("there is no rotator at `{0}`")]
    Gone(String),
    #[error("the state of `{0}` can't be written into the definition as that is formatted")]
    Format(String),
}

/// Every rotator, in the order of the text.
pub(super) fn sites(text: &str) -> Vec<Site> {
    let documents = yaml::parse(text).unwrap_or_default();
    let mut found = Vec::new();
    if let Some(values) = documents.first().and_then(values) {
        walk(values, &mut Vec::new(), &mut found);
    }
    found
}

fn values(document: &Node) -> Option<&Node> {
    let NodeKind::Mapping(pairs, _) = &document.kind else { return None };
    let is_values = |key: &Node| esc_string(key).is_some_and(|name| name.eq_ignore_ascii_case("values"));
    pairs.iter().find(|(key, _)| is_values(key)).map(|(_, values)| values)
}

/// The parser bounds the depth.
fn walk(node: &Node, steps: &mut Vec<Step>, found: &mut Vec<Site>) {
    match &node.kind {
        NodeKind::Mapping(pairs, _) => {
            if call(node).is_some() {
                found.push(Site { path: spell(steps), steps: steps.clone() });
            }
            for (key, value) in pairs {
                if let Some(key) = esc_string(key) {
                    steps.push(Step::Key(key.to_owned()));
                    walk(value, steps, found);
                    steps.pop();
                }
            }
        }
        NodeKind::Sequence(items, _) => {
            for (index, item) in items.iter().enumerate() {
                steps.push(Step::Index(index));
                walk(item, steps, found);
                steps.pop();
            }
        }
        NodeKind::Scalar { .. } | NodeKind::Alias(_) => {}
    }
}

fn spell(steps: &[Step]) -> String {
    let mut path = String::new();
    for step in steps {
        match step {
            Step::Key(key) => push_key(&mut path, key),
            Step::Index(index) => push_index(&mut path, *index),
        }
    }
    path
}

/// The argument of a call of a rotator.
fn call(node: &Node) -> Option<&Node> {
    let NodeKind::Mapping(pairs, _) = &node.kind else { return None };
    match pairs.as_slice() {
        [(key, argument)] => {
            let name = esc_string(key)?;
            (name == "fn::rotate" || name.starts_with("fn::rotate::")).then_some(argument)
        }
        _ => None,
    }
}

impl Site {
    /// Whether somebody means this one by a path: below `values`, or from the top.
    pub(super) fn is(&self, path: &Path) -> bool {
        let fits = |segments: &[Segment]| {
            segments.len() == self.steps.len()
                && segments.iter().zip(&self.steps).all(|(segment, step)| match (segment, step) {
                    (Segment::Key(wanted), Step::Key(key)) => wanted == key,
                    (Segment::Index(wanted), Step::Index(index)) => usize::try_from(*wanted) == Ok(*index),
                    _ => false,
                })
        };
        let from_the_top = match path.segments() {
            [Segment::Key(first), rest @ ..] if first == "values" => fits(rest),
            _ => false,
        };
        fits(path.segments()) || from_the_top
    }

    fn find<'n>(&self, document: &'n Node) -> Option<&'n Node> {
        self.steps.iter().try_fold(values(document)?, |node, step| match (&node.kind, step) {
            (NodeKind::Mapping(pairs, _), Step::Key(wanted)) => {
                pairs.iter().find(|(key, _)| esc_string(key) == Some(wanted.as_str())).map(|(_, value)| value)
            }
            (NodeKind::Sequence(items, _), Step::Index(index)) => items.get(*index),
            _ => None,
        })
    }
}

/// What a state looks like before there is one: for trying whether it can be written.
pub(super) fn sample() -> Value {
    let text = Value { kind: Kind::String(Secret::from("x")), secret: true };
    Value { kind: Kind::Object([("current".to_owned(), text)].into()), secret: true }
}

/// How much larger a sealed definition may become by new states. What nobody can know is guessed: a state doubles (what was
/// current is kept as the previous one), within bounds, and a first one is like those that services give, keys and chains.
pub(super) fn growth(text: &str, sites: &[Site]) -> usize {
    let Ok(document) = single(text) else { return 0 };
    let of = |site: &Site| {
        let NodeKind::Mapping(pairs, _) = &site.find(&document).and_then(call)?.kind else { return None };
        let (_, old) = pairs.iter().find(|(key, _)| esc_string(key) == Some("state"))?;
        let length = end_of(text, old).saturating_sub(old.start.byte);
        Some(length.clamp(LEAST_GROWTH, MOST_GROWTH))
    };
    sites.iter().map(|site| of(site).unwrap_or(MOST_GROWTH)).sum()
}

/// Writes states into a definition, in the clear: the caller seals them.
pub(super) fn write(text: &str, states: &[(&Site, &Value)]) -> Result<Secret, StateError> {
    let document = single(text)?;
    let mut edits = Vec::new();
    for (site, state) in states {
        let gone = || StateError::Gone(site.path.clone());
        let format = || StateError::Format(site.path.clone());
        let argument = site.find(&document).and_then(call).ok_or_else(gone)?;
        edits.push(edit(text, argument, state).ok_or_else(format)?);
    }
    edits.sort_by_key(|edit| edit.range.start);
    let mut out = Zeroizing::new(String::with_capacity(text.len() + 256));
    let mut done = 0;
    for Edit { range, text: replacement } in &edits {
        let kept = text.get(done..range.start).ok_or(StateError::Yaml)?;
        out.push_str(kept);
        out.push_str(replacement);
        done = range.end;
    }
    out.push_str(text.get(done..).unwrap_or_default());
    proven(&document, &out, states)?;
    Ok(Secret::from(out.as_str()))
}

fn single(text: &str) -> Result<Node, StateError> {
    let documents = yaml::parse(text).map_err(|_| StateError::Yaml)?;
    match <[Node; 1]>::try_from(documents) {
        Ok([document]) => Ok(document),
        Err(_) => Err(StateError::Yaml),
    }
}

/// That nothing but the states has changed, and that these are what they should be. A rotated secret whose state could
/// not be read back would be lost.
fn proven(document: &Node, after: &str, states: &[(&Site, &Value)]) -> Result<(), StateError> {
    let fail = || {
        let first = states.first().map(|(site, _)| site.path.clone()).unwrap_or_default();
        StateError::Format(first)
    };
    let changed = single(after)?;
    let json = |node: &Node| yaml::to_json(node, Dialect::Esc).map_err(|_| fail());
    let (mut old, mut new) = (json(document)?, json(&changed)?);
    for (site, state) in states {
        let written = taken(&mut new, site).ok_or_else(fail)?;
        taken(&mut old, site);
        if written != expected(state).ok_or_else(fail)? {
            return Err(fail());
        }
    }
    if old == new { Ok(()) } else { Err(fail()) }
}

/// Takes the state of a rotator out of a definition.
fn taken(document: &mut Json, site: &Site) -> Option<Json> {
    let (_, values) =
        document.as_object_mut()?.iter_mut().find(|(key, _)| key.eq_ignore_ascii_case("values"))?;
    let call = site.steps.iter().try_fold(values, |value, step| match step {
        Step::Key(key) => value.get_mut(key),
        Step::Index(index) => value.get_mut(index),
    })?;
    let (_, argument) = call.as_object_mut()?.iter_mut().next()?;
    argument.as_object_mut()?.shift_remove("state")
}

/// A state as it should be read back.
fn expected(state: &Value) -> Option<Json> {
    let secret = |text: &Secret| Some(serde_json::json!({ "fn::secret": text.expose_str()? }));
    let Kind::Object(fields) = &state.kind else { return None };
    let fields = fields.iter().map(|(key, value)| {
        let value = match &value.kind {
            Kind::Null => Json::Null,
            Kind::String(text) => secret(text)?,
            _ => serde_json::json!({ "fn::fromJSON": secret(&render(value, Format::Json).ok()?)? }),
        };
        Some((key.clone(), value))
    });
    fields.collect::<Option<serde_json::Map<_, _>>>().map(Json::Object)
}

struct Edit {
    range: Range<usize>,
    text: Zeroizing<String>,
}

/// What has to be done to the argument of a rotator. None if it stands in a way that can't be edited.
fn edit(text: &str, argument: &Node, state: &Value) -> Option<Edit> {
    let NodeKind::Mapping(pairs, None) = &argument.kind else { return None };
    let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let flow = is_flow(text, argument);
    if let Some((key, old)) = pairs.iter().find(|(key, _)| esc_string(key) == Some("state")) {
        let begin = key.end.byte + text.get(key.end.byte..)?.find(':')? + 1;
        let end = end_of(text, old).max(begin);
        let block = !flow && matches!(old.kind, NodeKind::Mapping(..)) && !is_flow(text, old);
        let indent = key.start.column.checked_sub(1)? + 2;
        let written = if block { in_block(state, indent, newline)? } else { in_flow(state)? };
        return Some(Edit { range: begin..end, text: written });
    }
    let (first, (_, last)) = (pairs.first()?, pairs.last()?);
    let end = end_of(text, last).max(first.0.end.byte);
    if flow {
        let written = Zeroizing::new(format!(", state:{}", *in_flow(state)?));
        return Some(Edit { range: end..end, text: written });
    }
    // Behind what else stands in the last line.
    let rest = text.get(end..)?;
    let end = end
        + rest
            .find('\n')
            .map_or(rest.len(), |at| rest.get(..at).map_or(at, |line| line.trim_end_matches('\r').len()));
    let column = first.0.start.column.checked_sub(1)?;
    let written = in_block(state, column + 2, newline)?;
    let written = Zeroizing::new(format!("{newline}{}state:{}", " ".repeat(column), *written));
    Some(Edit { range: end..end, text: written })
}

fn is_flow(text: &str, node: &Node) -> bool {
    text.get(node.start.byte..).is_some_and(|rest| rest.starts_with(['{', '[']))
}

/// Where the content of a node ends. The parser's own mark of a block is behind the comments that follow it.
fn end_of(text: &str, node: &Node) -> usize {
    let last = match &node.kind {
        NodeKind::Mapping(pairs, _) if !is_flow(text, node) => pairs.last().map(|(key, value)| (key, value)),
        NodeKind::Sequence(items, _) if !is_flow(text, node) => items.last().map(|item| (item, item)),
        _ => None,
    };
    match last {
        Some((key, value)) => end_of(text, value).max(key.end.byte),
        None => {
            let whole = text.get(node.start.byte..node.end.byte).unwrap_or_default();
            node.start.byte + whole.trim_end().len()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use proptest::prelude::*;

    use super::{Site, StateError, sample, sites, write};
    use crate::{
        esc::{
            path::Path,
            value::{Kind, Value},
        },
        secret::Secret,
    };

    fn text(text: &str) -> Value {
        Value { kind: Kind::String(Secret::from(text)), secret: true }
    }

    fn object<const N: usize>(fields: [(&str, Value); N]) -> Value {
        let fields = fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        Value { kind: Kind::Object(fields), secret: true }
    }

    fn written(definition: &str, state: &Value) -> String {
        let sites = sites(definition);
        let states: Vec<_> = sites.iter().map(|site| (site, state)).collect();
        write(definition, &states).unwrap().expose_str().unwrap().to_owned()
    }

    #[test]
    fn finds_rotators_wherever_they_stand() {
        let paths = |text: &str| sites(text).into_iter().map(|site| site.path).collect::<Vec<_>>();
        let call = "{fn::rotate::swap: {inputs: {}}}";
        let definition = format!(
            "imports: [{call}]\nvalues:\n  a: {call}\n  b c: [1, {call}]\n  d: {{fn::rotate: {{provider: swap, inputs: {{}}}}}}\n  \
             e: {{fn::toJSON: {call}}}\n  f: {{fn::rotate::x: {{}}, g: 1}}\n  h: {{fn::rotated: 1}}\n"
        );
        assert_eq!(paths(&definition), ["a", "[\"b c\"][1]", "d", "e[\"fn::toJSON\"]"]);
        for text in ["", "[", "values: 5", "values: [", "a: {fn::rotate::x: {}}"] {
            assert!(sites(text).is_empty(), "{text}");
        }
        let site = |path: &str| {
            sites(&definition).iter().filter(|site| site.is(&Path::from_str(path).unwrap())).count()
        };
        for (path, expected) in
            [("a", 1), ("values.a", 1), ("[\"b c\"][1]", 1), ("values", 0), ("b", 0), ("*", 0)]
        {
            assert_eq!(site(path), expected, "{path}");
        }
    }

    #[test]
    fn replaces_or_adds_the_state_and_leaves_the_rest() {
        let state = object([
            ("current", text("new")),
            ("n", Value { kind: Kind::Number(Secret::from("7")), secret: true }),
        ]);
        let flow = "{current: {fn::secret: \"new\"}, \"n\": {fn::fromJSON: {fn::secret: \"7\"}}}";
        let block = "current:\n@  fn::secret: \"new\"\n@\"n\":\n@  fn::fromJSON:\n@    fn::secret: \"7\"";
        let at = |spaces: usize| block.replace('@', &" ".repeat(spaces));
        for (before, after) in [
            (
                "values: {a: {fn::rotate::x: {inputs: {}}}, b: 1} # c\n".to_owned(),
                format!("values: {{a: {{fn::rotate::x: {{inputs: {{}}, state: {flow}}}}}, b: 1}} # c\n"),
            ),
            (
                "values: {a: {fn::rotate::x: {inputs: {}, state: {current: old} }}, b: 1}".to_owned(),
                format!("values: {{a: {{fn::rotate::x: {{inputs: {{}}, state: {flow} }}}}, b: 1}}"),
            ),
            (
                "values:\n  a:\n    fn::rotate::x:\n      inputs: {} # why\n\n  # b\n  b: 1\n".to_owned(),
                format!(
                    "values:\n  a:\n    fn::rotate::x:\n      inputs: {{}} # why\n      state:\n        {}\n\n  # b\n  b: 1\n",
                    at(8)
                ),
            ),
            (
                "values:\n  a:\n    fn::rotate::x:\n      inputs:\n        l: 5".to_owned(),
                format!("values:\n  a:\n    fn::rotate::x:\n      inputs:\n        l: 5\n      state:\n        {}", at(8)),
            ),
            (
                "values:\n  a:\n    fn::rotate::x:\n      state:\n        current:\n          fn::secret: old # mine\n      # in\n      inputs: {}\n".to_owned(),
                format!("values:\n  a:\n    fn::rotate::x:\n      state:\n        {} # mine\n      # in\n      inputs: {{}}\n", at(8)),
            ),
            (
                "values:\n  a:\n    fn::rotate::x:\n      state: {current: old}\n      inputs: {}\n".to_owned(),
                format!("values:\n  a:\n    fn::rotate::x:\n      state: {flow}\n      inputs: {{}}\n"),
            ),
            (
                "values:\n  a:\n    fn::rotate::x:\n      state: null # none\n      inputs: {}\n".to_owned(),
                format!("values:\n  a:\n    fn::rotate::x:\n      state: {flow} # none\n      inputs: {{}}\n"),
            ),
            (
                "values:\n  a:\n    fn::rotate::x:\n      state:\n      inputs: {}\n".to_owned(),
                format!("values:\n  a:\n    fn::rotate::x:\n      state: {flow}\n      inputs: {{}}\n"),
            ),
            (
                "values:\n  a:\n    fn::rotate::x:\n      inputs:\n        k: |\n          one\n\n  b: 1\n".to_owned(),
                format!(
                    "values:\n  a:\n    fn::rotate::x:\n      inputs:\n        k: |\n          one\n      state:\n        {}\n\n  b: 1\n",
                    at(8)
                ),
            ),
            (
                "values:\n  l:\n  - fn::rotate: {provider: x, inputs: {}}\n  - fn::rotate::y:\n      inputs: {}\n".to_owned(),
                format!(
                    "values:\n  l:\n  - fn::rotate: {{provider: x, inputs: {{}}, state: {flow}}}\n  - fn::rotate::y:\n      inputs: {{}}\n      state:\n        {}\n",
                    at(8)
                ),
            ),
            (
                "values:\r\n  a:\r\n    fn::rotate::x:\r\n      inputs: {}\r\n".to_owned(),
                format!("values:\n  a:\n    fn::rotate::x:\n      inputs: {{}}\n      state:\n        {}\n", at(8)).replace('\n', "\r\n"),
            ),
        ] {
            assert_eq!(written(&before, &state), after, "{before}");
        }
    }

    #[test]
    fn a_rotator_that_is_gone_and_a_text_that_can_not_be_edited_are_refused() {
        let site = |definition: &str| -> Site { sites(definition).remove(0) };
        let one = site("values: {a: {fn::rotate::x: {inputs: {}}}}");
        for (definition, expected) in [
            ("values: {a: 1}", StateError::Gone("a".to_owned())),
            ("values: {b: {fn::rotate::x: {inputs: {}}}}", StateError::Gone("a".to_owned())),
            ("values: {a: {fn::rotate::x: 5}}", StateError::Format("a".to_owned())),
            ("values: {a: {fn::rotate::x: {}}}", StateError::Format("a".to_owned())),
            ("values: {a: {fn::rotate::x: &y {inputs: {}}}}", StateError::Format("a".to_owned())),
            ("values: [", StateError::Yaml),
            ("", StateError::Yaml),
        ] {
            assert_eq!(write(definition, &[(&one, &sample())]), Err(expected), "{definition}");
        }
    }

    #[test]
    fn nothing_that_a_rotator_answers_becomes_a_call() {
        let evil = object([("fn::open::external", text("x"))]);
        let state = object([
            ("current", evil.clone()),
            ("fn::secret", text("${a.b}\n- \"x\": ]}")),
            ("a: b #", evil),
        ]);
        for definition in [
            "values: {a: {fn::rotate::x: {inputs: {}}}}",
            "values:\n  a:\n    fn::rotate::x:\n      inputs: {}\n",
        ] {
            let after = written(definition, &state);
            assert!(!after.contains("{fn::open") && !after.contains("\n      fn::open"), "{after}");
        }
    }

    proptest! {
        #[test]
        fn whatever_the_state_it_is_read_back(secret in "\\PC{0,30}|[\\x00-\\x7f\u{85}\u{2028}\u{feff}]{0,10}", key in "\\PC{1,12}", flow in any::<bool>()) {
            let definition = if flow { "values: {a: {fn::rotate::x: {inputs: {}, state: {a: b}}}, b: 1}" } else { "# x\nvalues:\n  a:\n    fn::rotate::x:\n      state:\n        a: b # y\n      inputs: {}\n" };
            let sites = sites(definition);
            let state = object([(key.as_str(), text(&secret)), ("nested", object([(key.as_str(), text(&secret))]))]);
            // It proves itself, or refuses.
            let result = write(definition, &[(&sites[0], &state)]);
            prop_assert!(result.is_ok(), "{result:?}");
        }
    }
}
