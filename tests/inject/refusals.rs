//! What is refused, skipped and warned about.

use esc_injector::inject::{Outcome, inject};
use serde_json::{Value, json};

use crate::support::{context, injected, pod, policy, refused, run, without_prefix};

const ENVIRONMENT: (&str, &str) = ("environment", "acme/shop/prod");

/// What is done to a pod that would be injected as it is.
type Change = fn(&mut Value);

/// The codes of a refusal, with the subjects.
fn codes(pod: &Value) -> Vec<String> {
    refused(run(pod)).iter().map(|problem| format!("{} {}", problem.code, problem.subject)).collect()
}

fn assert_refused(pod: &Value, code: &str, words: &str) {
    let problems = refused(run(pod));
    let matches = |problem: &&esc_injector::inject::Problem| {
        problem.code.id() == code && problem.to_string().contains(words)
    };
    assert!(
        problems.iter().any(|problem| matches(&problem)),
        "{code} with `{words}` is not among {problems:?}"
    );
}

#[test]
fn refuses_each_malformed_annotation_with_its_code() {
    for (key, value, code, words) in [
        ("enviroment", "x", "ESC101", "did you mean `esc.pulumi.com/environment`?"),
        ("qqqq", "x", "ESC101", "docs/annotations.md"),
        ("allowed-environments", "a/b/c", "ESC101", "belongs on the namespace"),
        ("env.1A", "a", "ESC102", "1A"),
        ("env.a-b", "a", "ESC102", "a-b"),
        ("file...data", "a", "ESC103", "..data"),
        ("environment", "acme/shop", "ESC104", "organization/project/environment"),
        ("environment", "acme/shop/prod,", "ESC104", "separated by commas"),
        ("env.A", "a[", "ESC105", "missing closing bracket"),
        ("env.A", "", "ESC105", "`.`"),
        ("inject", "yes", "ESC106", "true, false"),
        ("projections", "everything", "ESC106", "all, env, files, none"),
        ("containers", "app,app", "ESC106", "twice"),
        ("mount-path", "secrets", "ESC106", "absolute"),
        ("on-failure", "blok", "ESC106", "did you mean `block`?"),
        ("timeout", "soon", "ESC106", "soon"),
        ("init-first", "no", "ESC106", "true, false"),
        ("token-type", "robot", "ESC106", "team:NAME"),
        ("access-token-secret", "Not_A_Name", "ESC106", "name or name/key"),
        ("api-url", "http://esc.example", "ESC106", "only https"),
        ("volume-size", "big", "ESC106", "quantity"),
        ("agent-memory-limit", "lots", "ESC106", "quantity"),
        ("log-level", "loud", "ESC106", "trace"),
        ("command.app", "/app", "ESC106", "JSON array"),
        ("env-mode", "magic", "ESC106", "kubelet"),
        ("refresh", "0s", "ESC106", "above zero"),
        ("metrics-port", "99999", "ESC106", "65535"),
        ("refresh", "721h", "ESC106", "720h"),
        ("refresh", "30s", "ESC120", "minimum"),
        ("restart-spread", "25h", "ESC106", "24h"),
        ("on-change", "signal:SIGKILL", "ESC106", "SIGHUP"),
        ("on-change", "reload", "ESC106", "none, restart"),
        ("on-change", "http://127.0.0.1:1/x", "ESC119", "esc.pulumi.com/refresh"),
        ("restart-spread", "1m", "ESC119", "esc.pulumi.com/refresh"),
        ("metrics-port", "9090", "ESC119", "esc.pulumi.com/refresh"),
        ("mode.x", "rw", "ESC106", "octal"),
        ("format.x", "xml", "ESC106", "properties"),
        ("config", "env: [", "ESC110", "line "),
        ("config", "environment: x", "ESC110", "did you mean `environments`?"),
        ("config", "env: {A: {paht: x}}", "ESC110", "did you mean `path`?"),
        ("config", "files: {a: {path: x, mode: 0440}}", "ESC106", "quotes"),
        ("config", "- a", "ESC110", "environments, env, files, containers"),
        ("template.a", "{{ values.x", "ESC106", "line 1"),
        ("config", "files: {a: {template: \"{% if %}\"}}", "ESC106", "files.a.template"),
        ("config", "files: {a: {path: x, template: y}}", "ESC110", "keep one"),
        ("config", "files: {a: {mode: \"0444\"}}", "ESC110", "`path` or `template` is missing"),
        ("config", "env: {A: {path: a, optional: \"true\"}}", "ESC106", "without quotes"),
        ("config", "env: {A: {path: a, default: 1}}", "ESC106", "quotes"),
        ("config", "env: {A: {path: a, containers: app}}", "ESC110", "list"),
        ("config", "env: {A: {path: a, optional: true, default: x}}", "ESC119", "keep one"),
        ("config", "files: {a: {template: x, format: json}}", "ESC119", "drop the format"),
        ("config", "files: {a: {template: x, decode: base64}}", "ESC119", "drop the decode"),
        ("config", "env: {A: {path: a, containers: [ap]}}", "ESC201", "did you mean `app`?"),
    ] {
        assert_refused(&pod(&[ENVIRONMENT, (key, value)]), code, words);
    }
}

