//! Every annotation key there is: one table for parsing, did-you-mean and the documentation.

use std::fmt;

/// The prefix of every annotation and label of ours.
pub const PREFIX: &str = "esc.pulumi.com/";

/// A key that stands alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each is described in DOCS")]
pub enum Key {
    Environment,
    Inject,
    Projections,
    Containers,
    MountPath,
    EnvMode,
    Refresh,
    OnChange,
    RestartSpread,
    MetricsPort,
    ShareProcessNamespace,
    OnFailure,
    Timeout,
    InitFirst,
    TokenType,
    ServiceAccountAudience,
    AccessTokenSecret,
    ApiUrl,
    Config,
    VolumeSize,
    AgentCpuRequest,
    AgentCpuLimit,
    AgentMemoryRequest,
    AgentMemoryLimit,
    AgentEphemeralStorageRequest,
    AgentEphemeralStorageLimit,
    LogLevel,
    Status,
    AllowedEnvironments,
}

/// The part of a key before a name that the user chooses: `env.` of `env.DATABASE_URL`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each is described in DOCS")]
pub enum Family {
    Env,
    File,
    Template,
    Format,
    Decode,
    Mode,
    Command,
}

/// A key of ours, parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parsed<'a> {
    /// A key that stands alone.
    Key(Key),
    /// A family and the user's name.
    Named(Family, &'a str),
}

/// How a key is documented.
#[derive(Debug)]
pub struct Doc {
    /// The key without the prefix, with a placeholder for a family's name.
    pub key: &'static str,
    /// Its values, and in brackets what holds without it.
    pub value: &'static str,
    /// What it does.
    pub meaning: &'static str,
}

macro_rules! keys {
    ($($key:ident $name:literal)+) => {
        impl Key {
            /// Every key.
            pub const ALL: &'static [Key] = &[$(Key::$key),+];

            /// The key without the prefix.
            pub fn name(self) -> &'static str {
                match self { $(Key::$key => $name),+ }
            }
        }
    };
}

keys! {
    Environment "environment"
    Inject "inject"
    Projections "projections"
    Containers "containers"
    MountPath "mount-path"
    EnvMode "env-mode"
    Refresh "refresh"
    OnChange "on-change"
    RestartSpread "restart-spread"
    MetricsPort "metrics-port"
    ShareProcessNamespace "share-process-namespace"
    OnFailure "on-failure"
    Timeout "timeout"
    InitFirst "init-first"
    TokenType "token-type"
    ServiceAccountAudience "service-account-audience"
    AccessTokenSecret "access-token-secret"
    ApiUrl "api-url"
    Config "config"
    VolumeSize "volume-size"
    AgentCpuRequest "agent-cpu-request"
    AgentCpuLimit "agent-cpu-limit"
    AgentMemoryRequest "agent-memory-request"
    AgentMemoryLimit "agent-memory-limit"
    AgentEphemeralStorageRequest "agent-ephemeral-storage-request"
    AgentEphemeralStorageLimit "agent-ephemeral-storage-limit"
    LogLevel "log-level"
    Status "status"
    AllowedEnvironments "allowed-environments"
}

impl Family {
    /// Every family.
    pub const ALL: &'static [Family] = &[
        Family::Env,
        Family::File,
        Family::Template,
        Family::Format,
        Family::Decode,
        Family::Mode,
        Family::Command,
    ];

    /// The family's name, without the dot.
    pub fn name(self) -> &'static str {
        match self {
            Self::Env => "env",
            Self::File => "file",
            Self::Template => "template",
            Self::Format => "format",
            Self::Decode => "decode",
            Self::Mode => "mode",
            Self::Command => "command",
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Reads a key without its prefix; an unknown one comes back with the nearest known key, if one is near.
pub fn parse(key: &str) -> Result<Parsed<'_>, Option<String>> {
    if let Some(known) = Key::ALL.iter().find(|known| known.name() == key) {
        return Ok(Parsed::Key(*known));
    }
    if let Some((family, name)) = key.split_once('.')
        && let Some(family) = Family::ALL.iter().find(|known| known.name() == family)
        && !name.is_empty()
    {
        return Ok(Parsed::Named(*family, name));
    }
    Err(nearest_key(key))
}

