//! Workloads that read from bundles: what they read is delivered, and the references are taken out.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    Options, Outcome, annotations,
    bundle::{Bundle, Names},
    delivery::Delivery,
    edit, object,
    places::{Worker, base, bundles_of, mark, own_variables},
    report::{At, Report},
    uses::{self, Read, Use},
};
use crate::{
    inject::{self, Context, Policy, problem::Warning},
    manifest::workload::{self, Template},
};

/// The smallest interval that operators allow by default, in seconds.
const MIN_REFRESH: u64 = 60;

/// Converts a workload; none for an object that makes no pods, or whose pods read from no bundle.
pub fn workload(
    manifest: usize,
    object: &Value,
    (bundles, names): (&mut [Bundle], &Names),
    options: &Options,
    report: &mut Report,
) -> Option<Outcome> {
    let object = &workload::pod(object)?.named_in(object);
    let Template { path, pod: template, is_known, .. } = workload::pod(object)?;
    let spec = template.get("spec")?;
    let (namespace, _) = object::namespaced(object, &options.namespace);
    let (uses, bound) = uses::find(spec, &namespace, names);
    if uses.is_empty() && bound.is_empty() {
        return None;
    }
    let prefix = path.iter().chain(&["spec"]).copied().collect::<Vec<_>>().join(".");
    let mut at = report.at(manifest);
    for bound in &bound {
        mark(bundles, &[bound.bundle], true);
        at.left(&format!("{prefix}.{}", bound.field), bound.why, "keep what makes the Secret");
    }
    let asks = annotations::asks(template);
    if asks {
        let what = "has annotations of esc.pulumi.com already, and was left as it is";
        at.left("", what, "convert a copy without them, and put both together");
    }
    let mut worker = Worker {
        namespace: &namespace,
        prefix: &prefix,
        bundles,
        at,
        delivery: Delivery::default(),
        taken: own_variables(spec),
        moved: Vec::new(),
    };
    let resolved: Vec<_> =
        uses.iter().map(|one| if asks { worker.leave(one) } else { worker.resolve(one) }).collect();
    let base = base(&uses, &resolved);
    let mut done = Vec::new();
    for (one, gets) in uses.iter().zip(resolved) {
        done.push(gets.is_some_and(|gets| worker.place(one, gets, base.as_deref())));
    }
    if worker.delivery.is_empty() {
        // Taking out what brings nothing could still change a variable that is made of others.
        for one in uses.iter().zip(&done).filter(|(_, done)| **done).map(|(one, _)| one) {
            worker.left(
                one,
                "brings nothing that could be delivered: no key is a legal name of a variable, or the container has its own of that name",
                "take it out if nothing depends on it, and convert again",
            );
        }
        return Some(Outcome { value: object.clone(), changed: false });
    }
    let Worker { delivery, moved, .. } = worker;
    let delivery = finished(delivery, object, &uses, &done, bundles);
    let mut changed = object.clone();
    let pod = path.iter().try_fold(&mut changed, |value, key| value.get_mut(*key))?;
    edit::remove(pod.get_mut("spec")?, uses.iter().zip(&done).filter(|(_, done)| **done).map(|(one, _)| one));
    let everyone = everyone(spec, &delivery);
    edit::annotate(pod, annotations::of(&delivery, everyone));
    let warnings = match admitted(pod, &delivery, &namespace, options) {
        Ok(warnings) => warnings,
        Err(reasons) => {
            for one in &uses {
                mark(bundles, &bundles_of(one), true);
            }
            let mut at = report.at(manifest);
            for (reason, instead) in reasons {
                at.left("", format!("was left as it is: converted, the webhook would {reason}"), instead);
            }
            return Some(Outcome { value: object.clone(), changed: false });
        }
    };
    let account = object::text(spec, "/serviceAccountName").unwrap_or("default").to_owned();
    for bundle in used(&uses, &done).into_iter().filter_map(|index| bundles.get(index)) {
        annotations::told_identity(bundle, Some(&account), options, report);
    }
    let mut at = report.at(manifest);
    for (field, what) in moved {
        at.left(&field, what, "tell the application, or link the one to the other");
    }
    if !is_known {
        at.note(
            "",
            "its kind is not one of Kubernetes' own; spec.template was taken for its pod's",
            "see that its operator puts the template's annotations on its pods before you delete what makes the Secret",
        );
    }
    tell(&delivery, &warnings, &mut at);
    Some(Outcome { value: changed, changed: true })
}

