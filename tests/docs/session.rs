//! A page's commands, run one after the other in one shell and one fresh directory, as a reader would type them.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fmt::Write as _,
    io::{BufRead, BufReader, Write},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;

use super::{
    blocks::{is_there, skipped},
    elision, root,
};

/// A command that says nothing for so long has hung. The longest builds the release binary on a busy machine.
const PATIENCE: Duration = Duration::from_secs(1800);

/// How long a server may take to say what its page shows.
const STARTUP: Duration = Duration::from_secs(60);

/// What the pages call the address of a local server. Tests take a free port.
const ADDRESS: &str = "http://127.0.0.1:";

/// A command as a page shows it.
#[derive(Debug, PartialEq, Eq)]
pub struct Step {
    pub command: String,
    /// What it prints; empty where the page does not show it.
    pub shown: String,
}

/// The commands of a block: lines after `$ ` or, for root, `# `, with what they go on with.
pub fn steps(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut goes_on = false;
    let mut terminator: Option<String> = None;
    for line in text.lines() {
        if let (true, Some(step)) = (goes_on, steps.last_mut()) {
            step.command.push('\n');
            step.command.push_str(line);
            match &terminator {
                Some(word) => goes_on = line != word,
                None => goes_on = line.ends_with(['\\', '|']),
            }
        } else if let Some(command) = line.strip_prefix("$ ").or_else(|| line.strip_prefix("# ")) {
            terminator = command.split_once("<<").map(|(_, word)| word.trim_matches(['\'', '-']).to_owned());
            goes_on = command.ends_with(['\\', '|']) || terminator.is_some();
            steps.push(Step { command: command.to_owned(), shown: String::new() });
        } else if let Some(step) = steps.last_mut() {
            writeln!(step.shown, "{line}").unwrap();
        } else {
            panic!("a block begins with what no command printed: {line}");
        }
    }
    for step in &mut steps {
        step.shown.truncate(step.shown.trim_end().len());
    }
    steps
}

pub struct Session {
    shell: Child,
    input: ChildStdin,
    marks: Receiver<String>,
    work: TempDir,
    commands: usize,
    /// What the page says, and what it is here: addresses, tokens.
    names: Vec<(String, String)>,
}

impl Session {
    /// In a directory with a copy of the examples, and the binary under test first on the path.
    pub fn new() -> Self {
        let work = tempfile::tempdir().unwrap();
        copy(&root().join("deploy"), &work.path().join("deploy"));
        let binary = Path::new(env!("CARGO_BIN_EXE_esc-injector")).parent().unwrap();
        Self::start(work, binary, &BTreeMap::new())
    }

    /// In a directory that is there, with what is not inherited from here.
    pub fn start(work: TempDir, binary: &Path, variables: &BTreeMap<&str, OsString>) -> Self {
        let esc = std::env::var_os("ESC_CLI").map(PathBuf::from);
        let esc = esc.as_deref().and_then(Path::parent).map(Path::to_owned);
        let inherited = std::env::var_os("PATH").unwrap();
        let path = [binary.to_owned()].into_iter().chain(esc).chain(std::env::split_paths(&inherited));
        let path = std::env::join_paths(path).unwrap();
        let home = work.path().join(".home");
        std::fs::create_dir_all(&home).unwrap();
        let mut command = Command::new("bash");
        command.args(["--noprofile", "--norc"]).current_dir(work.path()).env_clear();
        command.env("PATH", path).env("HOME", home).env("NO_COLOR", "1").env("LANG", "C.UTF-8");
        // No port of a page's is taken: others may run at the same time.
        command.env("ESC_INJECTOR_LISTEN", "127.0.0.1:0").envs(variables);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()).process_group(0);
        let mut shell = command.spawn().expect("bash starts");
        let output = BufReader::new(shell.stdout.take().unwrap());
        let (send, marks) = channel();
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| send.send(line)));
        let input = shell.stdin.take().unwrap();
        Self { shell, input, marks, work, commands: 0, names: Vec::new() }
    }

    /// A file that the page tells its reader to write.
    #[expect(clippy::disallowed_methods, reason = "a file of the test's own")]
    pub fn write(&self, name: &str, text: &str) {
        let path = self.work.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Runs a command to its end. Fails if it does, or does not although it `should_fail`, or prints something else.
    pub fn run(&mut self, step: &Step, should_fail: bool) -> Result<(), String> {
        let out = self.next_output();
        let command = self.here(&step.command);
        let script = format!("{{ {command}\n}} >{out} 2>&1 </dev/null; echo $?\n", out = out.display());
        self.input.write_all(script.as_bytes()).map_err(|error| error.to_string())?;
        let status = self.marks.recv_timeout(PATIENCE).map_err(|error| format!("no end: {error}"))?;
        let printed = std::fs::read_to_string(&out).map_err(|error| error.to_string())?;
        if (status != "0") != should_fail {
            return Err(format!("ends with {status}:\n{printed}"));
        }
        self.compare(&step.shown, &printed)
    }

    /// Starts a server that runs until the page ends, and waits until it has said what the page shows.
    pub fn serve(&mut self, step: &Step) -> Result<(), String> {
        let out = self.next_output();
        let command = any_port(&self.here(&step.command));
        let script = format!("{{ {command}\n}} >{out} 2>{out}.log </dev/null &\n", out = out.display());
        self.input.write_all(script.as_bytes()).map_err(|error| error.to_string())?;
        let begun = Instant::now();
        loop {
            let printed = std::fs::read_to_string(&out).unwrap_or_default();
            self.learn_address(&step.shown, &printed);
            match self.compare(&step.shown, &printed) {
                Ok(()) => return Ok(()),
                Err(_) if begun.elapsed() < STARTUP => std::thread::sleep(Duration::from_millis(20)),
                Err(error) => {
                    let log = std::fs::read_to_string(out.with_extension("log")).unwrap_or_default();
                    return Err(format!("{error}\n{log}"));
                }
            }
        }
    }

    fn next_output(&mut self) -> PathBuf {
        self.commands += 1;
        self.work.path().join(format!(".home/{}", self.commands))
    }

    fn compare(&mut self, shown: &str, printed: &str) -> Result<(), String> {
        if shown.is_empty() {
            return Ok(());
        }
        let as_shown = |text: String, names: &[(String, String)]| {
            names.iter().fold(text, |text, (page, here)| text.replace(here, page))
        };
        let printed = as_shown(printed.to_owned(), &self.names);
        let is_new =
            |token: &String| token.ends_with('…') && self.names.iter().all(|(page, _)| page != token);
        let learnt: Vec<_> = token(shown).filter(is_new).into_iter().zip(token(&printed)).collect();
        let printed = as_shown(printed, &learnt);
        if !elision::agrees(shown, &printed) {
            return Err(format!("the page shows:\n{shown}\nand it prints:\n{}", printed.trim_end()));
        }
        self.names.extend(learnt);
        Ok(())
    }

    fn learn_address(&mut self, shown: &str, printed: &str) {
        let address = |text: &str| {
            let rest = text.split_once(&format!("listening on {ADDRESS}"))?.1;
            let port: String = rest.chars().take_while(char::is_ascii_digit).collect();
            rest[port.len()..].starts_with('\n').then(|| format!("127.0.0.1:{port}"))
        };
        if let (Some(page), Some(here)) = (address(&format!("{shown}\n")), address(printed)) {
            self.names.retain(|(known, _)| *known != page);
            self.names.push((page, here));
        }
    }

    /// A text of the page as it has to be here.
    fn here(&self, text: &str) -> String {
        self.names.iter().fold(text.to_owned(), |text, (page, here)| text.replace(page, here))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(group) = Pid::from_raw(i32::try_from(self.shell.id()).unwrap()) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.shell.wait();
    }
}

