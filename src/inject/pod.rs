//! A checked view of a pod's raw JSON: the few fields that decide what is injected.
//!
//! Raw, because a typed round trip drops what its types don't know. Anything of the wrong type is a [`Malformed`],
//! which names the field; a null is the same as an absent field, as the API server takes it.

use super::{
    document::Document,
    json::{Json, Members},
    names::is_our_volume,
};

/// A field has a type that no pod can have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    /// The field, as `spec.containers[0].name`.
    pub field: String,
    /// What should be there.
    pub expected: &'static str,
}

/// Most containers, and most init containers, of a pod that is injected: far more than a node starts. Work grows with
/// their square.
pub const MAX_CONTAINERS: usize = 512;

/// The API server's own limit for all annotations of an object, which it only checks after us.
const MAX_ANNOTATION_BYTES: usize = 256 * 1024;

type Checked<T> = Result<T, Malformed>;

/// The pod.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a field of the pod, and none depends on another")]
pub struct Pod<'a> {
    /// `metadata.annotations`.
    pub annotations: Vec<(&'a str, &'a str)>,
    /// `spec.initContainers`.
    pub init_containers: Vec<Container<'a>>,
    /// `spec.containers`.
    pub containers: Vec<Container<'a>>,
    /// Names of `spec.volumes`.
    pub volumes: Vec<&'a str>,
    /// `spec.securityContext.runAsUser`.
    pub run_as_user: Option<i64>,
    /// `spec.securityContext.fsGroup`.
    pub fs_group: Option<i64>,
    /// `spec.resources`: limits of the whole pod.
    pub has_pod_resources: bool,
    /// `spec.restartPolicy` is `Never`.
    pub never_restarts: bool,
    /// `spec.shareProcessNamespace`.
    pub shares_processes: bool,
    /// `spec.hostPID`.
    pub has_host_pid: bool,
    /// By `spec.os.name` or the node selector.
    pub is_windows: bool,
}

/// A container or init container.
#[derive(Debug, Clone)]
pub struct Container<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its command; none when it states none.
    pub command: Option<Vec<&'a str>>,
    /// Its arguments.
    pub arguments: Vec<&'a str>,
    /// Names and plain values of its own variables, in order; no value where it comes from elsewhere.
    pub env: Vec<(&'a str, Option<&'a str>)>,
    /// Whether it has further variables, which kubelet takes from a volume of ours.
    pub has_our_variables: bool,
    /// Its mounts.
    pub mounts: Vec<Mount<'a>>,
    /// Its own `runAsUser`.
    pub run_as_user: Option<i64>,
    /// An init container with `restartPolicy: Always`.
    pub is_native_sidecar: bool,
    /// Its `resources`.
    pub resources: Option<&'a Members<'a>>,
    /// The TCP ports that it says it listens on.
    pub ports: Vec<i64>,
    /// What another webhook put before an earlier wrapping of ours; never set by reading a pod.
    pub launcher: Option<Launcher<'a>>,
}

/// Another program that starts our wrapper, and with it the container's own command.
#[derive(Debug, Clone)]
pub struct Launcher<'a> {
    /// Which list of the container our wrapping stands in.
    pub list: WordList,
    /// The words before the wrapping in that list.
    pub before: Vec<&'a str>,
    /// What the wrapping starts: the words after its own arguments in that list.
    pub inner: Vec<&'a str>,
    /// Whether the wrapping was made for a container that stated no command.
    pub supplied: bool,
}

/// A container's lists of words, which make its command line together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WordList {
    /// `command`.
    Command,
    /// `args`.
    Arguments,
}

impl WordList {
    /// The field's name.
    pub fn field(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::Arguments => "args",
        }
    }
}

/// A volume mount.
#[derive(Debug, Clone, Copy)]
pub struct Mount<'a> {
    /// The volume.
    pub volume: &'a str,
    /// Where it appears.
    pub path: &'a str,
    /// Whether the container may not write to it.
    pub read_only: bool,
}

