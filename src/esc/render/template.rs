//! Files from templates: `MiniJinja`, with the whole environment as `values` and without anything that could fail
//! silently or go on for ever.
//!
//! What is not defined is an error. Numbers keep the text that ESC wrote. Null is no text, and what is nested is
//! compact JSON, as in variables. Whoever writes the template pays for it: work, memory and output are limited, so
//! that a template that never ends is an error and not a pod that never starts. Errors name the line and what kind of
//! mistake it is; the engine's own words, which may quote values, are dropped.

use std::{
    fmt, io, mem,
    sync::{Arc, Mutex, PoisonError},
};

use minijinja::{
    AutoEscape, Environment, Error, ErrorKind, State,
    syntax::SyntaxConfig,
    value::{Enumerator, Object, ObjectRepr, Value as Item, ValueKind},
};
use zeroize::Zeroizing;

use super::json;
use crate::{
    esc::{
        lookup::{NotFound, not_found},
        path::{below_index, below_key},
        value::{Kind, Value},
    },
    secret::Secret,
};

/// Largest file from a template, in bytes: a quarter of the default volume, as for other nested texts.
const LARGEST_OUTPUT: usize = 4 << 20;

/// How much a template may do. The engine takes one for each step and each 64 bytes that it handles: room for the
/// largest output four times over, which is a fraction of a second and within the agent's memory.
const FUEL: u64 = 250_000;

/// The name that templates know the environment by.
const ROOT: &str = "values";

/// Why there is no text. Never quotes a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{mistake}", line.map(|line| format!("line {line}: ")).unwrap_or_default())]
pub struct TemplateError {
    /// Where in the template, counted from 1.
    pub line: Option<usize>,
    /// What is wrong.
    pub mistake: Mistake,
}

/// What is wrong with a template, or with the environment that it is for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Mistake {
    /// It is no template.
    #[error("the template can't be read: {0}")]
    Syntax(String),
    /// It asks for a property that does not exist.
    #[error(transparent)]
    Missing(Box<NotFound>),
    /// It uses a name that is defined nowhere.
    #[error("a name is not defined (properties are below `values`)")]
    Undefined,
    /// ESC could not compute a value that it uses.
    #[error("`{path}` is unknown: ESC could not compute it")]
    Unknown {
        /// The property.
        path: String,
    },
    /// It does not come to an end in reasonable time and size.
    #[error("the template does too much, or its text is larger than {} MiB", LARGEST_OUTPUT >> 20)]
    Limit,
    /// It does something with a value that can't be done.
    #[error("{0}")]
    Operation(&'static str),
}

/// Reads a template, without rendering it: what can be said of it before there are values.
pub fn check(template: &str) -> Result<(), TemplateError> {
    engine().template_from_str(template).map(drop).map_err(|error| explain(&error, template, None))
}

/// An environment that templates may use.
#[derive(Clone)]
pub struct Root(Arc<Shared>);

struct Shared {
    environment: Value,
    /// What was looked up in vain most recently: the engine only says that something was.
    missing: Mutex<Option<NotFound>>,
    /// A value that was used although it is unknown. A template must not be able to talk its way around it.
    unknown: Mutex<Option<String>>,
}

impl Root {
    /// Makes an environment available to templates.
    pub fn new(environment: Value) -> Self {
        let (missing, unknown) = (Mutex::new(None), Mutex::new(None));
        Self(Arc::new(Shared { environment, missing, unknown }))
    }

    /// The text that a template makes of the environment.
    pub fn render(&self, template: &str) -> Result<Secret, TemplateError> {
        set(&self.0.missing, None);
        set(&self.0.unknown, None);
        let engine = engine();
        let fail = |error: Error| explain(&error, template, Some(&self.0));
        let compiled = engine.template_from_str(template).map_err(fail)?;
        let whole = Node { shared: Arc::clone(&self.0), steps: Vec::new() };
        let values = whole.item(&self.0.environment);
        let mut out = Limited(Zeroizing::new(Vec::new()));
        let rendered = compiled.render_captured_to(Item::from_pairs([(ROOT, values)]), &mut out).map(drop);
        if let Some(path) = get(&self.0.unknown) {
            let line = rendered.err().and_then(|error| error.line());
            return Err(TemplateError { line, mistake: Mistake::Unknown { path } });
        }
        rendered.map_err(fail)?;
        Ok(Secret::new(mem::take(&mut *out.0)))
    }
}