#[test]
fn settings_that_ask_for_nothing_new_are_fine() {
    for (key, value) in [
        ("on-change", "none"),
        ("share-process-namespace", "false"),
        ("env-mode", "exec"),
        ("env-mode", "auto"),
    ] {
        injected(&pod(&[ENVIRONMENT, ("env.A", "a"), (key, value)]));
    }
}

#[test]
fn reports_all_problems_of_a_pod_at_once() {
    let mut pod = pod(&[
        ("environment", "acme"),
        ("env.A-B", "x"),
        ("env.C", "c"),
        ("timeout", "soon"),
        ("frobnicate", "1"),
        ("mode.nothing", "0444"),
    ]);
    pod["spec"]["containers"][0].as_object_mut().unwrap().remove("command");
    pod["spec"]["volumes"] = json!([{"name": "esc-bin"}]);
    let found = codes(&pod);
    // Of the annotations, and of the pod.
    for code in ["ESC101", "ESC102", "ESC104", "ESC106", "ESC109", "ESC202", "ESC204"] {
        assert!(found.iter().any(|found| found.starts_with(code)), "{code} is not in {found:?}");
    }
}

#[test]
fn one_mistake_is_one_problem() {
    let without_command = |annotations: &[(&str, &str)]| {
        let mut pod = pod(annotations);
        pod["spec"]["containers"][0].as_object_mut().unwrap().remove("command");
        pod
    };
    for (key, value, code) in [
        ("file.a", "a[", "ESC105 esc.pulumi.com/file.a"),
        ("file.../a", "a", "ESC103 esc.pulumi.com/file.../a"),
        ("template.a", "{{", "ESC106 esc.pulumi.com/template.a"),
        ("template.../a", "x", "ESC103 esc.pulumi.com/template.../a"),
        (
            "config",
            "files: {a: {path: a, containers: []}}",
            "ESC110 esc.pulumi.com/config, files.a.containers",
        ),
        ("config", "files: [", "ESC110 esc.pulumi.com/config"),
        ("config", "files: {a: {path: \"a[\"}}", "ESC105 esc.pulumi.com/config, files.a.path"),
        ("config", "containers: []", "ESC110 esc.pulumi.com/config, containers"),
        ("containers", "app,app", "ESC106 esc.pulumi.com/containers"),
        ("command.app", "/app", "ESC106 esc.pulumi.com/command.app"),
    ] {
        assert_eq!(codes(&without_command(&[ENVIRONMENT, (key, value)])), [code], "{key}: {value}");
    }
    let narrow = [ENVIRONMENT, ("file.a", "a"), ("mode.a", "0400"), ("containers", "ap")];
    assert_eq!(codes(&pod(&narrow)), ["ESC201 esc.pulumi.com/containers"]);
}

#[test]
fn lists_every_container_whose_command_is_unknown() {
    let mut pod = pod(&[ENVIRONMENT, ("env.A", "a")]);
    pod["spec"]["containers"] = json!([{"name": "one", "image": "x"}, {"name": "two", "image": "x"}, {"name": "ok", "command": ["/a"]}]);
    pod["spec"]["initContainers"] = json!([{"name": "three", "image": "x"}]);
    assert_eq!(codes(&pod), ["ESC202 container three", "ESC202 container one", "ESC202 container two"]);
    assert_refused(&pod, "ESC202", "esc.pulumi.com/command.one: '[\"/path/to/program\"]'");
}

