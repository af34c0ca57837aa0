//! The agent against the local server: both ends real, over TLS, with a signed identity.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::{SystemTime, UNIX_EPOCH},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    rand::SystemRandom,
    signature::{Ed25519KeyPair, KeyPair},
};
use serde_json::json;
use tempfile::TempDir;

use crate::{
    certificates::Certificates,
    harness::{ACCESS_TOKEN, BINARY, CERTIFICATE, PASSWORD, PROJECTED, Pod},
    live::wait,
};

const ISSUER: &str = "https://kubernetes.default.svc";

/// A running server with its files; stopped when dropped.
struct Local {
    process: Child,
    url: String,
    ca: String,
    dir: TempDir,
    key: Ed25519KeyPair,
}

impl Local {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, content: &str| {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, content).unwrap();
            path
        };
        let quoted = |text: &str| serde_json::to_string(text).unwrap();
        file(
            "esc/acme/shop/base.yaml",
            &format!(
                "values:\n  db:\n    port: 5432\n    password: {{fn::secret: {}}}\n",
                quoted("from base")
            ),
        );
        file(
            "esc/acme/shop/prod.yaml",
            &format!(
                "imports: [shop/base]\nvalues:\n  db:\n    password: {{fn::secret: {}}}\n    url: pg://h:${{db.port}}\n  tls: {{ca: {}}}\n  \
                 environmentVariables: {{API_KEY: {{fn::secret: {}}}, URL: \"${{db.url}}\"}}\n  files: {{CERT: \"${{tls.ca}}\"}}\n",
                quoted(PASSWORD),
                quoted(CERTIFICATE),
                quoted(PROJECTED),
            ),
        );
        file("esc/acme/shop/broken.yaml", "values:\n  a: ${nowhere}\n");
        let certificates = Certificates::new();
        let key = Ed25519KeyPair::from_pkcs8(
            Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap().as_ref(),
        )
        .unwrap();
        let x = URL_SAFE_NO_PAD.encode(key.public_key());
        let keys = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "1", "x": x}]}).to_string();
        let mut process = Command::new(BINARY)
            .args(["server", "--listen", "127.0.0.1:0", "--token", ACCESS_TOKEN, "--oidc-issuer", ISSUER])
            .args(["--oidc-subject", "system:serviceaccount:shop:*"])
            .arg("--dir")
            .arg(dir.path().join("esc"))
            .arg("--oidc-jwks")
            .arg(file("keys.json", &keys))
            .arg("--tls-cert")
            .arg(file("tls.crt", &certificates.chain))
            .arg("--tls-key")
            .arg(file("tls.key", &certificates.key))
            .env_clear()
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("listening on ").unwrap().to_owned();
        Self { process, url, ca: certificates.ca, dir, key }
    }

    fn pod(&self) -> Pod {
        let mut pod = Pod::new(&self.url);
        pod.plan["api"]["ca"] = json!(self.ca);
        pod
    }

    /// A service account's token, as the API server would sign it.
    fn identity(&self, subject: &str) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let claims = json!({"iss": ISSUER, "sub": subject, "aud": ["urn:pulumi:org:acme"], "iat": now, "nbf": now, "exp": now + 600});
        let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(json!({"alg": "EdDSA", "kid": "1"})), part(claims));
        let signature = URL_SAFE_NO_PAD.encode(self.key.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    fn environment(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join("esc/acme/shop").join(name)
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn application(env_dir: &Path, script: &str) -> String {
    let output = Command::new(BINARY)
        .args(["exec", &format!("--env-dir={}", env_dir.display()), "--", "sh", "-c", script])
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn delivers_from_the_environment_to_the_application() {
    let local = Local::start();
    let mut pod = local.pod();
    pod.view()["projections"] = json!("all");
    pod.init().assert_success();
    let seen = application(
        &pod.path("env"),
        "printf '%s|' \"$DB_PASSWORD\" \"$DB_PORT\" \"$API_KEY\" \"$URL\" \"$CERT\"",
    );
    assert_eq!(seen, format!("{PASSWORD}|5432|{PROJECTED}|pg://h:5432|/run/secrets/esc/CERT|"));
    assert_eq!(fs::read_to_string(pod.path("files/CERT")).unwrap(), CERTIFICATE);
    assert_eq!(fs::read_to_string(pod.path("files/tls/ca.crt")).unwrap(), CERTIFICATE);

    // What changed arrives with the next run, whole.
    let changed = format!("values:\n  db: {{password: {PROJECTED}, port: 1}}\n  tls: {{ca: new}}\n");
    fs::write(local.environment("prod.yaml"), changed).unwrap();
    pod.init().assert_success();
    assert_eq!(pod.records(), [format!("+DB_PASSWORD={PROJECTED}"), "+DB_PORT=1".to_owned()]);
    assert_eq!(fs::read_to_string(pod.path("files/tls/ca.crt")).unwrap(), "new");
    assert!(!pod.path("files/CERT").exists());
}

#[test]
fn runs_at_the_same_time_leave_a_whole_set() {
    let local = Local::start();
    let mut pod = local.pod();
    pod.plan["binaryDir"] = json!(pod.path("bin"));
    let codes: Vec<_> = (0..4)
        .flat_map(|_| {
            let runs: Vec<_> = (0..4).map(|_| pod.command().spawn().unwrap()).collect();
            runs.into_iter().map(|run| pod.wait(run).code)
        })
        .collect();
    assert!(codes.contains(&Some(0)), "{codes:?}");
    // Who came second is sent away, and would be started again.
    assert!(codes.iter().all(|code| matches!(code, Some(0 | 75))), "{codes:?}");
    assert_eq!(fs::read_to_string(pod.path("files/tls/ca.crt")).unwrap(), CERTIFICATE);
    assert_eq!(pod.records().len(), 2);
    assert_eq!(fs::read(pod.path("bin/esc-injector")).unwrap(), fs::read(BINARY).unwrap());
}

#[test]
fn exchanges_a_signed_identity_and_fails_for_a_stranger() {
    let local = Local::start();
    let mut pod = local.pod().exchange();
    pod.plan["auth"]["tokenType"] = json!("organization");
    fs::write(pod.path("token/projected"), local.identity("system:serviceaccount:shop:app")).unwrap();
    pod.init().assert_success();
    assert_eq!(pod.records().len(), 2);
    let before = pod.listing();
    fs::write(pod.path("token/projected"), local.identity("system:serviceaccount:other:app")).unwrap();
    let refused = pod.init();
    refused.assert_failure(77, "ESC307");
    assert_eq!(pod.listing(), before);
    // Whoever reads it can copy what the policy has to allow.
    let fix = format!(
        "Register the OIDC issuer `{ISSUER}` in organization acme, and add a policy that allows \
         `sub: system:serviceaccount:other:app` with `aud: urn:pulumi:org:acme`."
    );
    assert!(refused.termination.contains("refused the pod's identity system:serviceaccount:other:app (403)"));
    assert!(refused.termination.contains(&format!("Fix: {fix} More: ")), "{}", refused.termination);
    let error = refused.log().into_iter().find(|line| line["level"] == "ERROR").unwrap();
    assert_eq!(error["fix"], fix);
}

#[test]
fn refusals_of_the_server_have_their_codes() {
    let local = Local::start();
    let open = |name: &str| {
        let mut pod = local.pod();
        pod.plan["environments"] = json!([name]);
        let outcome = pod.init();
        assert!(pod.listing().is_empty());
        outcome
    };
    open("acme/shop/none").assert_failure(78, "ESC311");
    open("nobody/shop/prod").assert_failure(78, "ESC311");
    let broken = open("acme/shop/broken");
    broken.assert_failure(65, "ESC312");
    assert!(broken.termination.contains("nowhere"), "{}", broken.termination);

    let pod = local.pod();
    fs::write(pod.path("token/static"), "pul-wrong").unwrap();
    pod.init().assert_failure(77, "ESC308");

    let mut pod = local.pod();
    pod.view()["variables"] = json!([{"name": "A", "path": "db.pasword"}]);
    let missing = pod.init();
    missing.assert_failure(65, "ESC404");
    assert!(missing.termination.contains("password"), "{}", missing.termination);
}

#[test]
fn a_sidecar_follows_the_environment_and_outlives_the_server() {
    let local = Local::start();
    let mut pod = Pod::refreshing(&local.url, &json!({"kind": "none"})).exchange().timeout(20);
    pod.plan["api"]["ca"] = json!(local.ca);
    pod.plan["auth"]["tokenType"] = json!("organization");
    fs::write(pod.path("token/projected"), local.identity("system:serviceaccount:shop:app")).unwrap();
    let running = pod.sidecar();
    running.wait_until_ready();
    assert_eq!(pod.certificate(), CERTIFICATE);
    let changed = format!("values:\n  db: {{password: {PROJECTED}, port: 1}}\n  tls: {{ca: new}}\n");
    fs::write(local.environment("prod.yaml"), changed).unwrap();
    wait("the change", || pod.certificate() == "new");
    wait("the variables", || pod.records() == [format!("+DB_PASSWORD={PROJECTED}"), "+DB_PORT=1".to_owned()]);
    drop(local);
    wait("the outage", || pod.told("ESC601") > 0);
    running.kill();
    let running = pod.sidecar();
    wait("adoption", || pod.said().contains("ready with the set that lies there"));
    assert!(pod.is_ready());
    assert_eq!(pod.certificate(), "new");
    let outcome = running.terminate();
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let exchanges = outcome.stderr.matches("exchanged the pod's token").count();
    assert_eq!(exchanges, 1, "the token is kept while it is valid");
}
