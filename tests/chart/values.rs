//! Each value does what its comment says.

use clap::Parser;
use serde_json::{Value, json};

use crate::{
    helm::{refusal, render},
    objects::FULLNAME,
};

#[test]
#[ignore = "needs helm: tests/cluster/install"]
fn values_become_flags() {
    for (values, flags) in [
        ("agent: {image: {repository: mirror/esc}}", &["agent-image=mirror/esc:0.1.0"][..]),
        ("agent: {image: {tag: '9'}}", &["agent-image=ghcr.io/esc-injector/esc-injector:9"]),
        ("image: {repository: mirror/esc, tag: '2'}", &["agent-image=mirror/esc:2"]),
        ("agent: {user: 1000}", &["agent-user=1000"]),
        ("openshift: {enabled: true}", &["agent-user="]),
        ("api: {url: https://esc.example.com}", &["api-url=https://esc.example.com"]),
        (
            "api: {allowedUrls: [https://a.example, https://b.example]}",
            &["allow-api-url=https://a.example", "allow-api-url=https://b.example"],
        ),
        ("api: {caBundle: '-----BEGIN CERTIFICATE-----'}", &["ca-file=/etc/esc-injector/ca/ca.crt"]),
        ("auth: {mode: token}", &["auth=token"]),
        ("auth: {audience: us}", &["audience=us"]),
        ("auth: {allowedAudiences: ['urn:*', x]}", &["allow-audience=urn:*", "allow-audience=x"]),
        ("auth: {tokenType: 'team:shop'}", &["token-type=team:shop"]),
        ("auth: {accessTokenSecret: esc/token}", &["default=access-token-secret=esc/token"]),
        ("proxy: {https: 'http://proxy:3128'}", &["https-proxy=http://proxy:3128"]),
        ("proxy: {noProxy: 'a.example,.b.example'}", &["no-proxy=a.example,.b.example"]),
        ("excludedContainers: [vendor, other]", &["exclude-container=vendor", "exclude-container=other"]),
        ("startAfter: [mesh]", &["start-after=mesh"]),
        ("minRefresh: 10m", &["min-refresh=10m"]),
        ("minKubelet: '1.35'", &["min-kubelet=1.35"]),
        ("allowedOnChangeUrls: ['http://a.example/']", &["allow-on-change-url=http://a.example/"]),
        ("workloadChecks: deny", &["workload-checks=deny"]),
        ("log: {level: debug, format: text}", &["log-level=debug", "log-format=text"]),
        ("webhook: {port: 8443, healthPort: 9090}", &["listen=[::]:8443", "health-listen=[::]:9090"]),
        ("webhook: {hostNetwork: true}", &["listen=[::]:10260", "health-listen=[::]:10261"]),
        ("defaults: {timeout: 30s, on-failure: start}", &["default=on-failure=start", "default=timeout=30s"]),
        ("defaults: {config: {env: {A: 'b,c'}}}", &[r#"default=config={"env":{"A":"b,c"}}"#]),
        (
            "certificates: {mode: secret, secretName: mine, caBundle: '-----BEGIN CERTIFICATE-----'}",
            &["tls-cert=/etc/esc-injector/tls/tls.crt", "tls-key=/etc/esc-injector/tls/tls.key"],
        ),
        (
            "certificates: {mode: self}",
            &[
                "service-name=inj-esc-injector",
                "ca-secret=inj-esc-injector-ca",
                "webhook-configuration=inj-esc-injector",
                "own-namespace=esc",
                "kubernetes=auto",
            ],
        ),
    ] {
        let arguments = render(values).arguments();
        for flag in flags {
            let count = arguments.iter().filter(|argument| **argument == format!("--{flag}")).count();
            assert_eq!(count, 1, "{values}: --{flag} in {arguments:?}");
        }
    }
}

/// The program itself reads what the chart writes.
#[derive(Parser)]
enum Program {
    Webhook(Box<esc_injector::cli::webhook::Args>),
    Probe(esc_injector::cli::probe::Args),
}

fn parse(arguments: &[String]) -> Result<Program, String> {
    let program = std::iter::once("esc-injector").chain(arguments.iter().map(String::as_str));
    Program::try_parse_from(program).map_err(|error| error.to_string())
}

#[test]
#[ignore = "needs helm: tests/cluster/install"]
fn the_program_takes_every_flag_that_the_chart_gives() {
    let everything = "
agent: {user: 1000}
api: {url: https://esc.example.com, allowedUrls: [https://a.example], caBundle: '-----BEGIN CERTIFICATE-----'}
auth: {mode: token, audience: us, allowedAudiences: [us], tokenType: 'team:a', accessTokenSecret: a/b}
proxy: {https: 'http://proxy:1', noProxy: a}
defaults: {timeout: 30s}
excludedContainers: [a]
startAfter: [a]
minKubelet: '1.35'
allowedOnChangeUrls: ['http://a/']
";
    let secret = "certificates: {mode: secret, secretName: a, caBundle: '-----BEGIN CERTIFICATE-----'}\n";
    for values in ["", everything, secret, "openshift: {enabled: true}", "certificates: {mode: certManager}"]
    {
        let parsed = parse(&render(values).arguments());
        assert!(matches!(parsed, Ok(Program::Webhook(_))), "{values}: {:?}", parsed.err());
    }
    let test = render("test: {namespace: shop}").find("Pod", &format!("{FULLNAME}-test")).unwrap().clone();
    let arguments: Vec<_> = test["spec"]["containers"][0]["args"].as_array().unwrap().clone();
    let arguments: Vec<_> = arguments.iter().map(|argument| argument.as_str().unwrap().to_owned()).collect();
    assert!(matches!(parse(&arguments), Ok(Program::Probe(_))), "{arguments:?}");
}

#[test]
#[ignore = "needs helm: tests/cluster/install"]
fn texts_arrive_as_they_were_written() {
    for text in [
        r#"it's "quoted""#,
        "a,b, c",
        "{{ .Release.Name }} {{ fail \"evaluated\" }}",
        "$(HOME) $$(HOME) $5 $$",
        r"back\slash \n",
        "# : & * ! | > % @ `",
        "true",
        "é ü 🦀 <&>",
    ] {
        let quoted = serde_json::to_string(text).unwrap();
        let objects = render(&format!("auth: {{audience: {quoted}}}\ndefaults: {{env.X: {quoted}}}"));
        let arguments = objects.arguments();
        assert!(arguments.contains(&format!("--audience={text}")), "{text}: {arguments:?}");
        assert!(arguments.contains(&format!("--default=env.X={text}")), "{text}: {arguments:?}");
    }
}

#[test]
#[ignore = "needs helm: tests/cluster/install"]
fn a_list_entry_that_the_program_would_split_is_refused() {
    for values in [
        "defaults: {config: \"a: b\\nc: d\"}",
        "api: {allowedUrls: ['https://a.example,https://b.example']}",
        "auth: {allowedAudiences: ['a,b']}",
        "excludedContainers: ['a,b']",
        "startAfter: ['a,b']",
    ] {
        assert!(
            refusal(values).contains("does not match pattern") || refusal(values).contains("anyOf"),
            "{values}"
        );
    }
}

#[test]
#[ignore = "needs helm: tests/cluster/install"]
fn values_reach_the_objects() {
    let at = |values: &str, kind: &str, pointer: &str| render(values).one(kind).pointer(pointer).cloned();
    let rows: &[(&str, &str, &str, Value)] = &[
        ("replicas: 3", "Deployment", "/spec/replicas", json!(3)),
        ("replicas: 3", "PodDisruptionBudget", "/spec/maxUnavailable", json!(1)),
        (
            "podDisruptionBudget: {maxUnavailable: 50%}",
            "PodDisruptionBudget",
            "/spec/maxUnavailable",
            json!("50%"),
        ),
        ("autoscaling: {enabled: true}", "HorizontalPodAutoscaler", "/spec/maxReplicas", json!(6)),
        (
            "webhook: {failurePolicy: Ignore}",
            "MutatingWebhookConfiguration",
            "/webhooks/1/failurePolicy",
            json!("Ignore"),
        ),
        (
            "webhook: {timeoutSeconds: 9}",
            "MutatingWebhookConfiguration",
            "/webhooks/0/timeoutSeconds",
            json!(9),
        ),
        (
            "webhook: {reinvocationPolicy: Never}",
            "MutatingWebhookConfiguration",
            "/webhooks/0/reinvocationPolicy",
            json!("Never"),
        ),
        ("serviceAccount: {annotations: {a: b}}", "ServiceAccount", "/metadata/annotations/a", json!("b")),
        ("priorityClass: {value: 5}", "PriorityClass", "/value", json!(5)),
        ("labels: {team: x}", "Service", "/metadata/labels/team", json!("x")),
        (
            "networkPolicy: {enabled: true, apiServerCidrs: [10.0.0.1/32]}",
            "NetworkPolicy",
            "/spec/egress/1/to/0/ipBlock/cidr",
            json!("10.0.0.1/32"),
        ),
        (
            "networkPolicy: {enabled: true}",
            "NetworkPolicy",
            "/spec/ingress/0",
            json!({"ports": [{"port": "https", "protocol": "TCP"}]}),
        ),
        (
            "metrics: {serviceMonitor: {enabled: true, interval: 30s}}",
            "ServiceMonitor",
            "/spec/endpoints/0",
            json!({"port": "http", "path": "/metrics", "interval": "30s"}),
        ),
        ("metrics: {serviceMonitor: {enabled: true}}", "Service", "/spec/ports/1/port", json!(8080)),
        (
            "metrics: {podMonitor: {enabled: true, labels: {a: b}}}",
            "PodMonitor",
            "/metadata/labels/a",
            json!("b"),
        ),
        (
            "certificates: {mode: certManager, certManager: {issuerRef: {name: ours, kind: ClusterIssuer}}}",
            "Certificate",
            "/spec/issuerRef",
            json!({"kind": "ClusterIssuer", "name": "ours"}),
        ),
    ];
    for (values, kind, pointer, expected) in rows {
        assert_eq!(at(values, kind, pointer).as_ref(), Some(expected), "{values}: {kind}{pointer}");
    }
}

#[test]
#[ignore = "needs helm: tests/cluster/install"]
fn values_reach_the_pods() {
    let digest = format!("sha256:{}", "a".repeat(64));
    let rows: &[(&str, &str, Value)] = &[
        (
            &format!("image: {{digest: '{digest}', tag: x}}"),
            "/containers/0/image",
            json!(format!("ghcr.io/esc-injector/esc-injector@{digest}")),
        ),
        ("image: {pullPolicy: Always}", "/containers/0/imagePullPolicy", json!("Always")),
        ("image: {pullSecrets: [a, b]}", "/imagePullSecrets", json!([{"name": "a"}, {"name": "b"}])),
        ("resources: {limits: {memory: 1Gi}}", "/containers/0/resources/limits/memory", json!("1Gi")),
        ("nodeSelector: {pool: a}", "/nodeSelector", json!({"kubernetes.io/os": "linux", "pool": "a"})),
        ("tolerations: [{operator: Exists}]", "/tolerations", json!([{"operator": "Exists"}])),
        ("affinity: {nodeAffinity: {}}", "/affinity", json!({"nodeAffinity": {}})),
        (
            "topologySpreadConstraints: [{topologyKey: rack}]",
            "/topologySpreadConstraints",
            json!([{"topologyKey": "rack"}]),
        ),
        ("webhook: {hostNetwork: true}", "/dnsPolicy", json!("ClusterFirstWithHostNet")),
        ("webhook: {hostNetwork: true}", "/containers/0/ports/0/containerPort", json!(10260)),
        (
            "priorityClass: {create: false, name: system-cluster-critical}",
            "/priorityClassName",
            json!("system-cluster-critical"),
        ),
        ("certificates: {mode: certManager}", "/volumes/0/secret/secretName", json!("inj-esc-injector-tls")),
        ("certificates: {mode: certManager, secretName: x}", "/volumes/0/secret/secretName", json!("x")),
    ];
    for (values, pointer, expected) in rows {
        let objects = render(values);
        assert_eq!(objects.pod()["spec"].pointer(pointer), Some(expected), "{values}: {pointer}");
    }
    assert_eq!(render("podLabels: {a: b}").pod()["metadata"]["labels"]["a"], "b");
    assert_eq!(render("podAnnotations: {a: b}").pod()["metadata"]["annotations"]["a"], "b");
    assert_eq!(render("fullnameOverride: other").find("Service", "other").unwrap()["kind"], "Service");
    let extra = render(
        "extraObjects: [{apiVersion: v1, kind: ConfigMap, metadata: {name: x}, data: {a: '{{ b }}'}}]",
    );
    assert_eq!(extra.find("ConfigMap", "x").unwrap()["data"]["a"], "{{ b }}");
}

#[test]
#[ignore = "needs helm: tests/cluster/install"]
fn what_is_off_is_not_there() {
    for (values, kind) in [
        ("replicas: 1", "PodDisruptionBudget"),
        ("autoscaling: {enabled: true, minReplicas: 1}", "PodDisruptionBudget"),
        ("podDisruptionBudget: {enabled: false}", "PodDisruptionBudget"),
        ("priorityClass: {create: false}", "PriorityClass"),
        ("{}", "HorizontalPodAutoscaler"),
        ("{}", "NetworkPolicy"),
        ("{}", "ServiceMonitor"),
        ("{}", "PodMonitor"),
        ("{}", "ConfigMap"),
        ("{}", "Certificate"),
        ("certificates: {mode: certManager}", "Secret"),
        ("certificates: {mode: certManager, certManager: {issuerRef: {name: ours}}}", "Issuer"),
        (
            "policies: {askedMustBeInjected: off, askedInUnlabelledNamespace: off, guardWebhookConfiguration: off}",
            "ValidatingAdmissionPolicy",
        ),
        (
            "policies: {askedMustBeInjected: 'off', askedInUnlabelledNamespace: 'off', guardWebhookConfiguration: 'off'}",
            "ValidatingAdmissionPolicyBinding",
        ),
    ] {
        assert!(!render(values).has(kind), "{values}: {kind}");
    }
    let pod = render("priorityClass: {create: false}");
    assert!(pod.pod()["spec"].get("priorityClassName").is_none());
    assert!(render("topologySpreadConstraints: []").pod()["spec"].get("topologySpreadConstraints").is_none());
    assert!(render("autoscaling: {enabled: true}").one("Deployment")["spec"].get("replicas").is_none());
}

#[test]
#[ignore = "needs helm: tests/cluster/install"]
fn pods_restart_for_a_changed_ca_of_esc_and_for_nothing_that_is_followed() {
    let pem = |text: &str| format!("api: {{caBundle: '-----BEGIN CERTIFICATE-----{text}'}}");
    assert_ne!(render(&pem("a")).pod(), render(&pem("b")).pod());
    let values = |text: &str| {
        format!(
            "certificates: {{mode: secret, secretName: mine, caBundle: '-----BEGIN CERTIFICATE-----{text}'}}"
        )
    };
    let (before, after) = (render(&values("a")), render(&values("b")));
    assert_eq!(before.pod(), after.pod());
    assert_ne!(
        before.entries()[0]["clientConfig"]["caBundle"],
        after.entries()[0]["clientConfig"]["caBundle"]
    );
}

#[test]
#[ignore = "needs helm: tests/cluster/install"]
fn the_esc_ca_is_mounted_where_the_flag_points() {
    let pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let objects = render(&format!("api: {{caBundle: {}}}", serde_json::to_string(pem).unwrap()));
    assert_eq!(objects.find("ConfigMap", "inj-esc-injector-esc-ca").unwrap()["data"]["ca.crt"], pem);
    assert_eq!(objects.container()["volumeMounts"][0]["mountPath"], "/etc/esc-injector/ca");
    assert_eq!(objects.pod()["spec"]["volumes"][0]["configMap"]["name"], format!("{FULLNAME}-esc-ca"));
}
