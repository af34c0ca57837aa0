//! What docs/offline-tools.md shows of `check` and `inject --explain`.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Stdio},
};

use super::root;

/// Mistakes that Kubernetes takes without a word, and two that the webhook refuses.
const MISTAKEN: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  annotations:
    esc.pulumi.com/environment: acme/shop/prod
spec:
  template:
    metadata:
      annotations:
        esc.pulumi.com/evn.DATABASE_URL: db.url
        esc.pulumi.com/config: |
          files:
            ca.crt: {path: tls.ca, formt: raw}
    spec:
      containers:
      - name: web
        image: registry.example.com/web:1
        command: [/web]
";

/// A path that the example environment does not have.
const UNRESOLVED: &str = "\
kind: Pod
metadata:
  name: web
  annotations:
    esc.pulumi.com/environment: acme/shop/prod
    esc.pulumi.com/env.DATABASE_URL: db.uri
spec:
  containers:
  - name: web
    command: [/web]
";

fn binary(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_esc-injector"));
    command.current_dir(directory).env_clear().env("COLUMNS", "100").stdin(Stdio::null());
    command
}

/// What a command prints; it has to end with this status.
fn printed(command: &mut Command, status: i32) -> String {
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(status), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

fn saved(name: &str, text: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let mut file = std::fs::OpenOptions::new();
    let mut file = file.write(true).create_new(true).open(directory.path().join(name)).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    directory
}

/// `check` on a manifest with mistakes.
pub fn check() -> String {
    let directory = saved("web.yaml", MISTAKEN);
    let text = printed(binary(directory.path()).args(["check", "-f", "web.yaml"]), 65);
    format!(
        "```yaml refused ESC101 ESC108 ESC110\n{MISTAKEN}```\n\n```console\n$ esc-injector check -f web.yaml\n{text}\n```"
    )
}

/// A server that ends with the section.
struct Server {
    process: Child,
    url: String,
}

impl Server {
    fn start() -> Self {
        let mut command = binary(root());
        command.args(["server", "--dir", "deploy/examples/environments", "--listen", "127.0.0.1:0"]);
        let mut process =
            command.args(["--token", "docs"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().rsplit(' ').next().unwrap().to_owned();
        Self { process, url }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// `check --resolve` on a manifest with a misspelt path.
pub fn resolve() -> String {
    let server = Server::start();
    let directory = saved("pod.yaml", UNRESOLVED);
    let mut command = binary(directory.path());
    command.args(["check", "-f", "pod.yaml", "--resolve"]);
    command.env("PULUMI_BACKEND_URL", &server.url).env("PULUMI_ACCESS_TOKEN", "docs");
    let text = printed(&mut command, 65);
    format!("```yaml\n{UNRESOLVED}```\n\n```console\n$ esc-injector check -f pod.yaml --resolve\n{text}\n```")
}

/// The example of the repository, explained.
pub fn explained() -> String {
    let mut command = binary(root());
    let text = printed(command.args(["inject", "-f", "deploy/examples/shop.yaml", "--explain"]), 0);
    format!("```console\n$ esc-injector inject -f deploy/examples/shop.yaml --explain\n{text}\n```")
}

/// The schema is published as a file.
#[test]
#[expect(clippy::disallowed_methods, reason = "writes the repository's own pages")]
fn the_schema_of_config_is_what_the_code_says() {
    let path = root().join("docs/config.schema.json");
    let schema = esc_injector::inject::config_schema();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &schema).unwrap();
    }
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, schema, "run `UPDATE_DOCS=1 cargo test --test docs`");
    let printed = printed(binary(root()).args(["check", "--schema"]), 0);
    assert_eq!(printed, schema.trim_end());
}
