//! Standard output for commands: colours only on a terminal and never with `NO_COLOR`; a closed pipe is no error.

use std::{
    env,
    io::{self, Write},
};

use serde::Serialize;
use serde_json::Value;

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

impl Failure {
    /// Prints the one document that a program waits for who asked for JSON: with what failed as its member `error`, beside
    /// others that it looks for. The failure is still to be reported.
    #[must_use]
    pub fn with_document(self, mut document: Value) -> Self {
        if let Some(members) = document.as_object_mut() {
            members.insert("error".to_owned(), self.to_json());
        }
        // What keeps it from being written may be what is reported already.
        let _ = print_json(&document);
        self
    }
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
