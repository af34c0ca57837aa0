//! Variables as kubelet reads them from a volume (`fileKeyRef`), since 1.35. Pure.
//!
//! One `NAME='value'` after the other, where the value is taken as it stands, newlines too, up to the next single
//! quote. There is no escape, so that some values can't be written; kubelet would stop at such a line and start no
//! container, with a message that does not say why. So they are refused here, by name.
//!
//! What kubelet 1.36 does, where it matters: it reads physical lines of less than 64 KiB and drops a carriage return
//! at their end; takes an empty value for a missing key; takes the first of two entries with one name; hands values
//! over as text, which has to be UTF-8 without NUL. Of a name's length it says nothing: the limit of 128 characters that
//! the field's description tells of is nowhere in the code of API server or kubelet.

use super::envfile::{Origin, Variable};
use crate::{
    codes::{Code, delivery as codes},
    esc::names::VariableName,
    secret::Secret,
};

/// Name of the file in the directory of a view's variables.
pub const FILE: &str = "env";

/// The shortest physical line that kubelet does not read: the buffer of Go's line scanner, the line's end included.
const LINE_LIMIT: usize = 64 * 1024;

/// Why a variable can't arrive this way. Never quotes the value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("variable {name} {reason}")]
pub struct Unwritable {
    /// The variable.
    pub name: VariableName,
    /// What about its value.
    pub reason: Reason,
}

/// What kubelet can't read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// It ends the value, and nothing can escape it.
    #[error("holds a single quote")]
    Quote,
    /// Taken for a missing variable.
    #[error("is empty and not optional")]
    Empty,
    /// Dropped silently.
    #[error("holds a carriage return at the end of a line")]
    CarriageReturn,
    /// Beyond the line scanner's buffer.
    #[error("has a line of 64 KiB or more")]
    LongLine,
    /// No text.
    #[error("is not UTF-8")]
    NoText,
}

impl Reason {
    /// Its stable code.
    pub fn code(self) -> Code {
        match self {
            Self::Quote => codes::KUBELET_QUOTE,
            Self::Empty => codes::KUBELET_EMPTY,
            Self::CarriageReturn => codes::KUBELET_CARRIAGE_RETURN,
            Self::LongLine => codes::KUBELET_LONG_LINE,
            // Values come out of JSON, and only files are decoded.
            Self::NoText => codes::DEFECT,
        }
    }
}

/// The file's content: the variables that were asked for by name, since kubelet is told every name. A name comes once,
/// by the caller. All that can't be written is told together.
pub fn write(variables: &[Variable]) -> Result<Secret, Vec<Unwritable>> {
    let named = || variables.iter().filter(|variable| variable.origin() == Origin::Explicit);
    let problems: Vec<_> = named().filter_map(problem).collect();
    if !problems.is_empty() {
        return Err(problems);
    }
    // `=`, two quotes and a newline. Exact, so that no outgrown buffer stays behind unwiped.
    let size = named().map(|variable| variable.name().as_str().len() + variable.value().len() + 4).sum();
    let mut bytes = Vec::with_capacity(size);
    for variable in named() {
        bytes.extend_from_slice(variable.name().as_str().as_bytes());
        bytes.extend_from_slice(b"='");
        bytes.extend_from_slice(variable.value().expose());
        bytes.extend_from_slice(b"'\n");
    }
    Ok(Secret::new(bytes))
}

fn problem(variable: &Variable) -> Option<Unwritable> {
    let name = variable.name();
    let value = variable.value().expose();
    let lines = || value.split(|&byte| byte == b'\n');
    let last = lines().count().saturating_sub(1);
    let is_long = |(index, line): (usize, &[u8])| {
        let before = if index == 0 { name.as_str().len() + 2 } else { 0 };
        let after = usize::from(index == last);
        before + line.len() + after >= LINE_LIMIT
    };
    let reason = if value.is_empty() {
        Reason::Empty
    } else if std::str::from_utf8(value).is_err() {
        Reason::NoText
    } else if value.contains(&b'\'') {
        Reason::Quote
    } else if lines().take(last).any(|line| line.ends_with(b"\r")) {
        Reason::CarriageReturn
    } else if lines().enumerate().any(is_long) {
        Reason::LongLine
    } else {
        return None;
    };
    Some(Unwritable { name: name.clone(), reason })
}

