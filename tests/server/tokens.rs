//! Access tokens that are kept, and the audit log: through the real binary, as operators use them.

use std::{
    fs,
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    harness::{Answer, exchange, request},
    process::{start, stop},
};

const CANARY: &str = "c4n4ry-audited";

struct Server {
    directory: TempDir,
    child: Option<Child>,
    url: String,
    operator: String,
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_esc-injector"));
    command.env_clear().arg("server").args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn text(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

impl Server {
    /// A server whose first token was made before it started.
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        let made = command(&["token", "create", "--name", "ops", "--data"]).arg(&data).output().unwrap();
        let (code, out, err) = text(&made);
        assert_eq!(code, Some(0), "{err}");
        assert!(err.contains("shown this once"), "{err}");
        let operator = out.trim().to_owned();
        assert!(operator.starts_with("pul-") && operator.len() == 44, "{operator}");
        let mut server = Self { directory, child: None, url: String::new(), operator };
        server.resume();
        server
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn resume(&mut self) {
        let mut command = command(&["--listen", "127.0.0.1:0", "--organization", "acme,zeta", "--data"]);
        let (child, url) = start(command.arg(self.data()));
        (self.child, self.url) = (Some(child), url);
    }

    fn halt(&mut self) {
        if let Some(child) = self.child.take() {
            let (code, log) = stop(child, rustix::process::Signal::TERM);
            assert_eq!(code, Some(0), "{log}");
            assert!(!log.contains(CANARY) && !log.contains(&self.operator), "{log}");
        }
    }

    fn send(&self, token: &str, method: &str, path: &str, body: &str) -> Answer {
        let stream = TcpStream::connect(self.url.strip_prefix("http://").unwrap()).unwrap();
        let authorization = format!("token {token}");
        exchange(stream, &request(method, path, &[("Authorization", &authorization)], body.as_bytes()))
    }

    fn asked(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let mut command = command(arguments);
        command.env("PULUMI_BACKEND_URL", &self.url).env("PULUMI_ACCESS_TOKEN", &self.operator);
        text(&command.output().unwrap())
    }

    /// Makes a token through the running server.
    fn token(&self, arguments: &[&str]) -> String {
        let (code, out, err) = self.asked(&[&["token", "create", "--name", "t"], arguments].concat());
        assert_eq!(code, Some(0), "{err}");
        out.trim().to_owned()
    }

    fn audit(&self, arguments: &[&str]) -> Vec<Value> {
        let output = command(&["audit", "--data"]).arg(self.data()).args(arguments).output().unwrap();
        let (code, out, err) = text(&output);
        assert_eq!(code, Some(0), "{err}");
        out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.halt();
        } else if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

const E: &str = "/api/esc/environments/acme/p/e";

fn contains(path: &Path, text: &str) -> bool {
    fs::read(path).unwrap().windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn tokens_are_made_listed_and_revoked() {
    let mut server = Server::start();
    let pod = server.token(&["--organization", "acme"]);
    let status = |server: &Server, token: &str| server.send(token, "GET", "/api/user", "").status;
    assert_eq!((status(&server, &server.operator), status(&server, &pod)), (200, 200));
    let (code, listed, _) = server.asked(&["token", "list"]);
    assert_eq!(code, Some(0));
    assert!(!listed.contains(&pod) && !listed.contains("digest"), "{listed}");
    let rows: Vec<Value> = listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), 2);
    let row = rows.iter().find(|row| row["name"] == "t").unwrap();
    assert_eq!(row["holder"], json!({"kind": "organization", "organization": "acme", "admin": false}));
    // They are there after a restart, and while no server runs they are managed in the directory.
    server.halt();
    let listed = text(&command(&["token", "list", "--data"]).arg(server.data()).output().unwrap());
    assert_eq!(listed.1.lines().count(), 2, "{}", listed.2);
    server.resume();
    let organizations = server.send(&server.operator, "GET", "/api/user", "").json()["organizations"].clone();
    assert_eq!(organizations.as_array().unwrap().len(), 2, "making a token made no organization");
    assert_eq!(status(&server, &pod), 200);
    let id = row["id"].as_str().unwrap();
    assert_eq!(server.asked(&["token", "revoke", id]).0, Some(0));
    server.send(&pod, "GET", "/api/user", "").error(401);
    let again = server.asked(&["token", "revoke", id]);
    assert!(again.0 == Some(65) && again.2.contains("there is no token"), "{}", again.2);
    for token in [&pod, &server.operator] {
        assert!(!contains(&server.data().join("esc.redb"), token.trim_start_matches("pul-")));
    }
}

#[test]
fn a_directory_that_a_server_has_open_is_left_alone() {
    let server = Server::start();
    let busy = text(&command(&["token", "list", "--data"]).arg(server.data()).output().unwrap());
    assert!(busy.0 == Some(78) && busy.2.contains("probably a server: stop that"), "{}", busy.2);
    let typo = server.directory.path().join("typo");
    let missing = text(&command(&["token", "list", "--data"]).arg(&typo).output().unwrap());
    assert!(missing.0 == Some(78) && !typo.exists(), "{}", missing.2);
    // Variables of the server's own do not get into the way of its subcommands.
    let mut listed = command(&["token", "list", "--api-url", &server.url]);
    listed.env("ESC_INJECTOR_DATA", server.data()).env("ESC_INJECTOR_LISTEN", "127.0.0.1:1");
    let listed = text(&listed.env("PULUMI_ACCESS_TOKEN", &server.operator).output().unwrap());
    assert_eq!(listed.0, Some(0), "{}", listed.2);
    let nowhere = text(&command(&["token", "list"]).output().unwrap());
    assert_eq!(nowhere.0, Some(64));
    let mut wrong = command(&["token", "list", "--api-url", &server.url]);
    let wrong = text(&wrong.env("PULUMI_ACCESS_TOKEN", "pul-wrong").output().unwrap());
    assert!(wrong.0 == Some(77) && wrong.2.contains("not known"), "{}", wrong.2);
    let nobody = text(&command(&["token", "list", "--api-url", &server.url]).output().unwrap());
    assert!(nobody.0 == Some(64) && nobody.2.contains("PULUMI_ACCESS_TOKEN"), "{}", nobody.2);
}

#[test]
fn a_token_may_do_what_its_holder_may_and_nothing_tells_what_there_is() {
    let server = Server::start();
    let ops = server.operator.clone();
    assert_eq!(
        server.send(&ops, "POST", "/api/esc/environments/acme", r#"{"project":"p","name":"e"}"#).status,
        200
    );
    let definition = format!("values: {{s: {{fn::secret: {CANARY}}}}}");
    assert_eq!(server.send(&ops, "PATCH", E, &definition).status, 200);
    let organization = server.token(&["--organization", "acme"]);
    let admin = server.token(&["--organization", "acme", "--admin"]);
    let team = server.token(&["--organization", "acme", "--team", "payments"]);
    let user = server.token(&["--organization", "acme", "--user", "jo"]);
    let other = server.token(&["--organization", "zeta", "--admin"]);
    let rows: &[(&str, &str, &str, [u16; 5])] = &[
        // organization, admin, team, user, another organization's
        ("GET", "", "", [200, 200, 404, 200, 403]),
        ("POST", "/open", "", [200, 200, 404, 200, 403]),
        ("GET", "/decrypt", "", [200, 200, 404, 200, 403]),
        ("POST", "/decrypt-secrets", r#"{"ciphertexts":[]}"#, [200, 200, 404, 200, 403]),
        ("POST", "/encrypt-secrets", r#"{"plaintexts":[]}"#, [403, 200, 404, 200, 403]),
        ("PATCH", "", "values: {n: 1}", [403, 200, 404, 200, 403]),
        ("POST", "/tags", r#"{"name":"x","value":"1"}"#, [403, 200, 404, 409, 403]),
        ("PATCH", "/settings", r#"{"deletionProtected":false}"#, [403, 200, 404, 403, 403]),
        ("GET", "/open/nosession", "", [404, 404, 404, 404, 403]),
    ];
    let tokens = [&organization, &admin, &team, &user, &other];
    for (method, path, body, expected) in rows {
        for (token, expected) in tokens.iter().zip(expected) {
            let answer = server.send(token, method, &format!("{E}{path}"), body);
            assert_eq!(answer.status, *expected, "{method} {path}: {}", answer.body);
        }
    }
    // What may not be seen answers like what is not there.
    let hidden = server.send(&team, "GET", E, "").error(404);
    let missing = server.send(&team, "GET", "/api/esc/environments/acme/p/none", "").error(404);
    assert_eq!(hidden.replace("/e`", "/none`"), missing);
    let there = server.send(&other, "GET", E, "").error(403);
    let nowhere = server.send(&other, "GET", "/api/esc/environments/acme/p/none", "").error(403);
    assert_eq!(there, nowhere);
    let list = |token: &str| {
        server.send(token, "GET", "/api/esc/environments/acme", "").json()["environments"].clone()
    };
    assert_eq!((list(&team), list(&organization).as_array().unwrap().len()), (json!([]), 1));
    let all = server.send(&team, "GET", "/api/esc/environments", "").json();
    assert_eq!(all["environments"], json!([]));
    for token in [&organization, &team] {
        server.send(token, "POST", "/api/esc/environments/acme", r#"{"name":"x"}"#).error(403);
    }
    for (method, path) in [("GET", ""), ("POST", ""), ("DELETE", "/0")] {
        for token in [&organization, &admin, &team, &user] {
            server.send(token, method, &format!("/api/esc-injector/tokens{path}"), "{}").error(403);
        }
    }
    // Nobody reads a secret by putting its ciphertext, or an import, into a definition of their own.
    let sealed = server.send(&ops, "GET", &format!("{E}/versions/2"), "").body;
    let check = |token: &str, text: &str| {
        server.send(token, "POST", "/api/esc/environments/acme/yaml/check?showSecrets=true", text)
    };
    assert!(check(&user, &sealed).body.contains(CANARY));
    for text in [sealed.as_str(), "imports: [p/e]", "values: {a: '${environments.p.e.s}'}"] {
        let answer = check(&team, text);
        assert!(answer.status == 400 && !answer.body.contains(CANARY), "{text}: {}", answer.body);
    }
}

#[test]
fn tokens_end() {
    let server = Server::start();
    let (code, _, err) = server.asked(&["token", "create", "--name", "t", "--expires", "0s"]);
    assert!(code == Some(65) && err.contains("more than 0 seconds"), "{err}");
    let (code, _, err) = server.asked(&["token", "create", "--name", "", "--expires", "1h"]);
    assert!(code == Some(65) && err.contains("the token's name"), "{err}");
    let brief = server.token(&["--organization", "acme", "--expires", "1s"]);
    // Until the clock has moved on. Not faster: what the server logs meanwhile has to fit into its pipe.
    while server.send(&brief, "GET", "/api/user", "").status == 200 {
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert!(server.send(&brief, "GET", "/api/user", "").error(401).contains("expired"));
}

#[test]
fn what_was_not_done_offline_is_not_told_as_done() {
    let mut server = Server::start();
    server.send(&server.operator, "POST", "/api/esc/environments/acme", r#"{"project":"p","name":"e"}"#);
    server.halt();
    let before = server.audit(&[]).len();
    let data = server.data();
    let run =
        |arguments: &[&str]| command(arguments).arg("--data").arg(&data).output().unwrap().status.code();
    assert_eq!(run(&["token", "revoke", "zzz"]), Some(65));
    for environment in ["acme/p/none", "acme/p/e"] {
        // Nothing was given that could be taken away.
        assert_eq!(run(&["revoke", "--team", "pay", environment]), Some(65), "{environment}");
    }
    assert_eq!(run(&["token", "create", "--name", "t", "--expires", "0s"]), Some(65));
    assert_eq!(server.audit(&[]).len(), before);
    let (_, list, _) = text(&command(&["token", "list", "--data"]).arg(&data).output().unwrap());
    let id = serde_json::from_str::<Value>(&list).unwrap()["id"].as_str().unwrap().to_owned();
    assert_eq!(run(&["token", "revoke", &id]), Some(0));
    let all = server.audit(&["--action", "token.revoke"]);
    assert_eq!((all.len(), &all[0]["detail"]), (1, &json!(format!("{id} operator"))));
}

#[test]
fn everything_that_was_done_and_denied_is_in_the_audit_log_and_no_value() {
    let mut server = Server::start();
    let ops = server.operator.clone();
    server.send(&ops, "POST", "/api/esc/environments/acme", r#"{"project":"p","name":"e"}"#);
    server.send(&ops, "PATCH", E, &format!("values: {{s: {{fn::secret: {CANARY}}}}}"));
    let pod = server.token(&["--organization", "acme"]);
    let opened = server.send(&pod, "POST", &format!("{E}/open?duration=1h"), "").json();
    let id = opened["id"].as_str().unwrap().to_owned();
    server.send(&pod, "GET", &format!("{E}/open/{id}?property=s"), "");
    server.send(&pod, "DELETE", E, "").error(403);
    server.send("pul-wrong", "POST", &format!("{E}/open"), "").error(401);
    server.send("x", "POST", "/api/oauth/token", &format!("subject_token={CANARY}")).error(400);
    server.halt();
    let all = server.audit(&[]);
    let told: Vec<_> = all
        .iter()
        .map(|entry| {
            let text = |name: &str| entry[name].as_str().unwrap_or("-").to_owned();
            let revision = entry["revision"].as_u64().map_or("-".to_owned(), |number| number.to_string());
            [text("action"), text("actor"), text("target"), revision, text("outcome")].join(" ")
        })
        .collect();
    assert_eq!(
        told,
        [
            "token.create local - - allowed",
            "environment.create dev acme/p/e - allowed",
            "environment.update dev acme/p/e 2 allowed",
            "token.create dev - - allowed",
            "environment.open acme acme/p/e 2 allowed",
            "session.read acme acme/p/e - allowed",
            "environment.delete acme acme/p/e - denied",
            "environment.open - - - denied",
            "token.exchange - - - failed",
        ]
    );
    assert!(all[1..].iter().all(|entry| entry["from"] == "127.0.0.1" && entry["time"].is_string()));
    assert_eq!((&all[1]["subject"], &all[4]["subject"]), (&json!("ops"), &json!("t")));
    let detail = |entry: &Value| entry["detail"].as_str().unwrap_or_default().to_owned();
    assert!(detail(&all[0]).ends_with(" operator"), "{}", all[0]);
    assert!(detail(&all[3]).ends_with(" organization:acme"), "{}", all[3]);
    let log = server.data().join("audit.jsonl");
    for secret in [CANARY, ops.as_str(), pod.as_str(), id.as_str(), "property"] {
        assert!(!contains(&log, secret), "{secret} in the audit log");
    }
    let count = |arguments: &[&str]| server.audit(arguments).len();
    assert_eq!(count(&["--outcome", "denied"]), 2);
    assert_eq!(count(&["--action", "environment.*", "--actor", "dev"]), 2);
    assert_eq!(count(&["--actor", "t"]), 3);
    assert_eq!(count(&["--target", "acme/p/*"]), 5);
    assert_eq!((count(&["--since", "2020-01-01"]), count(&["--until", "2020-01-01"])), (9, 0));
    // Times are compared as times, whatever their offset.
    let before = "2020-01-01T23:00:00-12:00";
    assert_eq!((count(&["--since", before]), count(&["--until", before])), (9, 0));
    let output = command(&["audit", "--since", "yesterday", "--data"]).arg(server.data()).output().unwrap();
    assert_eq!(output.status.code(), Some(64));
    // A line that was cut off hides no other.
    let mut text = fs::read_to_string(&log).unwrap();
    text.push_str("{\"time\":");
    fs::write(&log, text).unwrap();
    let output = command(&["audit", "--data"]).arg(server.data()).output().unwrap();
    assert_eq!(
        (output.status.code(), String::from_utf8(output.stdout).unwrap().lines().count()),
        (Some(65), 9)
    );
}

#[test]
fn refusals_of_strangers_are_counted_and_nothing_of_who_signed_in_is_lost() {
    let mut server = Server::start();
    let pod = server.token(&["--organization", "acme"]);
    for _ in 0..20 {
        server.send("pul-wrong", "POST", &format!("{E}/open"), "").error(401);
        server.send("x", "POST", "/api/oauth/token", "").error(400);
        server.send(&pod, "DELETE", E, "").error(403);
    }
    let size = || fs::metadata(server.data().join("audit.jsonl")).unwrap().len();
    let before = size();
    for _ in 0..20 {
        server.send("pul-other", "POST", &format!("{E}/open"), "").error(401);
    }
    assert_eq!(size(), before);
    server.halt();
    let told = |action: &str, outcome: &str| {
        let all = server.audit(&["--action", action, "--outcome", outcome]);
        let count = |entry: &Value| entry.get("count").map(|count| count.as_u64().unwrap());
        let counts: Vec<_> = all.iter().map(count).collect();
        assert!(all.iter().all(|entry| entry["from"] == "127.0.0.1"), "{all:?}");
        assert!(
            all.iter().all(|entry| entry.get("count").is_some() == entry["since"].is_string()),
            "{all:?}"
        );
        counts
    };
    assert_eq!(told("environment.open", "denied"), [None, Some(39)]);
    assert_eq!(told("token.exchange", "failed"), [None, Some(19)]);
    assert_eq!(told("environment.delete", "denied"), [None; 20]);
}

#[test]
fn a_refusal_that_can_t_be_recorded_is_an_error_each_time() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = command(&["--dev", "--listen", "127.0.0.1:0", "--audit-log", "/dev/full"]);
    let (child, url) = start(command.current_dir(directory.path()));
    let open = || {
        let stream = TcpStream::connect(url.strip_prefix("http://").unwrap()).unwrap();
        let headers = [("Authorization", "token pul-wrong")];
        exchange(stream, &request("POST", &format!("{E}/open"), &headers, b"")).status
    };
    assert_eq!([open(), open(), open()], [500; 3]);
    stop(child, rustix::process::Signal::TERM);
}

#[test]
fn whoever_has_signed_in_has_a_line_for_what_is_refused_before_that_is_asked() {
    let mut server = Server::start();
    let pod = server.token(&["--organization", "acme"]);
    for token in [pod.as_str(), "pul-wrong"] {
        for _ in 0..3 {
            server.send(token, "PATCH", E, &"x".repeat((1 << 20) + 1)).error(413);
        }
    }
    server.halt();
    let all = server.audit(&["--action", "environment.update"]);
    let counts: Vec<_> = all.iter().map(|entry| (entry.get("actor").is_some(), &entry["count"])).collect();
    let null = Value::Null;
    assert_eq!(
        counts,
        [(true, &null), (true, &null), (true, &null), (false, &null), (false, &json!(2))],
        "{all:?}"
    );
}
