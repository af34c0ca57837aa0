//! The driver's `SecretProviderClass`es of Pulumi's provider: the files that each would mount, and the Secrets that it
//! would keep beside them.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    Options,
    bundle::{Bundle, Content, Identity, Item, Kind, Origin},
    input::Manifest,
    object,
    report::{At, Report, below},
    stores,
};
use crate::{
    esc::render::Format,
    yaml::{self, Dialect},
};

/// The driver's API group.
const GROUP: &str = "secrets-store.csi.x-k8s.io";

/// Where Pulumi's provider looks for the token in its Secret.
const TOKEN_KEY: &str = "pulumi-access-token";

const PARAMETERS: &str = "spec.parameters";

/// The mounts of Pulumi's provider, and their Secrets.
pub fn read(manifests: &[Manifest], options: &Options, report: &mut Report) -> Vec<Bundle> {
    let mut bundles = Vec::new();
    for (index, manifest) in manifests.iter().enumerate() {
        let object = &manifest.value;
        if object::kind_in(object, GROUP) != Some("SecretProviderClass")
            || object::text(object, "/spec/provider") != Some("pulumi")
        {
            continue;
        }
        let mut at = report.at(index);
        at.unknown(object.get("spec"), &["provider", "parameters", "secretObjects"], "spec");
        let (namespace, name) = object::namespaced(object, &options.namespace);
        let bundle = |kind, name, items, is_kept| Bundle {
            manifest: index,
            kind,
            name: (namespace.clone(), name),
            items,
            members: Vec::new(),
            // The driver renews mounts only where it was told to, which its objects don't say.
            refresh: None,
            is_used: false,
            is_kept,
        };
        let Some((files, is_whole)) = class(object, &mut at) else {
            bundles.push(bundle(Kind::Class, name, BTreeMap::new(), true));
            continue;
        };
        for (number, secret) in object::list(object, "/spec/secretObjects").iter().enumerate() {
            let field = format!("spec.secretObjects[{number}]");
            let Some(secret_name) = object::text(secret, "/secretName") else { continue };
            let (items, is_kept) = synced(secret, &files, &field, &mut at);
            bundles.push(bundle(Kind::Secret, secret_name.to_owned(), items, is_kept));
        }
        bundles.push(bundle(Kind::Class, name, files, !is_whole));
    }
    bundles
}

/// The files of a class, and whether these are all.
fn class(object: &Value, at: &mut At<'_>) -> Option<(BTreeMap<String, Item>, bool)> {
    let parameters = object.pointer("/spec/parameters")?;
    let known = [
        "apiUrl",
        "organization",
        "project",
        "environment",
        "authSecretName",
        "authSecretNamespace",
        "secrets",
    ];
    at.unknown(Some(parameters), &known, PARAMETERS);
    let (environment, api_url) = stores::environment(parameters, PARAMETERS, at)?;
    let Some(name) = object::text(parameters, "/authSecretName") else {
        at.left(PARAMETERS, "names no Secret with a token", "name it in authSecretName");
        return None;
    };
    let identity = Identity::Token {
        name: name.to_owned(),
        key: TOKEN_KEY.to_owned(),
        namespace: object::text(parameters, "/authSecretNamespace").map(str::to_owned),
    };
    let origin = Origin { environment, api_url, identity };
    let field = below(PARAMETERS, "secrets");
    let text = object::text(parameters, "/secrets").unwrap_or_default();
    let list = yaml::parse(text).and_then(|nodes| {
        nodes.first().map_or(Ok(Value::Null), |node| yaml::to_json(node, Dialect::Kubernetes))
    });
    let list = match list {
        Ok(Value::Array(list)) => list,
        Ok(_) => {
            at.left(&field, "is no list", "write a list of fileName and secretKey");
            return None;
        }
        Err(error) => {
            at.left(&field, format!("is no YAML: {error}"), "write a list of fileName and secretKey");
            return None;
        }
    };
    let (mut files, mut is_whole) = (BTreeMap::new(), true);
    for (number, entry) in list.iter().enumerate() {
        match file(entry, &origin) {
            Ok((name, item)) => {
                files.insert(name, item);
            }
            Err(why) => {
                is_whole = false;
                at.left(&field, format!("entry {}: {why}", number + 1), "write fileName and secretKey");
            }
        }
    }
    Some((files, is_whole))
}

fn file(entry: &Value, origin: &Origin) -> Result<(String, Item), String> {
    let key = object::text(entry, "/secretKey").ok_or("has no secretKey")?;
    let name = object::text(entry, "/fileName").ok_or("has no fileName")?;
    let path = key.parse().map_err(|error| format!("{error}"))?;
    let format = match object::text(entry, "/format") {
        None | Some("" | "plaintext") => None,
        Some("json") => Some(Format::Json),
        Some("yaml") => Some(Format::Yaml),
        Some(other) => return Err(format!("format `{other}` is not known")),
    };
    let item = Item { origin: origin.clone(), content: Content::Path(path), decode: None, format };
    Ok((name.trim_start_matches('/').to_owned(), item))
}

/// The keys of a Secret that the driver keeps beside a mount.
fn synced(
    secret: &Value,
    files: &BTreeMap<String, Item>,
    field: &str,
    at: &mut At<'_>,
) -> (BTreeMap<String, Item>, bool) {
    at.unknown(Some(secret), &["secretName", "type", "data", "labels", "annotations"], field);
    let mut is_kept = false;
    if let Some(kind) = object::text(secret, "/type").filter(|kind| kind.starts_with("kubernetes.io/docker"))
    {
        let what = format!("a Secret of type {kind} is read by Kubernetes itself, not by containers");
        at.left(&below(field, "type"), what, "keep the SecretProviderClass for this");
        is_kept = true;
    }
    let mut items = BTreeMap::new();
    for (number, entry) in object::list(secret, "/data").iter().enumerate() {
        let (name, key) = (object::text(entry, "/objectName"), object::text(entry, "/key"));
        match (name.and_then(|name| files.get(name)), key) {
            (Some(item), Some(key)) => {
                items.insert(key.to_owned(), item.clone());
            }
            _ => {
                let field = format!("{field}.data[{number}]");
                at.left(&field, "names no file of this class", "name a fileName in objectName");
                is_kept = true;
            }
        }
    }
    (items, is_kept)
}
