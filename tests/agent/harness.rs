//! A pod's worth of directories, a plan for them, and the real agent; every run is searched for secrets.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use tempfile::TempDir;

pub const BINARY: &str = env!("CARGO_BIN_EXE_esc-injector");

/// What must never be seen. Quotes, slashes and spaces make the escaped forms differ from the raw one.
pub const PASSWORD: &str = "canary-\"pass\\word\"/äöü +&";
pub const PROJECTED: &str = "canary-projected-value";
pub const CERTIFICATE: &str = "-----BEGIN CANARY-----\nc4nary-line\n-----END CANARY-----\n";
pub const ACCESS_TOKEN: &str = "pul-canary-access-token";
pub const EXCHANGED: &str = "pul-canary-exchanged-token";
pub const JWT: &str = "eyJjYW5hcnki.canary-claims.canary-signature";
pub const SESSION: &str = "canary-session-id";

pub const CANARIES: [&str; 7] = [PASSWORD, PROJECTED, CERTIFICATE, ACCESS_TOKEN, EXCHANGED, JWT, SESSION];

/// Fails if the text holds a canary in any form that a careless writer could have given it.
pub fn assert_no_canary(what: &str, text: &str) {
    for canary in CANARIES {
        let json = serde_json::to_string(canary).unwrap();
        let forms = [
            canary.to_owned(),
            STANDARD.encode(canary),
            json[1..json.len() - 1].to_owned(),
            // As a JSON log line shows what was escaped before.
            json[1..json.len() - 1].replace('\\', "\\\\").replace('"', "\\\""),
            percent_encoding::utf8_percent_encode(canary, percent_encoding::NON_ALPHANUMERIC).to_string(),
            format!("{canary:?}").trim_matches('"').to_owned(),
        ];
        for form in forms {
            assert!(!text.contains(&form), "{what} holds the canary {canary:?} as {form:?}:\n{text}");
        }
    }
}

/// The environment that the scripted server answers with.
pub fn environment() -> String {
    let secret =
        |value: &str| json!({"value": value, "secret": true, "trace": {"def": {"environment": "shop/prod"}}});
    json!({
        "properties": {
            "db": {"value": {"password": secret(PASSWORD), "port": {"value": 5432}}},
            "tls": {"value": {"ca": secret(CERTIFICATE)}},
            "environmentVariables": {"value": {"API_KEY": secret(PROJECTED), "TIER": {"value": "gold"}}},
            "files": {"value": {"CERT": secret(CERTIFICATE)}},
        },
        "schema": {"const": PASSWORD},
    })
    .to_string()
}

pub fn opened() -> String {
    json!({ "id": SESSION }).to_string()
}

/// One pod with one view.
pub struct Pod {
    root: TempDir,
    pub plan: Value,
}

/// How a run of the agent ended.
#[derive(Debug)]
pub struct Outcome {
    pub code: Option<i32>,
    pub stderr: String,
    pub termination: String,
}

impl Outcome {
    #[track_caller]
    pub fn assert_success(&self) {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        assert_eq!(self.termination, "");
    }

    /// Failed with this exit code and this error code, told in log and termination message.
    #[track_caller]
    pub fn assert_failure(&self, exit: i32, code: &str) {
        assert_eq!(self.code, Some(exit), "{}", self.stderr);
        assert!(self.termination.starts_with(&format!("[{code}] ")), "{self:#?}");
        assert!(self.termination.contains(" Fix: ") && self.termination.len() <= 4096, "{self:#?}");
        let hint = format!(". More: esc-injector explain {code}");
        assert!(self.termination.matches(&hint).count() == 1, "{self:#?}");
        let errors: Vec<Value> = self.log().into_iter().filter(|line| line["level"] == "ERROR").collect();
        assert_eq!(errors.len(), 1, "{self:#?}");
        assert_eq!(errors[0]["code"], code);
        assert_eq!(errors[0]["more"], format!("esc-injector explain {code}"));
    }

    pub fn log(&self) -> Vec<Value> {
        self.stderr.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
    }
}

