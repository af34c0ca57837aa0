//! What a view receives: the plan's paths looked up in the opened environment, and ESC's own projections. Pure.
//!
//! Whatever can't be delivered is collected, so that one failure tells all of it.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    envfile::{Origin, Variable},
    kubelet::{self, Unwritable},
    plan::{FileEntry, Source, VariableEntry, View},
    publish::Entry,
};
use crate::{
    codes::{Code, delivery as codes},
    esc::{
        lookup::NotFound,
        names::{FileName, VariableName},
        path::Path,
        projection::{self, Projected, UnknownValue},
        render::{
            self, Format, RenderError,
            template::{Mistake, Root, TemplateError},
        },
        value::{Kind, Value},
    },
    secret::Secret,
};

/// Readable by everybody who mounts the volume: the application's user is often known only from its image.
pub const DEFAULT_MODE: u32 = 0o444;

/// What a plan may ask of a mode: permission bits, and no set-user-ID.
const MODE_BITS: u32 = 0o777;

/// What a view receives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// Files by name.
    pub files: Vec<Entry>,
    /// Variables by name.
    pub variables: Vec<Variable>,
    /// The text that kubelet reads them from, for a view that it serves.
    pub kubelet: Option<Secret>,
}

/// Where a value goes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Destination {
    /// An environment variable.
    #[error("variable {0}")]
    Variable(VariableName),
    /// A file.
    #[error("file {0}")]
    File(FileName),
}

/// Why something can't be delivered. Never quotes a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The path leads nowhere.
    #[error("{destination}: {not_found}")]
    Missing {
        /// What asked for it.
        destination: Destination,
        /// Where it ended.
        not_found: Box<NotFound>,
    },
    /// The value does not fit its format.
    #[error("{destination}: {error}")]
    Unwritable {
        /// What asked for it.
        destination: Destination,
        /// Why.
        error: RenderError,
    },
    /// The value can't be a variable.
    #[error("variable {name} holds a NUL byte")]
    Nul {
        /// The variable.
        name: VariableName,
    },
    /// The file's template has no text.
    #[error("file {file}: {error}")]
    Template {
        /// The file.
        file: FileName,
        /// Why.
        error: TemplateError,
    },
    /// The value can't be read by kubelet.
    #[error(transparent)]
    Kubelet(#[from] Unwritable),
    /// ESC could not compute a projected value.
    #[error(transparent)]
    Unknown(#[from] UnknownValue),
    /// Projected names that are no legal variable or file name.
    #[error("`{projection}` has keys that are no legal names: {}", quote(names))]
    Names {
        /// `environmentVariables` or `files`.
        projection: &'static str,
        /// The keys.
        names: Vec<String>,
    },
    /// A file is where a directory has to be.
    #[error("file {file} is in the way of {below}")]
    Clash {
        /// The file.
        file: FileName,
        /// The one below it.
        below: FileName,
    },
}

impl Problem {
    /// Its stable code.
    pub fn code(&self) -> Code {
        match self {
            Self::Missing { .. } => codes::MISSING_PATH,
            Self::Unknown(_) | Self::Unwritable { error: RenderError::Unknown { .. }, .. } => {
                codes::UNKNOWN_VALUE
            }
            Self::Unwritable { .. } => codes::UNWRITABLE_VALUE,
            Self::Nul { .. } => codes::NUL,
            Self::Template { error, .. } => match error.mistake {
                Mistake::Missing(_) => codes::MISSING_PATH,
                Mistake::Unknown { .. } => codes::UNKNOWN_VALUE,
                Mistake::Limit => codes::TEMPLATE_LIMIT,
                Mistake::Syntax(_) | Mistake::Undefined | Mistake::Operation(_) => codes::TEMPLATE,
            },
            Self::Kubelet(problem) => problem.reason.code(),
            Self::Names { .. } => codes::PROJECTED_NAMES,
            Self::Clash { .. } => codes::NAME_CLASH,
        }
    }
}

impl Problem {
    /// The path that leads nowhere, if that is the problem.
    pub fn not_found(&self) -> Option<&NotFound> {
        match self {
            Self::Missing { not_found, .. } => Some(not_found),
            Self::Template { error: TemplateError { mistake: Mistake::Missing(not_found), .. }, .. } => {
                Some(not_found)
            }
            _ => None,
        }
    }
}

/// Looks up, renders and names everything that a view receives.
pub fn resolve(view: &View, environment: &Value) -> Result<Content, Vec<Problem>> {
    let mut resolving = Resolving {
        view,
        environment,
        files: BTreeMap::new(),
        variables: BTreeMap::new(),
        problems: Vec::new(),
        root: None,
    };
    // Later ones win: a projected file over a projected variable, as ESC has it, and explicit entries over both.
    resolving.project_variables();
    resolving.project_files();
    view.files.iter().for_each(|entry| resolving.file(entry));
    view.variables.iter().for_each(|entry| resolving.variable(entry));
    resolving.finish()
}

struct Resolving<'a> {
    view: &'a View,
    environment: &'a Value,
    files: BTreeMap<FileName, Entry>,
    variables: BTreeMap<VariableName, Variable>,
    problems: Vec<Problem>,
    root: Option<Root>,
}

