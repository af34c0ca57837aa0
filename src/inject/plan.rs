//! Request ▶ [`Injection`]: everything that is to stand in the pod, and nothing of how it gets there.

use std::time::Duration;

use super::{
    fit::{Fitted, Receiver, Shape},
    json::{Json, Members},
    layer::TokenSecret,
    names::{
        self, API_TOKEN_PATH, BINARY_DIR, BINARY_VOLUME, NO_TOKEN_VOLUME, STATE_DIR, STATE_VOLUME, TOKEN_DIR,
        TOKEN_FILE, TOKEN_VOLUME,
    },
    origin::{Identity, Origin, ProjectedToken},
    owner::Owner,
    pod::{Container, Pod},
    policy::Policy,
    problem::Problem,
    quantity::Quantity,
    request::Request,
    resources, sidecar,
};
use crate::{
    agent::plan::{self, Api, Auth, Mesh, OrganizationToken, Plan, VERSION, View},
    codes::annotations as codes,
};

/// The plan travels in a variable of the pod; beside the user's own fields it must fit etcd's 1.5 MiB and one
/// `exec` argument (128 KiB).
const MAX_PLAN_BYTES: usize = 64 * 1024;
/// The binary's copy has room for twice its size.
const BINARY_VOLUME_SIZE: &str = "32Mi";
/// Seconds; the shortest that kubelet gives out. The agent uses the token in its first moments.
const TOKEN_LIFETIME: u64 = 600;
/// Seconds; kubelet's own default. A sidecar uses tokens for as long as the pod lives, and each new one is a request to
/// the API server.
const SIDECAR_TOKEN_LIFETIME: u64 = 3600;
/// MiB, for two small files and their next versions.
const STATE_SIZE: u64 = 1;

