//! A delivery as annotations: one by one where they are simple, else in the structured form.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{
    Document, Options,
    bundle::{Bundle, Content, Kind},
    delivery::{Access, Delivery, Entry},
    object,
    report::Report,
    stores::Store,
};
use crate::{
    esc::{duration, names::VariableName, render::Format},
    inject::keys::{Family, Key, PREFIX},
    yaml,
};

/// Longest part of an annotation's key after the slash.
const LONGEST_KEY: usize = 63;

/// The key where nobody names one for the static token.
const TOKEN_KEY: &str = "accessToken";

/// More annotations than this read better in one.
const MANY: usize = 12;

/// The annotations of a delivery. `everyone` says whether all that would receive by default do.
pub fn of(delivery: &Delivery, everyone: bool) -> Map<String, Value> {
    let mut out = Map::new();
    let mut say = |key: String, value: String| {
        out.insert(format!("{PREFIX}{key}"), Value::String(value));
    };
    let environments: Vec<_> = delivery.environments.iter().map(ToString::to_string).collect();
    say(Key::Environment.to_string(), environments.join(", "));
    for (key, value) in access(delivery.access.as_ref()) {
        say(key.to_string(), value);
    }
    let receivers = delivery.receivers();
    if !everyone {
        let names: Vec<_> = receivers.iter().copied().collect();
        say(Key::Containers.to_string(), names.join(", "));
    }
    if let Some(path) = &delivery.mount_path {
        say(Key::MountPath.to_string(), path.clone());
    }
    if let Some(interval) = delivery.refresh {
        say(Key::Refresh.to_string(), duration::format(interval));
    }
    if !delivery.projected.is_empty() {
        say(Key::Projections.to_string(), "env".to_owned());
    }
    let simple = simple(delivery, &receivers);
    match simple {
        Some(entries) => entries.into_iter().for_each(|(key, value)| say(key, value)),
        None => say(Key::Config.to_string(), yaml::emit(&config(delivery, &receivers))),
    }
    out
}

fn access(access: Option<&Access>) -> Vec<(Key, String)> {
    let mut out = Vec::new();
    let Some(access) = access else { return out };
    if let Some(url) = &access.api_url {
        out.push((Key::ApiUrl, url.clone()));
    }
    if let Some((name, key)) = &access.token {
        let value = if key == TOKEN_KEY { name.clone() } else { format!("{name}/{key}") };
        out.push((Key::AccessTokenSecret, value));
    }
    if let Some(audience) = &access.audience {
        out.push((Key::ServiceAccountAudience, audience.clone()));
    }
    out
}

/// One annotation for each entry; none where an entry says more than an annotation can.
fn simple(delivery: &Delivery, receivers: &BTreeSet<&str>) -> Option<Vec<(String, String)>> {
    if delivery.variables.len() + delivery.files.len() > MANY {
        return None;
    }
    let mut out = Vec::new();
    let is_plain = |entry: &Entry| !entry.is_optional && entry.containers.len() == receivers.len();
    for (name, entry) in &delivery.variables {
        let Content::Path(path) = &entry.item.content else { return None };
        if !is_plain(entry) || entry.item.format.is_some() {
            return None;
        }
        out.push((annotation(Family::Env, name)?, path.to_string()));
    }
    for (name, entry) in &delivery.files {
        if !is_plain(entry) {
            return None;
        }
        match &entry.item.content {
            Content::Path(path) => out.push((annotation(Family::File, name)?, path.to_string())),
            Content::Template(text) => out.push((annotation(Family::Template, name)?, text.clone())),
        }
        if let Some(format) = entry.item.format {
            out.push((annotation(Family::Format, name)?, word(format).to_owned()));
        }
        if entry.item.decode.is_some() {
            out.push((annotation(Family::Decode, name)?, "base64".to_owned()));
        }
        if let Some(mode) = entry.mode {
            out.push((annotation(Family::Mode, name)?, format!("{mode:04o}")));
        }
    }
    Some(out)
}

/// The key of an entry, if the API server would take it.
fn annotation(family: Family, name: &str) -> Option<String> {
    let key = format!("{family}.{name}");
    let is_legal = key.len() <= LONGEST_KEY
        && key.ends_with(|c: char| c.is_ascii_alphanumeric())
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    is_legal.then_some(key)
}

fn word(format: Format) -> &'static str {
    match format {
        Format::Raw => "raw",
        Format::Json => "json",
        Format::Yaml => "yaml",
        Format::Dotenv => "dotenv",
        Format::Properties => "properties",
    }
}

fn config(delivery: &Delivery, receivers: &BTreeSet<&str>) -> Value {
    let mut top = Map::new();
    for (key, entries) in [("env", &delivery.variables), ("files", &delivery.files)] {
        let entries: Map<_, _> =
            entries.iter().map(|(name, entry)| (name.clone(), long(entry, receivers))).collect();
        if !entries.is_empty() {
            top.insert(key.to_owned(), Value::Object(entries));
        }
    }
    Value::Object(top)
}

fn long(entry: &Entry, receivers: &BTreeSet<&str>) -> Value {
    let mut out = Map::new();
    match &entry.item.content {
        Content::Path(path) => out.insert("path".to_owned(), json!(path.as_str())),
        Content::Template(text) => out.insert("template".to_owned(), json!(text)),
    };
    if let Some(format) = entry.item.format {
        out.insert("format".to_owned(), json!(word(format)));
    }
    if entry.item.decode.is_some() {
        out.insert("decode".to_owned(), json!("base64"));
    }
    if let Some(mode) = entry.mode {
        out.insert("mode".to_owned(), json!(format!("{mode:04o}")));
    }
    if entry.containers.len() < receivers.len() {
        out.insert("containers".to_owned(), json!(entry.containers));
    }
    if entry.is_optional {
        out.insert("optional".to_owned(), json!(true));
    }
    match (out.len(), out.get("path")) {
        (1, Some(path)) => path.clone(),
        _ => Value::Object(out),
    }
}

