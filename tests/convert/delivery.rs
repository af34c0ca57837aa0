//! What the former operator documents to put into its Secret arrives, key by key and value by value, without its limit
//! of depth: the converted workload is injected, and its agent runs against the local server.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Stdio},
};

use serde_json::{Value, json};

use crate::{BINARY, KEYS, fixture, run, text};

/// The documented example, and a database beside it.
const ENVIRONMENT: &str = r#"values:
  backstage:
    my: test
    test: hello
    test22:
      my: hello
    test33:
      world: true
    x: true
    num: 42
  db:
    user: ann
    pass word: {fn::secret: "it's \"planted\""}
    hosts: [one, two]
  tls:
    keystore: AAEC/w==
"#;

fn put(path: &Path, text: &str) {
    fs::File::create_new(path).unwrap().write_all(text.as_bytes()).unwrap();
}

struct Server {
    process: Child,
    url: String,
}

impl Server {
    fn start(dir: &Path) -> Self {
        fs::create_dir_all(dir.join("esc/acme/shop")).unwrap();
        put(&dir.join("esc/acme/shop/prod.yaml"), ENVIRONMENT);
        let mut process = Command::new(BINARY)
            .args(["server", "--listen", "127.0.0.1:0", "--token", "pul-convert-test", "--dir"])
            .arg(dir.join("esc"))
            .env_clear()
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("listening on ").unwrap().to_owned();
        Self { process, url }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

type Texts = BTreeMap<String, Vec<u8>>;

/// What the containers of a view get: variables and files.
fn delivered(object: &str, containers: &[&str]) -> (Texts, Texts) {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let converted = run(&["convert", KEYS], &fixture("eso.yaml"));
    assert!(converted.status.success(), "{}", text(&converted.stderr));
    let injected = run(&["inject"], &text(&converted.stdout));
    let stream = text(&injected.stdout);
    let document = stream.split("---\n").find(|document| document.contains(object)).unwrap();
    let workload: Value = serde_saphyr::from_str(document).unwrap();
    let spec = ["/spec/template/spec", "/spec/jobTemplate/spec/template/spec"];
    let spec = spec.iter().find_map(|pointer| workload.pointer(pointer)).unwrap();
    let agents = spec["initContainers"].as_array().unwrap();
    let agent = agents.iter().find(|container| container["name"] == "esc-agent").unwrap();
    let variable =
        |name: &str| agent["env"].as_array().unwrap().iter().find(|entry| entry["name"] == name).unwrap();
    let mut plan: Value =
        serde_json::from_str(variable("ESC_INJECTOR_PLAN")["value"].as_str().unwrap()).unwrap();
    // As a kubelet would: directories and the token of this machine.
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    put(Path::new(&path("token")), "pul-convert-test");
    plan["api"] = json!({"url": server.url});
    assert_eq!(plan["auth"]["kind"], "token", "{plan}");
    plan["auth"]["tokenFile"] = json!(path("token"));
    plan.as_object_mut().unwrap().remove("refresh");
    plan.as_object_mut().unwrap().remove("binaryDir");
    let mut at = None;
    for (index, view) in plan["views"].as_array_mut().unwrap().iter_mut().enumerate() {
        for (key, name) in [("filesDir", format!("files-{index}")), ("envDir", format!("env-{index}"))] {
            if view.get(key).is_some() {
                fs::create_dir(path(&name)).unwrap();
                view[key] = json!(path(&name));
            }
        }
        if view["containers"] == json!(containers) {
            at = Some(index);
        }
    }
    let at = at.unwrap_or_else(|| panic!("no view of {containers:?} in {plan}"));
    let output = Command::new(BINARY)
        .args(["agent", "init"])
        .env_clear()
        .env("ESC_INJECTOR_PLAN", plan.to_string())
        .env("ESC_INJECTOR_TERMINATION_LOG", path("termination"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let records = fs::read(path(&format!("env-{at}/environ"))).unwrap_or_default();
    let variables = records.split(|byte| *byte == 0).filter(|record| !record.is_empty()).map(|record| {
        let record = text(record);
        let (name, value) = record[1..].split_once('=').unwrap();
        (name.to_owned(), value.as_bytes().to_vec())
    });
    let variables = variables.collect();
    let mut files = Texts::new();
    for entry in fs::read_dir(path(&format!("files-{at}"))).into_iter().flatten() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if !name.starts_with("..") {
            files.insert(name, fs::read(entry.path()).unwrap());
        }
    }
    (variables, files)
}

fn texts(pairs: &[(&str, &str)]) -> Texts {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec())).collect()
}

#[test]
fn every_key_of_an_extracted_object_arrives_with_its_value() {
    let (variables, _) = delivered("name: report", &["report"]);
    // By hand from the operator's documentation; what is nested is its JSON, where the operator shows its traces too.
    let expected = texts(&[
        ("my", "test"),
        ("num", "42"),
        ("test", "hello"),
        ("test22", r#"{"my":"hello"}"#),
        ("test33", r#"{"world":true}"#),
        ("x", "true"),
    ]);
    assert_eq!(variables, expected);
}

#[test]
fn named_keys_arrive_as_variables_and_files() {
    let (variables, files) = delivered("kind: Deployment", &["web"]);
    let expected = texts(&[
        ("DB_PASSWORD", "it's \"planted\""),
        ("GREETING", "hello"),
        ("REPLICAS", r#"["one","two"]"#),
    ]);
    assert_eq!(variables, expected);
    let mut expected = texts(&[
        ("dsn", "postgres://ann:it's \"planted\"@one/shop"),
        ("host", "one"),
        ("password", "it's \"planted\""),
        ("replicas", r#"["one","two"]"#),
        ("user", "ann"),
    ]);
    expected.insert("keystore.p12".to_owned(), vec![0, 1, 2, 255]);
    assert_eq!(files, expected);
    let (variables, files) = delivered("kind: Deployment", &["migrate"]);
    assert_eq!((variables, files), (texts(&[("DB_PASSWORD", "it's \"planted\"")]), Texts::new()));
}
