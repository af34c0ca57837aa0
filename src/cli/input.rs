//! Manifests that a command line names: files, directories, standard input.

use std::{
    io::{self, IsTerminal, Read},
    path::{Path, PathBuf},
};

use super::{
    exit::{Exit, Failure},
    names,
};
use crate::{inject::problem::one_line, manifest::finding::STDIN};

/// Manifests larger than this are no manifests.
const MAX_INPUT: u64 = 64 * MIB;

const MIB: u64 = 1024 * 1024;

/// Which manifests a command is about.
#[derive(Debug, clap::Args)]
pub struct Named {
    /// File or directory (its .yaml, .yml and .json files, not those below) of manifests; - is standard input (repeatable)
    #[arg(short, long = "filename", value_name = "FILE|DIR|-")]
    filename: Vec<PathBuf>,
    /// Namespace of objects that name none
    #[arg(short, long, default_value = "default", value_parser = names::label)]
    pub namespace: String,
}

/// A text, and where it comes from.
#[derive(Debug)]
pub struct Text {
    /// The file; none for standard input.
    pub file: Option<String>,
    /// The directory that was named and has it among others.
    pub directory: Option<String>,
    /// What it holds, or why it can't be read.
    pub text: Result<String, String>,
}

impl Text {
    /// For messages.
    pub fn name(&self) -> &str {
        self.file.as_deref().unwrap_or(STDIN)
    }

    /// What it holds, for those who can't go on without.
    fn read(self) -> Result<(String, String), Failure> {
        let name = self.name().to_owned();
        match self.text {
            Ok(text) => Ok((name, text)),
            Err(why) => Err(Failure::new(Exit::Data, format!("{}: {why}", one_line(&name)))),
        }
    }
}

impl Named {
    /// Every text that is named; standard input if none is and it is no terminal. Of a directory, its own files that end
    /// in .yaml, .yml or .json, by name; one without such files is an empty text.
    pub fn find(&self) -> Result<Vec<Text>, Failure> {
        find(&self.filename)
    }

    /// The same, if all can be read: names and texts.
    pub fn read(&self) -> Result<Vec<(String, String)>, Failure> {
        self.find()?.into_iter().map(Text::read).collect()
    }
}

fn find(names: &[PathBuf]) -> Result<Vec<Text>, Failure> {
    if names.is_empty() {
        if io::stdin().is_terminal() {
            return Err(Failure::new(
                Exit::Usage,
                "nothing to read: name a file with -f, or pipe manifests in",
            ));
        }
        return Ok(vec![read_stdin()]);
    }
    let mut texts = Vec::new();
    for name in names {
        if name.as_os_str() == "-" {
            texts.push(read_stdin());
        } else if name.is_dir() {
            let directory = name.display().to_string();
            let whole = |text| Text { file: Some(directory.clone()), directory: None, text };
            match manifests_in(name) {
                Ok(files) if files.is_empty() => texts.push(whole(Ok(String::new()))),
                Ok(files) => {
                    let of_directory =
                        |file: &PathBuf| Text { directory: Some(directory.clone()), ..read_file(file) };
                    texts.extend(files.iter().map(of_directory));
                }
                Err(error) => texts.push(whole(Err(error.to_string()))),
            }
        } else {
            texts.push(read_file(name));
        }
    }
    Ok(texts)
}

/// A text file that a flag names, if it is no larger than so many bytes; devices never end.
pub fn read_small(path: &Path, most: u64) -> Result<String, String> {
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    read_limited(file, most)
}

fn read_stdin() -> Text {
    Text { file: None, directory: None, text: read_limited(io::stdin().lock(), MAX_INPUT) }
}

fn read_file(path: &Path) -> Text {
    Text { file: Some(path.display().to_string()), directory: None, text: read_small(path, MAX_INPUT) }
}

fn read_limited(reader: impl Read, most: u64) -> Result<String, String> {
    let mut bytes = Vec::new();
    reader.take(most + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > most {
        let (size, unit) = if most < MIB { (most / 1024, "KiB") } else { (most / MIB, "MiB") };
        return Err(format!("larger than {size} {unit}"));
    }
    String::from_utf8(bytes).map_err(|error| not_utf8(error.as_bytes(), error.utf8_error().valid_up_to()))
}

/// What is wrong with a text that is no UTF-8, as precisely as can be told without showing it.
fn not_utf8(bytes: &[u8], at: usize) -> String {
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        // What PowerShell's `>` writes.
        return "the text is UTF-16: save it as UTF-8".to_owned();
    }
    let line = bytes.iter().take(at).filter(|byte| **byte == b'\n').count() + 1;
    format!("line {line}: the text is not UTF-8")
}

/// The manifests of a directory, by name.
fn manifests_in(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        let is_manifest =
            path.extension().is_some_and(|kind| kind == "yaml" || kind == "yml" || kind == "json");
        // A link that leads nowhere was meant to be one: reading it says so.
        if is_manifest && (path.is_file() || path.is_symlink() && !path.exists()) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
