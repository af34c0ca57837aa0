//! The file that carries a view's variables from the agent to the exec wrapper. Pure.
//!
//! A sequence of records, each ended by NUL: `+NAME=value` for a variable that was asked for by name,
//! `?NAME=value` for one of ESC's projection, which gives way to the container's own. NUL is the one byte that
//! no variable can hold, so nothing needs quoting.

use crate::{esc::names::VariableName, secret::Secret};

/// Name of the file in the directory of a view's variables.
pub const FILE: &str = "environ";

/// Name of the file that stands in its place when the application is to start without: the agent's code for why.
pub const DEGRADED: &str = "degraded";

/// Who asked for a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The pod, by name.
    Explicit,
    /// The environment, by its projections.
    Projected,
}

/// A variable that a process can hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    name: VariableName,
    value: Secret,
    origin: Origin,
}

/// The value holds a NUL byte, which no variable can.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the value holds a NUL byte")]
pub struct NulError;

/// The bytes are not what [`write()`] writes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("record {record} {reason}")]
pub struct EnvFileError {
    /// Which record, counted from 1.
    pub record: usize,
    /// What is wrong with it. Never quotes it.
    pub reason: &'static str,
}

impl Variable {
    /// Checks that the value can be a variable's.
    pub fn new(name: VariableName, value: Secret, origin: Origin) -> Result<Self, NulError> {
        if value.expose().contains(&0) {
            return Err(NulError);
        }
        Ok(Self { name, value, origin })
    }

    /// Its name.
    pub fn name(&self) -> &VariableName {
        &self.name
    }

    /// Its value, free of NUL.
    pub fn value(&self) -> &Secret {
        &self.value
    }

    /// Who asked for it.
    pub fn origin(&self) -> Origin {
        self.origin
    }
}

/// The file's content.
pub fn write(variables: &[Variable]) -> Secret {
    // Sign, `=` and NUL around the name and the value. Exact, so that no outgrown buffer stays behind unwiped.
    let size = variables.iter().map(|variable| variable.name.as_str().len() + variable.value.len() + 3).sum();
    let mut bytes = Vec::with_capacity(size);
    for variable in variables {
        bytes.push(match variable.origin {
            Origin::Explicit => b'+',
            Origin::Projected => b'?',
        });
        bytes.extend_from_slice(variable.name.as_str().as_bytes());
        bytes.push(b'=');
        bytes.extend_from_slice(variable.value.expose());
        bytes.push(0);
    }
    Secret::new(bytes)
}

/// Reads what [`write()`] wrote, and nothing else.
pub fn parse(content: &Secret) -> Result<Vec<Variable>, EnvFileError> {
    let mut variables = Vec::new();
    let mut rest = content.expose();
    while !rest.is_empty() {
        let fail = |reason| EnvFileError { record: variables.len() + 1, reason };
        let end = rest.iter().position(|&byte| byte == 0).ok_or_else(|| fail("is not ended by NUL"))?;
        let (record, after) = rest.split_at(end);
        variables.push(parse_record(record).map_err(fail)?);
        rest = after.get(1..).unwrap_or_default();
    }
    Ok(variables)
}

fn parse_record(record: &[u8]) -> Result<Variable, &'static str> {
    let (sign, assignment) = record.split_first().ok_or("is empty")?;
    let origin = match sign {
        b'+' => Origin::Explicit,
        b'?' => Origin::Projected,
        _ => return Err("begins with neither + nor ?"),
    };
    let equals = assignment.iter().position(|&byte| byte == b'=').ok_or("has no =")?;
    let (name, value) = assignment.split_at(equals);
    let name = std::str::from_utf8(name).ok().and_then(|name| name.parse().ok());
    let name = name.ok_or("has no legal variable name")?;
    let value = Secret::new(value.get(1..).unwrap_or_default().to_vec());
    // The record was cut at the first NUL, so that the value has none.
    Variable::new(name, value, origin).map_err(|NulError| "holds a NUL byte")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn variable(name: &str, value: &[u8], origin: Origin) -> Variable {
        Variable::new(name.parse().unwrap(), Secret::new(value.to_vec()), origin).unwrap()
    }

    proptest! {
        #[test]
        fn reads_back_what_it_wrote(
            entries in prop::collection::vec(("[A-Za-z_][A-Za-z0-9_]{0,8}", prop::collection::vec(1_u8.., 0..40), any::<bool>()), 0..8)
        ) {
            let variables: Vec<_> = entries
                .iter()
                .map(|(name, value, explicit)| {
                    variable(name, value, if *explicit { Origin::Explicit } else { Origin::Projected })
                })
                .collect();
            prop_assert_eq!(parse(&write(&variables)), Ok(variables));
        }
    }

    #[test]
    fn format_is_stable() {
        let variables = [variable("A", b"x=y\nz", Origin::Explicit), variable("B", b"", Origin::Projected)];
        assert_eq!(write(&variables).expose(), b"+A=x=y\nz\0?B=\0");
    }

    #[test]
    fn refuses_what_it_does_not_write() {
        let cases: [(&[u8], usize, &str); 6] = [
            (b"+A=1", 1, "is not ended by NUL"),
            (b"+A=1\0\0", 2, "is empty"),
            (b"A=1\0", 1, "begins with neither + nor ?"),
            (b"+A=1\0+B\0", 2, "has no ="),
            (b"+1A=1\0", 1, "has no legal variable name"),
            (b"?=1\0", 1, "has no legal variable name"),
        ];
        for (bytes, record, reason) in cases {
            assert_eq!(parse(&Secret::new(bytes.to_vec())), Err(EnvFileError { record, reason }));
        }
    }

    #[test]
    fn refuses_nul_in_values() {
        assert_eq!(
            Variable::new("A".parse().unwrap(), Secret::from("a\0b"), Origin::Explicit),
            Err(NulError)
        );
    }
}