impl Resolving<'_> {
    fn project_variables(&mut self) {
        if !self.view.projections.env() || !self.view.wrapper {
            return;
        }
        let mut illegal = Vec::new();
        for (key, value) in self.projected(projection::variables) {
            match key.parse() {
                Ok(name) => self.set(name, value, Origin::Projected),
                Err(_) => illegal.push(key),
            }
        }
        self.refuse_names("environmentVariables", illegal);
    }

    fn project_files(&mut self) {
        if !self.view.projections.files() || self.view.files_dir.is_none() {
            return;
        }
        let mut illegal = Vec::new();
        for (key, content) in self.projected(projection::files) {
            let Ok(name) = key.parse::<FileName>() else {
                illegal.push(key);
                continue;
            };
            if self.view.wrapper {
                let Ok(variable) = key.parse() else {
                    illegal.push(key);
                    continue;
                };
                let path = format!("{}/{name}", self.view.mount_path.trim_end_matches('/'));
                self.set(variable, Secret::from(path), Origin::Projected);
            }
            self.files.insert(name.clone(), Entry { name, content, mode: DEFAULT_MODE });
        }
        self.refuse_names("files", illegal);
    }

    fn projected(&mut self, projection: fn(&Value) -> Result<Projected, UnknownValue>) -> Projected {
        projection(self.environment).unwrap_or_else(|unknown| {
            self.problems.push(unknown.into());
            Projected::new()
        })
    }

    fn refuse_names(&mut self, projection: &'static str, names: Vec<String>) {
        if !names.is_empty() {
            self.problems.push(Problem::Names { projection, names });
        }
    }

    fn file(&mut self, entry: &FileEntry) {
        let name = &entry.name;
        let destination = || Destination::File(name.clone());
        let absence = Absence::new(entry.optional, entry.default.as_deref());
        let written = match &entry.source {
            Source::Path(path) => self.text(path, destination, absence, |value| {
                let format = entry.format.unwrap_or_else(|| Format::for_value(name.as_str(), value));
                render::render(value, format)
            }),
            Source::Template(template) => self
                .root()
                .render(template)
                .map(|text| absence.stand_in(text))
                .map_err(|error| Problem::Template { file: name.clone(), error }),
        };
        let decoded = written.and_then(|text| match (text, entry.decode) {
            (Some(text), Some(decode)) => render::decode(&text, decode)
                .map(Some)
                .map_err(|error| Problem::Unwritable { destination: destination(), error }),
            (text, _) => Ok(text),
        });
        match decoded {
            Ok(Some(content)) => {
                let mode = entry.mode.unwrap_or(DEFAULT_MODE) & MODE_BITS;
                self.files.insert(name.clone(), Entry { name: name.clone(), content, mode });
            }
            // What a projection put there is not what the pod named.
            Ok(None) => drop(self.files.remove(name)),
            Err(problem) => self.problems.push(problem),
        }
    }

    fn variable(&mut self, entry: &VariableEntry) {
        let name = &entry.name;
        let absence = Absence::new(entry.optional, entry.default.as_deref());
        let written = self.text(
            &entry.path,
            || Destination::Variable(name.clone()),
            absence,
            |value| {
                // Without a file name there is no extension to go by: scalars as text, the rest as compact JSON.
                let format = entry.format.unwrap_or_else(|| Format::for_value("", value));
                render::render(value, format)
            },
        );
        match written {
            Ok(Some(value)) => self.set(name.clone(), value, Origin::Explicit),
            Ok(None) => drop(self.variables.remove(name)),
            Err(problem) => self.problems.push(problem),
        }
    }

    /// The text of a property; none where there is none, and that is fine.
    fn text(
        &self,
        path: &Path,
        destination: impl Fn() -> Destination,
        absence: Absence<'_>,
        write: impl FnOnce(&Value) -> Result<Secret, RenderError>,
    ) -> Result<Option<Secret>, Problem> {
        let value = match path.get(self.environment) {
            Ok(value) => value,
            Err(not_found) if absence == Absence::Refused => {
                let destination = destination();
                return Err(Problem::Missing { destination, not_found: Box::new(not_found) });
            }
            Err(_) => return Ok(absence.fill()),
        };
        if value.kind == Kind::Null && absence != Absence::Refused {
            return Ok(absence.fill());
        }
        let text =
            write(&value).map_err(|error| Problem::Unwritable { destination: destination(), error })?;
        Ok(absence.stand_in(text))
    }

    /// The environment for templates: a copy, made for the first of them.
    fn root(&mut self) -> &Root {
        self.root.get_or_insert_with(|| Root::new(self.environment.clone()))
    }

    fn set(&mut self, name: VariableName, value: Secret, origin: Origin) {
        match Variable::new(name.clone(), value, origin) {
            Ok(variable) => drop(self.variables.insert(name, variable)),
            Err(_) => self.problems.push(Problem::Nul { name }),
        }
    }

    fn finish(mut self) -> Result<Content, Vec<Problem>> {
        self.problems.extend(clashes(self.files.keys()));
        let variables: Vec<_> = self.variables.into_values().collect();
        let kubelet = self.view.kubelet.then(|| kubelet::write(&variables)).transpose();
        let kubelet = kubelet.unwrap_or_else(|unwritable| {
            self.problems.extend(unwritable.into_iter().map(Problem::from));
            None
        });
        if !self.problems.is_empty() {
            return Err(self.problems);
        }
        Ok(Content { files: self.files.into_values().collect(), variables, kubelet })
    }
}

