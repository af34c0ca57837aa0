//! The agent as a native sidecar: what it looks like, who may ask for what, and what is repaired.

use esc_injector::inject::{Context, Outcome, Policy, inject};
use serde_json::{Value, json};

use crate::support::{apply, context, plan, pod, policy, refused, without_prefix};

/// An operator whose API server restarts whole pods.
fn newest() -> Policy {
    Policy { allowed_on_change_urls: vec!["https://reloader.example/shop".to_owned()], ..policy() }
}

fn asking(more: &[(&str, &str)]) -> Value {
    let base = [("environment", "acme/shop/prod"), ("file.a", "a"), ("refresh", "5m")];
    pod(&[&base, more].concat())
}

fn decide(pod: &Value) -> Outcome {
    let policy = newest();
    inject(pod, &Context { api_server: Some("1.36".parse().unwrap()), ..context(&policy) })
}

fn injected(pod: &Value) -> (Value, Vec<String>) {
    apply(pod, decide(pod))
}

fn agent(pod: &mut Value) -> &mut Value {
    let containers = pod["spec"]["initContainers"].as_array_mut().unwrap();
    containers.iter_mut().find(|container| container["name"] == "esc-agent").unwrap()
}

#[test]
fn refresh_makes_the_agent_a_native_sidecar_that_is_ready_with_the_first_set() {
    let (mut patched, warnings) = injected(&asking(&[("timeout", "1500ms"), ("metrics-port", "9464")]));
    assert_eq!(warnings, Vec::<String>::new());
    assert_eq!(
        plan(&patched)["refresh"],
        json!({"intervalSeconds": 300, "onChange": {"kind": "none"}, "restartSpreadSeconds": 300, "metricsPort": 9464, "stateDir": "/esc/state"})
    );
    assert!(
        patched["spec"]["volumes"].as_array().unwrap().iter().any(|volume| volume["name"] == "esc-state")
    );
    let agent = agent(&mut patched);
    assert_eq!((&agent["args"], &agent["restartPolicy"]), (&json!(["agent", "sidecar"]), &json!("Always")));
    assert_eq!(agent.get("restartPolicyRules"), None);
    assert_eq!(agent["startupProbe"]["exec"]["command"], json!(["/esc-injector", "agent", "ready"]));
    assert_eq!(
        (&agent["startupProbe"]["periodSeconds"], &agent["startupProbe"]["failureThreshold"]),
        (&json!(1), &json!(32))
    );
    assert_eq!(agent["ports"], json!([{"name": "esc-metrics", "containerPort": 9464, "protocol": "TCP"}]));
    assert!(
        agent["volumeMounts"]
            .as_array()
            .unwrap()
            .contains(&json!({"name": "esc-state", "mountPath": "/esc/state"}))
    );
}

#[test]
fn each_way_to_tell_the_application_stands_in_the_plan() {
    let user = |mut pod: Value| {
        pod["spec"]["securityContext"] = json!({"runAsUser": 1000});
        pod
    };
    for (on_change, expected) in [
        ("http://127.0.0.1:80/x", json!({"kind": "post", "url": "http://127.0.0.1:80/x"})),
        ("https://reloader.example/shop", json!({"kind": "post", "url": "https://reloader.example/shop"})),
        ("signal:SIGHUP", json!({"kind": "signal", "signal": "SIGHUP"})),
        ("signal:SIGUSR1:nginx", json!({"kind": "signal", "signal": "SIGUSR1", "process": "nginx"})),
        ("restart", json!({"kind": "restart", "exitCode": 42})),
    ] {
        let (patched, _) =
            injected(&user(asking(&[("on-change", on_change), ("share-process-namespace", "true")])));
        assert_eq!(plan(&patched)["refresh"]["onChange"], expected, "{on_change}");
        assert_eq!(patched["spec"]["shareProcessNamespace"], json!(true));
    }
}

