//! `esc-injector certs`: an authority and a serving certificate for those who manage them by hand.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, SystemTime},
};

use tempfile::NamedTempFile;

use super::{
    exit::{Exit, Failure},
    names, output,
};
use crate::webhook::certs::{
    Lifetimes,
    authority::{Authority, AuthorityError, service_names},
};

/// Make a CA and a serving certificate, for certificates managed by hand.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Service that the API server calls
    #[arg(long, value_name = "NAME", default_value = "esc-injector", value_parser = names::label)]
    service_name: String,
    /// The Service's namespace
    #[arg(long, value_name = "NAME", value_parser = names::label)]
    namespace: String,
    /// Another name or IP address of the certificate (repeatable)
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    dns: Vec<String>,
    /// Directory for ca.crt, ca.key, tls.crt and tls.key; made if it is missing
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// How long both certificates are good
    #[arg(long, value_name = "N", default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    days: u32,
}

/// A file to be: name, text, mode.
type File = (&'static str, Vec<u8>, u32);

/// Runs the command.
pub fn run(args: Args) -> Result<ExitCode, Failure> {
    let Args { service_name, namespace, dns, out, days } = args;
    let mut names = service_names(&service_name, &namespace);
    names.extend(dns);
    let files = make(&names, days).map_err(|error| Failure::from_error(Exit::Data, &error))?;
    let failed = |path: &Path, error: &io::Error| {
        let exit = if error.kind() == io::ErrorKind::AlreadyExists { Exit::Data } else { Exit::Internal };
        Failure::new(exit, format!("writing {}: {error}; nothing was written", path.display()))
    };
    write(&out, &files).map_err(|(path, error)| failed(&path, &error))?;
    output::print(|to| {
        for (name, ..) in &files {
            writeln!(to, "{}", out.join(name).display())?;
        }
        Ok(())
    })?;
    Ok(ExitCode::SUCCESS)
}

fn make(names: &[String], days: u32) -> Result<[File; 4], AuthorityError> {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    const PUBLIC: u32 = 0o644;
    const PRIVATE: u32 = 0o600;
    let lifetimes = Lifetimes { authority: DAY * days, leaf: DAY * days, ..Lifetimes::default() };
    let now = SystemTime::now();
    let authority = Authority::generate(now, &lifetimes)?;
    let leaf = authority.sign(names, now, &lifetimes)?;
    Ok([
        ("ca.crt", authority.root().pem().into_bytes(), PUBLIC),
        ("ca.key", authority.key().expose().to_vec(), PRIVATE),
        ("tls.crt", leaf.certificate.into_bytes(), PUBLIC),
        ("tls.key", leaf.key.as_bytes().to_vec(), PRIVATE),
    ])
}

/// Writes all of them or none, and never over another file.
fn write(directory: &Path, files: &[File]) -> Result<(), (PathBuf, io::Error)> {
    let in_directory = |error| (directory.to_owned(), error);
    fs::create_dir_all(directory).map_err(in_directory)?;
    let mut prepared = Vec::new();
    for (name, text, mode) in files {
        let path = directory.join(name);
        let prepare = || {
            if path.try_exists()? {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            // Private from its first byte on.
            let mut file = NamedTempFile::new_in(directory)?;
            file.write_all(text)?;
            file.as_file().set_permissions(fs::Permissions::from_mode(*mode))?;
            file.as_file().sync_all()?;
            Ok(file)
        };
        match prepare() {
            Ok(file) => prepared.push((file, path)),
            Err(error) => return Err((path, error)),
        }
    }
    let mut done: Vec<PathBuf> = Vec::new();
    for (file, path) in prepared {
        if let Err(error) = file.persist_noclobber(&path) {
            for path in done {
                // What can't be taken away either is at least whole.
                let _ = fs::remove_file(path);
            }
            return Err((path, error.error));
        }
        done.push(path);
    }
    Ok(())
}
