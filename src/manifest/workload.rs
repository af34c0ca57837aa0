//! Which kinds make pods, and where they keep the pod's template.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

/// The members that lead from an object of this kind to its pod; `None` for a kind that makes no pods.
pub fn pod_path(kind: &str) -> Option<&'static [&'static str]> {
    match kind {
        "Pod" => Some(&[]),
        "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "ReplicationController" | "Job" => {
            Some(&["spec", "template"])
        }
        "CronJob" => Some(&["spec", "jobTemplate", "spec", "template"]),
        "PodTemplate" => Some(&["template"]),
        _ => None,
    }
}

/// A pod, or its template, in an object.
#[derive(Debug, Clone, Copy)]
pub struct Template<'v> {
    /// The kind whose controller makes such pods of it.
    pub kind: &'v str,
    /// What leads to it.
    pub path: &'static [&'static str],
    /// The pod, or pod template.
    pub pod: &'v Value,
    /// Whether the object's own kind is one of Kubernetes' that make pods.
    pub is_known: bool,
}

/// An object's pod; also in kinds that only their own operators know, if they keep a template where most do: the webhook
/// sees their pods like all others. Everything that reads manifests asks here.
pub fn pod(object: &Value) -> Option<Template<'_>> {
    const USUAL: &str = "Deployment";
    if let Some(kind) = object.get("kind").and_then(Value::as_str)
        && let Some(path) = pod_path(kind)
    {
        return Some(Template { kind, path, pod: template(kind, object)?, is_known: true });
    }
    let pod = template(USUAL, object)?;
    pod.get("spec")?.get("containers")?.as_array()?;
    Some(Template { kind: USUAL, path: pod_path(USUAL)?, pod, is_known: false })
}

impl<'v> Template<'v> {
    /// The pod as its operator will make it, as far as that is known: with names for containers that have none. Knative
    /// gives such names, and Kubernetes wants them of its own kinds.
    pub fn named(&self) -> Cow<'v, Value> {
        if self.is_known {
            return Cow::Borrowed(self.pod);
        }
        let mut pod = self.pod.clone();
        name_containers(&mut pod);
        Cow::Owned(pod)
    }

    /// A copy of what holds the template, with such a pod in it.
    pub fn named_in(&self, holder: &Value) -> Value {
        let mut holder = holder.clone();
        let pod = self.path.iter().try_fold(&mut holder, |value, key| value.get_mut(key));
        if let Some(pod) = pod.filter(|_| !self.is_known) {
            name_containers(pod);
        }
        holder
    }
}

fn name_containers(pod: &mut Value) {
    for (list, word) in [("initContainers", "init-container"), ("containers", "user-container")] {
        let containers = pod.get_mut("spec").and_then(|spec| spec.get_mut(list));
        give_names(containers.and_then(Value::as_array_mut).map_or(&mut [][..], Vec::as_mut_slice), word);
    }
}

/// Names for those that have none: the word, or with a number where there are several. Anything else that is no name is
/// left for the judge.
fn give_names(containers: &mut [Value], word: &str) {
    let name = |container: &Value| container.get("name").and_then(Value::as_str).map(str::to_owned);
    let taken: Vec<String> = containers.iter().filter_map(name).collect();
    let is_alone = containers.len() == 1;
    let mut free = (0..).map(|number| format!("{word}-{number}")).filter(|name| !taken.contains(name));
    for container in containers.iter_mut().filter_map(Value::as_object_mut) {
        let is_unnamed = container.get("name").is_none_or(|name| name.is_null() || name == "");
        if is_unnamed && let Some(name) = Some(word.to_owned()).filter(|_| is_alone).or_else(|| free.next()) {
            container.insert("name".to_owned(), Value::String(name));
        }
    }
}

/// The pod, or pod template, of an object of this kind.
pub fn template<'a>(kind: &str, object: &'a Value) -> Option<&'a Value> {
    pod_path(kind)?.iter().try_fold(object, |value, key| value.get(key))
}

/// `Deployment/web`, for messages.
pub fn name(object: &Value) -> String {
    let text = |path: &[&str]| path.iter().try_fold(object, |value, key| value.get(key))?.as_str();
    let kind = text(&["kind"]).unwrap_or("object");
    let name =
        text(&["metadata", "name"]).or_else(|| text(&["metadata", "generateName"])).unwrap_or("(unnamed)");
    format!("{kind}/{name}")
}

/// The pods that an object's controller will make, as far as the object tells.
#[derive(Debug)]
pub struct Made {
    /// Surely like this.
    pub pod: Value,
    /// The same with the mount of the ServiceAccount's token, where only the ServiceAccount knows whether it comes.
    pub with_token: Option<Value>,
}

/// Where the API server mounts the token of the pod's ServiceAccount.
const TOKEN_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// The pods that the controller of an object will make of its template, in all that decides over injection: with the
/// volumes, variables and mounts that are not in the template. None for a kind or object without a template.
pub fn made(kind: &str, object: &Value) -> Option<Made> {
    let template = template(kind, object)?;
    let mut pod = Map::new();
    pod.insert("metadata".to_owned(), template.get("metadata").cloned().unwrap_or_default());
    pod.insert("spec".to_owned(), template.get("spec").cloned().unwrap_or_default());
    let mut pod = Value::Object(pod);
    claims(object, &mut pod);
    // The specification that holds the template, a CronJob's job's for instance.
    let above = pod_path(kind)?.split_last().map_or(&[][..], |(_, above)| above);
    let holder = above.iter().try_fold(object, |value, key| value.get(key));
    if holder.and_then(|spec| spec.get("completionMode")).and_then(Value::as_str) == Some("Indexed") {
        each_container(&mut pod, |container| {
            // The controller leaves a variable of that name alone.
            add(container, "env", "name", json!({"name": "JOB_COMPLETION_INDEX", "valueFrom": {}}));
        });
    }
    match pod.pointer("/spec/automountServiceAccountToken").and_then(Value::as_bool) {
        Some(false) => Some(Made { pod, with_token: None }),
        Some(true) => {
            mount_token(&mut pod);
            Some(Made { pod, with_token: None })
        }
        None => {
            let mut with_token = pod.clone();
            mount_token(&mut with_token);
            Some(Made { pod, with_token: Some(with_token) })
        }
    }
}