#[test]
fn a_restart_is_a_rule_of_the_sidecar_with_the_exit_code_of_the_plan() {
    let mut asking = asking(&[("on-change", "restart"), ("restart-spread", "0s")]);
    asking["spec"]["initContainers"] = json!([{"name": "migrate", "image": "m"}, {"name": "proxy", "image": "p", "restartPolicy": "Always"}]);
    let (mut patched, warnings) = injected(&asking);
    assert_eq!(plan(&patched)["refresh"]["restartSpreadSeconds"], json!(0));
    let exit_code = plan(&patched)["refresh"]["onChange"]["exitCode"].clone();
    assert_eq!(
        agent(&mut patched)["restartPolicyRules"],
        json!([{"action": "RestartAllContainers", "exitCodes": {"operator": "In", "values": [exit_code]}}])
    );
    assert!(
        warnings.len() == 1 && warnings[0].starts_with("[ESC217]") && warnings[0].ends_with(": migrate"),
        "{warnings:?}"
    );
}

#[test]
fn refuses_what_can_not_work_or_is_not_allowed() {
    let shared = ("share-process-namespace", "true");
    let with = |change: fn(&mut Value), more: &[(&str, &str)]| {
        let mut pod = asking(more);
        change(&mut pod);
        pod
    };
    let nothing: fn(&mut Value) = |_| {};
    let user: fn(&mut Value) = |pod| pod["spec"]["securityContext"] = json!({"runAsUser": 1000});
    for (pod, code, words, forbidden) in [
        (with(nothing, &[("on-change", "http://10.0.0.1/x")]), "ESC121", "operator's list", true),
        (
            with(nothing, &[("on-change", "http://127.0.0.1.evil.example/x")]),
            "ESC121",
            "operator's list",
            true,
        ),
        (
            with(nothing, &[("on-change", "https://reloader.example/shop/other")]),
            "ESC121",
            "operator's list",
            true,
        ),
        (with(nothing, &[("restart-spread", "1m")]), "ESC119", "on-change: restart", false),
        (with(user, &[("on-change", "signal:SIGHUP")]), "ESC119", "share-process-namespace", false),
        (with(nothing, &[("on-change", "signal:SIGHUP"), shared]), "ESC216", "same runAsUser", false),
        (
            with(
                |pod| pod["spec"]["securityContext"] = json!({"runAsUser": 0}),
                &[("on-change", "signal:SIGHUP"), shared],
            ),
            "ESC216",
            "above 0",
            false,
        ),
        (
            with(
                |pod| {
                    pod["spec"]["containers"] = json!([
                        {"name": "a", "image": "x", "securityContext": {"runAsUser": 1}},
                        {"name": "b", "image": "x", "securityContext": {"runAsUser": 2}},
                    ]);
                },
                &[("on-change", "signal:SIGHUP:b"), shared],
            ),
            "ESC216",
            "same runAsUser",
            false,
        ),
        (with(|pod| pod["spec"]["hostPID"] = json!(true), &[shared]), "ESC119", "hostPID", false),
    ] {
        let problems = refused(decide(&pod));
        assert_eq!(problems.len(), 1, "{problems:?}");
        let problem = &problems[0];
        assert!(
            problem.code.id() == code
                && problem.to_string().contains(words)
                && problem.forbidden == forbidden,
            "{code}: {problem:?}"
        );
    }
}

#[test]
fn a_restart_needs_an_api_server_that_is_known_to_be_new_enough() {
    let asking = asking(&[("on-change", "restart")]);
    let version = |text: &str| Some(text.parse().unwrap());
    for (api_server, min_kubelet, allowed) in [
        (None, None, false),
        (version("1.35"), None, false),
        (version("v1.36.3"), None, true),
        (version("1.37+"), None, true),
        (None, version("1.35"), false),
        (None, version("1.36"), true),
    ] {
        let policy = Policy { min_kubelet, ..policy() };
        match inject(&asking, &Context { api_server, ..context(&policy) }) {
            Outcome::Injected { .. } => assert!(allowed, "{min_kubelet:?} {api_server:?}"),
            Outcome::Refused(problems) => {
                assert!(!allowed && problems.len() == 1 && problems[0].code.id() == "ESC122", "{problems:?}");
            }
            other @ Outcome::Skipped { .. } => panic!("{other:?}"),
        }
    }
}

