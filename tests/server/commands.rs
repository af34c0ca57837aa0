//! `get` and `run`, against the local server as against any ESC.

use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Command, Output, Stdio},
};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harness::{TOKEN, TestServer};

const DEFINITION: &str = r#"values:
  db: {host: db.internal, port: 5432, password: {fn::secret: "it's $5 `x`"}}
  list: [a, 1]
  environmentVariables:
    HOST: ${db.host}
    PASSWORD: ${db.password}
    LINES: "one\ntwo\n"
  files:
    CERT: "pem\n"
"#;

fn server() -> TestServer {
    TestServer::start(&[
        ("acme/p/e.yaml", DEFINITION),
        ("acme/p/plain.yaml", "values: {environmentVariables: {HOST: h}}"),
        ("acme/p/bad.yaml", "values: {a: '${nope}'}"),
        ("acme/p/name.yaml", "values: {environmentVariables: {'bad name': x}}"),
    ])
}

fn command(server: &TestServer, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_esc-injector"));
    command.env_clear().args(arguments).stdin(Stdio::null());
    command.env("PATH", std::env::var_os("PATH").unwrap());
    command.env("PULUMI_BACKEND_URL", format!("http://{}/api/esc", server.address));
    command.env("PULUMI_ACCESS_TOKEN", TOKEN);
    command
}

