//! What the webhook tells the agent: a JSON document in the agent's environment. Pure data, no secrets.

use serde::{Deserialize, Serialize};

use crate::esc::{
    names::{FileName, VariableName},
    path::Path,
    reference::Reference,
    render::{Decode, Format},
    token_type::TokenType,
};

pub use super::{mesh::Mesh, signal::SignalName};

/// The agent's environment variable that carries its plan.
pub const VARIABLE: &str = "ESC_INJECTOR_PLAN";

/// The newest plan version this build writes, and the only one it reads.
pub const VERSION: u32 = 1;

/// Everything the agent does, decided at admission.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Plan {
    /// [`VERSION`] of the writer.
    pub version: u32,
    /// Where ESC is.
    pub api: Api,
    /// How the agent proves who the pod is.
    pub auth: Auth,
    /// What to open, in the order of folding. Never empty.
    pub environments: Vec<Reference>,
    /// Budget of the first fetch, in seconds.
    pub timeout_seconds: u64,
    /// What happens when ESC stays unreachable for the whole budget.
    #[serde(default)]
    pub on_failure: OnFailure,
    /// Directory to copy the agent's own binary into, for the exec wrapper.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binary_dir: Option<String>,
    /// The mesh whose proxy starts after the agent, and may be where its first connections are sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mesh: Option<Mesh>,
    /// Sets of files and variables, each with its own volumes. Never empty.
    pub views: Vec<View>,
    /// Keep the sets fresh; they are written once when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh: Option<Refresh>,
}

/// Where ESC is and how to get there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Api {
    /// Service root, without `/api/esc`.
    pub url: String,
    /// PEM certificates to trust for it, besides the public roots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
    /// Proxy for https.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub https_proxy: Option<String>,
    /// Hosts that bypass the proxy, as `NO_PROXY` lists them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_proxy: Option<String>,
}

/// How the agent authenticates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", rename_all_fields = "camelCase", tag = "kind")]
pub enum Auth {
    /// Exchange the pod's projected tokens (RFC 8693).
    Exchange {
        /// Kind of token to ask for.
        token_type: TokenType,
        /// One for each organization among the environments.
        tokens: Vec<OrganizationToken>,
    },
    /// A static access token.
    Token {
        /// The file that holds it.
        token_file: String,
    },
}

/// What proves the pod's identity to one organization.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct OrganizationToken {
    /// The ESC organization whose token is asked for (`audience` of the exchange).
    pub organization: String,
    /// The projected `ServiceAccount` token. Organizations share it where one audience was chosen for all.
    pub token_file: String,
}

/// What happens when ESC is unreachable, throttled or failing for the whole budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnFailure {
    /// Keep the application from starting.
    #[default]
    Block,
    /// Start it without, and leave a mark that says so.
    Start,
}

/// The files and variables that a group of containers gets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct View {
    /// The containers that mount this view.
    pub containers: Vec<String>,
    /// Where the containers see the files.
    pub mount_path: String,
    /// Where the agent writes the files; none when the view can have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files_dir: Option<String>,
    /// Where the agent writes the variables; none when the view can have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env_dir: Option<String>,
    /// Whether to write the variables for the exec wrapper.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub wrapper: bool,
    /// Whether to write the variables that are named as kubelet reads them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub kubelet: bool,
    /// Which of ESC's own projections to deliver as well.
    #[serde(default)]
    pub projections: Projections,
    /// Files by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileEntry>,
    /// Variables by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variables: Vec<VariableEntry>,
}

/// Which of ESC's own projections to deliver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Projections {
    /// `environmentVariables` and `files`.
    All,
    /// `environmentVariables`.
    Env,
    /// `files`.
    Files,
    /// Neither.
    #[default]
    None,
}

impl Projections {
    /// Whether `environmentVariables` is delivered.
    pub fn env(self) -> bool {
        matches!(self, Self::All | Self::Env)
    }

