//! Where a pod reads Secrets and mounts that would be ours to deliver.

use serde_json::Value;

use super::{
    bundle::{Kind, Names},
    object,
};

/// A container, by its list and its place there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// `containers` or `initContainers`.
    pub list: &'static str,
    /// Its place.
    pub index: usize,
    /// Its name.
    pub name: String,
}

/// One place where a pod reads from a bundle.
#[derive(Debug)]
pub struct Use {
    /// Whose.
    pub container: Container,
    /// The field below the pod's specification.
    pub field: String,
    /// What it reads.
    pub read: Read,
    /// Whether the container starts without it.
    pub is_optional: bool,
}

/// What a container reads.
#[derive(Debug)]
pub enum Read {
    /// A variable from one key.
    Variable {
        /// The bundle, by number.
        bundle: usize,
        /// The variable.
        name: String,
        /// The key.
        key: String,
    },
    /// A variable from every key.
    Variables {
        /// The bundle, by number.
        bundle: usize,
        /// What stands before each key.
        prefix: String,
    },
    /// Files.
    Files {
        /// The volume.
        volume: Volume,
        /// Where.
        mount_path: String,
        /// The one file of the volume that is mounted.
        sub_path: Option<String>,
    },
}

/// A volume of bundles.
#[derive(Debug, Clone)]
pub struct Volume {
    /// Its name.
    pub name: String,
    /// What it holds: bundle, and the keys with their files, or all.
    pub parts: Vec<(usize, Option<Vec<KeyFile>>)>,
    /// Mode of files that have none of their own.
    pub mode: Option<u64>,
}

/// A key that is mounted by another name.
#[derive(Debug, Clone)]
pub struct KeyFile {
    /// The key.
    pub key: String,
    /// The file.
    pub path: String,
    /// Its mode.
    pub mode: Option<u64>,
}

/// Something that needs a bundle's Secret, and that nobody can deliver otherwise.
#[derive(Debug)]
pub struct Bound {
    /// The bundle, by number.
    pub bundle: usize,
    /// The field below the pod's specification.
    pub field: String,
    /// Why.
    pub why: &'static str,
}

/// Everything that a pod reads from the bundles.
pub fn find(spec: &Value, namespace: &str, names: &Names) -> (Vec<Use>, Vec<Bound>) {
    let known = |kind: Kind, name: &str| names.find(kind, namespace, name).first().copied();
    let secret = |reference: Option<&Value>, key: &str| {
        known(Kind::Secret, object::text(reference?, &format!("/{key}"))?)
    };
    let mut bound = Vec::new();
    for (index, pull) in object::list(spec, "/imagePullSecrets").iter().enumerate() {
        if let Some(bundle) = secret(Some(pull), "name") {
            let why = "kubelet itself reads it, to pull images";
            bound.push(Bound { bundle, field: format!("imagePullSecrets[{index}]"), why });
        }
    }
    let mut volumes = Vec::new();
    for (index, volume) in object::list(spec, "/volumes").iter().enumerate() {
        match read_volume(volume, &known) {
            Ok(Some(volume)) => volumes.push(volume),
            Ok(None) => {}
            Err(bundle) => {
                let why = "the volume has other sources as well";
                bound.push(Bound { bundle, field: format!("volumes[{index}]"), why });
            }
        }
    }
    let mut uses = Vec::new();
    for list in ["initContainers", "containers"] {
        for (index, container) in object::list(spec, &format!("/{list}")).iter().enumerate() {
            let name = object::text(container, "/name").unwrap_or_default().to_owned();
            of_container(container, &Container { list, index, name }, &secret, &volumes, &mut uses);
        }
    }
    (uses, bound)
}

