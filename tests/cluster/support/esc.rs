//! The local ESC server as a pod of the cluster: the manifest of `deploy/examples`, signed in to by the cluster's own
//! tokens.
//!
//! One thing differs from the manifest: definitions lie in the pod's memory, where tests write them, and not in a Secret.
//! Whoever searches etcd and the node's disk for a value must not find the source.

use std::{
    fs, io,
    net::{IpAddr, TcpStream},
    path::Path,
    process::Command,
    time::Duration,
};

use esc_injector::yaml::{self, Dialect};
use serde_json::{Value, json};

use super::{apps, cluster::cluster, command::run, eventually, namespace::Namespace, processes};

/// Names of further servers that a test may start, each with the same certificate.
pub const SPARES: usize = 8;

/// The namespace of all servers, and what proves who they are.
pub struct Place {
    pub namespace: Namespace,
    /// PEM of the authority that all their certificates come from.
    pub authority: String,
}

/// A running server.
pub struct Esc {
    namespace: String,
    name: String,
}

/// The name of the nth further server.
pub fn spare(n: usize) -> String {
    format!("esc-spare-{n}")
}

impl Place {
    /// What `deploy/README.md` says to do before the manifest.
    pub fn prepare() -> Self {
        let namespace = Namespace::running("esc", json!({}));
        let (name, files) = (namespace.name.clone(), tempfile::tempdir().unwrap());
        let out = files.path().join("tls");
        let names: Vec<_> = (0..SPARES).map(|n| format!("{}.{name}.svc", spare(n))).collect();
        let mut certs = Command::new(env!("CARGO_BIN_EXE_esc-injector"));
        certs.args(["certs", "--service-name", "esc-server", "--namespace", &name]);
        certs.args(["--dns", &names.join(",")]).arg("--out").arg(&out);
        run(&certs, "").expect("esc-injector certs");
        let file = |name: &str| out.join(name).to_str().unwrap().to_owned();
        let (certificate, key) =
            (format!("--cert={}", file("tls.crt")), format!("--key={}", file("tls.key")));
        namespace
            .kubectl(["create", "secret", "tls", "esc-server-tls", &certificate, &key], &Value::Null)
            .expect("the certificate");
        let jwks = cluster().kubectl(["get", "--raw=/openid/v1/jwks"]).expect("the cluster's key set");
        let literal = format!("--from-literal=jwks.json={jwks}");
        namespace
            .kubectl(["create", "configmap", "esc-server-jwks", &literal], &Value::Null)
            .expect("the key set");
        Self { namespace, authority: fs::read_to_string(file("ca.crt")).unwrap() }
    }

    /// The manifest's server under this name.
    pub fn start(&self, name: &str) -> Esc {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/examples/esc-server.yaml");
        let text = fs::read_to_string(path).unwrap();
        for node in yaml::parse(&text).unwrap() {
            let mut object = yaml::to_json(&node, Dialect::Kubernetes).unwrap();
            adapt(&mut object, &self.namespace.name, name);
            cluster().apply(&object);
        }
        let esc = Esc { namespace: self.namespace.name.clone(), name: name.to_owned() };
        let deployment = format!("deployment/{name}");
        cluster()
            .kubectl(["rollout", "status", &deployment, "--namespace", &esc.namespace, "--timeout=55s"])
            .expect("the ESC server");
        esc
    }
}

fn adapt(object: &mut Value, namespace: &str, name: &str) {
    object["metadata"]["namespace"] = json!(namespace);
    object["metadata"]["name"] = json!(name);
    if object["kind"] == "Service" {
        object["spec"]["selector"]["app"] = json!(name);
        return;
    }
    let spec = &mut object["spec"];
    spec["selector"]["matchLabels"]["app"] = json!(name);
    spec["template"]["metadata"]["labels"]["app"] = json!(name);
    let pod = &mut spec["template"]["spec"];
    let server = &mut pod["containers"][0];
    server["image"] = json!(apps::PRODUCT);
    for argument in server["args"].as_array_mut().unwrap() {
        if argument.as_str().unwrap().starts_with("--oidc-subject=") {
            *argument = json!("--oidc-subject=system:serviceaccount:shop-*:shop");
        }
    }
    let restricted = server["securityContext"].clone();
    pod["containers"].as_array_mut().unwrap().push(json!({
        "name": "files", "image": apps::BUSYBOX, "command": ["/bin/sleep", "infinity"],
        "securityContext": restricted,
        "volumeMounts": [{"name": "environments", "mountPath": "/environments"}],
    }));
    let volumes = pod["volumes"].as_array_mut().unwrap();
    let environments = volumes.iter_mut().find(|volume| volume["name"] == "environments").unwrap();
    *environments = json!({"name": "environments", "emptyDir": {"medium": "Memory"}});
    pod["terminationGracePeriodSeconds"] = json!(1);
}

impl Esc {
    /// Its address, as pods reach it.
    pub fn url(&self) -> String {
        format!("https://{}.{}.svc", self.name, self.namespace)
    }

    /// Writes the definition of `acme/PROJECT/prod`, whole.
    pub fn put(&self, project: &str, values: &Value) {
        let script = format!(
            "mkdir -p /environments/acme/{project} && cd /environments/acme/{project} && \
             cat > prod.new && mv prod.new prod.yaml"
        );
        let deployment = format!("deployment/{}", self.name);
        let exec = ["exec", "-i", &deployment, "-c", "files", "-n", &self.namespace, "--", "/bin/sh", "-c"];
        let definition = json!({"values": values}).to_string();
        cluster()
            .kubectl_with(exec.into_iter().chain([script.as_str()]), &definition)
            .expect("writing a definition");
    }

    /// It is away: connections to it are refused, and those that there were have ended.
    pub fn leave(&self) {
        self.lead_to("nobody");
        eventually("connections are refused", || self.connect().is_err().then_some(()));
        let pods = cluster().list("pods", &self.namespace);
        let ours = pods.iter().filter(|pod| pod["metadata"]["labels"]["app"] == self.name.as_str());
        for pod in ours {
            processes::kill(pod, "esc-injector server");
        }
    }

    /// It is back, with what it had, and knows none of the tokens that it had given out.
    pub fn come_back(&self) {
        self.lead_to(&self.name);
        eventually("somebody answers", || self.connect().ok());
    }

    fn lead_to(&self, app: &str) {
        let patch = json!({"spec": {"selector": {"app": app}}}).to_string();
        cluster()
            .kubectl(["patch", "service", &self.name, "-n", &self.namespace, "--patch", &patch])
            .expect("changing the Service");
    }

    fn connect(&self) -> io::Result<TcpStream> {
        let service = cluster().get("service", &self.namespace, &self.name).unwrap();
        let address: IpAddr = service["spec"]["clusterIP"].as_str().unwrap().parse().unwrap();
        TcpStream::connect_timeout(&(address, 443).into(), Duration::from_secs(2))
    }

    /// Its log.
    pub fn log(&self) -> String {
        let deployment = format!("deployment/{}", self.name);
        cluster()
            .kubectl(["logs", &deployment, "-c", "server", "-n", &self.namespace, "--tail=-1"])
            .expect("the server's log")
    }
}
