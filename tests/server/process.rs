//! The real binary, as a person starts it.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::Arc,
};

use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rustls_pki_types::{CertificateDer, pem::PemObject};

use crate::harness::{exchange, plain, request, session, write};

const TOKEN: &str = "pul-process-token";
const VALUE: &str = "pr0cess-value";

fn command(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_esc-injector"));
    command.arg("server").arg("--dir").arg(directory);
    command.env_clear().env("ESC_INJECTOR_LISTEN", "127.0.0.1:0");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Starts it and waits for the line that says where it listens.
pub(crate) fn start(command: &mut Command) -> (Child, String) {
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let url = line.strip_prefix("listening on ").unwrap_or_else(|| panic!("{line:?}")).trim().to_owned();
    (child, url)
}

/// Asks it to stop, and gives its exit code and what it logged.
pub(crate) fn stop(mut child: Child, signal: rustix::process::Signal) -> (Option<i32>, String) {
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), signal).unwrap();
    let status = child.wait().unwrap();
    let mut log = String::new();
    child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    (status.code(), log)
}

fn definition(directory: &Path) {
    write(directory, "acme/p/e.yaml", &format!("values: {{secret: {{fn::secret: {VALUE}}}}}"));
}

#[test]
fn starts_serves_and_stops_and_its_log_tells_no_secrets() {
    for signal in [rustix::process::Signal::TERM, rustix::process::Signal::INT] {
        let directory = tempfile::tempdir().unwrap();
        definition(directory.path());
        let (child, url) = start(
            command(directory.path())
                .args(["--log-level", "trace"])
                .env("ESC_INJECTOR_TOKEN", format!("{TOKEN}\n")),
        );
        let address = url.strip_prefix("http://").unwrap();
        let send = |method: &str, path: &str| {
            let authorization = format!("token {TOKEN}");
            let headers = [("Authorization", authorization.as_str())];
            exchange(TcpStream::connect(address).unwrap(), &request(method, path, &headers, b""))
        };
        let open = "/api/esc/environments/acme/p/e/open";
        let id = session(&send("POST", &format!("{open}?duration=1h")));
        let read = send("GET", &format!("{open}/{id}?property=secret"));
        assert_eq!(plain(&read.json()), VALUE);
        let (code, log) = stop(child, signal);
        assert_eq!(code, Some(0), "{log}");
        assert!(log.contains("environment=acme/p/e status=200"), "{log}");
        for secret in [TOKEN, VALUE, id.as_str(), "property", "1h"] {
            assert!(!log.contains(secret), "{secret} in {log}");
        }
    }
}

