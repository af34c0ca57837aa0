//! Applications that run: a shell of busybox, in pods that pass Pod Security restricted.

use serde_json::{Value, json};

use super::{cluster::cluster, eventually, installation::Shop};

/// The product's image, as `tests/cluster/load` names it.
pub const PRODUCT: &str = "localhost/esc-injector:dev";

/// A static busybox under the names of its applets.
pub const BUSYBOX: &str = "localhost/busybox:1";

/// Ends a script: stays until it is told to stop, and then goes at once. A shell that waits hears signals.
pub const STAY: &str = "trap 'exit 0' TERM; while :; do sleep 3600 & wait $!; done";

/// A container that runs a script.
pub fn container(name: &str, script: &str) -> Value {
    json!({
        "name": name, "image": BUSYBOX, "command": ["/bin/sh", "-c", script],
        "resources": {"requests": {"cpu": "1m", "memory": "8Mi"}},
        "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
    })
}

/// The spec of a pod with one such container, `app`.
pub fn spec(script: &str) -> Value {
    json!({
        "serviceAccountName": "shop", "automountServiceAccountToken": false, "enableServiceLinks": false,
        "terminationGracePeriodSeconds": 10,
        "securityContext": {
            "runAsNonRoot": true, "runAsUser": 10001, "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container("app", script)],
    })
}

/// A pod.
pub fn pod(name: &str, annotations: &Value, spec: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "annotations": annotations}, "spec": spec,
    })
}

/// A pod that ends by itself.
pub fn once(name: &str, annotations: &Value, mut spec: Value) -> Value {
    spec["restartPolicy"] = json!("Never");
    pod(name, annotations, &spec)
}

/// A Deployment of one pod.
pub fn deployment(name: &str, annotations: &Value, spec: &Value) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}, "annotations": annotations}, "spec": spec},
        },
    })
}

/// The state of a container or init container in a pod's status, or null.
pub fn status<'a>(pod: &'a Value, container: &str) -> &'a Value {
    let of = |kind: &str| pod["status"][kind].as_array().map_or(&[][..], Vec::as_slice);
    let mut all = of("containerStatuses").iter().chain(of("initContainerStatuses"));
    all.find(|status| status["name"] == container).unwrap_or(&Value::Null)
}

/// Whether the pod is ready.
pub fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    conditions.is_some_and(|list| {
        list.iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
    })
}

impl Shop {
    /// Annotations that ask for this, of the shop's environment.
    pub fn asks(&self, further: &Value) -> Value {
        let mut annotations = json!({"esc.pulumi.com/environment": self.reference});
        for (key, value) in further.as_object().unwrap() {
            annotations[format!("esc.pulumi.com/{key}")] = value.clone();
        }
        annotations
    }

    /// Applies an object of a user; what kubectl says on the side.
    #[track_caller]
    pub fn apply(&self, object: &Value) -> String {
        let ran = self.namespace.kubectl(["apply", "-f", "-"], object);
        assert!(ran.ok, "kubectl apply: {}", ran.stderr);
        ran.stderr
    }

    /// Waits until the pod's state answers. If it never does, the failure shows what a user would look at.
    #[track_caller]
    pub fn eventually<T>(&self, what: &str, name: &str, answer: impl Fn(&Value) -> Option<T>) -> T {
        self.eventually_with(what, name, || answer(&cluster().get("pod", &self.namespace.name, name)?))
    }

    /// Waits until a Deployment's only pod answers.
    #[track_caller]
    pub fn eventually_of<T>(&self, what: &str, app: &str, answer: impl Fn(&Value) -> Option<T>) -> T {
        self.eventually_with(what, "", || {
            let pods = cluster().list("pods", &self.namespace.name);
            let mut pods = pods.iter().filter(|pod| {
                pod["metadata"]["labels"]["app"] == app && pod["metadata"]["deletionTimestamp"].is_null()
            });
            let pod = pods.next()?;
            pods.next().is_none().then(|| answer(pod))?
        })
    }

    #[track_caller]
    fn eventually_with<T>(&self, what: &str, name: &str, mut answer: impl FnMut() -> Option<T>) -> T {
        let begun = std::time::Instant::now();
        eventually(what, || {
            let found = answer();
            if found.is_none() && begun.elapsed() > super::PATIENCE.saturating_sub(super::LAST_WORDS) {
                let mut describe = vec!["describe", "pod"];
                describe.extend((!name.is_empty()).then_some(name));
                let described = self.namespace.kubectl(describe, &Value::Null);
                panic!("still not so: {what}\n{}\n{}", described.stdout, self.all_logs());
            }
            found
        })
    }

    /// Waits until the pod is ready.
    #[track_caller]
    pub fn ready(&self, name: &str) -> Value {
        self.eventually(&format!("{name} is ready"), name, |pod| is_ready(pod).then(|| pod.clone()))
    }

    /// Waits until the pod's container has ended, and gives its exit code.
    #[track_caller]
    pub fn exit_code(&self, name: &str, container: &str) -> i64 {
        self.eventually(&format!("{container} of {name} ends"), name, |pod| {
            status(pod, container)["state"]["terminated"]["exitCode"].as_i64()
        })
    }

    /// The log of a container.
    pub fn log(&self, name: &str, container: &str) -> String {
        self.namespace.kubectl(["logs", name, "-c", container], &Value::Null).stdout
    }

    /// Waits until the log is this and no more: a container may be ready before its program has said anything.
    #[track_caller]
    pub fn logs(&self, name: &str, container: &str, expected: &str) {
        self.eventually_with(&format!("{container} of {name} logs {expected:?}"), "", || {
            (self.log(name, container) == expected).then_some(())
        });
    }

    /// Waits until the log has this.
    #[track_caller]
    pub fn logged(&self, name: &str, container: &str, text: &str) -> String {
        self.eventually_with(&format!("{container} of {name} logs {text:?}"), "", || {
            let log = self.log(name, container);
            log.contains(text).then_some(log)
        })
    }

    /// The logs of all containers of all pods.
    pub fn all_logs(&self) -> String {
        let mut all = String::new();
        for pod in cluster().list("pods", &self.namespace.name) {
            let name = pod["metadata"]["name"].as_str().unwrap();
            let arguments = ["logs", name, "--all-containers", "--prefix", "--ignore-errors"];
            all += &self.namespace.kubectl(arguments, &Value::Null).stdout;
        }
        all
    }

    /// `kubectl exec` of a command in a container.
    pub fn exec(&self, name: &str, command: &[&str]) -> super::command::Ran {
        let arguments = ["exec", name, "-c", "app", "--"].into_iter().chain(command.iter().copied());
        self.namespace.kubectl(arguments, &Value::Null)
    }

    /// `kubectl describe`.
    pub fn describe(&self, kind: &str) -> String {
        self.namespace.kubectl(["describe", kind], &Value::Null).expect("kubectl describe")
    }

    /// Deletes a pod, and waits until it is gone.
    #[track_caller]
    pub fn delete(&self, name: &str) {
        self.namespace
            .kubectl(["delete", "pod", name, "--timeout=55s"], &Value::Null)
            .expect("deleting a pod");
    }
}
