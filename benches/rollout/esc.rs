//! The local server, with one environment.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

pub const TOKEN: &str = "pul-of-the-rollout";

const ENVIRONMENT: &str = "\
values:
  db:
    password: {fn::secret: not a secret at all}
    url: pg://shop:${db.password}@db.shop.svc:5432/shop
  tls:
    ca: |
      -----BEGIN CERTIFICATE-----
      bm90aGluZw==
      -----END CERTIFICATE-----
";

/// Stopped when dropped.
pub struct Esc {
    pub address: SocketAddr,
    process: Child,
    _files: TempDir,
}

impl Esc {
    pub fn start(binary: &Path) -> Self {
        let files = tempfile::tempdir().unwrap();
        let project = files.path().join("acme/shop");
        fs::create_dir_all(&project).unwrap();
        fs::write(project.join("prod.yaml"), ENVIRONMENT).unwrap();
        let mut process = Command::new(binary)
            .args(["server", "--listen", "127.0.0.1:0", "--token", TOKEN, "--dir"])
            .arg(files.path())
            .env_clear()
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on http://").expect(&line).parse().unwrap();
        Self { address, process, _files: files }
    }
}

impl Drop for Esc {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
