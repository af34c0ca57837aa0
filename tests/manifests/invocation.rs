//! The names by which people start the binary, and what shells complete.

use std::{
    os::unix::fs::symlink,
    process::{Command, Stdio},
};

use crate::run;

const BINARY: &str = env!("CARGO_BIN_EXE_esc-injector");

#[test]
fn completions_name_every_command_in_every_shell() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let output = run(&["completions", shell], "");
        assert!(output.status.success() && output.stderr.is_empty(), "{shell}");
        let script = String::from_utf8(output.stdout).unwrap();
        for command in ["inject", "convert", "doctor", "completions"] {
            assert!(script.contains(command), "{shell}: {command}");
        }
    }
    assert_eq!(run(&["completions", "tcsh"], "").status.code(), Some(64));
}

#[test]
fn bash_completes_with_what_it_was_given() {
    // Tests need no shell; where there is one, it has the last word.
    if Command::new("bash").arg("-c").arg("true").status().is_err() {
        eprintln!("skipped: there is no bash");
        return;
    }
    let script = r#"
        source <("$0" completions bash)
        function=$(complete -p esc-injector | sed 's/.*-F \([^ ]*\).*/\1/')
        COMP_WORDS=(esc-injector com) COMP_CWORD=1
        "$function" esc-injector com esc-injector
        echo "${COMPREPLY[@]}"
    "#;
    let output = Command::new("bash").args(["-c", script, BINARY]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "completions", "{output:?}");
}

/// What kubectl asks, and what it is answered: candidates and the directive behind the colon.
fn completed(completer: &std::path::Path, words: &[&str]) -> (Vec<String>, String) {
    let output = Command::new(completer).args(words).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{words:?}: {output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let (candidates, last) = text.trim_end().rsplit_once('\n').unwrap_or(("", text.trim_end()));
    let words = candidates.lines().map(|line| line.split('\t').next().unwrap().to_owned()).collect();
    (words, last.strip_prefix(':').unwrap().to_owned())
}

#[test]
fn kubectl_is_told_what_may_come_next() {
    let dir = tempfile::tempdir().unwrap();
    let completer = dir.path().join("kubectl_complete-esc");
    symlink(BINARY, &completer).unwrap();
    // The directives are Cobra's: 4 is for no files, 0 for files.
    for (words, expected, directive) in [
        (&["che"] as &[&str], &["check"] as &[&str], "4"),
        (&["nonsense"], &[], "4"),
        (&["check", "--str"], &["--strict"], "4"),
        (&["check", "--output", ""], &["text", "json", "github"], "4"),
        (&["check", "-o", "j"], &["json"], "4"),
        (&["check", "--output=g"], &["--output=github"], "4"),
        (&["check", "--strict", "-f", ""], &[], "0"),
        (&["check", "-f", "a.yaml", "--res"], &["--resolve"], "4"),
        (&["completions", "ba"], &["bash"], "4"),
        (&["completions", "bash", ""], &[], "4"),
        (&["server", "token", "cr"], &["create"], "4"),
        (&["agent", "i"], &["init"], "4"),
        (
            &["explain", "esc10"],
            &["ESC101", "ESC102", "ESC103", "ESC104", "ESC105", "ESC106", "ESC107", "ESC108", "ESC109"],
            "4",
        ),
        (&["run", "acme/shop/prod", "--", ""], &[], "0"),
        (&["inject", "--nonsense", "--exp"], &["--explain"], "4"),
    ] {
        let expected: Vec<_> = expected.iter().map(|&word| word.to_owned()).collect();
        assert_eq!(completed(&completer, words), (expected, directive.to_owned()), "{words:?}");
    }
    for words in [&[] as &[&str], &[""]] {
        let (commands, directive) = completed(&completer, words);
        assert!(
            commands.contains(&"doctor".to_owned()) && !commands.contains(&"probe".to_owned()),
            "{commands:?}"
        );
        assert_eq!(directive, "4");
    }
    // As kubectl asks, where it is.
    symlink(BINARY, dir.path().join("kubectl-esc")).unwrap();
    let path = format!("{}:{}", dir.path().display(), std::env::var("PATH").unwrap_or_default());
    match Command::new("kubectl").args(["__complete", "esc", "che"]).env("PATH", path).output() {
        Err(_) => eprintln!("skipped: there is no kubectl"),
        Ok(output) => {
            let text = String::from_utf8(output.stdout).unwrap();
            assert!(text.starts_with("check\tFind what is wrong") && text.ends_with(":4\n"), "{text}");
        }
    }
}

#[test]
fn kubectls_plugin_calls_itself_as_people_call_it() {
    let dir = tempfile::tempdir().unwrap();
    let plugin = dir.path().join("kubectl-esc");
    symlink(BINARY, &plugin).unwrap();
    let output = |arguments: &[&str]| {
        let output = Command::new(&plugin).args(arguments).stdin(Stdio::null()).output().unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (code, help, _) = output(&["inject", "--help"]);
    assert!(code == Some(0) && help.contains("Usage: kubectl esc inject [OPTIONS]"), "{help}");
    let (code, _, usage) = output(&["nonsense"]);
    assert!(code == Some(64) && usage.contains("Usage: kubectl esc <COMMAND>"), "{usage}");
    let (_, script, _) = output(&["completions", "bash"]);
    assert!(script.contains(" kubectl-esc\n") && !script.contains("esc-injector completions"), "{script}");
    let help = String::from_utf8(run(&["inject", "--help"], "").stdout).unwrap();
    assert!(help.contains("Usage: esc-injector inject [OPTIONS]"), "{help}");
    // With kubectl itself, where it is.
    let path = format!("{}:{}", dir.path().display(), std::env::var("PATH").unwrap_or_default());
    let kubectl = Command::new("kubectl").args(["esc", "version"]).env("PATH", path).output();
    match kubectl {
        Err(_) => eprintln!("skipped: there is no kubectl"),
        Ok(output) => assert!(String::from_utf8(output.stdout).unwrap().starts_with("esc-injector ")),
    }
}
