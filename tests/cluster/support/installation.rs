//! The product as it runs in a cluster: the chart's own pods behind its Service, and ESC as a pod beside it.

use std::{
    path::Path,
    process::Command,
    sync::{
        Arc, Mutex, Once, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering},
    },
};

use serde_json::{Value, json};

use super::{
    cluster::{Alone, alone, cluster},
    esc::{self, Esc, Place},
    namespace::Namespace,
    release::{Helm, NAME, chart, wait_until_injecting},
};

/// The product's image but for its tag: `tests/cluster/load` imports it as `dev`, and as `former` too.
const REPOSITORY: &str = "localhost/esc-injector";

/// An installed release whose pods run. It holds the whole cluster until it is dropped, and takes itself out then.
pub struct Installation {
    // Dropped in this order: the lock last.
    pub esc: Esc,
    place: Place,
    spares: AtomicUsize,
    pub namespace: Namespace,
    /// A namespace that is labelled, for `helm test`.
    pub labelled: Namespace,
    _alone: Alone,
}

/// A namespace of applications, with a ServiceAccount that ESC lets in and an environment of its own.
pub struct Shop {
    pub namespace: Namespace,
    /// Its environment.
    pub reference: String,
}

/// The installation that tests share which do nothing to it. It is there as long as one of them is.
pub fn shared() -> Arc<Installation> {
    static SHARED: Mutex<Weak<Installation>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    shared.upgrade().unwrap_or_else(|| {
        let fresh = Arc::new(Installation::alone());
        *shared = Arc::downgrade(&fresh);
        fresh
    })
}

impl Installation {
    /// One of a test's own.
    pub fn alone() -> Self {
        Self::install(&chart(), "dev")
    }

    /// One of a test's own, from this chart and with the product's image of this tag.
    pub fn install(chart: &Path, tag: &str) -> Self {
        let alone = alone();
        load_product();
        let place = Place::prepare();
        let esc = place.start("esc-server");
        let namespace = Namespace::running("esc-system", json!({}));
        let labelled = Namespace::running("labelled", json!({"esc.pulumi.com/injection": "enabled"}));
        let installation =
            Self { esc, place, spares: AtomicUsize::new(0), namespace, labelled, _alone: alone };
        installation.helm("install", chart, tag);
        wait_until_injecting();
        installation
    }

    /// `helm upgrade` to this chart and image. It waits until the new replicas have taken over.
    pub fn upgrade(&self, chart: &Path, tag: &str) {
        self.helm("upgrade", chart, tag);
    }

    fn helm(&self, verb: &str, chart: &Path, tag: &str) {
        let values = json!({
            "image": {"repository": REPOSITORY, "tag": tag},
            "api": {
                "url": self.esc.url(), "caBundle": self.place.authority,
                "allowedUrls": (0..esc::SPARES)
                    .map(|n| format!("https://{}.{}.svc", esc::spare(n), self.place.namespace.name))
                    .collect::<Vec<_>>(),
            },
            "minKubelet": "1.36", "minRefresh": "1s", "test": {"namespace": self.labelled.name},
        });
        let arguments = [verb, NAME, chart.to_str().unwrap(), "--namespace", &self.namespace.name];
        Helm::Four
            .run(arguments.into_iter().chain(["--values", "-", "--wait", "--timeout=55s"]), &values)
            .expect("helm");
    }

    /// Another ESC server, for a test that takes it away or looks at its log.
    pub fn spare(&self) -> Esc {
        let n = self.spares.fetch_add(1, Ordering::Relaxed);
        assert!(n < esc::SPARES, "no further name is in the certificate");
        self.place.start(&esc::spare(n))
    }

    /// A namespace at Pod Security restricted, whose environment has these values.
    pub fn shop(&self, values: &Value) -> Shop {
        Shop::of(&self.esc, values, json!({}))
    }
}

impl Shop {
    /// One that opens its environment at this ESC server, in a namespace with these labels besides.
    pub fn of(esc: &Esc, values: &Value, mut labels: Value) -> Self {
        labels["esc.pulumi.com/injection"] = json!("enabled");
        let namespace = Namespace::running("shop", labels);
        namespace.kubectl(["create", "serviceaccount", "shop"], &Value::Null).expect("a ServiceAccount");
        esc.put(&namespace.name, values);
        let reference = format!("acme/{}/prod", namespace.name);
        Self { namespace, reference }
    }
}

impl Drop for Installation {
    fn drop(&mut self) {
        let uninstalled =
            Helm::Four.run(["uninstall", NAME, "--namespace", &self.namespace.name], &json!({}));
        if !uninstalled.ok {
            eprintln!("helm uninstall: {}", uninstalled.stderr);
        }
    }
}

/// The image of the product as its sources stand now. `up` has made it; here it is only made again if they changed,
/// which takes its minutes.
fn load_product() {
    static LOADED: Once = Once::new();
    LOADED.call_once(|| {
        let mut load = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cluster/load"));
        load.env("ESC_CLUSTER_STATE", &cluster().state);
        assert!(load.status().unwrap().success(), "tests/cluster/load");
    });
}
