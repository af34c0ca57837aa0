//! Stands in for the kubelet: runs containers of a pod as processes of this machine.
//!
//! Every volume is a directory of a private place. A process can't be given mounts without root, so each container's
//! mount paths are rewritten to those directories wherever they stand: in its command, arguments, variables and plan.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use serde_json::Value;

use super::identity::{SigningError, TokenIssuer};
use crate::{agent::wrapper::Wrapping, inject::names, inject::references};

/// A pod with its volumes on this machine.
pub struct Node {
    pod: Value,
    root: PathBuf,
    /// This program, which is what the injected container's image holds.
    executable: PathBuf,
}

/// A container can't be run.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// A directory or file of a volume can't be made.
    #[error("making volume {volume}: {source}")]
    Volume {
        /// The volume.
        volume: String,
        /// Why.
        source: io::Error,
    },
    /// No token for the projected volume.
    #[error(transparent)]
    Token(#[from] SigningError),
    /// There is no such container.
    #[error("the pod has no container {0}")]
    NoContainer(String),
    /// The process can't be started.
    #[error("starting container {container}: {source}")]
    Start {
        /// The container.
        container: String,
        /// Why.
        source: io::Error,
    },
}

/// What is put into volumes that come from the cluster.
pub struct Cluster<'a> {
    /// Signs projected tokens.
    pub issuer: &'a TokenIssuer,
    /// The pod's namespace.
    pub namespace: &'a str,
    /// The pod's ServiceAccount.
    pub service_account: &'a str,
    /// What stands in every Secret: the demo has one token.
    pub secret: &'a str,
}

impl Node {
    /// Makes the pod's volumes.
    pub fn new(
        pod: Value,
        root: &Path,
        executable: PathBuf,
        cluster: &Cluster<'_>,
    ) -> Result<Self, NodeError> {
        let node = Self { pod, root: root.to_owned(), executable };
        for volume in node.list(&["spec", "volumes"]) {
            let Some(name) = volume.get("name").and_then(Value::as_str) else { continue };
            let failed = |source| NodeError::Volume { volume: name.to_owned(), source };
            let directory = node.volume(name);
            std::fs::create_dir_all(&directory).map_err(failed)?;
            for (file, content) in contents(volume, cluster)? {
                write_new(&directory.join(file), content.as_bytes()).map_err(failed)?;
            }
        }
        Ok(node)
    }

    fn list(&self, path: &[&str]) -> impl Iterator<Item = &Value> {
        let list = path.iter().try_fold(&self.pod, |value, key| value.get(key));
        list.and_then(Value::as_array).into_iter().flatten()
    }

    fn volume(&self, name: &str) -> PathBuf {
        self.root.join("volumes").join(name)
    }

    /// Names of the containers that the injected one serves, and of those which files are mounted where.
    pub fn container(&self, name: &str) -> Result<Container<'_>, NodeError> {
        let mut all = self.list(&["spec", "initContainers"]).chain(self.list(&["spec", "containers"]));
        let spec = all
            .find(|container| container.get("name").and_then(Value::as_str) == Some(name))
            .ok_or_else(|| NodeError::NoContainer(name.to_owned()))?;
        let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
        let mounts = spec.get("volumeMounts").and_then(Value::as_array).into_iter().flatten();
        let mut places: Vec<(String, PathBuf)> = mounts
            .filter_map(|mount| Some((text(mount, "mountPath")?, self.volume(&text(mount, "name")?))))
            .collect();
        if name == names::AGENT {
            // The agent tells containers where their files are: the same place for everybody here.
            let others = self.list(&["spec", "initContainers"]).chain(self.list(&["spec", "containers"]));
            let mounts = others.filter_map(|container| container.get("volumeMounts")?.as_array()).flatten();
            places.extend(mounts.filter_map(|mount| {
                let volume = text(mount, "name").filter(|volume| names::is_our_volume(volume))?;
                let path = text(mount, "mountPath").filter(|path| !path.starts_with("/esc/"))?;
                (path != names::API_TOKEN_PATH).then(|| (path, self.volume(&volume)))
            }));
            places.dedup();
        }
        // The longest first, so that a mount below another is found before it.
        places.sort_by_key(|(path, _)| std::cmp::Reverse(path.len()));
        Ok(Container { name: name.to_owned(), spec, places, node: self })
    }
}

/// What the cluster puts into a volume: file names and contents.
fn contents(volume: &Value, cluster: &Cluster<'_>) -> Result<Vec<(String, String)>, NodeError> {
    let mut files = Vec::new();
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
    let sources =
        volume.get("projected").and_then(|projected| projected.get("sources")).and_then(Value::as_array);
    for source in sources.into_iter().flatten() {
        if let Some(token) = source.get("serviceAccountToken") {
            let audience = text(token, "audience").unwrap_or_default();
            let token_text = cluster.issuer.token(cluster.namespace, cluster.service_account, &audience)?;
            files.push((text(token, "path").unwrap_or_default(), token_text));
        }
    }
    let items = volume.get("secret").and_then(|secret| secret.get("items")).and_then(Value::as_array);
    for item in items.into_iter().flatten() {
        files.push((text(item, "path").unwrap_or_default(), cluster.secret.to_owned()));
    }
    Ok(files)
}

