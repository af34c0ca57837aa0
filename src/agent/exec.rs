//! The exec wrapper: becomes the application, with the delivered variables set.
//!
//! It starts with every container of every injected pod, so it does nothing but read one small file and exec: no
//! runtime, no logging, no network. It leaves nothing behind that survives the exec (limits, signal masks,
//! handlers), so that the application is what it would have been: the same PID, the same signals.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::{OsStr, OsString},
    fmt,
    fs::File,
    io::{self, Read},
    os::unix::{
        ffi::{OsStrExt, OsStringExt},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::Command,
};

use rustix::{
    fs::Access,
    io::Errno,
    process::{Resource, getrlimit},
};

use super::{
    envfile::{self, EnvFileError, Origin},
    wrapper::{Piece, WrapperError, Wrapping},
};
use crate::{
    codes::{Code, exec as codes},
    secret::Secret,
};

/// Where commands are looked up when the application gets no PATH; what `execvp` assumes.
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// Linux' limit of one `NAME=value`, its NUL included (`MAX_ARG_STRLEN`).
const LARGEST_STRING: usize = 128 * 1024;

/// Why the application does not start.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// The arguments are not the webhook's.
    #[error(transparent)]
    Arguments(#[from] WrapperError),
    /// There is nothing to start.
    #[error("no command follows --")]
    NoCommand,
    /// A replacement is for an argument that does not exist.
    #[error("--replace={index} is beyond the command's {length} words")]
    Beyond {
        /// The index that was given.
        index: usize,
        /// How many words the command has.
        length: usize,
    },
    /// The agent left neither variables nor its mark.
    #[error("{} does not exist", file.display())]
    NotDelivered {
        /// The file that should be there.
        file: PathBuf,
    },
    /// The variables are there and can't be read.
    #[error("reading {}: {source}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not what the agent writes.
    #[error("reading {}: {source}", file.display())]
    Malformed {
        /// The file.
        file: PathBuf,
        /// Why.
        source: EnvFileError,
    },
    /// No such command, or no interpreter for it.
    #[error("starting {}: {why}", program.display())]
    NotFound {
        /// The command's first word.
        program: OsString,
        /// Where it was looked for.
        why: String,
    },
    /// There is such a file, but it is no program for us.
    #[error("starting {}: {source}", program.display())]
    NotExecutable {
        /// The command's first word.
        program: OsString,
        /// Why.
        source: io::Error,
    },
    /// The kernel takes no more variables and arguments.
    #[error("starting {}: {sizes}", program.display())]
    TooBig {
        /// The command's first word.
        program: OsString,
        /// How big they are.
        sizes: Sizes,
    },
}

/// What the kernel found too big.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sizes {
    /// Bytes of all variables and arguments, with a pointer for each.
    pub total: usize,
    /// What the kernel allows for all of them; none where that is not known.
    pub allowed: Option<usize>,
    /// The largest one.
    pub largest: Largest,
    /// Bytes of the largest one.
    pub size: usize,
}

/// What is largest among variables and arguments. Names, never values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Largest {
    /// A variable, by name.
    Variable(OsString),
    /// A word of the command line, by its index.
    Word(usize),
}

impl fmt::Display for Sizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { total, allowed, largest, size } = self;
        write!(f, "variables and arguments are too big: {total} bytes")?;
        if let Some(allowed) = allowed {
            write!(f, " of {allowed} allowed")?;
        }
        match largest {
            Largest::Variable(name) => write!(f, "; the largest is variable {}", name.display())?,
            Largest::Word(index) => write!(f, "; the largest is word {index} of the command")?,
        }
        write!(f, " with {size} bytes")?;
        if *size > LARGEST_STRING {
            write!(f, ", above the limit of {LARGEST_STRING} for one")?;
        }
        Ok(())
    }
}

