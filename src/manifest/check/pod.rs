//! The judgement of the webhook on the pods of manifests, with the place of everything it says.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    Asking, Checked, Collector, Manifests, Object, Refused, Summary,
    places::{is_of_namespace, own_words, place},
};
use crate::{
    agent::plan::{self, Plan},
    codes::{Code, annotations as said, installation, manifest as codes},
    inject::{
        self, Context, LABEL, Namespace, Opening, Outcome, Policy, Problem, Warning,
        keys::{Key, PREFIX},
        names::AGENT,
        subject::Subject,
    },
    manifest::{
        finding::Severity,
        locate::{Home, Part, Step},
        objects::{self, texts},
        workload::{self, Made, Template},
    },
    prose::some,
};

/// The namespaces among the objects.
pub struct Namespaces<'m>(BTreeMap<String, Known<'m>>);

struct Known<'m> {
    says: Namespace,
    object: Object<'m>,
}

impl<'m> Namespaces<'m> {
    pub fn of(objects: &[Object<'m>]) -> Self {
        let known = |object: &Object<'m>| {
            let (name, says) = objects::namespace(object.value)?;
            Some((name.to_owned(), Known { says, object: object.clone() }))
        };
        Self(objects.iter().filter_map(known).collect())
    }
}

/// What is missing, and what the pod's namespace may supply.
const MAY_BE_DEFAULTS: [Code; 2] = [said::NO_ENVIRONMENT, said::TOKEN_SECRET];

/// Goes through the objects.
pub struct Checker<'m, 'a> {
    pub manifests: &'m Manifests<'a>,
    pub policy: &'m Policy,
    pub default_namespace: &'m str,
    pub namespaces: &'m Namespaces<'m>,
    pub collector: Collector<'m, 'a>,
    pub summary: Summary,
    pub asking: Vec<Asking>,
    pub refused: Vec<Refused>,
    /// Namespaces in which pods ask, with those that do.
    pub asked_in: BTreeMap<String, Vec<String>>,
}

impl Checker<'_, '_> {
    pub fn object(&mut self, object: &Object<'_>) {
        if object.kind() == Some("Namespace") {
            self.namespace(object);
        } else if let Some(template) = workload::pod(object.value) {
            let path: Vec<Step> = template.path.iter().map(|&key| key.into()).collect();
            let base = [object.base.as_slice(), &path].concat();
            let asks = self.pod(object, &base, object.value, template);
            self.count(object, asks);
        }
    }

    /// Counts an object that makes pods.
    pub fn count(&mut self, object: &Object<'_>, asks: bool) {
        if asks {
            self.summary.asking += 1;
            let namespace = object.namespace(self.default_namespace).to_owned();
            self.asked_in.entry(namespace).or_default().push(object.name());
        } else {
            self.summary.silent.push(object.name());
        }
    }

    /// What a namespace says to its pods is told once, where it stands, and not again for every pod.
    fn namespace(&mut self, object: &Object<'_>) {
        let name = object.value.get("metadata").and_then(|metadata| metadata.get("name")?.as_str());
        let Some(known) = name.and_then(|name| self.namespaces.0.get(name)) else { return };
        let Some(home) = self.manifests.home(object, &object.base) else { return };
        let (problems, warnings) = known.says.judge();
        let at = |subject: &Subject, code| place(object, subject, code, &home, Some((&home, object)));
        let label = (object.name(), name.unwrap_or_default().to_owned());
        let about = Some((label.0.as_str(), label.1.as_str()));
        for Problem { code, subject, message, .. } in problems {
            let own = own_words(&subject);
            self.collector.push(
                Severity::Error,
                code,
                at(&subject, code),
                about,
                &format!("{own}: {message}"),
            );
        }
        for Warning { code, subject, message } in warnings {
            self.collector.push(Severity::Warning, code, at(&subject, code), about, &message);
        }
        self.annotations(object, object.value, &home, about);
    }

