//! The structured form: the YAML of `esc.pulumi.com/config`, with the same meaning as the annotations.

use std::fmt::Display;

use serde_json::{Map, Value};

use super::{
    keys,
    layer::{Absent, File, Layer, Read, Variable},
    pod::MAX_CONTAINERS,
    problem::Problem,
    subject::{Focus, Source as Whose, Subject},
    values,
};
use crate::{
    agent::plan::Source,
    codes::{Code, annotations as codes},
    yaml::{self, Dialect, YamlError},
};

/// A key of the document, at its top or in the long form of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    Environments,
    Env,
    Files,
    Containers,
    Path,
    Template,
    Format,
    Decode,
    Mode,
    Optional,
    Default,
}

impl Key {
    /// At the top of the document.
    pub const TOP: &'static [Self] = &[Self::Environments, Self::Env, Self::Files, Self::Containers];
    /// In the long form of a variable.
    pub const VARIABLE: &'static [Self] =
        &[Self::Path, Self::Format, Self::Containers, Self::Optional, Self::Default];
    /// In the long form of a file.
    pub const FILE: &'static [Self] = &[
        Self::Path,
        Self::Template,
        Self::Format,
        Self::Decode,
        Self::Mode,
        Self::Containers,
        Self::Optional,
        Self::Default,
    ];

    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Environments => "environments",
            Self::Env => "env",
            Self::Files => "files",
            Self::Containers => "containers",
            Self::Path => "path",
            Self::Template => "template",
            Self::Format => "format",
            Self::Decode => "decode",
            Self::Mode => "mode",
            Self::Optional => "optional",
            Self::Default => "default",
        }
    }

    /// What it is for, in a sentence.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Environments => {
                "The environments to open, organization/project/environment[@version]; the later lie over the earlier."
            }
            Self::Env => "Environment variables by name: a property path, or an entry that says more.",
            Self::Files => {
                "Files by name, which may have slashes: a property path, or an entry that says more."
            }
            Self::Containers => {
                "The containers that receive: at the top instead of all of them, in an entry the only ones."
            }
            Self::Path => "The property to deliver.",
            Self::Template => {
                "The text of the file, as a template in which `values` is the whole environment."
            }
            Self::Format => {
                "How the value is written; objects and arrays else by the file's extension or as JSON, scalars as they are."
            }
            Self::Decode => "How the value is decoded before it is written.",
            Self::Mode => "Permission bits in octal, in quotes; 0444 if nothing is said.",
            Self::Optional => {
                "Whether the pod starts without it where the value is absent, null or empty; else an absent one keeps it from starting."
            }
            Self::Default => "What is delivered where the value is absent, null or empty.",
        }
    }
}

/// The names of keys.
fn names(keys: &[Key]) -> Vec<&'static str> {
    keys.iter().map(|key| key.name()).collect()
}

/// Reads the document into the layer that the annotations beside it have begun.
pub fn read(text: &str, whose: Whose, out: &mut Read) {
    let mut reader = Reader { whose, layer: &mut out.layer, problems: &mut out.problems };
    match parse(text) {
        Ok(Value::Object(top)) => reader.top(&top),
        Ok(Value::Null) => {}
        Ok(_) => {
            reader.unreadable(Focus::Whole, format_args!("expected the keys {}", names(Key::TOP).join(", ")));
        }
        Err((focus, error)) => reader.unreadable(focus, error),
    }
}

fn parse(text: &str) -> Result<Value, (Focus, String)> {
    let located = |error: YamlError| (Focus::Mark(error.mark), error.to_string());
    match yaml::parse(text).map_err(located)?.as_slice() {
        [] => Ok(Value::Null),
        [document] => yaml::to_json(document, Dialect::Esc).map_err(located),
        [_, second, ..] => Err((Focus::Mark(second.start), "expected one document".to_owned())),
    }
}

/// The keys that lead to a place in the document.
type At<'a> = &'a [&'a str];

struct Reader<'a> {
    whose: Whose,
    layer: &'a mut Layer,
    problems: &'a mut Vec<Problem>,
}