impl<'a> Pod<'a> {
    /// Reads the pod.
    pub fn read(pod: &'a Document<'a>) -> Checked<Self> {
        let pod = Object::of(pod.root()).map_err(|_| malformed("the object", "a pod"))?;
        let spec = pod.object("spec")?.ok_or_else(|| malformed("spec", "an object"))?;
        let annotations = match pod.object("metadata")? {
            Some(metadata) => annotations(metadata).map_err(|error| error.under("metadata"))?,
            None => Vec::new(),
        };
        Self::of_spec(spec, annotations).map_err(|error| error.under("spec"))
    }

    fn of_spec(spec: Object<'a>, annotations: Vec<(&'a str, &'a str)>) -> Checked<Self> {
        let security = spec.object("securityContext")?;
        let integer = |key| match security {
            Some(security) => security.integer(key).map_err(|error| error.under("securityContext")),
            None => Ok(None),
        };
        let names_windows = |object, key| match spec.object(object)? {
            Some(map) => {
                map.text(key).map(|name| name == Some("windows")).map_err(|error| error.under(object))
            }
            None => Ok(false),
        };
        Ok(Self {
            annotations,
            init_containers: containers(spec, "initContainers")?,
            containers: containers(spec, "containers")?,
            volumes: spec.each("volumes", |volume| Object::of(volume)?.required_text("name"))?,
            run_as_user: integer("runAsUser")?,
            fs_group: integer("fsGroup")?,
            has_pod_resources: spec.object("resources")?.is_some_and(|resources| !resources.0.is_empty()),
            never_restarts: spec.text("restartPolicy")? == Some("Never"),
            shares_processes: spec.boolean("shareProcessNamespace")?.unwrap_or(false),
            has_host_pid: spec.boolean("hostPID")?.unwrap_or(false),
            is_windows: names_windows("os", "name")? || names_windows("nodeSelector", "kubernetes.io/os")?,
        })
    }

    /// An annotation's value.
    pub fn annotation(&self, key: &str) -> Option<&'a str> {
        self.annotations.iter().find(|(known, _)| *known == key).map(|(_, value)| *value)
    }

    /// Init containers, then containers.
    pub fn all_containers(&self) -> impl Iterator<Item = &Container<'a>> {
        self.init_containers.iter().chain(&self.containers)
    }
}

fn containers<'a>(spec: Object<'a>, key: &str) -> Checked<Vec<Container<'a>>> {
    let count = spec.0.get(key).and_then(Json::as_list).map_or(0, <[_]>::len);
    if count > MAX_CONTAINERS {
        return Err(malformed(key, "at most 512 containers"));
    }
    spec.each(key, Container::read)
}

fn annotations(metadata: Object<'_>) -> Checked<Vec<(&str, &str)>> {
    let Some(annotations) = metadata.object("annotations")? else { return Ok(Vec::new()) };
    let entries = annotations.0.iter().map(|(key, value)| match value.as_str() {
        Some(value) => Ok((key, value)),
        None => Err(malformed(&format!("annotations[{key}]"), "text")),
    });
    let entries: Vec<_> = entries.collect::<Checked<_>>()?;
    if entries.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>() > MAX_ANNOTATION_BYTES {
        return Err(malformed("annotations", "at most 256 KiB"));
    }
    Ok(entries)
}

impl<'a> Container<'a> {
    fn read(container: &'a Json<'a>) -> Checked<Self> {
        let container = Object::of(container)?;
        let command: Vec<&str> = container.each("command", text)?;
        let env = container.each("env", variable)?;
        let has_our_variables = env.iter().any(Option::is_none);
        let env = env.into_iter().flatten().collect();
        let run_as_user = match container.object("securityContext")? {
            Some(security) => {
                security.integer("runAsUser").map_err(|error| error.under("securityContext"))?
            }
            None => None,
        };
        Ok(Self {
            name: container.required_text("name")?,
            command: Some(command).filter(|command| !command.is_empty()),
            arguments: container.each("args", text)?,
            env,
            has_our_variables,
            mounts: container.each("volumeMounts", Mount::read)?,
            run_as_user,
            is_native_sidecar: container.text("restartPolicy")? == Some("Always"),
            resources: container.object("resources")?.map(|resources| resources.0),
            ports: container.each("ports", tcp_port)?.into_iter().flatten().collect(),
            launcher: None,
        })
    }
}

