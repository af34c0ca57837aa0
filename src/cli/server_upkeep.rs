//! `esc-injector server compact` and `server rekey`: care for a data directory that no server has open.

use std::{path::PathBuf, process::ExitCode};

use super::{
    exit::{Exit, Failure},
    output,
};
use crate::server::upkeep::{self, Compacted, Rekeyed};

/// Give the room of what is no longer kept back to the file system; the server must be stopped
#[derive(Debug, clap::Args)]
pub struct Compact {
    /// Data directory
    #[arg(long, env = "ESC_INJECTOR_DATA", value_name = "DIR")]
    data: PathBuf,
}

/// Seal all secrets with a new key; the server must be stopped
///
/// All of them or none: when it was cut off, run it again.
#[derive(Debug, clap::Args)]
pub struct Rekey {
    /// Data directory
    #[arg(long, env = "ESC_INJECTOR_DATA", value_name = "DIR")]
    data: PathBuf,
    /// Key that the secrets are sealed with [default: DIR/key]
    #[arg(long, env = "ESC_INJECTOR_KEY_FILE", value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Key to seal them with, made when missing [default: a new one takes the place of the old, which is kept as FILE.old]
    #[arg(long, value_name = "FILE")]
    new_key_file: Option<PathBuf>,
}

/// Runs `server compact`.
pub fn compact(args: &Compact) -> Result<ExitCode, Failure> {
    let done =
        upkeep::compact(&args.data).map_err(|error| Failure::from_error(Exit::Configuration, &error))?;
    let Compacted { before, after } = done;
    output::print(|out| writeln!(out, "{before} bytes before, {after} bytes now"))?;
    Ok(ExitCode::SUCCESS)
}

/// Runs `server rekey`.
pub fn rekey(args: Rekey) -> Result<ExitCode, Failure> {
    let Rekey { data, key_file, new_key_file } = args;
    if let Some(new) = &new_key_file {
        let current = key_file.clone().unwrap_or_else(|| data.join("key"));
        if let (Ok(current), Ok(new)) = (current.canonicalize(), new.canonicalize())
            && current == new
        {
            return Err(Failure::new(Exit::Usage, "--new-key-file is the key that is to be replaced"));
        }
    }
    let done = upkeep::rekey(&data, key_file, new_key_file.as_deref())
        .map_err(|error| Failure::from_error(Exit::Configuration, &error))?;
    let Rekeyed { definitions, key, old } = done;
    output::print(|out| {
        writeln!(out, "{definitions} definitions are sealed with the key in {}", key.display())?;
        match old {
            Some(old) => writeln!(out, "the old key is in {}: backups from before need it", old.display()),
            None => Ok(()),
        }
    })?;
    Ok(ExitCode::SUCCESS)
}
