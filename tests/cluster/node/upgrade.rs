//! From one version to the next while applications roll out.

use std::{
    path::Path,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
};

use serde_json::{Value, json};

use crate::{
    support::{
        apps::{STAY, deployment, spec, status},
        cluster::cluster,
        installation::Installation,
        release::chart,
    },
    upgrade::former_chart,
};

/// Says that it is over when it is dropped.
struct EndOf<'a>(&'a AtomicBool);

impl Drop for EndOf<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
#[ignore = "needs a cluster: tests/cluster/up"]
fn an_upgrade_while_applications_roll_out_fails_no_pod() {
    let (_directory, former) = former_chart();
    let installation = Installation::install(Path::new(&former), "former");
    let shop = installation.shop(&json!({"db": {"password": "anything"}}));
    let asks = shop.asks(&json!({"file.password": "db.password", "env.PASSWORD": "db.password"}));
    let mut web = deployment("web", &asks, &spec(&format!("[ -n \"$PASSWORD\" ] || exit 1; {STAY}")));
    web["spec"]["replicas"] = json!(4);
    shop.apply(&web);
    let (done, rollouts) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        // Also if something fails here: the other thread is waited for.
        let end = EndOf(&done);
        // One rollout after the other.
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let rollout = |verb: &str, more: &[&str]| {
                    let arguments =
                        ["rollout", verb, "deployment/web"].into_iter().chain(more.iter().copied());
                    shop.namespace.kubectl(arguments, &Value::Null).expect("kubectl rollout")
                };
                rollout("status", &["--timeout=55s"]);
                rollouts.fetch_add(1, Ordering::Relaxed);
                rollout("restart", &[]);
            }
        });
        let wait_for_another = || {
            let from = rollouts.load(Ordering::Relaxed);
            crate::support::eventually("another rollout", || {
                (rollouts.load(Ordering::Relaxed) > from).then_some(())
            });
        };
        wait_for_another();
        installation.upgrade(&chart(), "dev");
        wait_for_another();
        wait_for_another();
        drop(end);
    });
    shop.namespace
        .kubectl(["rollout", "status", "deployment/web", "--timeout=55s"], &Value::Null)
        .expect("the last rollout");
    let events = cluster().list("events", &shop.namespace.name);
    let failed =
        |event: &&Value| ["FailedCreate", "Failed", "BackOff"].iter().any(|bad| event["reason"] == *bad);
    assert_eq!(events.iter().filter(failed).collect::<Vec<_>>(), Vec::<&Value>::new());
    for pod in cluster().list("pods", &shop.namespace.name) {
        assert_eq!(status(&pod, "esc-agent")["restartCount"], 0, "{pod:#}");
        if pod["metadata"]["deletionTimestamp"].is_null() {
            assert_eq!(status(&pod, "esc-agent")["image"], "localhost/esc-injector:dev");
        }
    }
}
