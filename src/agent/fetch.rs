//! Opens the plan's environments one by one, and lays them over one another.

use std::{fmt, path::PathBuf, time::Instant};

use super::plan::{Auth, Mesh, OnFailure, Plan};
use crate::{
    client::{AccessError, Budget, Cause, Client, Credentials, Repeat, Settings},
    codes::{Code, access as codes},
    esc::{merge, value::Value},
};

/// Why the plan's values can't be had. Never empty: all refusals, each named after its environment, or the outage that
/// ended the attempt.
#[derive(Debug)]
pub struct FetchError {
    first: AccessError,
    rest: Vec<AccessError>,
    /// The mesh that may have turned the connection away.
    mesh: Option<Mesh>,
}

impl FetchError {
    /// The code of the first.
    pub fn code(&self) -> Code {
        if self.mesh.is_some() { codes::REDIRECTED } else { self.first.code() }
    }

    /// The first, which gives code and exit status.
    pub fn first(&self) -> &AccessError {
        &self.first
    }

    /// Whether nothing but time stands in the way: ESC is unreachable, throttles or fails. A refusal never is.
    pub fn is_outage(&self) -> bool {
        self.iter().all(AccessError::is_outage)
    }

    /// All of them, in the order of the environments.
    pub fn iter(&self) -> impl Iterator<Item = &AccessError> {
        std::iter::once(&self.first).chain(&self.rest)
    }
}

impl From<AccessError> for FetchError {
    fn from(first: AccessError) -> Self {
        Self { first, rest: Vec::new(), mesh: None }
    }
}

impl std::error::Error for FetchError {}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.first)?;
        if let Some(mesh) = self.mesh {
            write!(
                f,
                "; {mesh} may redirect it to its proxy, which starts after the agent: exclude ESC with `{}`",
                mesh.exclusion()
            )?;
            if let Some(addresses) = mesh.address_exclusion() {
                write!(f, " or `{addresses}`")?;
            }
        }
        self.rest.iter().try_for_each(|error| {
            let code = error.code();
            if code == self.code() { write!(f, "; {error}") } else { write!(f, "; [{code}] {error}") }
        })
    }
}

/// A client as the plan describes it. One is enough for as long as the agent lives.
pub fn client(plan: &Plan) -> Result<Client, AccessError> {
    let settings = Settings {
        url: plan.api.url.clone(),
        ca: plan.api.ca.clone(),
        https_proxy: plan.api.https_proxy.clone(),
        no_proxy: plan.api.no_proxy.clone(),
        // Blocked, the pod comes back by itself: kubelet restarts us, later each time. To start without the values is
        // only right once the whole budget was spent on getting them.
        opens: match plan.on_failure {
            OnFailure::Block => Repeat::WithCare,
            OnFailure::Start => Repeat::Freely,
        },
    };
    let credentials = match &plan.auth {
        Auth::Exchange { token_type, tokens } => Credentials::Exchange {
            token_type: token_type.clone(),
            files: tokens
                .iter()
                .map(|token| (token.organization.clone(), PathBuf::from(&token.token_file)))
                .collect(),
        },
        Auth::Token { token_file } => Credentials::Static { file: token_file.into() },
    };
    Client::new(&settings, credentials)
}

/// The fetch that the application waits for. While it lasts the proxy of a mesh may not run yet, so that a connection
/// that is turned away can be the mesh's doing.
pub async fn first(plan: &Plan, client: &mut Client, budget: &Budget) -> Result<Value, FetchError> {
    let mut result = fetch(plan, client, budget).await;
    if let Err(error) = &mut result
        && let Cause::Unreachable { refused: true, .. } = error.first.cause
    {
        error.mesh = plan.mesh;
    }
    result
}

/// Opens every environment of the plan once and folds them. A refusal does not keep the others from being asked for,
/// so that all refusals are told at once; an outage does.
pub async fn fetch(plan: &Plan, client: &mut Client, budget: &Budget) -> Result<Value, FetchError> {
    let mut opened: Vec<(usize, Value)> = Vec::new();
    let mut errors = Vec::new();
    for (index, reference) in plan.environments.iter().enumerate() {
        // Named twice, it is laid over the others twice, and opened once.
        if plan.environments.iter().take(index).any(|earlier| earlier == reference) {
            continue;
        }
        let start = Instant::now();
        match client.fetch(reference, budget).await {
            Ok(value) => {
                let ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
                // A sidecar does this all day.
                tracing::debug!(environment = %reference, ms, "opened");
                opened.push((index, value));
            }
            Err(error) => {
                let is_final = error.is_outage();
                errors.push(error);
                if is_final {
                    break;
                }
            }
        }
    }
    // What came after a refusal and is only an outage says nothing that a person could act on now.
    if errors.iter().any(|error| !error.is_outage()) {
        errors.retain(|error| !error.is_outage());
    }
    let mut errors = errors.into_iter();
    if let Some(first) = errors.next() {
        return Err(FetchError { first, rest: errors.collect(), mesh: None });
    }
    let in_order = plan.environments.iter().filter_map(|reference| {
        let (_, value) = opened.iter().find(|(index, _)| plan.environments.get(*index) == Some(reference))?;
        Some(value.clone())
    });
    Ok(merge::fold(in_order))
}
