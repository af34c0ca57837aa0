//! The exec wrapper's own arguments: what the webhook writes before the container's command and `exec` reads.
//!
//! Kubelet expands `$(NAME)` in commands, arguments and variables before the container starts, and leaves a
//! reference to a name that it does not know as it stands. Variables that arrive through the wrapper are such
//! names. Afterwards nobody can tell a reference that was left over from an escaped `$$(NAME)`, or from text that
//! came out of another variable. So the webhook cuts each affected text at the references while it still has the
//! original, and hands over the pieces as arguments of their own; kubelet expands every piece by its own rules,
//! and the wrapper joins them.
//!
//! Pure: it builds and reads argument lists, nothing else.

use std::ffi::OsStr;

/// Everything the webhook tells the wrapper.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wrapping {
    /// Directory of the container's variables.
    pub env_dir: String,
    /// Whether the command came from an annotation, since the container states none. The wrapper does not care; who
    /// undoes the wrapping does.
    pub supplied: bool,
    /// Names that the container itself sets: they win over ESC's projections.
    pub own: Vec<String>,
    /// Variables of the container that refer to delivered ones, in the order in which they are to be set.
    pub variables: Vec<(String, Vec<Piece>)>,
    /// Elements of the command line, by index, that refer to delivered variables.
    pub arguments: Vec<(usize, Vec<Piece>)>,
}

/// A part of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Text, already expanded by kubelet.
    Literal(String),
    /// The value of a variable, or the fallback (what kubelet made of the reference) if it was not delivered.
    Reference {
        /// The variable.
        name: String,
        /// `$(NAME)` as kubelet left it or expanded it.
        fallback: String,
    },
}

/// The arguments are not what [`Wrapping::to_arguments`] writes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("argument {index} of the wrapper is malformed: {reason}")]
pub struct WrapperError {
    /// Position after `exec`.
    pub index: usize,
    /// What is wrong.
    pub reason: &'static str,
}

impl Wrapping {
    /// The arguments between `exec` and the command, `--` included.
    pub fn to_arguments(&self) -> Vec<String> {
        // Kubelet expands these arguments too. Pieces want that; names don't.
        let literal = |name: &str| name.replace('$', "$$");
        let mut arguments = vec![format!("--env-dir={}", literal(&self.env_dir))];
        if self.supplied {
            arguments.push("--supplied=true".to_owned());
        }
        arguments.extend(self.own.iter().map(|name| format!("--own={}", literal(name))));
        for (name, pieces) in &self.variables {
            arguments.push(format!("--set={}", literal(name)));
            arguments.extend(pieces.iter().map(Piece::to_argument));
        }
        for (index, pieces) in &self.arguments {
            arguments.push(format!("--replace={index}"));
            arguments.extend(pieces.iter().map(Piece::to_argument));
        }
        arguments.push("--".to_owned());
        arguments
    }

