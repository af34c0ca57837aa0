//! The operator's `ExternalSecret`s: the Secret that each would make, key by key.

use std::{collections::BTreeMap, time::Duration};

use serde_json::Value;

use super::{
    Options,
    bundle::{Bundle, Content, Item, Kind, Members, Origin, Resolved},
    input::Manifest,
    object,
    report::{At, Report, below},
    stores::{self, GROUP, Store},
    template::{self, Converted},
};
use crate::esc::{duration, path::Path, render::Decode};

/// What the operator does when nobody says how often.
const USUAL_REFRESH: Duration = Duration::from_secs(3600);

/// The Secrets that the operator would make of Pulumi's environments. What it does otherwise is told.
pub fn read(manifests: &[Manifest], stores: &[Store], options: &Options, report: &mut Report) -> Vec<Bundle> {
    let mut bundles = Vec::new();
    for (index, manifest) in manifests.iter().enumerate() {
        let object = &manifest.value;
        let mut at = report.at(index);
        let (namespace, _) = object::namespaced(object, &options.namespace);
        let references = stores::references(object);
        let is_foreign = |reference: &&Value| {
            stores::find(stores, reference, &namespace).is_some_and(|store| store.is_foreign)
        };
        // What other providers' stores hold is none of our business.
        if !references.is_empty() && references.iter().all(is_foreign) {
            continue;
        }
        match object::kind_in(object, GROUP) {
            Some("ExternalSecret") => bundles.extend(one(index, object, stores, options, &mut at)),
            Some("ClusterExternalSecret") => at.left(
                "",
                "makes one Secret in many namespaces",
                "convert its externalSecretSpec as an ExternalSecret of one namespace, and put the annotations on the namespaces: they are defaults of their pods",
            ),
            Some("PushSecret") => at.left(
                "",
                "writes to ESC, which an injector never does",
                "keep it, or write with `esc env set` from where the secret comes from",
            ),
            _ => {}
        }
    }
    bundles
}

struct Reader<'a, 'r> {
    object: &'a Value,
    stores: &'a [Store],
    namespace: String,
    at: &'a mut At<'r>,
    bundle: Bundle,
}

fn one(index: usize, object: &Value, stores: &[Store], options: &Options, at: &mut At<'_>) -> Option<Bundle> {
    let (namespace, own_name) = object::namespaced(object, &options.namespace);
    let name = object::text(object, "/spec/target/name").map_or(own_name, str::to_owned);
    let references = stores::references(object);
    let found: Vec<_> =
        references.iter().filter_map(|reference| stores::find(stores, reference, &namespace)).collect();
    if found.is_empty() {
        let what = "its store is not among the manifests";
        at.left("spec.secretStoreRef", what, "give the SecretStore as well");
        return None;
    }
    let bundle = Bundle {
        manifest: index,
        kind: Kind::Secret,
        name: (namespace.clone(), name),
        items: BTreeMap::new(),
        members: Vec::new(),
        refresh: None,
        is_used: false,
        is_kept: false,
    };
    let mut reader = Reader { object, stores, namespace, at, bundle };
    reader.target()?;
    reader.refresh();
    reader.entries();
    reader.template();
    let mut bundle = reader.bundle;
    let keys = [format!("{}/{}", bundle.name.0, bundle.name.1), bundle.name.1.clone()];
    if let Some(keys) = keys.iter().find_map(|name| options.keys.get(name))
        && !bundle.name_members(keys)
    {
        at.left("spec.dataFrom", "several objects may hold the same key", "name each key in spec.data");
    }
    Some(bundle)
}

/// Where the template is.
const AT: &str = "spec.target.template";

/// Something that is told and keeps the object in use.
const KEEP: &str = "keep the ExternalSecret for this";

impl Reader<'_, '_> {
    fn left(&mut self, field: &str, what: impl Into<String>, instead: impl Into<String>) {
        self.at.left(field, what, instead);
        self.bundle.is_kept = true;
    }

    /// What kind of Secret it is; none where pods can't do without it.
    fn target(&mut self) -> Option<()> {
        let spec = self.object.get("spec");
        let known = ["secretStoreRef", "target", "refreshPolicy", "refreshInterval", "data", "dataFrom"];
        self.at.unknown(spec, &known, "spec");
        let target = self.object.pointer("/spec/target");
        let known = ["name", "creationPolicy", "deletionPolicy", "immutable", "template", "manifest"];
        self.at.unknown(target, &known, "spec.target");
        if self.object.pointer("/spec/target/manifest").is_some() {
            self.at.left("spec.target.manifest", "makes something else than a Secret", KEEP);
            return None;
        }
        match object::text(self.object, "/spec/target/creationPolicy") {
            Some(policy @ ("Merge" | "None")) => {
                let what = format!("{policy}: the Secret belongs to somebody else");
                self.at.left("spec.target.creationPolicy", what, KEEP);
                return None;
            }
            Some("Orphan") => self.at.note(
                "spec.target.creationPolicy",
                "Orphan: the Secret stays when the ExternalSecret goes",
                "delete the Secret yourself",
            ),
            _ => {}
        }
        if object::text(self.object, "/spec/target/deletionPolicy").is_some_and(|policy| policy != "Retain") {
            self.at.note(
                "spec.target.deletionPolicy",
                "a property that is gone keeps the last set in place, and a new pod from starting",
                "name it `optional: true` in config where pods can do without",
            );
        }
        if let Some(kind) = object::text(self.object, "/spec/target/template/type")
            && (kind.starts_with("kubernetes.io/docker") || kind == "bootstrap.kubernetes.io/token")
        {
            let what = format!("a Secret of type {kind} is read by Kubernetes itself, not by containers");
            self.at.left("spec.target.template.type", what, KEEP);
            return None;
        }
        Some(())
    }

