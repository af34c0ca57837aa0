//! Standard output for commands: colours only on a terminal and never with `NO_COLOR`; a closed pipe is no error.

use std::{
    env,
    io::{self, Write},
};

use serde::Serialize;

use super::exit::{Exit, Failure};

/// Locked standard output that strips colours where they don't belong.
pub fn stdout() -> anstream::AutoStream<io::StdoutLock<'static>> {
    anstream::stdout().lock()
}

/// Writes to standard output whatever `write` writes. A reader that went away (`| head`) is not our failure.
pub fn print(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Failure> {
    let mut out = stdout();
    written(write(&mut out).and_then(|()| out.flush()))
}

/// Writes a document for programs.
pub fn print_json(document: &impl Serialize) -> Result<(), Failure> {
    print(|out| write_json(out, document))
}

/// A document for programs, as they and people read it.
pub fn write_json(out: &mut dyn Write, document: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, document)?;
    writeln!(out)
}

/// What became of writing to standard output.
pub fn written(result: io::Result<()>) -> Result<(), Failure> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(Failure::new(Exit::Internal, format!("writing to standard output: {error}"))),
        Ok(()) => Ok(()),
    }
}

/// Columns that text for people may take: the terminal's, else what `COLUMNS` says, as for `--help`.
pub fn width() -> usize {
    /// Where nobody knows, and the most: longer lines are hard to read.
    const WIDEST: usize = 80;
    /// Below, there is no text any more but a column of words.
    const NARROWEST: usize = 20;
    let terminal = rustix::termios::tcgetwinsize(io::stdout()).ok().map(|size| usize::from(size.ws_col));
    let terminal = terminal.filter(|columns| *columns > 0);
    let said = || env::var("COLUMNS").ok()?.parse().ok();
    terminal.or_else(said).unwrap_or(WIDEST).clamp(NARROWEST, WIDEST)
}

/// The text in lines that leave room for so many columns before them. A word that is too long has a line of its own,
/// whole: it is a name that somebody wants to copy.
pub fn wrapped(text: &str, width: usize, before: usize) -> Vec<String> {
    let room = width.saturating_sub(before);
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= room => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::wrapped;

    #[test]
    fn text_is_wrapped_between_words_and_long_words_stay_whole() {
        let text = "one two esc_injector_certificate_sync three ä ö";
        assert_eq!(wrapped(text, 12, 2), ["one two", "esc_injector_certificate_sync", "three ä ö"]);
        assert_eq!(wrapped(text, 80, 2), [text]);
        assert_eq!(wrapped("", 80, 2), Vec::<String>::new());
        assert_eq!(wrapped("a b", 0, 2), ["a", "b"]);
    }
}
