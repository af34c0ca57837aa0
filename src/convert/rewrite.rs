//! Workloads that read from bundles: what they read is delivered, and the references are taken out.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{
    Options, Outcome, annotations,
    bundle::{Bundle, Content, Item, Names, Resolved},
    delivery::{Delivery, Entry},
    edit, object,
    report::{At, Report},
    uses::{self, Read, Use, Volume},
};
use crate::{
    inject::{self, Context, Policy, problem::Warning},
    manifest::workload::{self, Template},
};

/// Where files appear when nobody says where.
const MOUNT_PATH: &str = "/run/secrets/esc";

/// The smallest interval that operators allow by default, in seconds.
const MIN_REFRESH: u64 = 60;

/// What a use comes to.
#[derive(Debug)]
enum Gets {
    Variables(Vec<(String, Entry)>),
    Projection(Box<Item>),
    Files(Vec<(String, Entry)>),
}

/// Converts a workload; none for an object that makes no pods, or whose pods read from no bundle.
pub fn workload(
    manifest: usize,
    object: &Value,
    (bundles, names): (&mut [Bundle], &Names),
    options: &Options,
    report: &mut Report,
) -> Option<Outcome> {
    let Template { path, pod: template, .. } = workload::pod(object)?;
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

fn bundles_of(one: &Use) -> Vec<usize> {
    match &one.read {
        Read::Variable { bundle, .. } | Read::Variables { bundle, .. } => vec![*bundle],
        Read::Files { volume, .. } => volume.parts.iter().map(|(bundle, _)| *bundle).collect(),
    }
}

fn mark(bundles: &mut [Bundle], indices: &[usize], is_kept: bool) {
    for index in indices {
        if let Some(bundle) = bundles.get_mut(*index) {
            bundle.is_used = true;
            bundle.is_kept |= is_kept;
        }
    }
}

/// The names of each container's own variables, which win over `envFrom`.
fn own_variables(spec: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let containers = ["/initContainers", "/containers"].into_iter().flat_map(|list| object::list(spec, list));
    containers
        .map(|container| {
            let names =
                object::list(container, "/env").iter().filter_map(|entry| object::text(entry, "/name"));
            let name = object::text(container, "/name").unwrap_or_default();
            (name.to_owned(), names.map(str::to_owned).collect())
        })
        .collect()
}

struct Worker<'a, 'r> {
    namespace: &'a str,
    prefix: &'a str,
    bundles: &'a mut [Bundle],
    at: At<'r>,
    delivery: Delivery,
    /// Variables that are settled, by container.
    taken: BTreeMap<String, BTreeSet<String>>,
    /// Files that are elsewhere now: the field, and from where to where.
    moved: Vec<(String, String)>,
}

impl Worker<'_, '_> {
    /// Leaves a use as it is, and what it needs in use.
    fn leave(&mut self, one: &Use) -> Option<Gets> {
        mark(self.bundles, &bundles_of(one), true);
        None
    }

    fn left(&mut self, one: &Use, what: impl Into<String>, instead: impl Into<String>) -> Option<Gets> {
        self.at.left(&format!("{}.{}", self.prefix, one.field), what, instead);
        self.leave(one)
    }

    /// What a use reads, by names of ours.
    fn resolve(&mut self, one: &Use) -> Option<Gets> {
        mark(self.bundles, &bundles_of(one), false);
        match &one.read {
            Read::Variable { bundle, name, key } => match self.bundles.get(*bundle)?.resolve(key) {
                Resolved::Item(item) => Some(Gets::Variables(vec![(name.clone(), entry(one, *item, None))])),
                Resolved::Ambiguous => {
                    let what = format!("key {key} may come from several objects");
                    self.left(one, what, "name the key in the ExternalSecret's spec.data")
                }
                Resolved::Absent => self.left(
                    one,
                    format!("nothing makes key {key}"),
                    "correct the name, or take the variable out",
                ),
            },
            Read::Variables { bundle, prefix } => self.variables(one, *bundle, prefix),
            Read::Files { volume, sub_path, .. } => self.files(one, volume, sub_path.as_deref()),
        }
    }

    fn variables(&mut self, one: &Use, bundle: usize, prefix: &str) -> Option<Gets> {
        let found = self.bundles.get(bundle)?.clone();
        if !found.is_closed() {
            // What ESC itself calls variables needs no names.
            if let (true, "", [members]) = (found.items.is_empty(), prefix, found.members.as_slice())
                && members.path.as_str() == "environmentVariables"
            {
                let content = Content::Path(members.path.clone());
                let item = Item { origin: members.origin.clone(), content, decode: None, format: None };
                return Some(Gets::Projection(Box::new(item)));
            }
            let how = annotations::how_to_name(&found);
            return self.left(one, "which keys there are, only the environment knows", how);
        }
        let mut gets = Vec::new();
        let mut skipped = Vec::new();
        let taken = self.taken.entry(one.container.name.clone()).or_default();
        for (key, item) in &found.items {
            let name = format!("{prefix}{key}");
            if name.parse::<crate::esc::names::VariableName>().is_err() {
                skipped.push(name);
            } else if taken.insert(name.clone()) {
                gets.push((name, entry(one, item.clone(), None)));
            }
        }
        if !skipped.is_empty() {
            let what = format!("no legal names of variables, and not delivered: {}", skipped.join(", "));
            let instead = "name them with env.<VAR> if the application reads them by these names";
            self.at.note(&format!("{}.{}", self.prefix, one.field), what, instead);
        }
        Some(Gets::Variables(gets))
    }

    fn files(&mut self, one: &Use, volume: &Volume, sub_path: Option<&str>) -> Option<Gets> {
        let mut gets: Vec<(String, Entry)> = Vec::new();
        for (bundle, keys) in &volume.parts {
            let found = self.bundles.get(*bundle)?.clone();
            match keys {
                Some(keys) => {
                    for file in keys {
                        let Resolved::Item(item) = found.resolve(&file.key) else {
                            let what = format!("nothing makes key {}, or several objects may", file.key);
                            return self.left(one, what, "name the key in the ExternalSecret's spec.data");
                        };
                        gets.push((file.path.clone(), entry(one, *item, file.mode.or(volume.mode))));
                    }
                }
                None if found.is_closed() => {
                    let items = found.items.iter();
                    gets.extend(
                        items.map(|(key, item)| (key.clone(), entry(one, item.clone(), volume.mode))),
                    );
                }
                None => {
                    let single = sub_path.map(|path| (path, found.resolve(path)));
                    if let Some((path, Resolved::Item(item))) = single {
                        gets.push((path.to_owned(), entry(one, *item, volume.mode)));
                        continue;
                    }
                    let how = annotations::how_to_name(&found);
                    return self.left(one, "which keys there are, only the environment knows", how);
                }
            }
        }
        if let Some(path) = sub_path {
            gets.retain(|(name, _)| name == path);
            if gets.is_empty() {
                return self.left(
                    one,
                    format!("mounts {path}, which is none of the files"),
                    "correct subPath",
                );
            }
        }
        Some(Gets::Files(gets))
    }

    /// Puts what a use reads into the delivery, all of it or nothing.
    fn place(&mut self, one: &Use, gets: Gets, base: Option<&str>) -> bool {
        let namespace = self.namespace;
        let result = match &gets {
            Gets::Variables(all) => {
                all.iter().try_for_each(|(name, entry)| self.delivery.admits_variable(name, entry, namespace))
            }
            Gets::Projection(item) => self.delivery.admits(item, namespace),
            Gets::Files(all) => all.iter().try_for_each(|(name, entry)| {
                self.delivery.admits_file(&file_name(one, name, base), entry, namespace)
            }),
        };
        if let Err(why) = result {
            let instead = "keep it as it is, or decide by hand: docs/annotations.md has what can be said";
            self.left(one, why, instead);
            return false;
        }
        match gets {
            Gets::Variables(all) => {
                for (name, entry) in all {
                    self.delivery.add_variable(&name, entry, namespace);
                }
            }
            Gets::Projection(item) => self.delivery.add_projection(&item, &one.container.name, namespace),
            Gets::Files(all) => {
                for (name, entry) in all {
                    let name = file_name(one, &name, base);
                    self.tell_moved(one, &name, base);
                    self.delivery.add_file(&name, entry, namespace);
                }
                self.delivery.mount_path = base.filter(|base| *base != MOUNT_PATH).map(str::to_owned);
            }
        }
        true
    }

    /// An application looks for its files where they were.
    fn tell_moved(&mut self, one: &Use, name: &str, base: Option<&str>) {
        let Read::Files { mount_path, sub_path, volume } = &one.read else { return };
        if sub_path.is_none() && base.is_some() {
            return;
        }
        let before = match sub_path {
            Some(_) => mount_path.clone(),
            None => {
                format!("{mount_path}/{}", name.strip_prefix(&format!("{}/", volume.name)).unwrap_or(name))
            }
        };
        let now = format!("{}/{name}", base.unwrap_or(MOUNT_PATH));
        let what = format!("{before} is now {now}: a pod's files lie below one directory");
        self.moved.push((format!("{}.{}", self.prefix, one.field), what));
    }
}

/// Where files appear: where the pod's only volume of them is mounted. None where there are several, or none.
fn base(uses: &[Use], resolved: &[Option<Gets>]) -> Option<String> {
    let mounts = uses.iter().zip(resolved).filter(|(_, gets)| gets.is_some());
    let paths: BTreeSet<_> = mounts
        .filter_map(|(one, _)| match &one.read {
            Read::Files { mount_path, sub_path: None, .. } => Some(mount_path.trim_end_matches('/')),
            _ => None,
        })
        .collect();
    match (paths.len(), paths.first()) {
        (1, Some(path)) => Some((*path).to_owned()),
        _ => None,
    }
}

/// The name of a file below where files appear.
fn file_name(one: &Use, name: &str, base: Option<&str>) -> String {
    match &one.read {
        Read::Files { volume, sub_path, .. } if sub_path.is_some() || base.is_none() => {
            format!("{}/{name}", volume.name)
        }
        _ => name.to_owned(),
    }
}

fn entry(one: &Use, item: Item, mode: Option<u64>) -> Entry {
    Entry {
        item,
        containers: BTreeSet::from([one.container.name.clone()]),
        is_optional: one.is_optional,
        // Only what is narrower than ours was meant as a protection.
        mode: mode.filter(|mode| mode & 0o004 == 0),
    }
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