impl<'a> Mount<'a> {
    fn read(mount: &'a Json<'a>) -> Checked<Self> {
        let mount = Object::of(mount)?;
        Ok(Self {
            volume: mount.required_text("name")?,
            path: mount.required_text("mountPath")?,
            read_only: mount.boolean("readOnly")?.unwrap_or(false),
        })
    }
}

/// A variable; none where it is one of an earlier injection.
fn variable<'a>(entry: &'a Json<'a>) -> Checked<Option<(&'a str, Option<&'a str>)>> {
    let entry = Object::of(entry)?;
    let from_elsewhere = entry.object("valueFrom")?;
    let is_ours = from_elsewhere.is_some_and(takes_from_us);
    let value = entry.text("value")?.unwrap_or_default();
    let name = entry.required_text("name")?;
    Ok((!is_ours).then_some((name, from_elsewhere.is_none().then_some(value))))
}

/// Whether kubelet takes a variable from a volume of ours: nobody else's may have such a name.
fn takes_from_us(source: Object<'_>) -> bool {
    let volume = source.0.get("fileKeyRef").and_then(|reference| reference.get("volumeName")?.as_str());
    volume.is_some_and(is_our_volume)
}

/// A port; none where it is not one of TCP.
fn tcp_port<'a>(port: &'a Json<'a>) -> Checked<Option<i64>> {
    let port = Object::of(port)?;
    let is_tcp = port.text("protocol")?.is_none_or(|protocol| protocol == "TCP");
    Ok(port.integer("containerPort")?.filter(|_| is_tcp))
}

fn text<'a>(value: &'a Json<'a>) -> Checked<&'a str> {
    value.as_str().ok_or_else(|| malformed("", "text"))
}

/// An object whose members are read by the type that they must have. Errors name the member; who calls puts what lies
/// above before it, so that a good pod costs no text.
#[derive(Clone, Copy)]
struct Object<'a>(&'a Members<'a>);

impl<'a> Object<'a> {
    fn of(value: &'a Json<'a>) -> Checked<Self> {
        value.as_object().map(Self).ok_or_else(|| malformed("", "an object"))
    }

    /// A member that may be absent; null is absent.
    fn member<T>(
        self,
        key: &str,
        expected: &'static str,
        read: impl FnOnce(&'a Json<'a>) -> Option<T>,
    ) -> Checked<Option<T>> {
        match self.0.get(key) {
            None | Some(Json::Null) => Ok(None),
            Some(value) => read(value).map(Some).ok_or_else(|| malformed(key, expected)),
        }
    }

    fn object(self, key: &str) -> Checked<Option<Self>> {
        self.member(key, "an object", |value| value.as_object().map(Self))
    }

    fn text(self, key: &str) -> Checked<Option<&'a str>> {
        self.member(key, "text", Json::as_str)
    }

    fn required_text(self, key: &str) -> Checked<&'a str> {
        self.text(key)?.ok_or_else(|| malformed(key, "text"))
    }

    fn integer(self, key: &str) -> Checked<Option<i64>> {
        self.member(key, "an integer", Json::as_i64)
    }

    fn boolean(self, key: &str) -> Checked<Option<bool>> {
        self.member(key, "true or false", Json::as_bool)
    }

    /// The elements of a list, each read.
    fn each<T>(self, key: &str, read: impl Fn(&'a Json<'a>) -> Checked<T>) -> Checked<Vec<T>> {
        let items = self.member(key, "a list", Json::as_list)?.into_iter().flatten();
        let read = |(index, item)| read(item).map_err(|error| error.under(&format!("{key}[{index}]")));
        items.enumerate().map(read).collect()
    }
}

impl Malformed {
    /// The same, seen from further up.
    fn under(self, above: &str) -> Self {
        let field = if self.field.is_empty() { above.to_owned() } else { format!("{above}.{}", self.field) };
        Self { field, ..self }
    }
}

fn malformed(field: &str, expected: &'static str) -> Malformed {
    Malformed { field: field.to_owned(), expected }
}