impl ExecError {
    /// Its stable code.
    pub fn code(&self) -> Code {
        match self {
            Self::Arguments(_) | Self::NoCommand | Self::Beyond { .. } => codes::ARGUMENTS,
            Self::NotDelivered { .. } => codes::NOT_DELIVERED,
            Self::Unreadable { .. } | Self::Malformed { .. } => codes::UNREADABLE,
            Self::NotFound { .. } => codes::NOT_FOUND,
            Self::NotExecutable { .. } => codes::NOT_EXECUTABLE,
            Self::TooBig { .. } => codes::TOO_BIG,
        }
    }

    /// The status that the process ends with: a shell's for the command, sysexits' for what comes before it.
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Arguments(_) | Self::NoCommand | Self::Beyond { .. } => 64,
            Self::NotDelivered { .. } | Self::Unreadable { .. } | Self::Malformed { .. } => 78,
            Self::NotFound { .. } => 127,
            Self::NotExecutable { .. } | Self::TooBig { .. } => 126,
        }
    }
}

/// A command that is ready to be started. Holds values of secrets, hence no `Debug`.
pub struct Prepared {
    words: Vec<OsString>,
    environment: BTreeMap<OsString, OsString>,
    degraded: Option<String>,
}

impl Prepared {
    /// Reads the arguments after `exec` and the variables they lead to. `inherited` is the process's environment.
    pub fn read(
        arguments: &[OsString],
        inherited: impl Iterator<Item = (OsString, OsString)>,
    ) -> Result<Self, ExecError> {
        let (wrapping, taken) = Wrapping::parse(arguments)?;
        let words = arguments.get(taken..).unwrap_or_default().to_vec();
        if words.is_empty() {
            return Err(ExecError::NoCommand);
        }
        let mut prepared = Self { words, environment: inherited.collect(), degraded: None };
        let variables = match read_variables(Path::new(&wrapping.env_dir))? {
            Delivery::Variables(variables) => variables,
            Delivery::Degraded(code) => {
                prepared.degraded = Some(code);
                Vec::new()
            }
        };
        prepared.set(&wrapping, &variables)?;
        Ok(prepared)
    }

    /// The agent's code for why there are no variables, if it left that mark.
    pub fn degraded(&self) -> Option<&str> {
        self.degraded.as_deref()
    }

    fn set(&mut self, wrapping: &Wrapping, variables: &[envfile::Variable]) -> Result<(), ExecError> {
        let own: BTreeSet<&str> = wrapping.own.iter().map(String::as_str).collect();
        // What references see: what was really set here, and nothing that the container had before.
        let mut set: BTreeMap<&str, OsString> = variables
            .iter()
            .filter(|variable| {
                variable.origin() == Origin::Explicit || !own.contains(variable.name().as_str())
            })
            .map(|variable| {
                (variable.name().as_str(), OsString::from_vec(variable.value().expose().to_vec()))
            })
            .collect();
        for (name, pieces) in &wrapping.variables {
            let value = join(pieces, &set);
            set.insert(name, value);
        }
        let length = self.words.len();
        for (index, pieces) in &wrapping.arguments {
            let word = self.words.get_mut(*index).ok_or(ExecError::Beyond { index: *index, length })?;
            *word = join(pieces, &set);
        }
        self.environment.extend(set.into_iter().map(|(name, value)| (OsString::from(name), value)));
        Ok(())
    }

    /// Replaces this process by the command. Returns only if that fails.
    pub fn exec(self) -> ExecError {
        let Some((program, arguments)) = self.words.split_first() else { return ExecError::NoCommand };
        let file = match self.find(program) {
            Ok(file) => file,
            Err(error) => return error,
        };
        let error =
            Command::new(&file).arg0(program).args(arguments).env_clear().envs(&self.environment).exec();
        // A program for another machine is none for a shell either.
        let error = if error.raw_os_error() == Some(Errno::NOEXEC.raw_os_error()) && !is_elf(&file) {
            // A script without a first line that names its interpreter: what `execvp` and every shell do.
            Command::new("/bin/sh").arg(&file).args(arguments).env_clear().envs(&self.environment).exec()
        } else {
            error
        };
        self.explain(program, error)
    }