fn document(comment: String, annotations: &Map<String, Value>) -> Document {
    Document { comment, value: json!({"metadata": {"annotations": annotations}}), text: None }
}

/// What pods elsewhere need that use this bundle: nobody here does.
pub fn to_paste(bundle: &Bundle, options: &Options, report: &mut Report) -> Option<Document> {
    let (namespace, name) = &bundle.name;
    let mut at = report.at(bundle.manifest);
    if !bundle.is_closed() {
        at.left("spec.dataFrom", "which keys there are, only the environment knows", how_to_name(bundle));
        return None;
    }
    let mut delivery = Delivery::default();
    for (key, item) in &bundle.items {
        let entry = Entry { item: item.clone(), containers: BTreeSet::new(), is_optional: false, mode: None };
        // By custom, what is written in capitals is a variable.
        let is_variable = bundle.kind == Kind::Secret
            && !key.contains(|c: char| c.is_ascii_lowercase())
            && key.parse::<VariableName>().is_ok();
        let admitted = if is_variable && delivery.admits_variable(key, &entry, namespace).is_ok() {
            delivery.add_variable(key, entry, namespace);
            Ok(())
        } else {
            let admitted = delivery.admits_file(key, &entry, namespace);
            if admitted.is_ok() {
                delivery.add_file(key, entry, namespace);
            }
            admitted
        };
        if let Err(why) = admitted {
            at.left("", format!("key {key}: {why}"), "deliver it to another pod, or by another name");
        }
    }
    if delivery.is_empty() {
        return None;
    }
    told_identity(bundle, None, options, report);
    let what = match bundle.kind {
        Kind::Secret => "read Secret",
        Kind::Class => "mount SecretProviderClass",
    };
    let comment = format!(
        "For the pods of namespace {namespace} that {what} {name}: paste the annotations, and take the references out.\n\
         Keys in capitals are variables here, others files below /run/secrets/esc: change that as the pods need it.",
    );
    Some(document(comment, &of(&delivery, true)))
}

/// How to find out what the manifests don't say.
pub fn how_to_name(bundle: &Bundle) -> String {
    let (namespace, name) = &bundle.name;
    format!(
        "name the keys: --keys {name}=KEY,KEY; while the Secret exists, `kubectl -n {namespace} get secret {name} -o go-template='{{{{range $key, $_ := .data}}}}{{{{$key}}}},{{{{end}}}}'` lists them"
    )
}

/// What to know about who asks from now on. `account` is the pods' own.
pub fn told_identity(bundle: &Bundle, account: Option<&str>, options: &Options, report: &mut Report) {
    use super::bundle::Identity;
    let namespace = if bundle.name.0.is_empty() { &options.namespace } else { &bundle.name.0 };
    let mut at = report.at(bundle.manifest);
    let pods = format!("system:serviceaccount:{namespace}:{}", account.unwrap_or("<the pods' own>"));
    let origins = bundle.items.values().map(|item| &item.origin);
    for origin in origins.chain(bundle.members.iter().map(|members| &members.origin)) {
        match &origin.identity {
            Identity::Token { name, namespace: Some(other), .. } if other != namespace => at.left(
                "",
                format!("its token is in Secret {other}/{name}, which pods of namespace {namespace} can't mount"),
                format!("let Pulumi accept {pods}, as the annotations now expect, or copy the Secret and name it in esc.pulumi.com/access-token-secret"),
            ),
            Identity::Token { .. } => at.note(
                "",
                "pods use the static token, as the operator and the driver did",
                "take esc.pulumi.com/access-token-secret out once Pulumi accepts the pods' ServiceAccount",
            ),
            Identity::Account { name, namespace: own, .. } => {
                let own = own.as_ref().unwrap_or(namespace);
                let before = format!("system:serviceaccount:{own}:{name}");
                if before != pods {
                    let what = format!("pods sign in as {pods}; it was {before}");
                    at.note("", what, "let Pulumi's policy accept the subject");
                }
            }
        }
    }
}

/// What pods need that use this store's environment: nothing else uses it.
pub fn of_store(store: &Store, options: &Options) -> Option<Document> {
    let origin = store.origin.as_ref()?;
    let (kind, namespace, name) = &store.name;
    let own = namespace.as_ref().unwrap_or(&options.namespace);
    let delivery = Delivery {
        environments: vec![origin.environment.clone()],
        access: Some(Access::of(origin, own)),
        ..Delivery::default()
    };
    let comment = format!("For pods that use {kind} {name}: all that the environment projects.");
    Some(document(comment, &of(&delivery, true)))
}

/// Whether the pod has annotations of ours already.
pub fn asks(template: &Value) -> bool {
    let annotations = template.pointer("/metadata/annotations").and_then(Value::as_object);
    annotations.is_some_and(|map| map.keys().any(|key| key.starts_with(PREFIX)))
}

/// Whether a Namespace object says that its pods are injected.
pub fn is_labelled(namespace: &Value) -> bool {
    if object::text(namespace, "/kind") != Some("Namespace") {
        return false;
    }
    let label = object::text(namespace, "/metadata/labels/esc.pulumi.com~1injection");
    matches!(label, Some("enabled" | "all"))
}
