//! Properties over generated pods.

use esc_injector::inject::{Outcome, decide, document::Document, inject, rehearse};
use proptest::{option, prelude::*, sample::select};
use serde_json::{Value, json};

use crate::support::{apply, context, new_kubelets_everywhere, policy, run};

fn container(name: String) -> impl Strategy<Value = Value> {
    let text = select(vec!["x", "$(A)", "$$(A)", "--u=$(URL)/$(A)", "$(HOST)"]);
    (
        option::of(proptest::collection::vec(select(vec!["/app", "$(A)", "-v"]), 0..3)),
        option::of(proptest::collection::vec(text.clone(), 0..3)),
        option::of(proptest::collection::vec((select(vec!["HOST", "URL", "B"]), text), 0..3)),
        option::of(select(vec![0, 70, 1000])),
        any::<bool>(),
        select(vec!["", "/data", "/run", "/etc/esc"]),
    )
        .prop_map(move |(command, args, env, uid, native, mount)| {
            let mut container = json!({"zz-unknown": {"b": 1, "a": [2]}, "name": name, "image": "i"});
            if let Some(command) = command {
                container["command"] = json!(command);
            }
            if let Some(args) = args {
                container["args"] = json!(args);
            }
            if let Some(env) = env {
                let env: Vec<_> =
                    env.into_iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
                container["env"] = json!(env);
            }
            container["securityContext"] = restricted();
            if let Some(uid) = uid.filter(|uid| *uid != 0) {
                container["securityContext"]["runAsUser"] = json!(uid);
            }
            if native && name.starts_with("init") {
                container["restartPolicy"] = json!("Always");
            }
            if !mount.is_empty() {
                container["volumeMounts"] = json!([{"name": "data", "mountPath": mount}]);
            }
            container
        })
}

/// What Pod Security's `restricted` asks of a container.
fn restricted() -> Value {
    json!({
        "allowPrivilegeEscalation": false,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": true,
        "seccompProfile": {"type": "RuntimeDefault"},
    })
}

prop_compose! {
    fn arbitrary_pod()(
        containers in (1usize..4).prop_flat_map(|count| (0..count).map(|n| container(format!("app{n}"))).collect::<Vec<_>>()),
        init in option::of((0usize..3).prop_flat_map(|count| (0..count).map(|n| container(format!("init{n}"))).collect::<Vec<_>>())),
        volumes in option::of(select(vec![json!([]), json!([{"name": "data", "emptyDir": {}}]), Value::Null])),
        uid in option::of(select(vec![1000, 65532])),
        fs_group in option::of(Just(2000)),
        annotations in proptest::sample::subsequence(vec![
            ("env.A", "a.b"), ("file.f", "."), ("mode.f", "0440"), ("projections", "all"), ("init-first", "false"),
            ("volume-size", "32Mi"), ("on-failure", "start"), ("containers", "app0"), ("command.app0", "[\"/x\"]"), ("template.t", "{{ values }}"),
            ("config", "env: {C: {path: c, containers: [app0], optional: true}}\nfiles: {g: {path: g, default: x, containers: [app0]}}"),
            ("environment", "acme/shop/prod,other/a/b"), ("refresh", "5m"), ("metrics-port", "9464"),
            ("share-process-namespace", "true"), ("on-change", "http://127.0.0.1:1/x"),
            ("env-mode", "kubelet"),
        ], 0..13),
    ) -> Value {
        let mut pod = json!({
            "metadata": {"labels": {"app": "x"}, "annotations": {"other": "kept", "esc.pulumi.com/environment": "acme/shop/prod"}},
            "spec": {"nodeName": "n", "containers": containers, "future": [1.50, null]},
        });
        for (key, value) in annotations {
            pod["metadata"]["annotations"][format!("esc.pulumi.com/{key}")] = json!(value);
        }
        if let Some(init) = init {
            pod["spec"]["initContainers"] = json!(init);
        }
        if let Some(volumes) = volumes {
            pod["spec"]["volumes"] = volumes;
        }
        if let Some(uid) = uid {
            pod["spec"]["securityContext"] = json!({"runAsUser": uid, "runAsNonRoot": true});
        }
        if let Some(group) = fs_group {
            pod["spec"]["securityContext"]["fsGroup"] = json!(group);
        }
        pod
    }
}

