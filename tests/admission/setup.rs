//! Certificates made on the spot, a directory that behaves as kubelet's Secret volumes do, and webhooks that use them.

use std::{
    fs, io,
    net::{Ipv4Addr, SocketAddr},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use clap::Parser;
use esc_injector::{
    cli::policy::PolicyArgs,
    inject::Policy,
    webhook::{Certificates, Config, Limits, Webhook, WorkloadChecks, certs::files::CertificateFiles},
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use tempfile::TempDir;
use tokio::{sync::oneshot, task::JoinHandle, time::timeout};

use crate::client::SERVER_NAME;

/// Longer than anything here takes on a busy machine: a test that waits this long has failed.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// An address of this machine with whatever port is free.
pub const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Fails instead of hanging.
pub async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.expect("it takes too long")
}

/// Asks again and again until the answer is yes.
pub async fn eventually(mut condition: impl AsyncFnMut() -> bool) {
    soon(async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

/// A certificate with its key.
pub struct Pair {
    pub certificate: String,
    pub key: String,
    pub der: Vec<u8>,
}

/// A certificate authority.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// A new serving certificate with a new key.
    pub fn issue(&self) -> Pair {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![SERVER_NAME.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Pair { certificate: certificate.pem(), key: key.serialize_pem(), der: certificate.der().to_vec() }
    }

    /// A client that trusts this authority and offers these protocols.
    pub fn client(&self, protocols: &[&str]) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }
}

/// A Secret volume: the files are links through `..data`, which is swapped.
pub struct SecretVolume {
    directory: TempDir,
    generation: usize,
}

impl SecretVolume {
    pub fn new(pair: &Pair) -> Self {
        let directory = tempfile::tempdir().unwrap();
        for name in ["tls.crt", "tls.key"] {
            symlink(Path::new("..data").join(name), directory.path().join(name)).unwrap();
        }
        let mut volume = Self { directory, generation: 0 };
        volume.publish(&pair.certificate, &pair.key);
        volume
    }

    pub fn publish(&mut self, certificate: &str, key: &str) {
        self.generation += 1;
        let name = format!("..generation_{}", self.generation);
        let (directory, root) = (self.directory.path().join(&name), self.directory.path());
        fs::create_dir(&directory).unwrap();
        write(&directory.join("tls.crt"), certificate);
        write(&directory.join("tls.key"), key);
        symlink(&name, root.join("..data_tmp")).unwrap();
        fs::rename(root.join("..data_tmp"), root.join("..data")).unwrap();
    }

    pub fn files(&self) -> CertificateFiles {
        let file = |name| -> PathBuf { self.directory.path().join(name) };
        CertificateFiles { certificate: file("tls.crt"), key: file("tls.key") }
    }
}

pub fn write(path: &Path, text: &str) {
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).open(path).unwrap();
    io::Write::write_all(&mut file, text.as_bytes()).unwrap();
}

/// The policy that the command's flags give when none is set.
pub fn policy() -> Policy {
    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        policy: PolicyArgs,
    }
    Flags::parse_from(["test"]).policy.into_policy().unwrap()
}

/// Production limits, but nothing to wait for at the end, and certificates read often. And time: a busy machine takes
/// seconds for what a client does in milliseconds, and whoever tests a limit of time sets that one.
pub fn quick() -> Limits {
    Limits {
        handshake: PATIENCE,
        head: PATIENCE,
        request: PATIENCE,
        grace: Duration::ZERO,
        certificate_poll: Duration::from_millis(50),
        ..Limits::default()
    }
}

/// A webhook in this process.
pub struct Running {
    pub admission: SocketAddr,
    pub health: SocketAddr,
    pub authority: Authority,
    pub volume: SecretVolume,
    pub first: Pair,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Running {
    pub async fn start(limits: Limits) -> Self {
        Self::start_as(limits, |_| {}).await
    }

    /// With something configured in another way.
    pub async fn start_as(limits: Limits, change: impl FnOnce(&mut Config)) -> Self {
        let authority = Authority::new();
        let first = authority.issue();
        let volume = SecretVolume::new(&first);
        let mut config = Config {
            listen: ANY_PORT,
            health_listen: ANY_PORT,
            certificates: Certificates::Files(volume.files()),
            cluster: None,
            policy: policy(),
            workload_checks: WorkloadChecks::default(),
            limits,
        };
        change(&mut config);
        let webhook = Webhook::bind(config).await.unwrap();
        let (admission, health) = (webhook.admission_addr(), webhook.health_addr());
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(webhook.run(async {
            let _ = stopped.await;
        }));
        Self { admission, health, authority, volume, first, stop, task }
    }

    /// A client as the API server is one.
    pub fn tls(&self) -> Arc<ClientConfig> {
        self.authority.client(&["http/1.1"])
    }

    pub async fn client(&self) -> crate::client::Client {
        crate::client::Client::connect(self.admission, &self.tls()).await.unwrap()
    }

    /// Begins the shutdown; the task ends with it.
    pub fn shut_down(self) -> JoinHandle<()> {
        self.stop.send(()).unwrap();
        self.task
    }
}