/// Everything that is to stand in the pod.
#[derive(Debug)]
pub struct Injection {
    /// How many of the pod's own init containers start before the agent.
    pub position: usize,
    /// Arguments of the agent's container.
    pub arguments: Vec<String>,
    /// Its variables.
    pub env: Vec<(String, String)>,
    /// Its mounts.
    pub mounts: Vec<Json<'static>>,
    /// What makes it a native sidecar, by field; empty for a plain init container.
    pub lifecycle: Members<'static>,
    /// Its port, where it serves metrics.
    pub port: Option<Json<'static>>,
    /// Whether the pod's processes are to see one another.
    pub shares_processes: bool,
    /// Its image, resources and security context, for a container that is not there yet.
    pub initial: Members<'static>,
    /// Our volumes, each with its name.
    pub volumes: Vec<(String, Json<'static>)>,
    /// What each receiver gets.
    pub receivers: Vec<Receiver>,
    /// Whether `esc-bin` is among the volumes.
    pub has_binary: bool,
}

/// Decides what is to stand in the pod (which is given without what is ours) once it is known to fit.
pub fn plan(
    pod: &Pod<'_>,
    request: &Request,
    origin: &Origin,
    policy: &Policy,
    shape: Shape<'_>,
) -> Result<Injection, Problem> {
    let agent_plan = agent_plan(request, origin, policy, &shape, mesh(pod, shape.position));
    let plan_text = match agent_plan.to_variable() {
        Ok(text) if text.len() <= MAX_PLAN_BYTES => text,
        outcome => {
            let size = outcome.map_or(0, |text| text.len());
            let message = format!("the plan has {size} bytes, and may have {MAX_PLAN_BYTES}");
            return Err(Problem::invalid(codes::PLAN_SIZE, "variables and files", message));
        }
    };
    let directories: Vec<_> =
        shape.views.iter().enumerate().flat_map(|(n, view)| directories(n, view)).collect();
    let is_sidecar = request.refresh.is_some();
    let state_size = Quantity::mebibytes(STATE_SIZE);
    let state = is_sidecar.then_some(&state_size);
    let memory_volumes: Vec<&Quantity> =
        directories.iter().map(|_| &request.volume_size).chain(state).collect();
    let has_binary = shape.has_binary();
    Ok(Injection {
        position: shape.position,
        arguments: vec!["agent".to_owned(), if is_sidecar { "sidecar" } else { "init" }.to_owned()],
        env: vec![
            (plan::VARIABLE.to_owned(), plan_text),
            ("ESC_INJECTOR_LOG_LEVEL".to_owned(), request.log_level.clone()),
        ],
        mounts: agent_mounts(&directories, has_binary, is_sidecar),
        lifecycle: sidecar::fields(request.refresh.as_ref(), whole_seconds(request.timeout)),
        port: sidecar::port(request.refresh.as_ref()),
        shares_processes: request.shares_processes,
        initial: initial_fields(
            policy,
            shape.owner,
            resources::of_agent(pod, &request.resources, &memory_volumes),
        ),
        volumes: volumes(request, &origin.identity, &directories, has_binary),
        receivers: shape.receivers,
        has_binary,
    })
}

/// The memory volumes of a view, each with where the agent mounts it.
fn directories(number: usize, fitted: &Fitted<'_>) -> Vec<(String, String)> {
    let files = (names::files_volume(number), names::files_dir(number));
    let env = (names::env_volume(number), names::env_dir(number));
    let files = fitted.view.has_files().then_some(files);
    files.into_iter().chain(fitted.has_variables().then_some(env)).collect()
}

/// The mesh whose rules are there when the agent first connects, and whose proxy is not.
fn mesh(pod: &Pod<'_>, position: usize) -> Option<Mesh> {
    let mesh = |container: &Container<'_>| Mesh::of_container(container.name);
    let (before, after) = pod.init_containers.split_at_checked(position)?;
    let has_proxy = before.iter().any(|container| container.is_native_sidecar && mesh(container).is_some());
    // Without such a container it is the node that sets the rules, before any container starts.
    let has_rules_later = after.iter().any(|container| Mesh::is_set_up_by(container.name));
    if has_proxy || has_rules_later {
        return None;
    }
    pod.all_containers().find_map(mesh)
}

fn agent_plan(
    request: &Request,
    origin: &Origin,
    policy: &Policy,
    shape: &Shape<'_>,
    mesh: Option<Mesh>,
) -> Plan {
    let views = shape.views.iter().enumerate().map(|(number, fitted)| View {
        containers: fitted.view.containers.iter().map(|container| container.name.to_owned()).collect(),
        mount_path: request.mount_path.clone(),
        files_dir: fitted.view.has_files().then(|| names::files_dir(number)),
        env_dir: fitted.has_variables().then(|| names::env_dir(number)),
        wrapper: fitted.wrapper,
        kubelet: fitted.kubelet,
        projections: fitted.view.projections,
        files: fitted.view.files.clone(),
        variables: fitted.view.variables.clone(),
    });
    Plan {
        version: VERSION,
        api: Api {
            url: origin.api_url.clone(),
            ca: policy.ca_pem.clone(),
            https_proxy: policy.https_proxy.clone(),
            no_proxy: policy.no_proxy.clone(),
        },
        auth: auth(&origin.identity),
        environments: origin.environments.clone(),
        timeout_seconds: whole_seconds(request.timeout),
        on_failure: request.on_failure,
        binary_dir: shape.has_binary().then(|| BINARY_DIR.to_owned()),
        mesh,
        views: views.collect(),
        refresh: request.refresh.as_ref().map(|refresh| plan::Refresh {
            interval_seconds: whole_seconds(refresh.interval),
            on_change: refresh.on_change.clone(),
            restart_spread_seconds: whole_seconds(refresh.restart_spread),
            metrics_port: refresh.metrics_port,
            state_dir: STATE_DIR.to_owned(),
        }),
    }
}

fn auth(identity: &Identity) -> Auth {
    match identity {
        Identity::Exchange { token_type, tokens } => {
            let of_each = |token: &ProjectedToken| -> Vec<_> {
                let token_file = format!("{TOKEN_DIR}/{}", token.file);
                let each = token.organizations.iter().cloned();
                each.map(|organization| OrganizationToken { organization, token_file: token_file.clone() })
                    .collect()
            };
            Auth::Exchange {
                token_type: token_type.clone(),
                tokens: tokens.iter().flat_map(of_each).collect(),
            }
        }
        Identity::Secret(_) => Auth::Token { token_file: TOKEN_FILE.to_owned() },
    }
}

/// In whole seconds, and never less than asked for.
fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs().saturating_add(u64::from(duration.subsec_nanos() > 0))
}