impl Reader<'_> {
    /// Records a problem at a place in the document.
    fn problem(&mut self, code: Code, at: At<'_>, message: impl Display) {
        self.problem_at(code, at, Focus::Whole, message);
    }

    fn problem_at(&mut self, code: Code, at: At<'_>, focus: Focus, message: impl Display) {
        let at = at.iter().map(|&key| key.to_owned()).collect();
        let subject = Subject::Config { source: self.whose, at, focus };
        self.problems.push(Problem::invalid(code, subject, message.to_string()));
    }

    /// The document as a whole can't be read; what it names isn't known.
    fn unreadable(&mut self, focus: Focus, message: impl Display) {
        self.layer.names_unreadable = true;
        self.problem_at(codes::CONFIG, &[], focus, message);
    }

    fn known_keys(&mut self, map: &Map<String, Value>, known: &[Key], at: At<'_>) {
        for key in map.keys().filter(|key| !known.iter().any(|known| known.name() == key.as_str())) {
            let hint = keys::nearest(key, names(known)).map_or_else(
                || format!("known are {}", names(known).join(", ")),
                |near| format!("did you mean `{near}`?"),
            );
            let message = format_args!("unknown key `{key}`; {hint}");
            self.problem_at(codes::CONFIG, at, Focus::Key(key.clone()), message);
        }
    }

    fn top(&mut self, top: &Map<String, Value>) {
        let before = self.problems.len();
        self.known_keys(top, Key::TOP, &[]);
        if let Some(value) = top.get("environments") {
            self.environments(value);
        }
        if let Some(value) = top.get("containers") {
            match texts(value) {
                Some(_) if self.layer.containers.is_some() => {
                    self.problem(codes::SAID_TWICE, &["containers"], "the annotation says it too");
                }
                Some(names) if !names.is_empty() && names.len() <= MAX_CONTAINERS => {
                    self.layer.containers = Some(names);
                }
                _ => {
                    self.layer.containers = Some(Vec::new());
                    let message = format_args!("expected a list of 1 to {MAX_CONTAINERS} names");
                    self.problem(codes::CONFIG, &["containers"], message);
                }
            }
        }
        for (key, read) in [("env", Self::variable as fn(&mut Self, &str, &Value)), ("files", Self::file)] {
            match top.get(key) {
                None | Some(Value::Null) => {}
                Some(Value::Object(entries)) => {
                    for (name, value) in entries {
                        read(self, name, value);
                    }
                }
                Some(_) => self.problem(codes::CONFIG, &[key], "expected names with what each of them holds"),
            }
        }
        self.layer.names_unreadable |= self.problems.len() > before;
    }

    fn environments(&mut self, value: &Value) {
        const AT: At<'static> = &["environments"];
        let Some(names) = texts(value) else {
            return self.problem(codes::CONFIG, AT, "expected a list of organization/project/environment");
        };
        if self.layer.environments.is_some() {
            return self.problem(codes::SAID_TWICE, AT, "the annotation says it too");
        }
        let mut references = Vec::new();
        for (index, name) in names.into_iter().enumerate() {
            match name.parse() {
                Ok(reference) => references.push(reference),
                Err(error) => self.problem_at(codes::REFERENCE, AT, Focus::Element(index), error),
            }
        }
        if !references.is_empty() {
            self.layer.environments = Some(references);
        }
    }

    /// The long form of an entry, made of the short one if need be.
    fn entry(&mut self, at: At<'_>, value: &Value, known: &[Key]) -> Option<Map<String, Value>> {
        match value {
            Value::String(path) => Some(Map::from_iter([("path".to_owned(), Value::String(path.clone()))])),
            Value::Object(entry) => {
                self.known_keys(entry, known, at);
                Some(entry.clone())
            }
            _ => {
                self.problem(codes::CONFIG, at, "expected a property path, or {path: …}");
                None
            }
        }
    }

    /// A field's text, parsed; a problem and nothing where it is missing form or type.
    fn field<T, E: Display>(
        &mut self,
        entry: &Map<String, Value>,
        (at, key): (At<'_>, &str),
        code: Code,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        match entry.get(key)? {
            Value::String(text) => {
                parse(text).map_err(|error| self.problem(code, &[at, &[key]].concat(), error)).ok()
            }
            _ => {
                self.problem(code, &[at, &[key]].concat(), "expected text; put it in quotes");
                None
            }
        }
    }

    /// What becomes of the entry without a value.
    fn absent(&mut self, entry: &Map<String, Value>, at: At<'_>) -> Absent {
        let optional = match entry.get("optional") {
            None => false,
            Some(Value::Bool(optional)) => *optional,
            Some(_) => {
                self.problem(
                    codes::VALUE,
                    &[at, &["optional"]].concat(),
                    "expected true or false, without quotes",
                );
                return Absent::LeftOut;
            }
        };
        let default =
            self.field(entry, (at, "default"), codes::VALUE, |text| Ok::<_, String>(text.to_owned()));
        match (optional, default) {
            (true, Some(_)) => {
                let message =
                    "is optional and has a default, so it would never be left out; keep one of the two";
                self.problem(codes::CONTRADICTION, at, message);
                Absent::LeftOut
            }
            (true, None) => Absent::LeftOut,
            (false, Some(default)) => Absent::Filled(default),
            (false, None) => Absent::Refused,
        }
    }

    /// Who gets the entry.
    fn containers(&mut self, entry: &Map<String, Value>, at: At<'_>) -> Option<Vec<String>> {
        let value = entry.get("containers")?;
        match texts(value) {
            Some(names) if !names.is_empty() && names.len() <= MAX_CONTAINERS => Some(names),
            _ => {
                let message = format_args!("expected a list of 1 to {MAX_CONTAINERS} names");
                self.problem(codes::CONFIG, &[at, &["containers"]].concat(), message);
                None
            }
        }
    }

    fn variable(&mut self, name: &str, value: &Value) {
        let at: At<'_> = &["env", name];
        let Some(entry) = self.entry(at, value, Key::VARIABLE) else { return };
        let path = self.field(&entry, (at, "path"), codes::PATH, str::parse);
        let format = self.field(&entry, (at, "format"), codes::VALUE, values::format);
        let absent = self.absent(&entry, at);
        let containers = self.containers(&entry, at);
        if !entry.contains_key("path") {
            self.problem(codes::CONFIG, at, "`path` is missing");
        }
        match name.parse() {
            Err(error) => self.problem(codes::VARIABLE_NAME, at, error),
            Ok(name) if self.layer.variables.contains_key(&name) => {
                self.problem(codes::SAID_TWICE, at, "an annotation names the variable too");
            }
            Ok(name) => {
                if let Some(path) = path {
                    self.layer.variables.insert(name, Variable { path, format, absent, containers });
                }
            }
        }
    }

    fn file(&mut self, name: &str, value: &Value) {
        let at: At<'_> = &["files", name];
        let Some(entry) = self.entry(at, value, Key::FILE) else { return };
        let path = self.field(&entry, (at, "path"), codes::PATH, str::parse).map(Source::Path);
        let template =
            self.field(&entry, (at, "template"), codes::VALUE, values::template).map(Source::Template);
        match (entry.contains_key("path"), entry.contains_key("template")) {
            (false, false) => self.problem(codes::CONFIG, at, "`path` or `template` is missing"),
            (true, true) => self.problem(codes::CONFIG, at, "has a `path` and a `template`; keep one"),
            _ => {}
        }
        let file = File {
            source: path.or(template),
            format: self.field(&entry, (at, "format"), codes::VALUE, values::format),
            decode: self.field(&entry, (at, "decode"), codes::VALUE, values::decode),
            mode: self.field(&entry, (at, "mode"), codes::VALUE, values::mode),
            absent: self.absent(&entry, at),
            containers: self.containers(&entry, at),
        };
        match name.parse() {
            Err(error) => self.problem(codes::FILE_NAME, at, error),
            Ok(name) if self.layer.files.contains_key(&name) => {
                self.problem(codes::SAID_TWICE, at, "an annotation names the file too");
            }
            Ok(name) => {
                if file.source.is_some() {
                    self.layer.files.insert(name, file);
                }
            }
        }
    }
}

fn texts(value: &Value) -> Option<Vec<String>> {
    value.as_array()?.iter().map(|item| item.as_str().map(str::to_owned)).collect()
}
