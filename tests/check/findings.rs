//! What is found, and where.

use crate::{check, found, json};

/// A Deployment whose pod has these lines of annotations, from line 9 on.
fn deployment(annotations: &str) -> String {
    let lines: Vec<String> = annotations.lines().map(|line| format!("        {line}\n")).collect();
    let annotations = lines.concat();
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\nspec:\n  template:\n    metadata:\n      annotations:\n{annotations}    spec:\n      containers:\n      - name: app\n        image: shop\n        command: [/app]\n"
    )
}

#[test]
fn nothing_is_said_of_good_manifests() {
    let manifest = deployment("esc.pulumi.com/environment: acme/shop/prod");
    let said = check(&[], &manifest);
    assert_eq!((said.code, said.err.as_str()), (0, ""));
    assert_eq!(
        said.out,
        "1 object, 1 asks for injection, 0 errors, 0 warnings\nnamespaces not among the input, taken to be labelled: default\n"
    );
}

#[test]
fn each_finding_stands_where_the_mistake_is() {
    const ENVIRONMENT: &str = "esc.pulumi.com/environment: acme/shop/prod\n";
    let mut wrong = Vec::new();
    for (annotations, expected) in [
        (
            "esc.pulumi.com/enviroment: acme/shop/prod",
            vec![
                "error ESC101 9:9 esc.pulumi.com/enviroment",
                "warning ESC108 9:9 esc.pulumi.com/enviroment",
            ],
        ),
        ("esc.pulumi.com/environment: acme/prod", vec!["error ESC104 9:37 acme/prod"]),
        ("esc.pulumi.com/env.A: 'a b['", vec!["error ESC105 10:31 'a b['"]),
        ("esc.pulumi.com/env.1A: a", vec!["error ESC102 10:9 esc.pulumi.com/env.1A"]),
        ("esc.pulumi.com/timeout: soon", vec!["error ESC106 10:33 soon"]),
        ("esc.pulumi.com/mode.x: \"0440\"", vec!["error ESC109 10:9 esc.pulumi.com/mode.x"]),
        ("esc.pulumi.com/containers: apq", vec!["error ESC201 10:36 apq"]),
        ("esc.pulumi.com/command.apq: '[\"/x\"]'", vec!["error ESC201 10:9 esc.pulumi.com/command.apq"]),
        ("esc.pulumi.com/api-url: https://evil.example", vec!["error ESC112 10:33 https://evil.example"]),
        ("esc.pulumi.com/on-change: restart", vec!["error ESC119 10:9 esc.pulumi.com/on-change"]),
        ("esc.pulumi.com/file.x: x\nesc.pulumi.com/mode.x: \"0400\"", vec!["error ESC207 11:32 \"0400\""]),
        // What the API server refuses before the webhook is asked.
        ("esc.pulumi.com/init-first: true", vec!["error ESC703 10:36 true"]),
        (
            "esc.pulumi.com/mode.ca.crt: 0444\nesc.pulumi.com/file.ca.crt: a",
            vec!["error ESC703 10:37 0444", "error ESC106 10:37 0444"],
        ),
        ("esc.pulumi.com/file.tls/ca.crt: a", vec!["error ESC702 10:9 esc.pulumi.com/file.tls/ca.crt"]),
        ("esc.pulumi.com/env.A_: a", vec!["error ESC702 10:9 esc.pulumi.com/env.A_"]),
        (
            "esc.pulumi.com/env.A23456789012345678901234567890123456789012345678901234567890: a",
            vec![
                "error ESC702 10:9 esc.pulumi.com/env.A23456789012345678901234567890123456789012345678901234567890",
            ],
        ),
        // Inside config, however it is written.
        (
            "esc.pulumi.com/config: |\n  env:\n    A: {path: a, formt: json}\n  file: {}",
            vec!["error ESC110 12:26 formt", "error ESC110 13:11 file"],
        ),
        ("esc.pulumi.com/config: |-\n  environments: [acme/x]", vec!["error ESC107 11:11 environments"]),
        (
            "esc.pulumi.com/config: |\n  env: {A: 'a b['}\n  files: {x: {path: y, mode: 440}}",
            vec!["error ESC105 11:20 'a b['", "error ESC106 12:38 440"],
        ),
        ("esc.pulumi.com/config: |\n  env: [", vec!["error ESC110 11:16 ["]),
        (
            "esc.pulumi.com/config: '{env: {A: a, B: {path: b, optional: \"yes\"}}}'",
            vec!["error ESC106 10:69 \"yes\""],
        ),
        (
            "esc.pulumi.com/config: |\n  &a\n  env: &b {<<: *b}\n  <<: *a\nesc.pulumi.com/containers: x",
            vec!["error ESC110 12:20 <<: *b}", "error ESC201 14:36 x"],
        ),
        // Warnings.
        ("esc.pulumi.com/refresh: 5m\nesc.pulumi.com/env.A: a", vec!["warning ESC219 10:33 5m"]),
    ] {
        let has_environment = expected[0].contains("9:");
        let lines =
            if has_environment { annotations.to_owned() } else { format!("{ENVIRONMENT}{annotations}") };
        let found = found(&deployment(&lines));
        if found != expected {
            wrong.push(format!(
                "{annotations}
  found {found:?}
  not {expected:?}"
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{}",
        wrong.join(
            "
"
        )
    );
}

#[test]
fn containers_and_mounts_are_pointed_at() {
    let text = "kind: Pod\nmetadata:\n  name: p\n  annotations:\n    esc.pulumi.com/environment: acme/shop/prod\n    esc.pulumi.com/env.A: a\nspec:\n  containers:\n  - name: app\n    volumeMounts:\n    - {name: v, mountPath: /run/secrets/esc}\n  - name: esc-agent\n    command: [x]\n    env: [{name: A, value: b}]\n";
    assert_eq!(found(text), ["error ESC203 6:27 a", "error ESC202 9:11 app", "error ESC204 12:11 esc-agent"]);
    let files = text.replace("env.A: a", "file.A: a");
    assert_eq!(found(&files), ["error ESC205 11:28 /run/secrets/esc", "error ESC204 12:11 esc-agent"]);
}

#[test]
fn annotations_beside_the_pod_are_found() {
    let at_workload = "kind: Deployment\nmetadata:\n  name: web\n  annotations:\n    esc.pulumi.com/environment: acme/shop/prod\n    esc.pulumi.com/env.A: a\nspec:\n  template:\n    spec: {containers: [{name: app}]}\n";
    assert_eq!(found(at_workload), ["error ESC701 5:5 esc.pulumi.com/environment"]);
    let said = check(&[], at_workload);
    assert_eq!(said.code, 65);
    let words = said.out.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("move them to spec.template.metadata.annotations"), "{}", said.out);
    // On both is what tools do that annotate all objects.
    let both = format!(
        "{}---\nkind: Service\nmetadata: {{name: s, annotations: {{esc.pulumi.com/environment: acme/shop/prod}}}}\n",
        deployment("esc.pulumi.com/environment: acme/shop/prod").replace(
            "  name: web\n",
            "  name: web\n  annotations: {esc.pulumi.com/environment: acme/shop/prod}\n"
        )
    );
    assert_eq!(found(&both), Vec::<String>::new());
    for (text, expected) in [
        (
            "kind: CronJob\nmetadata: {name: c}\nspec:\n  jobTemplate:\n    metadata:\n      annotations:\n        esc.pulumi.com/environment: acme/shop/prod\n    spec: {template: {spec: {containers: []}}}\n",
            vec!["error ESC701 7:9 esc.pulumi.com/environment"],
        ),
        (
            "kind: ServiceAccount\nmetadata:\n  name: s\n  annotations: {esc.pulumi.com/environment: acme/shop/prod}\n",
            vec!["warning ESC701 4:17 esc.pulumi.com/environment"],
        ),
        (
            "kind: Pod\nmetadata:\n  name: p\n  labels: {esc.pulumi.com/inject: \"true\"}\nspec: {containers: [{name: a}]}\n",
            vec!["error ESC701 4:12 esc.pulumi.com/inject"],
        ),
        (
            "kind: Namespace\nmetadata:\n  name: n\n  labels: {esc.pulumi.com/injecton: enabled}\n",
            vec!["error ESC701 4:12 esc.pulumi.com/injecton"],
        ),
        // A kind of which only its own operator knows that it makes pods.
        (
            "kind: Rollout\nmetadata: {name: r}\nspec:\n  template:\n    metadata: {annotations: {esc.pulumi.com/environment: acme}}\n    spec: {containers: [{name: a, command: [x]}]}\n",
            vec!["error ESC104 5:58 acme"],
        ),
        // One that keeps its pods where only it knows.
        (
            "kind: ScaledJob\nmetadata: {name: r}\nspec:\n  jobs:\n  - template:\n      metadata: {annotations: {esc.pulumi.com/environment: acme}}\n      spec: {containers: [{name: a, command: [x]}]}\n",
            vec!["error ESC104 6:60 acme"],
        ),
        // One that says of its pods only what is to be added.
        (
            "kind: Kafka\nmetadata: {name: r}\nspec:\n  kafka:\n    template:\n      pod:\n        metadata: {annotations: {esc.pulumi.com/environment: acme}}\n",
            vec!["warning ESC707 7:34 esc.pulumi.com/environment"],
        ),
        // What operators write on a Secret is on no pod.
        (
            "kind: SealedSecret\nmetadata: {name: e}\nspec: {template: {metadata: {annotations: {esc.pulumi.com/environment: acme}}}}\n",
            vec![],
        ),
        (
            "kind: ExternalSecret\nmetadata: {name: e}\nspec: {target: {template: {metadata: {annotations: {esc.pulumi.com/environment: acme}}}}}\n",
            vec![],
        ),
        (
            "kind: ClusterExternalSecret\nmetadata: {name: e}\nspec: {externalSecretSpec: {target: {template: {metadata: {annotations: {esc.pulumi.com/environment: acme}}}}}}\n",
            vec![],
        ),
    ] {
        assert_eq!(found(text), expected, "{text}");
    }
}

#[test]
fn pods_are_judged_wherever_other_operators_keep_their_templates() {
    let task = |name: &str, environment: &str| {
        format!(
            "  - name: {name}\n    template:\n      metadata: {{annotations: {{esc.pulumi.com/environment: {environment}}}}}\n      spec: {{containers: [{{name: a, command: [x]}}]}}\n"
        )
    };
    let job = |tasks: &str| {
        format!(
            "apiVersion: batch.volcano.sh/v1alpha1\nkind: Job\nmetadata: {{name: v, namespace: shop}}\nspec:\n  tasks:\n{tasks}"
        )
    };
    let good = job(&(task("a", "acme/shop/prod") + &task("b", "acme/shop/prod")));
    let said = check(&["--strict"], &good);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.out.starts_with("1 object, 1 asks for injection, 0 errors, 0 warnings"), "{said:?}");
    let bad = job(&(task("a", "acme/shop/prod") + &task("b", "acme")));
    assert_eq!(found(&bad), ["error ESC104 12:60 acme"]);
    let finding = &json(&[], &bad)["findings"][0];
    assert_eq!((&finding["object"], &finding["namespace"]), (&"Job/v".into(), &"shop".into()));
    // Namespaces count for them as for all pods.
    let closed = format!("{good}---\nkind: Namespace\nmetadata: {{name: shop}}\n");
    let message = json(&[], &closed)["findings"][0]["message"].to_string();
    assert!(message.contains("and Job/v asks for injection"), "{message}");
}

#[test]
fn namespaces_among_the_input_speak_for_their_pods() {
    let pod = "---\nkind: Pod\nmetadata: {name: p, namespace: shop, annotations: {esc.pulumi.com/inject: \"true\"}}\nspec: {containers: [{name: a, command: [x]}]}\n";
    let namespace = |labels: &str, annotations: &str| {
        format!(
            "kind: Namespace\nmetadata:\n  name: shop\n  labels: {labels}\n  annotations:\n    esc.pulumi.com/environment: acme/shop/prod\n{annotations}{pod}{}",
            pod.replace("name: p", "name: q")
        )
    };
    let open = "{esc.pulumi.com/injection: enabled}";
    // What a namespace may say that is not there is not known to be missing.
    assert_eq!(found(pod), ["warning ESC108 3:52 esc.pulumi.com/inject"]);
    let silent = namespace(open, "").replace("    esc.pulumi.com/environment: acme/shop/prod\n", "");
    assert_eq!(
        found(&silent),
        ["error ESC108 8:52 esc.pulumi.com/inject", "error ESC108 12:52 esc.pulumi.com/inject"]
    );
    assert_eq!(found(&namespace(open, "")), Vec::<String>::new());
    // Told once, and where it stands.
    assert_eq!(found(&namespace(open, "    esc.pulumi.com/timeout: soon\n")), ["error ESC106 7:29 soon"]);
    assert_eq!(
        found(&namespace(open, "    esc.pulumi.com/inject: \"true\"\n")),
        ["warning ESC118 7:5 esc.pulumi.com/inject"]
    );
    assert_eq!(found(&namespace("{}", "")), ["error ESC802 3:9 shop"]);
    assert_eq!(found(&namespace("{esc.pulumi.com/injection: \"yes\"}", "")), ["error ESC802 4:38 \"yes\""]);
    // A label that was meant to open it, and no pod beside it.
    let alone = |label: &str| format!("kind: Namespace\nmetadata: {{name: shop, labels: {label}}}\n");
    assert_eq!(found(&alone("{esc.pulumi.com/injection: \"true\"}")), ["warning ESC802 2:59 \"true\""]);
    for closed in ["{}", "{esc.pulumi.com/injection: disabled}", "{esc.pulumi.com/injection: all}"] {
        assert_eq!(found(&alone(closed)), Vec::<String>::new());
    }
    let message = json(&[], &namespace("{}", ""))["findings"][0]["message"].to_string();
    assert!(message.contains("Pod/p, Pod/q ask for injection"), "{message}");
}

#[test]
fn what_can_not_be_read_does_not_hide_the_rest() {
    let text = format!(
        "kind: Secret\ndata: [c2VjcmV0\n---\n{}",
        deployment("esc.pulumi.com/enviroment: acme/shop/prod\nesc.pulumi.com/environment: acme/shop/prod")
    );
    let said = check(&[], &text);
    assert_eq!(said.code, 65);
    assert!(said.out.contains("[ESC704]") && said.out.contains("[ESC101]"), "{}", said.out);
    assert!(!said.out.contains("c2VjcmV0"), "a Secret's lines are not for printing: {}", said.out);
    let list = "{kind: List, items: [{kind: Secret, data: {a: c2VjcmV0}}, {kind: Pod, metadata: {annotations: {esc.pulumi.com/environment: acme}}, spec: {containers: []}}]}";
    let said = check(&[], list);
    assert!(said.out.contains("[ESC104]") && !said.out.contains("c2VjcmV0"), "{}", said.out);
    for secret in [
        // Items of a list need no kind of their own, and what can't be read may be anything.
        "{\"kind\":\"SecretList\",\"items\":[{\"metadata\":{\"annotations\":{\"esc.pulumi.com/environment\":\"a/b/c\"}},\"stringData\":{\"pw\":\"c2VjcmV0\"}}]}",
        "{metadata: {annotations: {esc.pulumi.com/environment: a/b/c}}, data: {pw: c2VjcmV0}}",
        "data: {pw: c2VjcmV0 ]",
        "{pw: c2VjcmV0 ]",
        "kind: Pod\n---\n{kind: Pod, stringData: {pw: c2VjcmV0 ]}",
        "{\"kind\": \"ExternalThing\", \"x\": c2VjcmV0 ]",
    ] {
        let said = check(&[], secret);
        assert!(said.out.contains("[ESC70") && !said.out.contains("c2VjcmV0"), "{secret}: {}", said.out);
    }
    let said = check(&[], "kind: Deployment\nspec: {replicas: 3 ]\n");
    assert!(said.out.contains("replicas: 3 ]"), "a Deployment's line helps: {}", said.out);
    let said = check(&["--output", "json"], "{\"kind\": \"Pod\"");
    assert!(said.code == 65 && said.out.contains("ESC704"), "{said:?}");
}

#[test]
fn misspelt_prefixes_are_found() {
    for key in
        ["esc.pulumi.co/environment", "esc.pulumi.com.env/A", "ESC.pulumi.com/env.Z", "ecs.pulumi.com/x"]
    {
        let manifest = deployment(&format!("{key}: acme/shop/prod"));
        assert_eq!(found(&manifest), [format!("error ESC701 9:9 {key}")]);
    }
    for other in ["pulumi.com/x", "app.pulumi.com/x", "esc.example.com/x", "environment"] {
        assert_eq!(found(&deployment(&format!("{other}: acme/shop/prod"))), Vec::<String>::new(), "{other}");
    }
    let nameless = json(&[], "metadata: {labels: {esc.pulumi.com/injection: all}}");
    let message = nameless["findings"][0]["message"].to_string();
    assert!(message.contains("among the labels of an object without a kind, and"), "{message}");
}

#[test]
fn who_names_nothing_to_check_is_told() {
    for input in ["", "# nothing\n", "just words\n", "- just\n- words\n", "---\n---\n"] {
        let said = check(&[], input);
        assert!(said.code == 0 && said.out.contains("warning[ESC706]"), "{input:?}: {said:?}");
        assert_eq!(check(&["--strict"], input).code, 65, "{input:?}");
    }
    // What `kubectl get -o yaml` prints of a namespace that has none.
    let none = "apiVersion: v1\nitems: []\nkind: List\nmetadata: {resourceVersion: \"\"}\n";
    let said = check(&["--strict"], none);
    assert_eq!((said.code, said.out.as_str()), (0, "0 objects, 0 ask for injection, 0 errors, 0 warnings\n"));
}

#[test]
fn json_is_pointed_at_where_it_breaks() {
    assert_eq!(found("{\"kind\": \"Pod\",\n  \"spec\": {\"a\": 1,, }}\n"), ["error ESC704 2:19 ,"]);
}

#[test]
fn a_templates_mistake_is_said() {
    let json = json(
        &[],
        &deployment("esc.pulumi.com/environment: acme/shop/prod\nesc.pulumi.com/template.x: 'a {{ values.b'"),
    );
    let message = json["findings"][0]["message"].to_string();
    assert!(message.contains("the syntax is wrong: ") && message.contains("expected"), "{message}");
}

#[test]
fn lists_and_json_have_places_too() {
    let text = "{\"kind\": \"List\", \"items\": [{\"kind\": \"Pod\", \"metadata\": {\"name\": \"p\", \"annotations\": {\n  \"esc.pulumi.com/environment\": \"acme\"}},\n  \"spec\": {\"containers\": [{\"name\": \"a\", \"command\": [\"x\"]}]}}]}\n";
    assert_eq!(found(text), ["error ESC104 2:33 \"acme\""]);
    let twice = format!("{text}{text}");
    assert_eq!(found(&twice), ["error ESC104 2:33 \"acme\"", "error ESC104 5:33 \"acme\""]);
}

#[test]
fn a_stateful_sets_claims_and_the_tokens_mount_are_known() {
    let text = "kind: StatefulSet\nmetadata: {name: s}\nspec:\n  volumeClaimTemplates: [{metadata: {name: esc-bin}}]\n  template:\n    metadata:\n      annotations:\n        esc.pulumi.com/environment: acme/shop/prod\n        esc.pulumi.com/file.x: x\n        esc.pulumi.com/mount-path: /var/run/secrets\n    spec:\n      containers: [{name: a, command: [x]}]\n";
    assert_eq!(found(text), ["error ESC204 8:9 esc.pulumi.com/environment"]);
    let text = text.replace("esc-bin", "data");
    assert_eq!(found(&text), ["warning ESC205 10:36 /var/run/secrets"]);
}