/// An access token that is random, and which a page shows by its beginning.
fn token(text: &str) -> Option<String> {
    let rest = &text[text.find("pul-")?..];
    let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
    Some(rest[..end].to_owned())
}

/// With a free port instead of the one that the command names.
fn any_port(command: &str) -> String {
    let mut words: Vec<_> = command.split(' ').collect();
    if let Some(at) = words.iter().position(|word| *word == "--listen") {
        words[at + 1] = "127.0.0.1:0";
    }
    words.join(" ")
}

pub fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() { copy(&entry.path(), &target) } else { copy_file(&entry.path(), &target) }
    }
}

pub fn copy_file(from: &Path, to: &Path) {
    std::fs::create_dir_all(to.parent().unwrap()).unwrap();
    std::fs::copy(from, to).unwrap();
}

#[test]
fn commands_go_on_over_lines_and_keep_their_output_apart() {
    let step = |command: &str, shown: &str| Step { command: command.to_owned(), shown: shown.to_owned() };
    assert_eq!(
        steps("$ one \\\n    --more\nsaid\n\nagain\n\n$ two\n$ cat <<'END'\na\nEND\na\n"),
        [step("one \\\n    --more", "said\n\nagain"), step("two", ""), step("cat <<'END'\na\nEND", "a"),]
    );
}

#[test]
fn a_session_notices_what_is_not_as_shown() {
    let mut session = Session::new();
    let step = |command: &str, shown: &str| Step { command: command.to_owned(), shown: shown.to_owned() };
    session.run(&step("A=1; cd deploy", ""), false).unwrap();
    session.run(&step("echo $A; ls", "1\nREADME.md\n…"), false).unwrap();
    session.run(&step("echo other", "something"), false).unwrap_err();
    session.run(&step("sh -c 'exit 3'", ""), false).unwrap_err();
    session.run(&step("true", ""), true).unwrap_err();
    session.run(&step("sh -c 'exit 3'", ""), true).unwrap();
}

#[test]
fn a_server_is_found_wherever_it_listens() {
    if !is_there("curl") {
        return skipped("curl is not there");
    }
    let mut session = Session::new();
    let step = |command: &str, shown: &str| Step { command: command.to_owned(), shown: shown.to_owned() };
    let server = "esc-injector server --dev --listen 127.0.0.1:8087";
    session.serve(&step(server, "listening on http://127.0.0.1:8087\naccess token pul-1234…")).unwrap();
    let ask = "curl -s -H 'Authorization: token pul-1234…' http://127.0.0.1:8087/api/user";
    session.run(&step(ask, "{…\"githubLogin\":\"dev\"…}"), false).unwrap();
}
