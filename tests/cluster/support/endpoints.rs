//! The endpoints of the chart's Service: what kubelet's probes and the controllers do for real pods.
//!
//! A small loop asks every replica whether it is ready, and writes those that are into an `EndpointSlice`.

use std::{
    collections::BTreeMap,
    net::Ipv4Addr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::json;

use super::{cluster::cluster, eventually, replica};

/// Between two rounds of probes. In a cluster it takes about ten times as long until a dead process is noticed.
const PERIOD: Duration = Duration::from_millis(100);

/// Keeps a Service's `EndpointSlice` until it is dropped.
pub struct Endpoints {
    shared: Arc<Shared>,
    task: Option<JoinHandle<()>>,
}

struct Shared {
    slices: Api<EndpointSlice>,
    service: String,
    stop: AtomicBool,
    /// Those that there are, each with whether it is in the slice.
    replicas: Mutex<BTreeMap<Ipv4Addr, bool>>,
}

impl Endpoints {
    pub fn follow(namespace: &str, service: &str) -> Self {
        let shared = Arc::new(Shared {
            slices: Api::namespaced(cluster().client(), namespace),
            service: service.to_owned(),
            stop: AtomicBool::new(false),
            replicas: Mutex::new(BTreeMap::new()),
        });
        let task = thread::spawn({
            let shared = Arc::clone(&shared);
            move || shared.follow()
        });
        Self { shared, task: Some(task) }
    }

    /// Begins to ask this one.
    pub fn add(&self, replica: Ipv4Addr) {
        self.shared.replicas.lock().unwrap().insert(replica, false);
    }

    /// Takes one out, as happens when the deletion of its pod begins. It is out when this returns.
    pub fn withdraw(&self, replica: Ipv4Addr) {
        let mut replicas = self.shared.replicas.lock().unwrap();
        if replicas.remove(&replica) == Some(true) {
            assert!(self.shared.write(&replicas), "the endpoint could not be withdrawn");
        }
    }

    /// Waits until this one is in.
    #[track_caller]
    pub fn wait_until_in(&self, replica: Ipv4Addr) {
        eventually("an endpoint is ready", || {
            (self.shared.replicas.lock().unwrap().get(&replica) == Some(&true)).then_some(())
        });
    }

    /// Waits until these are in, and no others.
    #[track_caller]
    pub fn wait_for(&self, expected: &[Ipv4Addr]) {
        eventually("the Service's ready endpoints", || {
            let replicas = self.shared.replicas.lock().unwrap();
            let mut ready: Vec<_> = replicas.iter().filter(|(_, ready)| **ready).map(|(at, _)| *at).collect();
            ready.sort_unstable();
            (ready == expected).then_some(())
        });
    }
}

impl Shared {
    fn follow(&self) {
        while !self.stop.load(Ordering::Relaxed) {
            let asked: Vec<_> = self.replicas.lock().unwrap().keys().copied().collect();
            let ready: Vec<_> = asked.iter().map(|address| replica::is_ready(*address)).collect();
            let mut replicas = self.replicas.lock().unwrap();
            let mut now = replicas.clone();
            for (address, ready) in asked.iter().zip(ready) {
                if let Some(entry) = now.get_mut(address) {
                    *entry = ready;
                }
            }
            // While the API server is down nothing changes for it; the next round tries again.
            if now != *replicas && self.write(&now) {
                *replicas = now;
            }
            drop(replicas);
            thread::sleep(PERIOD);
        }
    }

    fn write(&self, replicas: &BTreeMap<Ipv4Addr, bool>) -> bool {
        let name = format!("{}-suite", self.service);
        let ready = replicas.iter().filter(|(_, ready)| **ready).map(|(address, _)| address);
        let endpoints: Vec<_> =
            ready.map(|address| json!({"addresses": [address], "conditions": {"ready": true}})).collect();
        let slice = json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {"name": name, "labels": {
                "kubernetes.io/service-name": self.service,
                "endpointslice.kubernetes.io/managed-by": "esc-cluster-suite",
            }},
            "addressType": "IPv4",
            "ports": [{"name": "https", "port": replica::PORT, "protocol": "TCP"}],
            "endpoints": endpoints,
        });
        let manager = PatchParams::apply("esc-cluster-suite").force();
        cluster().block_on(self.slices.patch(&name, &manager, &Patch::Apply(&slice))).is_ok()
    }
}

impl Drop for Endpoints {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(task) = self.task.take() {
            let _ = task.join();
        }
    }
}
