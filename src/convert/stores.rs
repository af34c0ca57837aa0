//! The operator's stores: which environment, where ESC is, who asks.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{
    Options,
    bundle::{Bundle, Identity, Origin},
    input::Manifest,
    object,
    report::{At, Report, below},
};
use crate::inject::policy;

/// The operator's API group.
pub const GROUP: &str = "external-secrets.io";

/// Every reference to a store in an object of the operator's.
pub fn references(object: &Value) -> Vec<&Value> {
    let mut found: Vec<&Value> = object.pointer("/spec/secretStoreRef").into_iter().collect();
    found.extend(object::list(object, "/spec/secretStoreRefs"));
    found.extend(object.pointer("/spec/externalSecretSpec/secretStoreRef"));
    for list in ["/spec/data", "/spec/dataFrom"] {
        found.extend(
            object::list(object, list).iter().filter_map(|entry| entry.pointer("/sourceRef/storeRef")),
        );
    }
    found
}

/// A store.
#[derive(Debug)]
pub struct Store {
    /// The object, by number.
    pub manifest: usize,
    /// Its kind, its namespace if it is of one, and its name.
    pub name: (String, Option<String>, String),
    /// What it leads to; none when it could not be read.
    pub origin: Option<Origin>,
    /// Whether it is another provider's, and none of our business.
    pub is_foreign: bool,
}

impl Store {
    /// Whether something was made of it.
    pub fn is_used(&self, bundles: &[Bundle]) -> bool {
        let origins = bundles.iter().flat_map(|bundle| {
            let items = bundle.items.values().map(|item| &item.origin);
            items.chain(bundle.members.iter().map(|members| &members.origin))
        });
        self.origin.as_ref().is_none_or(|own| origins.into_iter().any(|origin| origin == own))
    }
}

/// Which store an object means.
pub fn find<'s>(stores: &'s [Store], reference: &Value, namespace: &str) -> Option<&'s Store> {
    let name = object::text(reference, "/name")?;
    let kind = object::text(reference, "/kind").unwrap_or("SecretStore");
    stores.iter().find(|store| {
        store.name.0 == kind
            && store.name.2 == name
            && store.name.1.as_deref().is_none_or(|store_namespace| store_namespace == namespace)
    })
}

/// The stores; those of other providers by name only.
pub fn read(manifests: &[Manifest], options: &Options, report: &mut Report) -> Vec<Store> {
    let mut stores = Vec::new();
    for (index, manifest) in manifests.iter().enumerate() {
        let object = &manifest.value;
        let Some(kind @ ("SecretStore" | "ClusterSecretStore")) = object::kind_in(object, GROUP) else {
            continue;
        };
        let (namespace, name) = object::namespaced(object, &options.namespace);
        let namespace = (kind == "SecretStore").then_some(namespace);
        let name = (kind.to_owned(), namespace, name);
        let mut at = report.at(index);
        let (origin, is_foreign) = match object.pointer("/spec/provider/pulumi") {
            Some(provider) => {
                around(object, &mut at);
                (origin(provider, &mut at), false)
            }
            None => (None, true),
        };
        stores.push(Store { manifest: index, name, origin, is_foreign });
    }
    stores
}

/// What a store says beside its provider.
fn around(object: &Value, at: &mut At<'_>) {
    let spec = object.get("spec");
    at.unknown(spec, &["provider", "controller", "refreshInterval", "retrySettings", "conditions"], "spec");
    if object.pointer("/spec/conditions").is_some() {
        at.left(
            "spec.conditions",
            "limits the namespaces that may use the store",
            "put esc.pulumi.com/allowed-environments on the namespaces, and let Pulumi's policies decide which ServiceAccounts may open the environment",
        );
    }
    if object.pointer("/spec/retrySettings").is_some() {
        let instead = "set esc.pulumi.com/timeout where two minutes are not right";
        at.note("spec.retrySettings", "the agent tries again by itself", instead);
    }
}

const PROVIDER: &str = "spec.provider.pulumi";

/// ESC's own address, which needs no annotation.
const USUAL: &str = "https://api.pulumi.com";

