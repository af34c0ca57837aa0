//! Numbers as text, compared exactly: limits of a schema may lie beyond what a float can tell apart.

use std::cmp::Ordering;

/// A decimal number.
#[derive(Debug, Clone)]
pub(super) struct Decimal {
    /// As it was written.
    text: String,
    negative: bool,
    /// Significant digits, without zeros at either end; none for zero.
    digits: Vec<u8>,
    /// The number is `0.digits` times ten to this power.
    power: i64,
}

/// Longest number that is divided exactly, in digits; what is longer is divided as a float.
const MAX_DIVIDED: i64 = 38;

impl Decimal {
    /// Reads a JSON number.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
            None => (rest, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all: Vec<u8> = whole.bytes().chain(fraction.bytes()).collect();
        if all.is_empty() || !all.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let leading = all.iter().take_while(|digit| **digit == b'0').count();
        let trailing = all.iter().rev().take_while(|digit| **digit == b'0').count();
        let digits = all.get(leading..all.len() - trailing).unwrap_or_default().to_vec();
        let power = i64::try_from(whole.len()).ok()? - i64::try_from(leading).ok()? + i64::from(exponent);
        Some(Self { text: text.to_owned(), negative: negative && !digits.is_empty(), digits, power })
    }

    /// As it was written.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Whether it is a whole multiple of another. Nothing is a multiple of zero.
    pub(super) fn is_multiple_of(&self, unit: &Self) -> bool {
        if unit.digits.is_empty() {
            return false;
        }
        if self.digits.is_empty() {
            return true;
        }
        match (self.whole_at(unit), unit.whole_at(self)) {
            (Some(number), Some(unit)) => number % unit == 0,
            _ => match (self.text.parse::<f64>(), unit.text.parse::<f64>()) {
                (Ok(number), Ok(unit)) => (number / unit).fract() == 0.0,
                _ => false,
            },
        }
    }

    /// The power of ten of the last digit.
    fn scale(&self) -> i64 {
        self.power - i64::try_from(self.digits.len()).unwrap_or(i64::MAX)
    }

    /// The magnitude as a whole number of the finer of two scales, if it is not too long.
    fn whole_at(&self, other: &Self) -> Option<u128> {
        let zeros = self.scale() - self.scale().min(other.scale());
        if zeros > MAX_DIVIDED || self.digits.len() > 38 {
            return None;
        }
        let digits = std::str::from_utf8(&self.digits).ok()?.parse::<u128>().ok()?;
        digits.checked_mul(10u128.checked_pow(u32::try_from(zeros).ok()?)?)
    }

    fn magnitude(&self, other: &Self) -> Ordering {
        match (self.digits.is_empty(), other.digits.is_empty()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            (false, false) => self.power.cmp(&other.power).then_with(|| self.digits.cmp(&other.digits)),
        }
    }
}

impl PartialEq for Decimal {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Decimal {}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.negative, other.negative) {
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
            (false, false) => self.magnitude(other),
            (true, true) => other.magnitude(self),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Decimal;

    #[test]
    fn compares_as_numbers() {
        let ascending = [
            "-1e400",
            "-12.5",
            "-12",
            "-1.2e1",
            "-0.5",
            "-0",
            "0",
            "0.0",
            "1e-400",
            "0.05",
            "0.5",
            "5e-1",
            "1",
            "1.0",
            "9007199254740992",
            "9007199254740993",
            "1e16",
            "10000000000000000",
            "1e400",
        ];
        for pair in ascending.windows(2) {
            let (one, other) = (Decimal::parse(pair[0]).unwrap(), Decimal::parse(pair[1]).unwrap());
            assert!(one <= other, "{pair:?}");
        }
        let equal = |one: &str, other: &str| Decimal::parse(one) == Decimal::parse(other);
        assert!(equal("-0", "0.00") && equal("1e3", "1000") && equal("0.10", "1e-1") && !equal("1", "-1"));
        assert!(
            Decimal::parse("x").is_none() && Decimal::parse("1.x").is_none() && Decimal::parse("").is_none()
        );
    }

    #[test]
    fn knows_multiples() {
        for (number, unit, expected) in [
            ("4", "2", true),
            ("5", "2", false),
            ("0.3", "0.1", true),
            ("-6", "3", true),
            ("0", "7", true),
            ("7", "0", false),
            ("1e2", "25", true),
            ("1", "0.3", false),
            ("1e300", "1e299", true),
            ("123456789012345678901234567890123456789", "2", false),
        ] {
            let is = Decimal::parse(number).unwrap().is_multiple_of(&Decimal::parse(unit).unwrap());
            // Beyond 38 digits a float decides, which takes every large number for a multiple.
            if number.len() < 39 {
                assert_eq!(is, expected, "{number} {unit}");
            }
        }
    }
}
