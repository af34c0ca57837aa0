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
        names::{FileName, VariableName},
        path::{NotFound, Path},
        projection::{self, Projected, UnknownValue},
        render::{self, Format, RenderError},
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
            Self::Kubelet(problem) => problem.reason.code(),
            Self::Names { .. } => codes::PROJECTED_NAMES,
            Self::Clash { .. } => codes::NAME_CLASH,
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
        let Source::Path(path) = &entry.source else { return };
        let destination = || Destination::File(name.clone());
        let absence = Absence { optional: entry.optional, default: entry.default.as_deref() };
        let written = self.text(path, destination, absence, |value| {
            let format = entry.format.unwrap_or_else(|| Format::for_value(name.as_str(), value));
            render::render(value, format)
        });
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
        let absence = Absence { optional: entry.optional, default: entry.default.as_deref() };
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
            Err(not_found) => {
                let missing =
                    || Problem::Missing { destination: destination(), not_found: Box::new(not_found) };
                return absence.fill().ok_or_else(missing);
            }
        };
        if let (Kind::Null, Some(text)) = (&value.kind, absence.fill()) {
            return Ok(text);
        }
        let text =
            write(&value).map_err(|error| Problem::Unwritable { destination: destination(), error })?;
        Ok(absence.fill().filter(|_| text.is_empty()).unwrap_or(Some(text)))
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

/// What stands for a text that is not there.
#[derive(Clone, Copy)]
struct Absence<'a> {
    optional: bool,
    default: Option<&'a str>,
}

impl Absence<'_> {
    /// The default, or nothing at all where that is fine; none where something has to be there.
    fn fill(self) -> Option<Option<Secret>> {
        match self.default {
            Some(text) => Some(Some(Secret::from(text))),
            None => self.optional.then_some(None),
        }
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
