//! Every format, mode and decoding as the agent writes it: byte by byte as recorded, and read back by who it is for.
//!
//! `UPDATE_GOLDEN=1 cargo test --test agent golden` records anew what is in `tests/agent/golden`.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::{
    fault::{Server, answer},
    harness::{Pod, opened},
};

/// What formats stumble over, under names that every format can write.
fn object() -> Value {
    let mut object = json!({
        "QUOTES": "it's \"quoted\" `x` $HOME ${HOME} $(id) \\n \\ %s", "LINES": " first\nsecond\n\n  third\n", "CRLF": "a\r\nb\r",
        "TABS": "\t tab\t", "EMPTY": "", "NULL": null, "YES": true, "NO_STRING": "no", "OCTAL": "0400", "NUMBER": "1e3",
        "DATE": "2024-01-02", "TILDE": "~", "COLON": "a: b #c", "DASH": "- x", "STAR": "*a &b !c |d >e %f @g", "UNICODE": "é日😀\u{2028}",
        "CONTROL": "\u{1}\u{7f}\u{85}", "BLANKS": "  both  ", "NESTED": {"list": ["x", {"deep": "it's"}, []], "empty": {}},
        "HASH": "#!=: key", "EQUALS": "a=b=c", "BOM": "\u{feff}x",
    });
    object["BIG"] = serde_json::from_str("12345678901234567890").unwrap();
    object["EXACT"] = serde_json::from_str("1.50").unwrap();
    object
}

const BINARY: [u8; 12] = [0, 1, 2, 0xff, 0xfe, b'\n', b'\r', b'\n', 0x80, b'\'', 0xc3, 0x28];

const PEM: &str = "-----BEGIN TEST-----\nbGluZQ==\n-----END TEST-----\n";

fn wrap(value: &Value) -> Value {
    match value {
        Value::Object(entries) => {
            let entries: serde_json::Map<_, _> =
                entries.iter().map(|(key, value)| (key.clone(), wrap(value))).collect();
            json!({ "value": entries })
        }
        Value::Array(items) => json!({"value": items.iter().map(wrap).collect::<Vec<_>>()}),
        scalar => json!({ "value": scalar }),
    }
}

/// All files, written by one run of the agent.
fn written() -> &'static Path {
    static WRITTEN: OnceLock<Pod> = OnceLock::new();
    static FILES: OnceLock<PathBuf> = OnceLock::new();
    let pod = WRITTEN.get_or_init(|| {
        let wrapped = STANDARD.encode(BINARY);
        // As people paste it.
        let folded = format!("{}\n{}\n", &wrapped[..8], wrapped[8..].trim_end_matches('='));
        let environment = json!({"object": object(), "list": ["a", {"b": "it's"}, 7, null], "text": "as it is", "pem": PEM,
            "number": 5432, "flag": false, "binary": wrapped, "folded": folded, "base64Pem": STANDARD.encode(PEM)});
        let environment = json!({"properties": wrap(&environment)["value"]}).to_string();
        let server = Server::start(vec![answer(200, &opened()), answer(200, &environment)]);
        let mut pod = Pod::new(&server.url);
        pod.view()["variables"] = json!([]);
        pod.view()["files"] = json!([
            {"name": "object.json", "path": "object"},
            {"name": "object.yaml", "path": "object"},
            {"name": "object.env", "path": "object"},
            {"name": "object.properties", "path": "object"},
            {"name": "object", "path": "object", "format": "raw"},
            {"name": "object.txt", "path": "object"},
            {"name": "list.json", "path": "list"},
            {"name": "list.yml", "path": "list"},
            {"name": "list.raw", "path": "list", "format": "raw"},
            {"name": "text", "path": "text"},
            {"name": "text.json", "path": "text", "format": "json"},
            {"name": "text.yaml", "path": "text", "format": "yaml"},
            {"name": "number.yaml", "path": "number"},
            {"name": "flag", "path": "flag"},
            {"name": "pem.crt", "path": "pem"},
            {"name": "binary.bin", "path": "binary", "decode": "base64", "mode": 0o400},
            {"name": "folded.bin", "path": "folded", "decode": "base64", "mode": 0o440},
            {"name": "nested/deep/pem.crt", "path": "base64Pem", "decode": "base64", "mode": 0o444},
            {"name": "template.toml", "template": "url = {{ values.text | tojson }}\nbig = {{ values.object.BIG }}\n", "mode": 0o640},
        ]);
        pod.init().assert_success();
        pod
    });
    FILES.get_or_init(|| pod.path("files"))
}

