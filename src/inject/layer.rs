//! One layer of settings: what a pod's annotations, its namespace's, or the operator's defaults say, typed.
//!
//! Layers don't know of each other. [`super::request`] lays them over one another.

use std::{collections::BTreeMap, time::Duration};

use super::{
    problem::{Problem, Warning},
    quantity::Quantity,
};
use crate::{
    agent::plan::{OnChange, OnFailure, Projections, Source},
    esc::{
        names::{FileName, VariableName},
        path::Path,
        reference::Reference,
        render::{Decode, Format},
        token_type::TokenType,
    },
};

/// What came out of reading one layer.
#[derive(Debug, Default)]
pub struct Read {
    /// What they say.
    pub layer: Layer,
    /// What can't be understood.
    pub problems: Vec<Problem>,
    /// Legal but worrying things.
    pub warnings: Vec<Warning>,
}

/// Everything one layer says. What it does not say is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Layer {
    /// Environments to open, in order.
    pub environments: Option<Vec<Reference>>,
    /// Variables by name.
    pub variables: BTreeMap<VariableName, Variable>,
    /// Files by name, with what is said of each of them.
    pub files: BTreeMap<FileName, File>,
    /// Which of ESC's projections to deliver.
    pub projections: Option<Projections>,
    /// Who receives.
    pub containers: Option<Vec<String>>,
    /// Commands by container.
    pub commands: BTreeMap<String, Vec<String>>,
    /// Where files appear.
    pub mount_path: Option<String>,
    /// What to do when ESC can't be reached.
    pub on_failure: Option<OnFailure>,
    /// Budget of the fetch.
    pub timeout: Option<Duration>,
    /// Agent before the pod's init containers.
    pub init_first: Option<bool>,
    /// Kind of access token.
    pub token_type: Option<TokenType>,
    /// Audience of the projected token.
    pub audience: Option<String>,
    /// Static token.
    pub token_secret: Option<TokenSecret>,
    /// ESC's address.
    pub api_url: Option<String>,
    /// Size of each memory volume.
    pub volume_size: Option<Quantity>,
    /// Resources of the agent: absent is the default, `None` leaves the field out.
    pub resources: BTreeMap<Resource, Option<Quantity>>,
    /// Log level of the agent.
    pub log_level: Option<String>,
    /// Whether it names a variable or file in a way that can't be read: defaults of who names nothing don't hold.
    pub names_unreadable: bool,
    /// How values are kept fresh.
    pub refresh: RefreshSettings,
    /// How variables arrive.
    pub env_mode: Option<EnvMode>,
}

/// What is asked of one variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// Where its value is.
    pub path: Path,
    /// How it is written.
    pub format: Option<Format>,
    /// What becomes of it without a value.
    pub absent: Absent,
    /// Who gets it; all receivers when none.
    pub containers: Option<Vec<String>>,
}

/// What is said of one file; the layers' parts unite.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct File {
    /// What it holds.
    pub source: Option<Source>,
    /// How it is written.
    pub format: Option<Format>,
    /// How it is decoded.
    pub decode: Option<Decode>,
    /// Its permission bits.
    pub mode: Option<u32>,
    /// What becomes of it without a value; belongs to the source.
    pub absent: Absent,
    /// Who gets it; all receivers when none. Belongs to the source.
    pub containers: Option<Vec<String>>,
}

/// What becomes of a destination whose property is absent, null or empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Absent {
    /// An absent property keeps the application from starting.
    #[default]
    Refused,
    /// There is no variable, or no file.
    LeftOut,
    /// This text stands in.
    Filled(String),
}

impl Absent {
    /// As the plan says it: `optional` and `default`.
    pub fn into_parts(self) -> (bool, Option<String>) {
        match self {
            Self::Refused => (false, None),
            Self::LeftOut => (true, None),
            Self::Filled(text) => (false, Some(text)),
        }
    }
}

impl File {
    /// Lays `over` on top.
    pub fn overlaid(self, over: Self) -> Self {
        let (below, above) = (self, over);
        let format = above.format.or(below.format);
        let decode = above.decode.or(below.decode);
        let mode = above.mode.or(below.mode);
        let whole = if above.source.is_some() { above } else { below };
        Self { format, decode, mode, ..whole }
    }
}

/// How variables arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EnvMode {
    /// The wrapper where a command is known, else kubelet where it can.
    #[default]
    Auto,
    /// The wrapper.
    Exec,
    /// Kubelet.
    Kubelet,
}

/// How values are kept fresh, as far as a layer says it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RefreshSettings {
    /// `refresh`.
    pub interval: Option<Duration>,
    /// `on-change`.
    pub on_change: Option<OnChange>,
    /// `restart-spread`.
    pub restart_spread: Option<Duration>,
    /// `metrics-port`.
    pub metrics_port: Option<u16>,
    /// `share-process-namespace`.
    pub share_processes: Option<bool>,
}

/// A key of a Secret in the pod's namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenSecret {
    /// The Secret.
    pub name: String,
    /// The key in it.
    pub key: String,
}

/// A resource field of the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resource {
    CpuRequest,
    CpuLimit,
    MemoryRequest,
    MemoryLimit,
    EphemeralStorageRequest,
    EphemeralStorageLimit,
}

impl RefreshSettings {
    /// Lays `over` on top.
    pub fn overlaid(self, over: Self) -> Self {
        let Self { interval, on_change, restart_spread, metrics_port, share_processes } = over;
        Self {
            interval: interval.or(self.interval),
            on_change: on_change.or(self.on_change),
            restart_spread: restart_spread.or(self.restart_spread),
            metrics_port: metrics_port.or(self.metrics_port),
            share_processes: share_processes.or(self.share_processes),
        }
    }

    /// Whether the pod's processes are to see one another.
    pub fn shares_processes(&self) -> bool {
        self.share_processes.unwrap_or(false)
    }
}

impl Layer {
    /// Lays `over` on top of this layer, per destination and per setting.
    pub fn overlaid(mut self, over: Self) -> Self {
        // Taken apart, so that a field added later can't be forgotten here.
        let Self {
            environments,
            variables,
            files,
            projections,
            containers,
            commands,
            mount_path,
            on_failure,
            timeout,
            init_first,
            token_type,
            audience,
            token_secret,
            api_url,
            volume_size,
            resources,
            log_level,
            names_unreadable,
            refresh,
            env_mode,
        } = over;
        self.variables.extend(variables);
        for (name, file) in files {
            let below = self.files.entry(name).or_default();
            *below = std::mem::take(below).overlaid(file);
        }
        self.commands.extend(commands);
        self.resources.extend(resources);
        Self {
            environments: environments.or(self.environments),
            variables: self.variables,
            files: self.files,
            projections: projections.or(self.projections),
            containers: containers.or(self.containers),
            commands: self.commands,
            mount_path: mount_path.or(self.mount_path),
            on_failure: on_failure.or(self.on_failure),
            timeout: timeout.or(self.timeout),
            init_first: init_first.or(self.init_first),
            token_type: token_type.or(self.token_type),
            audience: audience.or(self.audience),
            token_secret: token_secret.or(self.token_secret),
            api_url: api_url.or(self.api_url),
            volume_size: volume_size.or(self.volume_size),
            resources: self.resources,
            log_level: log_level.or(self.log_level),
            names_unreadable: names_unreadable || self.names_unreadable,
            refresh: self.refresh.overlaid(refresh),
            env_mode: env_mode.or(self.env_mode),
        }
    }
}
