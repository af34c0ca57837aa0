//! Standard output for commands: colours only on a terminal and never with `NO_COLOR`; a closed pipe is no error.

use std::io::{self, Write};

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

/// What became of writing to standard output.
pub fn written(result: io::Result<()>) -> Result<(), Failure> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(Failure::new(Exit::Internal, format!("writing to standard output: {error}"))),
        Ok(()) => Ok(()),
    }
}

/// Columns for text that a person reads: the terminal's; `COLUMNS` where it is set; else what fits most logs.
pub fn width() -> usize {
    /// A line that is still read with ease.
    const DEFAULT: usize = 100;
    let said = std::env::var("COLUMNS").ok().and_then(|text| text.parse::<usize>().ok());
    let terminal = || rustix::termios::tcgetwinsize(io::stdout()).ok().map(|size| usize::from(size.ws_col));
    said.or_else(terminal).filter(|columns| *columns > 0).unwrap_or(DEFAULT)
}