#[cfg(test)]
mod tests {
    use proptest::{collection, prelude::*};

    use super::*;

    fn variable(name: &str, value: &[u8]) -> Variable {
        Variable::new(name.parse().unwrap(), Secret::new(value.to_vec()), Origin::Explicit).unwrap()
    }

    /// kubelet's reader, written from what was seen of it: the value behind `key`, none where it takes the key for
    /// missing, an error where it can't read the file up to there.
    fn kubelet_reads(file: &[u8], key: &str) -> Result<Option<String>, &'static str> {
        let mut lines = Vec::new();
        let mut rest = file;
        while !rest.is_empty() {
            let end = rest.iter().position(|&byte| byte == b'\n');
            let (line, after) = match end {
                Some(end) => (&rest[..end], &rest[end + 1..]),
                None => (rest, &rest[rest.len()..]),
            };
            // The buffer holds the line and what ends it.
            lines.push(if line.len() >= 65536 { Err("token too long") } else { Ok(line) });
            rest = after;
        }
        let mut lines = lines.into_iter().map(|line| {
            let line = line?;
            String::from_utf8(line.strip_suffix(b"\r").unwrap_or(line).to_vec()).map_err(|_| "no UTF-8")
        });
        while let Some(line) = lines.next() {
            let line = line?;
            let line = line.trim_start_matches([' ', '\t']);
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (name, value) = line.split_once('=').ok_or("no =")?;
            if name.ends_with([' ', '\t']) {
                return Err("whitespace before '=' is not allowed");
            }
            let value = if value.starts_with([' ', '\t']) || value.is_empty() {
                String::new()
            } else {
                let open = value.strip_prefix('\'').ok_or("value must be enclosed in single quotes")?;
                let mut content = open.to_owned();
                while !content.contains('\'') {
                    content.push('\n');
                    content.push_str(&lines.next().ok_or("no closing quote")??);
                }
                let (value, after) = content.split_once('\'').unwrap();
                let after = after.trim_start_matches([' ', '\t']);
                if !after.is_empty() && !after.starts_with('#') {
                    return Err("unexpected content after closing quote");
                }
                value.to_owned()
            };
            if name == key {
                return Ok(Some(value).filter(|value| !value.is_empty() && !value.contains('\0')));
            }
        }
        Ok(None)
    }

    #[test]
    fn the_reader_of_these_tests_reads_as_a_kubelet_was_seen_to() {
        let long = format!("A='{}'\nK='v'\n", "x".repeat(65_600));
        for (file, expected) in [
            ("K='a b $HOME $(K) \"q\" \\ #x'\n", Ok(Some("a b $HOME $(K) \"q\" \\ #x"))),
            ("K='l1\nl2'\n", Ok(Some("l1\nl2"))),
            ("K='x'  # trailing\n", Ok(Some("x"))),
            ("# note\n\n  K='1'\nK='2'\n", Ok(Some("1"))),
            ("K=''\n", Ok(None)),
            ("K= \n", Ok(None)),
            ("", Ok(None)),
            ("K='it'\\''s'\n", Err("unexpected content after closing quote")),
            ("K='it's'\n", Err("unexpected content after closing quote")),
            ("K=v\n", Err("value must be enclosed in single quotes")),
            ("K=\"v\"\n", Err("value must be enclosed in single quotes")),
            ("K = 'v'\n", Err("whitespace before '=' is not allowed")),
            (&long, Err("token too long")),
            ("K='v'\nA=malformed\n", Ok(Some("v"))),
            ("A=malformed\nK='v'\n", Err("value must be enclosed in single quotes")),
            ("K='a\r\nb'\n", Ok(Some("a\nb"))),
        ] {
            let shown = &file[..file.len().min(40)];
            assert_eq!(
                kubelet_reads(file.as_bytes(), "K"),
                expected.map(|value| value.map(str::to_owned)),
                "{shown}"
            );
        }
    }

    #[test]
    fn what_kubelet_can_not_read_is_refused_by_name_and_told_together() {
        let line = "x".repeat(LINE_LIMIT - "LONG=''".len());
        let cases: [(&str, &[u8], Option<Reason>); 14] = [
            ("PLAIN", b"plain", None),
            ("LINES", b"a\n b\n\n#c\n", None),
            ("CR", b"a\rb\r", None),
            ("ODD", "é \" $(X) `\\ =".as_bytes(), None),
            ("QUOTE", b"it's", Some(Reason::Quote)),
            ("EMPTY", b"", Some(Reason::Empty)),
            ("CRLF", b"a\r\nb", Some(Reason::CarriageReturn)),
            ("BYTES", b"\xff", Some(Reason::NoText)),
            ("LONG", line.as_bytes(), Some(Reason::LongLine)),
            ("LON", line.as_bytes(), None),
            ("FIRST", &[line.as_bytes(), b"12345\nx"].concat(), Some(Reason::LongLine)),
            ("LATER", &[b"x\n", line.as_bytes(), b"1234567\nx"].concat(), Some(Reason::LongLine)),
            ("LAST", &[b"x\n", line.as_bytes(), b"123456"].concat(), Some(Reason::LongLine)),
            ("FITS", &[b"x\n", line.as_bytes(), b"12345"].concat(), None),
        ];
        let variables: Vec<_> = cases.iter().map(|(name, value, _)| variable(name, value)).collect();
        let told = write(&variables).unwrap_err();
        let told: Vec<_> = told.iter().map(|problem| (problem.name.as_str(), problem.reason)).collect();
        let expected: Vec<_> =
            cases.iter().filter_map(|(name, _, reason)| reason.map(|reason| (*name, reason))).collect();
        assert_eq!(told, expected);
    }

    #[test]
    fn projected_variables_are_left_out() {
        let projected = Variable::new("P".parse().unwrap(), Secret::from("it's"), Origin::Projected).unwrap();
        let file = write(&[projected, variable("A", b"1")]).unwrap();
        assert_eq!(file.expose(), b"A='1'\n");
        assert_eq!(write(&[]).unwrap().expose(), b"");
    }

    proptest! {
        #[test]
        fn kubelet_reads_back_what_was_written_or_it_is_refused(
            values in collection::vec(prop_oneof![
                "\\PC{0,20}",
                "[ax' \t#=\"$\\\\\r\n]{0,12}",
                ("[a\r\n]{0,3}", 65_520_usize..65_545).prop_map(|(head, length)| head + &"x".repeat(length)),
            ], 1..5)
        ) {
            let name = |index: usize| format!("V{index}");
            let variables: Vec<_> = values.iter().enumerate().map(|(index, value)| variable(&name(index), value.as_bytes())).collect();
            let refused: Vec<String> = write(&variables).err().unwrap_or_default().into_iter().map(|problem| problem.name.to_string()).collect();
            let kept: Vec<_> = variables.into_iter().filter(|variable| !refused.contains(&variable.name().to_string())).collect();
            let file = write(&kept).unwrap();
            for (index, value) in values.iter().enumerate() {
                let read = kubelet_reads(file.expose(), &name(index));
                if refused.contains(&name(index)) {
                    // Refused with reason: alone in a file, it would not arrive.
                    let alone = [name(index).as_bytes(), b"='", value.as_bytes(), b"'\n"].concat();
                    prop_assert_ne!(kubelet_reads(&alone, &name(index)), Ok(Some(value.clone())));
                } else {
                    prop_assert_eq!(read, Ok(Some(value.clone())));
                }
            }
        }
    }
}