#[test]
fn refuses_what_collides_with_the_pod() {
    let base = || pod(&[ENVIRONMENT, ("env.A", "a"), ("file.b", "b")]);
    let with = |change: &dyn Fn(&mut Value)| {
        let mut pod = base();
        change(&mut pod);
        pod
    };
    let table: [(Change, &str, &str); 9] = [
        (
            |pod| pod["spec"]["containers"][0]["env"] = json!([{"name": "A", "value": "x"}]),
            "ESC203",
            "variable A",
        ),
        (|pod| pod["spec"]["containers"][0]["name"] = json!("esc-agent"), "ESC204", "container esc-agent"),
        (
            |pod| pod["spec"]["volumes"] = json!([{"name": "esc-bin", "emptyDir": {}}]),
            "ESC204",
            "volume esc-bin",
        ),
        (
            |pod| pod["spec"]["volumes"] = json!([{"name": "esc-files-0", "emptyDir": {}}]),
            "ESC204",
            "volume esc-files-0",
        ),
        (
            |pod| {
                pod["spec"]["containers"][0]["volumeMounts"] =
                    json!([{"name": "v", "mountPath": "/run/secrets/esc"}]);
            },
            "ESC205",
            "/run/secrets/esc",
        ),
        (
            |pod| {
                pod["spec"]["containers"][0]["volumeMounts"] =
                    json!([{"name": "v", "mountPath": "/var/run/secrets/esc/below"}]);
            },
            "ESC205",
            "below",
        ),
        (
            |pod| {
                pod["spec"]["containers"][0]["volumeMounts"] =
                    json!([{"name": "v", "mountPath": "/esc/bin"}]);
            },
            "ESC205",
            "/esc/bin",
        ),
        (
            |pod| {
                pod["spec"]["containers"][0]["volumeMounts"] =
                    json!([{"name": "v", "mountPath": "/run", "readOnly": true}]);
            },
            "ESC206",
            "read-only",
        ),
        (
            |pod| pod["metadata"]["annotations"]["esc.pulumi.com/mount-path"] = json!("/esc/env"),
            "ESC205",
            "collides",
        ),
    ];
    for (change, code, words) in table {
        assert_refused(&with(&change), code, words);
    }
    // An `esc-files-x` of the user's is nobody's business.
    injected(&with(&|pod| pod["spec"]["volumes"] = json!([{"name": "esc-files-x", "emptyDir": {}}])));
}

#[test]
fn refuses_containers_that_are_not_there_or_start_too_early() {
    assert_refused(
        &pod(&[ENVIRONMENT, ("file.a", "a"), ("containers", "ap")]),
        "ESC201",
        "did you mean `app`?",
    );
    assert_refused(&pod(&[ENVIRONMENT, ("file.a", "a"), ("command.other", "[\"/x\"]")]), "ESC201", "other");
    let mut early = pod(&[ENVIRONMENT, ("file.a", "a"), ("containers", "setup"), ("init-first", "false")]);
    early["spec"]["initContainers"] = json!([{"name": "setup", "image": "x"}]);
    assert_refused(&early, "ESC209", "setup");
    let mut nobody = pod(&[ENVIRONMENT, ("file.a", "a")]);
    nobody["spec"]["containers"][0]["name"] = json!("datadog-agent");
    assert_refused(&nobody, "ESC210", "name the receivers");
}

#[test]
fn refuses_a_mode_that_nobody_could_read() {
    let narrow = |mode: &str| pod(&[ENVIRONMENT, ("file.k", "k"), ("mode.k", mode)]);
    assert_refused(&narrow("0440"), "ESC207", "fsGroup");
    assert_refused(&narrow("0400"), "ESC207", "runAsUser");
    let mut two_uids = narrow("0400");
    two_uids["spec"]["containers"] = json!([
        {"name": "a", "image": "x", "securityContext": {"runAsUser": 1}},
        {"name": "b", "image": "x", "securityContext": {"runAsUser": 2}},
    ]);
    assert_refused(&two_uids, "ESC207", "same runAsUser");
    let mut root = narrow("0400");
    root["spec"]["securityContext"] = json!({"runAsUser": 0});
    assert_refused(&root, "ESC207", "above 0");
}

