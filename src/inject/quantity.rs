//! Kubernetes quantities, as far as resources need them: `5m`, `32Mi`, `1.5G`, `1e3`.

use std::{fmt, str::FromStr};

/// A quantity in thousandths of its unit (a core or a byte), with the text it was written as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quantity {
    text: String,
    milli: u128,
}

/// The text is no quantity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no quantity: write a number with an optional suffix, such as 5m, 250M or 32Mi")]
pub struct QuantityError(String);

const KIBI: u128 = 1024;
const MEBI: u128 = KIBI * KIBI;

impl Quantity {
    /// So many MiB.
    pub fn mebibytes(count: u64) -> Self {
        Self { text: format!("{count}Mi"), milli: u128::from(count) * MEBI * 1000 }
    }

    /// So many thousandths of a core.
    pub fn millicores(count: u64) -> Self {
        Self { text: format!("{count}m"), milli: u128::from(count) }
    }

    /// At least so many bytes, in whole MiB.
    pub fn at_least_bytes(bytes: u128) -> Self {
        let mebibytes = bytes.div_ceil(MEBI);
        Self { text: format!("{mebibytes}Mi"), milli: mebibytes * MEBI * 1000 }
    }

    /// In whole units, rounded up.
    pub fn bytes(&self) -> u128 {
        self.milli.div_ceil(1000)
    }

    /// Thousandths, for comparing what is written differently.
    pub fn milli(&self) -> u128 {
        self.milli
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse_milli(text)
            .map(|milli| Self { text: text.to_owned(), milli })
            .ok_or_else(|| QuantityError(text.to_owned()))
    }
}

/// Kubernetes keeps three decimal places of the canonical value; nine of the written one lose nothing here.
const PLACES: u32 = 9;

fn parse_milli(text: &str) -> Option<u128> {
    let number_end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at_checked(number_end)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return None;
    }
    let (multiplier, divisor) = scale(suffix)?;
    let digits: String = fraction.chars().chain(std::iter::repeat('0')).take(PLACES as usize).collect();
    let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let scaled = whole.checked_mul(10_u128.pow(PLACES))?.checked_add(digits.parse().ok()?)?;
    let milli = scaled.checked_mul(multiplier)?.checked_mul(1000)?.checked_div(divisor)?;
    Some(milli.div_ceil(10_u128.pow(PLACES)))
}

/// A suffix as (multiplier, divisor).
fn scale(suffix: &str) -> Option<(u128, u128)> {
    let binary = |power: u32| Some((KIBI.pow(power), 1));
    let decimal = |power: u32| Some((10_u128.pow(power), 1));
    match suffix {
        "" => Some((1, 1)),
        "m" => Some((1, 1000)),
        "k" => decimal(3),
        "M" => decimal(6),
        "G" => decimal(9),
        "T" => decimal(12),
        "P" => decimal(15),
        "Ki" => binary(1),
        "Mi" => binary(2),
        "Gi" => binary(3),
        "Ti" => binary(4),
        "Pi" => binary(5),
        _ => match suffix.strip_prefix(['e', 'E'])?.parse::<i32>().ok()? {
            power @ 0..=15 => decimal(power.unsigned_abs()),
            power @ -9..=-1 => Some((1, 10_u128.pow(power.unsigned_abs()))),
            _ => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_kubernetes_reads() {
        for (text, milli) in [
            ("0", 0),
            ("5m", 5),
            ("1", 1_000),
            ("0.5", 500),
            (".5", 500),
            ("1.5", 1_500),
            ("1k", 1_000_000),
            ("32Mi", 32 * 1024 * 1024 * 1000),
            ("1.5Gi", 1536 * 1024 * 1024 * 1000),
            ("1e3", 1_000_000),
            ("1E3", 1_000_000),
            ("100e-3", 100),
            ("0.0001", 1),
        ] {
            assert_eq!(text.parse::<Quantity>().map(|q| q.milli()), Ok(milli), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_quantity() {
        for text in [
            "",
            " ",
            "-1",
            "1 Mi",
            "1mi",
            "1KB",
            "Mi",
            ".",
            "1.2.3",
            "1e",
            "1e99",
            "٣",
            "99999999999999999999999999999999999Pi",
        ] {
            assert!(text.parse::<Quantity>().is_err(), "{text}");
        }
    }
}