    /// Whether `files` is delivered.
    pub fn files(self) -> bool {
        matches!(self, Self::All | Self::Files)
    }
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "WrittenFile", into = "WrittenFile")]
pub struct FileEntry {
    /// Name below the mount path.
    pub name: FileName,
    /// What it holds.
    pub source: Source,
    /// How it is written; by name and shape when absent. A template's text is written as it is.
    pub format: Option<Format>,
    /// How its text is decoded first.
    pub decode: Option<Decode>,
    /// Permission bits; 0444 when absent.
    pub mode: Option<u32>,
    /// No file when the property is absent, null or empty, or the template's text is empty.
    pub optional: bool,
    /// What the file holds in that case.
    pub default: Option<String>,
}

/// What a file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A property.
    Path(Path),
    /// The text that this template renders.
    Template(String),
}

/// A file as the plan writes it: `path` or `template`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct WrittenFile {
    name: FileName,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path: Option<Path>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    template: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    format: Option<Format>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    decode: Option<Decode>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mode: Option<u32>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    optional: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    default: Option<String>,
}

impl TryFrom<WrittenFile> for FileEntry {
    type Error = String;

    fn try_from(file: WrittenFile) -> Result<Self, Self::Error> {
        let WrittenFile { name, path, template, format, decode, mode, optional, default } = file;
        let source = match (path, template) {
            (Some(path), None) => Source::Path(path),
            (None, Some(template)) => Source::Template(template),
            _ => return Err(format!("file `{name}` needs either a path or a template")),
        };
        Ok(Self { name, source, format, decode, mode, optional, default })
    }
}

impl From<FileEntry> for WrittenFile {
    fn from(file: FileEntry) -> Self {
        let FileEntry { name, source, format, decode, mode, optional, default } = file;
        let (path, template) = match source {
            Source::Path(path) => (Some(path), None),
            Source::Template(template) => (None, Some(template)),
        };
        Self { name, path, template, format, decode, mode, optional, default }
    }
}

/// One environment variable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct VariableEntry {
    /// Its name.
    pub name: VariableName,
    /// What it holds; an object or array arrives as compact JSON.
    pub path: Path,
    /// How it is written, where `config` says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// No variable when the property is absent, null or empty.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
    /// What the variable holds in that case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
}

/// How the sets are kept fresh.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Refresh {
    /// How long to wait before the environments are opened again, in seconds.
    pub interval_seconds: u64,
    /// What to do once a changed set is visible.
    #[serde(default)]
    pub on_change: OnChange,
    /// Longest random delay of [`OnChange::Restart`], in seconds.
    pub restart_spread_seconds: u64,
    /// Where metrics are served; nowhere when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics_port: Option<u16>,
    /// Where the agent keeps what a restart of its own must not forget.
    pub state_dir: String,
}

/// The exit code that restarts the pod's containers: none of those that the agent ends with for any other reason.
pub const RESTART_EXIT_CODE: u8 = 42;

/// What to do once a changed set is visible.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", rename_all_fields = "camelCase", tag = "kind")]
pub enum OnChange {
    /// Nothing: the application watches its files.
    #[default]
    None,
    /// POST to a URL, which the webhook has checked.
    Post {
        /// The URL.
        url: String,
    },
    /// Send a signal, within the pod's shared process namespace.
    Signal {
        /// The signal.
        signal: SignalName,
        /// Name of the process; the container's main process when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        process: Option<String>,
    },
    /// End with a status that makes kubelet restart the pod's containers.
    Restart {
        /// The status.
        exit_code: u8,
    },
}

impl Plan {
    /// The plan as it stands in the pod: JSON in which no `$` occurs, since kubelet expands `$(…)` and `$$` in
    /// variables. A `$` can only stand inside a JSON string, where its escape means the same.
    pub fn to_variable(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self).map(|json| json.replace('$', "\\u0024"))
    }

    /// Reads what [`Plan::to_variable`] wrote.
    pub fn from_variable(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }
}