    /// Reads the arguments after `exec`; returns the wrapping and how many arguments it took, `--` included.
    /// What follows is the command, which may be any bytes.
    pub fn parse<S: AsRef<OsStr>>(arguments: &[S]) -> Result<(Self, usize), WrapperError> {
        enum Target {
            None,
            Variable,
            Argument,
        }
        let mut wrapping = Self::default();
        let mut target = Target::None;
        for (index, argument) in arguments.iter().enumerate() {
            let fail = |reason| WrapperError { index, reason };
            let argument = argument.as_ref().to_str().ok_or_else(|| fail("not UTF-8"))?;
            if argument == "--" {
                if wrapping.env_dir.is_empty() {
                    return Err(fail("--env-dir is missing"));
                }
                return Ok((wrapping, index + 1));
            }
            let (flag, value) =
                argument.split_once('=').ok_or_else(|| fail("expected --flag=value or --"))?;
            let piece = match flag {
                "--env-dir" => {
                    value.clone_into(&mut wrapping.env_dir);
                    continue;
                }
                "--supplied" => {
                    wrapping.supplied = value == "true";
                    continue;
                }
                "--own" => {
                    wrapping.own.push(value.to_owned());
                    continue;
                }
                "--set" => {
                    wrapping.variables.push((value.to_owned(), Vec::new()));
                    target = Target::Variable;
                    continue;
                }
                "--replace" => {
                    let position = value.parse().map_err(|_| fail("--replace needs an index"))?;
                    wrapping.arguments.push((position, Vec::new()));
                    target = Target::Argument;
                    continue;
                }
                "--text" => Piece::Literal(value.to_owned()),
                "--ref" => {
                    let (name, fallback) =
                        value.split_once('=').ok_or_else(|| fail("--ref needs NAME=FALLBACK"))?;
                    Piece::Reference { name: name.to_owned(), fallback: fallback.to_owned() }
                }
                _ => return Err(fail("unknown flag")),
            };
            let pieces = match target {
                Target::Variable => wrapping.variables.last_mut().map(|(_, pieces)| pieces),
                Target::Argument => wrapping.arguments.last_mut().map(|(_, pieces)| pieces),
                Target::None => None,
            };
            pieces.ok_or_else(|| fail("a piece before --set or --replace"))?.push(piece);
        }
        Err(WrapperError { index: arguments.len(), reason: "-- is missing" })
    }
}

impl Piece {
    fn to_argument(&self) -> String {
        match self {
            Self::Literal(text) => format!("--text={text}"),
            Self::Reference { name, fallback } => format!("--ref={}={fallback}", name.replace('$', "$$")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{ffi::OsString, os::unix::ffi::OsStringExt};

    use proptest::prelude::*;

    use super::*;

    fn pieces() -> impl Strategy<Value = Vec<Piece>> {
        let piece = prop_oneof![
            ".{0,8}".prop_map(Piece::Literal),
            ("[A-Z_]{1,5}", ".{0,8}").prop_map(|(name, fallback)| Piece::Reference { name, fallback }),
        ];
        prop::collection::vec(piece, 0..4)
    }

    proptest! {
        #[test]
        fn reads_back_what_it_wrote(
            supplied in any::<bool>(),
            own in prop::collection::vec("[A-Z_]{1,5}", 0..3),
            variables in prop::collection::vec(("[A-Z_]{1,5}", pieces()), 0..3),
            arguments in prop::collection::vec((0..9_usize, pieces()), 0..3),
        ) {
            let wrapping = Wrapping { env_dir: "/esc/env".to_owned(), supplied, own, variables, arguments };
            let mut written = wrapping.to_arguments();
            let length = written.len();
            written.extend(["app".to_owned(), "--".to_owned()]);
            prop_assert_eq!(Wrapping::parse(&written), Ok((wrapping, length)));
        }
    }

    #[test]
    fn command_may_be_any_bytes_but_the_flags_may_not() {
        let odd = OsString::from_vec(vec![0xff]);
        let arguments = ["--env-dir=/e".into(), "--".into(), odd.clone()];
        assert_eq!(Wrapping::parse(&arguments).map(|(_, taken)| taken), Ok(2));
        assert_eq!(Wrapping::parse(&[odd]).map_err(|error| error.reason), Err("not UTF-8"));
    }

    #[test]
    fn refuses_what_it_does_not_write() {
        let cases: [(&[&str], usize, &str); 8] = [
            (&[], 0, "-- is missing"),
            (&["--env-dir=/e"], 1, "-- is missing"),
            (&["--"], 0, "--env-dir is missing"),
            (&["--env-dir=/e", "app"], 1, "expected --flag=value or --"),
            (&["--env-dir=/e", "--envdir=/e"], 1, "unknown flag"),
            (&["--env-dir=/e", "--text=x"], 1, "a piece before --set or --replace"),
            (&["--replace=x"], 0, "--replace needs an index"),
            (&["--set=A", "--ref=B"], 1, "--ref needs NAME=FALLBACK"),
        ];
        for (arguments, index, reason) in cases {
            assert_eq!(Wrapping::parse(arguments), Err(WrapperError { index, reason }), "{arguments:?}");
        }
    }
}
