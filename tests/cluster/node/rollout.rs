//! A rollout of many pods: what injection adds to it, counted and measured. The table goes to docs/performance.md by hand:
//! times are of one machine on one day, and no test holds anybody to them.

use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use serde_json::{Value, json};

use crate::support::{
    apps::{STAY, deployment, spec},
    cluster::cluster,
    installation::{Installation, Shop},
};

/// Enough to see a herd, and few enough for one node.
const PODS: usize = 100;

/// One way to roll out.
struct Rollout {
    ready_after: f64,
    opens: usize,
    /// Largest memory of an agent that still runs, in bytes, and its processor time in nanoseconds, each in the median.
    agent: Option<(u64, u64)>,
}

#[test]
#[ignore = "needs a cluster: tests/cluster/up"]
fn a_rollout_of_a_hundred_pods_opens_the_environment_once_for_each() {
    let installation = Installation::alone();
    let rows = [
        ("without injection", None),
        ("a file and a variable, init container", Some(json!({}))),
        ("the same, with refresh", Some(json!({"refresh": "1h"}))),
    ]
    .map(|(name, asks)| (name, roll_out(&installation, asks.as_ref())));
    let mut table =
        "| 100 pods | all ready after | opens at ESC | memory of an agent | its processor time |\n\
                     |---|---|---|---|---|\n"
            .to_owned();
    for (name, row) in &rows {
        let agent = row.agent.map_or(("–".to_owned(), "–".to_owned()), |(memory, processor)| {
            (format!("{} KiB", memory >> 10), format!("{} ms", processor / 1_000_000))
        });
        let (seconds, opens) = (row.ready_after, row.opens);
        writeln!(table, "| {name} | {seconds:.1} s | {opens} | {} | {} |", agent.0, agent.1).unwrap();
    }
    eprintln!("{table}");
    fs::write(cluster().state.join("rollout.md"), table).unwrap();
    assert_eq!(rows.each_ref().map(|(_, row)| row.opens), [0, PODS, PODS]);
}

fn roll_out(installation: &Installation, asks: Option<&Value>) -> Rollout {
    let shop = installation.shop(&json!({"db": {"password": "anything"}}));
    let annotations = asks.map_or(json!({}), |further| {
        let mut all = shop.asks(&json!({"file.password": "db.password", "env.PASSWORD": "db.password"}));
        for (key, value) in further.as_object().unwrap() {
            all[format!("esc.pulumi.com/{key}")] = value.clone();
        }
        all
    });
    let mut web = deployment("web", &annotations, &spec(STAY));
    web["spec"]["replicas"] = json!(PODS);
    let before = opens(installation, &shop);
    let begun = Instant::now();
    shop.apply(&web);
    // More than once, since no program here runs for longer than a minute: a busy machine takes its time.
    let wait = ["rollout", "status", "deployment/web", "--timeout=55s"];
    let done = (0..5).any(|_| shop.namespace.kubectl(wait, &Value::Null).ok);
    let ready_after = begun.elapsed().as_secs_f64();
    assert!(done, "{}", shop.describe("deployment"));
    let opens = opens(installation, &shop) - before;
    let agent = asks.filter(|asks| !asks["refresh"].is_null()).map(|_| median_of_agents(&shop));
    // Gone before the next begins.
    let delete = ["delete", "deployment/web", "--cascade=foreground", "--ignore-not-found", "--timeout=55s"];
    assert!((0..5).any(|_| shop.namespace.kubectl(delete, &Value::Null).ok), "the pods stay");
    Rollout { ready_after, opens, agent }
}

/// How often the shop's environment was opened, by ESC's log.
fn opens(installation: &Installation, shop: &Shop) -> usize {
    let log = installation.esc.log();
    // Opened, and not read.
    let is_open = |line: &&str| line.contains("/open") && !line.contains("/open/");
    log.lines().filter(|line| line.contains(&shop.namespace.name)).filter(is_open).count()
}

/// Largest memory and processor time of the agents that run.
fn median_of_agents(shop: &Shop) -> (u64, u64) {
    let (mut memory, mut processor) = (Vec::new(), Vec::new());
    for pod in cluster().list("pods", &shop.namespace.name) {
        let id = pod["status"]["initContainerStatuses"][0]["containerID"].as_str().unwrap();
        let id = id.trim_start_matches("containerd://");
        let uid = pod["metadata"]["uid"].as_str().unwrap();
        memory.push(read(&group("memory", uid, id).join("memory.max_usage_in_bytes")));
        processor.push(read(&group("cpuacct", uid, id).join("cpuacct.usage")));
    }
    let median = |mut all: Vec<u64>| {
        all.sort_unstable();
        all[all.len() / 2]
    };
    (median(memory), median(processor))
}

/// The control group of a container.
fn group(controller: &str, uid: &str, id: &str) -> PathBuf {
    let pods = Path::new("/sys/fs/cgroup").join(controller).join("esc-cluster/kubepods");
    let classes = ["", "burstable", "besteffort"].map(|class| pods.join(class));
    let mut groups = classes.iter().map(|class| class.join(format!("pod{uid}")).join(id));
    groups.find(|group| group.exists()).expect("the container's control group")
}

fn read(path: &Path) -> u64 {
    fs::read_to_string(path).unwrap().trim().parse().unwrap()
}
