//! What programs can rely on: one JSON document on standard output whatever happens, and the exit codes of the contract.

use std::{fs, os::unix::fs::symlink, process::Command};

use serde_json::Value;

use crate::{Said, check_with};

const GOOD: &str = "kind: Pod\nmetadata: {name: p, annotations: {esc.pulumi.com/environment: acme/shop/prod}}\nspec: {containers: [{name: a, command: [x]}]}\n";

/// A directory with things that can't be read, and some that can.
fn directory() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    for name in ["empty", "other", "full", "mixed"] {
        fs::create_dir(path(name)).unwrap();
    }
    fs::write(path("other/notes.txt"), "kind: Pod").unwrap();
    fs::write(path("full/good.yaml"), GOOD).unwrap();
    fs::write(path("full/nothing.yaml"), "# nothing\n").unwrap();
    fs::write(path("mixed/good.yaml"), GOOD).unwrap();
    fs::write(path("mixed/latin.yaml"), b"kind: Pod # caf\xe9\n").unwrap();
    fs::write(path("utf16.yaml"), b"\xff\xfek\0i\0n\0d\0").unwrap();
    fs::write(path("broken.yaml"), "kind: [\n").unwrap();
    fs::write(path("good.yaml"), GOOD).unwrap();
    symlink("loop.yaml", path("loop.yaml")).unwrap();
    fs::create_dir(path("links")).unwrap();
    symlink("gone.yaml", path("links/web.yaml")).unwrap();
    directory
}

fn document(said: &Said) -> Value {
    serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {said:?}"))
}

/// The findings as `severity code file`.
fn told(document: &Value) -> Vec<String> {
    let word = |finding: &Value, key: &str| finding[key].as_str().unwrap_or("-").to_owned();
    let findings = document["findings"].as_array().unwrap().iter();
    let one = |finding| ["severity", "code", "file"].map(|key| word(finding, key)).join(" ");
    findings.map(one).collect()
}

#[test]
fn what_can_not_be_read_is_a_finding_and_hides_nothing_else() {
    let directory = directory();
    for (arguments, code, expected) in [
        (&["-f", "missing.yaml"] as &[&str], 65, vec!["error ESC704 missing.yaml"]),
        (&["-f", "loop.yaml"], 65, vec!["error ESC704 loop.yaml"]),
        (&["-f", "utf16.yaml"], 65, vec!["error ESC704 utf16.yaml"]),
        (&["-f", "broken.yaml"], 65, vec!["error ESC704 broken.yaml"]),
        (&["-f", "links"], 65, vec!["error ESC704 links/web.yaml"]),
        (&["-f", "mixed"], 65, vec!["error ESC704 mixed/latin.yaml"]),
        (&["-f", "good.yaml", "-f", "missing.yaml"], 65, vec!["error ESC704 missing.yaml"]),
        (&["-f", "full"], 0, vec![]),
        (&["-f", "empty"], 0, vec!["warning ESC706 empty"]),
        (&["-f", "other"], 0, vec!["warning ESC706 other"]),
        (&["-f", "good.yaml", "-f", "full/nothing.yaml"], 0, vec!["warning ESC706 full/nothing.yaml"]),
        (&["-f", "empty", "--strict"], 65, vec!["warning ESC706 empty"]),
        (&["-f", "-"], 0, vec!["warning ESC706 -"]),
        (&[], 0, vec!["warning ESC706 -"]),
    ] {
        let with = |format| check_with(directory.path(), &[arguments, &["-o", format]].concat(), &[], "");
        let said = with("json");
        let json = document(&said);
        assert_eq!(
            (said.code, told(&json)),
            (code, expected.clone().into_iter().map(str::to_owned).collect())
        );
        assert!(said.err.is_empty() && json.get("error").is_none(), "{arguments:?}: {said:?}");
        for format in ["text", "github"] {
            let said = with(format);
            assert_eq!((said.code, said.err.as_str()), (code, ""), "{arguments:?}");
            for finding in &expected {
                let code = finding.split(' ').nth(1).unwrap();
                assert!(said.out.contains(code), "{arguments:?} {format}: {said:?}");
            }
        }
    }
    let text = |file| check_with(directory.path(), &["-f", file], &[], "").out;
    assert!(text("utf16.yaml").contains("the text is UTF-16: save it as UTF-8"));
    assert!(text("mixed/latin.yaml").contains("line 1: the text is not UTF-8"));
}

