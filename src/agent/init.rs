//! The first fetch: from the plan to published files, or to a failure that says what to do.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use super::{
    binary,
    content::{self, Content, DEFAULT_MODE, Problem},
    envfile,
    failure::{Failure, Kind},
    plan::{self, Auth, OnFailure, Plan, View},
    publish::{self, Entry, Staged},
};
use crate::{
    client::{AccessError, Budget, Client, Credentials, Repeat, Settings},
    codes::{Code, delivery as codes},
    esc::{names::FileName, reference::Reference, value::Value},
    secret::Secret,
};

/// What does not come from the plan.
#[derive(Debug, Clone)]
pub struct Options {
    /// The binary that is copied for the exec wrapper.
    pub executable: PathBuf,
}

impl Default for Options {
    fn default() -> Self {
        Self { executable: PathBuf::from("/proc/self/exe") }
    }
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// Files that were published.
    pub files: usize,
    /// Variables that were published.
    pub variables: usize,
    /// Why nothing was, when the application is to start without.
    pub degraded: Option<Code>,
}

/// Does what the plan says, once. Cancelled or failed, it leaves every directory as it was.
pub async fn init(plan: &Plan, options: &Options) -> Result<Report, Failure> {
    let reference = check(plan)?;
    if let Some(directory) = &plan.binary_dir {
        binary::copy(&options.executable, Path::new(directory))?;
    }
    match first_fetch(plan, reference).await {
        Ok(environment) => deliver(plan, &environment),
        Err(error) if error.is_outage() && plan.on_failure == OnFailure::Start => degrade(plan, &error),
        Err(error) => Err(error.into()),
    }
}

/// For as long as the plan gives.
pub(super) async fn first_fetch(plan: &Plan, reference: &Reference) -> Result<Value, AccessError> {
    // Blocked, the pod comes back by itself: kubelet restarts us, later each time. To start without the values is only
    // right once the whole budget was spent on getting them.
    let opens = match plan.on_failure {
        OnFailure::Block => Repeat::WithCare,
        OnFailure::Start => Repeat::Freely,
    };
    fetch(plan, reference, opens, &Budget::new(Duration::from_secs(plan.timeout_seconds))).await
}

/// Reads the plan as the webhook wrote it.
pub fn read_plan(text: &str) -> Result<Plan, Failure> {
    /// The one field that every version has.
    #[derive(serde::Deserialize)]
    struct Versioned {
        version: u32,
    }
    let fail = |error: serde_json::Error| unreadable(&error.to_string());
    let Versioned { version } = serde_json::from_str(text).map_err(fail)?;
    if version != plan::VERSION {
        let what = format!(
            "reading the plan: it is of version {version}, this agent reads version {}",
            plan::VERSION
        );
        return Err(Failure::new(codes::PLAN_VERSION, Kind::Configuration, what));
    }
    Plan::from_variable(text).map_err(fail)
}

pub(super) fn unreadable(what: &str) -> Failure {
    Failure::new(codes::PLAN, Kind::Configuration, format!("reading the plan: {what}"))
}

/// What the types of the plan can't say.
pub(super) fn check(plan: &Plan) -> Result<&Reference, Failure> {
    let contradiction = |what| Err(unreadable(what));
    if plan.views.is_empty() {
        return contradiction("it has no view");
    }
    for view in &plan.views {
        if view.files_dir.is_none() && !view.files.is_empty() {
            return contradiction("a view has files and no directory for them");
        }
        if view.env_dir.is_none() && !view.variables.is_empty() {
            return contradiction("a view has variables and no directory for them");
        }
    }
    match plan.environments.as_slice() {
        [] => contradiction("it names no environment"),
        [reference] => Ok(reference),
        several => {
            let what = format!("opening {} environments for one pod", several.len());
            Err(Failure::new(codes::NOT_YET, Kind::Configuration, what))
        }
    }
}

pub(super) async fn fetch(
    plan: &Plan,
    reference: &Reference,
    opens: Repeat,
    budget: &Budget,
) -> Result<Value, AccessError> {
    let settings = Settings {
        url: plan.api.url.clone(),
        ca: plan.api.ca.clone(),
        https_proxy: plan.api.https_proxy.clone(),
        no_proxy: plan.api.no_proxy.clone(),
        opens,
    };
    let (credentials, how) = match &plan.auth {
        Auth::Exchange { organization, token_type, token_file } => (
            Credentials::Exchange {
                organization: organization.clone(),
                token_type: token_type.clone(),
                file: token_file.into(),
            },
            format!("exchanged the pod's token for one of type {token_type}"),
        ),
        Auth::Token { token_file } => {
            (Credentials::Static { file: token_file.into() }, "using a static access token".to_owned())
        }
    };
    let mut client = Client::new(&settings, credentials)?;
    let start = Instant::now();
    client.authenticate(budget).await?;
    tracing::info!(ms = milliseconds(start), "authenticated: {how}");
    let start = Instant::now();
    let environment = client.fetch(reference, budget).await?;
    tracing::info!(environment = %reference, ms = milliseconds(start), "opened");
    Ok(environment)
}

