//! What a scalar means: go-yaml's rules, which YAML 1.1, 1.2 and Go's own number syntax all shaped.

use std::ops::Range;

use base64::{Engine, engine::general_purpose::STANDARD};

use super::{Dialect, Node, NodeKind, Scalar};

/// What a scalar node means; `None` for anything but a scalar.
///
/// `.nan` and `.inf` are the numbers `NaN`, `+Inf` and `-Inf`, which no JSON can hold.
pub fn resolve(node: &Node, dialect: Dialect) -> Option<Scalar> {
    let NodeKind::Scalar { text, plain, tag, .. } = &node.kind else { return None };
    let tag = tag.as_deref();
    Some(match meaning(text, *plain, tag, dialect) {
        Meaning::Null => Scalar::Null,
        Meaning::Bool(value) => Scalar::Bool(value),
        Meaning::Integer(text) => Scalar::Number(text),
        Meaning::Float(value) => Scalar::Number(match dialect {
            Dialect::Kubernetes => format_json(value),
            Dialect::Esc => format_g(value),
        }),
        Meaning::Text => Scalar::String(match (tag, dialect) {
            // ESC takes the text of a `!!binary` as it stands.
            (Some("!!binary"), Dialect::Kubernetes) => binary(text).unwrap_or_else(|| text.clone()),
            _ => text.clone(),
        }),
    })
}

/// The text of a scalar that ESC reads as a string; `None` for anything else.
pub fn esc_string(node: &Node) -> Option<&str> {
    let NodeKind::Scalar { text, plain, tag, .. } = &node.kind else { return None };
    matches!(meaning(text, *plain, tag.as_deref(), Dialect::Esc), Meaning::Text).then_some(text)
}

/// The name that a scalar key gives its value; `None` if it gives none. Kubernetes' reader turns boolean and numeric
/// keys into text.
pub(super) fn key(node: &Node, dialect: Dialect) -> Option<String> {
    let NodeKind::Scalar { text, plain, tag, .. } = &node.kind else { return None };
    match (meaning(text, *plain, tag.as_deref(), dialect), dialect) {
        (Meaning::Text, _) => Some(text.clone()),
        (Meaning::Bool(value), Dialect::Kubernetes) => Some(value.to_string()),
        (Meaning::Integer(text), Dialect::Kubernetes) => Some(text),
        (Meaning::Float(value), Dialect::Kubernetes) if value.is_finite() => Some(format_g(value)),
        _ => None,
    }
}

/// Refuses one of YAML's own tags on a text that it fits in no dialect.
pub(super) fn check_tag(text: &str, tag: &str) -> Result<(), String> {
    let plain = || plain_scalar(text, Dialect::Kubernetes);
    let fits = match tag {
        "!!int" => matches!(plain(), Meaning::Integer(_)),
        "!!float" => matches!(plain(), Meaning::Integer(_) | Meaning::Float(_)),
        "!!bool" => matches!(plain(), Meaning::Bool(_)),
        "!!null" => matches!(plain(), Meaning::Null),
        "!!binary" => binary(text).is_some(),
        _ => true,
    };
    if fits { Ok(()) } else { Err(format!("the tag {tag} does not fit its text")) }
}

/// A scalar's meaning before it is formatted. The text itself stays with the node.
enum Meaning {
    Null,
    Bool(bool),
    Integer(String),
    Float(f64),
    Text,
}

fn meaning(text: &str, plain: bool, tag: Option<&str>, dialect: Dialect) -> Meaning {
    match tag {
        // A lone `!` changes nothing in go-yaml.
        None | Some("!") if plain => plain_scalar(text, dialect),
        // These decide even over quotes; a tag of one's own makes a string.
        Some("!!int" | "!!float" | "!!bool" | "!!null") => plain_scalar(text, dialect),
        _ => Meaning::Text,
    }
}