fn get<T: Clone>(cell: &Mutex<Option<T>>) -> Option<T> {
    cell.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

fn set<T>(cell: &Mutex<Option<T>>, value: Option<T>) {
    *cell.lock().unwrap_or_else(PoisonError::into_inner) = value;
}

fn engine() -> Environment<'static> {
    let mut engine = Environment::new();
    engine.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
    engine.set_auto_escape_callback(|_| AutoEscape::None);
    engine.set_fuel(Some(FUEL));
    // A file ends as its template does.
    if let Ok(syntax) = SyntaxConfig::builder().keep_trailing_newline(true).build() {
        engine.set_syntax(syntax);
    }
    // As everywhere else in files, and not as in Python.
    engine.set_formatter(|out, state, value| match value.kind() {
        ValueKind::None => Ok(()),
        ValueKind::Bool => {
            let text = if value.is_true() { "true" } else { "false" };
            minijinja::escape_formatter(out, state, &Item::from(text))
        }
        _ => minijinja::escape_formatter(out, state, value),
    });
    // They show everything at once, in forms for people.
    engine.remove_global("debug");
    engine.remove_filter("pprint");
    engine.add_filter("tojson", to_json);
    engine
}

/// Where the text goes. Wiped, and not endless.
struct Limited(Zeroizing<Vec<u8>>);

impl io::Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > LARGEST_OUTPUT {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A nested value of the environment, or a number that the engine's own numbers would write differently.
struct Node {
    shared: Arc<Shared>,
    steps: Vec<Step>,
}

#[derive(Clone)]
enum Step {
    Key(String),
    Index(usize),
}

impl Node {
    fn value(&self) -> Option<&Value> {
        self.steps.iter().try_fold(&self.shared.environment, |value, step| match (&value.kind, step) {
            (Kind::Object(entries), Step::Key(key)) => entries.get(key),
            (Kind::Array(items), Step::Index(index)) => items.get(*index),
            _ => None,
        })
    }

    fn path(&self) -> String {
        self.steps.iter().rfold(String::new(), |rest, step| match step {
            Step::Key(key) => below_key(key, &rest),
            Step::Index(index) => below_index(*index, &rest),
        })
    }

    fn below(&self, step: Step) -> Self {
        let mut steps = self.steps.clone();
        steps.push(step);
        Self { shared: Arc::clone(&self.shared), steps }
    }

    /// What the engine is given for this node's value.
    fn item(self, value: &Value) -> Item {
        match &value.kind {
            Kind::Null => Item::from(()),
            Kind::Bool(value) => Item::from(*value),
            Kind::String(text) => Item::from(String::from_utf8_lossy(text.expose())),
            Kind::Number(text) => {
                number(&String::from_utf8_lossy(text.expose())).unwrap_or_else(|| Item::from_object(self))
            }
            Kind::Array(_) | Kind::Object(_) => Item::from_object(self),
            Kind::Unknown => {
                set(&self.shared.unknown, Some(self.path()));
                Item::UNDEFINED
            }
        }
    }

    /// Appends the value, unless it, or something in it, is unknown.
    fn write_json(&self, out: &mut Vec<u8>) {
        let Some(value) = self.value() else { return };
        match value.first_unknown() {
            None => json::write(out, value),
            Some(rest) => {
                let dot = if rest.is_empty() || rest.starts_with('[') { "" } else { "." };
                set(&self.shared.unknown, Some(self.path() + dot + &rest));
            }
        }
    }