fn nearest_key(key: &str) -> Option<String> {
    if let Some((family, name)) = key.split_once('.') {
        let family = nearest(family, Family::ALL.iter().map(|known| known.name()))?;
        let name = if name.is_empty() { "NAME" } else { name };
        return Some(format!("{family}.{name}"));
    }
    let families = Family::ALL.iter().map(|family| family.name());
    let found = nearest(key, Key::ALL.iter().map(|known| known.name()).chain(families))?;
    let is_family = Family::ALL.iter().any(|family| family.name() == found);
    Some(if is_family { format!("{found}.NAME") } else { found.to_owned() })
}

/// The candidate nearest to `name`, if it is near enough to be what was meant.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    /// Longest name in Kubernetes: to compare longer texts takes time that a stranger could choose.
    const LONGEST: usize = 253;
    /// Who has more names than this to choose from gets no better hint.
    const MANY: usize = 512;
    if name.len() > LONGEST {
        return None;
    }
    let lower = name.to_ascii_lowercase().replace('_', "-");
    // A slip of the finger in every third letter is the most that still lets one guess.
    let near = (lower.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .take(MANY)
        // Names that differ that much in length can't be near, and this is quickly seen.
        .filter(|candidate| candidate.len().abs_diff(lower.len()) <= near)
        .map(|candidate| (strsim::damerau_levenshtein(&lower, &candidate.to_ascii_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= near)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

const fn doc(key: &'static str, value: &'static str, meaning: &'static str) -> Doc {
    Doc { key, value, meaning }
}

/// Every key as docs/annotations.md lists it.
pub const DOCS: &[Doc] = &[
    doc(
        "environment",
        "`organization/project/environment[@version]`, several separated by commas",
        "The ESC environment to open; of several, the later lie over the earlier. With nothing else said, its own `environmentVariables` and `files` are delivered.",
    ),
    doc("inject", "`\"true\"`, `\"false\"`", "Ask with the namespace's defaults alone; opt out."),
    doc("env.<VAR>", "property path", "Environment variable. An object or array arrives as compact JSON."),
    doc(
        "file.<name>",
        "property path, or `.` for the whole environment",
        "File below `mount-path`. No newline is added.",
    ),
    doc(
        "template.<name>",
        "template text",
        "File from a template in which `values` is the whole environment: `{{ values.db.url }}`.",
    ),
    doc(
        "format.<name>",
        "`raw`, `json`, `yaml`, `dotenv`, `properties` [objects and arrays by the name's extension, else json; scalars raw]",
        "How to write the file.",
    ),
    doc("decode.<name>", "`base64`", "Decode before writing, for binary files."),
    doc(
        "mode.<name>",
        "octal [`\"0444\"`]",
        "File mode. A mode that not everybody may read needs `fsGroup` or one known uid.",
    ),
    doc(
        "projections",
        "`all`, `env`, `files`, `none` [`all` when no variable or file is named, else `none`]",
        "Also deliver ESC's own `environmentVariables` and `files`.",
    ),
    doc(
        "containers",
        "names, comma-separated [all but the operator's excluded list]",
        "Which containers and init containers receive.",
    ),
    doc(
        "command.<container>",
        "JSON array",
        "The container's command, where the pod does not state one: what the wrapper starts.",
    ),
    doc("mount-path", "absolute path [`/run/secrets/esc`]", "Where files appear."),
    doc(
        "env-mode",
        "`auto`, `exec`, `kubelet` [`auto`]",
        "How variables arrive: through the wrapper, or from kubelet. `auto`: the wrapper where a command is known, else kubelet where it can.",
    ),
    doc(
        "refresh",
        "duration, at least the operator's minimum [off]",
        "Keep what was delivered fresh; the agent becomes a native sidecar. See [refresh.md](refresh.md).",
    ),
    doc(
        "on-change",
        "`none`, `restart`, `signal:SIGHUP[:process]`, `http://127.0.0.1:PORT/path` [`none`]",
        "What to do after a changed set is in place: nothing, restart all containers, signal a process, or POST to a URL. Needs `refresh`.",
    ),
    doc(
        "restart-spread",
        "duration [`5m`]",
        "Longest random delay of `on-change: restart`, so that replicas don't restart together.",
    ),
    doc("metrics-port", "port [off]", "Where the sidecar serves its metrics. Needs `refresh`."),
    doc(
        "share-process-namespace",
        "`\"true\"`, `\"false\"` [`\"false\"`]",
        "Let the pod's containers see each other's processes, as `on-change: signal:…` needs.",
    ),
    doc(
        "on-failure",
        "`block`, `start` [`block`]",
        "When ESC is unreachable, throttled or failing for the whole `timeout`: keep the application from starting, or start it without. A refusal always blocks.",
    ),
    doc("timeout", "duration [`2m`]", "Budget of the fetch."),
    doc(
        "init-first",
        "`\"true\"`, `\"false\"` [`\"true\"`]",
        "Agent before the pod's own init containers, or after them. What starts before the agent receives nothing.",
    ),
    doc(
        "token-type",
        "`organization`, `team:NAME`, `personal:LOGIN` [the operator's]",
        "What the pod's identity is exchanged for.",
    ),
    doc(
        "service-account-audience",
        "string, on the operator's allow-list [`urn:pulumi:org:ORG`]",
        "Audience of the pod's projected token.",
    ),
    doc(
        "access-token-secret",
        "`name` or `name/key` [key `accessToken`]",
        "A static token from a Secret of the pod's namespace, instead of the exchange. Only the agent mounts it.",
    ),
    doc(
        "api-url",
        "URL, on the operator's allow-list [the operator's]",
        "ESC's address, with or without `/api/esc`.",
    ),
    doc("config", "YAML", "Everything that does not fit an annotation: see below."),
    doc("volume-size", "quantity [`16Mi`]", "Size limit of each memory volume."),
    doc(
        "agent-cpu-request",
        "quantity or `\"\"` [`5m`]",
        "Resources of the agent; an empty value leaves the field out.",
    ),
    doc("agent-cpu-limit", "quantity or `\"\"` [none]", "As above."),
    doc("agent-memory-request", "quantity or `\"\"` [`32Mi`]", "As above."),
    doc(
        "agent-memory-limit",
        "quantity or `\"\"` [`64Mi`, and at least 32Mi plus all memory volumes]",
        "As above.",
    ),
    doc("agent-ephemeral-storage-request", "quantity or `\"\"` [none]", "As above."),
    doc("agent-ephemeral-storage-limit", "quantity or `\"\"` [none]", "As above."),
    doc("log-level", "`error`, `warn`, `info`, `debug`, `trace` [`info`]", "Log level of the agent."),
    doc("status", "written by the webhook", "`injected`. Never read."),
    doc(
        "allowed-environments",
        "patterns, comma-separated",
        "On a namespace only: what its pods may name. `*` does not cross `/`. A guard-rail for mistakes; the boundary is ESC's own policy.",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_documented_once() {
        let mut documented: Vec<_> =
            DOCS.iter().map(|doc| doc.key.split_once(".<").map_or(doc.key, |(family, _)| family)).collect();
        let mut known: Vec<_> = Key::ALL.iter().map(|key| key.name()).collect();
        known.extend(Family::ALL.iter().map(|family| family.name()));
        documented.sort_unstable();
        known.sort_unstable();
        assert_eq!(documented, known);
    }

    #[test]
    fn suggests_the_key_that_was_meant() {
        for (wrong, right) in [
            ("enviroment", Some("environment")),
            ("environments", Some("environment")),
            ("enviornment", Some("environment")),
            ("on_failure", Some("on-failure")),
            ("onFailure", Some("on-failure")),
            ("evn.DB_URL", Some("env.DB_URL")),
            ("files.ca.crt", Some("file.ca.crt")),
            ("env.", Some("env.NAME")),
            ("env", Some("env.NAME")),
            ("qqqq", None),
        ] {
            assert_eq!(parse(wrong), Err(right.map(str::to_owned)), "{wrong}");
        }
    }
}
