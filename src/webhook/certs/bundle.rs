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

    /// Which object it is: another one of the same name has another.
    pub fn uid(&self) -> &str {
        &self.uid
    }

    /// Whether none of its entries is ours: it is somebody else's, or was mangled.
    pub fn has_no_entry(&self) -> bool {
        self.entries.is_empty()
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

    /// Who set a bundle last, besides us.
    pub fn last_manager(&self) -> Option<&str> {
        self.last_manager.as_deref()
    }
}

/// The latest manager besides us that set a bundle, in words fit for a log. Who takes one away owns nothing and stays
/// unknown.
fn last_manager(metadata: &Value) -> Option<String> {
    let managers = metadata.get("managedFields")?.as_array()?;
    let text = |manager: &Value, name: &str| manager.get(name).and_then(Value::as_str).map(str::to_owned);
    let others = managers.iter().filter_map(|manager| {
        let name = text(manager, "manager").filter(|name| name != FIELD_MANAGER)?;
        let webhooks = manager.pointer("/fieldsV1/f:webhooks")?.as_object()?;
        let has_bundle = |entry: &Value| entry.pointer("/f:clientConfig/f:caBundle").is_some();
        // RFC 3339 in UTC sorts as text.
        webhooks.values().any(has_bundle).then(|| (text(manager, "time").unwrap_or_default(), name))
    });
    let (_, name) = others.max()?;
    Some(name.chars().filter(|character| !character.is_control()).take(64).collect())
}

/// The webhook configurations of one moment.
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
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(managed: &Value) -> Value {
        json!({
            "metadata": {"name": "esc-injector", "uid": "u-1", "resourceVersion": "7", "managedFields": managed},
            "webhooks": [
                {"name": "somebody.elses.example", "clientConfig": {"caBundle": STANDARD.encode("theirs")}},
                {"name": "pods.inject.esc.pulumi.com", "clientConfig": {"caBundle": STANDARD.encode("ours")}},
                {"name": "all.inject.esc.pulumi.com", "clientConfig": {}},
                {"name": "workloads.inject.esc.pulumi.com", "clientConfig": {}},
            ],
        })
    }

    #[test]
    fn only_entries_of_ours_and_nothing_but_their_bundle_are_applied() {
        let configuration = Configuration::parse(Kind::Mutating, &object(&Value::Null)).unwrap();
        let bundles = Bundles(vec![configuration.clone()]);
        assert_eq!(bundles.texts().collect::<Vec<_>>(), ["ours", ""]);
        assert!(bundles.is_any_set() && !bundles.are_all("ours") && !configuration.has_no_entry());
        let entry = |name| json!({"name": name, "clientConfig": {"caBundle": STANDARD.encode("new")}});
        assert_eq!(
            configuration.with_bundle("new"),
            json!({
                "apiVersion": "admissionregistration.k8s.io/v1",
                "kind": "MutatingWebhookConfiguration",
                "metadata": {"name": "esc-injector", "uid": "u-1", "resourceVersion": "7"},
                "webhooks": [entry("pods.inject.esc.pulumi.com"), entry("all.inject.esc.pulumi.com")],
            })
        );
    }

    #[test]
    fn what_is_no_configuration_or_has_no_entry_of_ours_is_told_apart() {
        assert_eq!(Configuration::parse(Kind::Mutating, &json!({"kind": "Status"})), None);
        let mut foreign = object(&Value::Null);
        foreign["webhooks"] = json!([{"name": "somebody.elses.example", "clientConfig": {}}]);
        let foreign = Configuration::parse(Kind::Validating, &foreign).unwrap();
        assert!(foreign.has_no_entry());
    }

    #[test]
    fn whoever_set_a_bundle_last_is_named() {
        let manager = |name: &str, time: &str, field: &str| {
            let fields = json!({"f:webhooks": {"k:{}": {"f:clientConfig": {field: {}}}}});
            json!({"manager": name, "time": time, "fieldsV1": fields})
        };
        for (managers, expected) in [
            (vec![], None),
            (vec![manager("helm", "2026-01-01T00:00:00Z", "f:service")], None),
            (vec![manager("esc-injector", "2026-01-01T00:00:00Z", "f:caBundle")], None),
            (
                vec![
                    manager("argo\n", "2026-01-03T00:00:00Z", "f:caBundle"),
                    manager("kubectl", "2026-01-02T00:00:00Z", "f:caBundle"),
                    manager("helm", "2026-01-04T00:00:00Z", "f:service"),
                ],
                Some("argo"),
            ),
        ] {
            let configuration = Configuration::parse(Kind::Mutating, &object(&json!(managers))).unwrap();
            assert_eq!(configuration.last_manager(), expected);
        }
    }
}
