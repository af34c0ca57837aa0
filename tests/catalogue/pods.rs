//! Codes of manifests: a folder for each, with a manifest that provokes it and the same after its fix. Those that only
//! `check` finds (`ESC7xx`) are found by `check`, the others by `inject`.
//!
//! A comment `# flags: …` at the top is for the command line, since some fixes are the operator's. What stands as an
//! example in the catalogue stands in the manifest that is fixed.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::codes_in;

/// Warnings that come with a fix, and are meant to.
const ALSO: &[(&str, &str)] = &[("ESC216", "ESC218")];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/catalogue/pods")
}

pub fn codes() -> Vec<String> {
    let names = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names
}

/// The manifest of a case, and the flags that it asks for.
fn manifest(code: &str, name: &str) -> (String, Vec<String>) {
    let text = fs::read_to_string(folder().join(code).join(name)).unwrap();
    let flags = text.lines().find_map(|line| line.strip_prefix("# flags: ")).unwrap_or_default();
    (repeated(&text), flags.split_whitespace().map(str::to_owned).collect())
}

/// Two thousand lines for one that has an `_N`, for what is too much.
fn repeated(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let times = if line.contains("_N:") { 2000 } else { 1 };
        for n in 0..times {
            out.push_str(&line.replace("_N:", &format!("_{n}:")));
            out.push('\n');
        }
    }
    out
}

/// Whether only `check` tells it.
fn is_of_check(code: &str) -> bool {
    code.starts_with("ESC7")
}

/// What the command says of the manifest, and its exit code.
fn told(code: &str, name: &str) -> (Option<i32>, String) {
    let (text, flags) = manifest(code, name);
    let mut child = Command::new(env!("CARGO_BIN_EXE_esc-injector"))
        .arg(if is_of_check(code) { "check" } else { "inject" })
        .args(flags)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = if is_of_check(code) { output.stdout } else { output.stderr };
    (output.status.code(), String::from_utf8(said).unwrap())
}

#[test]
fn each_manifest_provokes_its_code_alone_and_the_fixed_one_does_not() {
    for code in codes() {
        let (exit, said) = told(&code, "broken.yaml");
        assert_eq!(codes_in(&said), [code.as_str()], "{code}/broken.yaml: {said}");
        // Refused, or warned of.
        let expected = if said.starts_with("warning") { 0 } else { 65 };
        assert_eq!(exit, Some(expected), "{code}/broken.yaml: {said}");
        let hints = said.matches("esc-injector explain").count();
        assert_eq!(hints, usize::from(expected != 0 || is_of_check(&code)), "{code}/broken.yaml: {said}");

        let (exit, said) = told(&code, "fixed.yaml");
        let also: Vec<_> = ALSO.iter().filter(|(with, _)| *with == code).map(|(_, also)| *also).collect();
        assert_eq!(
            (exit, codes_in(&said)),
            (Some(0), also.iter().map(ToString::to_string).collect()),
            "{code}/fixed.yaml: {said}"
        );
    }
}

#[test]
fn the_example_of_the_catalogue_is_what_fixes_it() {
    for code in codes() {
        let example = esc_injector::codes::find(&code).unwrap_or_else(|| panic!("{code}")).entry().example;
        let (text, flags) = manifest(&code, "fixed.yaml");
        if let Some(command) = example.strip_prefix("esc-injector webhook ") {
            assert_eq!(flags.join(" "), command, "{code}");
            continue;
        }
        // How to have it checked.
        if example.contains("esc-injector check") {
            continue;
        }
        if let Some(label) = example.strip_prefix("kubectl label namespace shop ") {
            let label = label.trim_end_matches(" --overwrite").replace('=', ": ");
            assert!(text.contains(&label), "{code}: `{label}` is not in fixed.yaml");
            continue;
        }
        let lines: Vec<_> = text.lines().map(str::trim).collect();
        for line in example.lines().map(str::trim) {
            assert!(lines.contains(&line), "{code}: `{line}` is not in fixed.yaml");
        }
    }
}
