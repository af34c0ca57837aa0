//! Manifests that a command line names: files, directories, standard input.

use std::{
    io::{self, IsTerminal, Read},
    path::{Path, PathBuf},
};

use super::exit::{Exit, Failure};

/// Manifests larger than this are no manifests.
const MAX_INPUT: u64 = 64 * 1024 * 1024;

/// A text, and where it comes from.
#[derive(Debug)]
pub struct Text {
    /// The file; none for standard input.
    pub file: Option<String>,
    /// What it holds.
    pub text: String,
}

impl Text {
    /// For messages.
    pub fn name(&self) -> &str {
        self.file.as_deref().unwrap_or("standard input")
    }
}

/// Every text that is named; standard input if none is and it is no terminal. Of a directory, its own files that end in
/// .yaml, .yml or .json, by name.
pub fn read_all(names: &[PathBuf]) -> Result<Vec<Text>, Failure> {
    if names.is_empty() {
        if io::stdin().is_terminal() {
            return Err(Failure::new(
                Exit::Usage,
                "nothing to read: name a file with -f, or pipe manifests in",
            ));
        }
        return Ok(vec![read_stdin()?]);
    }
    let mut texts = Vec::new();
    for name in names {
        if name.as_os_str() == "-" {
            texts.push(read_stdin()?);
        } else if name.is_dir() {
            for file in manifests_in(name).map_err(|error| unreadable(name, &error))? {
                texts.push(read_file(&file)?);
            }
        } else {
            texts.push(read_file(name)?);
        }
    }
    Ok(texts)
}

fn read_stdin() -> Result<Text, Failure> {
    let text = read_limited(io::stdin().lock());
    let text = text.map_err(|error| unreadable(Path::new("standard input"), &error))?;
    Ok(Text { file: None, text })
}

fn read_file(path: &Path) -> Result<Text, Failure> {
    let text = std::fs::File::open(path).and_then(read_limited).map_err(|error| unreadable(path, &error))?;
    Ok(Text { file: Some(path.display().to_string()), text })
}

fn read_limited(reader: impl Read) -> io::Result<String> {
    let mut text = String::new();
    reader.take(MAX_INPUT + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_INPUT {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than 64 MiB"));
    }
    Ok(text)
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::new(Exit::Data, format!("{}: {error}", path.display()))
}

/// The manifests of a directory, by name.
fn manifests_in(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        let is_manifest =
            path.extension().is_some_and(|kind| kind == "yaml" || kind == "yml" || kind == "json");
        if is_manifest && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
