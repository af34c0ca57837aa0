//! Layers ▶ [`Request`]: what the pod asks for once defaults have spoken, checked against the operator's rules.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{
    Context, annotations,
    keys::Key,
    layer::{EnvMode, File, Layer, Resource, Variable},
    origin::{self, Origin},
    pod::Pod,
    problem::{Problem, Warning},
    quantity::Quantity,
    refresh::{self, Refresh},
    subject::{Source, Subject},
};
use crate::{
    agent::plan::{self, FileEntry, OnFailure, Projections, VariableEntry},
    codes::annotations as codes,
    esc::names::FileName,
};

/// Budget of the fetch unless the pod says otherwise.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(120);
/// Where files appear unless the pod says otherwise.
const DEFAULT_MOUNT_PATH: &str = "/run/secrets/esc";
/// Size of each memory volume unless the pod says otherwise, in MiB.
const DEFAULT_VOLUME_SIZE: u64 = 16;

/// Everything that was said, and what is wrong with it.
#[derive(Debug)]
pub struct Asked {
    /// What to deliver, and how.
    pub request: Request,
    /// Where from; none while something without a default is missing, which is then among the problems.
    pub origin: Option<Origin>,
    /// What keeps the pod from being injected.
    pub problems: Vec<Problem>,
    /// Legal but worrying things.
    pub warnings: Vec<Warning>,
}

/// What to deliver, and how: complete whatever was said, since all of it has defaults. So the pod can be judged by it
/// even where something else is wrong.
#[derive(Debug, Clone)]
pub struct Request {
    /// Variables by name.
    pub variables: Vec<For<VariableEntry>>,
    /// Files by name.
    pub files: Vec<For<FileEntry>>,
    /// Which of ESC's projections to deliver.
    pub projections: Projections,
    /// Who receives; everybody but the excluded when none.
    pub containers: Option<Vec<String>>,
    /// Commands by container.
    pub commands: BTreeMap<String, Vec<String>>,
    /// Where files appear.
    pub mount_path: String,
    /// What to do when ESC can't be reached.
    pub on_failure: OnFailure,
    /// Budget of the fetch.
    pub timeout: Duration,
    /// How variables arrive.
    pub env_mode: EnvMode,
    /// How values are kept fresh; fetched once when none.
    pub refresh: Option<Refresh>,
    /// Whether the pod's processes are to see one another.
    pub shares_processes: bool,
    /// Agent before the pod's init containers.
    pub init_first: bool,
    /// Size of each memory volume.
    pub volume_size: Quantity,
    /// Resources of the agent, where the pod says something.
    pub resources: BTreeMap<Resource, Option<Quantity>>,
    /// Log level of the agent.
    pub log_level: String,
}

/// An entry of the plan and who gets it.
#[derive(Debug, Clone)]
pub struct For<T> {
    /// The entry.
    pub entry: T,
    /// The containers that it names; all receivers when none.
    pub containers: Option<Vec<String>>,
}

impl Request {
    /// What names containers of its own, with the names.
    pub fn named_containers(&self) -> impl Iterator<Item = (Subject, &[String])> {
        let variables = self.variables.iter().map(|variable| {
            (Subject::Variable(variable.entry.name.to_string()), variable.containers.as_deref())
        });
        let files =
            self.files.iter().map(|file| (Subject::file(&file.entry.name), file.containers.as_deref()));
        variables.chain(files).filter_map(|(subject, names)| Some((subject, names?)))
    }
}

/// Reads and judges everything that was said.
pub fn read(pod: &Pod<'_>, context: &Context<'_>) -> Asked {
    let defaults = context.policy.defaults.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    let namespace = context.namespace_annotations.into_iter().flatten();
    let namespace = namespace.map(|(key, value)| (key.as_str(), value.as_str()));
    let operator = annotations::read(Source::Operator, defaults);
    let namespace = annotations::read(Source::Namespace, namespace);
    let own = annotations::read(Source::Pod, pod.annotations.iter().copied());
    let mut below = operator.layer.overlaid(namespace.layer);
    // Defaults are for many pods, and no pod can take one back: what they say of a container or file that this pod
    // does not have is said to others.
    below.commands.retain(|name, _| pod.all_containers().any(|container| container.name == name));
    below.files.retain(|name, file| file.source.is_some() || own.layer.files.contains_key(name));
    let mut problems = [operator.problems, namespace.problems, own.problems].concat();
    let warnings = [operator.warnings, namespace.warnings, own.warnings].concat();
    let own_refresh = own.layer.refresh.clone();
    let layer = below.overlaid(own.layer);
    let shares_processes = layer.refresh.shares_processes();
    let refresh = refresh::judge(layer.refresh.clone(), &own_refresh, pod, context, &mut problems);
    let (request, origin) = judge(layer, (refresh, shares_processes), context, &mut problems);
    Asked { request, origin, problems, warnings }
}

