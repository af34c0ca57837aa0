//! A rollout of many pods: what injection adds to it, counted and measured. The table goes to docs/performance.md by hand:
//! times are of one machine on one day, and no test holds anybody to them.

use std::{
    env,
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

/// How many pods, unless `ESC_CLUSTER_PODS` says otherwise: enough to see whether each opens once. The table of the page is
/// of 100, which takes some minutes.
const PODS: usize = 20;

/// One way to roll out.
struct Rollout {
    ready_after: f64,
    opens: usize,
    /// Of the agents that still run, in the median.
    agent: Option<Usage>,
}

/// What the control groups of a container have counted.
struct Usage {
    /// Its own memory, now, in bytes.
    own: u64,
    /// The most that was ever charged to it, in bytes, cached files included.
    charged: u64,
    /// Processor time, in nanoseconds.
    processor: u64,
}

#[test]
#[ignore = "needs a cluster: tests/cluster/up"]
fn a_rollout_of_many_pods_opens_the_environment_once_for_each() {
    let pods = env::var("ESC_CLUSTER_PODS").map_or(PODS, |pods| pods.parse().unwrap());
    let installation = Installation::alone();
    let rows = [
        ("without injection", None),
        ("a file and a variable, init container", Some(json!({}))),
        ("the same, with refresh", Some(json!({"refresh": "1h"}))),
    ]
    .map(|(name, asks)| (name, roll_out(&installation, pods, asks.as_ref())));
    let columns = [
        "all ready after",
        "opens at ESC",
        "own memory of an agent",
        "most charged to it",
        "its processor time",
    ];
    let mut table = format!("| {pods} pods | {} |\n|---|---|---|---|---|---|\n", columns.join(" | "));
    for (name, row) in &rows {
        let agent = row.agent.as_ref().map_or("– | – | –".to_owned(), |agent| {
            let milliseconds = agent.processor / 1_000_000;
            format!("{} KiB | {} KiB | {milliseconds} ms", agent.own >> 10, agent.charged >> 10)
        });
        writeln!(table, "| {name} | {:.0} s | {} | {agent} |", row.ready_after, row.opens).unwrap();
    }
    eprintln!("{table}");
    fs::write(cluster().state.join("rollout.md"), table).unwrap();
    assert_eq!(rows.each_ref().map(|(_, row)| row.opens), [0, pods, pods]);
}

fn roll_out(installation: &Installation, pods: usize, asks: Option<&Value>) -> Rollout {
    let shop = installation.shop(&json!({"db": {"password": "anything"}}));
    let annotations = asks.map_or(json!({}), |further| {
        let mut all = shop.asks(&json!({"file.password": "db.password", "env.PASSWORD": "db.password"}));
        for (key, value) in further.as_object().unwrap() {
            all[format!("esc.pulumi.com/{key}")] = value.clone();
        }
        all
    });
    let mut web = deployment("web", &annotations, &spec(STAY));
    web["spec"]["replicas"] = json!(pods);
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

/// What the agents that run have used.
fn median_of_agents(shop: &Shop) -> Usage {
    let (mut own, mut charged, mut processor) = (Vec::new(), Vec::new(), Vec::new());
    for pod in cluster().list("pods", &shop.namespace.name) {
        let id = pod["status"]["initContainerStatuses"][0]["containerID"].as_str().unwrap();
        let id = id.trim_start_matches("containerd://");
        let uid = pod["metadata"]["uid"].as_str().unwrap();
        let memory = group("memory", uid, id);
        let text = fs::read_to_string(memory.join("memory.stat")).unwrap();
        let rss = text.lines().find_map(|line| line.strip_prefix("rss ")).unwrap();
        own.push(rss.parse().unwrap());
        charged.push(read(&memory.join("memory.max_usage_in_bytes")));
        processor.push(read(&group("cpuacct", uid, id).join("cpuacct.usage")));
    }
    let median = |mut all: Vec<u64>| {
        all.sort_unstable();
        all[all.len() / 2]
    };
    Usage { own: median(own), charged: median(charged), processor: median(processor) }
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