/// What becomes of a destination whose text is not there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Absence<'a> {
    /// It is refused; and an empty text is as good as any.
    Refused,
    /// It is left out.
    LeftOut,
    /// It gets this text.
    Replaced(&'a str),
}

impl<'a> Absence<'a> {
    fn new(optional: bool, default: Option<&'a str>) -> Self {
        match default {
            Some(text) => Self::Replaced(text),
            None if optional => Self::LeftOut,
            None => Self::Refused,
        }
    }

    /// What arrives in place of the text.
    fn fill(self) -> Option<Secret> {
        if let Self::Replaced(text) = self { Some(Secret::from(text)) } else { None }
    }

    /// What arrives for a text that is there, and may be empty.
    fn stand_in(self, text: Secret) -> Option<Secret> {
        if text.is_empty() && self != Self::Refused { self.fill() } else { Some(text) }
    }
}

/// Files whose name is a directory of another's.
fn clashes<'a>(names: impl Iterator<Item = &'a FileName> + Clone) -> Vec<Problem> {
    let files: BTreeSet<&str> = names.clone().map(FileName::as_str).collect();
    let mut clashes = Vec::new();
    for below in names {
        for (slash, _) in below.as_str().match_indices('/') {
            let parent = below.as_str().get(..slash).unwrap_or_default();
            if let (true, Ok(file)) = (files.contains(parent), parent.parse()) {
                clashes.push(Problem::Clash { file, below: below.clone() });
            }
        }
    }
    clashes
}

/// Names as a list in backticks. They come from the environment's author, and may be any text.
fn quote(names: &[String]) -> String {
    names.iter().map(|name| format!("`{}`", name.escape_debug())).collect::<Vec<_>>().join(", ")
}