#[test]
fn refuses_what_the_operator_does_not_allow_as_forbidden() {
    for (key, value, code) in [
        ("api-url", "https://evil.example", "ESC112"),
        ("service-account-audience", "https://kubernetes.default.svc", "ESC113"),
    ] {
        let problems = refused(run(&pod(&[ENVIRONMENT, ("file.a", "a"), (key, value)])));
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].forbidden && problems[0].code.id() == code, "{problems:?}");
    }
    for (key, value) in
        [("api-url", "https://esc.internal/api/esc"), ("service-account-audience", "urn:pulumi:org:other")]
    {
        injected(&pod(&[ENVIRONMENT, ("file.a", "a"), (key, value)]));
    }
}

#[test]
fn a_namespace_limits_and_defaults_its_pods() {
    let policy = policy();
    let namespace = without_prefix(&[
        ("environment", "acme/shop/prod"),
        ("allowed-environments", "acme/shop/*"),
        ("file.a", "from.namespace"),
        ("mode.a", "0555"),
        ("inject", "true"),
    ]);
    let context = |everyone| esc_injector::inject::Context {
        namespace_annotations: Some(&namespace),
        everyone,
        ..context(&policy)
    };
    // Defaults alone.
    let asking = pod(&[("inject", "true")]);
    let (patched, warnings) = crate::support::apply(&asking, inject(&asking, &context(false)));
    assert!(warnings.iter().any(|warning| warning.contains("inject has no meaning here")), "{warnings:?}");
    assert_eq!(crate::support::plan(&patched)["views"][0]["files"][0]["path"], "from.namespace");
    // The pod overrides a destination and keeps what it does not mention.
    let overriding = pod(&[("file.a", "from.pod")]);
    let (patched, _) = crate::support::apply(&overriding, inject(&overriding, &context(false)));
    let file = &crate::support::plan(&patched)["views"][0]["files"][0];
    assert_eq!((&file["path"], &file["mode"]), (&json!("from.pod"), &json!(0o555)));
    // The limit.
    let outside = pod(&[("environment", "acme/other/prod")]);
    let problems = refused(inject(&outside, &context(false)));
    assert!(
        problems.iter().any(|problem| problem.code.id() == "ESC114" && problem.forbidden),
        "{problems:?}"
    );
    let one_of_two = pod(&[("environment", "acme/shop/prod,acme/other/prod")]);
    assert_eq!(refused(inject(&one_of_two, &context(false))).len(), 1);
    // A pod that does not ask, in a namespace for those who ask and in one for everybody.
    let silent = pod(&[]);
    assert!(matches!(inject(&silent, &context(false)), Outcome::Skipped { .. }));
    assert!(matches!(inject(&silent, &context(true)), Outcome::Injected { .. }));
    let opted_out = pod(&[("inject", "false"), ("nonsense", "x")]);
    assert!(matches!(inject(&opted_out, &context(true)), Outcome::Skipped { .. }));
}

