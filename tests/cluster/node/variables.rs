//! How variables arrive: through the wrapper, which becomes the application, and from kubelet.

use serde_json::{Value, json};

use crate::support::{
    apps::{STAY, deployment, once, pod, spec, status},
    cluster::cluster,
    eventually,
    installation::shared,
    planted::{self, sha256},
};

#[test]
#[ignore = "needs a cluster: tests/cluster/up"]
fn the_application_is_the_first_process_and_ends_as_it_likes() {
    let installation = shared();
    let url = planted::value("url");
    let shop = installation.shop(&json!({"db": {"url": {"fn::secret": url}}}));
    let asks = shop.asks(&json!({"env.DATABASE_URL": "db.url"}));
    // Kubelet makes one dollar sign of two.
    let stays =
        "echo I am $$$$; trap 'echo told to stop; exit 7' TERM; while :; do sleep 3600 & wait $!; done";
    shop.apply(&once("told", &asks, spec(stays)));
    shop.apply(&once("fails", &asks, spec("exit 42")));
    let pod = shop.ready("told");
    let command = &pod["spec"]["containers"][0]["command"];
    assert_eq!(command[0], "/esc/bin/esc-injector", "the wrapper starts it");
    shop.logged("told", "app", "I am 1");
    // It may end before it can say that it has sent the signal.
    shop.exec("told", &["/bin/kill", "-TERM", "1"]);
    assert_eq!(shop.exit_code("told", "app"), 7);
    shop.logged("told", "app", "told to stop");
    assert_eq!(shop.exit_code("fails", "app"), 42);
    // The signal of kubelet, when the pod is deleted.
    let mut patient = spec(stays);
    patient["terminationGracePeriodSeconds"] = json!(3600);
    shop.apply(&once("deleted", &asks, patient));
    shop.ready("deleted");
    shop.delete("deleted");
}

#[test]
#[ignore = "needs a cluster: tests/cluster/up"]
fn an_image_without_a_command_gets_its_variables_from_kubelet_and_so_do_probes_and_exec() {
    let installation = shared();
    let (url, multi) =
        (planted::value("url"), format!("{}\nsecond $(HOME) \"line\"", planted::value("multi")));
    let shop =
        installation.shop(&json!({"db": {"url": {"fn::secret": url}, "multi": {"fn::secret": multi}}}));
    let asks = shop.asks(&json!({"env.DATABASE_URL": "db.url", "env.MULTI": "db.multi"}));
    let sum = |name: &str| format!("printf %s \"${name}\" | sha256sum | cut -d' ' -f1");
    let mut plain = spec("");
    let app = &mut plain["containers"][0];
    app.as_object_mut().unwrap().remove("command");
    // The image starts busybox, and this is the applet.
    app["args"] = json!(["sh", "-c", format!("{}; {}; {STAY}", sum("DATABASE_URL"), sum("MULTI"))]);
    let expected = sha256(&url);
    let probe = format!("[ \"$({})\" = {expected} ]", sum("DATABASE_URL"));
    app["readinessProbe"] = json!({"exec": {"command": ["/bin/sh", "-c", probe]}, "periodSeconds": 1});
    shop.apply(&pod("plain", &asks, &plain));
    let pod = shop.ready("plain");
    let first = &pod["spec"]["containers"][0]["env"][0];
    assert!(first["valueFrom"]["fileKeyRef"].is_object(), "{first}");
    assert!(pod["spec"]["containers"][0]["command"].is_null());
    shop.logs("plain", "app", &format!("{expected}\n{}\n", sha256(&multi)));
    let seen = shop.exec("plain", &["/bin/sh", "-c", &sum("DATABASE_URL")]).expect("kubectl exec");
    assert_eq!(seen.trim(), expected);
    assert!(!pod.to_string().contains(&url));
}

#[test]
#[ignore = "needs a cluster: tests/cluster/up"]
fn what_kubelet_could_not_read_is_refused_before_the_application_starts() {
    let installation = shared();
    let shop = installation.shop(&json!({"quote": "it's", "empty": ""}));
    for (name, path, code) in [("quote", "quote", "[ESC415]"), ("empty", "empty", "[ESC416]")] {
        let asks = shop.asks(&json!({"env.VALUE": path, "env-mode": "kubelet"}));
        shop.apply(&pod(name, &asks, &spec(STAY)));
        let told = shop.eventually("the agent refuses", name, |pod| {
            let state = status(pod, "esc-agent");
            let ended = [&state["state"], &state["lastState"]];
            ended.into_iter().find_map(|state| Some(state["terminated"]["message"].as_str()?.to_owned()))
        });
        assert!(told.starts_with(code) && told.contains("Fix:"), "{told}");
        let pod = cluster().get("pod", &shop.namespace.name, name).unwrap();
        assert_eq!(status(&pod, "app")["state"]["waiting"]["reason"], "PodInitializing");
    }
}

#[test]
#[ignore = "needs a cluster: tests/cluster/up"]
fn a_refusal_reads_well_where_people_look() {
    let installation = shared();
    let shop = installation.shop(&json!({}));
    let mut asks = shop.asks(&json!({"env.DATABASE_URL": "db.url", "timeout": "soon"}));
    asks["esc.pulumi.com/evn.OTHER"] = json!("db.other");
    let warned = shop.apply(&deployment("web", &asks, &spec(STAY)));
    for expected in ["Warning:", "[ESC101]", "[ESC106]", "pods of this Deployment will be refused"] {
        assert!(warned.contains(expected), "{expected} is not in: {warned}");
    }
    let described = eventually("the ReplicaSet complains", || {
        let described = shop.describe("replicasets");
        described.contains("FailedCreate").then_some(described)
    });
    for expected in
        ["[ESC101]", "did you mean `esc.pulumi.com/env.OTHER`", "[ESC106]", "`soon` is not a duration"]
    {
        assert!(described.contains(expected), "{expected} is not in: {described}");
    }
    assert_eq!(cluster().list("pods", &shop.namespace.name), Vec::<Value>::new());
}
