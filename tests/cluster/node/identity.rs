//! Who gets what: a pod is its ServiceAccount, and ESC decides by that.

use serde_json::{Value, json};

use crate::support::{
    apps::{STAY, pod, spec, status},
    installation::shared,
    planted,
};

#[test]
#[ignore = "needs a cluster: tests/cluster/up"]
fn another_service_account_gets_nothing_and_is_told_so() {
    let installation = shared();
    let password = planted::value("password");
    let shop = installation.shop(&json!({"db": {"password": {"fn::secret": password}}}));
    let asks = shop.asks(&json!({"file.password": "db.password"}));
    let mut other = spec(STAY);
    other["serviceAccountName"] = json!("default");
    shop.apply(&pod("other", &asks, &other));
    shop.apply(&pod("shop", &asks, &spec(STAY)));
    shop.ready("shop");
    let told = shop.eventually("the agent gives up", "other", |pod| {
        let state = status(pod, "esc-agent");
        let ended =
            [&state["state"], &state["lastState"]].map(|state| state["terminated"]["message"].as_str());
        ended.into_iter().flatten().next().map(str::to_owned)
    });
    assert!(told.starts_with("[ESC307] ") && told.contains("Fix:"), "{told}");
    let pod = shop.eventually("it is there", "other", |pod| Some(pod.clone()));
    assert_eq!(status(&pod, "app")["state"]["waiting"]["reason"], "PodInitializing");
    assert_eq!(status(&pod, "app")["restartCount"], Value::from(0));
}
