//! The data directory: what is in it, who may read it, and what it takes to open it again.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use crate::{
    harness::{Answer, TOKEN, exchange, plain, request, session, write},
    process::{start, stop},
};

const CANARY: &str = "c4n4ry-at-rest";

fn command(directory: &Path, arguments: &[&str]) -> Command {
    write(directory, "tokens", TOKEN);
    let mut command = Command::new(env!("CARGO_BIN_EXE_esc-injector"));
    command.env_clear().args(["server", "--listen", "127.0.0.1:0"]).args(arguments);
    command.arg("--token-file").arg(directory.join("tokens"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs a server for as long as `work` takes, and gives what it logged.
fn with<T>(
    directory: &Path,
    arguments: &[&str],
    work: impl FnOnce(&dyn Fn(&str, &str, &str) -> Answer) -> T,
) -> T {
    let (child, url) = start(&mut command(directory, arguments));
    let address = url.strip_prefix("http://").unwrap().to_owned();
    let token = format!("token {TOKEN}");
    let result = work(&|method, path, body| {
        let bytes = request(method, path, &[("Authorization", &token)], body.as_bytes());
        exchange(std::net::TcpStream::connect(&address).unwrap(), &bytes)
    });
    let (code, log) = stop(child, rustix::process::Signal::TERM);
    assert_eq!(code, Some(0), "{log}");
    assert!(!log.contains(CANARY) && !log.contains(TOKEN), "{log}");
    result
}

fn refused(directory: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let output = command(directory, arguments).output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

fn values(send: &dyn Fn(&str, &str, &str) -> Answer, environment: &str) -> Value {
    let path = format!("/api/esc/environments/{environment}/open");
    let id = session(&send("POST", &path, ""));
    plain(&json!({ "value": send("GET", &format!("{path}/{id}"), "").json()["properties"] }))
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn what_is_kept_is_there_after_a_restart_and_is_nobody_elses() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let flags = ["--data", data.to_str().unwrap(), "--organization", "acme"];
    with(directory.path(), &flags, |send| {
        send("POST", "/api/esc/environments/acme", r#"{"project":"p","name":"e"}"#);
        let text = format!("values: {{s: {{fn::secret: {CANARY}}}}}");
        assert_eq!(send("PATCH", "/api/esc/environments/acme/p/e", &text).status, 200);
    });
    assert_eq!((mode(&data), mode(&data.join("key")), mode(&data.join("esc.redb"))), (0o700, 0o600, 0o600));
    let kept = fs::read(data.join("esc.redb")).unwrap();
    assert!(!kept.windows(CANARY.len()).any(|window| window == CANARY.as_bytes()));
    // The organization is remembered, and another one comes to it.
    let more = ["--data", data.to_str().unwrap(), "--organization", "zeta"];
    with(directory.path(), &more, |send| {
        assert_eq!(values(send, "acme/p/e"), json!({"s": CANARY}));
        let organizations = send("GET", "/api/user", "").json()["organizations"].clone();
        assert_eq!(organizations.as_array().unwrap().len(), 2);
    });
}

#[test]
fn secrets_need_their_key() {
    let directory = tempfile::tempdir().unwrap();
    let (data, key) = (directory.path().join("data"), directory.path().join("elsewhere"));
    let flags = ["--data", data.to_str().unwrap(), "--key-file", key.to_str().unwrap()];
    with(directory.path(), &flags, |_| ());
    assert!(key.exists() && !data.join("key").exists());
    let missing = refused(directory.path(), &flags[..2]);
    assert_eq!(missing.0, Some(78));
    assert!(missing.1.contains("key is missing"), "{}", missing.1);
    let other = directory.path().join("other");
    with(directory.path(), &["--data", other.to_str().unwrap()], |_| ());
    let other_key = other.join("key");
    let swapped = refused(directory.path(), &["--data", flags[1], "--key-file", other_key.to_str().unwrap()]);
    assert_eq!(swapped.0, Some(78));
    assert!(swapped.1.contains("sealed with another key"), "{}", swapped.1);
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let open = refused(directory.path(), &flags);
    assert!(open.0 == Some(78) && open.1.contains("chmod 600"), "{}", open.1);
}

#[test]
fn a_data_directory_has_one_server() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let flags = ["--data", data.to_str().unwrap()];
    with(directory.path(), &flags, |_| {
        let second = refused(directory.path(), &flags);
        assert_eq!(second.0, Some(78), "{}", second.1);
        assert!(second.1.contains("esc.redb"), "{}", second.1);
    });
    write(
        directory.path(),
        "garbage/esc.redb",
        "this is no database, but long enough to be taken for a header of one",
    );
    let garbage = directory.path().join("garbage");
    let broken = refused(directory.path(), &["--data", garbage.to_str().unwrap()]);
    assert_eq!(broken.0, Some(78), "{}", broken.1);
}

#[test]
fn files_are_imported_once_into_an_empty_store() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), "files/acme/p/e.yaml", &format!("values: {{s: {{fn::secret: {CANARY}}}}}"));
    write(directory.path(), "files/zeta/p/f.yml", "imports: [p/g]");
    write(directory.path(), "files/zeta/p/g.yaml", "values: {n: 1}");
    let (data, files) = (directory.path().join("data"), directory.path().join("files"));
    let flags = ["--data", data.to_str().unwrap(), "--dir", files.to_str().unwrap()];
    with(directory.path(), &flags, |send| {
        assert_eq!(values(send, "acme/p/e"), json!({"s": CANARY}));
        assert_eq!(values(send, "zeta/p/f"), json!({"n": 1}));
        assert!(!send("GET", "/api/esc/environments/acme/p/e", "").body.contains(CANARY));
        assert_eq!(send("PATCH", "/api/esc/environments/zeta/p/g", "values: {n: 2}").status, 200);
        assert_eq!(send("DELETE", "/api/esc/environments/acme/p/e", "").status, 204);
    });
    // What was changed, and what was deleted, stays so.
    with(directory.path(), &flags, |send| {
        assert_eq!(values(send, "zeta/p/f"), json!({"n": 2}));
        send("GET", "/api/esc/environments/acme/p/e", "").error(404);
    });
    write(directory.path(), "files/acme/p/bad.yaml", "values: {a: {FN::secret: c4n4ry-at-rest}}");
    let fresh = directory.path().join("fresh");
    let bad =
        refused(directory.path(), &["--data", fresh.to_str().unwrap(), "--dir", files.to_str().unwrap()]);
    assert_eq!(bad.0, Some(78));
    assert!(bad.1.contains("can't import acme/p/bad: line 1: 'fn::' is a reserved prefix"), "{}", bad.1);
    assert!(!bad.1.contains(CANARY));
}

#[test]
fn a_server_for_development_prints_its_token() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_esc-injector"));
    command.env_clear().args(["server", "--dev", "--listen", "127.0.0.1:0"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    let url = lines.next().unwrap().unwrap();
    let token = lines.next().unwrap().unwrap();
    let token = token.strip_prefix("access token pul-").unwrap();
    let address = url.strip_prefix("listening on http://").unwrap();
    let headers = [("Authorization", format!("token pul-{token}"))];
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let bytes = request("GET", "/api/user", &headers, b"");
    let user = exchange(std::net::TcpStream::connect(address).unwrap(), &bytes).json();
    assert_eq!(user["organizations"][0]["githubLogin"], "dev");
    let (code, log) = stop(child, rustix::process::Signal::TERM);
    assert!(code == Some(0) && !log.contains(token), "{log}");
}

#[test]
fn providers_for_tests_are_refused_where_environments_are_kept() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let (code, refusal) = refused(directory.path(), &["--data", data.to_str().unwrap(), "--test-providers"]);
    assert_eq!(code, Some(64), "{refusal}");
    assert!(refusal.contains("--test-providers") && refusal.contains("cannot be used with"), "{refusal}");
    assert!(!data.exists(), "nothing is made");
}
