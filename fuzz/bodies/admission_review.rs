//! Any body gets an answer that the API server takes: JSON, with the uid of the question and a patch that applies.

use base64::{Engine, engine::general_purpose::STANDARD};
use esc_injector::{
    inject::Policy,
    webhook::{Endpoint, Rules, WorkloadChecks, handler::answer, namespaces::Namespaces, version::ApiServer},
};
use serde_json::Value;

/// The body of a request.
pub fn run(body: &[u8]) {
    let rules = Rules {
        policy: Policy::default(),
        namespaces: Namespaces::unread(),
        api_server: ApiServer::default(),
        workload_checks: WorkloadChecks::default(),
    };
    for endpoint in [Endpoint::Asked, Endpoint::All, Endpoint::Workloads] {
        let answer = answer(body, endpoint, &rules);
        let answered: Value = serde_json::from_slice(&answer.body).expect("the answer is JSON");
        if answer.status != 200 {
            assert_eq!(answer.status, 400, "{endpoint:?}");
            continue;
        }
        let asked: Value = serde_json::from_slice(body).expect("only JSON is answered as a review");
        let response = &answered["response"];
        assert_eq!(response["uid"], asked["request"]["uid"]);
        assert!(response["allowed"].is_boolean());
        if let Some(patch) = response["patch"].as_str() {
            let patch = STANDARD.decode(patch).expect("the patch is base64");
            let patch: json_patch::Patch = serde_json::from_slice(&patch).expect("the patch is one");
            let mut pod = asked["request"]["object"].clone();
            json_patch::patch(&mut pod, &patch).expect("the patch applies");
        }
    }
}
