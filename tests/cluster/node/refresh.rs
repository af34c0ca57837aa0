//! The agent as a native sidecar: values stay fresh in pods that run, and it is in nobody's way.

use serde_json::{Value, json};

use crate::support::{
    apps::{STAY, container, is_ready, pod, spec, status},
    cluster::cluster,
    eventually,
    installation::{Shop, shared},
    planted::{self, sha256},
    processes,
};

fn values(password: &str) -> Value {
    json!({"db": {"password": {"fn::secret": password}}})
}

/// Asks for the file, kept fresh each second.
fn asks(shop: &Shop, further: &Value) -> Value {
    let mut annotations = shop.asks(&json!({"file.password": "db.password", "refresh": "1s"}));
    for (key, value) in further.as_object().unwrap() {
        annotations[format!("esc.pulumi.com/{key}")] = value.clone();
    }
    annotations
}

/// Waits until the running pod's file holds this.
fn wait_for_file(shop: &Shop, name: &str, content: &str) {
    let expected = format!("{}  -\n", sha256(content));
    eventually("the file in the running pod is the new one", || {
        let seen = shop.exec(name, &["/bin/sh", "-c", "sha256sum </run/secrets/esc/password"]);
        (seen.stdout == expected).then_some(())
    });
}

#[test]
#[ignore = "needs a cluster: tests/cluster/up"]
fn the_application_starts_after_the_first_set_and_later_ones_arrive_while_it_runs() {
    let installation = shared();
    let (first, second) = (planted::value("first"), planted::value("second"));
    let shop = installation.shop(&values(&first));
    // Every request is answered, and its first line is logged.
    let listens = "sha256sum </run/secrets/esc/password; \
        while :; do printf 'HTTP/1.1 204 No Content\\r\\nConnection: close\\r\\n\\r\\n' \
        | nc -l -p 8080 | head -n 1; done";
    shop.apply(&pod(
        "shop",
        &asks(&shop, &json!({"on-change": "http://127.0.0.1:8080/reload"})),
        &spec(listens),
    ));
    let before = shop.ready("shop");
    assert_eq!(before["spec"]["initContainers"][0]["restartPolicy"], "Always");
    let at_start = shop.logged("shop", "app", "  -\n");
    assert!(at_start.starts_with(&sha256(&first)), "{at_start}");
    assert!(!at_start.contains("POST"), "the first set is no change: {at_start}");

    installation.esc.put(&shop.namespace.name, &values(&second));
    wait_for_file(&shop, "shop", &second);
    shop.logged("shop", "app", "POST /reload HTTP/1.1");
    let after = shop.ready("shop");
    for container in ["app", "esc-agent"] {
        assert_eq!(status(&after, container)["restartCount"], 0, "{container}");
    }
    assert_eq!(planted::found_on_disk(&[&first, &second]), Vec::<String>::new());
}

#[test]
#[ignore = "needs a cluster: tests/cluster/up"]
fn a_changed_value_signals_the_application() {
    let installation = shared();
    let (first, second) = (planted::value("first"), planted::value("second"));
    let shop = installation.shop(&values(&first));
    let listens = "trap 'echo heard it; sha256sum </run/secrets/esc/password' HUP; trap 'exit 0' TERM; \
        echo listening; while :; do sleep 3600 & wait $!; done";
    let annotations = asks(&shop, &json!({"on-change": "signal:SIGHUP", "share-process-namespace": "true"}));
    let warned = shop.apply(&pod("shop", &annotations, &spec(listens)));
    assert!(warned.contains("Warning:"), "a shared process namespace is warned of: {warned}");
    shop.ready("shop");
    shop.logged("shop", "app", "listening");
    installation.esc.put(&shop.namespace.name, &values(&second));
    let log = shop.logged("shop", "app", "  -\n");
    assert_eq!(log, format!("listening\nheard it\n{}  -\n", sha256(&second)));
}