fn text(name: &str) -> String {
    fs::read_to_string(written().join(name)).unwrap()
}

/// What variables and lines hold for a value.
fn flat(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        other => {
            let mut other = other.clone();
            other.sort_all_objects();
            other.to_string()
        }
    }
}

#[test]
fn golden_files_are_written_as_recorded() {
    fn walk(dir: &Path, base: &Path, found: &mut BTreeMap<PathBuf, Vec<u8>>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(base).unwrap().to_owned();
            if name.to_str().unwrap().starts_with("..") {
                continue;
            }
            if path.is_dir() {
                walk(&path, base, found);
            } else {
                drop(found.insert(name, fs::read(&path).unwrap()));
            }
        }
    }
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/agent/golden");
    let mut files = BTreeMap::new();
    walk(written(), written(), &mut files);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        for (name, content) in &files {
            fs::create_dir_all(golden.join(name).parent().unwrap()).unwrap();
            fs::write(golden.join(name), content).unwrap();
        }
    }
    let mut recorded = BTreeMap::new();
    walk(&golden, &golden, &mut recorded);
    let names = |files: &BTreeMap<PathBuf, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&files), names(&recorded));
    for (name, content) in &files {
        let (now, before) = (String::from_utf8_lossy(content), String::from_utf8_lossy(&recorded[name]));
        assert!(
            content == &recorded[name],
            "{}:\n{now}\nis not what was recorded:\n{before}",
            name.display()
        );
    }
}

#[test]
fn golden_modes_are_as_asked() {
    for (name, mode) in [
        ("binary.bin", 0o400),
        ("folded.bin", 0o440),
        ("nested/deep/pem.crt", 0o444),
        ("template.toml", 0o640),
        ("text", 0o444),
    ] {
        assert_eq!(fs::metadata(written().join(name)).unwrap().permissions().mode() & 0o7777, mode, "{name}");
    }
}

#[test]
fn golden_binaries_and_texts_are_byte_equal() {
    for name in ["binary.bin", "folded.bin"] {
        assert_eq!(fs::read(written().join(name)).unwrap(), BINARY, "{name}");
    }
    assert_eq!([text("pem.crt"), text("nested/deep/pem.crt")], [PEM, PEM]);
    assert_eq!([text("text"), text("number.yaml"), text("flag")], ["as it is", "5432", "false"]);
}

#[test]
fn golden_json_is_read_back_by_a_parser() {
    for name in ["object.json", "object.txt"] {
        assert_eq!(serde_json::from_str::<Value>(&text(name)).unwrap(), object(), "{name}");
    }
    assert_eq!(serde_json::from_str::<Value>(&text("text.json")).unwrap(), json!("as it is"));
}

