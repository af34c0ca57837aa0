//! What a certificate says of itself that we need: the little of DER that it takes to find its dates and names.
//!
//! Clients judge certificates; what is read here feeds a metric, the plan of renewals, and the question whether an
//! authority is of our own making. That is why this is a reader of eighty lines and not a certificate library.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// The optional version of a certificate, `[0] EXPLICIT`.
const VERSION: u8 = 0xa0;

/// A certificate's names and dates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Outline<'a> {
    /// The issuer's name in DER, without the outermost header.
    pub(super) issuer: &'a [u8],
    /// The subject's name, likewise.
    pub(super) subject: &'a [u8],
    pub(super) not_before: SystemTime,
    pub(super) not_after: SystemTime,
}

/// The certificate's `notAfter`; none when the DER is not what RFC 5280 says.
pub(super) fn not_after(certificate: &[u8]) -> Option<SystemTime> {
    outline(certificate).map(|outline| outline.not_after)
}

/// The certificate's names and dates; none when the DER is not what RFC 5280 says.
pub(super) fn outline(certificate: &[u8]) -> Option<Outline<'_>> {
    let certificate = Reader(certificate).expect_tag(SEQUENCE)?;
    let mut body = Reader(Reader(certificate).expect_tag(SEQUENCE)?);
    if body.0.first() == Some(&VERSION) {
        body.next()?;
    }
    body.expect_tag(INTEGER)?; // serial number
    body.expect_tag(SEQUENCE)?; // signature algorithm
    let issuer = body.expect_tag(SEQUENCE)?;
    let mut validity = Reader(body.expect_tag(SEQUENCE)?);
    let (not_before, not_after) = (validity.time()?, validity.time()?);
    let subject = body.expect_tag(SEQUENCE)?;
    Some(Outline { issuer, subject, not_before, not_after })
}

/// Walks the elements of one DER value.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// The next element's tag and content.
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            // More than four bytes of length is no certificate.
            0x81..=0x84 => {
                let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                (bytes.iter().fold(0, |length, &byte| length << 8 | usize::from(byte)), rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, content))
    }

    fn expect_tag(&mut self, expected: u8) -> Option<&'a [u8]> {
        self.next().and_then(|(tag, content)| (tag == expected).then_some(content))
    }

    fn time(&mut self) -> Option<SystemTime> {
        match self.next()? {
            (UTC_TIME, text) => utc_time(text),
            (GENERALIZED_TIME, text) => generalized_time(text),
            _ => None,
        }
    }
}

/// `YYMMDDHHMMSSZ`; RFC 5280 puts years below 50 into this century.
fn utc_time(text: &[u8]) -> Option<SystemTime> {
    let (year, rest) = text.split_at_checked(2)?;
    let year = number(year)?;
    instant(if year < 50 { 2000 + year } else { 1900 + year }, rest)
}

/// `YYYYMMDDHHMMSSZ`.
fn generalized_time(text: &[u8]) -> Option<SystemTime> {
    let (year, rest) = text.split_at_checked(4)?;
    instant(number(year)?, rest)
}

/// What follows the year: `MMDDHHMMSSZ`.
fn instant(year: u64, rest: &[u8]) -> Option<SystemTime> {
    let digits = rest.strip_suffix(b"Z").filter(|digits| digits.len() == 10)?;
    let mut pairs = digits.chunks_exact(2).map(number);
    let mut field = |range: std::ops::RangeInclusive<u64>| pairs.next()?.filter(|n| range.contains(n));
    let (month, day) = (field(1..=12)?, field(1..=31)?);
    // 60 is a leap second.
    let (hour, minute, second) = (field(0..=23)?, field(0..=59)?, field(0..=60)?);
    let days = days_since_epoch(year, month, day)?;
    Some(UNIX_EPOCH + Duration::from_secs(((days * 24 + hour) * 60 + minute) * 60 + second))
}

fn number(digits: &[u8]) -> Option<u64> {
    digits
        .iter()
        .try_fold(0, |number, digit| digit.is_ascii_digit().then(|| number * 10 + u64::from(digit - b'0')))
}

/// Days from 1970-01-01; none before. Counts in years that start in March, so that the leap day comes last.
fn days_since_epoch(year: u64, month: u64, day: u64) -> Option<u64> {
    /// Days from 0000-03-01 to 1970-01-01.
    const EPOCH: u64 = 719_468;
    let (year, month) = if month > 2 { (year, month - 3) } else { (year.checked_sub(1)?, month + 9) };
    let before_year = year * 365 + year / 4 - year / 100 + year / 400;
    // Months from March have 31, 30, 31, 30, 31 days, over and over: 153 days in five.
    let before_month = (153 * month + 2) / 5;
    (before_year + before_month + day - 1).checked_sub(EPOCH)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    fn seconds(time: Option<SystemTime>) -> Option<u64> {
        time.map(|time| time.duration_since(UNIX_EPOCH).unwrap().as_secs())
    }

    #[test]
    fn reads_both_kinds_of_time() {
        // 2049 is the last year of UTCTime.
        for (year, month, day, expected) in [
            (1999, 12, 31, 946_598_400),
            (2024, 2, 29, 1_709_164_800),
            (2049, 12, 31, 2_524_521_600),
            (2050, 1, 1, 2_524_608_000),
            (2100, 3, 1, 4_107_542_400),
        ] {
            let mut params = CertificateParams::new(vec!["a.b.svc".to_owned()]).unwrap();
            params.not_before = date_time_ymd(1990, 1, 1);
            params.not_after = date_time_ymd(year, month, day);
            let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
            assert_eq!(seconds(not_after(certificate.der())), Some(expected), "{year}-{month}-{day}");
        }
    }

    #[test]
    fn refuses_times_that_are_none() {
        for text in
            ["", "2", "250101000000", "251301000000Z", "250100000000Z", "250101240000Z", "2501010000x0Z"]
        {
            assert_eq!(utc_time(text.as_bytes()), None, "{text}");
        }
        assert_eq!(seconds(utc_time(b"700101000000Z")), Some(0));
        assert_eq!(utc_time(b"691231235959Z"), None);
    }

    proptest! {
        #[test]
        fn never_panics(der in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = not_after(&der);
        }

        #[test]
        fn never_panics_on_a_damaged_certificate(position in 0_usize..300, byte in any::<u8>()) {
            let certificate = CertificateParams::new(vec!["a.b.svc".to_owned()]).unwrap()
                .self_signed(&KeyPair::generate().unwrap()).unwrap();
            let mut der = certificate.der().to_vec();
            if let Some(place) = der.get_mut(position) {
                *place = byte;
            }
            let _ = not_after(&der);
        }
    }
}
