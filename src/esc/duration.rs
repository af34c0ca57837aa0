//! Durations as Go writes them (`2m`, `1h30m0s`, `250ms`), because ESC and Kubernetes' users do.

use std::time::Duration;

/// Why a text is no duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a duration: {reason}")]
pub struct DurationError {
    /// What was given.
    pub text: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// Units with their nanoseconds. `µs` comes with the micro sign and with the Greek letter.
const UNITS: &[(&str, u128)] = &[
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Go counts nanoseconds in 64 signed bits, about 292 years.
const LONGEST: u128 = i64::MAX as u128;

/// Digits of a number that can matter: more are below a nanosecond, or beyond [`LONGEST`].
const DIGITS: usize = 19;

const EXAMPLE: &str = "write numbers with units, such as `30s`, `5m` or `1h30m`";

/// Parses a Go duration; negative ones are refused.
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    let error = |reason| DurationError { text: text.to_owned(), reason };
    if text.starts_with('-') {
        return Err(error("it is negative"));
    }
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(error(EXAMPLE));
    }
    let mut total: u128 = 0;
    while !rest.is_empty() {
        let (term, after) = term(rest).map_err(error)?;
        total += term;
        rest = after;
        if total > LONGEST {
            return Err(error("it is longer than 292 years"));
        }
    }
    u64::try_from(total).map(Duration::from_nanos).map_err(|_| error("it is longer than 292 years"))
}

/// Nanoseconds of the first number and unit, and what follows them.
fn term(text: &str) -> Result<(u128, &str), &'static str> {
    let (whole, rest) = digits(text);
    let (fraction, rest) = rest.strip_prefix('.').map_or(("", rest), digits);
    if whole.is_empty() && fraction.is_empty() {
        return Err(EXAMPLE);
    }
    let end = rest.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(end);
    if unit.is_empty() {
        return Err("the unit is missing: write for example `30s`");
    }
    let Some((_, nanos)) = UNITS.iter().find(|(name, _)| *name == unit) else {
        return Err("the units are h, m, s, ms, us and ns");
    };
    let whole = whole.trim_start_matches('0');
    if whole.len() > DIGITS {
        return Err("it is longer than 292 years");
    }
    let fraction = fraction.get(..DIGITS).unwrap_or(fraction);
    let scale = fraction.bytes().fold(1, |scale, _| scale * 10);
    Ok((number(whole) * nanos + number(fraction) * nanos / scale, rest))
}

fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

fn number(digits: &str) -> u128 {
    digits.bytes().fold(0, |value, digit| value * 10 + u128::from(digit - b'0'))
}

/// Writes a duration as Go does: `2h0m0s`, `1m30s`, `250ms`.
pub fn format(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    match nanos {
        0 => "0s".to_owned(),
        1..1_000 => format!("{nanos}ns"),
        1_000..1_000_000 => format!("{}µs", decimal(nanos, 1_000)),
        1_000_000..1_000_000_000 => format!("{}ms", decimal(nanos, 1_000_000)),
        _ => {
            let minutes = duration.as_secs() / 60;
            let seconds = decimal(nanos - u128::from(minutes) * 60_000_000_000, 1_000_000_000);
            match (minutes / 60, minutes % 60) {
                (0, 0) => format!("{seconds}s"),
                (0, minutes) => format!("{minutes}m{seconds}s"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
            }
        }
    }
}

/// `nanos / unit` with as many decimals as it has.
fn decimal(nanos: u128, unit: u128) -> String {
    let fraction = nanos % unit;
    if fraction == 0 {
        return (nanos / unit).to_string();
    }
    let width = unit.ilog10() as usize;
    format!("{}.{fraction:0width$}", nanos / unit).trim_end_matches('0').to_owned()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::{format, parse};

    #[test]
    fn reads_and_writes_as_go_does() {
        for (text, nanos, written) in [
            ("0", 0, "0s"),
            ("0s", 0, "0s"),
            ("2m", 120_000_000_000_u64, "2m0s"),
            ("2h", 7_200_000_000_000, "2h0m0s"),
            ("90m", 5_400_000_000_000, "1h30m0s"),
            ("1h30m0s", 5_400_000_000_000, "1h30m0s"),
            ("90s", 90_000_000_000, "1m30s"),
            ("1m30s", 90_000_000_000, "1m30s"),
            ("250ms", 250_000_000, "250ms"),
            ("1.5s", 1_500_000_000, "1.5s"),
            (".5h", 1_800_000_000_000, "30m0s"),
            ("1.s", 1_000_000_000, "1s"),
            ("+5s", 5_000_000_000, "5s"),
            ("1us", 1_000, "1µs"),
            ("1.5µs", 1_500, "1.5µs"),
            ("7μs", 7_000, "7µs"),
            ("12ns", 12, "12ns"),
            ("1h0.000000001s", 3_600_000_000_001, "1h0m0.000000001s"),
            ("0.00000000000000000000001h", 0, "0s"),
            ("0000000000000000000000001s", 1_000_000_000, "1s"),
            ("2500000h", 9_000_000_000_000_000_000, "2500000h0m0s"),
        ] {
            let duration = parse(text).unwrap();
            assert_eq!(duration, Duration::from_nanos(nanos), "{text}");
            assert_eq!(format(duration), written, "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_duration() {
        for (text, reason) in [
            ("", "write numbers with units"),
            ("+", "write numbers with units"),
            ("5", "the unit is missing"),
            ("1h30", "the unit is missing"),
            ("-5s", "negative"),
            ("5d", "the units are"),
            ("5 s", "the units are"),
            ("s", "write numbers with units"),
            (".s", "write numbers with units"),
            ("1h.s", "write numbers with units"),
            ("3000000h", "292 years"),
            ("99999999999999999999999h", "292 years"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.reason.contains(reason), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn every_duration_comes_back(nanos in 0..i64::MAX as u64) {
            let duration = Duration::from_nanos(nanos);
            prop_assert_eq!(parse(&format(duration)), Ok(duration));
        }

        #[test]
        fn never_panics(text in "[-+0-9.hmsuµn ]{0,40}") {
            let _ = parse(&text);
        }
    }
}
