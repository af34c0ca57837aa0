//! Programs that a user runs, never for longer than a minute.

use std::{
    io::Write,
    process::{Command, Stdio},
};

/// How a program ended.
#[derive(Debug)]
pub struct Ran {
    pub ok: bool,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// What it printed, if it succeeded.
    #[track_caller]
    pub fn expect(self, what: &str) -> String {
        assert!(self.ok, "{what}: {}{}", self.stdout, self.stderr);
        self.stdout
    }

    /// What it complained about, if it failed.
    #[track_caller]
    pub fn expect_refusal(self, what: &str) -> String {
        assert!(!self.ok, "{what}: it should have been refused: {}", self.stdout);
        self.stderr
    }
}

/// Runs a prepared program under a time limit, with this on its standard input.
pub fn run(program: &Command, input: &str) -> Ran {
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", "60"]).arg(program.get_program()).args(program.get_args());
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    if let Some(directory) = program.get_current_dir() {
        command.current_dir(directory);
    }
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program:?}: {error}"));
    // A program that ends without reading closes the pipe, and says why by itself.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ran { ok: output.status.success(), stdout: text(output.stdout), stderr: text(output.stderr) }
}
