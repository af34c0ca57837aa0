//! Parts of the cluster go away and come back: pods that run keep what they have, and new ones get theirs afterwards.

use serde_json::{Value, json};

use crate::support::{
    apps::{STAY, is_ready, pod, spec},
    cluster::cluster,
    eventually,
    installation::{Installation, Shop},
    planted::{self, sha256},
    processes,
    release::NAME,
};

/// Prints the sums of the file and of the variable, and stays.
fn reads() -> Value {
    spec(&format!("sha256sum </run/secrets/esc/password; printf %s \"$PASSWORD\" | sha256sum; {STAY}"))
}

/// Identities of all containers: of one that was started again, another.
fn containers(pod: &Value) -> Vec<Value> {
    let of = |kind: &str| pod["status"][kind].as_array().cloned().unwrap_or_default();
    let all = of("initContainerStatuses").into_iter().chain(of("containerStatuses"));
    all.map(|status| status["containerID"].clone()).collect()
}

/// A pod of this name comes up with both.
fn expect_a_new_pod(shop: &Shop, name: &str, asks: &Value, password: &str) {
    // For a moment nobody may answer to whom pods are sent, or who is asked to create one.
    eventually("a pod can be created", || {
        shop.namespace.kubectl(["apply", "-f", "-"], &pod(name, asks, &reads())).ok.then_some(())
    });
    shop.ready(name);
    let sum = sha256(password);
    shop.logs(name, "app", &format!("{sum}  -\n{sum}  -\n"));
}

#[test]
#[ignore = "needs a cluster: tests/cluster/up"]
fn running_pods_keep_their_secrets_and_new_ones_work_after_whatever_restarts() {
    let installation = Installation::alone();
    let password = planted::value("password");
    let shop = installation.shop(&json!({"db": {"password": {"fn::secret": password}}}));
    let asks = shop.asks(&json!({"file.password": "db.password", "env.PASSWORD": "db.password"}));
    let mut fresh = asks.clone();
    fresh["esc.pulumi.com/refresh"] = json!("1s");
    expect_a_new_pod(&shop, "init", &asks, &password);
    expect_a_new_pod(&shop, "sidecar", &fresh, &password);
    let before = ["init", "sidecar"].map(|name| containers(&shop.ready(name)));

    let own = installation.namespace.name.as_str();
    let replicas = || {
        let pods = cluster().list("pods", own);
        pods.into_iter().filter(|pod| pod["spec"]["serviceAccountName"] == NAME).collect::<Vec<_>>()
    };
    for what in ["webhook-killed", "webhook-deleted", "kubelet", "containerd", "kube-apiserver"] {
        match what {
            "webhook-killed" => {
                for pod in replicas() {
                    processes::kill(&pod, "esc-injector webhook");
                }
            }
            "webhook-deleted" => {
                let selector = format!("--selector=app.kubernetes.io/name={NAME}");
                cluster()
                    .kubectl(["delete", "pods", "--namespace", own, &selector, "--wait=false"])
                    .expect("deleting the webhook's pods");
            }
            part => cluster().restart(part),
        }
        expect_a_new_pod(&shop, &format!("after-{what}"), &fresh, &password);
        for (name, before) in ["init", "sidecar"].iter().zip(&before) {
            let pod = shop.eventually("it is ready", name, |pod| is_ready(pod).then(|| pod.clone()));
            assert_eq!(&containers(&pod), before, "{name} after {what}");
            let file = eventually("kubelet executes", || {
                let ran = shop.exec(name, &["/bin/sha256sum", "/run/secrets/esc/password"]);
                ran.ok.then_some(ran.stdout)
            });
            assert!(file.starts_with(&sha256(&password)), "{name} after {what}: {file}");
        }
    }
    eventually("both replicas are ready", || {
        let replicas = replicas();
        (replicas.len() == 2 && replicas.iter().all(is_ready)).then_some(())
    });
}