fn deliver(plan: &Plan, environment: &Value) -> Result<Report, Failure> {
    let start = Instant::now();
    let rendered = render(plan, environment)?;
    publish_all(&rendered.sets)?;
    let Rendered { files, variables, .. } = rendered;
    tracing::info!(files, variables, ms = milliseconds(start), "published");
    Ok(Report { files, variables, degraded: None })
}

/// The directories of all views, with what is to be in them.
pub(super) struct Rendered<'a> {
    pub(super) sets: Vec<(&'a Path, Vec<Entry>)>,
    pub(super) files: usize,
    pub(super) variables: usize,
}

/// What the environment makes of the plan, or all that is wrong with it.
pub(super) fn render<'a>(plan: &'a Plan, environment: &Value) -> Result<Rendered<'a>, Failure> {
    let mut problems = Vec::new();
    let mut contents = Vec::new();
    for view in &plan.views {
        match content::resolve(view, environment) {
            Ok(content) => contents.push((view, content)),
            Err(found) => problems.extend(found),
        }
    }
    if !problems.is_empty() {
        return Err(refuse(problems));
    }
    let mut rendered = Rendered { sets: Vec::new(), files: 0, variables: 0 };
    for (view, content) in contents {
        rendered.files += content.files.len();
        rendered.variables += content.variables.len();
        rendered.sets.extend(sets(view, content)?);
    }
    Ok(rendered)
}

/// All problems in one failure; what exists where a path ends goes to the log only.
fn refuse(problems: Vec<Problem>) -> Failure {
    let mut told = Vec::new();
    for problem in problems {
        // Views often ask for the same.
        if told.contains(&problem) {
            continue;
        }
        if let Problem::Missing { not_found, .. } = &problem {
            tracing::warn!(
                path = not_found.path,
                at = not_found.resolved,
                exists = some(&not_found.available),
                "no such property"
            );
        }
        told.push(problem);
    }
    told.into()
}

/// The first names of a list: who looks for a misspelt one finds it there, and a log line stays one.
fn some(names: &[String]) -> String {
    /// More than most objects have.
    const SHOWN: usize = 50;
    let mut shown: Vec<&str> = names.iter().take(SHOWN).map(String::as_str).collect();
    let more = names.len().saturating_sub(SHOWN);
    let rest = format!("and {more} more");
    if more > 0 {
        shown.push(&rest);
    }
    shown.join(", ")
}

/// The directories of a view, with what is to be in them.
fn sets(view: &View, content: Content) -> Result<Vec<(&Path, Vec<Entry>)>, Failure> {
    let mut sets = Vec::new();
    if let Some(directory) = &view.files_dir {
        sets.push((Path::new(directory), content.files));
    }
    if let Some(directory) = &view.env_dir {
        sets.push((
            Path::new(directory),
            vec![env_entry(envfile::FILE, envfile::write(&content.variables))?],
        ));
    }
    Ok(sets)
}

/// The application starts without: each container's wrapper finds a mark that says so.
pub(super) fn degrade(plan: &Plan, error: &AccessError) -> Result<Report, Failure> {
    let code = error.code();
    let mut sets = Vec::new();
    for directory in plan.views.iter().filter_map(|view| view.env_dir.as_deref()).map(Path::new) {
        // A whole set of an earlier run of this pod is better than none.
        if !publish::holds(directory, envfile::FILE) {
            sets.push((directory, vec![env_entry(envfile::DEGRADED, Secret::from(code.id()))?]));
        }
    }
    publish_all(&sets)?;
    tracing::warn!(
        code = code.id(),
        "{error}; the application starts WITHOUT its values (on-failure: start)"
    );
    Ok(Report { files: 0, variables: 0, degraded: Some(code) })
}

fn env_entry(name: &str, content: Secret) -> Result<Entry, Failure> {
    let name: FileName =
        name.parse().map_err(|error| Failure::new(codes::DEFECT, Kind::Internal, format!("{error}")))?;
    Ok(Entry { name, content, mode: DEFAULT_MODE })
}

/// Writes all sets before the first becomes visible, so that a full volume leaves every one as it was.
fn publish_all(sets: &[(&Path, Vec<Entry>)]) -> Result<(), Failure> {
    let staged: Vec<Staged> = sets
        .iter()
        .map(|(directory, entries)| publish::stage(directory, entries))
        .collect::<Result<_, _>>()?;
    for set in staged {
        set.publish()?;
    }
    Ok(())
}

pub(super) fn milliseconds(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX)
}
