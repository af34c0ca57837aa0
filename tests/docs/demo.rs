//! What the README shows of the binary's output.

use std::{
    io::Write,
    process::{Command, Stdio},
};

fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_esc-injector"));
    command.env("NO_COLOR", "1");
    command
}

/// A pod with two mistakes.
const MISTAKEN: &str = "\
kind: Pod
metadata:
  name: app
  annotations:
    esc.pulumi.com/environment: acme/shop/prod
    esc.pulumi.com/evn.DATABASE_URL: db.url
    esc.pulumi.com/timeout: 2 minutes
spec:
  containers:
  - name: app
    image: registry.example.com/app:1
    command: [/app/server]
";

/// A refusal, as `inject` tells it.
pub fn refusal() -> String {
    let mut inject = binary();
    inject.args(["inject", "-f", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut inject = inject.spawn().unwrap();
    inject.stdin.take().unwrap().write_all(MISTAKEN.as_bytes()).unwrap();
    let output = inject.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(65));
    let said = String::from_utf8(output.stderr).unwrap();
    format!(
        "```yaml refused ESC101 ESC106\n{MISTAKEN}```\n\n```console\n$ esc-injector inject -f pod.yaml\n{}\n```",
        said.trim_end()
    )
}

/// A store, a Secret of it, and who reads that.
const OPERATED: &str = "\
apiVersion: external-secrets.io/v1
kind: SecretStore
metadata: {name: pulumi, namespace: shop}
spec:
  provider:
    pulumi:
      organization: acme
      project: shop
      environment: prod
      auth:
        oidcConfig:
          organization: acme
          serviceAccountRef: {name: eso}
---
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: db, namespace: shop}
spec:
  refreshInterval: 1h
  secretStoreRef: {name: pulumi}
  data:
  - secretKey: url
    remoteRef: {key: db.url}
  - secretKey: ca.crt
    remoteRef: {key: tls.ca}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop}
spec:
  serviceAccountName: web
  containers:
  - name: web
    image: registry.example.com/web:1
    command: [/web]
    env:
    - name: DATABASE_URL
      valueFrom:
        secretKeyRef: {name: db, key: url}
    volumeMounts:
    - {name: ca, mountPath: /etc/db}
  volumes:
  - name: ca
    secret:
      secretName: db
      items:
      - {key: ca.crt, path: ca.crt}
";

/// A conversion, in and out.
pub fn converted() -> String {
    let directory = tempfile::tempdir().unwrap();
    let mut file = std::fs::File::create_new(directory.path().join("shop.yaml")).unwrap();
    file.write_all(OPERATED.as_bytes()).unwrap();
    let output = binary().args(["convert", "-f", "shop.yaml"]).current_dir(&directory).output().unwrap();
    assert!(output.status.success());
    let (stdout, stderr) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    // Each with its prompt: on a terminal the list comes first, and the manifests after it.
    format!(
        "```yaml untouched\n{OPERATED}```\n\n```console\n$ esc-injector convert -f shop.yaml > converted.yaml\n{}\n$ cat converted.yaml\n{}\n```",
        stderr.trim_end(),
        stdout.trim_end()
    )
}

/// What the doctor says of a healthy installation, as its own tests see it.
pub fn doctor() -> String {
    let path = super::root().join("tests/doctor/snapshots/doctor__healthy.snap");
    let snapshot = std::fs::read_to_string(path).unwrap();
    let told = snapshot.splitn(3, "---\n").nth(2).unwrap();
    format!("```console\n$ esc-injector doctor -n shop\n{}\n```", told.trim_end())
}

/// The demo's output, shortened: `…` stands for lines that are left out.
pub fn excerpt() -> String {
    let output = binary().arg("demo").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "the demo fails:\n{text}\n{}", String::from_utf8_lossy(&output.stderr));
    let mut shown: Vec<String> = Vec::new();
    for line in text.trim_end().lines() {
        if is_detail(line) {
            if shown.last().is_some_and(|last| last.trim() != "…") {
                shown.push("    …".to_owned());
            }
        } else {
            shown.push(line.trim_end().to_owned());
        }
    }
    format!("```console\n$ cargo run --release -- demo\n{}\n```", shown.join("\n"))
}

/// The injected container in full is for those who run it themselves.
fn is_detail(line: &str) -> bool {
    line.starts_with("          ")
}

/// Ports and times differ each time.
pub fn without_numbers(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        let is_number = c.is_ascii_digit() || c == '.' && out.ends_with('#');
        if !is_number {
            out.push(c);
        } else if !out.ends_with('#') {
            out.push('#');
        }
    }
    out
}
