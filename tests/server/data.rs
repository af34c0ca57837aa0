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
fn a_key_file_in_the_working_directory_is_made_changed_and_leaves_its_neighbours_alone() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("esc.new"), "mine").unwrap();
    let flags = ["--data", "data", "--key-file", "esc.key"];
    let serve = || {
        let mut command = command(directory.path(), &flags);
        let (child, _) = start(command.current_dir(directory.path()));
        let (code, log) = stop(child, rustix::process::Signal::TERM);
        assert_eq!(code, Some(0), "{log}");
    };
    serve();
    let first = fs::read(directory.path().join("esc.key")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_esc-injector"));
    command.env_clear().args(["server", "rekey"]).args(flags).current_dir(directory.path());
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(fs::read(directory.path().join("esc.key.old")).unwrap(), first);
    serve();
    assert_eq!(fs::read(directory.path().join("esc.new")).unwrap(), b"mine");
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

/// Runs a command on a data directory.
fn server(arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_esc-injector"));
    let output = command.env_clear().arg("server").args(arguments).stdin(Stdio::null()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn fill(directory: &Path, data: &str) {
    with(directory, &["--data", data, "--organization", "acme"], |send| {
        for name in ["e", "gone"] {
            let body = json!({ "project": "p", "name": name }).to_string();
            assert_eq!(send("POST", "/api/esc/environments/acme", &body).status, 200);
            for number in 0..3 {
                let text = format!("values: {{s: {{fn::secret: {CANARY}-{number}}}}} # note");
                assert_eq!(send("PATCH", &format!("/api/esc/environments/acme/p/{name}"), &text).status, 200);
            }
        }
        assert_eq!(send("DELETE", "/api/esc/environments/acme/p/gone", "").status, 204);
    });
}

/// Every secret of every revision can be read, those of a deleted environment, too.
fn whole(send: &dyn Fn(&str, &str, &str) -> Answer) {
    assert_eq!(values(send, "acme/p/e"), json!({ "s": format!("{CANARY}-2") }));
    let text = send("GET", "/api/esc/environments/acme/p/e/versions/2/decrypt", "").body;
    assert_eq!(text, format!("values: {{s: {{fn::secret: {CANARY}-0}}}} # note"));
    let restore = json!({ "project": "p", "name": "gone" }).to_string();
    send("PUT", "/api/esc/environments/acme/restore", &restore);
    assert_eq!(values(send, "acme/p/gone"), json!({ "s": format!("{CANARY}-2") }));
}

#[test]
fn a_new_key_seals_every_secret_and_the_old_one_opens_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let path = data.to_str().unwrap();
    fill(directory.path(), path);
    let before = fs::read(data.join("key")).unwrap();
    let (code, out, error) = server(&["rekey", "--data", path]);
    assert_eq!(code, Some(0), "{error}");
    assert!(out.contains("8 definitions are sealed with the key in"), "{out}");
    assert_eq!(fs::read(data.join("key.old")).unwrap(), before);
    assert_ne!(fs::read(data.join("key")).unwrap(), before);
    assert!(!data.join("key.next").exists());
    assert_eq!((mode(&data.join("key")), mode(&data.join("key.old"))), (0o600, 0o600));
    let old = data.join("key.old");
    let refused = refused(directory.path(), &["--data", path, "--key-file", old.to_str().unwrap()]);
    assert!(refused.0 == Some(78) && refused.1.contains("sealed with another key"), "{}", refused.1);
    with(directory.path(), &["--data", path], whole);
    // The next change keeps this key too: a backup may need it, as one from before needs the first.
    let second = fs::read(data.join("key")).unwrap();
    assert_eq!(server(&["rekey", "--data", path]).0, Some(0));
    assert_eq!(fs::read(data.join("key.old")).unwrap(), before);
    assert_eq!(fs::read(data.join("key.old.2")).unwrap(), second);
    with(directory.path(), &["--data", path], whole);
    // To a file elsewhere, where it stays.
    let elsewhere = directory.path().join("elsewhere");
    let elsewhere = elsewhere.to_str().unwrap();
    let (code, out, error) = server(&["rekey", "--data", path, "--new-key-file", elsewhere]);
    assert_eq!(code, Some(0), "{error}");
    assert!(out.contains("elsewhere") && data.join("key").exists(), "{out}");
    with(directory.path(), &["--data", path, "--key-file", elsewhere], |send| {
        assert_eq!(values(send, "acme/p/e"), json!({ "s": format!("{CANARY}-2") }));
    });
    let log = fs::read_to_string(data.join("audit.jsonl")).unwrap();
    assert_eq!(log.matches("\"store.rekey\"").count(), 3, "{log}");
}

#[test]
fn a_change_of_the_key_that_was_cut_off_is_finished_or_never_was() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let path = data.to_str().unwrap();
    fill(directory.path(), path);
    // Before the database was rewritten there is a key that nothing is sealed with yet.
    let aside = directory.path().join("aside");
    fs::copy(data.join("key"), &aside).unwrap();
    let database = fs::read(data.join("esc.redb")).unwrap();
    assert_eq!(server(&["rekey", "--data", path]).0, Some(0));
    let next = fs::read(data.join("key")).unwrap();
    let rewritten = fs::read(data.join("esc.redb")).unwrap();
    let put = |name: &str, bytes: &[u8]| {
        let _ = fs::remove_file(data.join(name));
        fs::write(data.join(name), bytes).unwrap();
        fs::set_permissions(data.join(name), fs::Permissions::from_mode(0o600)).unwrap();
    };
    let old = fs::read(&aside).unwrap();
    let _ = fs::remove_file(data.join("key.old"));
    put("esc.redb", &database);
    put("key", &old);
    put("key.next", &next);
    with(directory.path(), &["--data", path], |send| {
        assert_eq!(values(send, "acme/p/e"), json!({ "s": format!("{CANARY}-2") }));
    });
    assert_eq!(fs::read(data.join("key")).unwrap(), old);
    assert_eq!(server(&["rekey", "--data", path]).0, Some(0));
    assert_eq!(fs::read(data.join("key")).unwrap(), next, "the key that was made is used");
    // After it, only the files are left: the next call does that, and so does the next server.
    for again in [true, false] {
        put("esc.redb", &rewritten);
        put("key", &old);
        put("key.next", &next);
        if again {
            let (code, out, error) = server(&["rekey", "--data", path]);
            assert_eq!(code, Some(0), "{error}");
            assert!(out.starts_with("0 definitions"), "{out}");
        }
        with(directory.path(), &["--data", path], whole);
        assert_eq!(fs::read(data.join("key")).unwrap(), next);
        assert_eq!(fs::read(data.join("key.old")).unwrap(), old);
        assert!(!data.join("key.next").exists());
    }
}

#[test]
fn what_is_not_the_key_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (data, other) = (directory.path().join("data"), directory.path().join("other"));
    let path = data.to_str().unwrap();
    fill(directory.path(), path);
    with(directory.path(), &["--data", other.to_str().unwrap()], |_| ());
    let stranger = other.join("key");
    let fresh = directory.path().join("fresh");
    let flags = ["--key-file", stranger.to_str().unwrap(), "--new-key-file", fresh.to_str().unwrap()];
    let (code, _, error) = server(&[&["rekey", "--data", path], flags.as_slice()].concat());
    assert!(code == Some(78) && error.contains("sealed with another key"), "{error}");
    with(directory.path(), &["--data", path], |send| {
        for command in ["rekey", "compact"] {
            let (code, _, error) = server(&[command, "--data", path]);
            assert!(code == Some(78) && error.contains("esc.redb"), "{error}");
        }
        whole(send);
    });
    let nowhere = directory.path().join("nowhere");
    for command in ["rekey", "compact"] {
        let (code, _, error) = server(&[command, "--data", nowhere.to_str().unwrap()]);
        assert!(code == Some(78) && error.contains("there is no such file"), "{error}");
        assert!(!nowhere.exists());
    }
}

#[test]
fn compacting_makes_the_file_smaller_and_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let path = data.to_str().unwrap();
    fill(directory.path(), path);
    with(directory.path(), &["--data", path], |send| {
        let body = format!("values: {{big: {}}}", "x".repeat(900_000));
        send("POST", "/api/esc/environments/acme", r#"{"project":"p","name":"big"}"#);
        for _ in 0..5 {
            assert_eq!(send("PATCH", "/api/esc/environments/acme/p/big", &body).status, 200);
        }
    });
    // What was rewritten leaves its room behind.
    assert_eq!(server(&["rekey", "--data", path]).0, Some(0));
    let size = || fs::metadata(data.join("esc.redb")).unwrap().len();
    let before = size();
    let (code, out, error) = server(&["compact", "--data", path]);
    assert_eq!(code, Some(0), "{error}");
    assert!(size() < before, "{before} -> {}", size());
    assert_eq!(out, format!("{before} bytes before, {} bytes now\n", size()));
    assert_eq!(mode(&data.join("esc.redb")), 0o600);
    with(directory.path(), &["--data", path], whole);
}
