//! Files and variables of a Deployment, from `helm install` to what its application reads.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::{
    apps::{STAY, deployment, is_ready, spec},
    audit,
    cluster::cluster,
    etcd, eventually,
    installation::shared,
    planted::{self, sha256},
    release::{Helm, NAME},
};

#[test]
#[ignore = "needs a cluster: tests/cluster/up"]
fn two_replicas_run_behind_the_service_and_the_charts_own_test_passes() {
    let installation = shared();
    let own = &installation.namespace;
    let running = eventually("two replicas are ready", || {
        let pods = cluster().list("pods", &own.name);
        let replicas: Vec<_> =
            pods.into_iter().filter(|pod| pod["spec"]["serviceAccountName"] == NAME).collect();
        (replicas.len() == 2 && replicas.iter().all(is_ready)).then_some(replicas)
    });
    let mut addresses: Vec<_> =
        running.iter().map(|pod| pod["status"]["podIP"].as_str().unwrap().to_owned()).collect();
    addresses.sort_unstable();
    let mut endpoints: Vec<_> = cluster()
        .list("endpointslices", &own.name)
        .iter()
        .flat_map(|slice| slice["endpoints"].as_array().cloned().unwrap_or_default())
        .map(|endpoint| endpoint["addresses"][0].as_str().unwrap().to_owned())
        .collect();
    endpoints.sort_unstable();
    assert_eq!(endpoints, addresses);

    let ran =
        Helm::Four.run(["test", NAME, "--namespace", &own.name, "--logs", "--timeout=55s"], &Value::Null);
    assert!(ran.ok && ran.stdout.contains("Succeeded"), "{ran:#?}");
}

#[test]
#[ignore = "needs a cluster: tests/cluster/up"]
fn two_annotations_bring_files_and_variables_that_are_nowhere_else() {
    let installation = shared();
    let (password, key, certificate) =
        (planted::value("password"), planted::value("key"), planted::value("certificate"));
    let url = format!("postgres://shop:{password}@db.internal/shop");
    let pem = format!("-----BEGIN CERTIFICATE-----\n{certificate}\n-----END CERTIFICATE-----\n");
    let shop = installation.shop(&json!({
        "db": {"password": {"fn::secret": password}, "url": "postgres://shop:${db.password}@db.internal/shop"},
        "tls": {"ca": pem},
        "environmentVariables": {"PAYMENTS_KEY": {"fn::secret": key}, "LOG_LEVEL": "info"},
        "files": {"PAYMENTS_CONFIG": "key = ${environmentVariables.PAYMENTS_KEY}\n"},
    }));
    let script = format!(
        "cd /run/secrets/esc && sha256sum *; for name in DATABASE_URL PAYMENTS_KEY LOG_LEVEL PAYMENTS_CONFIG; do \
         printf '%s  %s\\n' \"$(eval printf %s \\\"\\$$name\\\" | sha256sum | cut -d' ' -f1)\" $name; done; \
         echo that is all; {STAY}"
    );
    // The two lines of the README's start, and the environment's own projections.
    let asks = shop.asks(&json!({
        "env.DATABASE_URL": "db.url", "file.ca.crt": "tls.ca", "projections": "all",
    }));
    assert_eq!(shop.apply(&deployment("web", &asks, &spec(&script))), "", "warnings");
    let pod = shop.eventually_of("the pod is ready", "web", |pod| is_ready(pod).then(|| pod.clone()));
    let name = pod["metadata"]["name"].as_str().unwrap();

    let log = shop.logged(name, "app", "that is all");
    let read: BTreeMap<_, _> =
        log.lines().filter_map(|line| line.split_once("  ")).map(|(a, b)| (b, a)).collect();
    let config = format!("key = {key}\n");
    let expected = [
        ("ca.crt", sha256(&pem)),
        ("DATABASE_URL", sha256(&url)),
        ("PAYMENTS_KEY", sha256(&key)),
        ("LOG_LEVEL", sha256("info")),
    ];
    for (what, sum) in &expected {
        assert_eq!(read.get(what), Some(&sum.as_str()), "{what} in {log}");
    }
    // A file of that name, and a variable that holds its path.
    let sums: Vec<_> = log.lines().filter(|line| line.ends_with("  PAYMENTS_CONFIG")).collect();
    let sum = |text: &str| format!("{}  PAYMENTS_CONFIG", sha256(text));
    assert_eq!(sums, [sum(&config), sum("/run/secrets/esc/PAYMENTS_CONFIG")]);
    // From memory, and only to be read.
    let mounts = shop.exec(name, &["/bin/cat", "/proc/mounts"]).expect("the container's mounts");
    let mount = mounts.lines().find(|line| line.contains(" /run/secrets/esc ")).expect(&mounts);
    assert!(mount.starts_with("tmpfs ") && mount.contains(" ro,"), "{mount}");

    let values = [password.as_str(), &key, &certificate];
    let mut places: Vec<_> = ["pods", "replicasets", "deployments"]
        .map(|kind| (format!("kubectl describe {kind}"), shop.describe(kind)))
        .into();
    places.push(("the PodSpec".to_owned(), pod.to_string()));
    places.push(("events".to_owned(), json!(cluster().list("events", "")).to_string()));
    places.push(("the audit log".to_owned(), audit::text()));
    places.push(("logs of the pod".to_owned(), shop.all_logs()));
    places.push(("the log of ESC".to_owned(), installation.esc.log()));
    for (place, text) in &places {
        assert!(!text.is_empty() && !values.iter().any(|value| text.contains(value)), "{place}: {text}");
    }
    assert_eq!(etcd::keys_holding(&values), Vec::<String>::new());
    let own = format!("/registry/pods/{}/{name}", shop.namespace.name);
    let found = etcd::keys_holding(&[&shop.reference]);
    assert!(found.contains(&own), "etcd is not searched: {found:?}");
    // etcd's files, every log, and the node's disk.
    assert_eq!(planted::found_on_disk(&values), Vec::<String>::new());
    // That they would have been found: the pod itself is in several of those places.
    let found = planted::found_on_disk(&[&shop.reference]);
    for place in ["/etcd/member/", "/logs/audit.log", "/pod-logs/"] {
        assert!(found.iter().any(|file| file.contains(place)), "{place} is not searched: {found:?}");
    }
}