fn plain_scalar(text: &str, dialect: Dialect) -> Meaning {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Meaning::Null,
        "true" | "True" | "TRUE" => Meaning::Bool(true),
        "false" | "False" | "FALSE" => Meaning::Bool(false),
        ".nan" | ".NaN" | ".NAN" => Meaning::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Meaning::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => Meaning::Float(f64::NEG_INFINITY),
        _ => match (text, dialect) {
            ("y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON", Dialect::Kubernetes) => {
                Meaning::Bool(true)
            }
            ("n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF", Dialect::Kubernetes) => {
                Meaning::Bool(false)
            }
            _ => number(text),
        },
    }
}

fn number(text: &str) -> Meaning {
    let digits: String = match text.bytes().next() {
        // go-yaml drops every underscore, except after a leading dot, where Go wants it between digits.
        Some(b'0'..=b'9' | b'+' | b'-') => text.chars().filter(|c| *c != '_').collect(),
        Some(b'.') if underscores_separate_digits(text) => text.replace('_', ""),
        _ => return Meaning::Text,
    };
    if let Some(integer) = integer(&digits) {
        return Meaning::Integer(integer);
    }
    if !is_float(&digits) {
        return Meaning::Text;
    }
    match digits.parse::<f64>() {
        // Go refuses what overflows, and go-yaml then takes it for a string.
        Ok(value) if value.is_finite() => Meaning::Float(value),
        _ => Meaning::Text,
    }
}

fn underscores_separate_digits(text: &str) -> bool {
    let digit = |c: char| c.is_ascii_digit();
    let parts: Vec<&str> = text.split('_').collect();
    parts
        .windows(2)
        .all(|pair| matches!(pair, [left, right] if left.ends_with(digit) && right.starts_with(digit)))
}

/// A Go integer literal (decimal, `0x`, `0b`, `0o` or leading-zero octal) that fits 64 bits, in decimal.
fn integer(text: &str) -> Option<String> {
    let (signed, negative, magnitude) = match text.strip_prefix('-') {
        Some(rest) => (true, true, rest),
        None => text.strip_prefix('+').map_or((false, false, text), |rest| (true, false, rest)),
    };
    let (radix, digits) = match magnitude.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, magnitude.get(2..)?),
        [b'0', b'b' | b'B', ..] => (2, magnitude.get(2..)?),
        [b'0', b'o' | b'O', ..] => (8, magnitude.get(2..)?),
        [b'0', _, ..] => (8, magnitude),
        _ => (10, magnitude),
    };
    if !digits.starts_with(|c: char| c.is_ascii_hexdigit()) {
        return None;
    }
    let value = i128::from_str_radix(digits, radix).ok()?;
    let value = if negative { -value } else { value };
    // Only an unsigned literal may use all 64 bits; beyond, go-yaml makes a float of it.
    let fits = i64::try_from(value).is_ok() || (!signed && u64::try_from(value).is_ok());
    fits.then(|| value.to_string())
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn is_float(text: &str) -> bool {
    fn all_digits(text: &str) -> bool {
        text.bytes().all(|byte| byte.is_ascii_digit())
    }
    let text = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['-', '+']).unwrap_or(exponent))),
        None => (text, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    all_digits(whole)
        && all_digits(fraction)
        && !(whole.is_empty() && fraction.is_empty())
        && exponent.is_none_or(|digits| !digits.is_empty() && all_digits(digits))
}

fn binary(text: &str) -> Option<String> {
    let compact: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let bytes = STANDARD.decode(compact).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// Go's `FormatFloat(value, 'g', -1, 64)`: shortest digits, an exponent of two digits from 1e+06 up and below 1e-04.
fn format_g(value: f64) -> String {
    format(value, -4..6, 2)
}

/// Go's `encoding/json`: shortest digits, an exponent from 1e+21 up and below 1e-6.
fn format_json(value: f64) -> String {
    format(value, -6..21, 1)
}

/// Writes the value positionally when its power of ten lies in `positional`, else with an exponent of at least `width`
/// digits.
fn format(value: f64, positional: Range<i32>, width: usize) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let text = shortest(value);
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let power: i32 = exponent.parse().unwrap_or_default();
    if positional.contains(&power) {
        return position(mantissa, power);
    }
    let sign = if power < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:0width$}", power.unsigned_abs())
}

