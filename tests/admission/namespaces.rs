//! What namespaces say reaches their pods from memory, and what happens while it is not known.

use std::time::Duration;

use esc_injector::webhook::Limits;
use serde_json::{Value, json};

use crate::{
    answers::ask,
    client::{Client, status},
    namespace_api::NamespaceApi,
    reviews::{asking, review, small_pod},
    setup::{Running, eventually, quick, soon},
};

/// A webhook that follows these namespaces. Its watches are as short as can be.
async fn following(api: &NamespaceApi) -> Running {
    let limits = Limits { watch: Duration::from_secs(1), ..quick() };
    Running::start_as(limits, |config| {
        config.cluster = Some(api.cluster());
        config.policy.own_namespace = Some("esc-injector".to_owned());
    })
    .await
}

async fn ready(webhook: &Running) {
    eventually(async || status(webhook.health, "/readyz").await == 200).await;
}

/// The answer for a pod with these annotations in this namespace.
async fn pod_in(webhook: &Running, namespace: &str, annotations: &[(&str, &str)]) -> Value {
    let mut review = review("u-1", &asking(small_pod(), annotations));
    review["request"]["namespace"] = json!(namespace);
    ask(webhook, "/mutate", &review).await
}

/// `injected`, or the status code of the refusal.
fn told(response: &Value) -> String {
    match response["allowed"].as_bool() {
        Some(true) if response.get("patch").is_some() => "injected".to_owned(),
        Some(true) => "skipped".to_owned(),
        _ => response["status"]["code"].to_string(),
    }
}

const ASKS: [(&str, &str); 1] = [("inject", "true")];

