//! A local server with environments to read; ended when dropped.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

/// What it takes for a token.
pub const TOKEN: &str = "pul-for-sessions";

pub struct Server {
    pub url: String,
    child: Child,
}

impl Server {
    pub fn start() -> Self {
        let environments = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/environments");
        let mut child = Command::new(super::BINARY)
            .args(["server", "--listen", "127.0.0.1:0", "--token", TOKEN, "--dir"])
            .arg(environments)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("listening on ").unwrap_or_else(|| panic!("{line}")).to_owned();
        Self { url, child }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
