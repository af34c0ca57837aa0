//! From the External Secrets Operator's and the Secrets Store CSI driver's objects, as far as they are about Pulumi
//! ESC, to annotations of ours.
//!
//! Manifests in, manifests out, and a list of what has no equivalent: `input` ▶ `stores`, `eso`, `csi` say what
//! Secrets and mounts would hold (`bundle`), `uses` finds the pods that read them, `places` says what each such place
//! comes to, `delivery` collects what pods get instead, `rewrite` changes them, `others` finds what still reads the rest.
//! Pure: it reads neither a cluster nor a secret. What can't be known without them, such as the names of a Secret's keys,
//! is asked for.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

mod annotations;
mod bundle;
mod csi;
mod delivery;
mod edit;
mod eso;
mod input;
mod object;
mod others;
mod places;
mod report;
mod rewrite;
mod stores;
mod template;
mod uses;

use bundle::{Bundle, Names};
pub use input::{Input, InputError};
use report::Report;
pub use report::{Finding, Level};
use stores::Store;

use crate::inject::Policy;

/// What the manifests don't say.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Namespace of objects that name none.
    pub namespace: String,
    /// Names of the keys of Secrets, by `name` or `namespace/name`, where the manifests leave them to the environment.
    pub keys: BTreeMap<String, BTreeSet<String>>,
    /// What the webhook goes by that will see the pods.
    pub policy: Policy,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Conversion {
    /// What to apply instead of the input, in its order.
    pub documents: Vec<Document>,
    /// What has no equivalent, and what is worth knowing, in the order of the input.
    pub findings: Vec<Finding>,
    /// The objects that nothing needs any more.
    pub replaced: Vec<String>,
    /// The workloads that were changed.
    pub converted: Vec<String>,
    /// Names in [`Options::keys`] that no Secret has.
    pub unknown_keys: Vec<String>,
}

impl Conversion {
    /// Whether there was anything to convert, and some of it was.
    pub fn did_something(&self) -> bool {
        !self.replaced.is_empty() || !self.converted.is_empty()
    }
}

/// A document of the output.
#[derive(Debug)]
pub struct Document {
    /// A comment for people; may be empty.
    pub comment: String,
    /// What it says.
    pub value: Value,
    /// The text of a document that nobody changed.
    pub text: Option<String>,
}

/// Converts manifests.
pub fn convert(inputs: &[Input], options: &Options) -> Result<Conversion, InputError> {
    let manifests = input::read(inputs)?;
    let mut report = Report::default();
    let stores = stores::read(&manifests, options, &mut report);
    let mut bundles = eso::read(&manifests, &stores, options, &mut report);
    bundles.extend(csi::read(&manifests, options, &mut report));
    let names = Names::of(&bundles);
    let mut outcomes: Vec<Option<Outcome>> = Vec::new();
    for (index, manifest) in manifests.iter().enumerate() {
        let known = (bundles.as_mut_slice(), &names);
        outcomes.push(rewrite::workload(index, &manifest.value, known, options, &mut report));
    }
    let objects: Vec<_> = manifests
        .iter()
        .zip(&outcomes)
        .map(|(manifest, outcome)| outcome.as_ref().map_or(&manifest.value, |outcome| &outcome.value))
        .collect();
    others::mark(&objects, (&mut bundles, &names), options, &mut report);
    label_notes(&manifests, &outcomes, options, &mut report);
    let mut conversion = Conversion {
        documents: Vec::new(),
        findings: Vec::new(),
        replaced: Vec::new(),
        converted: Vec::new(),
        unknown_keys: unknown_keys(&bundles, options),
    };
    let mut described: BTreeMap<usize, Vec<&Bundle>> = BTreeMap::new();
    for bundle in &bundles {
        described.entry(bundle.manifest).or_default().push(bundle);
    }
    let kept = stores::kept(&manifests, &stores, &described, options);
    let store_of: BTreeMap<usize, &Store> = stores.iter().map(|store| (store.manifest, store)).collect();
    for (index, (manifest, outcome)) in manifests.iter().zip(outcomes).enumerate() {
        let name = manifest.name();
        if let Some(Outcome { value, changed: true }) = outcome {
            conversion.converted.push(name);
            conversion.documents.push(Document { comment: String::new(), value, text: None });
            continue;
        }
        let own = described.get(&index).map_or(&[][..], Vec::as_slice);
        let unused = own.iter().filter(|bundle| !bundle.is_used && !bundle.is_kept);
        let pasted: Vec<_> =
            unused.filter_map(|bundle| annotations::to_paste(bundle, options, &mut report)).collect();
        let store = store_of.get(&index);
        let is_replaced = (!own.is_empty() && own.iter().all(|bundle| !bundle.is_kept))
            || store.is_some_and(|_| !kept.contains(&index));
        if is_replaced {
            conversion.replaced.push(name);
        } else {
            conversion.documents.push(manifest.document());
        }
        conversion.documents.extend(pasted);
        if let Some(store) = store.filter(|store| is_replaced && !store.is_used(&bundles)) {
            conversion.documents.extend(annotations::of_store(store, options));
        }
    }
    conversion.findings = report.into_findings(&manifests);
    Ok(conversion)
}

/// The names that were given keys, and that no Secret has.
fn unknown_keys(bundles: &[Bundle], options: &Options) -> Vec<String> {
    let is_known = |wanted: &str| {
        bundles.iter().any(|Bundle { name: (namespace, name), .. }| {
            wanted == name || wanted.split_once('/') == Some((namespace, name))
        })
    };
    options.keys.keys().filter(|name| !is_known(name)).cloned().collect()
}

/// Each namespace with converted workloads is to be opened for injection.
fn label_notes(
    manifests: &[input::Manifest],
    outcomes: &[Option<Outcome>],
    options: &Options,
    report: &mut Report,
) {
    let namespaces = manifests.iter().filter(|manifest| annotations::is_labelled(&manifest.value));
    let mut told: BTreeSet<String> =
        namespaces.map(|manifest| object::namespaced(&manifest.value, "").1).collect();
    for (index, (manifest, outcome)) in manifests.iter().zip(outcomes).enumerate() {
        let (namespace, _) = object::namespaced(&manifest.value, &options.namespace);
        if outcome.as_ref().is_some_and(|outcome| outcome.changed) && told.insert(namespace.clone()) {
            let label = format!("kubectl label namespace {namespace} esc.pulumi.com/injection=enabled");
            report.at(index).note(
                "",
                format!("namespace {namespace} has to be labelled for injection"),
                label,
            );
        }
    }
}

/// A workload after the attempt.
struct Outcome {
    value: Value,
    changed: bool,
}