/// The fewest digits that read back as the value, as `d.ddde±p`. Of two that are equally near, Go takes the even one
/// and the standard library the upper one, unless it is told how many digits to write.
fn shortest(value: f64) -> String {
    let text = format!("{value:e}");
    let digits = text.bytes().take_while(|byte| *byte != b'e').filter(u8::is_ascii_digit).count();
    let nearest = format!("{value:.*e}", digits.saturating_sub(1));
    if nearest.parse() == Ok(value) { nearest } else { text }
}

/// `d.ddd` moved by a power of ten.
fn position(mantissa: &str, power: i32) -> String {
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |rest| ("-", rest));
    let digits: String = mantissa.chars().filter(|c| *c != '.').collect();
    let places = usize::try_from(power.unsigned_abs()).unwrap_or_default();
    if power < 0 {
        return format!("{sign}0.{}{digits}", "0".repeat(places - 1));
    }
    match digits.split_at_checked(places + 1) {
        Some((whole, "")) => format!("{sign}{whole}"),
        Some((whole, fraction)) => format!("{sign}{whole}.{fraction}"),
        None => format!("{sign}{digits:0<width$}", width = places + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::resolve;
    use crate::yaml::{Dialect, Scalar, parse};

    fn show(text: &str, dialect: Dialect) -> String {
        let node = parse(text).unwrap().remove(0);
        match resolve(&node, dialect).unwrap() {
            Scalar::Null => "null".to_owned(),
            Scalar::Bool(value) => value.to_string(),
            Scalar::Number(text) => text,
            Scalar::String(text) => format!("{text:?}"),
        }
    }

    /// Seen with sigs.k8s.io/yaml 1.4.0 and go-yaml 3.0.1: text, in Kubernetes, in ESC.
    const NUMBERS: &[(&str, &str, &str)] = &[
        ("0400", "256", "256"),
        ("0o400", "256", "256"),
        ("0O17", "15", "15"),
        ("0777", "511", "511"),
        ("08", "8", "8"),
        ("089", "89", "89"),
        ("-017", "-15", "-15"),
        ("+017", "15", "15"),
        ("0b11", "3", "3"),
        ("0B11", "3", "3"),
        ("0x1F", "31", "31"),
        ("-0x1F", "-31", "-31"),
        ("0x_1", "1", "1"),
        ("1_000", "1000", "1000"),
        ("1__0", "10", "10"),
        ("0_", "0", "0"),
        ("1.0", "1", "1"),
        ("1.50", "1.5", "1.5"),
        ("1e3", "1000", "1000"),
        ("1E3", "1000", "1000"),
        ("12e03", "12000", "12000"),
        ("1.e3", "1000", "1000"),
        ("1e6", "1000000", "1e+06"),
        ("1000000.0", "1000000", "1e+06"),
        ("1234567.5", "1234567.5", "1.2345675e+06"),
        ("16777216.0", "16777216", "1.6777216e+07"),
        ("20000000", "20000000", "20000000"),
        ("1e20", "100000000000000000000", "1e+20"),
        ("1e21", "1e+21", "1e+21"),
        ("1e1_0", "10000000000", "1e+10"),
        ("0.000001", "0.000001", "1e-06"),
        ("0.0001", "0.0001", "0.0001"),
        ("1e-7", "1e-7", "1e-07"),
        ("0.1e-7", "1e-8", "1e-08"),
        (".5", "0.5", "0.5"),
        ("5.", "5", "5"),
        ("+.5", "0.5", "0.5"),
        (".5_0", "0.5", "0.5"),
        ("1_000.5", "1000.5", "1000.5"),
        ("+5", "5", "5"),
        ("-0", "0", "0"),
        ("-0.0", "-0", "-0"),
        ("3.14159265358979323846", "3.141592653589793", "3.141592653589793"),
        ("12345678901234567890", "12345678901234567890", "12345678901234567890"),
        ("18446744073709551615", "18446744073709551615", "18446744073709551615"),
        ("18446744073709551616", "18446744073709552000", "1.8446744073709552e+19"),
        ("100000000000000000000", "100000000000000000000", "1e+20"),
        ("915355770626044.2", "915355770626044.2", "9.153557706260442e+14"),
        ("-0.000123", "-0.000123", "-0.000123"),
        ("-0.00000123", "-0.00000123", "-1.23e-06"),
        ("5e-324", "5e-324", "5e-324"),
        ("1.7976931348623157e308", "1.7976931348623157e+308", "1.7976931348623157e+308"),
        ("-9223372036854775808", "-9223372036854775808", "-9223372036854775808"),
        ("-9223372036854775809", "-9223372036854776000", "-9.223372036854776e+18"),
        (".nan", "NaN", "NaN"),
        (".inf", "+Inf", "+Inf"),
        ("-.INF", "-Inf", "-Inf"),
        ("!!int '5'", "5", "5"),
        ("!!float 1", "1", "1"),
        ("! 42", "42", "42"),
    ];

    #[test]
    fn numbers_are_normalised_as_go_does() {
        for (text, kubernetes, esc) in NUMBERS {
            assert_eq!(show(text, Dialect::Kubernetes), *kubernetes, "{text} in Kubernetes");
            assert_eq!(show(text, Dialect::Esc), *esc, "{text} in ESC");
        }
    }

    #[test]
    fn near_numbers_are_strings() {
        for text in [
            "_1",
            ".",
            "._5",
            ".5__0",
            ".5_",
            ".6E_287",
            ".e5",
            "+",
            "0x",
            "0b",
            "0b12",
            "0o8",
            "1e",
            "1e+",
            "1e400",
            "0x1p4",
            "1:30",
            "190:20:30",
            "0xFFFFFFFFFFFFFFFFFF",
            "2024-01-02",
            "2024-01-02T10:00:00Z",
            "Infinity",
            "nan",
            ".iNf",
            "0x-1",
            "0x+1",
            "--1",
            "1.2.3",
            "5m",
            "<<",
            "=",
            "tRue",
            "nULL",
            "yEs",
        ] {
            for dialect in [Dialect::Kubernetes, Dialect::Esc] {
                assert_eq!(show(text, dialect), format!("{text:?}"), "{dialect:?}");
            }
        }
    }

    #[test]
    fn words_differ_by_dialect() {
        for (words, value) in [("y Y yes Yes YES on On ON", "true"), ("n N no No NO off Off OFF", "false")] {
            for word in words.split(' ') {
                assert_eq!(show(word, Dialect::Kubernetes), value, "{word}");
                assert_eq!(show(word, Dialect::Esc), format!("{word:?}"));
            }
        }
        for (words, value) in
            [("true True TRUE", "true"), ("false False FALSE", "false"), ("~ null Null NULL", "null")]
        {
            for word in words.split(' ') {
                for dialect in [Dialect::Kubernetes, Dialect::Esc] {
                    assert_eq!(show(word, dialect), value, "{word}");
                }
            }
        }
    }

    #[test]
    fn quotes_blocks_and_tags_make_strings() {
        for (text, value) in
            [("'5'", "5"), ("\"true\"", "true"), ("|-\n  5", "5"), ("!!str 42", "42"), ("!mine 42", "42")]
        {
            for dialect in [Dialect::Kubernetes, Dialect::Esc] {
                assert_eq!(show(text, dialect), format!("{value:?}"), "{text}");
            }
        }
        assert_eq!(show("!!binary aGk=", Dialect::Kubernetes), "\"hi\"");
        assert_eq!(show("!!binary aGk=", Dialect::Esc), "\"aGk=\"");
        assert_eq!(show("!!bool yes", Dialect::Kubernetes), "true");
    }
}
