//! `check --resolve`: what the agent would say of the environments that were opened. Pure: who opens them is the caller.
//!
//! The agent's own code looks the paths up and renders, in memory; what it renders is dropped. Findings name paths, keys
//! and names, never a value.

use std::collections::BTreeMap;

use super::{Asking, Checked, Collector, Manifests, Refused};
use crate::{
    agent::content::{self, Destination, Problem},
    codes::{Code, manifest as codes},
    esc::{lookup::NotFound, merge, reference::Reference, value::Value},
    inject::{keys::Key, subject::Subject},
    manifest::{
        finding::{Finding, Severity},
        locate::{self, Home, Part, Place},
    },
    prose::some,
};

/// What became of opening environments: what they hold, or the code and the words of why they can't be had.
pub type Opened = BTreeMap<String, Result<Value, (Code, String)>>;

impl Asking {
    /// The environments that its agent will open.
    pub fn environments(&self) -> &[Reference] {
        &self.plan.environments
    }
}

impl Manifests<'_> {
    /// Judges the pods that will be injected by what their environments hold. `api_url` is the ESC that was asked.
    pub fn resolve(&self, checked: &Checked, opened: &Opened, api_url: &str) -> Vec<Finding> {
        let mut collector = Collector { manifests: self, findings: Vec::new() };
        for pod in &checked.asking {
            self.resolve_one(&mut collector, pod, opened, api_url);
        }
        for Refused { at, object, namespace } in &checked.refused {
            let message = "the pod would be refused as it stands, so nothing of it was looked up";
            let about = Some((object.as_str(), namespace.as_str()));
            collector.push(Severity::Error, codes::NOT_RESOLVED, at.clone(), about, message);
        }
        collector.finish()
    }

    fn resolve_one(&self, collector: &mut Collector<'_, '_>, pod: &Asking, opened: &Opened, api_url: &str) {
        let Some(locator) = self.locator(pod.file, pod.document) else { return };
        let home = Home { locator, base: &pod.base };
        let of_namespace = pod.home.as_ref().and_then(|(file, document, base)| {
            Some((*file, *document, Home { locator: self.locator(*file, *document)?, base }))
        });
        let about = Some((pod.object.as_str(), pod.namespace.as_str()));
        let mut push = |severity, code, subject: &Subject, message: &str| {
            let namespace = of_namespace.as_ref();
            let at = match locate::subject(subject, Part::Value, &home, namespace.map(|(.., home)| home)) {
                Place::Pod(span) => (pod.file, pod.document, span),
                Place::Namespace(span) => {
                    let (file, document) =
                        namespace.map_or((pod.file, pod.document), |(file, document, _)| (*file, *document));
                    (file, document, span)
                }
            };
            collector.push(severity, code, at, about, message);
        };
        if pod.plan.api.url != api_url {
            let message = format!("the pod opens its environments at {}, not at {api_url}", pod.plan.api.url);
            return push(Severity::Warning, codes::NOT_RESOLVED, &Subject::key(Key::ApiUrl), &message);
        }
        let mut layers = Vec::new();
        for reference in pod.environments() {
            match opened.get(&reference.to_string()) {
                Some(Ok(value)) => layers.push(value.clone()),
                Some(Err((code, why))) => {
                    push(Severity::Error, *code, &Subject::key(Key::Environment), why);
                }
                None => {}
            }
        }
        // All of them, or there is nothing to look anything up in.
        if layers.len() < pod.environments().len() {
            return;
        }
        let environment = merge::fold(layers);
        for view in &pod.plan.views {
            let Err(problems) = content::resolve(view, &environment) else { continue };
            for problem in problems {
                let exists = problem.not_found().map(names).unwrap_or_default();
                let message = format!("{problem}{exists}");
                push(Severity::Error, problem.code(), &subject_of(&problem), &message);
            }
        }
    }
}

/// What there is where a path ends: who may open the environment may read its names.
fn names(NotFound { available, .. }: &NotFound) -> String {
    /// A line of them.
    const SHOWN: usize = 12;
    if available.is_empty() { String::new() } else { format!(" (it has {})", some(available, SHOWN)) }
}

fn subject_of(problem: &Problem) -> Subject {
    match problem {
        Problem::Missing { destination, .. } | Problem::Unwritable { destination, .. } => match destination {
            Destination::Variable(name) => Subject::Variable(name.to_string()),
            Destination::File(name) => Subject::file(name),
        },
        Problem::Nul { name } => Subject::Variable(name.to_string()),
        Problem::Kubelet(unwritable) => Subject::Variable(unwritable.name.to_string()),
        Problem::Template { file, .. } | Problem::Clash { file, .. } => Subject::file(file),
        Problem::Unknown(_) | Problem::Names { .. } => Subject::key(Key::Projections),
    }
}