/// What is asked for, and where from unless something without a default is missing. What is wrong goes to `problems`.
fn judge(
    layer: Layer,
    (refresh, shares_processes): (Option<Refresh>, bool),
    context: &Context<'_>,
    problems: &mut Vec<Problem>,
) -> (Request, Option<Origin>) {
    let policy = context.policy;
    let (files, orphans) = files(layer.files);
    problems.extend(orphans);
    let variables: Vec<_> = layer
        .variables
        .into_iter()
        .map(|(name, Variable { path, format, absent, containers })| {
            let (optional, default) = absent.into_parts();
            For { entry: VariableEntry { name, path, format, optional, default }, containers }
        })
        .collect();
    let nothing_named = files.is_empty() && variables.is_empty() && !layer.names_unreadable;
    let projections =
        layer.projections.unwrap_or(if nothing_named { Projections::All } else { Projections::None });
    if nothing_named && projections == Projections::None {
        problems.push(Problem::invalid(
            codes::NOTHING,
            Subject::key(Key::Projections),
            "is none, and no variable or file is named; name one, or remove it",
        ));
    }
    problems.extend(resources(&layer.resources));
    let said = origin::Said {
        environments: layer.environments,
        token_secret: layer.token_secret,
        audience: layer.audience,
        token_type: layer.token_type,
        api_url: layer.api_url,
    };
    let origin = origin::judge(said, context, problems);
    let request = Request {
        variables,
        files,
        projections,
        containers: layer.containers,
        commands: layer.commands,
        mount_path: layer.mount_path.unwrap_or_else(|| DEFAULT_MOUNT_PATH.to_owned()),
        on_failure: layer.on_failure.unwrap_or_default(),
        timeout: layer.timeout.unwrap_or(DEFAULT_TIMEOUT),
        env_mode: layer.env_mode.unwrap_or_default(),
        refresh,
        shares_processes,
        init_first: layer.init_first.unwrap_or(true),
        volume_size: layer.volume_size.unwrap_or_else(|| Quantity::mebibytes(DEFAULT_VOLUME_SIZE)),
        resources: layer.resources,
        log_level: layer.log_level.unwrap_or_else(|| policy.agent_log_level.clone()),
    };
    (request, origin)
}

/// Requests above their limits, which no API server accepts.
fn resources(chosen: &BTreeMap<Resource, Option<Quantity>>) -> Vec<Problem> {
    let milli = |resource| chosen.get(&resource).and_then(Option::as_ref).map(Quantity::milli);
    [
        (Resource::CpuRequest, Resource::CpuLimit, Key::AgentCpuRequest, Key::AgentCpuLimit),
        (Resource::MemoryRequest, Resource::MemoryLimit, Key::AgentMemoryRequest, Key::AgentMemoryLimit),
        (
            Resource::EphemeralStorageRequest,
            Resource::EphemeralStorageLimit,
            Key::AgentEphemeralStorageRequest,
            Key::AgentEphemeralStorageLimit,
        ),
    ]
    .into_iter()
    .filter(|(request, limit, ..)| milli(*limit).is_some_and(|limit| milli(*request) > Some(limit)))
    .map(|(_, _, request, limit)| {
        Problem::invalid(codes::VALUE, Subject::key(request), format!("is more than {limit}"))
    })
    .collect()
}

fn files(files: BTreeMap<FileName, File>) -> (Vec<For<FileEntry>>, Vec<Problem>) {
    let mut entries = Vec::new();
    let mut problems = Vec::new();
    let names: BTreeSet<String> =
        files.iter().filter(|(_, file)| file.source.is_some()).map(|(name, _)| name.to_string()).collect();
    for (name, file) in files {
        let File { source, format, decode, mode, absent, containers } = file;
        let modifier = match (format, decode) {
            (Some(_), _) => "format",
            (None, Some(_)) => "decode",
            (None, None) => "mode",
        };
        let Some(source) = source else {
            let near = super::keys::nearest(name.as_str(), names.iter().map(String::as_str));
            let hint = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
            let message = format!("there is no `file.{name}` to go with it{hint}");
            problems.push(Problem::invalid(
                codes::ORPHAN,
                Subject::own(format!("{modifier}.{name}")),
                message,
            ));
            continue;
        };
        if matches!(source, plan::Source::Template(_)) && (format.is_some() || decode.is_some()) {
            let message = format!("it is a template, whose text is written as it is; drop the {modifier}");
            problems.push(Problem::invalid(codes::CONTRADICTION, Subject::file(&name), message));
        }
        // A file can't be a directory as well: `a` and `a/b`.
        let directory = format!("{name}/");
        if let Some(below) =
            names.range(directory.clone()..).next().filter(|next| next.starts_with(&directory))
        {
            let message = format!("`{name}` can't be a file while `{below}` makes it a directory");
            problems.push(Problem::invalid(codes::FILE_NAME, Subject::file(&name), message));
        }
        let (optional, default) = absent.into_parts();
        entries.push(For {
            entry: FileEntry { name, source, format, decode, mode, optional, default },
            containers,
        });
    }
    (entries, problems)
}