#[test]
fn a_default_that_a_pod_has_no_use_for_does_not_keep_it_out() {
    let policy = policy();
    let namespace = without_prefix(&[
        ("environment", "acme/shop/prod"),
        ("command.other", r#"["/other"]"#),
        ("mode.other", "0444"),
    ]);
    let context =
        esc_injector::inject::Context { namespace_annotations: Some(&namespace), ..context(&policy) };
    // Nor does one that it overrides.
    let asking = pod(&[("file.a", "a"), ("on-change", "none")]);
    assert!(matches!(inject(&asking, &context), Outcome::Injected { .. }));
    // Its own mistakes do.
    let mistaken = pod(&[("file.a", "a"), ("mode.b", "0444"), ("command.c", r#"["/c"]"#)]);
    let codes: Vec<_> =
        refused(inject(&mistaken, &context)).iter().map(|problem| problem.code.id()).collect();
    assert_eq!(codes, ["ESC109", "ESC201"]);
}

#[test]
fn an_operator_default_lies_below_the_namespace() {
    let mut policy = policy();
    policy.defaults =
        [("timeout".to_owned(), "30s".to_owned()), ("file.a".to_owned(), "operator".to_owned())].into();
    let namespace = without_prefix(&[("environment", "acme/shop/prod"), ("timeout", "45s")]);
    let context =
        esc_injector::inject::Context { namespace_annotations: Some(&namespace), ..context(&policy) };
    let asking = pod(&[("inject", "true")]);
    let (patched, _) = crate::support::apply(&asking, inject(&asking, &context));
    let plan = crate::support::plan(&patched);
    assert_eq!(
        (&plan["timeoutSeconds"], &plan["views"][0]["files"][0]["path"]),
        (&json!(45), &json!("operator"))
    );
}

#[test]
fn a_timeout_is_never_cut_short() {
    for (asked, seconds) in [("1s", 1), ("1500ms", 2), ("1m30s", 90)] {
        let (patched, _) = injected(&pod(&[ENVIRONMENT, ("file.a", "a"), ("timeout", asked)]));
        assert_eq!(crate::support::plan(&patched)["timeoutSeconds"], json!(seconds), "{asked}");
    }
}

#[test]
fn refuses_to_inject_without_an_environment() {
    assert_refused(&pod(&[("inject", "true")]), "ESC108", "organization/project/environment");
}

#[test]
fn refuses_a_pod_that_asks_for_nothing() {
    assert_refused(&pod(&[ENVIRONMENT, ("projections", "none")]), "ESC117", "none");
}

#[test]
fn refuses_to_lack_a_static_token_where_the_operator_wants_one() {
    let mut policy = policy();
    policy.auth = esc_injector::inject::policy::AuthMode::Token;
    let without = pod(&[ENVIRONMENT]);
    let problems = refused(inject(&without, &context(&policy)));
    assert_eq!(problems[0].code.id(), "ESC115");
    let with = pod(&[ENVIRONMENT, ("access-token-secret", "esc-token")]);
    assert!(matches!(inject(&with, &context(&policy)), Outcome::Injected { .. }));
}

#[test]
fn refuses_a_plan_that_is_too_large() {
    let keys: Vec<(String, String)> =
        (0..3000).map(|n| (format!("env.VARIABLE_{n}"), format!("some.path.{n}"))).collect();
    let mut annotations = vec![ENVIRONMENT];
    annotations.extend(keys.iter().map(|(key, value)| (key.as_str(), value.as_str())));
    assert_refused(&pod(&annotations), "ESC116", "65536");
}

#[test]
fn refuses_a_destination_that_is_named_twice() {
    assert_refused(&pod(&[ENVIRONMENT, ("env.A", "a"), ("config", "env: {A: b}")]), "ESC107", "env.A");
    assert_refused(&pod(&[ENVIRONMENT, ("file.a", "a"), ("config", "files: {a: b}")]), "ESC107", "files.a");
    assert_refused(
        &pod(&[ENVIRONMENT, ("config", "environments: [acme/shop/prod]")]),
        "ESC107",
        "environments",
    );
    assert_refused(&pod(&[ENVIRONMENT, ("config", "files: {a: x, a/b: y}")]), "ESC103", "directory");
    assert_refused(&pod(&[ENVIRONMENT, ("file.a", "a"), ("template.a", "b")]), "ESC107", "a");
}

#[test]
fn leaves_alone_what_is_not_its_business() {
    let policy = policy();
    let skipped = |pod: &Value, namespace: &str, everyone: bool| {
        let context = esc_injector::inject::Context { namespace, everyone, ..context(&policy) };
        matches!(inject(pod, &context), Outcome::Skipped { .. })
    };
    assert!(skipped(&pod(&[]), "shop", false), "a pod that did not ask");
    assert!(skipped(&pod(&[("status", "injected")]), "shop", false), "a status is no request");
    assert!(skipped(&pod(&[ENVIRONMENT]), "esc-injector", true), "our own namespace");
    let mut mirror = pod(&[ENVIRONMENT]);
    mirror["metadata"]["annotations"]["kubernetes.io/config.mirror"] = json!("x");
    assert!(skipped(&mirror, "shop", true), "a mirror pod");
    for mut odd in [pod(&[]), pod(&[ENVIRONMENT, ("inject", "false")])] {
        odd["metadata"]["annotations"]["theirs"] = json!(true);
        odd["spec"] = json!({"containers": [{"env": [{"name": "A", "value": 1}]}]});
        assert!(skipped(&odd, "shop", false), "a pod that did not ask, however odd");
    }
}

#[test]
fn windows_pods_are_refused_when_they_ask_and_skipped_when_all_are_injected() {
    let policy = policy();
    for windows in
        [json!({"os": {"name": "windows"}}), json!({"nodeSelector": {"kubernetes.io/os": "windows"}})]
    {
        let mut asking = pod(&[ENVIRONMENT]);
        let mut silent = pod(&[]);
        for pod in [&mut asking, &mut silent] {
            let spec = pod["spec"].as_object_mut().unwrap();
            spec.extend(windows.as_object().unwrap().clone());
        }
        assert_refused(&asking, "ESC208", "Linux");
        let everyone = esc_injector::inject::Context { everyone: true, ..context(&policy) };
        match inject(&silent, &everyone) {
            Outcome::Skipped { warnings } => assert!(warnings[0].message.contains("Windows"), "{warnings:?}"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn refuses_a_malformed_pod_and_names_the_field() {
    let table: [(Change, &str); 7] = [
        (|pod| pod["spec"] = json!("x"), "spec"),
        (|pod| pod["spec"]["containers"] = json!({}), "spec.containers"),
        (|pod| pod["spec"]["containers"][0] = json!(1), "spec.containers[0]"),
        (|pod| pod["spec"]["containers"][0]["command"] = json!("/app"), "spec.containers[0].command"),
        (
            |pod| pod["spec"]["containers"][0]["env"] = json!([{"value": "x"}]),
            "spec.containers[0].env[0].name",
        ),
        (|pod| pod["metadata"]["annotations"]["x"] = json!(true), "metadata.annotations[x]"),
        (|pod| pod["spec"]["securityContext"] = json!({"runAsUser": "0"}), "spec.securityContext.runAsUser"),
    ];
    for (change, field) in table {
        let mut pod = pod(&[ENVIRONMENT]);
        change(&mut pod);
        assert_eq!(codes(&pod), [format!("ESC211 {field}")]);
    }
}

#[test]
fn warns_of_what_is_legal_but_worrying() {
    let mut never = pod(&[ENVIRONMENT, ("file.a", "a")]);
    never["spec"]["restartPolicy"] = json!("Never");
    assert!(injected(&never).1.iter().any(|warning| warning.contains("restartPolicy is Never")));
    let mut shows = pod(&[ENVIRONMENT, ("env.A", "a")]);
    shows["spec"]["containers"][0]["args"] = json!(["--token=$(A)"]);
    assert!(injected(&shows).1.iter().any(|warning| warning.contains("shows in ps")));
    let mut early = pod(&[ENVIRONMENT, ("file.a", "a")]);
    early["spec"]["initContainers"] = json!([{"name": "early", "image": "x"}, {"name": "istio-proxy", "image": "x", "restartPolicy": "Always"}]);
    let warnings = injected(&early).1;
    assert!(warnings.len() == 1 && warnings[0].starts_with("[ESC214]"), "{warnings:?}");
    early["spec"]["initContainers"][0]["restartPolicy"] = json!("Always");
    let policy = esc_injector::inject::Policy { start_after: vec!["early".to_owned()], ..policy() };
    let (_, warnings) = crate::support::apply(&early, inject(&early, &context(&policy)));
    assert_eq!(warnings, Vec::<String>::new(), "a sidecar that the operator starts first");
    for warning in [injected(&never).1, injected(&shows).1].concat() {
        assert!(warning.starts_with("[ESC2"), "{warning}");
    }
}

#[test]
fn refuses_pods_of_a_size_that_no_pod_has() {
    let large = "x".repeat(300 * 1024);
    assert_refused(&pod(&[ENVIRONMENT, ("timeout", &large)]), "ESC211", "256 KiB");
    for (list, count) in [("containers", 513), ("initContainers", 513)] {
        let mut pod = pod(&[ENVIRONMENT, ("file.a", "a")]);
        pod["spec"][list] =
            (0..count).map(|n| json!({"name": format!("c{n}"), "image": "x"})).collect::<Vec<_>>().into();
        assert_refused(&pod, "ESC211", "512");
    }
    let names: Vec<_> = (0..600).map(|n| format!("c{n}")).collect();
    assert_refused(&pod(&[ENVIRONMENT, ("containers", &names.join(","))]), "ESC106", "512");
}

#[test]
fn a_refusal_is_one_short_line_whatever_it_quotes() {
    let long = "x".repeat(100 * 1024);
    for value in [long.as_str(), "a\nb\u{1b}[31mc\u{7}"] {
        let said = refused(run(&pod(&[ENVIRONMENT, ("timeout", value)])))[0].to_string();
        assert!(said.chars().count() < 1100 && !said.chars().any(char::is_control), "{said}");
        assert!(said.starts_with("[ESC106] esc.pulumi.com/timeout: ") && said.contains("such as"), "{said}");
    }
}
