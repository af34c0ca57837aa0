//! Our entries of the webhook configurations: which they are, what bundle they carry, how to change nothing but that.
//! PURE.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

/// Who we are to the API server, which keeps track of who owns which field.
pub const FIELD_MANAGER: &str = "esc-injector";

/// The two kinds of webhook configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// For `/mutate` and `/mutate/all`.
    Mutating,
    /// For `/check`.
    Validating,
}

impl Kind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Mutating, Self::Validating];

    /// The object's kind.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mutating => "MutatingWebhookConfiguration",
            Self::Validating => "ValidatingWebhookConfiguration",
        }
    }

    /// The path of the object with this name.
    pub fn path(self, name: &str) -> String {
        let resource = match self {
            Self::Mutating => "mutatingwebhookconfigurations",
            Self::Validating => "validatingwebhookconfigurations",
        };
        format!("/apis/admissionregistration.k8s.io/v1/{resource}/{name}")
    }

    /// The entries that are ours. No other entry is ever touched.
    pub fn entries(self) -> &'static [&'static str] {
        match self {
            Self::Mutating => &["pods.inject.esc.pulumi.com", "all.inject.esc.pulumi.com"],
            Self::Validating => &["workloads.inject.esc.pulumi.com"],
        }
    }
}

/// A webhook configuration as far as it is ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configuration {
    kind: Kind,
    name: String,
    uid: String,
    resource_version: String,
    /// Each of our entries that it has, with its bundle.
    entries: Vec<(&'static str, String)>,
    last_manager: Option<String>,
}

impl Configuration {
    /// Reads an object of the API server; none if it is no object of this kind.
    pub fn parse(kind: Kind, object: &Value) -> Option<Self> {
        let metadata = object.get("metadata")?;
        let text = |name: &str| metadata.get(name).and_then(Value::as_str).map(str::to_owned);
        let none = Vec::new();
        let webhooks = object.get("webhooks").and_then(Value::as_array).unwrap_or(&none);
        let entries = webhooks.iter().filter_map(|webhook| {
            let name = webhook.get("name")?.as_str()?;
            let name = kind.entries().iter().copied().find(|ours| *ours == name)?;
            let bundle = webhook.pointer("/clientConfig/caBundle").and_then(Value::as_str);
            let bundle = bundle.and_then(|text| STANDARD.decode(text).ok()).unwrap_or_default();
            Some((name, String::from_utf8(bundle).unwrap_or_default()))
        });
        Some(Self {
            kind,
            name: text("name")?,
            uid: text("uid")?,
            resource_version: text("resourceVersion")?,
            entries: entries.collect(),
            last_manager: last_manager(metadata),
        })
    }

    /// Which kind it is of.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether all of its entries carry this bundle.
    pub fn is_all(&self, bundle: &str) -> bool {
        self.entries.iter().all(|(_, found)| found == bundle)
    }

    /// What to apply so that its entries, and nothing else, carry this bundle; it does not apply to a configuration
    /// that was changed or replaced since.
    pub fn with_bundle(&self, bundle: &str) -> Value {
        let bundle = STANDARD.encode(bundle);
        let webhooks: Vec<_> = self
            .entries
            .iter()
            .map(|(name, _)| json!({"name": name, "clientConfig": {"caBundle": bundle}}))
            .collect();
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": self.kind.name(),
            "metadata": {
                "name": self.name,
                "uid": self.uid,
                "resourceVersion": self.resource_version,
            },
            "webhooks": webhooks,
        })
    }

    /// Who changed it last, besides us.
    pub fn last_manager(&self) -> Option<&str> {
        self.last_manager.as_deref()
    }
}

/// The manager of the latest change that is not ours, in words fit for a log.
fn last_manager(metadata: &Value) -> Option<String> {
    let managers = metadata.get("managedFields")?.as_array()?;
    let text = |manager: &Value, name: &str| manager.get(name).and_then(Value::as_str).map(str::to_owned);
    let others = managers.iter().filter_map(|manager| {
        let name = text(manager, "manager").filter(|name| name != FIELD_MANAGER)?;
        // RFC 3339 in UTC sorts as text.
        Some((text(manager, "time").unwrap_or_default(), name))
    });
    let (_, name) = others.max()?;
    Some(name.chars().filter(|character| !character.is_control()).take(64).collect())
}

/// Both webhook configurations of one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundles(pub Vec<Configuration>);

impl Bundles {
    /// Whether every entry carries this bundle.
    pub fn are_all(&self, bundle: &str) -> bool {
        self.0.iter().all(|configuration| configuration.is_all(bundle))
    }

    /// Whether any entry carries any bundle.
    pub fn is_any_set(&self) -> bool {
        self.texts().any(|bundle| !bundle.is_empty())
    }

    /// The bundle of every entry.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.0.iter().flat_map(|configuration| &configuration.entries).map(|(_, bundle)| bundle.as_str())
    }

    /// Those that are to be changed for this bundle.
    pub fn without(&self, bundle: &str) -> impl Iterator<Item = &Configuration> {
        self.0.iter().filter(move |configuration| !configuration.is_all(bundle))
    }

    /// The kind that has none of our entries, if one hasn't: it is somebody else's, or was mangled.
    pub fn without_entries(&self) -> Option<Kind> {
        self.0.iter().find(|configuration| configuration.entries.is_empty()).map(Configuration::kind)
    }
}