fn agent_mounts(directories: &[(String, String)], has_binary: bool, is_sidecar: bool) -> Vec<Json<'static>> {
    let mount =
        |name: Json<'static>, path: Json<'static>| Json::object([("name", name), ("mountPath", path)]);
    let read = |name: &'static str, path: &'static str| {
        Json::object([("name", name.into()), ("mountPath", path.into()), ("readOnly", true.into())])
    };
    let mut mounts = vec![read(TOKEN_VOLUME, TOKEN_DIR), read(NO_TOKEN_VOLUME, API_TOKEN_PATH)];
    mounts.extend(directories.iter().map(|(volume, path)| mount(volume.clone().into(), path.clone().into())));
    if is_sidecar {
        mounts.push(mount(STATE_VOLUME.into(), STATE_DIR.into()));
    }
    if has_binary {
        mounts.push(mount(BINARY_VOLUME.into(), BINARY_DIR.into()));
    }
    mounts
}

fn volumes(
    request: &Request,
    identity: &Identity,
    directories: &[(String, String)],
    has_binary: bool,
) -> Vec<(String, Json<'static>)> {
    let memory = |name: &str, size: &str| {
        let source = [("medium", "Memory".into()), ("sizeLimit", size.to_owned().into())];
        volume(name, "emptyDir", Json::object(source))
    };
    let size = request.volume_size.to_string();
    let token = match identity {
        Identity::Exchange { tokens, .. } => {
            let lifetime = if request.refresh.is_some() { SIDECAR_TOKEN_LIFETIME } else { TOKEN_LIFETIME };
            let source = |token: &ProjectedToken| {
                let token = Json::object([
                    ("audience", token.audience.clone().into()),
                    ("expirationSeconds", lifetime.into()),
                    ("path", token.file.clone().into()),
                ]);
                Json::object([("serviceAccountToken", token)])
            };
            let sources = tokens.iter().map(source).collect();
            volume(TOKEN_VOLUME, "projected", Json::object([("sources", sources)]))
        }
        Identity::Secret(TokenSecret { name, key }) => {
            let item = Json::object([("key", key.clone().into()), ("path", "token".into())]);
            let secret = [("secretName", name.clone().into()), ("items", [item].into())];
            volume(TOKEN_VOLUME, "secret", Json::object(secret))
        }
    };
    let mut volumes = vec![
        token,
        // Mounted read-only, so it stays empty; in memory, so that it does not keep the pod on its node.
        memory(NO_TOKEN_VOLUME, "64Ki"),
    ];
    volumes.extend(directories.iter().map(|(volume, _)| memory(volume, &size)));
    if request.refresh.is_some() {
        volumes.push(memory(STATE_VOLUME, &Quantity::mebibytes(STATE_SIZE).to_string()));
    }
    if has_binary {
        let source = Json::object([("sizeLimit", BINARY_VOLUME_SIZE.into())]);
        volumes.push(volume(BINARY_VOLUME, "emptyDir", source));
    }
    volumes
}

fn volume(name: &str, kind: &'static str, source: Json<'static>) -> (String, Json<'static>) {
    (name.to_owned(), Json::object([("name", name.to_owned().into()), (kind, source)]))
}

/// The fields that we set once and others may change afterwards. The security context passes Pod Security's
/// `restricted` on its own, whatever the pod says.
fn initial_fields(policy: &Policy, owner: Owner, resources: Option<Json<'static>>) -> Members<'static> {
    let mut security = Members::default();
    security.push("allowPrivilegeEscalation", false.into());
    security.push("capabilities", Json::object([("drop", ["ALL".into()].into())]));
    security.push("readOnlyRootFilesystem", true.into());
    security.push("runAsNonRoot", true.into());
    match owner {
        Owner::Inherited => {}
        Owner::Agent(uid) => {
            security.push("runAsUser", u64::from(uid).into());
            security.push("runAsGroup", u64::from(uid).into());
        }
        Owner::Receivers(uid) => {
            security.push("runAsUser", uid.into());
        }
    }
    security.push("seccompProfile", Json::object([("type", "RuntimeDefault".into())]));
    let mut fields = Members::default();
    fields.push("image", policy.agent_image.clone().into());
    if let Some(resources) = resources {
        fields.push("resources", resources);
    }
    fields.push("securityContext", security.into());
    fields
}
