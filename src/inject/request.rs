//! Layers ▶ [`Request`]: what the pod asks for once defaults have spoken, checked against the operator's rules.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{
    Context,
    annotations::{self, Source},
    keys::{Key, PREFIX},
    layer::{File, Layer, Resource, TokenSecret},
    pod::Pod,
    policy::{AuthMode, Policy},
    problem::Problem,
    quantity::Quantity,
};
use crate::{
    agent::plan::{self, FileEntry, OnFailure, Projections, VariableEntry},
    codes::annotations as codes,
    esc::{names::FileName, pattern::Pattern, reference::Reference, token_type::TokenType},
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
    pub warnings: Vec<String>,
}

/// Where values come from.
#[derive(Debug, Clone)]
pub struct Origin {
    /// What to open.
    pub environment: Reference,
    /// How the agent proves who the pod is.
    pub identity: Identity,
    /// Service root of ESC.
    pub api_url: String,
}

/// What to deliver, and how: complete whatever was said, since all of it has defaults. So the pod can be judged by it
/// even where something else is wrong.
#[derive(Debug, Clone)]
pub struct Request {
    /// Variables by name.
    pub variables: Vec<VariableEntry>,
    /// Files by name.
    pub files: Vec<FileEntry>,
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
    /// Agent before the pod's init containers.
    pub init_first: bool,
    /// Size of each memory volume.
    pub volume_size: Quantity,
    /// Resources of the agent, where the pod says something.
    pub resources: BTreeMap<Resource, Option<Quantity>>,
    /// Log level of the agent.
    pub log_level: String,
}

/// How the agent proves who the pod is.
#[derive(Debug, Clone)]
pub enum Identity {
    /// By the pod's own token.
    Exchange {
        /// Audience of the projected token.
        audience: String,
        /// What it is exchanged for.
        token_type: TokenType,
    },
    /// By a static token.
    Secret(TokenSecret),
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
    below.files.retain(|name, file| file.path.is_some() || own.layer.files.contains_key(name));
    let mut problems = [operator.problems, namespace.problems, own.problems].concat();
    let warnings = [operator.warnings, namespace.warnings, own.warnings].concat();
    let (request, origin) = judge(below.overlaid(own.layer), context, &mut problems);
    Asked { request, origin, problems, warnings }
}

fn subject(key: Key) -> String {
    format!("{PREFIX}{key}")
}

/// What is asked for, and where from unless something without a default is missing. What is wrong goes to `problems`.
fn judge(layer: Layer, context: &Context<'_>, problems: &mut Vec<Problem>) -> (Request, Option<Origin>) {
    let policy = context.policy;
    for (key, _) in layer.not_yet.iter().filter(|(_, asked)| **asked) {
        problems.push(Problem::invalid(
            codes::NOT_YET,
            subject(*key),
            "comes with a later release; remove it",
        ));
    }
    let (files, orphans) = files(layer.files);
    problems.extend(orphans);
    let variables: Vec<_> = layer
        .variables
        .into_iter()
        .map(|(name, variable)| VariableEntry {
            name,
            path: variable.path,
            format: variable.format,
            optional: false,
            default: None,
        })
        .collect();
    let nothing_named = files.is_empty() && variables.is_empty() && !layer.names_unreadable;
    let projections =
        layer.projections.unwrap_or(if nothing_named { Projections::All } else { Projections::None });
    if nothing_named && projections == Projections::None {
        problems.push(Problem::invalid(
            codes::NOTHING,
            subject(Key::Projections),
            "is none, and no variable or file is named; name one, or remove it",
        ));
    }
    problems.extend(resources(&layer.resources));
    let api_url = api_url(layer.api_url, policy, problems);
    let environment = environment(layer.environments, context, problems);
    let organization = environment.as_ref().map(Reference::organization);
    let identity =
        identity(layer.token_secret, layer.audience, layer.token_type, (policy, organization), problems);
    let origin = match (environment, identity) {
        (Some(environment), Some(identity)) => Some(Origin { environment, identity, api_url }),
        _ => None,
    };
    let request = Request {
        variables,
        files,
        projections,
        containers: layer.containers,
        commands: layer.commands,
        mount_path: layer.mount_path.unwrap_or_else(|| DEFAULT_MOUNT_PATH.to_owned()),
        on_failure: layer.on_failure.unwrap_or_default(),
        timeout: layer.timeout.unwrap_or(DEFAULT_TIMEOUT),
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
        Problem::invalid(codes::VALUE, subject(request), format!("is more than {limit}"))
    })
    .collect()
}

fn files(files: BTreeMap<FileName, File>) -> (Vec<FileEntry>, Vec<Problem>) {
    let mut entries = Vec::new();
    let mut problems = Vec::new();
    let names: BTreeSet<String> =
        files.iter().filter(|(_, file)| file.path.is_some()).map(|(name, _)| name.to_string()).collect();
    for (name, file) in files {
        let Some(path) = file.path else {
            let family = match (file.format, file.decode) {
                (Some(_), _) => "format",
                (None, Some(_)) => "decode",
                (None, None) => "mode",
            };
            let near = super::keys::nearest(name.as_str(), names.iter().map(String::as_str));
            let hint = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
            let message = format!("there is no `file.{name}` to go with it{hint}");
            problems.push(Problem::invalid(codes::ORPHAN, format!("{PREFIX}{family}.{name}"), message));
            continue;
        };
        // A file can't be a directory as well: `a` and `a/b`.
        let directory = format!("{name}/");
        if let Some(below) =
            names.range(directory.clone()..).next().filter(|next| next.starts_with(&directory))
        {
            let message = format!("`{name}` can't be a file while `{below}` makes it a directory");
            problems.push(Problem::invalid(codes::FILE_NAME, format!("file {name}"), message));
        }
        entries.push(FileEntry {
            name,
            source: plan::Source::Path(path),
            format: file.format,
            decode: file.decode,
            mode: file.mode,
            optional: false,
            default: None,
        });
    }
    (entries, problems)
}

