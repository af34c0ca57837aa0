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