/// The claims of a `StatefulSet` are volumes of its pods, and win over the template's own.
fn claims(object: &Value, pod: &mut Value) {
    let claims = object.pointer("/spec/volumeClaimTemplates").and_then(Value::as_array);
    for name in claims.into_iter().flatten().filter_map(|claim| claim.pointer("/metadata/name")) {
        if let Some(spec) = pod.get_mut("spec") {
            add(spec, "volumes", "name", json!({"name": name}));
        }
    }
}

fn mount_token(pod: &mut Value) {
    each_container(pod, |container| {
        let mount = json!({"name": "kube-api-access", "mountPath": TOKEN_PATH, "readOnly": true});
        add(container, "volumeMounts", "mountPath", mount);
    });
}

fn each_container(pod: &mut Value, mut change: impl FnMut(&mut Value)) {
    for list in ["initContainers", "containers"] {
        let containers =
            pod.get_mut("spec").and_then(|spec| spec.get_mut(list)).and_then(Value::as_array_mut);
        containers.into_iter().flatten().for_each(&mut change);
    }
}

/// Adds to a list of an object what has no element with the same `key` yet. A field of the wrong type stays as it is,
/// for those who judge the pod.
fn add(object: &mut Value, list: &str, key: &str, item: Value) {
    let Some(object) = object.as_object_mut() else { return };
    let list = object.entry(list).or_insert_with(|| json!([]));
    if list.is_null() {
        *list = json!([]);
    }
    if let Some(list) = list.as_array_mut()
        && list.iter().all(|present| present.get(key) != item.get(key))
    {
        list.push(item);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(spec: &Value) -> Value {
        let mut job = json!({"template": {"metadata": {"annotations": {"a": "b"}}, "spec": spec}});
        job["completionMode"] = json!("Indexed");
        job
    }

    #[test]
    fn pods_have_what_their_controller_adds() {
        let spec = json!({
            "automountServiceAccountToken": false,
            "initContainers": [{"name": "i"}],
            "containers": [{"name": "a", "env": [{"name": "JOB_COMPLETION_INDEX", "value": "mine"}]}],
        });
        let index = json!([{"name": "JOB_COMPLETION_INDEX", "valueFrom": {}}]);
        for object in [
            json!({"kind": "Job", "spec": job(&spec)}),
            json!({"kind": "CronJob", "spec": {"jobTemplate": {"spec": job(&spec)}}}),
        ] {
            let kind = object["kind"].as_str().expect("a kind");
            let made = made(kind, &object).expect("a template");
            assert_eq!(made.pod["metadata"]["annotations"], json!({"a": "b"}));
            assert_eq!(made.pod["spec"]["initContainers"][0]["env"], index);
            assert_eq!(made.pod["spec"]["containers"][0]["env"][0]["value"], "mine");
            assert!(made.with_token.is_none());
        }
        let claims = json!([{"metadata": {"name": "data"}}, {"metadata": {"name": "both"}}]);
        let template = json!({"spec": {"volumes": [{"name": "both", "emptyDir": {}}]}});
        let set = json!({"spec": {"volumeClaimTemplates": claims, "template": template}});
        let volumes = &made("StatefulSet", &set).expect("a template").pod["spec"]["volumes"];
        assert_eq!(volumes, &json!([{"name": "both", "emptyDir": {}}, {"name": "data"}]));
    }

    #[test]
    fn the_service_accounts_token_is_mounted_where_nothing_forbids_it() {
        let of = |automount: Value| {
            let spec = json!({"automountServiceAccountToken": automount, "containers": [{"name": "a"}]});
            made("Deployment", &json!({"spec": {"template": {"spec": spec}}})).expect("a template")
        };
        let path = |pod: &Value| pod.pointer("/spec/containers/0/volumeMounts/0/mountPath").cloned();
        let (no, yes, unsaid) = (of(json!(false)), of(json!(true)), of(Value::Null));
        assert_eq!((path(&no.pod), no.with_token), (None, None));
        assert_eq!((path(&yes.pod), yes.with_token), (Some(json!(TOKEN_PATH)), None));
        assert_eq!(path(&unsaid.pod), None);
        assert_eq!(unsaid.with_token.as_ref().and_then(path), Some(json!(TOKEN_PATH)));
    }

    #[test]
    fn what_no_template_can_be_stays_for_the_judge() {
        for spec in
            [json!(7), Value::Null, json!({"containers": {"name": 1}}), json!({"containers": [[], 5]})]
        {
            let object = json!({"spec": {"template": {"spec": spec}}});
            assert_eq!(made("Deployment", &object).expect("a template").pod["spec"], spec);
        }
        assert!(made("Deployment", &json!({"spec": {}})).is_none());
        assert!(made("Service", &json!({"spec": {"template": {}}})).is_none());
    }
}