    /// Judges the pod at `base`, which is the `holder`'s template; whether it asks for injection.
    pub fn pod(
        &mut self,
        object: &Object<'_>,
        base: &[Step],
        holder: &Value,
        template: Template<'_>,
    ) -> bool {
        let Some(home) = self.manifests.home(object, base) else { return false };
        let name = object.name();
        let namespace = object.namespace(self.default_namespace).to_owned();
        let about = Some((name.as_str(), namespace.as_str()));
        let known = self.namespaces.0.get(&namespace);
        let context = Context {
            namespace: &namespace,
            namespace_annotations: known.map(|known| &known.says.annotations),
            everyone: known.is_some_and(|known| known.says.everyone),
            api_server: None,
            policy: self.policy,
        };
        let metadata = template.pod.get("metadata");
        let annotations = metadata.and_then(|metadata| metadata.get("annotations"));
        let keys = annotations.and_then(Value::as_object).into_iter().flatten();
        if keys.clone().any(|(key, _)| key.starts_with(PREFIX)) {
            self.annotations(object, template.pod, &home, about);
        }
        // What is no text was told; the rest is judged as if it were.
        let value = as_made(holder, template);
        let Some(Made { pod, with_token }) = workload::made(template.kind, &value) else {
            return false;
        };
        let outcome = inject::inject(&pod, &context);
        let asks = !matches!(outcome, Outcome::Skipped { .. });
        let of_namespace = known
            .and_then(|known| Some((self.manifests.home(&known.object, &known.object.base)?, &known.object)));
        let of_namespace = of_namespace.as_ref().map(|(home, object)| (home, *object));
        let at = |subject: &Subject, code| place(object, subject, code, &home, of_namespace);
        let warn = |collector: &mut Collector<'_, '_>, warnings: Vec<Warning>| {
            for Warning { code, subject, message } in warnings {
                if !is_of_namespace(&subject) {
                    collector.push(Severity::Warning, code, at(&subject, code), about, &message);
                }
            }
        };
        match outcome {
            Outcome::Skipped { warnings } => warn(&mut self.collector, warnings),
            Outcome::Refused(problems) => {
                let at_first = (object.file, object.document, home.default());
                self.refused.push(Refused {
                    at: at_first,
                    object: name.clone(),
                    namespace: namespace.clone(),
                });
                for Problem { code, subject, message, .. } in problems {
                    // That was told of the namespace itself.
                    if is_of_namespace(&subject) {
                        continue;
                    }
                    let is_unsure = known.is_none() && MAY_BE_DEFAULTS.contains(&code);
                    let (severity, text) = if is_unsure {
                        // What that namespace says, nobody here knows.
                        let message = message.replace(" and on its namespace", "");
                        let text = format!(
                            "{subject}: {message}; namespace {namespace}, which is not among the input, may say it"
                        );
                        (Severity::Warning, text)
                    } else {
                        (Severity::Error, format!("{subject}: {message}"))
                    };
                    self.collector.push(severity, code, at(&subject, code), about, &text);
                }
            }
            Outcome::Injected { patch, warnings } => {
                warn(&mut self.collector, warnings);
                if let Some(Outcome::Refused(problems)) = with_token.map(|pod| inject::inject(&pod, &context))
                {
                    for Problem { code, subject, message, .. } in problems {
                        let text = format!(
                            "{subject}: {message}; its pods will be refused, unless their ServiceAccount mounts no token"
                        );
                        self.collector.push(Severity::Warning, code, at(&subject, code), about, &text);
                    }
                }
                let mut injected = pod;
                if json_patch::patch(&mut injected, &json_patch::Patch::from(patch)).is_ok()
                    && let Some(plan) = plan_of(&injected)
                {
                    let (file, document) = (object.file, object.document);
                    let base = base.to_vec();
                    let home = known.map(|Known { object: it, .. }| (it.file, it.document, it.base.clone()));
                    let object = name.clone();
                    self.asking.push(Asking { file, document, base, object, namespace, home, plan });
                }
            }
        }
        asks
    }

    /// What the API server refuses before anybody else looks at it.
    fn annotations(
        &mut self,
        object: &Object<'_>,
        holder: &Value,
        home: &Home<'_, '_>,
        about: Option<(&str, &str)>,
    ) {
        let annotations = holder.get("metadata").and_then(|metadata| metadata.get("annotations"));
        for (key, value) in annotations.and_then(Value::as_object).into_iter().flatten() {
            let path = home.path(&["metadata", "annotations", key]);
            let mut push = |code, part, message: &str| {
                let span = home.locator.field(&path, part).unwrap_or_else(|| home.default());
                let at = (object.file, object.document, span);
                self.collector.push(Severity::Error, code, at, about, message);
            };
            if let Some(name) = key.strip_prefix(PREFIX)
                && let Some(why) = why_no_name(name)
            {
                push(codes::KEY, Part::Key, &format!("{key}: {why}; say it in {PREFIX}{}", Key::Config));
            }
            if !value.is_string() {
                let (what, written) = (what(value), home.locator.written(&path));
                let quoted =
                    written.filter(|text| !value.is_object() && !value.is_array() && !text.is_empty());
                let hint = quoted.map_or_else(
                    || "write a text".to_owned(),
                    |text| format!("write \"{}\"", text.trim().trim_matches('"')),
                );
                push(codes::NOT_TEXT, Part::Value, &format!("{key}: expected text, found {what}; {hint}"));
            }
        }
    }