/// What a provider leads to. The driver's parameters say the same in other words, and come through here too.
pub fn environment(
    value: &Value,
    field: &str,
    at: &mut At<'_>,
) -> Option<(crate::esc::reference::Reference, Option<String>)> {
    let part = |key: &str| object::text(value, &format!("/{key}")).unwrap_or_default();
    let name = format!("{}/{}/{}", part("organization"), part("project"), part("environment"));
    let reference = match name.parse() {
        Ok(reference) => reference,
        Err(error) => {
            let what = format!("does not name an environment: {error}");
            at.left(field, what, "write organization, project and environment");
            return None;
        }
    };
    let api_url = match object::text(value, "/apiUrl").map(policy::service_root) {
        None => None,
        Some(Ok(url)) if url == USUAL => None,
        Some(Ok(url)) => {
            let what = format!("ESC is at {url}, which the operator of esc-injector has to allow");
            let instead = format!(
                "start the webhook with --api-url {url} (chart: api.url), or --allow-api-url (api.allowedUrls)"
            );
            at.note(&below(field, "apiUrl"), what, instead);
            Some(url)
        }
        Some(Err(error)) => {
            at.left(&below(field, "apiUrl"), error, "write an https address");
            return None;
        }
    };
    Some((reference, api_url))
}

fn origin(provider: &Value, at: &mut At<'_>) -> Option<Origin> {
    let known = ["apiUrl", "organization", "project", "environment", "auth", "accessToken"];
    at.unknown(Some(provider), &known, PROVIDER);
    let (environment, api_url) = environment(provider, PROVIDER, at)?;
    let token = provider
        .pointer("/auth/accessToken/secretRef")
        .or_else(|| provider.pointer("/accessToken/secretRef"));
    let identity = match (token, provider.pointer("/auth/oidcConfig")) {
        (Some(secret), _) => Identity::Token {
            name: object::text(secret, "/name")?.to_owned(),
            key: object::text(secret, "/key").unwrap_or("accessToken").to_owned(),
            namespace: object::text(secret, "/namespace").map(str::to_owned),
        },
        (None, Some(oidc)) => account(oidc, environment.organization(), api_url.as_deref(), at)?,
        (None, None) => {
            let instead = "pods prove themselves with their own ServiceAccount once auth is named; see docs/security.md";
            at.left(&below(PROVIDER, "auth"), "names no way to sign in", instead);
            return None;
        }
    };
    Some(Origin { environment, api_url, identity })
}

fn account(oidc: &Value, organization: &str, api_url: Option<&str>, at: &mut At<'_>) -> Option<Identity> {
    let field = below(&below(PROVIDER, "auth"), "oidcConfig");
    at.unknown(Some(oidc), &["organization", "serviceAccountRef", "expirationSeconds"], &field);
    if oidc.get("expirationSeconds").is_some() {
        let what = "has no equivalent, and needs none: the agent renews its token in time";
        at.note(&below(&field, "expirationSeconds"), what, "");
    }
    let account = oidc.get("serviceAccountRef")?;
    let ours = format!("urn:pulumi:org:{organization}");
    let audiences: Vec<&str> = object::list(account, "/audiences").iter().filter_map(Value::as_str).collect();
    // The operator asks for a token for ESC's own address, unless told otherwise.
    let audience = match audiences.as_slice() {
        [] => Some(api_url.unwrap_or(USUAL).to_owned()),
        all if all.contains(&ours.as_str()) => None,
        [first, ..] => Some((*first).to_owned()),
    };
    if audiences.len() > 1 {
        let what = format!("a pod's token has one audience: {}", audience.as_deref().unwrap_or(&ours));
        let instead = "let Pulumi's policy accept that one";
        at.note(&below(&below(&field, "serviceAccountRef"), "audiences"), what, instead);
    }
    Some(Identity::Account {
        audience,
        namespace: object::text(account, "/namespace").map(str::to_owned),
        name: object::text(account, "/name")?.to_owned(),
    })
}

/// The stores, by number, that something which stays in use still needs, and those that could not be read.
pub fn kept(
    manifests: &[Manifest],
    stores: &[Store],
    described: &BTreeMap<usize, Vec<&Bundle>>,
    options: &Options,
) -> BTreeSet<usize> {
    let unreadable = stores.iter().filter(|store| store.origin.is_none()).map(|store| store.manifest);
    let mut kept: BTreeSet<_> = unreadable.collect();
    for (index, manifest) in manifests.iter().enumerate() {
        let is_replaced = described.get(&index).is_some_and(|own| own.iter().all(|bundle| !bundle.is_kept));
        if is_replaced {
            continue;
        }
        let (namespace, _) = object::namespaced(&manifest.value, &options.namespace);
        for reference in references(&manifest.value) {
            kept.extend(find(stores, reference, &namespace).map(|store| store.manifest));
        }
    }
    kept
}
