//! Codes of the wrapper: what keeps a command from starting, and the same command after the fix.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use tempfile::TempDir;

use crate::{codes_in, harness::BINARY};

/// What lies where the wrapper looks, and its command.
type Scene = fn(&Path) -> Vec<&'static str>;

/// Variables as the agent leaves them.
fn delivered(dir: &Path, content: &[u8]) {
    fs::write(dir.join("environ"), content).unwrap();
}

fn tool(dir: &Path, mode: u32) {
    let path = dir.join("tool");
    fs::write(&path, "#!/bin/sh\n").unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

const STARTS: Scene = |dir| {
    delivered(dir, b"+A=1\0");
    vec!["true"]
};

/// Each code, the exit code that a shell would give, what provokes it, and what does after the fix.
const PAIRS: &[(&str, i32, Scene, Scene)] = &[
    (
        "ESC501",
        64,
        |dir| {
            delivered(dir, b"");
            vec![]
        },
        STARTS,
    ),
    ("ESC502", 78, |_| vec!["true"], STARTS),
    (
        "ESC503",
        78,
        |dir| {
            delivered(dir, b"+A=cut off");
            vec!["true"]
        },
        STARTS,
    ),
    (
        "ESC504",
        127,
        |dir| {
            delivered(dir, b"");
            vec!["/usr/local/bin/aap"]
        },
        STARTS,
    ),
    (
        "ESC505",
        126,
        |dir| {
            delivered(dir, b"");
            tool(dir, 0o644);
            vec!["./tool"]
        },
        |dir| {
            delivered(dir, b"");
            tool(dir, 0o755);
            vec!["./tool"]
        },
    ),
    (
        "ESC506",
        126,
        |dir| {
            delivered(dir, &[b"+LARGE=".as_slice(), &[b'x'; 200_000], b"\0"].concat());
            vec!["true"]
        },
        STARTS,
    ),
    // It starts, and says without what.
    (
        "ESC507",
        0,
        |dir| {
            fs::write(dir.join("degraded"), "ESC301").unwrap();
            vec!["true"]
        },
        STARTS,
    ),
];

pub fn codes() -> Vec<String> {
    PAIRS.iter().map(|(code, ..)| (*code).to_owned()).collect()
}

fn run(scene: Scene) -> (Option<i32>, String) {
    let dir = TempDir::new().unwrap();
    let command = scene(dir.path());
    let output = Command::new(BINARY)
        .arg("exec")
        .arg(format!("--env-dir={}", dir.path().display()))
        .arg("--")
        .args(command)
        .current_dir(dir.path())
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .output()
        .unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn each_scene_provokes_its_code_alone_and_the_fixed_one_starts() {
    for &(code, exit, broken, fixed) in PAIRS {
        let (status, said) = run(broken);
        assert_eq!((status, codes_in(&said)), (Some(exit), vec![code.to_owned()]), "{said}");
        assert!(said.ends_with(&format!(" More: esc-injector explain {code}\n")), "{said}");
        assert_eq!(run(fixed), (Some(0), String::new()), "{code}, fixed");
    }
}