fn of_container(
    container: &Value,
    place: &Container,
    secret: &impl Fn(Option<&Value>, &str) -> Option<usize>,
    volumes: &[Volume],
    uses: &mut Vec<Use>,
) {
    let field = |list: &str, index: usize| format!("{}[{}].{list}[{index}]", place.list, place.index);
    let optional = |reference: Option<&Value>| {
        reference.and_then(|reference| reference.get("optional")) == Some(&Value::Bool(true))
    };
    for (index, variable) in object::list(container, "/env").iter().enumerate() {
        let reference = variable.pointer("/valueFrom/secretKeyRef");
        let key = reference.and_then(|reference| object::text(reference, "/key"));
        if let (Some(bundle), Some(key), Some(name)) =
            (secret(reference, "name"), key, object::text(variable, "/name"))
        {
            uses.push(Use {
                container: place.clone(),
                field: field("env", index),
                read: Read::Variable { bundle, name: name.to_owned(), key: key.to_owned() },
                is_optional: optional(reference),
            });
        }
    }
    // Of two the later wins, so it comes first here.
    for (index, source) in object::list(container, "/envFrom").iter().enumerate().rev() {
        let reference = source.get("secretRef");
        if let Some(bundle) = secret(reference, "name") {
            let prefix = object::text(source, "/prefix").unwrap_or_default().to_owned();
            uses.push(Use {
                container: place.clone(),
                field: field("envFrom", index),
                read: Read::Variables { bundle, prefix },
                is_optional: optional(reference),
            });
        }
    }
    for (index, mount) in object::list(container, "/volumeMounts").iter().enumerate() {
        let Some(volume) = volumes.iter().find(|volume| object::text(mount, "/name") == Some(&volume.name))
        else {
            continue;
        };
        let sub_path = object::text(mount, "/subPath").or_else(|| object::text(mount, "/subPathExpr"));
        uses.push(Use {
            container: place.clone(),
            field: field("volumeMounts", index),
            read: Read::Files {
                volume: volume.clone(),
                mount_path: object::text(mount, "/mountPath").unwrap_or_default().to_owned(),
                sub_path: sub_path.map(|path| path.trim_matches('/').to_owned()),
            },
            is_optional: false,
        });
    }
}

/// The driver that mounts classes.
const DRIVER: &str = "secrets-store.csi.k8s.io";

/// A volume of bundles; none if it holds none, an error with one of them if it holds something else as well.
fn read_volume(
    volume: &Value,
    known: &impl Fn(Kind, &str) -> Option<usize>,
) -> Result<Option<Volume>, usize> {
    let Some(name) = object::text(volume, "/name") else { return Ok(None) };
    let made = |parts, mode: Option<&Value>| {
        Some(Volume { name: name.to_owned(), parts, mode: mode.and_then(Value::as_u64) })
    };
    if let Some(secret) = volume.get("secret") {
        let bundle = object::text(secret, "/secretName").and_then(|name| known(Kind::Secret, name));
        return Ok(
            bundle.and_then(|bundle| made(vec![(bundle, key_files(secret))], secret.get("defaultMode")))
        );
    }
    if object::text(volume, "/csi/driver") == Some(DRIVER) {
        let class = object::text(volume, "/csi/volumeAttributes/secretProviderClass");
        let bundle = class.and_then(|name| known(Kind::Class, name));
        return Ok(bundle.and_then(|bundle| made(vec![(bundle, None)], None)));
    }
    let sources = object::list(volume, "/projected/sources");
    let bundle = |source: &Value| {
        let secret = source.get("secret")?;
        Some((known(Kind::Secret, object::text(secret, "/name")?)?, key_files(secret)))
    };
    let parts: Vec<_> = sources.iter().filter_map(bundle).collect();
    match parts.first() {
        None => Ok(None),
        Some((first, _)) if parts.len() < sources.len() => Err(*first),
        Some(_) => Ok(made(parts, volume.pointer("/projected/defaultMode"))),
    }
}

fn key_files(secret: &Value) -> Option<Vec<KeyFile>> {
    let items = secret.get("items")?.as_array()?;
    let file = |item: &Value| {
        Some(KeyFile {
            key: object::text(item, "/key")?.to_owned(),
            path: object::text(item, "/path")?.to_owned(),
            mode: item.get("mode").and_then(Value::as_u64),
        })
    };
    Some(items.iter().filter_map(file).collect())
}
