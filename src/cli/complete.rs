//! What may come next on a command line, for `kubectl esc` and a Tab: kubectl asks a program `kubectl_complete-esc` on the
//! PATH, with the words so far and the one that is being typed. It gets a candidate a line, each with a tab and a
//! description if there is one, and on the last line a colon and what its shell is to do besides.

use std::{env, ffi::OsString, process::ExitCode};

use clap::{Arg, Command, ValueHint};

use super::output;
use crate::codes;

/// What the shell is to do besides: bits of Cobra's, which kubectl is made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Besides {
    /// Offer files where there is no candidate.
    Files = 0,
    /// Nothing.
    Nothing = 4,
}

/// Words that may come next.
struct Answer {
    candidates: Vec<(String, String)>,
    besides: Besides,
}

/// Answers kubectl. Nobody would see an error, so that there is none.
pub fn answer(mut command: Command) -> ExitCode {
    command.build();
    let text = |word: OsString| word.to_string_lossy().into_owned();
    let words: Vec<String> = env::args_os().skip(1).map(text).collect();
    let Answer { candidates, besides } = next(&command, &words);
    let _ = output::print(|out| {
        for (word, about) in &candidates {
            let separator = if about.is_empty() { "" } else { "\t" };
            writeln!(out, "{word}{separator}{about}")?;
        }
        writeln!(out, ":{}", besides as u8)
    });
    ExitCode::SUCCESS
}

fn next(root: &Command, words: &[String]) -> Answer {
    let (current, before) = words.split_last().map_or(("", words), |(last, before)| (last.as_str(), before));
    let mut command = root;
    let mut positionals = 0;
    let mut waiting: Option<&Arg> = None;
    for word in before {
        if waiting.take().is_some() {
            continue;
        }
        if word == "--" {
            // A command of somebody else's.
            return Answer { candidates: Vec::new(), besides: Besides::Files };
        }
        if word.starts_with('-') && word != "-" {
            waiting = flag(command, word).filter(|arg| takes_value(arg) && !word.contains('='));
        } else if let Some(below) = command.find_subcommand(word) {
            (command, positionals) = (below, 0);
        } else {
            positionals += 1;
        }
    }
    if let Some(arg) = waiting {
        return values(arg, "", current);
    }
    if let Some((name, value)) = current.split_once('=').filter(|_| current.starts_with("--")) {
        return flag(command, name)
            .map_or_else(Answer::nothing, |arg| values(arg, &format!("{name}="), value));
    }
    if current.starts_with('-') {
        return Answer::of(flags(command), current);
    }
    if command.has_subcommands() {
        let visible = command.get_subcommands().filter(|below| !below.is_hide_set());
        return Answer::of(
            visible.map(|below| (below.get_name().to_owned(), first_line(below.get_about()))),
            current,
        );
    }
    if command.get_name() == "explain" {
        let codes = codes::all().map(|code| (code.id().to_owned(), code.entry().title.to_owned()));
        return Answer::of(codes, &current.to_ascii_uppercase());
    }
    // The last takes all that follow, if it takes several.
    let last = command.get_positionals().last();
    let arg = command.get_positionals().nth(positionals).or_else(|| last.filter(|arg| takes_many(arg)));
    arg.map_or_else(Answer::nothing, |arg| values(arg, "", current))
}

impl Answer {
    fn nothing() -> Self {
        Self { candidates: Vec::new(), besides: Besides::Nothing }
    }

    fn of(candidates: impl Iterator<Item = (String, String)>, begin: &str) -> Self {
        let candidates = candidates.filter(|(word, _)| word.starts_with(begin)).collect();
        Self { candidates, besides: Besides::Nothing }
    }
}

/// What a flag or argument takes: its words, or files.
fn values(arg: &Arg, before: &str, begin: &str) -> Answer {
    let possible = arg.get_possible_values();
    let visible = possible.iter().filter(|value| !value.is_hide_set());
    let words = visible.map(|value| (value.get_name().to_owned(), first_line(value.get_help())));
    let mut answer = Answer::of(words, begin);
    for (word, _) in &mut answer.candidates {
        word.insert_str(0, before);
    }
    if matches!(arg.get_value_hint(), ValueHint::AnyPath | ValueHint::FilePath | ValueHint::DirPath) {
        answer.besides = Besides::Files;
    }
    answer
}

fn takes_value(arg: &Arg) -> bool {
    arg.get_action().takes_values()
}

fn takes_many(arg: &Arg) -> bool {
    arg.get_num_args().is_some_and(|count| count.max_values() > 1)
}

/// The flag that a word is: `--name`, `--name=value` or `-n`.
fn flag<'c>(command: &'c Command, word: &str) -> Option<&'c Arg> {
    let name = word.split('=').next().unwrap_or(word);
    command.get_arguments().find(|arg| match name.strip_prefix("--") {
        Some(long) => arg.get_long() == Some(long),
        None => arg.get_short().is_some_and(|short| name == format!("-{short}")),
    })
}

fn flags(command: &Command) -> impl Iterator<Item = (String, String)> {
    let visible = command.get_arguments().filter(|arg| !arg.is_hide_set());
    visible.filter_map(|arg| Some((format!("--{}", arg.get_long()?), first_line(arg.get_help()))))
}

fn first_line(text: Option<&clap::builder::StyledStr>) -> String {
    let text = text.map(ToString::to_string).unwrap_or_default();
    text.lines().next().unwrap_or_default().to_owned()
}
