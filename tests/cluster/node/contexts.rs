//! Pods of every kind that people write, at Pod Security restricted wherever that allows them at all.

use serde_json::{Value, json};

use crate::support::{
    apps::{STAY, container, is_ready, once, pod, spec, status},
    cluster::cluster,
    eventually,
    installation::{Shop, shared},
    planted::{self, sha256},
};

/// Prints the sums of the file and of the variable.
const READS: &str = "sha256sum </run/secrets/esc/password; printf %s \"$PASSWORD\" | sha256sum";

fn sums(password: &str) -> String {
    let sum = sha256(password);
    format!("{sum}  -\n{sum}  -\n")
}

fn asks(shop: &Shop) -> Value {
    shop.asks(&json!({"file.password": "db.password", "env.PASSWORD": "db.password"}))
}

#[test]
#[ignore = "needs a cluster: tests/cluster/up"]
fn security_contexts_of_all_kinds_receive() {
    let installation = shared();
    let password = planted::value("password");
    let shop = installation.shop(&json!({"db": {"password": {"fn::secret": password}}}));
    let stays = format!("{READS}; {STAY}");
    let mut cases: Vec<(&str, Value, Value)> = Vec::new();
    let mut case = |name, annotations: Value, change: &dyn Fn(&mut Value)| {
        let mut spec = spec(&stays);
        change(&mut spec);
        cases.push((name, annotations, spec));
    };
    case("image-user", asks(&shop), &|spec| {
        // The uid stands in the image alone.
        spec["securityContext"].as_object_mut().unwrap().remove("runAsUser");
    });
    case("container-user", asks(&shop), &|spec| {
        spec["securityContext"].as_object_mut().unwrap().remove("runAsUser");
        spec["containers"][0]["securityContext"]["runAsUser"] = json!(4711);
    });
    let mut narrow = asks(&shop);
    narrow["esc.pulumi.com/mode.password"] = json!("0440");
    case("fs-group", narrow.clone(), &|spec| spec["securityContext"]["fsGroup"] = json!(2000));
    narrow["esc.pulumi.com/mode.password"] = json!("0400");
    case("narrow-mode", narrow, &|_| ());
    case("read-only-root", asks(&shop), &|spec| {
        spec["containers"][0]["securityContext"]["readOnlyRootFilesystem"] = json!(true);
    });
    case("shared-processes", asks(&shop), &|spec| spec["shareProcessNamespace"] = json!(true));
    case("guaranteed", asks(&shop), &|spec| {
        let all = json!({"cpu": "50m", "memory": "32Mi"});
        spec["containers"][0]["resources"] = json!({"requests": all, "limits": all});
    });
    for (name, annotations, spec) in &cases {
        assert_eq!(shop.apply(&pod(name, annotations, spec)), "", "warnings of {name}");
    }
    for (name, ..) in &cases {
        let pod = shop.ready(name);
        shop.logs(name, "app", &sums(&password));
        if *name == "guaranteed" {
            assert_eq!(pod["status"]["qosClass"], "Guaranteed");
        }
    }
    // What the mode says is what is there: the group is the pod's, or the owner is the one who reads.
    for (name, expected) in [("fs-group", "440 10001 2000"), ("narrow-mode", "400 10001 ")] {
        let stat = ["/bin/stat", "-L", "-c", "%a %u %g", "/run/secrets/esc/password"];
        let seen = shop.exec(name, &stat).expect("stat");
        assert!(seen.starts_with(expected), "{name}: {seen}");
    }
}

#[test]
#[ignore = "needs a cluster: tests/cluster/up"]
fn init_containers_and_native_sidecars_of_the_user_receive_before_the_application() {
    let installation = shared();
    let password = planted::value("password");
    let shop = installation.shop(&json!({"db": {"password": {"fn::secret": password}}}));
    for (name, refresh) in [("init", None), ("sidecar", Some("1h"))] {
        let mut annotations = asks(&shop);
        if let Some(interval) = refresh {
            annotations["esc.pulumi.com/refresh"] = json!(interval);
        }
        let mut whole = spec(&format!("{READS}; {STAY}"));
        let mut proxy = container("proxy", &format!("{READS}; {STAY}"));
        proxy["restartPolicy"] = json!("Always");
        whole["initContainers"] = json!([container("migrate", READS), proxy]);
        shop.apply(&pod(name, &annotations, &whole));
        let pod = shop.ready(name);
        for container in ["migrate", "proxy", "app"] {
            shop.logs(name, container, &sums(&password));
        }
        assert_eq!(pod["spec"]["initContainers"][0]["name"], "esc-agent");
    }
}

#[test]
#[ignore = "needs a cluster: tests/cluster/up"]
fn a_pod_in_the_nodes_network_receives() {
    let installation = shared();
    let password = planted::value("password");
    // Pod Security allows it at no other level.
    let labels = json!({"pod-security.kubernetes.io/enforce": "privileged"});
    let shop = Shop::of(&installation.esc, &json!({"db": {"password": {"fn::secret": password}}}), labels);
    let mut host = spec(&format!("{READS}; {STAY}"));
    host["hostNetwork"] = json!(true);
    host["dnsPolicy"] = json!("ClusterFirstWithHostNet");
    shop.apply(&pod("host", &asks(&shop), &host));
    let pod = shop.ready("host");
    assert_eq!(pod["status"]["podIP"], pod["status"]["hostIP"]);
    shop.logs("host", "app", &sums(&password));
}

#[test]
#[ignore = "needs a cluster: tests/cluster/up"]
fn quotas_and_limit_ranges_count_the_agent_and_let_it_run() {
    let installation = shared();
    let password = planted::value("password");
    let shop = installation.shop(&json!({"db": {"password": {"fn::secret": password}}}));
    shop.apply(&json!({
        "apiVersion": "v1", "kind": "List", "items": [
            {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "quota"}, "spec": {"hard": {
                "requests.cpu": "500m", "requests.memory": "512Mi", "limits.memory": "512Mi", "limits.cpu": "2",
            }}},
            {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "limits"}, "spec": {"limits": [{
                "type": "Container", "default": {"cpu": "100m", "memory": "64Mi"},
                "defaultRequest": {"cpu": "10m", "memory": "16Mi"}, "max": {"cpu": "1", "memory": "128Mi"},
            }]}},
        ],
    }));
    eventually("the quota is in force", || {
        cluster().get("resourcequota", &shop.namespace.name, "quota")?["status"]["hard"]
            .as_object()
            .map(|_| ())
    });
    shop.apply(&once("shop", &asks(&shop), spec(READS)));
    assert_eq!(shop.exit_code("shop", "app"), 0);
    shop.logs("shop", "app", &sums(&password));
}

#[test]
#[ignore = "needs a cluster: tests/cluster/up"]
fn pods_that_do_not_ask_have_nothing_of_ours() {
    let installation = shared();
    let shop = installation.shop(&json!({}));
    shop.apply(&pod("plain", &json!({}), &spec(STAY)));
    let pod = shop.eventually("it is ready", "plain", |pod| is_ready(pod).then(|| pod.clone()));
    assert!(pod["spec"]["initContainers"].is_null() && pod["spec"]["volumes"].is_null(), "{pod:#}");
    assert!(status(&pod, "esc-agent").is_null());
}