#[test]
fn signals_come_from_the_applications_own_user() {
    let mut asking = asking(&[("on-change", "signal:SIGHUP")]);
    // The pod's own word is as good as the annotation.
    asking["spec"]["shareProcessNamespace"] = json!(true);
    asking["spec"]["containers"][0]["securityContext"] = json!({"runAsUser": 1000});
    // What has ended can't be signalled.
    asking["spec"]["initContainers"] = json!([{"name": "setup", "image": "x"}]);
    let (mut patched, warnings) = injected(&asking);
    assert_eq!(agent(&mut patched)["securityContext"]["runAsUser"], json!(1000));
    assert_eq!(warnings, Vec::<String>::new());
}

#[test]
fn warns_of_shared_processes_and_of_values_that_reach_nobody() {
    let warnings = injected(&asking(&[("share-process-namespace", "true")])).1;
    assert!(warnings.len() == 1 && warnings[0].starts_with("[ESC218]"), "{warnings:?}");
    let variables = [("environment", "acme/shop/prod"), ("env.A", "a"), ("refresh", "5m")];
    let warnings = injected(&pod(&variables)).1;
    assert!(warnings.len() == 1 && warnings[0].starts_with("[ESC219]"), "{warnings:?}");
    let restarted = pod(&[&variables[..], &[("on-change", "restart")]].concat());
    assert_eq!(injected(&restarted).1, Vec::<String>::new());
    // A native sidecar is started again whatever the pod's policy is.
    let mut never = asking(&[]);
    never["spec"]["restartPolicy"] = json!("Never");
    assert_eq!(injected(&never).1, Vec::<String>::new());
}

#[test]
fn defaults_that_mean_nothing_without_refresh_are_for_other_pods() {
    let policy = newest();
    let namespace = without_prefix(&[
        ("environment", "acme/shop/prod"),
        ("on-change", "restart"),
        ("restart-spread", "1m"),
        ("metrics-port", "9464"),
    ]);
    let context = Context {
        namespace_annotations: Some(&namespace),
        api_server: Some("1.36".parse().unwrap()),
        ..context(&policy)
    };
    let once = pod(&[("file.a", "a")]);
    assert_eq!(plan(&apply(&once, inject(&once, &context)).0).get("refresh"), None);
    let fresh = pod(&[("file.a", "a"), ("refresh", "1h")]);
    let refresh = plan(&apply(&fresh, inject(&fresh, &context)).0)["refresh"].clone();
    assert_eq!((&refresh["metricsPort"], &refresh["restartSpreadSeconds"]), (&json!(9464), &json!(60)));
}

#[test]
fn what_another_webhook_took_from_the_sidecar_is_put_back() {
    let asking = asking(&[("on-change", "restart"), ("metrics-port", "9464")]);
    let (once, _) = injected(&asking);
    for field in ["restartPolicy", "restartPolicyRules", "startupProbe", "ports"] {
        let mut meddled = once.clone();
        agent(&mut meddled).as_object_mut().unwrap().remove(field);
        assert_eq!(injected(&meddled).0, once, "{field}");
    }
    for (field, value) in [
        ("restartPolicy", json!("OnFailure")),
        (
            "restartPolicyRules",
            json!([{"action": "Restart", "exitCodes": {"operator": "In", "values": [1]}}]),
        ),
        ("startupProbe", json!({"exec": {"command": ["/other"]}})),
        ("ports", json!([{"name": "esc-metrics", "containerPort": 1, "protocol": "TCP"}])),
    ] {
        let mut meddled = once.clone();
        agent(&mut meddled)[field] = value;
        assert_eq!(injected(&meddled).0, once, "{field}");
    }
}

