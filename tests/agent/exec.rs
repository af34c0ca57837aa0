//! The exec wrapper as kubelet starts it.

use std::{
    ffi::OsStr,
    fs,
    os::unix::{
        ffi::{OsStrExt, OsStringExt},
        fs::PermissionsExt,
        process::ExitStatusExt,
    },
    path::Path,
    process::{Command, Output, Stdio},
};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::harness::{BINARY, PASSWORD, assert_no_canary};

/// A directory of variables with this file in it.
fn env_dir(file: &str, content: &[u8]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(file), content).unwrap();
    dir
}

fn wrapper(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    command.arg("exec").arg(format!("--env-dir={}", dir.display())).args(arguments);
    command.env_clear().env("PATH", "/usr/bin:/bin");
    command
}

/// Runs it; what the wrapper itself says holds no secret. (What the application prints, is the application's.)
fn run(command: &mut Command) -> (Output, String) {
    let output = command.output().unwrap();
    let stderr = String::from_utf8(output.stderr.clone()).unwrap();
    assert_no_canary("stderr", &stderr);
    (output, stderr)
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

#[track_caller]
fn assert_refused(command: &mut Command, exit: i32, code: &str) -> String {
    let (output, stderr) = run(command);
    assert_eq!(output.status.code(), Some(exit), "{stderr}");
    assert_eq!(stdout(&output), "");
    assert!(
        stderr.starts_with(&format!("esc-injector: [{code}] ")) && stderr.contains(". Fix: "),
        "{stderr}"
    );
    assert!(stderr.ends_with(&format!(" More: esc-injector explain {code}\n")), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    stderr
}

#[test]
fn sets_variables_by_their_precedence() {
    let dir = env_dir("environ", format!("+EXPLICIT={PASSWORD}\n\0?PROJECTED=esc\0?OWN=esc\0").as_bytes());
    let script = r#"printf '%s|' "$EXPLICIT" "$PROJECTED" "$OWN" "$IMAGE""#;
    let mut command = wrapper(dir.path(), &["--own=OWN", "--", "sh", "-c", script]);
    let (output, stderr) = run(command.env("OWN", "own").env("PROJECTED", "image").env("IMAGE", "image"));
    assert_eq!(stderr, "");
    assert_eq!(stdout(&output), format!("{PASSWORD}\n|esc|own|image|"));
}

#[test]
fn expands_the_references_that_the_webhook_recorded_and_no_others() {
    let dir = env_dir("environ", b"+HOST=db\0");
    let flags = [
        "--set=URL",
        "--text=pg://",
        "--ref=HOST=$(HOST)",
        "--text=/$(HOST)",
        "--set=BOTH",
        "--ref=URL=$(URL)",
        "--text= ",
        "--ref=NOT_HERE=fallback",
        "--replace=3",
        "--text=url=",
        "--ref=BOTH=$(BOTH)",
    ];
    let command = [
        "--",
        "sh",
        "-c",
        "printf '%s|' \"$0\" \"$@\" \"$URL\"",
        "to be replaced",
        "$(HOST)",
        "--",
        "--help",
    ];
    // The word after the script is number 3 of the command.
    let (output, stderr) = run(&mut wrapper(dir.path(), &[&flags[..], &command[..]].concat()));
    assert_eq!(stderr, "");
    assert_eq!(stdout(&output), "url=pg://db/$(HOST) fallback|$(HOST)|--|--help|pg://db/$(HOST)|");
}

#[test]
fn becomes_the_application_with_its_pid_and_signals() {
    let script = "echo $$; grep -E '^Sig(Ign|Blk|Cgt)' /proc/self/status; kill -USR1 $$";
    let run = |mut command: Command| {
        let child = command.env_clear().env("PATH", "/usr/bin:/bin").stdout(Stdio::piped()).spawn().unwrap();
        let pid = child.id().to_string();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.signal(), Some(Signal::USR1.as_raw()));
        let (first, signals) = stdout(&output).split_once('\n').unwrap();
        assert_eq!(first, pid);
        signals.to_owned()
    };
    let dir = env_dir("environ", b"+A=1\0");
    let wrapped = run(wrapper(dir.path(), &["--", "sh", "-c", script]));
    // By its path, as the wrapper: the standard library starts names in another way, which ignores other signals.
    let mut plain = Command::new("/bin/sh");
    plain.args(["-c", script]);
    // Not even SIGPIPE differs, which Rust ignores at start.
    assert_eq!(wrapped, run(plain));
    assert_eq!(wrapped.lines().count(), 3);
}

#[test]
fn returns_what_the_application_returns() {
    let dir = env_dir("environ", b"");
    let (output, _) = run(&mut wrapper(dir.path(), &["--", "sh", "-c", "exit 42"]));
    assert_eq!(output.status.code(), Some(42));
}

#[test]
fn looks_commands_up_in_the_applications_own_path() {
    let dir = tempfile::tempdir().unwrap();
    let tools = dir.path().join("tools");
    fs::create_dir(&tools).unwrap();
    let tool = tools.join("only-here");
    fs::write(&tool, "#!/bin/sh\necho \"$0\"").unwrap();
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(dir.path().join("environ"), format!("+PATH=/nowhere:{}\0", tools.display())).unwrap();
    let (output, _) = run(&mut wrapper(dir.path(), &["--", "only-here"]));
    assert_eq!(stdout(&output).trim(), tool.to_str().unwrap());
    // Without a PATH there is execvp's.
    let bare = env_dir("environ", b"");
    let (output, stderr) = run(wrapper(bare.path(), &["--", "echo", "found"]).env_remove("PATH"));
    assert_eq!(stdout(&output), "found\n", "{stderr}");
}

#[test]
fn runs_scripts_without_an_interpreter_line_as_a_shell_does() {
    let dir = env_dir("environ", b"+A=1\0");
    let script = dir.path().join("script");
    fs::write(&script, "echo $A \"$@\"\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let (output, stderr) = run(&mut wrapper(dir.path(), &["--", script.to_str().unwrap(), "a b", "c"]));
    assert_eq!(stdout(&output), "1 a b c\n", "{stderr}");
}

#[test]
fn commands_that_can_not_start_fail_as_in_a_shell() {
    let dir = env_dir("environ", format!("+A={PASSWORD}\0").as_bytes());
    let plain = dir.path().join("plain");
    fs::write(&plain, "x").unwrap();
    let orphan = dir.path().join("orphan");
    fs::write(&orphan, "#!/no/such/interpreter\n").unwrap();
    fs::set_permissions(&orphan, fs::Permissions::from_mode(0o755)).unwrap();
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    let cases = [
        ("no-such-command".to_owned(), 127, "ESC504"),
        ("/no/such/file".to_owned(), 127, "ESC504"),
        (String::new(), 127, "ESC504"),
        (path(&orphan), 127, "ESC504"),
        (path(&plain), 126, "ESC505"),
        (path(dir.path()), 126, "ESC505"),
    ];
    for (program, exit, code) in cases {
        let stderr = assert_refused(&mut wrapper(dir.path(), &["--", &program]), exit, code);
        assert!(stderr.contains(&program), "{stderr}");
    }
    let mut command = wrapper(dir.path(), &["--", "plain"]);
    assert_refused(command.env("PATH", dir.path()), 126, "ESC505");
}

#[test]
fn variables_too_big_for_the_kernel_are_named() {
    let large = [b"+SMALL=1\0+LARGE=".as_slice(), &vec![b'x'; 200_000], b"\0"].concat();
    let dir = env_dir("environ", &large);
    let stderr = assert_refused(&mut wrapper(dir.path(), &["--", "true"]), 126, "ESC506");
    assert!(stderr.contains("LARGE with 200007 bytes, above the limit of 131072"), "{stderr}");
}

#[test]
fn arguments_too_big_for_the_kernel_are_named() {
    let large = [b"+SMALL=1\0+LARGE=".as_slice(), &vec![b'x'; 131_000], b"\0"].concat();
    let dir = env_dir("environ", &large);
    let flags = ["--replace=1", "--ref=LARGE=", "--ref=LARGE=", "--", "true", "to be replaced"];
    let stderr = assert_refused(&mut wrapper(dir.path(), &flags), 126, "ESC506");
    let expected = "the largest is word 1 of the command with 262001 bytes, above the limit of 131072";
    assert!(stderr.contains(expected), "{stderr}");
}

#[test]
fn many_variables_that_are_too_big_together_are_told_with_the_limit() {
    let mut large = Vec::new();
    for index in 0..100 {
        large.extend(format!("+V{index}={}\0", "x".repeat(100_000)).into_bytes());
    }
    let dir = env_dir("environ", &large);
    let stderr = assert_refused(&mut wrapper(dir.path(), &["--", "true"]), 126, "ESC506");
    assert!(
        stderr.contains(" bytes of ") && stderr.contains(" allowed; the largest is variable V"),
        "{stderr}"
    );
    assert!(!stderr.contains("for one"), "{stderr}");
}

#[test]
fn ten_thousand_variables_arrive() {
    let mut many = Vec::new();
    for index in 0..10_000 {
        many.extend(format!("+VARIABLE_{index}=value {index}\0").into_bytes());
    }
    let dir = env_dir("environ", &many);
    let (output, stderr) = run(&mut wrapper(dir.path(), &["--", "env", "-0"]));
    assert_eq!(stderr, "");
    let seen: std::collections::BTreeSet<_> = stdout(&output).split_terminator('\0').collect();
    assert_eq!(seen.len(), 10_001, "and PATH");
    assert!((0..10_000).all(|index| seen.contains(format!("VARIABLE_{index}=value {index}").as_str())));
}

#[test]
fn relative_commands_are_looked_up_from_the_working_directory() {
    let dir = env_dir("environ", b"+A=1\0");
    fs::create_dir(dir.path().join("bin")).unwrap();
    let tool = dir.path().join("bin/tool");
    fs::write(&tool, "#!/bin/sh\necho \"$0 $A\"").unwrap();
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).unwrap();
    for (program, path, name) in [
        ("bin/tool", "/nowhere", "bin/tool"),
        ("./bin/tool", "/nowhere", "./bin/tool"),
        ("tool", "bin", "./bin/tool"),
    ] {
        let mut command = wrapper(dir.path(), &["--", program]);
        let (output, stderr) = run(command.env("PATH", path).current_dir(dir.path()));
        assert_eq!(stdout(&output), format!("{name} 1\n"), "{program} {stderr}");
    }
    // An empty entry of PATH is the working directory.
    let mut command = wrapper(dir.path(), &["--", "tool"]);
    let (output, stderr) = run(command.env("PATH", "/nowhere:").current_dir(dir.path().join("bin")));
    assert_eq!(stdout(&output), "./tool 1\n", "{stderr}");
}

#[test]
#[cfg_attr(not(target_env = "musl"), ignore = "glibc itself gives to a shell what the kernel does not know")]
fn a_program_for_another_machine_is_not_given_to_a_shell() {
    let dir = env_dir("environ", b"");
    let program = dir.path().join("foreign");
    // The head of an ELF file of no machine, and then what a shell would run.
    fs::write(&program, b"\x7fELF\necho started\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    assert_refused(&mut wrapper(dir.path(), &["--", program.to_str().unwrap()]), 126, "ESC505");
}

#[test]
fn starts_without_variables_only_when_the_agent_left_its_mark() {
    let marked = env_dir("degraded", b"ESC301");
    let (output, stderr) =
        run(&mut wrapper(marked.path(), &["--set=A", "--ref=B=$(B)", "--", "sh", "-c", "echo \"$A\""]));
    assert_eq!((output.status.code(), stdout(&output)), (Some(0), "$(B)\n"));
    assert!(stderr.contains("[ESC507]") && stderr.contains("ESC301"), "{stderr}");

    let empty = tempfile::tempdir().unwrap();
    assert_refused(&mut wrapper(empty.path(), &["--", "echo", "started"]), 78, "ESC502");
    assert_refused(&mut wrapper(&empty.path().join("none"), &["--", "echo", "started"]), 78, "ESC502");
}

#[test]
fn variables_that_can_not_be_read_keep_the_application_from_starting() {
    let broken = env_dir("environ", format!("+A={PASSWORD}").as_bytes());
    assert_refused(&mut wrapper(broken.path(), &["--", "echo", "started"]), 78, "ESC503");
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("environ")).unwrap();
    assert_refused(&mut wrapper(directory.path(), &["--", "echo", "started"]), 78, "ESC503");
}

#[test]
fn malformed_arguments_are_refused() {
    let dir = env_dir("environ", b"");
    let cases: [&[&str]; 4] =
        [&["--"], &["echo"], &["--nonsense=1", "--", "echo"], &["--replace=7", "--", "echo"]];
    for arguments in cases {
        assert_refused(&mut wrapper(dir.path(), arguments), 64, "ESC501");
    }
}

#[test]
fn bytes_that_are_no_text_pass_unharmed() {
    let dir = env_dir("environ", b"+BYTES=\xff\xfe\0");
    let odd = std::ffi::OsString::from_vec(b"\xf0\x28".to_vec());
    let mut command =
        wrapper(dir.path(), &["--", "sh", "-c", "printf '%s|%s|%s' \"$BYTES\" \"$INHERITED\" \"$0\""]);
    let output = command.arg(&odd).env("INHERITED", OsStr::from_bytes(b"\xc3")).output().unwrap();
    assert_eq!(output.stdout, b"\xff\xfe|\xc3|\xf0\x28");
    let mut command = wrapper(dir.path(), &["--", "env", "-0"]);
    let output =
        command.env(OsStr::from_bytes(b"N\xff-\xfe"), OsStr::from_bytes(b"\xc3=\n")).output().unwrap();
    let entries: Vec<_> = output.stdout.split(|&byte| byte == 0).collect();
    assert!(
        entries.contains(&b"N\xff-\xfe=\xc3=\n".as_slice())
            && entries.contains(&b"BYTES=\xff\xfe".as_slice())
    );
}

#[test]
fn help_explains_the_wrapper() {
    let output = Command::new(BINARY).args(["exec", "--help"]).output().unwrap();
    assert!(output.status.success());
    assert!(stdout(&output).contains("--env-dir"));
}