    fn refresh(&mut self) {
        let policy = object::text(self.object, "/spec/refreshPolicy").unwrap_or("Periodic");
        if policy != "Periodic" {
            let what = format!("{policy}: each pod gets the values of the moment it starts");
            self.at.note("spec.refreshPolicy", what, "");
            return;
        }
        if self.object.pointer("/spec/target/immutable") == Some(&Value::Bool(true)) {
            let what = "a pod keeps what it started with, and a new pod gets new values";
            self.at.note(
                "spec.target.immutable",
                what,
                "pin the environment (@revision) to keep values as well",
            );
            return;
        }
        self.bundle.refresh = match object::text(self.object, "/spec/refreshInterval") {
            None => Some(USUAL_REFRESH),
            Some(text) => match duration::parse(text) {
                Ok(interval) => (!interval.is_zero()).then_some(interval),
                Err(error) => {
                    self.at.left(
                        "spec.refreshInterval",
                        error.to_string(),
                        "set esc.pulumi.com/refresh yourself",
                    );
                    None
                }
            },
        };
    }

    fn entries(&mut self) {
        let object = self.object;
        for (index, entry) in object::list(object, "/spec/dataFrom").iter().enumerate() {
            let field = format!("spec.dataFrom[{index}]");
            self.at.unknown(Some(entry), &["extract", "find", "rewrite", "sourceRef"], &field);
            self.data_from(entry, &field);
        }
        for (index, entry) in object::list(object, "/spec/data").iter().enumerate() {
            let field = format!("spec.data[{index}]");
            self.at.unknown(Some(entry), &["secretKey", "remoteRef", "sourceRef"], &field);
            let (Some(key), Some(remote)) = (object::text(entry, "/secretKey"), entry.get("remoteRef"))
            else {
                self.left(&field, "has no secretKey or no remoteRef", "write both");
                continue;
            };
            let remote_field = below(&field, "remoteRef");
            let Some(origin) = self.origin(entry, &field) else { continue };
            let Some((path, decode)) = self.remote(remote, &remote_field) else { continue };
            let item = Item { origin, content: Content::Path(path), decode, format: None };
            self.bundle.items.insert(key.to_owned(), item);
        }
    }

    fn data_from(&mut self, entry: &Value, field: &str) {
        if entry.get("find").is_some() {
            let what = "looks for keys, which the operator's Pulumi provider can't do";
            return self.left(
                &below(field, "find"),
                what,
                "name the object that holds them, as extract does",
            );
        }
        let Some(origin) = self.origin(entry, field) else { return };
        let Some(extract) = entry.get("extract") else {
            return self.left(field, "has nothing to extract", "name an object");
        };
        if entry.get("rewrite").is_some() {
            let what = "renames keys by patterns";
            return self.left(
                &below(field, "rewrite"),
                what,
                "name each key in spec.data, or in esc.pulumi.com/config",
            );
        }
        let extract_field = below(field, "extract");
        if object::text(extract, "/conversionStrategy") == Some("Unicode") {
            let what = "changes the names of keys";
            let instead = "name each such key in spec.data";
            return self.left(&below(&extract_field, "conversionStrategy"), what, instead);
        }
        let Some((path, decode)) = self.remote(extract, &extract_field) else { return };
        if decode.is_some() {
            let instead = "name each key in spec.data";
            return self.left(&below(&extract_field, "decodingStrategy"), "decodes every key", instead);
        }
        self.bundle.members.push(Members { origin, path });
    }

    /// Where the entry's values come from.
    fn origin(&mut self, entry: &Value, field: &str) -> Option<Origin> {
        let source = below(field, "sourceRef");
        if entry.pointer("/sourceRef/generatorRef").is_some() {
            self.left(&source, "is made by a generator", "make it in ESC, or keep the generator");
            return None;
        }
        let own = entry.pointer("/sourceRef/storeRef");
        let reference = own.or_else(|| self.object.pointer("/spec/secretStoreRef"));
        let store = reference.and_then(|reference| stores::find(self.stores, reference, &self.namespace));
        let field = if own.is_some() { source.as_str() } else { "spec.secretStoreRef" };
        match store {
            Some(Store { origin: Some(origin), .. }) => Some(origin.clone()),
            Some(store) => {
                let what = if store.is_foreign {
                    "its store is another provider's"
                } else {
                    "its store could not be read"
                };
                self.left(field, what, "keep the ExternalSecret for this");
                None
            }
            None => {
                self.left(field, "its store is not among the manifests", "give the SecretStore as well");
                None
            }
        }
    }