#[test]
fn whoever_asks_for_json_gets_one_document_that_says_what_failed() {
    let directory = directory();
    let eso =
        "apiVersion: external-secrets.io/v1\nkind: ExternalSecret\nmetadata: {name: e}\nspec: {data: []}\n";
    for (arguments, input, code, words, member) in [
        // The command line.
        (&["check", "--output", "json", "--frob"] as &[&str], "", 64, "--frob", Some("findings")),
        (&["check", "-ojson", "--min-kubelet", "x"], "", 64, "min-kubelet", Some("summary")),
        (&["convert", "--output", "json", "--frob"], "", 64, "--frob", Some("manifests")),
        (&["explain", "--output", "json", "--frob"], "", 64, "--frob", None),
        (&["version", "--json", "--frob"], "", 64, "--frob", None),
        (&["doctor", "--output=json", "--address", "nowhere"], "", 64, "address", Some("checks")),
        // What it names.
        (&["check", "-o", "json", "--ca-file", "missing.pem"], GOOD, 78, "missing.pem", Some("findings")),
        (&["check", "-o", "json", "--default", "timeout=soon"], GOOD, 78, "ESC106", Some("summary")),
        (&["check", "-o", "json", "--resolve"], GOOD, 64, "PULUMI_ACCESS_TOKEN", Some("findings")),
        (&["convert", "--output", "json", "-f", "missing.yaml"], "", 65, "missing.yaml", Some("manifests")),
        (&["convert", "--output", "json", "-f", "broken.yaml"], "", 65, "broken.yaml", Some("findings")),
        (&["convert", "--output", "json"], GOOD, 65, "nothing was converted", Some("manifests")),
        (&["convert", "--output", "json"], eso, 65, "nothing was converted", Some("findings")),
        (&["convert", "--output", "json", "--keys", "a=b"], eso, 64, "--keys", Some("findings")),
        (&["explain", "--output", "json", "999"], "", 64, "999", None),
        (&["doctor", "--output", "json"], "", 78, "ESC811", Some("checks")),
    ] {
        let said = run(directory.path(), arguments, input);
        assert_eq!(said.code, code, "{arguments:?}: {said:?}");
        let json = document(&said);
        assert_eq!(json["error"]["exit"], code, "{arguments:?}: {said:?}");
        let message = json["error"]["message"].as_str().unwrap();
        assert!(message.contains(words), "{arguments:?}: {said:?}");
        assert!(said.err.contains(words), "a person may be watching: {arguments:?}: {said:?}");
        if let Some(member) = member {
            assert!(!json[member].is_null(), "{arguments:?}: {said:?}");
        }
    }
    let said = run(directory.path(), &["check", "-o", "json", "--default", "timeout=soon"], GOOD);
    assert_eq!(document(&said)["error"]["codes"], serde_json::json!(["ESC106"]));
    // A command line that can't be read comes to the same document as any other failure.
    let members = |arguments: &[&str]| {
        let said = run(directory.path(), arguments, GOOD);
        let members: Vec<_> = document(&said).as_object().unwrap().keys().cloned().collect();
        members
    };
    for (wrong, failing) in [
        (&["check", "-o", "json", "--frob"], &["check", "-o", "json", "--default=timeout=soon"] as &[&str]),
        (&["convert", "--output", "json", "--frob"], &["convert", "--output", "json", "-f", "missing.yaml"]),
        (&["doctor", "--output", "json", "--frob"], &["doctor", "--output", "json"]),
        (&["explain", "--output", "json", "--frob"], &["explain", "--output", "json", "999"]),
    ] {
        assert_eq!(members(wrong), members(failing), "{wrong:?}");
    }
    // What is not asked for is not printed.
    for arguments in
        [&["check", "--frob"] as &[&str], &["get", "-f", "json", "--output", "json"], &["explain", "999"]]
    {
        assert_eq!(run(directory.path(), arguments, "").out, "", "{arguments:?}");
    }
}

#[test]
fn flags_that_can_not_be_meant_are_refused() {
    let directory = directory();
    for (arguments, code, words) in [
        (&["check", "-n", "Not A Name"] as &[&str], 64, "a name of a namespace"),
        (&["inject", "-n", ""], 64, "a name of a namespace"),
        (&["convert", "--keys", "a="], 64, "write SECRET=KEY,KEY"),
        (&["convert", "--keys", "=a"], 64, "write SECRET=KEY,KEY"),
        // What never ends.
        (&["check", "--ca-file", "/dev/zero"], 78, "larger than 1 MiB"),
        (&["get", "acme/shop/prod", "--ca-file", "/dev/zero"], 78, "larger than 1 MiB"),
        (&["inject", "-f", "/dev/zero"], 65, "larger than 64 MiB"),
    ] {
        let said = run(directory.path(), arguments, GOOD);
        assert_eq!((said.code, said.out.as_str()), (code, ""), "{arguments:?}: {said:?}");
        assert!(said.err.contains(words), "{arguments:?}: {said:?}");
    }
    let said = run(directory.path(), &["inject", "-f", "empty"], "");
    assert_eq!((said.code, said.out.as_str()), (0, ""));
    assert_eq!(said.err, "warning: there is no manifest in what was read\n");
}

#[test]
fn a_failed_get_prints_nothing_that_looks_like_an_environment() {
    let directory = directory();
    for format in ["json", "yaml", "string", "dotenv", "shell", "detailed"] {
        let arguments = ["get", "acme/shop/prod", "-f", format, "--api-url", "http://127.0.0.1:9"];
        let said = run(directory.path(), &arguments, "");
        assert_eq!((said.code, said.out.as_str()), (64, ""), "{format}: {said:?}");
        let said = run(directory.path(), &[&arguments[..], &["--token-file", "good.yaml"]].concat(), "");
        assert_eq!((said.code, said.out.as_str()), (78, ""), "{format}: {said:?}");
    }
}

#[test]
fn github_shows_what_kept_everything_from_being_checked() {
    let directory = directory();
    let said = check_with(directory.path(), &["-o", "github", "--ca-file", "missing.pem"], &[], GOOD);
    assert_eq!(said.code, 78);
    let line = said.out.lines().next().unwrap();
    assert!(line.starts_with("::error title=esc-injector check::--ca-file missing.pem"), "{said:?}");
    for format in [&["-o", "github"] as &[&str], &["-ogithub"], &["--output=github"]] {
        let said = check_with(directory.path(), &[format, &["--frob"]].concat(), &[], "");
        assert_eq!(said.code, 64, "{said:?}");
        assert_eq!(
            said.out, "::error title=esc-injector check::unexpected argument '--frob' found\n",
            "{said:?}"
        );
    }
}

fn run(directory: &std::path::Path, arguments: &[&str], input: &str) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_esc-injector"));
    command.args(arguments).env_clear().env("KUBECONFIG", "missing").current_dir(directory);
    crate::said(command, input)
}
