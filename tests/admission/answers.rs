//! What comes back for what is sent.

use http_body_util::Full;
use hyper::{Method, Request, header};
use serde_json::{Value, json};

use crate::{
    client::{Reply, SERVER_NAME, metric},
    reviews::{asking, large_pod, review, small_pod},
    setup::{Running, quick, soon},
};

pub async fn post(webhook: &Running, path: &str, body: &Value) -> Reply {
    soon(async { webhook.client().await.post(path, serde_json::to_vec(body).unwrap()).await }).await.unwrap()
}

/// The answer to a review, checked for what every answer must have.
pub async fn ask(webhook: &Running, path: &str, review: &Value) -> Value {
    let reply = post(webhook, path, review).await;
    assert_eq!(
        (reply.status.as_u16(), &reply.headers[header::CONTENT_TYPE]),
        (200, &"application/json".parse().unwrap())
    );
    let answer = reply.json();
    assert_eq!(answer["apiVersion"], "admission.k8s.io/v1");
    assert_eq!(answer["kind"], "AdmissionReview");
    assert_eq!(answer["response"]["uid"], review["request"]["uid"]);
    assert_eq!(answer["response"].get("patch").is_some(), answer["response"].get("patchType").is_some());
    answer["response"].clone()
}

/// The pod after the answer's patch.
fn patched(pod: &Value, response: &Value) -> Value {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let mut pod = pod.clone();
    let patch = STANDARD.decode(response["patch"].as_str().unwrap()).unwrap();
    let patch: json_patch::Patch = serde_json::from_slice(&patch).unwrap();
    json_patch::patch(&mut pod, &patch).unwrap();
    pod
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_without_a_uid_get_400() {
    let webhook = Running::start(quick()).await;
    for body in ["", "{", "null", "[]", "{}", r#"{"request":{}}"#, r#"{"request":{"uid":""}}"#, "\u{0}"] {
        let reply = soon(async { webhook.client().await.post("/mutate", body).await }).await.unwrap();
        assert_eq!(reply.status, 400, "{body}");
        assert_eq!(reply.json()["code"], "ESC901", "{body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_reviews_are_denied_with_their_uid() {
    let webhook = Running::start(quick()).await;
    for (pointer, value) in [
        ("/apiVersion", json!("admission.k8s.io/v1beta1")),
        ("/kind", json!("Review")),
        ("/request/resource", json!("pods")),
        ("/request/operation", json!("MAKE")),
        ("/request/namespace", json!("")),
        ("/request/object", Value::Null),
        ("/request/object", json!("pod")),
    ] {
        let mut review = review("u-7", &small_pod());
        *review.pointer_mut(pointer).unwrap() = value;
        let response = ask(&webhook, "/mutate", &review).await;
        assert_eq!(
            (&response["allowed"], &response["status"]["code"]),
            (&json!(false), &json!(400)),
            "{pointer}"
        );
        assert!(response["status"]["message"].as_str().unwrap().contains("ESC902"), "{pointer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_things_than_pod_creations_pass_with_a_warning() {
    let webhook = Running::start(quick()).await;
    for (pointer, value) in
        [("/request/operation", json!("UPDATE")), ("/request/resource/resource", json!("services"))]
    {
        let pod = asking(small_pod(), &[("environment", "acme/shop/prod")]);
        let mut review = review("u-8", &pod);
        *review.pointer_mut(pointer).unwrap() = value;
        let response = ask(&webhook, "/mutate", &review).await;
        assert_eq!(response["allowed"], true);
        assert!(response["warnings"][0].as_str().unwrap().contains("ESC920"));
        assert!(response.get("patch").is_none());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_are_no_admissions_are_told_so() {
    let webhook = Running::start(quick()).await;
    let json = Some("application/json");
    for (method, path, content_type, encoding, expected) in [
        (Method::GET, "/mutate", json, None, 405),
        (Method::PUT, "/mutate/all", json, None, 405),
        (Method::POST, "/", json, None, 404),
        (Method::POST, "/mutate/", json, None, 404),
        (Method::POST, "/mutate/all/more", json, None, 404),
        (Method::POST, "/metrics", json, None, 404),
        (Method::POST, "/mutate", None, None, 415),
        (Method::POST, "/mutate", Some("text/yaml"), None, 415),
        (Method::POST, "/mutate", json, Some("gzip"), 415),
    ] {
        let case = format!("{method} {path} {content_type:?} {encoding:?}");
        let body = serde_json::to_vec(&review("u", &small_pod())).unwrap();
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, SERVER_NAME);
        for (name, value) in [(header::CONTENT_TYPE, content_type), (header::CONTENT_ENCODING, encoding)] {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        let request = request.body(Full::new(body.into())).unwrap();
        let reply = soon(async { webhook.client().await.send(request).await }).await.unwrap();
        assert_eq!(reply.status.as_u16(), expected, "{case}");
        assert_eq!(reply.json()["code"], "ESC905", "{case}");
        if expected == 405 {
            assert_eq!(reply.headers[header::ALLOW], "POST", "{case}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_that_did_not_ask_pass_untouched() {
    let webhook = Running::start(quick()).await;
    for pod in [small_pod(), large_pod()] {
        let response = ask(&webhook, "/mutate", &review("u-1", &pod)).await;
        assert_eq!(response, json!({"uid": "u-1", "allowed": true}));
    }
    assert_eq!(metric(webhook.health, "esc_injector_admissions_total{outcome=\"skipped\"}").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_that_asked_get_a_patch_that_makes_them_whole() {
    let webhook = Running::start(quick()).await;
    let pod = asking(small_pod(), &[("environment", "acme/shop/prod"), ("env.DATABASE_URL", "db.url")]);
    let response = ask(&webhook, "/mutate", &review("u-2", &pod)).await;
    assert_eq!(
        (&response["allowed"], &response["patchType"]),
        (&json!(true), &json!("JSONPatch")),
        "{response}"
    );
    let whole = patched(&pod, &response);
    let agent = whole["spec"]["initContainers"].as_array().unwrap().iter().find(|c| c["name"] == "esc-agent");
    assert!(agent.is_some(), "{whole}");

    // The API server asks again after later webhooks: there is nothing left to do.
    let again = ask(&webhook, "/mutate", &review("u-3", &whole)).await;
    assert_eq!((&again["allowed"], again.get("patch")), (&json!(true), None));
    assert_eq!(metric(webhook.health, "esc_injector_admissions_total{outcome=\"injected\"}").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_list_all_problems_with_their_codes() {
    let webhook = Running::start(quick()).await;
    let asks =
        [("enviroment", "acme/shop/prod"), ("environment", "not a reference"), ("mode.x", "rw-r--r--")];
    let response = ask(&webhook, "/mutate", &review("u-4", &asking(small_pod(), &asks))).await;
    assert_eq!((&response["allowed"], &response["status"]["code"]), (&json!(false), &json!(422)));
    let message = response["status"]["message"].as_str().unwrap();
    let (problems, closing) = message.rsplit_once('\n').unwrap();
    assert!(problems.lines().all(|line| line.starts_with("[ESC")), "{message}");
    for (key, _) in asks {
        let subject = format!(" esc.pulumi.com/{key}: ");
        assert!(problems.lines().any(|line| line.contains(&subject)), "{key} not in\n{message}");
    }
    assert!(closing.contains("esc-injector explain ESC"), "{message}");
    assert_eq!(metric(webhook.health, "esc_injector_admissions_total{outcome=\"rejected\"}").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_plain_port_tells_health_and_metrics_only() {
    let webhook = Running::start(quick()).await;
    let mut client = crate::client::Client::connect_plain(webhook.health).await.unwrap();
    for (path, expected) in [("/livez", 200), ("/readyz", 200), ("/mutate", 404), ("/", 404)] {
        assert_eq!(soon(client.get(path)).await.unwrap().status.as_u16(), expected, "{path}");
    }
    let text = soon(client.get("/metrics")).await.unwrap().body;
    let text = std::str::from_utf8(&text).unwrap();
    for name in [
        "esc_injector_admissions_total{outcome=\"injected\"} 0",
        "esc_injector_admissions_total{outcome=\"skipped\"} 0",
        "esc_injector_admissions_total{outcome=\"rejected\"} 0",
        "esc_injector_admissions_total{outcome=\"error\"} 0",
        "esc_injector_admission_duration_seconds_bucket{le=\"0.0001\"} 0",
        "esc_injector_admission_duration_seconds_count 0",
        "esc_injector_certificate_expiry_timestamp_seconds ",
        "esc_injector_certificate_reload_failures_total 0",
        "esc_injector_tls_handshake_failures_total 0",
        "esc_injector_inflight_requests 0",
        "esc_injector_build_info{version=",
    ] {
        assert!(text.lines().any(|line| line.starts_with(name)), "{name} not in\n{text}");
    }
}