    /// The file that a command's first word means, looked up in the application's own PATH.
    fn find(&self, program: &OsStr) -> Result<PathBuf, ExecError> {
        if program.as_bytes().contains(&b'/') {
            return Ok(PathBuf::from(program));
        }
        let path =
            self.environment.get(OsStr::new("PATH")).map_or(OsStr::new(DEFAULT_PATH), OsString::as_os_str);
        let mut forbidden = false;
        // An empty entry is the working directory.
        for directory in std::env::split_paths(path).filter(|_| !program.is_empty()) {
            let candidate = Path::new(".").join(directory).join(program);
            if !candidate.is_file() {
                continue;
            }
            if rustix::fs::access(&candidate, Access::EXEC_OK).is_ok() {
                return Ok(candidate);
            }
            forbidden = true;
        }
        let program = program.to_owned();
        Err(if forbidden {
            ExecError::NotExecutable { program, source: Errno::ACCESS.into() }
        } else {
            ExecError::NotFound { program, why: "not found in PATH".to_owned() }
        })
    }

    fn sizes(&self) -> Sizes {
        const POINTER: usize = size_of::<usize>();
        // `=` and NUL.
        let variables = self
            .environment
            .iter()
            .map(|(name, value)| (name.len() + value.len() + 2, Largest::Variable(name.clone())));
        let words = self.words.iter().enumerate().map(|(index, word)| (word.len() + 1, Largest::Word(index)));
        let mut sizes = Sizes { total: 0, allowed: allowed(), largest: Largest::Word(0), size: 0 };
        for (size, what) in variables.chain(words) {
            sizes.total += size + POINTER;
            if size > sizes.size {
                (sizes.size, sizes.largest) = (size, what);
            }
        }
        sizes
    }

    fn explain(&self, program: &OsStr, error: io::Error) -> ExecError {
        let program = program.to_owned();
        match error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::NOENT | Errno::NOTDIR) => {
                ExecError::NotFound { program, why: "no such file, or its interpreter is missing".to_owned() }
            }
            Some(Errno::TOOBIG) => ExecError::TooBig { program, sizes: self.sizes() },
            _ => ExecError::NotExecutable { program, source: error },
        }
    }
}

/// What the kernel allows for all variables and arguments: a quarter of the stack's limit, but never less than
/// 128 KiB and never more than 6 MiB.
fn allowed() -> Option<usize> {
    const LEAST: u64 = 128 * 1024;
    const MOST: u64 = 6 * 1024 * 1024;
    let stack = getrlimit(Resource::Stack).current;
    let allowed = stack.map_or(MOST, |stack| (stack / 4).clamp(LEAST, MOST));
    usize::try_from(allowed).ok()
}

/// Whether a file is a program in the kernel's own format, whatever machine it is for.
fn is_elf(file: &Path) -> bool {
    let mut magic = [0; 4];
    File::open(file).and_then(|mut file| file.read_exact(&mut magic)).is_ok() && magic == *b"\x7fELF"
}

/// What the agent left for the container.
enum Delivery {
    Variables(Vec<envfile::Variable>),
    /// Nothing, on purpose; the agent's code for why.
    Degraded(String),
}

fn read_variables(dir: &Path) -> Result<Delivery, ExecError> {
    let file = dir.join(envfile::FILE);
    let content = match std::fs::read(&file) {
        Ok(content) => Secret::new(content),
        // Only the agent's explicit mark lets the application start without. A file that is merely absent does not.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return match std::fs::read_to_string(dir.join(envfile::DEGRADED)) {
                Ok(code) => Ok(Delivery::Degraded(code.trim().to_owned())),
                Err(_) => Err(ExecError::NotDelivered { file }),
            };
        }
        Err(source) => return Err(ExecError::Unreadable { file, source }),
    };
    envfile::parse(&content).map(Delivery::Variables).map_err(|source| ExecError::Malformed { file, source })
}