fn said(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn run(server: &TestServer, arguments: &[&str]) -> (Option<i32>, String, String) {
    said(&command(server, arguments).output().unwrap())
}

#[test]
fn get_prints_values_in_every_format() {
    let server = server();
    let get = |arguments: &[&str]| {
        let (code, out, err) = run(&server, &[&["get", "acme/p/e"], arguments].concat());
        assert_eq!(code, Some(0), "{err}");
        out
    };
    let json: Value = serde_json::from_str(&get(&[])).unwrap();
    assert_eq!(json["db"], json!({"host": "db.internal", "port": 5432, "password": "it's $5 `x`"}));
    assert_eq!(get(&["db.port"]), "5432\n");
    assert_eq!(get(&["list"]), "[\n  \"a\",\n  1\n]\n");
    assert_eq!(get(&["db.host", "-f", "string"]), "db.internal\n");
    assert_eq!(get(&["environmentVariables.LINES", "-f", "string"]), "one\ntwo\n");
    assert!(get(&["db", "-f", "yaml"]).contains("port: 5432\n"));
    let detailed: Value = serde_json::from_str(&get(&["-f", "detailed"])).unwrap();
    assert_eq!(detailed["value"]["db"]["value"]["password"]["secret"], true);
    assert_eq!(detailed["value"]["list"]["value"][1], json!({"value": 1}));
    // What a shell makes of it is what it was.
    for (format, script) in [("dotenv", "set -a; eval \"$(cat)\""), ("shell", "eval \"$(cat)\"")] {
        let printed = get(&["-f", format]);
        let file = server.directory.path().join(format);
        fs::write(&file, &printed).unwrap();
        let script = format!("{script}; printf '%s|%s|%s' \"$HOST\" \"$PASSWORD\" \"$LINES\"");
        let shell = Command::new("sh").args(["-c", &script]).stdin(fs::File::open(&file).unwrap()).output();
        assert_eq!(said(&shell.unwrap()).1, "db.internal|it's $5 `x`|one\ntwo\n", "{printed}");
    }
}

#[test]
fn get_fails_for_what_is_not_there() {
    let server = server();
    for (arguments, code, message) in [
        (&["acme/p/e", "db.hots"] as &[&str], 65, "did you mean `host`"),
        (&["acme/p/none"], 65, "acme/p/none"),
        (&["acme/p/bad"], 65, "unknown property \"nope\""),
        (&["acme/p/name", "-f", "shell"], 65, "bad name"),
        (&["acme/p/e", "db", "-f", "shell"], 64, "give no path"),
        (&["p/e"], 64, "organization/project/environment"),
        (&["acme/p/e", "--token-file", "/nonexistent"], 78, "/nonexistent"),
        (&["acme/p/e", "--api-url", "http://127.0.0.1:1"], 69, "opening acme/p/e"),
    ] {
        let (found, out, err) = run(&server, &[&["get"], arguments].concat());
        assert_eq!(found, Some(code), "{arguments:?}: {err}");
        assert!(err.contains(message) && out.is_empty(), "{arguments:?}: {err}");
    }
    let (code, _, err) =
        said(&command(&server, &["get", "acme/p/e"]).env("PULUMI_ACCESS_TOKEN", "x").output().unwrap());
    assert_eq!(code, Some(77), "{err}");
    let (code, _, err) =
        said(&command(&server, &["get", "acme/p/e"]).env_remove("PULUMI_ACCESS_TOKEN").output().unwrap());
    assert!(code == Some(64) && err.contains("PULUMI_ACCESS_TOKEN"), "{err}");
}

#[test]
fn run_gives_variables_and_files_and_takes_the_files_away() {
    let server = server();
    let script = "printf '%s|%s|' \"$HOST\" \"$PASSWORD\"; cat \"$CERT\"; stat -c '%a' \"$CERT\"; echo \"$CERT\"; exit 7";
    let (code, out, err) = said(
        &command(&server, &["run", "acme/p/e", "--", "sh", "-c", script])
            .env("HOST", "mine")
            .output()
            .unwrap(),
    );
    assert_eq!(code, Some(7), "{err}");
    let lines: Vec<_> = out.lines().collect();
    assert_eq!(&lines[..2], ["db.internal|it's $5 `x`|pem", "600"]);
    assert!(!std::path::Path::new(lines[2]).exists() && lines[2].ends_with("/CERT"), "{out}");
    // Without files it becomes the command.
    let (code, out, _) =
        run(&server, &["run", "acme/p/plain", "--", "sh", "-c", "echo $HOST; kill -TERM $$"]);
    assert_eq!((code, out.as_str()), (None, "h\n"));
    let (code, ..) = run(&server, &["run", "acme/p/e", "--", "sh", "-c", "kill -TERM $$"]);
    assert_eq!(code, Some(128 + 15));
}

#[test]
fn run_starts_nothing_when_the_environment_does_not_open() {
    let server = server();
    let marker = server.directory.path().join("started");
    let marker = marker.to_str().unwrap();
    for environment in ["acme/p/bad", "acme/p/none", "acme/p/name", "other/p/e"] {
        let (code, _, err) = run(&server, &["run", environment, "--", "touch", marker]);
        assert!(matches!(code, Some(65 | 77)), "{environment}: {code:?} {err}");
    }
    assert!(!std::path::Path::new(marker).exists());
    for environment in ["acme/p/e", "acme/p/plain"] {
        assert_eq!(run(&server, &["run", environment, "--", "/nonexistent/program"]).0, Some(127));
        assert_eq!(run(&server, &["run", environment, "--", "/etc"]).0, Some(126));
    }
    assert_eq!(run(&server, &["run", "acme/p/e"]).0, Some(64));
}

#[test]
fn run_ends_as_the_command_did_whatever_became_of_its_files() {
    let server = server();
    for script in ["rm -r \"$(dirname \"$CERT\")\"; exit 7", "rm \"$CERT\"; exit 7"] {
        let (code, _, err) = run(&server, &["run", "acme/p/e", "--", "sh", "-c", script]);
        assert_eq!((code, err.as_str()), (Some(7), ""), "{script}");
    }
}

#[test]
fn run_keeps_what_was_ignored_ignored_for_the_command() {
    let server = server();
    let binary = env!("CARGO_BIN_EXE_esc-injector");
    // With files the command has us as its parent, and without them the shell, which ignores the signal as well.
    for environment in ["acme/p/e", "acme/p/plain"] {
        let inner = "kill -HUP $PPID; kill -HUP $$; echo alive";
        let script = format!("trap '' HUP; {binary} run {environment} -- sh -c '{inner}'; exit $?");
        let mut shell = Command::new("sh");
        let variables = command(&server, &[]);
        shell.env_clear().envs(variables.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let (code, out, err) = said(&shell.args(["-c", &script]).stdin(Stdio::null()).output().unwrap());
        assert_eq!((code, out.as_str()), (Some(0), "alive\n"), "{environment}: {err}");
    }
}

#[test]
fn run_passes_signals_on_and_cleans_up_after_them() {
    let server = server();
    for (name, signal) in [("TERM", Signal::TERM), ("USR1", Signal::USR1), ("USR2", Signal::USR2)] {
        let script = format!("trap 'echo told; exit 3' {name}; echo \"$CERT\"; while :; do sleep 0.05; done");
        let mut command = command(&server, &["run", "acme/p/e", "--", "sh", "-c", &script]);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let file = lines.next().unwrap().unwrap();
        assert!(std::path::Path::new(&file).exists());
        rustix::process::kill_process(rustix::process::Pid::from_child(&child), signal).unwrap();
        assert_eq!(lines.next().unwrap().unwrap(), "told", "{name}");
        assert_eq!(child.wait().unwrap().code(), Some(3), "{name}");
        assert!(!std::path::Path::new(&file).exists(), "{name}");
    }
}