fn api_url(chosen: Option<String>, policy: &Policy, problems: &mut Vec<Problem>) -> String {
    let Some(url) = chosen else { return policy.api_url.clone() };
    if url != policy.api_url && !policy.allowed_api_urls.contains(&url) {
        let message = format!("`{url}` is not on the operator's list");
        problems.push(Problem::forbidden(codes::API_URL, subject(Key::ApiUrl), message));
    }
    url
}

fn environment(
    chosen: Option<Vec<Reference>>,
    context: &Context<'_>,
    problems: &mut Vec<Problem>,
) -> Option<Reference> {
    let subject = subject(Key::Environment);
    let mut references = chosen.unwrap_or_default();
    if let Some(patterns) = context.namespace_annotations.and_then(annotations::allowed_environments) {
        for reference in references.iter().filter(|reference| !allows(&patterns, reference)) {
            let message = format!(
                "`{reference}` is not among the allowed environments of namespace `{}`: {}",
                context.namespace,
                patterns.join(", ")
            );
            problems.push(Problem::forbidden(codes::ENVIRONMENT_NOT_ALLOWED, subject.as_str(), message));
        }
    }
    if references.len() > 1 {
        let message = "several environments come with a later release; import them in one ESC environment";
        problems.push(Problem::invalid(codes::NOT_YET, subject.as_str(), message));
    }
    if references.is_empty() {
        // A malformed name was reported where it was read.
        if problems.iter().all(|problem| problem.code != codes::REFERENCE) {
            let message =
                "is missing on the pod and on its namespace; write organization/project/environment";
            problems.push(Problem::invalid(codes::NO_ENVIRONMENT, subject, message));
        }
        return None;
    }
    Some(references.swap_remove(0))
}

/// Whether a pattern covers the reference. A version is ignored unless the pattern has one.
fn allows(patterns: &[&str], reference: &Reference) -> bool {
    let full = reference.to_string();
    let bare = full.split('@').next().unwrap_or(&full);
    patterns.iter().any(|pattern| {
        let text = if pattern.contains('@') { full.as_str() } else { bare };
        let (mut pattern, mut text) = (pattern.split('/'), text.split('/'));
        loop {
            match (pattern.next(), text.next()) {
                (None, None) => return true,
                (Some(pattern), Some(text)) if Pattern::new(pattern).matches(text) => {}
                _ => return false,
            }
        }
    })
}

fn identity(
    secret: Option<TokenSecret>,
    audience: Option<String>,
    token_type: Option<TokenType>,
    (policy, organization): (&Policy, Option<&str>),
    problems: &mut Vec<Problem>,
) -> Option<Identity> {
    if let Some(secret) = secret {
        return Some(Identity::Secret(secret));
    }
    if policy.auth == AuthMode::Token {
        let message = "is missing on the pod and on its namespace, and the operator chose static tokens";
        problems.push(Problem::invalid(codes::TOKEN_SECRET, subject(Key::AccessTokenSecret), message));
        return None;
    }
    let audience = match audience {
        Some(audience) => {
            let allowed = policy.audience.as_ref() == Some(&audience)
                || policy.allowed_audiences.iter().any(|pattern| Pattern::new(pattern).matches(&audience));
            if !allowed {
                let message = format!("`{audience}` is not on the operator's list");
                problems.push(Problem::forbidden(
                    codes::AUDIENCE,
                    subject(Key::ServiceAccountAudience),
                    message,
                ));
            }
            audience
        }
        None => match &policy.audience {
            Some(audience) => audience.clone(),
            None => format!("urn:pulumi:org:{}", organization?),
        },
    };
    Some(Identity::Exchange { audience, token_type: token_type.unwrap_or_else(|| policy.token_type.clone()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_does_not_cross_a_slash() {
        let reference = |text: &str| text.parse::<Reference>().expect("a reference");
        for (pattern, text, allowed) in [
            ("acme/shop/prod", "acme/shop/prod", true),
            ("acme/shop/prod", "acme/shop/prod@3", true),
            ("acme/shop/prod@3", "acme/shop/prod@3", true),
            ("acme/shop/prod@3", "acme/shop/prod", false),
            ("acme/shop/prod@3", "acme/shop/prod@4", false),
            ("acme/shop-*/*", "acme/shop-eu/prod", true),
            ("acme/shop-*/*", "acme/shop/prod", false),
            ("acme/*", "acme/shop/prod", false),
            ("*/*/prod", "acme/shop/prod", true),
            ("acme/s*p/p*d", "acme/shop/prod", true),
            ("acme/s*q/prod", "acme/shop/prod", false),
        ] {
            assert_eq!(allows(&[pattern], &reference(text)), allowed, "{pattern} on {text}");
        }
    }
}
