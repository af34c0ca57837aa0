//! Variables that kubelet delivers: to whom, how, and when not.

use esc_injector::inject::{Context, Outcome, Policy, inject};
use serde_json::{Value, json};

use crate::support::{apply, context, new_kubelets_everywhere, plan, pod, policy, refused};

/// A pod whose container states no command.
fn bare(annotations: &[(&str, &str)]) -> Value {
    let mut pod = pod(&[&[("environment", "acme/shop/prod")], annotations].concat());
    pod["spec"]["containers"][0].as_object_mut().unwrap().remove("command");
    pod
}

fn injected(pod: &Value) -> (Value, Vec<String>) {
    apply(pod, inject(pod, &context(&new_kubelets_everywhere())))
}

fn reference(name: &str, view: usize) -> Value {
    let volume = format!("esc-env-{view}");
    json!({"name": name, "valueFrom": {"fileKeyRef": {"volumeName": volume, "path": "env", "key": name}}})
}

#[test]
fn a_container_without_a_command_gets_its_variables_from_kubelet_before_its_own() {
    let mut asking = bare(&[("env.A", "a"), ("env.B", "b")]);
    let own = json!({"name": "URL", "value": "pg://$(A)"});
    asking["spec"]["containers"][0]["env"] = json!([own]);
    let (patched, warnings) = injected(&asking);
    assert_eq!(warnings, Vec::<String>::new());
    let container = &patched["spec"]["containers"][0];
    assert_eq!(container["env"], json!([reference("A", 0), reference("B", 0), own]));
    assert_eq!((container.get("command"), container.get("volumeMounts")), (None, None));
    let volumes: Vec<_> =
        patched["spec"]["volumes"].as_array().unwrap().iter().map(|volume| volume["name"].clone()).collect();
    assert_eq!(volumes, ["esc-token", "esc-no-token", "esc-env-0"], "no binary for nobody");
    let plan = plan(&patched);
    let view = &plan["views"][0];
    assert_eq!(
        (view.get("wrapper"), &view["kubelet"], &view["envDir"]),
        (None, &json!(true), &json!("/esc/env/0"))
    );
    assert_eq!(plan.get("binaryDir"), None);
}

#[test]
fn auto_decides_for_each_container() {
    let mut asking = bare(&[("env.A", "a")]);
    asking["spec"]["containers"]
        .as_array_mut()
        .unwrap()
        .push(json!({"name": "known", "image": "k", "command": ["/known"]}));
    asking["spec"]["initContainers"] =
        json!([{"name": "setup", "image": "s"}, {"name": "side", "image": "s", "restartPolicy": "Always"}]);
    let (patched, _) = injected(&asking);
    for container in [
        &patched["spec"]["containers"][0],
        &patched["spec"]["initContainers"][1],
        &patched["spec"]["initContainers"][2],
    ] {
        assert_eq!(container["env"], json!([reference("A", 0)]), "{container}");
        assert_eq!(container.get("volumeMounts"), None);
    }
    let known = &patched["spec"]["containers"][1];
    assert_eq!((known.get("env"), &known["command"][1]), (None, &json!("exec")));
    let view = &plan(&patched)["views"][0];
    assert_eq!((&view["wrapper"], &view["kubelet"]), (&json!(true), &json!(true)));
}

#[test]
fn the_mode_that_was_chosen_holds_for_all() {
    let (patched, _) =
        injected(&pod(&[("environment", "acme/shop/prod"), ("env.A", "a"), ("env-mode", "kubelet")]));
    assert_eq!(patched["spec"]["containers"][0]["command"], json!(["/app"]));
    assert_eq!(patched["spec"]["containers"][0]["env"], json!([reference("A", 0)]));
    let exec = bare(&[("env.A", "a"), ("env-mode", "exec")]);
    let problems = refused(inject(&exec, &context(&new_kubelets_everywhere())));
    assert!(problems.len() == 1 && problems[0].code.id() == "ESC202", "{problems:?}");
}

#[test]
fn a_reference_is_optional_where_nothing_may_come() {
    let config = "env: {A: a, B: {path: b, optional: true}, C: {path: c, default: x}}";
    let optional = |pod: &Value| -> Vec<bool> {
        let entries = pod["spec"]["containers"][0]["env"].as_array().unwrap();
        entries.iter().map(|entry| entry["valueFrom"]["fileKeyRef"]["optional"] == true).collect()
    };
    assert_eq!(optional(&injected(&bare(&[("config", config)])).0), [false, true, false]);
    let started = bare(&[("config", config), ("on-failure", "start")]);
    assert_eq!(optional(&injected(&started).0), [true, true, true]);
}

#[test]
fn an_empty_default_is_refused_where_kubelet_would_take_it_for_missing() {
    let config = "env: {A: {path: a, default: ''}, B: {path: b, default: x}}";
    let problems = refused(inject(&bare(&[("config", config)]), &context(&new_kubelets_everywhere())));
    let told: Vec<_> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("[ESC416] variable A: ") && told[0].contains("optional"), "{told:?}");
    // The wrapper sets empty variables.
    let _ = injected(&pod(&[("environment", "acme/shop/prod"), ("config", config)]));
}