#[test]
fn lets_a_running_request_finish_when_it_is_stopped() {
    let directory = tempfile::tempdir().unwrap();
    definition(directory.path());
    write(directory.path(), "jwks.json", include_str!("fixtures/rs256.jwks.json"));
    let mut command = command(directory.path());
    command.args(["--oidc-issuer", "https://issuer.test", "--oidc-subject", "*", "--oidc-jwks"]);
    let (mut child, url) = start(command.arg(directory.path().join("jwks.json")));
    let mut stream = TcpStream::connect(url.strip_prefix("http://").unwrap()).unwrap();
    let body = br#"{"grant_type":"none"}"#;
    let headers = [("Content-Type", "application/json"), ("Expect", "100-continue")];
    let whole = request("POST", "/api/oauth/token", &headers, body);
    let (head, body) = whole.split_at(whole.len() - body.len());
    stream.write_all(head).unwrap();
    let mut proceed = [0; 25];
    stream.read_exact(&mut proceed).unwrap();
    assert_eq!(&proceed, b"HTTP/1.1 100 Continue\r\n\r\n");

    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(log.any(|line| line.unwrap().contains("stopping")));
    exchange(stream, body).error(400);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn serves_tls_when_given_a_certificate() {
    let directory = tempfile::tempdir().unwrap();
    definition(directory.path());
    let certified = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    write(directory.path(), "tls.crt", &certified.cert.pem());
    write(directory.path(), "tls.key", &certified.signing_key.serialize_pem());
    write(directory.path(), "tokens", &format!("first\n\n{TOKEN}\n"));
    let at = |name: &str| directory.path().join(name);
    let mut command = command(directory.path());
    command.arg("--tls-cert").arg(at("tls.crt")).arg("--tls-key").arg(at("tls.key"));
    let (child, url) = start(command.arg("--token-file").arg(at("tokens")));
    let address = url.strip_prefix("https://").unwrap();

    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(at("tls.crt")).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connection = ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
    let stream = StreamOwned::new(connection, TcpStream::connect(address).unwrap());
    let authorization = format!("token {TOKEN}");
    let user = exchange(stream, &request("GET", "/api/user", &[("Authorization", &authorization)], b""));
    assert_eq!(user.json()["githubLogin"], "dev");
    // Its operator's commands can be told to trust it.
    let operate = |authorities: Option<PathBuf>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_esc-injector"));
        command.env_clear().env("PULUMI_ACCESS_TOKEN", TOKEN).args(["server", "token", "list", "--api-url"]);
        command.arg(format!("https://localhost:{}", address.rsplit_once(':').unwrap().1));
        if let Some(file) = authorities {
            command.arg("--ca-file").arg(file);
        }
        command.output().unwrap().status.code()
    };
    assert_eq!((operate(Some(at("tls.crt"))), operate(None)), (Some(0), Some(69)));
    assert_eq!(operate(Some(at("nonexistent"))), Some(78));
    assert_eq!(stop(child, rustix::process::Signal::TERM).0, Some(0));
}

#[test]
fn refuses_to_start_when_nobody_could_sign_in_or_files_are_missing() {
    let directory = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| -> Output {
        let mut command = command(directory.path());
        command.args(arguments).output().unwrap()
    };
    for (arguments, code, message) in [
        (&[] as &[&str], 64, "give --token or --token-file"),
        (&["--token", ""], 64, "--token is empty"),
        (&["--token", "\n"], 64, "--token is empty"),
        (&["--token", "t", "--user-rights", "none"], 64, "--user-rights needs --data or --dev"),
        (
            &["--token", "t", "--tls-cert", "/dev/null", "--tls-key", "/dev/null"],
            78,
            "--tls-cert /dev/null: no certificate",
        ),
        (&["--oidc-issuer", "https://i"], 64, "--oidc-jwks"),
        (&["--token", "t", "--tls-cert", "x"], 64, "--tls-key"),
        (&["--token-file", "/nonexistent"], 78, "--token-file /nonexistent"),
        (
            &["--token", "t", "--tls-cert", "/nonexistent", "--tls-key", "/nonexistent"],
            78,
            "--tls-cert /nonexistent",
        ),
        (&["--token", "t", "--organization", "x"], 78, "`x` is no organization name"),
        (&["--token", "t", "--listen", "192.0.2.1:1"], 69, "listening on 192.0.2.1:1"),
    ] {
        let output = run(arguments);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr}");
        assert!(stderr.contains(message), "{arguments:?}: {stderr}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn operators_commands_refuse_what_would_do_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let (data, key) = (data.to_str().unwrap(), data.join("key"));
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_esc-injector"));
        command.env_clear().env("PULUMI_BACKEND_URL", "").arg("server").args(arguments);
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    assert_eq!(run(&["token", "create", "--name", "t", "--data", data]).0, Some(0));
    let (code, said) = run(&["rekey", "--data", data, "--new-key-file", key.to_str().unwrap()]);
    assert!(code == Some(64) && said.contains("the key that is to be replaced"), "{said}");
    // An empty address is none.
    let (code, said) = run(&["token", "list"]);
    assert!(code == Some(64) && said.contains("--api-url"), "{said}");
}

#[test]
fn help_never_prints_the_token() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_esc-injector"));
    let output = command.args(["server", "--help"]).env("ESC_INJECTOR_TOKEN", TOKEN).output().unwrap();
    assert!(!String::from_utf8(output.stdout).unwrap().contains(TOKEN));
}
