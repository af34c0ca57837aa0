//! Who gets what, and from where.

use esc_injector::inject::inject;
use serde_json::{Value, json};

use crate::support::{apply, context, injected, plan, pod, policy, without_prefix};

fn three(config: &str) -> Value {
    let mut pod = pod(&[("environment", "acme/shop/prod"), ("config", config)]);
    let container = |name: &str| json!({"name": name, "image": "x", "command": ["/app"]});
    pod["spec"]["containers"] = json!([container("api"), container("worker"), container("plain")]);
    pod
}

/// The volumes of ours that a container mounts.
fn mounted(pod: &Value, container: usize) -> Vec<&str> {
    let mounts = pod["spec"]["containers"][container]["volumeMounts"].as_array();
    mounts.into_iter().flatten().map(|mount| mount["name"].as_str().unwrap()).collect()
}

#[test]
fn each_container_mounts_its_own_view_and_no_other() {
    let (patched, _) = injected(&three(
        "env: {SHARED: s}\nfiles: {api.key: {path: k, containers: [api]}, work.key: {path: w, containers: [worker]}}",
    ));
    assert_eq!(mounted(&patched, 0), ["esc-files-0", "esc-bin", "esc-env-0"]);
    assert_eq!(mounted(&patched, 1), ["esc-files-1", "esc-bin", "esc-env-1"]);
    assert_eq!(mounted(&patched, 2), ["esc-bin", "esc-env-2"]);
    let plan = plan(&patched);
    let names = |view: usize, kind: &str| -> Vec<String> {
        let entries = plan["views"][view][kind].as_array();
        entries.into_iter().flatten().map(|entry| entry["name"].as_str().unwrap().to_owned()).collect()
    };
    for (view, container, files) in
        [(0, "api", vec!["api.key"]), (1, "worker", vec!["work.key"]), (2, "plain", vec![])]
    {
        assert_eq!(plan["views"][view]["containers"], json!([container]));
        assert_eq!(
            (names(view, "files"), names(view, "variables")),
            (files.iter().map(|f| (*f).to_owned()).collect(), vec!["SHARED".to_owned()])
        );
    }
}

#[test]
fn containers_with_the_same_entries_share_a_view_and_one_without_any_gets_nothing() {
    let asking =
        three("env: {A: {path: a, containers: [api, worker]}, B: {path: b, containers: [worker, api, api]}}");
    let (patched, _) = injected(&asking);
    assert_eq!(plan(&patched)["views"].as_array().unwrap().len(), 1);
    assert_eq!(plan(&patched)["views"][0]["containers"], json!(["api", "worker"]));
    assert_eq!(patched["spec"]["containers"][2], asking["spec"]["containers"][2]);
    assert_eq!(injected(&patched).0, patched);
}

#[test]
fn an_entry_reaches_a_container_that_receives_nothing_else() {
    let mut asking = three("containers: [api]\nenv: {A: a, B: {path: b, containers: [worker]}}");
    asking["spec"]["containers"][2]["name"] = json!("istio-proxy");
    let (patched, _) = injected(&asking);
    let views = &plan(&patched)["views"];
    assert_eq!((&views[0]["containers"], &views[0]["variables"][0]["name"]), (&json!(["api"]), &json!("A")));
    assert_eq!(
        (&views[1]["containers"], &views[1]["variables"]),
        (&json!(["worker"]), &json!([{"name": "B", "path": "b"}]))
    );
    assert_eq!(mounted(&patched, 2), Vec::<&str>::new());
    // Projections are for those who receive everything.
    asking["metadata"]["annotations"]["esc.pulumi.com/projections"] = json!("all");
    let views = plan(&injected(&asking).0)["views"].clone();
    assert_eq!((&views[0]["projections"], &views[1]["projections"]), (&json!("all"), &json!("none")));
}

#[test]
fn a_narrow_mode_asks_about_the_uid_of_its_readers_alone() {
    let mut asking = three("files: {k: {path: k, mode: \"0400\", containers: [api]}, c: c}");
    asking["spec"]["containers"][0]["securityContext"] = json!({"runAsUser": 1000});
    let (patched, _) = injected(&asking);
    assert_eq!(patched["spec"]["initContainers"][0]["securityContext"]["runAsUser"], 1000);
}

#[test]
fn several_environments_have_one_token_for_each_organization() {
    let tokens = |patched: &Value| -> Vec<Value> {
        let volumes = patched["spec"]["volumes"].as_array().unwrap();
        let volume = volumes.iter().find(|volume| volume["name"] == "esc-token").unwrap();
        let sources = volume["projected"]["sources"].as_array().unwrap();
        sources
            .iter()
            .map(|source| {
                json!([source["serviceAccountToken"]["audience"], source["serviceAccountToken"]["path"]])
            })
            .collect()
    };
    let asking =
        pod(&[("environment", "acme/shop/prod, other/team/base@3, acme/shop/more"), ("file.a", "a")]);
    let (patched, _) = injected(&asking);
    assert_eq!(
        plan(&patched)["environments"],
        json!(["acme/shop/prod", "other/team/base@3", "acme/shop/more"])
    );
    assert_eq!(
        plan(&patched)["auth"]["tokens"],
        json!([
            {"organization": "acme", "tokenFile": "/esc/token/token-acme"},
            {"organization": "other", "tokenFile": "/esc/token/token-other"},
        ])
    );
    assert_eq!(
        tokens(&patched),
        [json!(["urn:pulumi:org:acme", "token-acme"]), json!(["urn:pulumi:org:other", "token-other"])]
    );
    // One audience for all is one token.
    let mut policy = policy();
    policy.audience = Some("esc".to_owned());
    let (patched, _) = apply(&asking, inject(&asking, &context(&policy)));
    assert_eq!(tokens(&patched), [json!(["esc", "token"])]);
    let files: Vec<_> = plan(&patched)["auth"]["tokens"]
        .as_array()
        .unwrap()
        .iter()
        .map(|token| token["tokenFile"].clone())
        .collect();
    assert_eq!(files, ["/esc/token/token", "/esc/token/token"]);
}

#[test]
fn a_pods_source_of_a_file_replaces_its_namespaces_and_keeps_what_else_was_said() {
    let policy = policy();
    let namespace = without_prefix(&[
        ("environment", "acme/shop/prod"),
        ("config", "files: {a: {path: x, default: none, mode: \"0555\", containers: [app]}}"),
    ]);
    let context =
        esc_injector::inject::Context { namespace_annotations: Some(&namespace), ..context(&policy) };
    let asking = pod(&[("template.a", "{{ values.x }}")]);
    let (patched, _) = apply(&asking, inject(&asking, &context));
    let file = json!({"name": "a", "template": "{{ values.x }}", "mode": 0o555});
    assert_eq!(plan(&patched)["views"][0]["files"], json!([file]));
}
