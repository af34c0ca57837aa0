//! How it is printed, and what scripts can rely on.

use std::{fs, path::Path};

use crate::{check, check_with, json};

const BROKEN: &str = "\
# Source: shop/templates/web.yaml
kind: Pod
metadata:
  name: web
  namespace: shop
  annotations:
    esc.pulumi.com/enviroment: acme/shop/prod
    esc.pulumi.com/environment: acme/shop/prod
    esc.pulumi.com/refresh: 5m
    esc.pulumi.com/env.A: a
    esc.pulumi.com/env.B: b[
spec:
  containers:
  - {name: app, command: [/app]}
---
kind: Pod
metadata: {name: quiet}
spec: {containers: [{name: app}]}
";

fn directory(files: &[(&str, &str)]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    directory
}

#[test]
fn people_see_the_line_with_the_mistake_underlined() {
    let directory = directory(&[("web.yaml", BROKEN)]);
    let wide = check_with(directory.path(), &["-f", "web.yaml"], &[("COLUMNS", "100")], "");
    assert_eq!((wide.code, wide.err.as_str()), (65, ""));
    insta::assert_snapshot!("wide", wide.out);
    let narrow = check_with(directory.path(), &["-f", "web.yaml"], &[("COLUMNS", "40")], "");
    insta::assert_snapshot!("narrow", narrow.out);
    let longest = narrow.out.lines().map(|line| line.chars().count()).max().unwrap();
    assert!(longest <= 60, "only words are longer than the terminal is wide: {longest}");
    assert!(!wide.out.contains('\u{1b}'), "no colours but on a terminal");
    let coloured = check_with(directory.path(), &["-f", "web.yaml"], &[("CLICOLOR_FORCE", "1")], "");
    assert!(coloured.out.contains("\u{1b}[1m\u{1b}[31merror[ESC101]:\u{1b}[0m"), "{:?}", coloured.out);
}

#[test]
fn github_shows_findings_at_their_lines() {
    let directory = directory(&[("web.yaml", BROKEN)]);
    let said = check_with(directory.path(), &["-f", "web.yaml", "--output", "github"], &[], "");
    insta::assert_snapshot!("github", said.out);
}

#[test]
fn programs_read_json() {
    let value = json(&["-f", "-"], BROKEN);
    insta::assert_snapshot!("json", serde_json::to_string_pretty(&value).unwrap());
}

#[test]
fn exit_codes_tell_what_was_found() {
    let worrying = "kind: Pod\nmetadata: {name: p, annotations: {esc.pulumi.com/environment: acme/shop/prod}}\nspec: {restartPolicy: Never, containers: [{name: a, command: [x]}]}\n";
    for (arguments, input, code) in [
        (&[] as &[&str], worrying, 0),
        (&["--strict"], worrying, 65),
        (&[], BROKEN, 65),
        (&["--strict"], "", 65),
        (&["--frob"], "", 64),
        (&["--output", "xml"], "", 64),
        (&["--token-file", "x"], "", 64),
        (&["-f", "/does/not/exist.yaml"], "", 65),
        (&["--default", "timeout=soon"], "", 78),
    ] {
        let said = check(arguments, input);
        assert_eq!(said.code, code, "{arguments:?}: {said:?}");
    }
}

#[test]
fn directories_are_read_as_inject_reads_them() {
    let directory = directory(&[
        ("b.yml", BROKEN),
        ("a.yaml", BROKEN),
        ("c.json", "{\"kind\": \"Pod\", \"spec\": {\"containers\": []}}"),
        ("notes.txt", "no: manifest: this"),
        ("below/d.yaml", BROKEN),
    ]);
    let said = check_with(directory.path(), &["-f", ".", "--output", "github"], &[], "");
    let files: Vec<&str> =
        said.out.lines().filter_map(|line| line.split_once("file=")?.1.split(',').next()).collect();
    assert_eq!(files, ["a.yaml", "a.yaml", "b.yml", "b.yml"]);
    assert!(said.out.contains("5 objects"), "{}", said.out);
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let many = vec![BROKEN; 500].join("---\n");
    let directory = directory(&[("many.yaml", &many)]);
    let command = format!("'{}' check -f many.yaml | head -1", env!("CARGO_BIN_EXE_esc-injector"));
    let output =
        std::process::Command::new("sh").args(["-c", &command]).current_dir(directory.path()).output();
    let output = output.unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8(output.stdout).unwrap().lines().count(), 1);
    assert!(Path::new(env!("CARGO_BIN_EXE_esc-injector")).exists());
}

#[test]
fn manifests_can_not_write_to_the_terminal() {
    let evil = "kind: Pod\nmetadata:\n  name: \"p\\e[2J\u{202e}\u{200b}\"\n  annotations: {\"esc.pulumi.com/env.A\\e]0;x\\a\": \"\u{9b}2J[\"}\nspec: {containers: [{name: a, command: [x]}]}\n";
    for format in ["text", "github"] {
        let said = check(&["--output", format], evil);
        assert_eq!(said.code, 65, "{said:?}");
        let bad = said.out.chars().find(|c| c.is_control() && *c != '\n' || "\u{202e}\u{200b}".contains(*c));
        assert_eq!(bad, None, "{format}: {:?}", said.out);
    }
}