#[test]
fn what_a_sidecar_may_have_from_others_stays() {
    let (mut once, _) = injected(&asking(&[]));
    let more = json!({
        "livenessProbe": {"exec": {"command": ["/probe"]}},
        "lifecycle": {"preStop": {"exec": {"command": ["/bye"]}}},
        "ports": [{"name": "theirs", "containerPort": 1}],
    });
    agent(&mut once).as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    // The API server's defaults.
    agent(&mut once)["startupProbe"]["successThreshold"] = json!(1);
    assert_eq!(injected(&once).0, once);
}

#[test]
fn a_pod_that_no_longer_asks_for_refresh_gets_a_plain_init_container() {
    let (mut pod, _) = injected(&asking(&[("metrics-port", "9464")]));
    for key in ["refresh", "metrics-port"] {
        pod["metadata"]["annotations"].as_object_mut().unwrap().remove(&format!("esc.pulumi.com/{key}"));
    }
    let (mut plain, _) = injected(&pod);
    let agent = agent(&mut plain);
    for field in ["restartPolicy", "startupProbe", "ports"] {
        assert_eq!(agent.get(field), None, "{field}");
    }
    assert!(plain["spec"]["volumes"].as_array().unwrap().iter().all(|volume| volume["name"] != "esc-state"));
}

#[test]
fn a_metrics_port_that_a_container_states_as_its_own_is_refused() {
    let with_port = |port: Value| {
        let mut asking = asking(&[("metrics-port", "9464")]);
        asking["spec"]["containers"][0]["ports"] = json!([{"containerPort": 80}, port]);
        asking
    };
    for port in
        [json!({"containerPort": 9464}), json!({"containerPort": 9464, "protocol": "TCP", "name": "x"})]
    {
        let problems = refused(decide(&with_port(port)));
        let told: Vec<_> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            ["[ESC221] esc.pulumi.com/metrics-port: 9464 is a port of container `app`; choose a free one"]
        );
    }
    for port in [json!({"containerPort": 9465}), json!({"containerPort": 9464, "protocol": "UDP"})] {
        let (patched, _) = injected(&with_port(port));
        // Our own port is not in our way.
        let (_, _) = injected(&patched);
    }
    // Nobody asks for it.
    let mut plain = asking(&[]);
    plain["spec"]["containers"][0]["ports"] = json!([{"containerPort": 9464}]);
    let _ = injected(&plain);
    let mut malformed = plain;
    malformed["spec"]["containers"][0]["ports"] = json!([{"containerPort": "9464"}]);
    assert!(refused(decide(&malformed))[0].to_string().contains("spec.containers[0].ports[0].containerPort"));
}

#[test]
fn the_plan_names_a_mesh_whose_proxy_is_not_there_yet() {
    let with = |init: Value, container: &str, last: bool| {
        let mut asking = asking(&[("init-first", if last { "false" } else { "true" })]);
        asking["spec"]["initContainers"] = init;
        asking["spec"]["containers"].as_array_mut().unwrap().push(json!({"name": container, "image": "m"}));
        plan(&injected(&asking).0).get("mesh").cloned()
    };
    assert_eq!(with(json!([]), "other", false), None);
    // With a CNI plugin the proxy, an ordinary container, is all there is to see of it, or a check of the plugin's work.
    assert_eq!(with(json!([]), "linkerd-proxy", false), Some(json!("linkerd")));
    assert_eq!(with(json!([]), "consul-dataplane", false), Some(json!("consul")));
    assert_eq!(
        with(json!([{"name": "istio-validation", "image": "m"}]), "istio-proxy", false),
        Some(json!("istio"))
    );
    // Without, the rules are set after the agent, unless the agent is to come last.
    let init = || json!([{"name": "kuma-init", "image": "m"}]);
    assert_eq!(with(init(), "kuma-sidecar", false), None);
    assert_eq!(with(init(), "kuma-sidecar", true), Some(json!("kuma")));
    // A proxy that starts before the agent takes its connections.
    let native = json!([
        {"name": "istio-init", "image": "m"}, {"name": "istio-proxy", "image": "m", "restartPolicy": "Always"},
    ]);
    assert_eq!(with(native, "other", false), None);
}