    fn missing(&self, at: &Value, key: &str) {
        set(&self.shared.missing, Some(not_found(at, &self.path(), key)));
    }
}

/// The engine's own number, with which templates can calculate, where it is written as ESC wrote it.
fn number(text: &str) -> Option<Item> {
    let number = text
        .parse::<i64>()
        .map(Item::from)
        .or_else(|_| text.parse::<u64>().map(Item::from))
        .or_else(|_| text.parse::<f64>().map(Item::from))
        .ok()?;
    (number.to_string() == text).then_some(number)
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl Object for Node {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        match self.value().map(|value| &value.kind) {
            Some(Kind::Object(_)) => ObjectRepr::Map,
            Some(Kind::Array(_)) => ObjectRepr::Seq,
            _ => ObjectRepr::Plain,
        }
    }

    fn get_value(self: &Arc<Self>, key: &Item) -> Option<Item> {
        let at = self.value()?;
        let (step, found) = match &at.kind {
            Kind::Object(entries) => {
                let key = key.as_str()?;
                (Step::Key(key.to_owned()), entries.get(key))
            }
            Kind::Array(items) => {
                let index = key.as_usize()?;
                (Step::Index(index), items.get(index))
            }
            _ => return None,
        };
        let Some(found) = found else {
            match &step {
                Step::Key(key) => self.missing(at, key),
                Step::Index(index) => self.missing(at, &index.to_string()),
            }
            return None;
        };
        Some(self.below(step).item(found))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        match self.value().map(|value| &value.kind) {
            Some(Kind::Object(entries)) => {
                Enumerator::Values(entries.keys().map(|key| Item::from(key.as_str())).collect())
            }
            Some(Kind::Array(items)) => Enumerator::Seq(items.len()),
            _ => Enumerator::NonEnumerable,
        }
    }

    /// Never fails, since the engine panics over text that can't be written: what is unknown is no text, and noticed
    /// after rendering.
    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = Zeroizing::new(Vec::new());
        self.write_json(&mut out);
        f.write_str(&String::from_utf8_lossy(&out))
    }
}

/// The filter `tojson`: compact JSON, with numbers as ESC wrote them.
fn to_json(state: &State<'_, '_>, value: &Item) -> Result<String, Error> {
    let mut out = Vec::new();
    write_json(&mut out, value, 0)?;
    state.consume_fuel(u64::try_from(out.len() / 64).unwrap_or(u64::MAX))?;
    String::from_utf8(out).map_err(|_| ErrorKind::BadSerialization.into())
}

/// How deep what a template makes itself may nest: as deep as values may.
const MAX_DEPTH: usize = 64;

fn write_json(out: &mut Vec<u8>, value: &Item, depth: usize) -> Result<(), Error> {
    let failed = || Error::from(ErrorKind::BadSerialization);
    if depth > MAX_DEPTH || out.len() > LARGEST_OUTPUT {
        return Err(ErrorKind::OutOfFuel.into());
    }
    if let Some(node) = value.downcast_object_ref::<Node>() {
        node.write_json(out);
        return Ok(());
    }
    match value.kind() {
        ValueKind::Undefined => return Err(ErrorKind::UndefinedError.into()),
        ValueKind::None => out.extend(b"null"),
        ValueKind::Bool => out.extend(if value.is_true() { &b"true"[..] } else { b"false" }),
        ValueKind::Number => {
            let text = value.to_string();
            // Not a number, and endless ones.
            if !text.ends_with(|c: char| c.is_ascii_digit()) {
                return Err(failed());
            }
            out.extend(text.as_bytes());
        }
        ValueKind::String => json::string(out, value.as_str().unwrap_or_default().as_bytes()),
        ValueKind::Seq | ValueKind::Iterable => {
            out.push(b'[');
            for (index, item) in value.try_iter()?.enumerate() {
                json::comma(out, index);
                write_json(out, &item, depth + 1)?;
            }
            out.push(b']');
        }
        ValueKind::Map => {
            out.push(b'{');
            for (index, key) in value.try_iter()?.enumerate() {
                json::comma(out, index);
                json::string(out, key.to_string().as_bytes());
                out.push(b':');
                write_json(out, &value.get_item(&key)?, depth + 1)?;
            }
            out.push(b'}');
        }
        _ => return Err(failed()),
    }
    Ok(())
}

