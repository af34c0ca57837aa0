//! A replica inside this process: the library with lifetimes that a test can wait for.

use std::net::Ipv4Addr;

use clap::Parser;
use esc_injector::{
    cli::policy::PolicyArgs,
    inject::Policy,
    webhook::{
        Certificates, Config, Limits, Webhook, WorkloadChecks,
        certs::{Lifetimes, SelfManaged},
        cluster::Cluster,
    },
};
use kube::config::{KubeConfigOptions, Kubeconfig};
use tempfile::TempDir;
use tokio::{runtime::Runtime, sync::oneshot};

use super::{
    eventually,
    release::{NAME, Release},
    replica::{self, HEALTH_PORT, PORT},
};

/// A running replica; it crashes when it is dropped.
pub struct Local {
    pub address: Ipv4Addr,
    // One runtime each, so that a crash takes all it has: no task of it ends in order.
    runtime: Option<Runtime>,
    stop: Option<oneshot::Sender<()>>,
    _files: TempDir,
}

impl Local {
    /// Starts the nth replica of a release with these lifetimes, and has its readiness followed.
    pub fn start(release: &Release, n: u8, lifetimes: Lifetimes) -> Self {
        let address = replica::address(n);
        let files = tempfile::tempdir().unwrap();
        let namespace = release.namespace.name.clone();
        let (kubeconfig, _) = replica::kubeconfig(&namespace, NAME, files.path(), None);
        let runtime = Runtime::new().unwrap();
        let (stop, stopped) = oneshot::channel();
        let webhook = runtime.block_on(async {
            let kubeconfig = Kubeconfig::read_from(kubeconfig).unwrap();
            let options = KubeConfigOptions::default();
            let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.unwrap();
            let cluster = Cluster::new(config).unwrap();
            let own = SelfManaged {
                cluster: cluster.clone(),
                namespace: namespace.clone(),
                service: NAME.to_owned(),
                secret: format!("{NAME}-ca"),
                configuration: NAME.to_owned(),
                lifetimes,
            };
            let config = Config {
                listen: (address, PORT).into(),
                health_listen: (address, HEALTH_PORT).into(),
                certificates: Certificates::SelfManaged(Box::new(own)),
                cluster: Some(cluster),
                policy: policy(&namespace),
                workload_checks: WorkloadChecks::Warn,
                limits: Limits::default(),
            };
            Webhook::bind(config).await.unwrap()
        });
        runtime.spawn(webhook.run(async {
            let _ = stopped.await;
        }));
        release.endpoints.add(address);
        Self { address, runtime: Some(runtime), stop: Some(stop), _files: files }
    }

    #[track_caller]
    pub fn wait_until_ready(&self) {
        eventually("a replica in this process is ready", || replica::is_ready(self.address).then_some(()));
    }

    /// Takes it out of the Service, waits until nobody asks it any more, and lets it crash.
    pub fn crash_unseen(self, release: &Release, flow: impl Fn()) {
        release.endpoints.withdraw(self.address);
        flow();
        drop(self);
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
        drop(self.stop.take());
    }
}

/// What the chart's flags come to.
fn policy(own_namespace: &str) -> Policy {
    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        policy: PolicyArgs,
    }
    Flags::parse_from(["test", "--own-namespace", own_namespace]).policy.into_policy().unwrap()
}