#[test]
fn kubelet_is_only_used_where_every_one_is_known_to_be_new_enough() {
    let version = |text: &str| Some(text.parse().unwrap());
    for (min_kubelet, api_server, possible) in [
        (None, None, false),
        (version("1.34"), None, false),
        (version("1.35"), None, true),
        (None, version("1.37"), false),
        (None, version("1.38"), true),
        (version("1.34"), version("1.37"), false),
    ] {
        let policy = Policy { min_kubelet, ..policy() };
        let context = Context { api_server, ..context(&policy) };
        for (mode, code) in [("auto", "ESC202"), ("kubelet", "ESC220")] {
            match inject(&bare(&[("env.A", "a"), ("env-mode", mode)]), &context) {
                Outcome::Injected { .. } => assert!(possible, "{min_kubelet:?} {api_server:?}"),
                Outcome::Refused(problems) => {
                    assert!(
                        !possible && problems.len() == 1 && problems[0].code.id() == code,
                        "{problems:?}"
                    );
                }
                other @ Outcome::Skipped { .. } => panic!("{other:?}"),
            }
        }
    }
}

#[test]
fn names_that_nobody_knows_yet_can_not_be_referred_to() {
    for projections in ["env", "all"] {
        let asking = bare(&[("env.A", "a"), ("projections", projections)]);
        let problems = refused(inject(&asking, &context(&new_kubelets_everywhere())));
        assert_eq!(problems[0].code.id(), "ESC202");
        let mut asking = asking;
        asking["metadata"]["annotations"]["esc.pulumi.com/env-mode"] = json!("kubelet");
        let problems = refused(inject(&asking, &context(&new_kubelets_everywhere())));
        assert!(
            problems[0].code.id() == "ESC220" && problems[0].to_string().contains("env.X"),
            "{problems:?}"
        );
    }
    // Files need no names.
    let (patched, _) = injected(&bare(&[("env.A", "a"), ("projections", "files"), ("env-mode", "kubelet")]));
    assert_eq!(patched["spec"]["containers"][0]["env"], json!([reference("A", 0)]));
    let (patched, _) = injected(&bare(&[("projections", "files"), ("env-mode", "kubelet")]));
    assert_eq!(patched["spec"]["containers"][0].get("env"), None);
}

#[test]
fn a_variable_that_the_container_sets_is_refused_here_too() {
    let mut asking = bare(&[("env.A", "a")]);
    asking["spec"]["containers"][0]["env"] = json!([{"name": "A", "value": "x"}]);
    let problems = refused(inject(&asking, &context(&new_kubelets_everywhere())));
    assert!(problems.len() == 1 && problems[0].code.id() == "ESC203", "{problems:?}");
}

#[test]
fn what_others_did_to_the_references_is_repaired_and_their_own_variables_stay() {
    let (once, _) = injected(&bare(&[("env.A", "a"), ("env.B", "b")]));
    // The API server's default, and another webhook's variable before ours.
    let mut stored = once.clone();
    let env = stored["spec"]["containers"][0]["env"].as_array_mut().unwrap();
    env[0]["valueFrom"]["fileKeyRef"]["optional"] = json!(false);
    env.insert(0, json!({"name": "THEIRS", "value": "x"}));
    assert_eq!(injected(&stored).0, stored);
    for change in [
        |env: &mut Vec<Value>| drop(env.remove(0)),
        |env: &mut Vec<Value>| env[1]["valueFrom"]["fileKeyRef"]["optional"] = json!(true),
        |env: &mut Vec<Value>| env[0]["valueFrom"]["fileKeyRef"]["volumeName"] = json!("esc-env-7"),
        |env: &mut Vec<Value>| {
            env.push(json!({"name": "C", "valueFrom": {"fileKeyRef": {"volumeName": "esc-env-0", "path": "env", "key": "C"}}}));
        },
        Vec::clear,
    ] {
        let mut meddled = once.clone();
        change(meddled["spec"]["containers"][0]["env"].as_array_mut().unwrap());
        assert_eq!(injected(&meddled).0, once);
    }
}

#[test]
fn a_pod_that_asks_for_another_mode_loses_the_references() {
    let (mut pod, _) = injected(&bare(&[("env.A", "a")]));
    pod["metadata"]["annotations"]["esc.pulumi.com/command.app"] = json!("[\"/app\"]");
    let (wrapped, _) = injected(&pod);
    let container = &wrapped["spec"]["containers"][0];
    assert_eq!((container.get("env"), &container["command"][0]), (None, &json!("/esc/bin/esc-injector")));
}

#[test]
fn warns_of_values_on_the_command_line() {
    let mut asking = bare(&[("env.A", "a")]);
    asking["spec"]["containers"][0]["args"] = json!(["--token=$(A)"]);
    let (patched, warnings) = injected(&asking);
    assert!(warnings.len() == 1 && warnings[0].starts_with("[ESC213]"), "{warnings:?}");
    assert_eq!(patched["spec"]["containers"][0]["args"], json!(["--token=$(A)"]));
}