/// What was converted is rounded off: how often it is renewed.
fn finished(
    mut delivery: Delivery,
    object: &Value,
    uses: &[Use],
    done: &[bool],
    bundles: &[Bundle],
) -> Delivery {
    // A Job's pods end before anything changes.
    let is_job = matches!(object::text(object, "/kind"), Some("Job" | "CronJob"));
    let renewed = uses.iter().zip(done).filter(|(_, done)| **done).filter_map(|(one, _)| match &one.read {
        // Kubelet never renews a single mounted file, nor a variable.
        Read::Files { volume, sub_path: None, .. } => Some(volume),
        _ => None,
    });
    let intervals = renewed
        .flat_map(|volume| &volume.parts)
        .filter_map(|(index, _)| bundles.get(*index)?.refresh)
        .map(|interval| interval.max(std::time::Duration::from_secs(MIN_REFRESH)));
    delivery.refresh = intervals.min().filter(|_| !is_job);
    delivery
}

/// The bundles of the uses that were converted.
fn used(uses: &[Use], done: &[bool]) -> BTreeSet<usize> {
    uses.iter().zip(done).filter(|(_, done)| **done).flat_map(|(one, _)| bundles_of(one)).collect()
}

/// Whether all get something that would by default.
fn everyone(spec: &Value, delivery: &Delivery) -> bool {
    let receivers = delivery.receivers();
    let lists = ["/initContainers", "/containers"].into_iter().flat_map(|list| object::list(spec, list));
    let names: BTreeSet<_> = lists
        .filter_map(|container| object::text(container, "/name"))
        .filter(|name| !inject::policy::EXCLUDED_CONTAINERS.contains(name))
        .collect();
    names == receivers
}

/// What to know of the changed pod.
fn tell(delivery: &Delivery, warnings: &[Warning], at: &mut At<'_>) {
    if delivery.environments.len() > 1 {
        let names: Vec<_> = delivery.environments.iter().map(ToString::to_string).collect();
        at.left(
            "",
            format!("opens {} as one, the later over the earlier: where both have a property, the later's is delivered", names.join(" and ")),
            "see that their properties have different names",
        );
    }
    if !delivery.projected.is_empty() && delivery.projected.len() < delivery.receivers().len() {
        at.left(
            "",
            "environmentVariables reach all containers that receive something, not only those that read them before",
            "name the variables one by one in config",
        );
    }
    for warning in warnings {
        at.note("", warning.to_string(), "");
    }
}

/// What the webhook would say of the changed pod: its warnings, or what it would do instead of injecting it, with a way
/// out.
fn admitted(
    pod: &Value,
    delivery: &Delivery,
    namespace: &str,
    options: &Options,
) -> Result<Vec<Warning>, Vec<(String, &'static str)>> {
    // Whoever runs the webhook is told what it has to allow.
    let mut policy = Policy { allowed_audiences: vec!["*".to_owned()], ..options.policy.clone() };
    let addresses = delivery.access.iter().filter_map(|access| access.api_url.clone());
    policy.allowed_api_urls.extend(addresses);
    let context = Context {
        namespace,
        namespace_annotations: None,
        everyone: false,
        api_server: None,
        policy: &policy,
    };
    match inject::inject(pod, &context) {
        inject::Outcome::Refused(problems) => Err(problems
            .iter()
            .map(|problem| (format!("refuse it: {problem}"), problem.code.entry().fix))
            .collect()),
        inject::Outcome::Skipped { .. } => Err(vec![(
            "pass it by".to_owned(),
            "keep what makes the Secret, or move it to another namespace",
        )]),
        inject::Outcome::Injected { warnings, .. } => Ok(warnings),
    }
}