impl Pod {
    /// With a static token, `db.password` and `db.port` as variables and `tls.ca` as a file.
    pub fn new(url: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
        for dir in ["files", "env", "bin", "token"] {
            fs::create_dir(root.path().join(dir)).unwrap();
        }
        fs::write(root.path().join("token/static"), format!("{ACCESS_TOKEN}\n")).unwrap();
        fs::write(root.path().join("token/projected"), JWT).unwrap();
        let path = |name: &str| root.path().join(name).to_str().unwrap().to_owned();
        let plan = json!({
            "version": 1,
            "api": {"url": url},
            "auth": {"kind": "token", "tokenFile": path("token/static")},
            "environments": ["acme/shop/prod"],
            "timeoutSeconds": 20,
            "views": [{
                "containers": ["app"],
                "mountPath": "/run/secrets/esc",
                "filesDir": path("files"),
                "envDir": path("env"),
                "wrapper": true,
                "files": [{"name": "tls/ca.crt", "path": "tls.ca"}],
                "variables": [{"name": "DB_PASSWORD", "path": "db.password"}, {"name": "DB_PORT", "path": "db.port"}],
            }],
        });
        Self { root, plan }
    }

    pub fn exchange(mut self) -> Self {
        self.plan["auth"] = json!({
            "kind": "exchange", "tokenType": "team:ops",
            "tokens": [{"organization": "acme", "tokenFile": self.path("token/projected")}],
        });
        self
    }

    pub fn timeout(mut self, seconds: u64) -> Self {
        self.plan["timeoutSeconds"] = json!(seconds);
        self
    }

    pub fn view(&mut self) -> &mut Value {
        &mut self.plan["views"][0]
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub fn command(&self) -> Command {
        let mut command = Command::new(BINARY);
        command
            .args(["agent", "init"])
            .env_clear()
            .env("ESC_INJECTOR_PLAN", self.plan.to_string())
            .env("ESC_INJECTOR_LOG_LEVEL", "trace")
            .env("ESC_INJECTOR_TERMINATION_LOG", self.path("termination"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub fn init(&self) -> Outcome {
        self.wait(self.command().spawn().unwrap())
    }

    /// Waits for a run, and searches all that it said for secrets.
    pub fn wait(&self, child: Child) -> Outcome {
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "");
        let file = self.path("termination");
        let termination = fs::read_to_string(&file).unwrap_or_default();
        let _ = fs::remove_file(file);
        for (what, text) in [("stderr", &stderr), ("the termination message", &termination)] {
            assert_no_canary(what, text);
            for token in ["token/static", "token/projected"] {
                let token = fs::read_to_string(self.path(token)).unwrap_or_default();
                let token = token.trim();
                assert!(token.is_empty() || !text.contains(token), "{what} holds a token:\n{text}");
            }
        }
        Outcome { code: output.status.code(), stderr, termination }
    }

    /// Everything in the directories that the agent writes to.
    pub fn listing(&self) -> Listing {
        ["files", "env", "bin"].iter().flat_map(|name| listing(&self.path(name))).collect()
    }

    /// The variables that were published, as records.
    pub fn records(&self) -> Vec<String> {
        let content = fs::read_to_string(self.path("env/environ")).unwrap();
        content.split_terminator('\0').map(str::to_owned).collect()
    }
}

/// Path ▶ what is there: mode, and content or target.
pub type Listing = BTreeMap<PathBuf, (u32, String)>;

pub fn listing(dir: &Path) -> Listing {
    let mut found = Listing::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let metadata = fs::symlink_metadata(&path).unwrap();
        let content = if metadata.is_symlink() {
            format!("-> {}", fs::read_link(&path).unwrap().display())
        } else if metadata.is_dir() {
            found.extend(listing(&path));
            String::new()
        } else {
            STANDARD.encode(fs::read(&path).unwrap())
        };
        found.insert(path, (metadata.mode(), content));
    }
    found
}

/// The search itself can fail.
#[test]
fn the_search_finds_every_form_of_a_secret() {
    let json = serde_json::to_string(PASSWORD).unwrap();
    let url = percent_encoding::utf8_percent_encode(PASSWORD, percent_encoding::NON_ALPHANUMERIC).to_string();
    let line = json!({ "message": json }).to_string();
    for form in [PASSWORD, &STANDARD.encode(PASSWORD), &json, &line, &url, &format!("{PASSWORD:?}")] {
        let text = format!("before {form} after");
        assert!(std::panic::catch_unwind(|| assert_no_canary("text", &text)).is_err(), "{form}");
    }
    assert_no_canary("text", "nothing here");
}
