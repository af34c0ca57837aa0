//! What people see: sessions in a shell, with the commands that were typed and all that was printed.
//!
//! A folder holds the sessions of one command. A file is one session, in a directory of its own:
//!
//! ```text
//! Words about it, up to the first command.
//! $ esc-injector explain 999
//! error: there is no code `999`
//! [exit 64]
//! $ cat > pod.yaml <<end
//! > kind: Pod
//! > end
//! ```
//!
//! Commands go to `sh`, so that pipes, redirections and variables are what they are; standard error goes where standard
//! output goes. What differs from run to run is shown as `[DIR]`, `[URL]`, `[TOKEN]`, `[ID]`, `[TIME]` and
//! `[VERSION]`.
//! In the folders `check`, `get` and `run` a local server holds what lies in `environments`.
//!
//! `UPDATE_CLI=1 cargo test --test cli` writes what is printed now; then it is read.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    missing_docs,
    reason = "tests fail by panicking"
)]

mod server;

use std::{
    env,
    ffi::OsString,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use regex::Regex;
use server::Server;

const BINARY: &str = env!("CARGO_BIN_EXE_esc-injector");

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli")
}

/// The files of this kind below a folder.
fn sessions(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sessions(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "console") {
            found.push(path);
        }
    }
}

/// A session's words and its commands, without what they printed.
fn typed(text: &str) -> (String, Vec<String>) {
    let mut words = String::new();
    let mut commands: Vec<String> = Vec::new();
    let mut is_going_on = false;
    for line in text.lines() {
        let command = line.strip_prefix("$ ").map(str::to_owned);
        match (command, line.strip_prefix("> "), commands.last_mut()) {
            (Some(command), ..) => commands.push(command),
            (None, Some(more), Some(last)) if is_going_on => write!(last, "\n{more}").unwrap(),
            (None, _, None) => writeln!(words, "{line}").unwrap(),
            _ => {
                is_going_on = false;
                continue;
            }
        }
        is_going_on = true;
    }
    (words, commands)
}

/// What it would look like now.
fn seen(path: &Path, text: &str) -> String {
    let directory = tempfile::tempdir().unwrap();
    let command_folder = path.parent().unwrap().file_name().unwrap();
    let server = ["get", "run", "check"].iter().any(|name| command_folder == *name).then(Server::start);
    let (mut out, commands) = typed(text);
    assert!(!commands.is_empty(), "{} has no command", path.display());
    for command in commands {
        let mut shell = Command::new("sh");
        // One stream for both, as on a terminal.
        shell.args(["-c", &format!("exec 2>&1\n{command}\n")]).current_dir(directory.path());
        let mut programs = OsString::from(Path::new(BINARY).parent().unwrap());
        programs.push(":/usr/bin:/bin");
        shell.env_clear().env("PATH", programs).env("HOME", directory.path()).stdin(Stdio::null());
        if let Some(server) = &server {
            shell.env("PULUMI_BACKEND_URL", &server.url).env("PULUMI_ACCESS_TOKEN", server::TOKEN);
        }
        let output = shell.stdout(Stdio::piped()).output().unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        let url = server.as_ref().map_or("http://unknown", |server| &server.url);
        let printed = comparable(&printed, directory.path(), url);
        writeln!(out, "$ {}", command.replace('\n', "\n> ")).unwrap();
        out.push_str(&printed);
        if !printed.is_empty() && !printed.ends_with('\n') {
            out.push('\n');
        }
        match output.status.code() {
            Some(0) => {}
            Some(code) => writeln!(out, "[exit {code}]").unwrap(),
            None => out.push_str("[ended by a signal]\n"),
        }
    }
    out
}

/// Without what differs from run to run.
fn comparable(printed: &str, directory: &Path, url: &str) -> String {
    let mut text = printed.replace(directory.to_str().unwrap(), "[DIR]").replace(url, "[URL]");
    text = text.replace(env!("CARGO_PKG_VERSION"), "[VERSION]");
    for (pattern, name) in [
        (r"pul-[0-9a-f]{40}", "[TOKEN]"),
        (r"\b[0-9a-f]{16}\b", "[ID]"),
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "[TIME]"),
    ] {
        text = Regex::new(pattern).unwrap().replace_all(&text, name).into_owned();
    }
    text
}

#[test]
fn every_session_goes_as_recorded() {
    let mut paths = Vec::new();
    sessions(&folder(), &mut paths);
    paths.sort();
    assert!(paths.len() > 10, "{paths:?}");
    let is_updating = env::var_os("UPDATE_CLI").is_some();
    let mut differences = String::new();
    let has_script = Path::new("/usr/bin/script").exists();
    for path in paths {
        let recorded = fs::read_to_string(&path).unwrap();
        if !has_script && recorded.contains("$ TERM=xterm script ") {
            eprintln!("SKIPPED {}: there is no program `script` that makes a terminal", path.display());
            continue;
        }
        let seen = seen(&path, &recorded);
        if seen != recorded && is_updating {
            fs::write(&path, seen).unwrap();
        } else if seen != recorded {
            let name = path.strip_prefix(folder()).unwrap().display();
            let difference = similar::TextDiff::from_lines(&recorded, &seen);
            writeln!(differences, "\n{name}\n{}", difference.unified_diff().header("recorded", "seen"))
                .unwrap();
        }
    }
    assert!(differences.is_empty(), "{differences}\nUPDATE_CLI=1 writes what is seen");
}

#[test]
fn every_command_has_a_session_that_shows_its_help() {
    let output = Command::new(BINARY).arg("--help").env_clear().output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    let commands =
        help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names: Vec<_> = commands
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(names.len() > 5, "{names:?}");
    for name in names {
        let path = folder().join(name).join("help.console");
        if env::var_os("UPDATE_CLI").is_some() && !path.exists() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, seen(&path, &format!("$ esc-injector {name} --help\n"))).unwrap();
        }
        assert!(path.exists(), "tests/cli/{name}/help.console is missing: UPDATE_CLI=1 writes it");
    }
}

#[test]
fn sessions_are_read_as_they_are_written() {
    let text = "About it.\n$ cat <<end\n> a\n> end\na\n> not a command\n$ false\n[exit 1]\n";
    let (words, commands) = typed(text);
    assert_eq!(
        (words.as_str(), commands),
        ("About it.\n", vec!["cat <<end\na\nend".to_owned(), "false".to_owned()])
    );
}