/// Writes a file that is not there yet, for its owner alone.
pub fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    use std::{io::Write, os::unix::fs::OpenOptionsExt};
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(content)
}

/// A container of the pod, ready to run.
pub struct Container<'a> {
    name: String,
    spec: &'a Value,
    places: Vec<(String, PathBuf)>,
    node: &'a Node,
}

impl Container<'_> {
    /// Where a path of the container is on this machine.
    pub fn place(&self, path: &str) -> String {
        self.places.iter().fold(path.to_owned(), |text, (mount, place)| {
            replace_path(&text, mount, &place.display().to_string())
        })
    }

    /// A text of this machine as the container would have said it.
    pub fn unplace(&self, text: &str) -> String {
        self.places
            .iter()
            .fold(text.to_owned(), |text, (mount, place)| text.replace(&place.display().to_string(), mount))
    }

    fn texts(&self, key: &str) -> Vec<String> {
        let texts = self.spec.get(key).and_then(Value::as_array).into_iter().flatten();
        texts.filter_map(Value::as_str).map(str::to_owned).collect()
    }

    /// Its variables, expanded as kubelet would. Those that come from elsewhere in a cluster are left out.
    fn env(&self) -> BTreeMap<String, String> {
        let mut env = BTreeMap::new();
        for entry in self.spec.get("env").and_then(Value::as_array).into_iter().flatten() {
            let text = |key: &str| entry.get(key).and_then(Value::as_str);
            if let (Some(name), None) = (text("name"), entry.get("valueFrom")) {
                let value =
                    references::expand(text("value").unwrap_or_default(), |name| env.get(name).cloned());
                env.insert(name.to_owned(), self.place(&value));
            }
        }
        env
    }

    /// Names that it sets itself.
    pub fn own_names(&self) -> Vec<String> {
        let entries = self.spec.get("env").and_then(Value::as_array).into_iter().flatten();
        entries.filter_map(|entry| entry.get("name")?.as_str()).map(str::to_owned).collect()
    }

    /// What it wrote to its termination log, if anything.
    pub fn termination_message(&self) -> Option<String> {
        std::fs::read_to_string(self.termination_log()).ok()
    }

    fn termination_log(&self) -> PathBuf {
        self.node.root.join(format!("{}.termination-log", self.name))
    }

    /// Runs its own command and waits for it.
    pub fn run(&self) -> Result<Output, NodeError> {
        let mut words = self.texts("command");
        if words.is_empty() {
            // The image's entry point, which only we know: our own.
            words.push(self.node.executable.display().to_string());
        }
        words.extend(self.texts("args"));
        self.start(&words)
    }

    /// Runs `program` in place of its own command, through the wrapper where there is one.
    pub fn run_instead(&self, program: &[String]) -> Result<Output, NodeError> {
        let command = self.texts("command");
        let is_wrapped = command.first().is_some_and(|word| word == names::BINARY);
        let mut words: Vec<String> = Vec::new();
        if is_wrapped && let Ok((wrapping, _)) = Wrapping::parse(command.get(2..).unwrap_or_default()) {
            words.extend([names::BINARY.to_owned(), "exec".to_owned()]);
            // The replaced arguments are those of the command that does not run.
            words.extend(Wrapping { arguments: Vec::new(), ..wrapping }.to_arguments());
        }
        words.extend_from_slice(program);
        self.start(&words)
    }

    fn start(&self, words: &[String]) -> Result<Output, NodeError> {
        let env = self.env();
        let mut words =
            words.iter().map(|word| self.place(&references::expand(word, |name| env.get(name).cloned())));
        let failed = |source| NodeError::Start { container: self.name.clone(), source };
        let program = words.next().ok_or_else(|| failed(io::ErrorKind::InvalidInput.into()))?;
        let mut command = Command::new(program);
        command.args(words).env_clear().envs(&env).stdin(Stdio::null()).current_dir(&self.node.root);
        // What an image would bring.
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        command.env("ESC_INJECTOR_TERMINATION_LOG", self.termination_log());
        command.output().map_err(failed)
    }
}

/// Replaces `from` where it stands as a path: not inside a longer name.
fn replace_path(text: &str, from: &str, to: &str) -> String {
    let is_name = |character: char| character.is_alphanumeric() || matches!(character, '-' | '_' | '.');
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(from) {
        let (before, found) = rest.split_at(at);
        let after = found.get(from.len()..).unwrap_or_default();
        let inside = before.ends_with(|character| is_name(character) || character == '/')
            || after.starts_with(is_name);
        out.push_str(before);
        out.push_str(if inside { from } else { to });
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::replace_path;

    #[test]
    fn replaces_paths_and_nothing_that_looks_like_them() {
        for (text, expected) in [
            ("/esc/env", "X"),
            ("--env-dir=/esc/env", "--env-dir=X"),
            ("/esc/env/0", "X/0"),
            ("/esc/environment", "/esc/environment"),
            ("/opt/esc/env", "/opt/esc/env"),
            ("a /esc/env:/esc/env/b", "a X:X/b"),
        ] {
            assert_eq!(replace_path(text, "/esc/env", "X"), expected, "{text}");
        }
    }
}
