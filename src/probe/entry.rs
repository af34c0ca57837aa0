//! Entries of the webhook configurations: where the API server would go, and whom it would trust there.

use std::{sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use reqwest::Url;
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use serde_json::Value;

use super::error::ProbeError;

/// Which configuration an entry is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Pods.
    Mutating,
    /// Workloads.
    Validating,
}

impl Kind {
    /// The resource's name.
    pub fn resource(self) -> &'static str {
        match self {
            Self::Mutating => "mutatingwebhookconfigurations",
            Self::Validating => "validatingwebhookconfigurations",
        }
    }
}

/// An entry that leads to a Service.
#[derive(Debug)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// What it is about.
    pub kind: Kind,
    /// Where it leads.
    pub url: Url,
    /// The Service's name, which the certificate must carry.
    pub host: String,
    /// How long the API server would wait.
    pub timeout: Duration,
    /// Base64 of the PEM, as it stands there.
    bundle: Option<String>,
}

/// What the API server waits when an entry does not say.
const DEFAULT_TIMEOUT: u64 = 10;

/// Port of a Service when an entry does not say.
const DEFAULT_PORT: u64 = 443;

/// The entries of a configuration; at least one.
pub fn read(kind: Kind, name: &str, configuration: &Value) -> Result<Vec<Entry>, ProbeError> {
    let webhooks = configuration.get("webhooks").and_then(Value::as_array);
    let entries: Vec<_> = webhooks.into_iter().flatten().filter_map(|webhook| one(kind, webhook)).collect();
    if entries.is_empty() {
        return Err(ProbeError::NoEntry { resource: kind.resource(), name: name.to_owned() });
    }
    Ok(entries)
}

fn one(kind: Kind, webhook: &Value) -> Option<Entry> {
    let config = webhook.get("clientConfig")?;
    let service = config.get("service")?;
    let text = |key| service.get(key).and_then(Value::as_str);
    let host = format!("{}.{}.svc", text("name")?, text("namespace")?);
    let port = service.get("port").and_then(Value::as_u64).unwrap_or(DEFAULT_PORT);
    let url = Url::parse(&format!("https://{host}:{port}{}", text("path").unwrap_or("/"))).ok()?;
    let timeout = webhook.get("timeoutSeconds").and_then(Value::as_u64).unwrap_or(DEFAULT_TIMEOUT);
    Some(Entry {
        name: webhook.get("name")?.as_str()?.to_owned(),
        kind,
        url,
        host,
        timeout: Duration::from_secs(timeout),
        bundle: config.get("caBundle").and_then(Value::as_str).map(str::to_owned),
    })
}

impl Entry {
    /// Settings that trust the entry's bundle, as the API server does, and nothing else.
    pub fn tls(&self) -> Result<ClientConfig, ProbeError> {
        let fail = |why: String| ProbeError::Bundle { entry: self.name.clone(), why };
        let bundle = self.bundle.as_deref().unwrap_or_default();
        let pem = STANDARD.decode(bundle).map_err(|_| fail("is not base64".to_owned()))?;
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            let certificate = certificate.map_err(|_| fail("is damaged PEM".to_owned()))?;
            roots
                .add(certificate)
                .map_err(|error| fail(format!("holds an unusable certificate: {error}")))?;
        }
        if roots.is_empty() {
            return Err(fail("holds no certificate".to_owned()));
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| fail(format!("can't be used: {error}")))?;
        Ok(builder.with_root_certificates(roots).with_no_client_auth())
    }

    /// An answer of this entry that helps no pod.
    pub fn wrong(&self, why: impl Into<String>) -> ProbeError {
        ProbeError::Answer { entry: self.name.clone(), why: why.into() }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn webhook(client_config: &Value) -> Value {
        json!({"webhooks": [{"name": "pods.inject.esc.pulumi.com", "timeoutSeconds": 5, "clientConfig": client_config}]})
    }

    #[test]
    fn an_entry_leads_where_the_api_server_would_go() {
        let service = json!({"name": "inj", "namespace": "ns", "port": 8443, "path": "/mutate"});
        let entries = read(Kind::Mutating, "inj", &webhook(&json!({"service": service}))).unwrap();
        assert_eq!(entries[0].url.as_str(), "https://inj.ns.svc:8443/mutate");
        assert_eq!((entries[0].host.as_str(), entries[0].timeout.as_secs()), ("inj.ns.svc", 5));
        let short = json!({"name": "inj", "namespace": "ns"});
        let entries = read(Kind::Mutating, "inj", &webhook(&json!({"service": short}))).unwrap();
        assert_eq!(entries[0].url.as_str(), "https://inj.ns.svc/");
    }

    #[test]
    fn a_configuration_without_a_service_has_no_entry() {
        for configuration in [json!({}), json!({"webhooks": []}), webhook(&json!({"url": "https://x/"}))] {
            let error = read(Kind::Validating, "inj", &configuration).unwrap_err();
            assert_eq!(error.code().id(), "ESC812", "{configuration}");
        }
    }

    #[test]
    fn a_bundle_that_trusts_nobody_is_told() {
        let service = json!({"name": "inj", "namespace": "ns"});
        for bundle in [json!(null), json!(""), json!("%"), json!(STANDARD.encode("no certificate"))] {
            let configuration = webhook(&json!({"service": service, "caBundle": bundle}));
            let entries = read(Kind::Mutating, "inj", &configuration).unwrap();
            assert_eq!(entries[0].tls().unwrap_err().code().id(), "ESC813", "{bundle}");
        }
    }
}