/// Every member of `before` stands in `after` with the same value and in the same order, except where injection may
/// write; lists may have gained elements.
fn assert_kept(before: &Value, after: &Value, path: &str) {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            let kept: Vec<_> = after.keys().filter(|key| before.contains_key(*key)).collect();
            assert_eq!(kept, before.keys().collect::<Vec<_>>(), "keys of {path}");
            for (key, value) in before {
                if key != "command" {
                    assert_kept(value, &after[key], &format!("{path}/{key}"));
                }
            }
        }
        (Value::Array(before), Value::Array(after)) => {
            let is_ours = |item: &Value| {
                item["name"].as_str().is_some_and(|name| name.starts_with("esc-"))
                    || item.pointer("/valueFrom/fileKeyRef").is_some()
            };
            let kept: Vec<_> = after.iter().filter(|item| !is_ours(item)).collect();
            assert_eq!(kept.len(), before.len(), "elements of {path}");
            for (index, (before, after)) in before.iter().zip(kept).enumerate() {
                assert_kept(before, after, &format!("{path}/{index}"));
            }
        }
        (Value::Null, _) if path.ends_with("/volumes") => {}
        _ => assert_eq!(before, after, "{path}"),
    }
}

fn assert_restricted(pod: &Value) {
    let pod_user = pod["spec"]["securityContext"]["runAsUser"].as_i64();
    for list in ["initContainers", "containers"] {
        for container in pod["spec"][list].as_array().into_iter().flatten() {
            let security = &container["securityContext"];
            for (key, value) in restricted().as_object().unwrap() {
                assert_eq!(&security[key], value, "{key} of {}", container["name"]);
            }
            assert_ne!(security["runAsUser"].as_i64().or(pod_user), Some(0));
        }
    }
    for volume in pod["spec"]["volumes"].as_array().into_iter().flatten() {
        let allowed = [
            "configMap",
            "csi",
            "downwardAPI",
            "emptyDir",
            "ephemeral",
            "persistentVolumeClaim",
            "projected",
            "secret",
        ];
        assert!(allowed.iter().any(|kind| volume.get(kind).is_some()), "{volume}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn patches_apply_keep_the_users_fields_and_stay_restricted(pod in arbitrary_pod(), new_kubelets in any::<bool>()) {
        let policy = if new_kubelets { new_kubelets_everywhere() } else { policy() };
        let run = |pod: &Value| inject(pod, &context(&policy));
        let outcome = run(&pod);
        // From the text, as the webhook reads it, it is the same.
        let text = pod.to_string();
        let document: Document<'_> = serde_json::from_str(&text).unwrap();
        match (&outcome, decide(&document, &context(&policy))) {
            (Outcome::Refused(problems), Outcome::Refused(same)) => {
                prop_assert_eq!(problems, &same);
                return Ok(());
            }
            (Outcome::Injected { patch, warnings }, Outcome::Injected { patch: same, warnings: said }) => {
                prop_assert_eq!((patch, warnings), (&same, &said));
                prop_assert!(rehearse(&document, &same).is_ok());
            }
            (outcome, other) => prop_assert!(false, "{:?} {:?}", outcome, other),
        }
        let (once, _) = apply(&pod, outcome);
        assert_kept(&pod, &once, "");
        assert_restricted(&once);
        // Deciding again changes nothing.
        match run(&once) {
            Outcome::Injected { patch, .. } => prop_assert_eq!(patch.0, vec![]),
            other => prop_assert!(false, "{:?}", other),
        }
    }

    #[test]
    fn arbitrary_annotations_never_panic(key in "(env|file|mode|format|decode|command|config|[a-z-]{0,12})(\\.[ -~]{0,12})?", value in "\\PC{0,40}") {
        let _ = run(&crate::support::pod(&[("environment", "acme/shop/prod"), (&key, &value)]));
    }
}
