//! Pulumi's own `esc` against the real binary. `ESC_CLI` says where it is; `tests/server/esc-cli` builds it.

use std::{
    env, fs,
    io::Write,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    harness::write,
    issuer::{Signer, URL, write_keys},
    process::{start, stop},
};

const TOKEN: &str = "pul-cli-token";
const CANARY: &str = "c4n4ry-cli";
const ENV: &str = "acme/shop/prod";

/// A server with a data directory, and the command line signed in to it.
struct Esc {
    cli: PathBuf,
    directory: TempDir,
    url: String,
    server: Option<Child>,
    signer: Signer,
}

/// What a command said.
struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Esc {
    /// None, and a line that says so, where the command line is missing.
    fn start() -> Option<Self> {
        let Some(cli) = env::var_os("ESC_CLI").map(PathBuf::from) else {
            // Not captured, as what a test prints would be.
            let _ = writeln!(
                std::io::stderr(),
                "SKIPPED: the esc command line is not there; with Go: \
                 ESC_CLI=$(tests/server/esc-cli) cargo test --test server cli::"
            );
            return None;
        };
        let directory = tempfile::tempdir().unwrap();
        let signer = Signer::new("k");
        write(directory.path(), "tokens", TOKEN);
        write_keys(directory.path(), &[signer.jwk()]);
        let at = |name: &str| directory.path().join(name);
        fs::create_dir(at("home")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_esc-injector"));
        command.env_clear().args(["server", "--listen", "127.0.0.1:0", "--organization", "acme"]);
        command.arg("--data").arg(at("data")).arg("--token-file").arg(at("tokens"));
        command.args(["--oidc-issuer", URL, "--oidc-subject", "*"]).arg("--oidc-jwks").arg(at("jwks.json"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let (server, url) = start(&mut command);
        let esc = Self { cli, directory, url, server: Some(server), signer };
        Some(esc)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.cli);
        command.env_clear().args(arguments).stdin(Stdio::null());
        command.env("PATH", env::var_os("PATH").unwrap()).env("NO_COLOR", "1");
        let home = self.directory.path().join("home");
        command.env("HOME", &home).env("PULUMI_HOME", &home).env("TMPDIR", &home);
        command.env("PULUMI_BACKEND_URL", &self.url);
        command
    }

    fn try_run(&self, arguments: &[&str]) -> Said {
        let output = self.command(arguments).env("PULUMI_ACCESS_TOKEN", TOKEN).output().unwrap();
        Said {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// What a command that works prints.
    fn run(&self, arguments: &[&str]) -> String {
        let said = self.try_run(arguments);
        assert_eq!(said.code, Some(0), "{arguments:?}: {}{}", said.out, said.err);
        said.out
    }

    /// What a command that fails complains about.
    fn fail(&self, arguments: &[&str]) -> String {
        let said = self.try_run(arguments);
        assert_eq!(said.code, Some(1), "{arguments:?}: {}{}", said.out, said.err);
        said.err
    }

    fn open(&self, environment: &str) -> Value {
        serde_json::from_str(&self.run(&["open", environment])).unwrap()
    }

    fn file(&self, name: &str, text: &str) -> String {
        write(self.directory.path(), name, text);
        self.directory.path().join(name).to_str().unwrap().to_owned()
    }

    /// An environment with a bit of everything, in its second revision.
    fn with_environment() -> Option<Self> {
        let esc = Self::start()?;
        esc.run(&["env", "init", ENV]);
        let definition = esc.file(
            "definition.yaml",
            &format!(
                "values:\n  db:\n    host: db.internal # note\n    password:\n      fn::secret: {CANARY}\n  environmentVariables:\n    PASSWORD: ${{db.password}}\n  files:\n    CERT: \"pem of ${{db.host}}\\n\"\n"
            ),
        );
        esc.run(&["env", "edit", ENV, "-f", &definition]);
        Some(esc)
    }
}

impl Drop for Esc {
    fn drop(&mut self) {
        let (code, log) = stop(self.server.take().unwrap(), rustix::process::Signal::TERM);
        if !std::thread::panicking() {
            assert_eq!(code, Some(0), "{log}");
            for secret in [CANARY, TOKEN] {
                assert!(!log.contains(secret), "{secret} in the server's log");
            }
            // Nothing at rest is readable, either.
            let kept = fs::read(self.directory.path().join("data/esc.redb")).unwrap();
            let found = kept.windows(CANARY.len()).any(|window| window == CANARY.as_bytes());
            assert!(!found, "a secret in the clear in the database");
        }
    }
}

#[test]
fn signs_in() {
    let Some(esc) = Esc::start() else { return };
    let out = esc.try_run(&["login"]);
    assert_eq!(out.code, Some(0), "{}", out.err);
    assert!(format!("{}{}", out.out, out.err).contains("as dev"));
    let wrong = esc.command(&["login"]).env("PULUMI_ACCESS_TOKEN", "pul-wrong").output().unwrap();
    assert_eq!(wrong.status.code(), Some(1));
}

#[test]
fn signs_in_with_an_identity_token() {
    let Some(esc) = Esc::start() else { return };
    esc.run(&["env", "init", ENV]);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let token = esc.signer.sign(&json!({
        "iss": URL, "sub": "system:serviceaccount:shop:api", "aud": "urn:pulumi:org:acme", "exp": now + 600,
    }));
    let output = esc.command(&["login", "--oidc-token", &token, "--oidc-org", "acme"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    // What the exchange gave is used from now on; a token of the organization opens, and changes nothing.
    let opened = esc.command(&["open", ENV]).output().unwrap();
    assert_eq!(opened.status.code(), Some(0), "{}", String::from_utf8_lossy(&opened.stderr));
    let refused = esc.command(&["env", "set", ENV, "a", "1"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("[403]"));
}

#[test]
fn makes_lists_and_removes_environments() {
    let Some(esc) = Esc::start() else { return };
    esc.run(&["env", "init", ENV]);
    esc.run(&["env", "init", "plain"]);
    assert!(esc.fail(&["env", "init", ENV]).contains("already exists"));
    assert_eq!(esc.run(&["env", "ls"]), "acme/default/plain\nacme/shop/prod\n");
    assert_eq!(esc.run(&["env", "ls", "-o", "acme", "-p", "shop"]), "acme/shop/prod\n");
    let definition = esc.file("d.yaml", "values: {a: 1}\n");
    esc.run(&["env", "init", "acme/shop/two", "-f", &definition]);
    assert_eq!(esc.open("acme/shop/two"), json!({"a": 1}));
    assert_eq!(esc.open("shop/two"), json!({"a": 1}), "two parts are a project and an environment");
    esc.run(&["env", "settings", "set", ENV, "deletion-protected", "true"]);
    assert!(esc.fail(&["env", "rm", ENV, "-y"]).contains("deletion protection is enabled"));
    esc.run(&["env", "settings", "set", ENV, "deletion-protected", "false"]);
    esc.run(&["env", "rm", ENV, "-y"]);
    assert!(esc.fail(&["env", "get", ENV]).contains("[404]"));
}

#[test]
fn sets_and_gets_values() {
    let Some(esc) = Esc::start() else { return };
    esc.run(&["env", "init", ENV]);
    esc.run(&["env", "set", ENV, "db.host", "db.internal"]);
    esc.run(&["env", "set", ENV, "db.password", CANARY, "--secret"]);
    esc.run(&["env", "set", ENV, "url", "pg://u:${db.password}@${db.host}"]);
    let url = format!("pg://u:{CANARY}@db.internal");
    assert_eq!(esc.open(ENV), json!({"db": {"host": "db.internal", "password": CANARY}, "url": url}));
    let whole = esc.run(&["env", "get", ENV]);
    assert!(whole.contains("\"host\": \"db.internal\"") && whole.contains("\"password\": \"[secret]\""));
    assert!(whole.contains("ciphertext: ZXNje") && !whole.contains(CANARY), "{whole}");
    let shown = esc.run(&["env", "get", ENV, "--show-secrets"]);
    assert!(shown.contains(&format!("fn::secret: {CANARY}")), "{shown}");
    let one = esc.run(&["env", "get", ENV, "db.host"]);
    assert!(one.contains("\"db.internal\"") && one.contains("prod:3:"), "{one}");
    assert!(esc.run(&["env", "get", ENV, "db.password"]).contains("\"[secret]\""));
    assert!(esc.run(&["env", "get", ENV, "url", "--show-secrets"]).contains(&url));
    esc.run(&["env", "rm", ENV, "url", "-y"]);
    esc.run(&["env", "rm", ENV, "db.password", "-y"]);
    assert_eq!(esc.open(ENV), json!({"db": {"host": "db.internal"}}));
    let bad = esc.try_run(&["env", "set", ENV, "x", "${nope}"]);
    assert!(format!("{}{}", bad.out, bad.err).contains("unknown property \"nope\""));
    assert_eq!(esc.open(ENV), json!({"db": {"host": "db.internal"}}));
}

#[test]
fn shows_what_is_written_at_a_path_and_what_it_overrides() {
    let Some(esc) = Esc::start() else { return };
    esc.run(&["env", "init", "acme/shop/base"]);
    esc.run(&["env", "init", ENV]);
    let base = esc.file(
        "base.yaml",
        &format!("values:\n  db:\n    host: base.internal\n    password: {{fn::secret: {CANARY}}}\n"),
    );
    esc.run(&["env", "edit", "acme/shop/base", "-f", &base]);
    let text = "imports:\n  - shop/base\nvalues:\n  db:\n    host: db.internal\n    port: 5432\n  \
                url: pg://${db.host}:${db.port}\n  joined:\n    fn::join: [\"-\", [a, \"${db.host}\"]]\n  \
                list: [one, two]\n";
    let definition = esc.file("definition.yaml", text);
    esc.run(&["env", "edit", ENV, "-f", &definition]);
    let get = |path: &str| esc.run(&["env", "get", ENV, path]);
    for (path, value, definition) in [
        ("db.port", "5432", "5432"),
        ("list[1]", "\"two\"", "two"),
        ("url", "\"pg://db.internal:5432\"", "pg://${db.host}:${db.port}"),
        ("joined", "\"a-db.internal\"", "fn::join: [\"-\", [a, \"${db.host}\"]]"),
    ] {
        let shown = get(path);
        assert!(shown.contains(value) && shown.contains(definition), "{path}: {shown}");
        assert!(shown.contains("prod:"), "{path}: {shown}");
    }
    // Where it is defined, and what that overrides.
    let host = get("db.host");
    assert!(host.contains("db.internal"), "{host}");
    let (own, inherited) = (host.find("prod:5:11").unwrap(), host.find("shop/base:3:11").unwrap());
    assert!(own < inherited, "{host}");
    // What is only inherited has a value and no definition of its own.
    let password = get("db.password");
    assert!(password.contains("[secret]") && password.contains("shop/base:4:"), "{password}");
    assert!(!password.contains(CANARY), "{password}");
    assert!(esc.run(&["env", "get", ENV, "db.password", "--show-secrets"]).contains(CANARY));
    assert_eq!(esc.run(&["env", "get", ENV, "--definition"]).trim_end(), text.trim_end());
    assert!(get("joined[\"fn::join\"][1][0]").contains('a'));
    assert!(get("imports").contains("shop/base"));
}

#[test]
fn opens_in_every_format() {
    let Some(esc) = Esc::with_environment() else { return };
    let open = |format: &str| esc.run(&["open", ENV, "-f", format]);
    let json: Value = serde_json::from_str(&open("json")).unwrap();
    assert_eq!(json["db"]["password"], CANARY);
    assert!(open("yaml").contains(&format!("password: {CANARY}\n")));
    assert!(open("dotenv").contains(&format!("PASSWORD=\"{CANARY}\"\n")));
    assert!(open("shell").contains(&format!("export PASSWORD=\"{CANARY}\"\n")));
    let detailed: Value = serde_json::from_str(&open("detailed")).unwrap();
    assert_eq!(detailed["value"]["db"]["value"]["password"]["secret"], true);
    assert_eq!(esc.run(&["open", ENV, "db.host", "-f", "string"]), "db.internal\n");
    assert_eq!(esc.run(&["open", ENV, "db.password", "-l", "90m"]), format!("\"{CANARY}\"\n"));
}

#[test]
fn runs_with_variables_and_files() {
    let Some(esc) = Esc::with_environment() else { return };
    let script = "printf '%s ' \"$PASSWORD\"; cat \"$CERT\"";
    let out = esc.run(&["run", ENV, "-i", "--", "sh", "-c", script]);
    assert_eq!(out, format!("{CANARY} pem of db.internal\n"));
    let hidden = esc.run(&["run", ENV, "--", "sh", "-c", script]);
    assert_eq!(hidden, "[secret] pem of db.internal\n");
    assert!(esc.fail(&["run", "acme/shop/none", "--", "true"]).contains("[404]"));
}

#[test]
fn edits_by_file_and_keeps_what_people_wrote() {
    let Some(esc) = Esc::with_environment() else { return };
    let sealed = esc.run(&["env", "get", ENV, "--definition"]);
    assert!(sealed.contains("host: db.internal # note") && !sealed.contains(CANARY), "{sealed}");
    let clear = esc.run(&["env", "get", ENV, "--definition", "--show-secrets"]);
    assert!(clear.contains(&format!("fn::secret: {CANARY}")), "{clear}");
    // What was read, ciphertexts and all, can be given back.
    let path = esc.file("again.yaml", &sealed);
    esc.run(&["env", "edit", ENV, "-f", &path]);
    assert_eq!(esc.open(ENV)["db"]["password"], CANARY);
    let path = esc.file("bad.yaml", "values:\n  a: ${nope}\n");
    let said = esc.try_run(&["env", "edit", ENV, "-f", &path]);
    let text = format!("{}{}", said.out, said.err);
    assert!(text.contains("unknown property \"nope\"") && text.contains("line 2"), "{text}");
}

#[test]
fn names_revisions_and_goes_back_to_them() {
    let Some(esc) = Esc::with_environment() else { return };
    esc.run(&["env", "set", ENV, "db.host", "other"]);
    let host = |version: &str| esc.open(&format!("{ENV}{version}"))["db"]["host"].clone();
    assert_eq!(
        (host("@2"), host(""), host("@latest"), host(":2")),
        (json!("db.internal"), json!("other"), json!("other"), json!("db.internal"))
    );
    let history = esc.run(&["env", "version", "history", ENV]);
    assert!(history.starts_with("revision 3 (tag: latest)\nAuthor: dev <dev>\n"), "{history}");
    assert!(history.contains("revision 1\n"));
    esc.run(&["env", "version", "tag", &format!("{ENV}@stable"), "@2"]);
    assert_eq!(host("@stable"), "db.internal");
    let tags = esc.run(&["env", "version", "tag", "ls", ENV]);
    assert!(tags.contains("stable") && tags.contains("latest"), "{tags}");
    esc.run(&["env", "version", "tag", &format!("{ENV}@stable")]);
    assert_eq!(host("@stable"), "other");
    assert!(esc.run(&["env", "version", &format!("{ENV}@stable")]).contains("Revision 3"));
    let diff = esc.run(&["env", "diff", &format!("{ENV}@2"), &format!("{ENV}@3")]);
    assert!(
        diff.contains("-    \"host\": \"db.internal\"") && diff.contains("+    \"host\": \"other\""),
        "{diff}"
    );
    assert!(!diff.contains(CANARY));
    let path = ["env", "diff", ENV, &format!("{ENV}@2"), "--path", "db.host"];
    assert!(esc.run(&path).contains("+\"db.internal\""));
    esc.run(&["env", "version", "rollback", &format!("{ENV}@2")]);
    assert_eq!((host(""), host("@4")), (json!("db.internal"), json!("db.internal")));
    assert_eq!(esc.open(ENV)["db"]["password"], CANARY);
    esc.run(&["env", "version", "retract", &format!("{ENV}@3"), "--reason", "wrong host"]);
    let refused = esc.fail(&["open", &format!("{ENV}@3")]);
    assert!(refused.contains("[404]") && refused.contains("wrong host"), "{refused}");
    assert_eq!(host("@stable"), "db.internal");
    esc.run(&["env", "version", "tag", "rm", &format!("{ENV}@stable")]);
    assert!(esc.fail(&["open", &format!("{ENV}@stable")]).contains("[404]"));
}

#[test]
fn tags_and_clones_environments() {
    let Some(esc) = Esc::with_environment() else { return };
    assert!(esc.run(&["env", "tag", ENV, "team", "payments"]).contains("Value: payments"));
    assert!(esc.run(&["env", "tag", ENV, "team", "shop"]).contains("Value: shop"));
    assert!(esc.run(&["env", "tag", "ls", ENV]).contains("Name: team"));
    assert!(esc.run(&["env", "tag", "mv", ENV, "team", "squad"]).contains("Value: shop"));
    assert!(esc.run(&["env", "tag", "get", ENV, "squad"]).contains("Value: shop"));
    esc.run(&["env", "tag", "rm", ENV, "squad"]);
    assert!(!esc.run(&["env", "tag", "ls", ENV]).contains("squad"));
    esc.run(&["env", "clone", ENV, "shop/copy"]);
    assert_eq!(esc.open("acme/shop/copy"), esc.open(ENV));
    let imports = esc.file("imports.yaml", "imports: [shop/prod]\n");
    esc.run(&["env", "init", "acme/shop/user", "-f", &imports]);
    let referrers = esc.run(&["env", "referrer", "list", ENV]);
    assert!(referrers.contains("shop/user"), "{referrers}");
    esc.run(&["env", "set", "acme/shop/copy", "db.host", "other"]);
    assert_eq!(esc.open(ENV)["db"]["host"], "db.internal");
}

#[test]
fn rotates_secrets() {
    let Some(esc) = Esc::start() else { return };
    esc.run(&["env", "init", ENV]);
    let text = "values:\n  db:\n    fn::rotate::password:\n      inputs: {length: 24} # long\n  bad:\n    fn::rotate::password:\n      inputs: {length: 8, minLower: 9}\n";
    let file = esc.file("definition.yaml", text);
    esc.run(&["env", "edit", ENV, "-f", &file]);
    let said = esc.run(&["env", "rotate", ENV, "db"]);
    assert!(said.contains("rotated.") && said.contains("New revision '3' was created."), "{said}");
    let first: Value = serde_json::from_str(&esc.run(&["open", ENV, "db"])).unwrap();
    assert_eq!(first["current"].as_str().unwrap().len(), 24);
    let said = esc.run(&["env", "rotate", ENV]);
    assert!(
        said.contains("rotated with errors")
            && said.contains("Path: bad, error: password: the least numbers"),
        "{said}"
    );
    let second: Value = serde_json::from_str(&esc.run(&["open", ENV, "db"])).unwrap();
    assert_eq!(second["previous"], first["current"]);
    assert!(esc.run(&["env", "get", ENV, "--definition"]).contains("inputs: {length: 24} # long"));
}
