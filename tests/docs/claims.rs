//! What can be held of a command that is not run here: that its program is a known one, and that the flags, values of the
//! chart, files and suites that it names are there.

use std::process::Command;

use esc_injector::yaml::{self, Dialect};
use serde_json::Value;

use super::root;

/// Programs that a reader can be expected to have, or to know where to get.
const PROGRAMS: &[&str] = &[
    "aws",
    "az",
    "base64",
    "cargo",
    "cmctl",
    "curl",
    "cut",
    "esc",
    "esc-injector",
    "gcloud",
    "git",
    "helm",
    "jq",
    "kind",
    "kubectl",
    "kustomize",
    "ln",
    "rm",
    "source",
    "tr",
    "tests/cluster/down",
    "tests/cluster/faults",
    "tests/cluster/install",
    "tests/cluster/load",
    "tests/cluster/restart",
    "tests/cluster/up",
    ".ci/run",
];

/// Folders of the repository that commands name files of.
const FOLDERS: &[&str] = &["charts/", "deploy/", "certs/", "tests/", "docs/"];

/// What is wrong with a command, as far as can be told without running it.
pub fn wrong(command: &str) -> Vec<String> {
    let command = command.replace("\\\n", " ").replace("|\n", "| ");
    let command = command.split(" # ").next().unwrap_or_default();
    command.split(" | ").flat_map(|part| wrong_part(part.trim())).collect()
}

fn wrong_part(command: &str) -> Vec<String> {
    let words: Vec<&str> =
        command.split_whitespace().map(|word| word.trim_matches(['"', '\'', '(', ')', ';'])).collect();
    let is_variable = |word: &&&str| word.split_once('=').is_some_and(|(name, _)| name.chars().all(is_upper));
    let variables = words.iter().take_while(is_variable).count();
    let words = &words[variables..];
    let mut wrong = Vec::new();
    match words.first() {
        None | Some(&"export") => {}
        Some(program) if PROGRAMS.contains(program) => {}
        Some(program) => wrong.push(format!("`{program}` is not a program that tests/docs/claims.rs knows")),
    }
    for word in words {
        let path = word.rsplit(['=', '@']).next().unwrap_or_default();
        if FOLDERS.iter().any(|folder| path.starts_with(folder)) && !root().join(path).exists() {
            wrong.push(format!("there is no {path}"));
        }
    }
    match words {
        ["helm", ..] => wrong.extend(wrong_values(words)),
        ["esc-injector", subcommand, ..] => wrong.extend(wrong_flags(subcommand, words)),
        ["cargo", ..] => wrong.extend(wrong_targets(words)),
        _ => {}
    }
    wrong
}

fn is_upper(c: char) -> bool {
    c.is_ascii_uppercase() || c == '_'
}

/// Values of the chart that do not exist.
fn wrong_values(words: &[&str]) -> Vec<String> {
    let text = std::fs::read_to_string(root().join("charts/esc-injector/values.yaml")).unwrap();
    let values = yaml::to_json(&yaml::parse(&text).unwrap()[0], Dialect::Kubernetes).unwrap();
    let set = words.windows(2).filter(|pair| pair[0].starts_with("--set")).map(|pair| pair[1]);
    let keys = set.filter_map(|value| value.split_once('=')).map(|(key, _)| key);
    let is_known = |key: &str| {
        let mut found: &Value = &values;
        for part in key.split('.') {
            match found.get(part) {
                Some(below) => found = below,
                // What lies below an empty object is the user's.
                None => return found.as_object().is_some_and(serde_json::Map::is_empty),
            }
        }
        true
    };
    keys.filter(|key| !is_known(key)).map(|key| format!("the chart has no value `{key}`")).collect()
}

/// Flags that our own help does not know.
fn wrong_flags(subcommand: &str, words: &[&str]) -> Vec<String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_esc-injector"));
    command.arg(subcommand);
    let below = words[2..].iter().take_while(|_| *subcommand == *"server");
    command.args(below.take_while(|word| ["audit", "token", "create", "list", "revoke"].contains(word)));
    let output = command.arg("--help").output().unwrap();
    let help = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        return vec![format!("esc-injector has no subcommand `{subcommand}`")];
    }
    let ours = words.iter().take_while(|word| **word != "--").filter(|word| word.starts_with("--"));
    let flags = ours.map(|word| word.split('=').next().unwrap_or_default());
    let is_known = |flag: &str| help.split([' ', ',', '=', '\n']).any(|word| word == flag);
    flags.filter(|flag| !is_known(flag)).map(|flag| format!("`{subcommand}` has no flag {flag}")).collect()
}

/// Suites and benchmarks that do not exist.
fn wrong_targets(words: &[&str]) -> Vec<String> {
    let named = |flag: &str| words.windows(2).find(|pair| pair[0] == flag).map(|pair| pair[1]);
    let mut wrong = Vec::new();
    for (flag, folder) in [("--test", "tests"), ("--bench", "benches")] {
        if let Some(name) = named(flag) {
            let there = [format!("{folder}/{name}/main.rs"), format!("{folder}/{name}.rs")];
            if !there.iter().any(|path| root().join(path).is_file()) {
                wrong.push(format!("there is no {folder}/{name}"));
            }
        }
    }
    wrong
}

#[test]
fn what_does_not_exist_is_noticed() {
    for (command, problems) in [
        ("cargo test --test docs -- --ignored", 0),
        ("cargo test --test dogs", 1),
        ("helm install x charts/esc-injector --set api.url=https://x --set defaults.timeout=1m", 0),
        ("helm install x charts/esc --set api.uri=https://x", 2),
        ("kubectl apply -k deploy/base", 0),
        ("kubectl apply -f deploy/none.yaml | frobnicate", 2),
        ("esc-injector inject -f pod.yaml --diff", 0),
        ("A_B=1 esc-injector inject --nope", 1),
        ("esc-injector server token create --data x --organization y", 0),
        ("esc-injector frobnicate", 1),
    ] {
        assert_eq!(wrong(command).len(), problems, "{command}: {:?}", wrong(command));
    }
}