#[test]
fn golden_yaml_is_read_back_by_a_parser() {
    let yaml = |name: &str| serde_saphyr::from_str::<BTreeMap<String, Yaml>>(&text(name)).unwrap();
    let read = yaml("object.yaml");
    let Yaml::Map(expected) = typed(&object()) else { panic!("an object") };
    assert_eq!(read.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (key, value) in &expected {
        assert_eq!(&read[key], value, "{key}");
    }
    assert_eq!(serde_saphyr::from_str::<String>(&text("text.yaml")).unwrap(), "as it is");
}

/// A value of YAML with the type that it was given.
#[derive(Debug, PartialEq, serde::Deserialize)]
#[serde(untagged)]
enum Yaml {
    Null(()),
    Bool(bool),
    Unsigned(u64),
    Float(f64),
    Text(String),
    List(Vec<Yaml>),
    Map(BTreeMap<String, Yaml>),
}

fn typed(value: &Value) -> Yaml {
    match value {
        Value::Null => Yaml::Null(()),
        Value::Bool(value) => Yaml::Bool(*value),
        Value::Number(number) => {
            number.as_u64().map_or_else(|| Yaml::Float(number.as_f64().unwrap()), Yaml::Unsigned)
        }
        Value::String(text) => Yaml::Text(text.clone()),
        Value::Array(items) => Yaml::List(items.iter().map(typed).collect()),
        Value::Object(entries) => {
            Yaml::Map(entries.iter().map(|(key, value)| (key.clone(), typed(value))).collect())
        }
    }
}

/// YAML 1.1, which many applications still read.
#[test]
fn golden_yaml_is_read_back_by_python_where_it_is_there() {
    let script =
        "import sys, json, yaml; json.dump(yaml.safe_load(open(sys.argv[1], encoding='utf-8')), sys.stdout)";
    let output = Command::new("python3").args(["-c", script]).arg(written().join("object.yaml")).output();
    let Ok(output) =
        output.map_err(|_| ()).and_then(|output| if output.status.success() { Ok(output) } else { Err(()) })
    else {
        let available = Command::new("python3").args(["-c", "import yaml"]).output();
        assert!(!available.is_ok_and(|output| output.status.success()), "PyYAML can't read the file");
        eprintln!("SKIPPED golden_yaml_is_read_back_by_python_where_it_is_there: no python3 with PyYAML");
        return;
    };
    let read: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut expected = object();
    expected["EXACT"] = json!(1.5);
    assert_eq!(read, expected);
}

#[test]
fn golden_dotenv_is_read_back_by_a_shell() {
    let object = object();
    let names: Vec<_> = object.as_object().unwrap().keys().cloned().collect();
    let print =
        names.iter().map(|name| format!("printf '%s\\000' \"${name}\"; ")).collect::<Vec<_>>().concat();
    let script = format!("set -e; . {}; {print}", written().join("object.env").display());
    let output = Command::new("sh").args(["-c", &script]).env_clear().output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    let read = String::from_utf8(output.stdout).unwrap();
    let read: Vec<_> = read.split_terminator('\0').collect();
    let expected: Vec<_> = names.iter().map(|name| flat(&object[name])).collect();
    assert_eq!(read, expected);
}

/// The keys and values that a properties file has to yield.
fn properties() -> BTreeMap<String, String> {
    fn add(key: &str, value: &Value, all: &mut BTreeMap<String, String>) {
        match value {
            Value::Object(entries) if !entries.is_empty() => {
                entries.iter().for_each(|(name, value)| add(&format!("{key}.{name}"), value, all));
            }
            Value::Array(items) if !items.is_empty() => {
                items.iter().enumerate().for_each(|(index, item)| add(&format!("{key}[{index}]"), item, all));
            }
            Value::Object(_) | Value::Array(_) => drop(all.insert(key.to_owned(), String::new())),
            scalar => drop(all.insert(key.to_owned(), flat(scalar))),
        }
    }
    let mut all = BTreeMap::new();
    object().as_object().unwrap().iter().for_each(|(name, value)| add(name, value, &mut all));
    all
}

/// The rules of `java.util.Properties.load`, from its documentation.
fn load(text: &str) -> BTreeMap<String, String> {
    // Logical lines: comments and blank lines are no lines, an odd number of backslashes continues one.
    let mut lines: Vec<String> = Vec::new();
    let mut continued = false;
    for natural in text.split(['\n', '\r']) {
        let natural = natural.trim_start_matches([' ', '\t', '\x0c']);
        if !continued && (natural.is_empty() || natural.starts_with(['#', '!'])) {
            continue;
        }
        let backslashes = natural.chars().rev().take_while(|&c| c == '\\').count();
        let (content, continues) =
            if backslashes % 2 == 1 { (&natural[..natural.len() - 1], true) } else { (natural, false) };
        if continued {
            lines.last_mut().unwrap().push_str(content);
        } else {
            lines.push(content.to_owned());
        }
        continued = continues;
    }
    lines
        .iter()
        .map(|line| {
            let chars: Vec<char> = line.chars().collect();
            let is_escaped =
                |at: usize| chars[..at].iter().rev().take_while(|&&c| c == '\\').count() % 2 == 1;
            let end = (0..chars.len())
                .find(|&at| "=: \t\x0c".contains(chars[at]) && !is_escaped(at))
                .unwrap_or(chars.len());
            let mut start = end;
            while start < chars.len() && " \t\x0c".contains(chars[start]) {
                start += 1;
            }
            if start < chars.len() && "=:".contains(chars[start]) {
                start += 1;
                while start < chars.len() && " \t\x0c".contains(chars[start]) {
                    start += 1;
                }
            }
            (unescape(&chars[..end]), unescape(&chars[start..]))
        })
        .collect()
}

fn unescape(chars: &[char]) -> String {
    let mut units: Vec<u16> = Vec::new();
    let mut rest = chars.iter();
    while let Some(&c) = rest.next() {
        let c = match c {
            '\\' => match *rest.next().unwrap() {
                't' => '\t',
                'n' => '\n',
                'r' => '\r',
                'f' => '\x0c',
                'u' => {
                    let hex: String = rest.by_ref().take(4).collect();
                    units.push(u16::from_str_radix(&hex, 16).unwrap());
                    continue;
                }
                other => other,
            },
            c => c,
        };
        units.extend(c.encode_utf16(&mut [0; 2]).iter());
    }
    String::from_utf16(&units).unwrap()
}

#[test]
fn golden_properties_are_read_back_by_javas_rules() {
    assert_eq!(load(&text("object.properties")), properties());
}

#[test]
fn golden_properties_are_read_back_by_java_where_it_is_there() {
    // Reads as ISO-8859-1, as Java does from a stream, and prints what it read in hexadecimal UTF-16.
    const SOURCE: &str = r#"
        import java.io.*; import java.util.*;
        public class Load { public static void main(String[] a) throws IOException {
            Properties p = new Properties(); try (InputStream in = new FileInputStream(a[0])) { p.load(in); }
            for (String k : p.stringPropertyNames()) System.out.println(hex(k) + " " + hex(p.getProperty(k)));
        } static String hex(String s) { StringBuilder b = new StringBuilder("x"); for (char c : s.toCharArray()) b.append(String.format("%04x", (int) c)); return b.toString(); } }
    "#;
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("Load.java");
    fs::write(&source, SOURCE).unwrap();
    let output = Command::new("java").arg(&source).arg(written().join("object.properties")).output();
    let output = match output {
        Ok(output) if output.status.success() => output,
        other => {
            eprintln!("SKIPPED golden_properties_are_read_back_by_java_where_it_is_there: {other:?}");
            return;
        }
    };
    let decode = |hex: &str| {
        let hex = hex.strip_prefix('x').unwrap();
        let units: Vec<_> =
            (0..hex.len() / 4).map(|at| u16::from_str_radix(&hex[at * 4..at * 4 + 4], 16).unwrap()).collect();
        String::from_utf16(&units).unwrap()
    };
    let read: BTreeMap<_, _> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| line.split_once(' ').unwrap())
        .map(|(key, value)| (decode(key), decode(value)))
        .collect();
    assert_eq!(read, properties());
}
