//! Who gets what: a pod is its ServiceAccount, and ESC decides by that.

use serde_json::{Value, json};

use crate::support::{
    apps::{STAY, pod, spec, status},
    installation::{Shop, shared},
    namespace::Namespace,
    planted,
};

#[test]
#[ignore = "needs a cluster: tests/cluster/up"]
fn another_service_account_or_namespace_gets_nothing_and_is_told_so() {
    let installation = shared();
    let password = planted::value("password");
    let shop = installation.shop(&json!({"db": {"password": {"fn::secret": password}}}));
    let asks = shop.asks(&json!({"file.password": "db.password"}));
    let mut other = spec(STAY);
    other["serviceAccountName"] = json!("default");
    shop.apply(&pod("other", &asks, &other));
    shop.apply(&pod("shop", &asks, &spec(STAY)));
    shop.ready("shop");
    // A ServiceAccount of the same name in a namespace that ESC has no policy for.
    let namespace = Namespace::running("elsewhere", json!({"esc.pulumi.com/injection": "enabled"}));
    namespace.kubectl(["create", "serviceaccount", "shop"], &Value::Null).expect("a ServiceAccount");
    let elsewhere = Shop { namespace, reference: shop.reference.clone() };
    elsewhere.apply(&pod("other", &asks, &spec(STAY)));
    for place in [&shop, &elsewhere] {
        let told = place.eventually("the agent gives up", "other", |pod| {
            let state = status(pod, "esc-agent");
            let ended = [&state["state"], &state["lastState"]];
            ended.into_iter().find_map(|state| Some(state["terminated"]["message"].as_str()?.to_owned()))
        });
        assert!(told.starts_with("[ESC307] ") && told.contains("Fix:"), "{told}");
        let pod = place.eventually("it is there", "other", |pod| Some(pod.clone()));
        assert_eq!(status(&pod, "app")["state"]["waiting"]["reason"], "PodInitializing");
        assert_eq!(status(&pod, "app")["restartCount"], 0);
    }
}