fn join(pieces: &[Piece], set: &BTreeMap<&str, OsString>) -> OsString {
    let mut text = OsString::new();
    for piece in pieces {
        match piece {
            Piece::Literal(literal) => text.push(literal),
            Piece::Reference { name, fallback } => {
                text.push(set.get(name.as_str()).map_or(OsStr::new(fallback), OsString::as_os_str));
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::envfile::Variable;

    fn text(literal: &str) -> Piece {
        Piece::Literal(literal.to_owned())
    }

    fn reference(name: &str) -> Piece {
        Piece::Reference { name: name.to_owned(), fallback: format!("$({name})") }
    }

    fn prepare(
        wrapping: &Wrapping,
        variables: &[(&str, &str, Origin)],
        words: &[&str],
    ) -> Result<Prepared, ExecError> {
        let variables: Vec<_> = variables
            .iter()
            .map(|(name, value, origin)| {
                Variable::new(name.parse().unwrap(), Secret::from(*value), *origin).unwrap()
            })
            .collect();
        let inherited = [("OWN", "container"), ("KEPT", "inherited"), ("TAKEN", "image")];
        let mut prepared = Prepared {
            words: words.iter().map(OsString::from).collect(),
            environment: inherited.iter().map(|(name, value)| (name.into(), value.into())).collect(),
            degraded: None,
        };
        prepared.set(wrapping, &variables)?;
        Ok(prepared)
    }

    fn get<'a>(prepared: &'a Prepared, name: &str) -> Option<&'a str> {
        prepared.environment.get(OsStr::new(name)).and_then(|value| value.to_str())
    }

    #[test]
    fn explicit_variables_win_and_projected_ones_yield_to_the_containers_own() {
        let wrapping = Wrapping { own: vec!["OWN".to_owned()], ..Wrapping::default() };
        let delivered = [
            ("OWN", "projected", Origin::Projected),
            ("TAKEN", "esc", Origin::Projected),
            ("NEW", "esc", Origin::Explicit),
        ];
        let prepared = prepare(&wrapping, &delivered, &["app"]).ok().unwrap();
        assert_eq!(get(&prepared, "OWN"), Some("container"));
        assert_eq!(get(&prepared, "TAKEN"), Some("esc"));
        assert_eq!(get(&prepared, "NEW"), Some("esc"));
        assert_eq!(get(&prepared, "KEPT"), Some("inherited"));
    }

    #[test]
    fn references_see_delivered_and_earlier_replaced_variables_and_nothing_else() {
        let wrapping = Wrapping {
            own: vec!["OWN".to_owned()],
            variables: vec![
                ("A".to_owned(), vec![text("<"), reference("X"), text(">")]),
                ("B".to_owned(), vec![reference("A"), reference("OWN"), reference("KEPT"), reference("C")]),
                ("C".to_owned(), vec![text("late")]),
            ],
            arguments: vec![(1, vec![text("--b="), reference("B"), text("$(X)")])],
            ..Wrapping::default()
        };
        let delivered = [("X", "1", Origin::Explicit), ("OWN", "projected", Origin::Projected)];
        let prepared = prepare(&wrapping, &delivered, &["app", "old", "rest"]).ok().unwrap();
        assert_eq!(get(&prepared, "A"), Some("<1>"));
        assert_eq!(get(&prepared, "B"), Some("<1>$(OWN)$(KEPT)$(C)"));
        assert_eq!(prepared.words, ["app", "--b=<1>$(OWN)$(KEPT)$(C)$(X)", "rest"]);
    }

    #[test]
    fn refuses_a_replacement_beyond_the_command() {
        let wrapping = Wrapping { arguments: vec![(2, Vec::new())], ..Wrapping::default() };
        let error = prepare(&wrapping, &[], &["app", "x"]).err().unwrap();
        assert!(matches!(error, ExecError::Beyond { index: 2, length: 2 }));
    }
}
