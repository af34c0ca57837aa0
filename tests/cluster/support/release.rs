//! The chart, installed as a platform team installs it, with replicas behind its Service.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{
    authority::Authority,
    cluster::{Alone, alone, cluster},
    command::{Ran, run},
    endpoints::Endpoints,
    eventually,
    namespace::Namespace,
    pods,
    replica::{Replica, address},
};

/// Name of the release and, by the chart's rule, of its objects.
pub const NAME: &str = "esc-injector";

/// The two Helms that people have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Helm {
    /// Applies on the server's side.
    Four,
    /// Merges on its own side.
    Three,
}

impl Helm {
    const fn program(self) -> &'static str {
        match self {
            Self::Four => "helm4",
            Self::Three => "helm3",
        }
    }

    /// Runs it.
    pub fn run<'a>(self, arguments: impl IntoIterator<Item = &'a str>, values: &Value) -> Ran {
        run(cluster().tool(self.program()).args(arguments), &values.to_string())
    }
}

/// This repository's chart.
pub fn chart() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/esc-injector")
}

/// An installed release. It holds the whole cluster for itself until it is dropped, and takes itself out then.
pub struct Release {
    // Dropped in this order: who asks before who answers, and the lock last.
    pub replicas: Vec<Replica>,
    pub endpoints: Endpoints,
    pub helm: Helm,
    pub namespace: Namespace,
    _alone: Alone,
}

impl Release {
    /// Installs the chart with a certificate that somebody made by hand, and starts no replica.
    pub fn with_own_certificate(authority: &Authority) -> Self {
        let values = json!({"certificates": {
            "mode": "secret", "secretName": "own-tls", "caBundle": authority.pem(),
        }});
        Self::install_in(
            |namespace| {
                let pair = authority.issue(&format!("{NAME}.{namespace}.svc"));
                cluster().apply(&json!({
                    "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
                    "metadata": {"name": "own-tls", "namespace": namespace},
                    "stringData": {"tls.crt": pair.certificate, "tls.key": pair.key},
                }));
            },
            &chart(),
            Helm::Four,
            &values,
        )
    }

    /// Installs the chart with these values, and starts no replica.
    pub fn install(helm: Helm, values: &Value) -> Self {
        Self::install_from(&chart(), helm, values)
    }

    /// Installs a chart of this directory.
    pub fn install_from(chart: &Path, helm: Helm, values: &Value) -> Self {
        Self::install_in(|_| (), chart, helm, values)
    }

    fn install_in(prepare: impl FnOnce(&str), chart: &Path, helm: Helm, values: &Value) -> Self {
        let alone = alone();
        // The strictest namespace that there is: the chart's own pods have to pass as well.
        let strict = json!({"pod-security.kubernetes.io/enforce": "restricted"});
        let namespace = Namespace::new("esc-system", strict, &json!({}));
        prepare(&namespace.name);
        let endpoints = Endpoints::follow(&namespace.name, NAME);
        let release = Self { replicas: Vec::new(), endpoints, helm, namespace, _alone: alone };
        release.helm("install", chart, values).expect("helm install");
        release
    }

    /// The chart's defaults, and no replica.
    pub fn install_default() -> Self {
        Self::install(Helm::Four, &json!({}))
    }

    /// The chart's defaults with two replicas that serve.
    pub fn serving() -> Self {
        let mut release = Self::install_default();
        release.start_replicas(2);
        release
    }

    /// Starts the first replicas, and waits until pods are injected.
    pub fn start_replicas(&mut self, count: u8) {
        for n in 1..=count {
            let replica = self.start_replica(n);
            self.replicas.push(replica);
        }
        for replica in &mut self.replicas {
            replica.wait_until_ready();
        }
        let ready: Vec<_> = (1..=count).map(address).collect();
        self.endpoints.wait_for(&ready);
        wait_until_injecting();
    }

    /// Starts one, and has its readiness followed.
    pub fn start_replica(&self, n: u8) -> Replica {
        let replica = Replica::start(&self.namespace.name, NAME, n);
        self.endpoints.add(replica.address);
        replica
    }

    /// `helm upgrade` to a chart with these values.
    pub fn upgrade(&self, chart: &Path, values: &Value) -> Ran {
        self.helm("upgrade", chart, values)
    }

    /// `helm rollback` to the revision before.
    pub fn rollback(&self) -> Ran {
        self.helm.run(["rollback", NAME, "--namespace", &self.namespace.name], &json!({}))
    }

    /// `helm uninstall`.
    pub fn uninstall(&self) -> Ran {
        self.helm
            .run(["uninstall", NAME, "--namespace", &self.namespace.name, "--ignore-not-found"], &json!({}))
    }

    fn helm(&self, verb: &str, chart: &Path, values: &Value) -> Ran {
        let chart = chart.to_str().unwrap();
        self.helm.run([verb, NAME, chart, "--namespace", &self.namespace.name, "--values", "-"], values)
    }
}

impl Drop for Release {
    fn drop(&mut self) {
        let uninstalled = self.uninstall();
        if !uninstalled.ok {
            eprintln!("helm uninstall: {}", uninstalled.stderr);
        }
    }
}

/// Waits until the API server has noticed configuration and endpoints.
#[track_caller]
pub fn wait_until_injecting() {
    let namespace = Namespace::injected("first");
    let pod = pods::pod("first", &pods::asks());
    let mut last = String::new();
    eventually("a pod is injected", || {
        let ran = namespace.kubectl(["create", "-f", "-", "-o", "json", "--dry-run=server"], &pod);
        let found = ran.ok && ran.stdout.contains("esc-agent");
        if last != ran.stderr {
            eprintln!("not yet: {}", ran.stderr);
            last = ran.stderr;
        }
        found.then_some(())
    });
}

/// The bundle of each entry of both configurations.
pub fn bundles() -> Vec<Value> {
    let kinds = "mutatingwebhookconfigurations,validatingwebhookconfigurations";
    let found =
        cluster().kubectl(["get", kinds, "--output=json", "--selector=app.kubernetes.io/name=esc-injector"]);
    let found: Value = serde_json::from_str(&found.expect("kubectl get")).unwrap();
    let configurations = found["items"].as_array().unwrap().iter();
    let bundles: Vec<_> = configurations
        .flat_map(|configuration| configuration["webhooks"].as_array().unwrap())
        .map(|webhook| webhook["clientConfig"]["caBundle"].clone())
        .collect();
    assert_eq!(bundles.len(), 3);
    bundles
}
