//! Exit codes, after sysexits, and the failure that carries one to `main`.

use std::{error::Error, io::Write, process::ExitCode};

use serde_json::{Value, json};

use crate::codes;

/// What a process says with its exit code. Scripts rely on these numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// All went well.
    Success = 0,
    /// The command line is wrong (`EX_USAGE`).
    Usage = 64,
    /// The input data is wrong (`EX_DATAERR`).
    Data = 65,
    /// Something needed can't be reached (`EX_UNAVAILABLE`).
    Unreachable = 69,
    /// A defect of ours (`EX_SOFTWARE`).
    Internal = 70,
    /// It may work later (`EX_TEMPFAIL`).
    Temporary = 75,
    /// Access is denied (`EX_NOPERM`).
    Denied = 77,
    /// The configuration is wrong (`EX_CONFIG`).
    Configuration = 78,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command failed, in words for a person, and the exit code for a script.
#[derive(Debug)]
pub struct Failure {
    exit: Exit,
    message: String,
}

impl Failure {
    /// A failure in our own words.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into() }
    }

    /// A failure told by an error and all its sources.
    pub fn from_error(exit: Exit, error: &dyn Error) -> Self {
        Self::new(exit, chain(error))
    }

    /// What failed, for those who go on without.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What failed, for programs: the message, the codes that it shows and the exit code.
    pub fn to_json(&self) -> Value {
        json!({"message": self.message, "codes": codes::shown(&self.message), "exit": self.exit as u8})
    }

    /// Writes the message, and where to read on about its codes, to stderr, and gives the exit code.
    pub fn report(&self) -> ExitCode {
        let hint = codes::hint(&self.message).map(|hint| format!("\n{hint}")).unwrap_or_default();
        // Nobody is left to tell when stderr itself is closed.
        let _ = writeln!(anstream::stderr(), "error: {}{hint}", self.message);
        self.exit.into()
    }
}

/// An error and its sources in one line: `what: why: why`.
pub fn chain(error: &dyn Error) -> String {
    let mut message = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        // Some libraries repeat their source's text in their own, and not only at its end.
        if !message.contains(&text) {
            message.push_str(": ");
            message.push_str(&text);
        }
        source = cause.source();
    }
    message
}
