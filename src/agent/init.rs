//! The first fetch: from the plan to published files, or to a failure that says what to do.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use super::{
    binary,
    deliver::{self, Undeliverable},
    failure::{Failure, Kind},
    fetch::{self, FetchError},
    plan::{self, Auth, OnFailure, Plan, Source},
};
use crate::{
    client::{Budget, Client},
    codes::{Code, delivery as codes},
    esc::value::Value,
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
    prepare(plan, options)?;
    first(plan, &mut fetch::client(plan)?).await
}

/// Everything that comes before the first request.
pub fn prepare(plan: &Plan, options: &Options) -> Result<(), Failure> {
    check(plan)?;
    if let Some(directory) = &plan.binary_dir {
        binary::copy(&options.executable, Path::new(directory))?;
    }
    Ok(())
}

/// Fetches within the plan's budget and publishes; or leaves the marks that let the application start without.
pub async fn first(plan: &Plan, client: &mut Client) -> Result<Report, Failure> {
    let budget = Budget::new(Duration::from_secs(plan.timeout_seconds));
    let start = Instant::now();
    match fetch::first(plan, client, &budget).await {
        Ok(environment) => {
            let ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
            tracing::info!(environments = plan.environments.len(), ms, "opened");
            deliver(plan, &environment)
        }
        Err(error) if error.is_outage() && plan.on_failure == OnFailure::Start => degrade(plan, &error),
        Err(error) => Err(error.into()),
    }
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
pub(super) fn check(plan: &Plan) -> Result<(), Failure> {
    let contradiction = |what: &str| Err(unreadable(what));
    if plan.views.is_empty() {
        return contradiction("it has no view");
    }
    for view in &plan.views {
        if view.files_dir.is_none() && !view.files.is_empty() {
            return contradiction("a view has files and no directory for them");
        }
        if view.env_dir.is_some() != (view.wrapper || view.kubelet) {
            return contradiction(
                "a view has a directory for variables and no reader of them, or a reader and no directory",
            );
        }
        if view.env_dir.is_none() && !view.variables.is_empty() {
            return contradiction("a view has variables and no directory for them");
        }
        let written = view.files.iter().filter(|file| file.format.is_some());
        if written.filter(|file| matches!(file.source, Source::Template(_))).count() > 0 {
            return contradiction("a file has a template and a format");
        }
    }
    if plan.environments.is_empty() {
        return contradiction("it names no environment");
    }
    if let Auth::Exchange { tokens, .. } = &plan.auth {
        for reference in &plan.environments {
            let organization = reference.organization();
            if !tokens.iter().any(|token| token.organization == organization) {
                return contradiction(&format!("it has no token for organization {organization}"));
            }
        }
    }
    Ok(())
}

fn deliver(plan: &Plan, environment: &Value) -> Result<Report, Failure> {
    let start = Instant::now();
    let delivery = deliver::render(plan, environment).map_err(Undeliverable::told)?;
    deliver::publish(&delivery)?;
    let (files, variables) = (delivery.files, delivery.variables);
    let ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::info!(files, variables, ms, "published");
    Ok(Report { files, variables, degraded: None })
}

pub(super) fn degrade(plan: &Plan, error: &FetchError) -> Result<Report, Failure> {
    let code = error.code();
    deliver::publish(&deliver::render_degraded(plan, code)?)?;
    tracing::warn!(
        code = code.id(),
        more = code.command(),
        "{error}; the application starts WITHOUT its values (on-failure: start)"
    );
    Ok(Report { files: 0, variables: 0, degraded: Some(code) })
}