/// The engine's error in our words.
fn explain(error: &Error, template: &str, shared: Option<&Shared>) -> TemplateError {
    let line = error.line();
    let mistake = match error.kind() {
        ErrorKind::SyntaxError | ErrorKind::InvalidDelimiter => {
            // The engine's own words may quote what it read: the template, as long as there are no values.
            let detail = error.detail().filter(|_| shared.is_none());
            let detail = detail.map(|detail| format!(": {detail}")).unwrap_or_default();
            Mistake::Syntax(format!("the syntax is wrong{detail}"))
        }
        ErrorKind::BadEscape => Mistake::Syntax("a string has an escape that does not exist".to_owned()),
        ErrorKind::UnknownFilter => Mistake::Operation("there is no such filter"),
        ErrorKind::UnknownTest => Mistake::Operation("there is no such test"),
        ErrorKind::UnknownFunction => Mistake::Operation("there is no such function"),
        ErrorKind::UnknownMethod => Mistake::Operation("there is no such method"),
        ErrorKind::TooManyArguments | ErrorKind::MissingArgument => {
            Mistake::Operation("a filter, test or function has too many or too few arguments")
        }
        ErrorKind::OutOfFuel | ErrorKind::WriteFailure => Mistake::Limit,
        ErrorKind::UndefinedError => {
            let text = line.and_then(|line| template.lines().nth(line.saturating_sub(1))).unwrap_or_default();
            // Something else may have been looked up in vain before, and replaced by a default.
            shared
                .and_then(|shared| get(&shared.missing))
                .filter(|missing| text.contains(missing.missing.trim_matches(['[', ']', '"'])))
                .map_or(Mistake::Undefined, |missing| Mistake::Missing(Box::new(missing)))
        }
        ErrorKind::TemplateNotFound | ErrorKind::BadInclude => {
            Mistake::Operation("other templates can't be included")
        }
        ErrorKind::CannotUnpack => Mistake::Operation("a value can't be taken apart into as many names"),
        ErrorKind::BadSerialization => Mistake::Operation("a value can't be written as JSON"),
        ErrorKind::NonPrimitive | ErrorKind::NonKey | ErrorKind::InvalidOperation => {
            Mistake::Operation("a value does not allow what is done with it")
        }
        _ => Mistake::Operation("the template can't be rendered"),
    };
    TemplateError { line, mistake }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn root() -> Root {
        let wire = br#"{"properties":{
            "db":{"value":{"url":{"value":"pg://hunter2","secret":true},"port":{"value":5432},"tls":{"value":true},
                "big":{"value":12345678901234567890123},"exact":{"value":1.50},"half":{"value":0.5},"none":{"value":null}}},
            "hosts":{"value":[{"value":{"name":{"value":"a"}}},{"value":{"name":{"value":"b \"q\" <&>"}}}]},
            "odd key":{"value":{"x.y":{"value":"dotted"}}},
            "gone":{"value":{"a":{"value":1},"b":{"unknown":true}}}}}"#;
        Root::new(Value::from_environment(wire).unwrap())
    }

    fn render(template: &str) -> Result<String, String> {
        let rendered = root().render(template);
        rendered.map(|text| text.expose_str().unwrap().to_owned()).map_err(|error| error.to_string())
    }

    #[test]
    fn writes_values_as_esc_wrote_them() {
        for (template, expected) in [
            ("", ""),
            ("plain $text\n", "plain $text\n"),
            ("{{ values.db.url }}\n", "pg://hunter2\n"),
            ("{{ values.db.port + 1 }}", "5433"),
            (
                "{{ values.db.big }} {{ values.db.exact }} {{ values.db.half }}",
                "12345678901234567890123 1.50 0.5",
            ),
            ("[{{ values.db.none }}][{{ values.db.tls }}]", "[][true]"),
            ("{{ values.hosts }}", r#"[{"name":"a"},{"name":"b \"q\" <&>"}]"#),
            ("{{ values.hosts[1].name }}|{{ values.hosts | length }}", "b \"q\" <&>|2"),
            ("{% for host in values.hosts %}{{ host.name }};{% endfor %}", "a;b \"q\" <&>;"),
            ("{% for key in values.db %}{{ key }} {% endfor %}", "big exact half none port tls url "),
            (
                "{% for key, value in values.db | items %}{% if value is true %}{{ key }}{% endif %}{% endfor %}",
                "tls",
            ),
            (r#"{{ values["odd key"]["x.y"] }}"#, "dotted"),
            ("{{ values.db.missing | default('d') }}", "d"),
            ("{{ values.db.missing is defined }}", "false"),
            ("url = {{ values.db.url | tojson }}", r#"url = "pg://hunter2""#),
            ("{{ values.hosts[1] | tojson }}", r#"{"name":"b \"q\" <&>"}"#),
            (
                "{{ [values.db.big, values.db.none, 1.5, {'k': values.db.tls}] | tojson }}",
                r#"[12345678901234567890123,null,1.5,{"k":true}]"#,
            ),
            ("{{ 'u=' ~ values.db.port }}", "u=5432"),
            ("{% set x = values.db %}{{ x.port }}", "5432"),
        ] {
            assert_eq!(render(template).as_deref(), Ok(expected), "{template}");
        }
    }

    #[test]
    fn mistakes_are_told_by_line_and_kind_and_never_by_value() {
        for (template, expected) in [
            (
                "\n{{ values.db.urll }}",
                "line 2: `db.urll` does not exist: `db` has no `urll`; did you mean `url`?",
            ),
            (
                "{{ values.dbb.url }}",
                "line 1: `dbb` does not exist: the environment has no `dbb`; did you mean `db`?",
            ),
            ("{{ values.hosts[7] }}", "line 1: `hosts[7]` does not exist: `hosts` has no `[7]`"),
            (
                "{{ values['odd kee'] }}",
                "line 1: `[\"odd kee\"]` does not exist: the environment has no `[\"odd kee\"]`; did you mean `[\"odd key\"]`?",
            ),
            (
                "{% if values.nothing %}{% endif %}",
                "line 1: `nothing` does not exist: the environment has no `nothing`",
            ),
            ("{{ db.url }}", "line 1: a name is not defined (properties are below `values`)"),
            (
                "{{ values.db.q | default('') }}\n{{ nowhere }}",
                "line 2: a name is not defined (properties are below `values`)",
            ),
            ("{{ values.db.url", "line 1: the template can't be read: the syntax is wrong"),
            ("{% macro a() %}{% endmacro %}", "line 1: the template can't be read: the syntax is wrong"),
            ("{% include 'x' %}", "line 1: the template can't be read: the syntax is wrong"),
            ("{{ values.db.url | nofilter }}", "line 1: there is no such filter"),
            ("{{ values.db.url + 1 }}", "line 1: a value does not allow what is done with it"),
            ("{{ values.db.url | int }}", "line 1: a value does not allow what is done with it"),
            ("{{ values.gone.b }}", "line 1: `gone.b` is unknown: ESC could not compute it"),
            ("{{ values.gone.b | default('x') }}", "`gone.b` is unknown: ESC could not compute it"),
            ("{{ debug() }}", "line 1: there is no such function"),
        ] {
            let error = render(template).unwrap_err();
            assert_eq!(error, expected, "{template}");
            assert!(!error.contains("hunter2"));
        }
        for template in ["{{ values.gone }}", "{{ values.gone | tojson }}"] {
            assert!(render(template).unwrap_err().contains("`gone.b` is unknown"), "{template}");
        }
        assert_eq!(format!("{:?}", Node { shared: root().0, steps: Vec::new() }), "[redacted]");
    }

    #[test]
    fn a_template_without_end_is_an_error() {
        let doubling = format!("{{% set x = 'xxxxxxxx' %}}{}{{{{ x }}}}", "{% set x = x ~ x %}".repeat(60));
        let nested = "{% for a in range(10000) %}".repeat(8) + "x" + &"{% endfor %}".repeat(8);
        let cases = [
            nested.as_str(),
            &doubling,
            "{{ 'x' * 100000000000 }}",
            "{{ range(100000000) | list | length }}",
            "{{ '%1000000000d' | format(1) }}",
            "{% for a in range(9999) %}{{ values.hosts | tojson }}{{ 'x' * 999 }}{% endfor %}",
            "{% set ns = namespace(x='xx') %}{% for i in range(99) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
            "{{ 'x' | indent(1000000000) }}",
            "{{ ('x' * 1000) | replace('x', 'y' * 100000) | length }}",
        ];
        for template in cases {
            let error = root().render(template).unwrap_err();
            let shown = &template[..template.len().min(60)];
            let refused = matches!(error.mistake, Mistake::Limit | Mistake::Operation(_));
            assert!(refused, "{shown}: {error}");
        }
        let deep = "(".repeat(5000) + &")".repeat(5000);
        assert!(render(&format!("{{{{ {deep} }}}}")).is_err());
    }

    #[test]
    fn a_template_is_checked_without_values() {
        assert_eq!(check("{{ values.db.url }}{{ anything }}"), Ok(()));
        assert!(matches!(
            check("a\n{{ ").unwrap_err(),
            TemplateError { line: Some(2), mistake: Mistake::Syntax(_) }
        ));
    }

    proptest! {
        #[test]
        fn never_panics_and_never_tells_a_value(template in prop_oneof![
            ".{0,40}",
            r"(\{\{|\}\}|\{%|%\}| |values|\.db|\.url|\.hosts|\[0\]| if | for | in |x|\+|~|\*|'|\(|\)|\|tojson|\|length|\|first|endfor|endif|9){0,12}",
        ]) {
            if let Err(error) = root().render(&template) {
                let told = format!("{error} {error:?}");
                prop_assert!(!told.contains("hunter2"));
            }
        }
    }
}
