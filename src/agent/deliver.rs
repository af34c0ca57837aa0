//! From the opened environment to sets of files on the volumes of all views.
//!
//! [`render`] decides what is to lie where, and touches nothing; [`publish()`] puts it there. What can't be delivered is
//! collected over all views, so that one failure tells all of it.

use std::path::Path;

use super::{
    content::{self, Content, DEFAULT_MODE, Problem},
    envfile,
    failure::{Failure, Kind},
    kubelet,
    plan::{Plan, View},
    publish::{self, Entry, Staged},
};
use crate::{
    codes::{Code, delivery as codes},
    esc::{lookup::NotFound, value::Value},
    prose::some,
    secret::Secret,
};

/// Everything that is to lie on the volumes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery<'p> {
    /// What each directory is to hold, and nothing else.
    pub sets: Vec<(&'p Path, Vec<Entry>)>,
    /// Files for applications, over all views.
    pub files: usize,
    /// Variables, over all views.
    pub variables: usize,
}

/// Why the values can't be delivered, and what only the log may say of it.
#[derive(Debug)]
pub struct Undeliverable {
    failure: Failure,
    missing: Vec<NotFound>,
}

impl Undeliverable {
    /// The failure, without a word in the log.
    pub fn untold(self) -> (Failure, Vec<NotFound>) {
        (self.failure, self.missing)
    }

    /// The failure, after the log was told what exists where paths end.
    pub fn told(self) -> Failure {
        tell(&self.missing);
        self.failure
    }
}

impl From<Failure> for Undeliverable {
    fn from(failure: Failure) -> Self {
        Self { failure, missing: Vec::new() }
    }
}

/// Tells the log what exists where paths end.
pub fn tell(missing: &[NotFound]) {
    for not_found in missing {
        tracing::warn!(
            path = not_found.path,
            at = not_found.resolved,
            exists = some(&not_found.available, SHOWN),
            "no such property"
        );
    }
}

/// Decides what is to lie on the volumes.
pub fn render<'p>(plan: &'p Plan, environment: &Value) -> Result<Delivery<'p>, Undeliverable> {
    let mut problems = Vec::new();
    let mut delivery = Delivery { sets: Vec::new(), files: 0, variables: 0 };
    for view in &plan.views {
        match content::resolve(view, environment) {
            Ok(content) => {
                delivery.files += content.files.len();
                delivery.variables += content.variables.len();
                delivery.sets.extend(sets(view, content)?);
            }
            Err(found) => problems.extend(found),
        }
    }
    if problems.is_empty() { Ok(delivery) } else { Err(refuse(problems)) }
}

/// What is to lie there when the application starts without: a mark for each container's wrapper that says why, and
/// for kubelet a file without variables, since it starts nothing without the file. A whole set of an earlier run of
/// this pod is better than that, and stays.
pub fn render_degraded(plan: &Plan, code: Code) -> Result<Delivery<'_>, Failure> {
    let mut sets = Vec::new();
    for view in &plan.views {
        let Some(directory) = view.env_dir.as_deref().map(Path::new) else { continue };
        if [envfile::FILE, kubelet::FILE].iter().any(|file| is_whole(directory, file, view)) {
            continue;
        }
        let mut entries = Vec::new();
        if view.wrapper {
            entries.push(env_entry(envfile::DEGRADED, Secret::from(code.id()))?);
        }
        if view.kubelet {
            entries.push(env_entry(kubelet::FILE, Secret::from(""))?);
        }
        sets.push((directory, entries));
    }
    Ok(Delivery { sets, files: 0, variables: 0 })
}

/// Whether a file of variables lies there that is no stand-in.
fn is_whole(directory: &Path, file: &str, view: &View) -> bool {
    let degraded = view.wrapper && publish::holds(directory, envfile::DEGRADED);
    !degraded && publish::holds(directory, file)
}

/// Writes all sets before the first becomes visible, so that a full volume leaves every one as it was.
pub fn publish(delivery: &Delivery<'_>) -> Result<(), Failure> {
    let staged: Vec<Staged> = delivery
        .sets
        .iter()
        .map(|(directory, entries)| publish::stage(directory, entries))
        .collect::<Result<_, _>>()?;
    for set in staged {
        set.publish()?;
    }
    Ok(())
}

/// The directories of a view, with what is to be in them.
fn sets(view: &View, content: Content) -> Result<Vec<(&Path, Vec<Entry>)>, Failure> {
    let mut sets = Vec::new();
    if let Some(directory) = &view.files_dir {
        sets.push((Path::new(directory), content.files));
    }
    if let Some(directory) = &view.env_dir {
        let mut entries = Vec::new();
        if view.wrapper {
            entries.push(env_entry(envfile::FILE, envfile::write(&content.variables))?);
        }
        if let Some(text) = content.kubelet {
            entries.push(env_entry(kubelet::FILE, text)?);
        }
        sets.push((Path::new(directory), entries));
    }
    Ok(sets)
}

fn env_entry(name: &str, content: Secret) -> Result<Entry, Failure> {
    let name =
        name.parse().map_err(|error| Failure::new(codes::DEFECT, Kind::Internal, format!("{error}")))?;
    Ok(Entry { name, content, mode: DEFAULT_MODE })
}

/// All problems in one failure; what exists where a path ends is for the log only.
fn refuse(problems: Vec<Problem>) -> Undeliverable {
    let mut told = Vec::new();
    let mut missing = Vec::new();
    for problem in problems {
        // Views often ask for the same.
        if told.contains(&problem) {
            continue;
        }
        missing.extend(problem.not_found().cloned());
        told.push(problem);
    }
    Undeliverable { failure: told.into(), missing }
}

/// Most names that a log line lists, which who looks for a misspelt one reads: more than most objects have.
const SHOWN: usize = 50;
