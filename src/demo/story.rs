//! The demo from beginning to end, told while it happens.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{
    apiserver::{self, AdmissionError, Admitted, Verdict},
    certificates::CertificateError,
    check::{self, CheckError, Received, Row},
    kubelet::{Cluster, Container, Node, NodeError},
    narrator::{HIDDEN, Narrator, milliseconds},
    services::{ServiceError, Services},
};
use crate::{
    agent::plan::{self, Auth, Plan, View},
    esc::value,
    inject::{keys::PREFIX, names},
};

/// What the demo is about.
pub struct Options {
    /// A manifest of the user's instead of the shop.
    pub manifest: Option<String>,
    /// This program.
    pub executable: PathBuf,
    /// A private directory.
    pub root: PathBuf,
    /// Log level of the agent, whose log then goes to standard error.
    pub agent_log_level: Option<String>,
}

/// Why the demo does not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// A server.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// A certificate.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The admission.
    #[error(transparent)]
    Admission(#[from] AdmissionError),
    /// The webhook said no.
    #[error("the webhook denied the pod:\n{0}")]
    Denied(String),
    /// The pod does not ask.
    #[error(
        "{0} asks for nothing: its pod needs the annotation esc.pulumi.com/environment, and no esc.pulumi.com/inject: \"false\""
    )]
    NotAsked(String),
    /// The patch does not apply.
    #[error("the webhook's patch does not apply: {0}")]
    Patch(#[from] json_patch::PatchError),
    /// A container.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// The agent failed.
    #[error("the agent failed: {0}")]
    Agent(String),
    /// The injected pod lacks a part.
    #[error("the injected pod has no {0}")]
    Missing(&'static str),
    /// The application.
    #[error("container {container} ended with {status}: {stderr}")]
    Application {
        /// The container.
        container: String,
        /// How.
        status: std::process::ExitStatus,
        /// What it said.
        stderr: String,
    },
    /// The stand-in for the application.
    #[error("container {0}: what it received can't be read")]
    Received(String),
    /// The source.
    #[error("reading the environment from the local ESC: {0}")]
    Source(String),
    /// What should have arrived.
    #[error(transparent)]
    Check(#[from] CheckError),
    /// Something did not arrive.
    #[error("{0} of the values above did not arrive as they stand in ESC")]
    Mismatch(usize),
    /// Standard output.
    #[error("writing to standard output: {0}")]
    Output(#[from] io::Error),
}

/// The shop's manifest.
const SHOP: &str = include_str!("../../deploy/examples/shop.yaml");

/// Tells the story; the servers are still running when it ends well.
pub async fn tell(out: &mut dyn Write, options: &Options) -> Result<Services, DemoError> {
    let mut narrator = Narrator::new(out);
    let begun = Instant::now();
    let services = Services::start(&options.root, options.agent_log_level.as_deref()).await?;
    narrator.step("Two servers, on this machine only", Some(begun.elapsed()))?;
    narrator.line(&format!("local ESC with acme/shop/base and acme/shop/prod  {}", services.esc_url))?;
    narrator.line(&format!(
        "webhook, as in a cluster                           https://{}/mutate",
        services.webhook
    ))?;

    let admitted = apiserver::pod_of(options.manifest.as_deref().unwrap_or(SHOP))?;
    narrator.step(&format!("{} asks, with annotations on its pod", admitted.origin), None)?;
    for (key, value) in asked(&admitted.pod) {
        narrator.line(&format!("{key}: {value}"))?;
    }

    let sent = Instant::now();
    let verdict = apiserver::admit(&admitted, services.webhook, services.authority.client_config()?).await?;
    let admission = sent.elapsed();
    let patch = match verdict {
        Verdict::Denied(message) => return Err(DemoError::Denied(message)),
        Verdict::Allowed { patch, .. } if patch.0.is_empty() => {
            return Err(DemoError::NotAsked(admitted.origin));
        }
        Verdict::Allowed { patch, warnings } => {
            narrator.step(&format!("The webhook answers with {} changes", patch.0.len()), Some(admission))?;
            for warning in warnings {
                narrator.line(&format!("warning: {warning}"))?;
            }
            patch
        }
    };
    narrator.patch(&patch)?;
    let mut pod = admitted.pod.clone();
    json_patch::patch(&mut pod, &patch)?;

    let cluster = Cluster {
        issuer: &services.issuer,
        namespace: &admitted.namespace,
        service_account: &admitted.service_account,
        secret: &services.token,
    };
    let node = Node::new(pod.clone(), &options.root, options.executable.clone(), &cluster)?;
    let plan = plan_of(&pod)?;
    let agent = run_agent(&mut narrator, &node, &admitted, &plan, options)?;

    let environment = source(&services, &plan).await?;
    let (rows, starts) = run_application(&mut narrator, &node, &plan, &environment, options)?;
    let missing = rows.iter().filter(|row| !row.arrived).count();
    if missing > 0 {
        return Err(DemoError::Mismatch(missing));
    }
    let (files, variables): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row.is_file);
    let what =
        format!("All {} variables and {} files arrived as they stand in ESC", variables.len(), files.len());
    let times = format!(
        "admission {}, agent {}, wrapper and application {}",
        milliseconds(admission),
        milliseconds(agent),
        milliseconds(starts)
    );
    narrator.end(&what, &times)?;
    Ok(services)
}

fn asked(pod: &Value) -> Vec<(&str, &str)> {
    let annotations =
        pod.get("metadata").and_then(|metadata| metadata.get("annotations")).and_then(Value::as_object);
    let annotations = annotations.into_iter().flatten();
    annotations
        .filter(|(key, _)| key.starts_with(PREFIX))
        .filter_map(|(key, value)| Some((key.as_str(), value.as_str()?.lines().next()?)))
        .collect()
}

fn run_agent(
    narrator: &mut Narrator<'_>,
    node: &Node,
    admitted: &Admitted,
    plan: &Plan,
    options: &Options,
) -> Result<Duration, DemoError> {
    let container = node.container(names::AGENT)?;
    let begun = Instant::now();
    let output = tokio::task::block_in_place(|| container.run())?;
    let took = begun.elapsed();
    if options.agent_log_level.is_some() {
        io::stderr().write_all(&output.stderr)?;
    }
    if !output.status.success() {
        let told = container.termination_message().filter(|message| !message.is_empty());
        let told = told.unwrap_or_else(|| String::from_utf8_lossy(&output.stderr).trim().to_owned());
        return Err(DemoError::Agent(container.unplace(&told)));
    }
    narrator.step("esc-agent runs before the application", Some(took))?;
    match plan.auth {
        Auth::Exchange { .. } => {
            let (namespace, account) = (&admitted.namespace, &admitted.service_account);
            narrator
                .line(&format!("it proved that the pod is system:serviceaccount:{namespace}:{account},"))?;
        }
        Auth::Token { .. } => {
            narrator.line("it showed the access token of the Secret that the pod names,")?;
        }
    }
    narrator.line("opened the environment once, and wrote everything to memory volumes")?;
    Ok(took)
}

fn plan_of(pod: &Value) -> Result<Plan, DemoError> {
    let containers = pod.get("spec").and_then(|spec| spec.get("initContainers")).and_then(Value::as_array);
    let entries =
        containers.into_iter().flatten().filter_map(|container| container.get("env")?.as_array()).flatten();
    let text = entries
        .filter(|entry| entry.get("name").and_then(Value::as_str) == Some(plan::VARIABLE))
        .find_map(|entry| entry.get("value")?.as_str());
    text.and_then(|text| Plan::from_variable(text).ok()).ok_or(DemoError::Missing("plan"))
}

/// The environment as the local ESC tells it to a person with a token, past all that is being shown.
async fn source(services: &Services, plan: &Plan) -> Result<value::Value, DemoError> {
    let failed = |error: &dyn std::error::Error| DemoError::Source(error.to_string());
    let reference = plan.environments.first().ok_or(DemoError::Missing("environment"))?;
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(services.authority.client_config()?)
        .no_proxy()
        .build()
        .map_err(|error| failed(&error))?;
    let version = reference.version().map_or_else(String::new, |version| format!("/versions/{version}"));
    let name = format!("{}/{}/{}", reference.organization(), reference.project(), reference.environment());
    let base = format!("{}/api/esc/environments/{name}", services.esc_url);
    let token = format!("token {}", services.token);
    let send = |request: reqwest::RequestBuilder| async {
        request.header("Authorization", &token).send().await?.error_for_status()?.bytes().await
    };
    let opened = send(client.post(format!("{base}{version}/open"))).await.map_err(|error| failed(&error))?;
    let opened: Value = serde_json::from_slice(&opened).map_err(|error| failed(&error))?;
    let id = opened.get("id").and_then(Value::as_str).unwrap_or_default();
    let body = send(client.get(format!("{base}/open/{id}"))).await.map_err(|error| failed(&error))?;
    value::Value::from_environment(&body).map_err(|error| failed(&error))
}

fn run_application(
    narrator: &mut Narrator<'_>,
    node: &Node,
    plan: &Plan,
    environment: &value::Value,
    options: &Options,
) -> Result<(Vec<Row>, Duration), DemoError> {
    let secrets = check::secrets(environment);
    let mut all = Vec::new();
    let mut took = Duration::ZERO;
    for view in &plan.views {
        for name in &view.containers {
            let container = node.container(name)?;
            // Of a manifest that we don't know, nothing is run on this machine but the stand-in.
            if options.manifest.is_none() {
                let begun = Instant::now();
                let output = tokio::task::block_in_place(|| container.run())?;
                took += begun.elapsed();
                narrator.step(&format!("Container {name} starts and prints"), Some(begun.elapsed()))?;
                // As a whole: a secret may have several lines.
                let printed = hide(&container.unplace(&String::from_utf8_lossy(&output.stdout)), &secrets);
                for line in printed.lines() {
                    narrator.line(line)?;
                }
                if !output.status.success() {
                    return Err(application_failed(name, &output, &secrets));
                }
            }
            let begun = Instant::now();
            let received = receive(&container, name, view, &options.executable, &secrets)?;
            if options.manifest.is_some() {
                took += begun.elapsed();
            }
            let place = container.place(&view.mount_path);
            let rows = check::compare(environment, view, (&container.own_names(), &place), &received)?;
            narrator.step(&format!("What container {name} received, compared with ESC"), None)?;
            narrator.rows(&rows)?;
            all.extend(rows);
        }
    }
    Ok((all, took))
}

fn hide(text: &str, secrets: &[String]) -> String {
    secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret, HIDDEN))
}

fn application_failed(name: &str, output: &std::process::Output, secrets: &[String]) -> DemoError {
    let stderr = hide(String::from_utf8_lossy(&output.stderr).trim(), secrets);
    DemoError::Application { container: name.to_owned(), status: output.status, stderr }
}

/// Starts this program in the application's place, to report what it finds.
fn receive(
    container: &Container<'_>,
    name: &str,
    view: &View,
    executable: &Path,
    secrets: &[String],
) -> Result<Received, DemoError> {
    let program = [
        executable.display().to_string(),
        "demo".to_owned(),
        "--received".to_owned(),
        view.mount_path.clone(),
    ];
    let output = tokio::task::block_in_place(|| container.run_instead(&program))?;
    if !output.status.success() {
        return Err(application_failed(name, &output, secrets));
    }
    serde_json::from_slice(&output.stdout).map_err(|_| DemoError::Received(name.to_owned()))
}