#[test]
#[ignore = "needs a cluster: tests/cluster/up"]
fn a_changed_value_restarts_all_containers_in_place_with_fresh_variables() {
    let installation = shared();
    let (first, second) = (planted::value("first"), planted::value("second"));
    let shop = installation.shop(&values(&first));
    let annotations =
        asks(&shop, &json!({"env.PASSWORD": "db.password", "on-change": "restart", "restart-spread": "1s"}));
    let prints = format!("printf %s \"$PASSWORD\" | sha256sum; {STAY}");
    // One through the wrapper, one from kubelet.
    let mut kubelets = container("kubelets", "");
    kubelets.as_object_mut().unwrap().remove("command");
    kubelets["args"] = json!(["sh", "-c", prints]);
    let mut both = spec(&prints);
    both["containers"].as_array_mut().unwrap().push(kubelets);
    shop.apply(&pod("shop", &annotations, &both));
    let before = shop.ready("shop");
    let agent = &before["spec"]["initContainers"][0];
    assert_eq!(agent["restartPolicyRules"][0]["action"], "RestartAllContainers", "{agent:#}");
    let expect = |password: &str| {
        let expected = format!("{}  -\n", sha256(password));
        for container in ["app", "kubelets"] {
            eventually("the variable is as it should be", || {
                (shop.log("shop", container) == expected).then_some(())
            });
        }
    };
    expect(&first);
    installation.esc.put(&shop.namespace.name, &values(&second));
    let after = shop.eventually("all containers have restarted", "shop", |pod| {
        let restarted = |container| status(pod, container)["restartCount"] == 1;
        (["esc-agent", "app", "kubelets"].into_iter().all(restarted) && is_ready(pod)).then(|| pod.clone())
    });
    expect(&second);
    for same in ["/metadata/uid", "/status/podIP"] {
        assert_eq!(before.pointer(same), after.pointer(same), "{same}");
    }
}

#[test]
#[ignore = "needs a cluster: tests/cluster/up"]
fn jobs_and_cron_jobs_complete_beside_the_sidecar() {
    let installation = shared();
    let password = planted::value("password");
    let shop = installation.shop(&values(&password));
    let mut ends = spec("sha256sum </run/secrets/esc/password");
    ends["restartPolicy"] = json!("Never");
    let template = json!({"metadata": {"annotations": asks(&shop, &json!({}))}, "spec": ends});
    let job = json!({"template": template, "backoffLimit": 0});
    shop.apply(&json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "each-minute"},
         "spec": {"schedule": "* * * * *", "concurrencyPolicy": "Forbid", "jobTemplate": {"spec": job}}},
        {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "migrate"}, "spec": job},
    ]}));
    let complete = |prefix: &str| {
        eventually(&format!("a job of {prefix} completes"), || {
            let jobs = cluster().list("jobs", &shop.namespace.name);
            let mut ours =
                jobs.iter().filter(|job| job["metadata"]["name"].as_str().unwrap().starts_with(prefix));
            ours.any(|job| job["status"]["succeeded"] == 1).then_some(())
        });
    };
    complete("migrate");
    // Its minute has to come first, which takes one.
    eventually("the minute has come", || {
        let jobs = cluster().list("jobs", &shop.namespace.name);
        jobs.iter()
            .any(|job| job["metadata"]["name"].as_str().unwrap().starts_with("each-minute-"))
            .then_some(())
    });
    complete("each-minute-");
    let pods = cluster().list("pods", &shop.namespace.name);
    for pod in &pods {
        let name = pod["metadata"]["name"].as_str().unwrap();
        if pod["status"]["phase"] == "Succeeded" {
            shop.logs(name, "app", &format!("{}  -\n", sha256(&password)));
            assert_eq!(status(pod, "esc-agent")["state"]["terminated"]["exitCode"], 0, "{pod:#}");
        }
    }
}

#[test]
#[ignore = "needs a cluster: tests/cluster/up"]
fn the_sidecar_does_not_hold_up_the_end_of_its_pod() {
    let installation = shared();
    let shop = installation.shop(&values("anything"));
    let mut patient = spec(STAY);
    // Whoever did not stop by itself would stay for an hour.
    patient["terminationGracePeriodSeconds"] = json!(3600);
    shop.apply(&pod("shop", &asks(&shop, &json!({})), &patient));
    shop.ready("shop");
    shop.delete("shop");
}

#[test]
#[ignore = "needs a cluster: tests/cluster/up"]
fn a_killed_sidecar_is_ready_again_with_what_lies_there_while_esc_is_down() {
    let installation = shared();
    let esc = installation.spare();
    let (first, second) = (planted::value("first"), planted::value("second"));
    let shop = Shop::of(&esc, &values(&first), json!({}));
    shop.apply(&pod("shop", &asks(&shop, &json!({"api-url": esc.url()})), &spec(STAY)));
    let before = shop.ready("shop");
    esc.leave();
    shop.logged("shop", "esc-agent", "ESC601");
    processes::kill(&before, "agent sidecar");
    let after = shop.eventually("the sidecar is back, and the pod is ready", "shop", |pod| {
        (status(pod, "esc-agent")["restartCount"] == 1 && is_ready(pod)).then(|| pod.clone())
    });
    assert_eq!(status(&after, "app")["restartCount"], 0);
    assert!(shop.log("shop", "esc-agent").contains("ready with the set that lies there"));
    wait_for_file(&shop, "shop", &first);
    esc.put(&shop.namespace.name, &values(&second));
    esc.come_back();
    wait_for_file(&shop, "shop", &second);
}