    /// The property that a reference means, and how it is decoded.
    fn remote(&mut self, remote: &Value, field: &str) -> Option<(Path, Option<Decode>)> {
        let known = [
            "key",
            "property",
            "version",
            "metadataPolicy",
            "conversionStrategy",
            "decodingStrategy",
            "nullBytePolicy",
        ];
        self.at.unknown(Some(remote), &known, field);
        for (key, instead) in [
            ("property", "write the whole path in key"),
            ("version", "pin the environment: organization/project/environment@version"),
        ] {
            if remote.get(key).is_some() {
                self.at.note(
                    &below(field, key),
                    "the operator's Pulumi provider ignores it, and so does this",
                    instead,
                );
            }
        }
        if object::text(remote, "/metadataPolicy") == Some("Fetch") {
            self.left(&below(field, "metadataPolicy"), "ESC's properties have no metadata", "take it out");
            return None;
        }
        let decode = match object::text(remote, "/decodingStrategy") {
            None | Some("None") => None,
            Some("Base64") => Some(Decode::Base64),
            Some(other) => {
                let what = format!("{other} has no equivalent");
                let instead =
                    "decode in the environment with fn::fromBase64, or say Base64 if that is what it is";
                self.left(&below(field, "decodingStrategy"), what, instead);
                return None;
            }
        };
        let key = object::text(remote, "/key").unwrap_or_default();
        match key.parse() {
            Ok(path) => Some((path, decode)),
            Err(error) => {
                self.left(&below(field, "key"), format!("{error}"), "write a property path");
                None
            }
        }
    }

    /// The template's keys, which stand instead of the others unless they are to be merged.
    fn template(&mut self) {
        let Some(template) = self.object.pointer("/spec/target/template") else { return };
        let known = ["engineVersion", "type", "metadata", "mergePolicy", "data", "templateFrom"];
        self.at.unknown(Some(template), &known, AT);
        if let Some(metadata) = template.get("metadata").and_then(Value::as_object)
            && metadata.values().any(|value| value.as_object().is_some_and(|entries| !entries.is_empty()))
        {
            let instead = "see whether another controller reads them";
            self.at.note(&below(AT, "metadata"), "labels and annotations of the Secret go with it", instead);
        }
        if template.get("templateFrom").is_some() {
            let what = "takes templates from a ConfigMap or Secret";
            self.left(
                &below(AT, "templateFrom"),
                what,
                "write the template into esc.pulumi.com/template.NAME or config",
            );
        }
        let texts = template.get("data").and_then(Value::as_object).filter(|texts| !texts.is_empty());
        if texts.is_some() && object::text(template, "/engineVersion") == Some("v1") {
            return self.left(&below(AT, "engineVersion"), "v1 has other rules than v2", "move to v2 first");
        }
        let data = below(AT, "data");
        let mut made = BTreeMap::new();
        for (key, text) in texts.into_iter().flatten() {
            let field = below(&data, key);
            let Some(text) = text.as_str() else { continue };
            match self.templated(text) {
                Ok(item) => {
                    made.insert(key.clone(), item);
                }
                Err(why) => {
                    let instead = "put the text together in the environment (`${db.user}:${db.password}`), or write a template of ours (docs/annotations.md)";
                    self.left(&field, why, instead);
                }
            }
        }
        let replaces = texts.is_some() || template.get("templateFrom").is_some();
        if replaces && object::text(template, "/mergePolicy") != Some("Merge") {
            self.bundle.items.clear();
            self.bundle.members.clear();
        }
        self.bundle.items.extend(made);
    }

    fn templated(&self, text: &str) -> Result<Item, String> {
        let item = |key: &str| match self.bundle.resolve(key) {
            Resolved::Item(item) => Some(*item),
            Resolved::Ambiguous | Resolved::Absent => None,
        };
        let (template, keys) = match template::convert(text, item)? {
            Converted::Same(key) => {
                return item(&key).ok_or_else(|| format!("uses key `{key}`, whose path is not known"));
            }
            Converted::Template(template, keys) => (template, keys),
        };
        let mut origins = keys.iter().filter_map(|key| item(key)).map(|item| item.origin);
        let first =
            origins.next().or_else(|| self.bundle.items.values().next().map(|item| item.origin.clone()));
        let origin = first.or_else(|| self.bundle.members.first().map(|members| members.origin.clone()));
        let origin = origin.ok_or("has no key, so that it belongs to no environment")?;
        if origins.any(|other| other != origin) {
            return Err("uses keys of several stores".to_owned());
        }
        Ok(Item { origin, content: Content::Template(template), decode: None, format: None })
    }
}