/// Whether the watch has not been alive for a while, by its metric.
async fn is_stale(webhook: &Running) -> bool {
    let reply = Client::connect_plain(webhook.health).await.unwrap().get("/metrics").await.unwrap();
    let text = std::str::from_utf8(&reply.body).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("esc_injector_namespace_watch_stale_seconds "));
    line.unwrap() != "0.0"
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_not_ready_before_it_knows_the_namespaces() {
    let api = NamespaceApi::start().await;
    api.says("shop", "enabled", &[("environment", "acme/shop/prod")]);
    api.forbids(true);
    let webhook = following(&api).await;
    let readiness = async || {
        let reply = soon(async { Client::connect_plain(webhook.health).await.unwrap().get("/readyz").await });
        let reply = reply.await.unwrap();
        (reply.status.as_u16(), String::from_utf8(reply.body.to_vec()).unwrap())
    };
    eventually(async || readiness().await.1.contains("namespaces: the list of namespaces (ESC942")).await;
    assert_eq!(readiness().await.0, 503);
    assert!(is_stale(&webhook).await);
    // It answers all the same, and takes no namespace for one that says nothing.
    assert_eq!(told(&pod_in(&webhook, "shop", &ASKS).await), "503");
    assert_eq!(status(webhook.health, "/livez").await, 200);
    api.forbids(false);
    ready(&webhook).await;
    assert_eq!(told(&pod_in(&webhook, "shop", &ASKS).await), "injected");
    eventually(async || !is_stale(&webhook).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_a_new_api_server_can_do_is_allowed_once_its_release_is_known() {
    let api = NamespaceApi::start().await;
    api.says("shop", "enabled", &[]);
    let webhook = following(&api).await;
    ready(&webhook).await;
    let restarts =
        [("environment", "acme/shop/prod"), ("file.a", "a"), ("refresh", "5m"), ("on-change", "restart")];
    eventually(async || told(&pod_in(&webhook, "shop", &restarts).await) == "injected").await;
    // The fake one is too old to have no old kubelets.
    let kubelet = [("environment", "acme/shop/prod"), ("env.A", "a"), ("env-mode", "kubelet")];
    assert!(pod_in(&webhook, "shop", &kubelet).await.to_string().contains("ESC220"));
}

#[tokio::test(flavor = "multi_thread")]
async fn defaults_and_limits_reach_pods_as_they_change() {
    let api = NamespaceApi::start().await;
    api.says("shop", "enabled", &[("allowed-environments", "acme/shop-*/*, acme/shared/prod")]);
    let webhook = following(&api).await;
    ready(&webhook).await;
    let allowed = |environment: &'static str| {
        let webhook = &webhook;
        async move { told(&pod_in(webhook, "shop", &[("environment", environment)]).await) }
    };
    for (environment, expected) in [
        ("acme/shop-eu/prod", "injected"),
        ("acme/shop-eu/prod@3", "injected"),
        ("acme/shared/prod", "injected"),
        ("acme/shared/dev", "403"),
        ("acme/shop/prod", "403"),
        ("other/shop-eu/prod", "403"),
    ] {
        assert_eq!(allowed(environment).await, expected, "{environment}");
    }
    // A pod that names none has none, until there is a default.
    assert_eq!(told(&pod_in(&webhook, "shop", &ASKS).await), "422");
    api.says("shop", "enabled", &[("environment", "acme/shop/prod"), ("inject", "true"), ("status", "x")]);
    eventually(async || told(&pod_in(&webhook, "shop", &ASKS).await) == "injected").await;
    let warnings = pod_in(&webhook, "shop", &ASKS).await["warnings"].clone();
    let warned = |key: &str| {
        let expected = format!("[ESC118] namespace annotation esc.pulumi.com/{key} has no meaning here");
        warnings.as_array().unwrap().iter().any(|warning| warning.as_str().unwrap().starts_with(&expected))
    };
    assert!(warned("inject") && warned("status"), "{warnings}");
    assert_eq!(allowed("acme/anything/else").await, "injected");
    // What is wrong in a default keeps the namespace's pods out, and says where it stands.
    api.says("shop", "enabled", &[("environment", "acme")]);
    eventually(async || told(&pod_in(&webhook, "shop", &ASKS).await) == "422").await;
    let message = pod_in(&webhook, "shop", &ASKS).await["status"]["message"].to_string();
    assert!(message.contains("[ESC104] namespace annotation esc.pulumi.com/environment"), "{message}");
    api.deletes("shop");
    eventually(async || told(&pod_in(&webhook, "shop", &ASKS).await) == "503").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_waits_for_its_namespace_only_where_that_may_matter() {
    let api = NamespaceApi::start().await;
    let webhook = following(&api).await;
    ready(&webhook).await;
    let environment = ("environment", "acme/shop/prod");
    let refused = pod_in(&webhook, "new", &[environment]).await;
    let status = &refused["status"];
    assert_eq!((&status["code"], &status["reason"]), (&json!(503), &json!("ServiceUnavailable")));
    assert_eq!(status["details"]["retryAfterSeconds"], 1, "clients try again by themselves");
    assert!(
        status["message"]
            .as_str()
            .unwrap()
            .starts_with("[ESC941] the webhook does not know namespace `new` yet")
    );
    for (namespace, annotations) in [
        ("new", vec![]),
        ("new", vec![("status", "injected")]),
        ("new", vec![("inject", "false"), environment]),
        ("esc-injector", vec![environment]),
    ] {
        assert_eq!(told(&pod_in(&webhook, namespace, &annotations).await), "skipped", "{annotations:?}");
    }
    let mut mirror = review("u-1", &asking(small_pod(), &[environment]));
    mirror["request"]["namespace"] = json!("new");
    mirror["request"]["object"]["metadata"]["annotations"]["kubernetes.io/config.mirror"] = json!("x");
    assert_eq!(told(&ask(&webhook, "/mutate", &mirror).await), "skipped");
    // Where all are injected, every pod waits.
    let mut silent = review("u-1", &small_pod());
    silent["request"]["namespace"] = json!("new");
    assert_eq!(told(&ask(&webhook, "/mutate/all", &silent).await), "503");
    // A check only advises.
    let template = asking(small_pod(), &[environment]);
    let checked = ask(&webhook, "/check", &deployment("new", &template)).await;
    assert_eq!(checked["allowed"], true);
    assert!(checked["warnings"][0].as_str().unwrap().starts_with("[ESC941] not checked"), "{checked}");
    assert_eq!(
        ask(&webhook, "/check", &deployment("new", &small_pod())).await,
        json!({"uid": "w-1", "allowed": true})
    );
    api.says("new", "enabled", &[]);
    eventually(async || told(&pod_in(&webhook, "new", &[environment]).await) == "injected").await;
}

fn deployment(namespace: &str, template: &Value) -> Value {
    let object = json!({"kind": "Deployment", "metadata": {"name": "shop"}, "spec": {"template": template}});
    let mut review = review("w-1", &object);
    review["request"]["resource"] = json!({"group": "apps", "version": "v1", "resource": "deployments"});
    review["request"]["namespace"] = json!(namespace);
    review
}

#[tokio::test(flavor = "multi_thread")]
async fn checks_know_the_namespaces_defaults_and_label() {
    let api = NamespaceApi::start().await;
    api.says("shop", "enabled", &[("allowed-environments", "acme/shop/*")]);
    api.says("all", "all", &[]);
    api.says("whole", "all", &[("environment", "acme/shop/prod"), ("file.ca.crt", "tls.ca")]);
    let webhook = following(&api).await;
    ready(&webhook).await;
    let elsewhere = asking(small_pod(), &[("environment", "acme/other/prod")]);
    let response = ask(&webhook, "/check", &deployment("shop", &elsewhere)).await;
    assert!(
        response["warnings"][0].as_str().unwrap().starts_with("[ESC114] pods of this Deployment"),
        "{response}"
    );
    // Where all are injected, a template need not ask to be refused for want of an environment.
    let response = ask(&webhook, "/check", &deployment("all", &small_pod())).await;
    assert!(
        response["warnings"][0].as_str().unwrap().starts_with("[ESC108] pods of this Deployment"),
        "{response}"
    );
    let whole = ask(&webhook, "/check", &deployment("whole", &small_pod())).await;
    assert_eq!(whole, json!({"uid": "w-1", "allowed": true}));
}

#[tokio::test(flavor = "multi_thread")]
async fn known_namespaces_stay_known_while_all_are_listed_anew() {
    let api = NamespaceApi::start().await;
    for number in 0..1200 {
        api.says(&format!("ns-{number:04}"), "enabled", &[("environment", "acme/shop/prod")]);
    }
    let webhook = following(&api).await;
    ready(&webhook).await;
    let lists = api.lists();
    assert_eq!(lists.len(), 3, "pages: {lists:?}");
    for _ in 0..2 {
        let before = api.lists().len();
        api.cut();
        api.forgets();
        eventually(async || {
            assert_eq!(told(&pod_in(&webhook, "ns-1199", &ASKS).await), "injected");
            api.lists().len() >= before + 3
        })
        .await;
    }
    // What changed while nobody watched is there afterwards.
    let lists = api.lists().len();
    api.deletes("ns-0000");
    api.says("late", "enabled", &[("environment", "acme/shop/prod")]);
    api.forgets();
    api.cut();
    eventually(async || api.lists().len() >= lists + 3).await;
    eventually(async || told(&pod_in(&webhook, "late", &ASKS).await) == "injected").await;
    assert_eq!(told(&pod_in(&webhook, "ns-0000", &ASKS).await), "503");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_that_goes_away_takes_nothing_with_it() {
    let mut api = NamespaceApi::start().await;
    api.says("shop", "enabled", &[("environment", "acme/shop/prod")]);
    let webhook = following(&api).await;
    ready(&webhook).await;
    api.goes_away();
    eventually(async || is_stale(&webhook).await).await;
    assert_eq!(told(&pod_in(&webhook, "shop", &ASKS).await), "injected");
    assert_eq!(status(webhook.health, "/readyz").await, 200);
    api.says("next", "enabled", &[("environment", "acme/shop/prod")]);
    api.comes_back().await;
    eventually(async || !is_stale(&webhook).await).await;
    eventually(async || told(&pod_in(&webhook, "next", &ASKS).await) == "injected").await;
    assert_eq!(api.lists().len(), 1, "it goes on from where it was");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_watch_is_not_stale_and_a_silent_one_is() {
    let api = NamespaceApi::start().await;
    api.says("shop", "enabled", &[]);
    let limits = Limits { watch: Duration::from_secs(1), ..quick() };
    let webhook = Running::start_as(limits, |config| config.cluster = Some(api.cluster())).await;
    ready(&webhook).await;
    // Idle: it ends as it was asked to, and is opened again from where it was, which a bookmark moves on.
    let version = api.bookmark();
    let goes_on = |watch: &String| watch.contains(&format!("resourceVersion={version}"));
    eventually(async || {
        assert!(!is_stale(&webhook).await);
        api.watches().last().is_some_and(goes_on)
    })
    .await;
    assert!(api.watches().iter().all(|watch| watch.contains("timeoutSeconds=1")), "{:?}", api.watches());
    api.is_silent(true);
    eventually(async || is_stale(&webhook).await).await;
    api.is_silent(false);
    eventually(async || !is_stale(&webhook).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_is_answered_as_the_real_thing() {
    let api = NamespaceApi::start().await;
    api.says("shop", "enabled", &[("inject", "true"), ("allowed-environments", "acme/shop/*")]);
    let webhook = following(&api).await;
    ready(&webhook).await;
    let mut once = asking(small_pod(), &[("environment", "acme/shop/prod"), ("env.A", "a")]);
    once["spec"]["restartPolicy"] = json!("Never");
    for (namespace, pod, expected) in [
        ("shop", small_pod(), "skipped"),
        ("shop", once, "injected"),
        ("shop", asking(small_pod(), &[("environment", "acme/other/prod")]), "403"),
        ("shop", asking(small_pod(), &[("nonsense", "x")]), "422"),
        ("unknown", asking(small_pod(), &ASKS), "503"),
    ] {
        let mut review = review("u-1", &pod);
        review["request"]["namespace"] = json!(namespace);
        let real = ask(&webhook, "/mutate", &review).await;
        assert_eq!(told(&real), expected);
        review["request"]["dryRun"] = json!(true);
        assert_eq!(ask(&webhook, "/mutate", &review).await, real);
    }
}
