//! Rendered objects.

use esc_injector::yaml::{self, Dialect};
use serde_json::Value;

/// The release's fullname in these tests: release `inj` of chart `esc-injector`.
pub const FULLNAME: &str = "inj-esc-injector";

#[derive(Debug, PartialEq)]
pub struct Objects(pub Vec<Value>);

impl Objects {
    /// Sorted, since the versions of Helm order kinds differently.
    pub fn parse(text: &str) -> Self {
        let documents = yaml::parse(text).unwrap();
        let values = documents.iter().map(|node| yaml::to_json(node, Dialect::Kubernetes).unwrap());
        let mut objects: Vec<_> = values.filter(|value| !value.is_null()).collect();
        objects.sort_by_key(|object| (text_at(object, "/kind"), text_at(object, "/metadata/name")));
        Self(objects)
    }

    pub fn find(&self, kind: &str, name: &str) -> Option<&Value> {
        self.0.iter().find(|object| object["kind"] == kind && object["metadata"]["name"] == name)
    }

    /// The one of a kind that carries the release's name.
    pub fn one(&self, kind: &str) -> &Value {
        self.find(kind, FULLNAME).unwrap_or_else(|| panic!("no {kind}: {:?}", self.names()))
    }

    pub fn has(&self, kind: &str) -> bool {
        self.0.iter().any(|object| object["kind"] == kind)
    }

    /// `Kind/name` of each.
    pub fn names(&self) -> Vec<String> {
        let name = |object| format!("{}/{}", text_at(object, "/kind"), text_at(object, "/metadata/name"));
        self.0.iter().map(name).collect()
    }

    /// The pod that the Deployment makes.
    pub fn pod(&self) -> &Value {
        &self.one("Deployment")["spec"]["template"]
    }

    /// The webhook's container.
    pub fn container(&self) -> &Value {
        &self.pod()["spec"]["containers"][0]
    }

    /// The webhook's arguments as the process gets them: kubelet makes one dollar sign of two.
    pub fn arguments(&self) -> Vec<String> {
        let arguments = self.container()["args"].as_array().unwrap();
        arguments.iter().map(|argument| argument.as_str().unwrap().replace("$$", "$")).collect()
    }

    /// Entries of both webhook configurations.
    pub fn entries(&self) -> Vec<&Value> {
        let of = |kind| self.one(kind)["webhooks"].as_array().unwrap().iter();
        of("MutatingWebhookConfiguration").chain(of("ValidatingWebhookConfiguration")).collect()
    }
}

pub fn text_at(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}