    pub fn finish(mut self) -> Checked {
        let asked_in = std::mem::take(&mut self.asked_in);
        for (namespace, known) in &self.namespaces.0 {
            self.opening(namespace, known, asked_in.get(namespace).map_or(&[], Vec::as_slice));
        }
        let unknown = asked_in.into_keys().filter(|namespace| !self.namespaces.0.contains_key(namespace));
        self.summary.unknown_namespaces.extend(unknown);
        let Self { collector, summary, asking, refused, .. } = self;
        Checked { findings: collector.finish(), summary, asking, refused }
    }

    /// A namespace that is not open, in which somebody asks; or whose label was meant to open it and does not.
    fn opening(&mut self, namespace: &str, known: &Known<'_>, names: &[String]) {
        let object = &known.object;
        let label = format!("{PREFIX}{LABEL}");
        let labels = object.value.get("metadata").map(|metadata| texts(metadata, "labels"));
        let value =
            labels.and_then(|mut labels| labels.find(|(key, _)| *key == label)).map(|(_, value)| value);
        let has = match Opening::of(value) {
            Opening::Open => return,
            Opening::Unlabelled if names.is_empty() => return,
            Opening::OtherValue if names.is_empty() && value.is_some_and(|value| CLOSED.contains(&value)) => {
                return;
            }
            Opening::Unlabelled => format!("has no label {label}: enabled"),
            Opening::OtherValue => {
                format!(
                    "has the label {label}: {}, which is neither enabled nor all",
                    value.unwrap_or_default()
                )
            }
        };
        let Some(home) = self.manifests.home(object, &object.base) else { return };
        let span = home.locator.field(&home.path(&["metadata", "labels", &label]), Part::Value);
        let span = span.unwrap_or_else(|| home.locator.nearest(&home.path(&["metadata", "name"])));
        let (verb, many) = if names.len() == 1 { ("asks", "it") } else { ("ask", "them") };
        let (severity, message) = if names.is_empty() {
            (Severity::Warning, format!("namespace {namespace} {has}: nothing is injected into its pods"))
        } else {
            let message = format!(
                "namespace {namespace} {has}, and {} {verb} for injection: nothing is injected into {many}",
                some(names, SHOWN)
            );
            (Severity::Error, message)
        };
        let at = (object.file, object.document, span);
        let about = object.name();
        let code = installation::ASKED_OUTSIDE;
        self.collector.push(severity, code, at, Some((&about, namespace)), &message);
    }
}

/// Most names of objects that a finding lists: a line of them.
const SHOWN: usize = 5;

/// Values of the label by which somebody says that nothing is to be injected.
const CLOSED: [&str; 4] = ["", "disabled", "false", "none"];

/// The holder of a pod with texts for all annotations of the pod, and names for its containers where its operator gives
/// them.
fn as_made(holder: &Value, template: Template<'_>) -> Value {
    let mut value = template.named_in(holder);
    let pod = template.path.iter().try_fold(&mut value, |value, key| value.get_mut(key));
    let annotations = pod.and_then(|pod| pod.get_mut("metadata")?.get_mut("annotations")?.as_object_mut());
    for (_, value) in annotations.into_iter().flatten() {
        match value {
            Value::String(_) => {}
            Value::Null => *value = Value::String(String::new()),
            _ => *value = Value::String(value.to_string()),
        }
    }
    value
}

/// The plan of an injected pod.
pub fn plan_of(pod: &Value) -> Option<Plan> {
    let by_name = |list: Option<&Value>, name: &str| {
        let list = list?.as_array()?.iter();
        list.clone().find(|item| item.get("name").and_then(Value::as_str) == Some(name)).cloned()
    };
    let agent = by_name(pod.get("spec")?.get("initContainers"), AGENT)?;
    let variable = by_name(agent.get("env"), plan::VARIABLE)?;
    Plan::from_variable(variable.get("value")?.as_str()?).ok()
}

/// Why Kubernetes does not take the name part of a key; none if it does.
fn why_no_name(name: &str) -> Option<String> {
    /// Kubernetes' limit.
    const LONGEST: usize = 63;
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = name.as_bytes();
    if name.contains('/') {
        Some("Kubernetes takes only one slash in a key".to_owned())
    } else if name.len() > LONGEST {
        Some(format!("{} characters follow the slash, and Kubernetes takes {LONGEST}", name.len()))
    } else if !bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte)) {
        Some("Kubernetes takes only letters, digits, `-`, `_` and `.` after the slash".to_owned())
    } else if !edge(bytes.first()) || !edge(bytes.last()) {
        Some("Kubernetes wants a letter or digit after the slash and at the end".to_owned())
    } else {
        None
    }
}

fn what(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
