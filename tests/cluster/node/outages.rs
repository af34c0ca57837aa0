//! ESC is away, or refuses: what becomes of pods, and what those see who look at them. docs/troubleshooting.md shows it.

use serde_json::{Value, json};

use crate::support::{
    apps::{STAY, is_ready, pod, spec, status},
    cluster::cluster,
    esc::Esc,
    installation::{Shop, shared},
    planted::{self, sha256},
    transcript::Transcript,
};

fn values(password: &str) -> Value {
    json!({"db": {"password": {"fn::secret": password}, "host": "db.internal"}})
}

/// A transcript with the names that a reader has.
fn transcript(shop: &Shop, esc: &Esc) -> Transcript {
    Transcript::of(shop)
        .with(esc.url().trim_start_matches("https://"), "esc-server.esc.svc")
        .with(&shop.reference, "acme/shop/prod")
        .with(&shop.namespace.name, "shop")
}

/// What is to be seen while kubelet waits before it starts the agent again. The pod as it was then is there too.
fn transcript_of_the_back_off(shop: &Shop, esc: &Esc) -> (Transcript, Value) {
    shop.eventually("the agent has given up", "shop", |pod| {
        let state = status(pod, "esc-agent");
        let waits = state["state"]["waiting"]["reason"] == "CrashLoopBackOff";
        let gave_up = waits && state["lastState"]["terminated"]["message"].is_string();
        let seen = gave_up.then(|| transcript(shop, esc))?;
        // It may have gone on while kubectl looked.
        let after = cluster().get("pod", &shop.namespace.name, "shop")?;
        (status(&after, "esc-agent") == state).then(|| (seen, pod.clone()))
    })
}

#[test]
#[ignore = "needs a cluster: tests/cluster/up"]
fn without_esc_a_pod_waits_and_starts_when_it_is_back() {
    let installation = shared();
    let esc = installation.spare();
    let password = planted::value("password");
    let shop = Shop::of(&esc, &values(&password), json!({}));
    let asks = shop.asks(&json!({"file.password": "db.password", "api-url": esc.url(), "timeout": "3s"}));
    esc.leave();
    shop.apply(&pod("shop", &asks, &spec(&format!("sha256sum </run/secrets/esc/password; {STAY}"))));
    let (seen, waiting) = transcript_of_the_back_off(&shop, &esc);
    seen.expect_in_the_docs("ESC is away");
    assert_eq!(status(&waiting, "app")["state"]["waiting"]["reason"], "PodInitializing");

    esc.come_back();
    shop.ready("shop");
    shop.logs("shop", "app", &format!("{}  -\n", sha256(&password)));
}

#[test]
#[ignore = "needs a cluster: tests/cluster/up"]
fn without_esc_a_pod_starts_without_its_values_if_it_said_so() {
    let installation = shared();
    let esc = installation.spare();
    let shop = Shop::of(&esc, &values("anything"), json!({}));
    let asks = shop.asks(&json!({
        "file.password": "db.password", "env.PASSWORD": "db.password", "api-url": esc.url(), "timeout": "3s",
        "on-failure": "start",
    }));
    esc.leave();
    shop.apply(&pod(
        "shop",
        &asks,
        &spec(&format!("echo ${{PASSWORD-nothing}}; ls /run/secrets/esc; {STAY}")),
    ));
    shop.ready("shop");
    let log = shop.logged("shop", "app", "nothing");
    // The wrapper writes to stderr and the application to stdout: the runtime reads both, in no order.
    let mut said = log.lines().collect::<Vec<_>>();
    said.sort_by_key(|line| !line.contains("[ESC507]"));
    assert!(said[0].contains("[ESC507]") && said[1] == "nothing" && said.len() == 2, "{log}");
    let log = format!("{}\n", said.join("\n"));
    transcript(&shop, &esc)
        .and("kubectl logs shop -c app", &log)
        .expect_in_the_docs("ESC is away, and the pod starts without");
}

#[test]
#[ignore = "needs a cluster: tests/cluster/up"]
fn when_esc_goes_away_later_the_last_values_stay() {
    let installation = shared();
    let esc = installation.spare();
    let password = planted::value("password");
    let shop = Shop::of(&esc, &values(&password), json!({}));
    let asks = shop.asks(&json!({"file.password": "db.password", "api-url": esc.url(), "refresh": "1s"}));
    shop.apply(&pod("shop", &asks, &spec(STAY)));
    shop.ready("shop");
    esc.leave();
    shop.logged("shop", "esc-agent", "ESC601");
    transcript(&shop, &esc).expect_in_the_docs("ESC goes away later");
    let seen = shop.exec("shop", &["/bin/sha256sum", "/run/secrets/esc/password"]).expect("the file");
    assert!(seen.starts_with(&sha256(&password)), "{seen}");
    let pod = shop.eventually("it is ready", "shop", |pod| is_ready(pod).then(|| pod.clone()));
    assert_eq!(status(&pod, "esc-agent")["restartCount"], 0);
    esc.come_back();
    shop.logged("shop", "esc-agent", "the values are fresh again");
}

#[test]
#[ignore = "needs a cluster: tests/cluster/up"]
fn refusals_block_and_say_what_to_do() {
    let installation = shared();
    let shops = [
        ("the identity is refused", "ESC307", 77, "identity"),
        ("the environment does not exist", "ESC311", 78, "environment"),
        ("the property does not exist", "ESC404", 65, "property"),
    ]
    .map(|(name, code, exit, change)| {
        let shop = installation.shop(&values("anything"));
        // An outage alone is what this is for.
        let mut asks = shop.asks(&json!({"file.password": "db.password", "on-failure": "start"}));
        let mut spec = spec(STAY);
        match change {
            "identity" => spec["serviceAccountName"] = json!("default"),
            "environment" => asks["esc.pulumi.com/environment"] = json!(format!("{}uction", shop.reference)),
            _ => asks["esc.pulumi.com/file.password"] = json!("db.pasword"),
        }
        shop.apply(&pod("shop", &asks, &spec));
        (shop, name, code, exit)
    });
    for (shop, name, code, exit) in shops {
        let (seen, pod) = transcript_of_the_back_off(&shop, &installation.esc);
        let ended = &status(&pod, "esc-agent")["lastState"]["terminated"];
        let message = ended["message"].as_str().unwrap();
        assert!(message.starts_with(&format!("[{code}] ")) && message.contains("Fix:"), "{message}");
        assert_eq!(ended["exitCode"], exit, "{message}");
        assert_eq!(status(&pod, "app")["state"]["waiting"]["reason"], "PodInitializing");
        seen.expect_in_the_docs(name);
    }
}
