//! The envelope around an encrypted secret in a definition: base64 of `escx`, a version, the ciphertext and a
//! checksum. What is inside is the business of whoever encrypts.

use base64::{Engine, engine::general_purpose::STANDARD};

use super::bytes::decode_base64;

const MAGIC: &[u8] = b"escx";
const VERSION: u32 = 1;

/// Why an envelope can't be opened, in the reference's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// It is no base64.
    #[error("illegal base64 data at input byte {0}")]
    Base64(usize),
    /// It is too short to be one.
    #[error("EOF")]
    Short,
    /// It does not begin as one.
    #[error("invalid header")]
    Header,
    /// It has been changed.
    #[error("invalid checksum")]
    Checksum,
    /// It is of a version that is not known.
    #[error("unsupported version")]
    Version,
}

/// The ciphertext in an envelope.
pub fn open(text: &[u8]) -> Result<Vec<u8>, EnvelopeError> {
    let bytes = decode_base64(text).map_err(EnvelopeError::Base64)?;
    // An empty ciphertext is none: a cipher adds to what it encrypts.
    if bytes.len() < 16 {
        return Err(EnvelopeError::Short);
    }
    let (body, checksum) = bytes.split_last_chunk::<4>().ok_or(EnvelopeError::Short)?;
    let (magic, rest) = body.split_at_checked(MAGIC.len()).ok_or(EnvelopeError::Short)?;
    let (version, ciphertext) = rest.split_first_chunk::<4>().ok_or(EnvelopeError::Short)?;
    if magic != MAGIC {
        return Err(EnvelopeError::Header);
    }
    if u32::from_be_bytes(*checksum) != crc32(body) {
        return Err(EnvelopeError::Checksum);
    }
    if u32::from_be_bytes(*version) != VERSION {
        return Err(EnvelopeError::Version);
    }
    Ok(ciphertext.to_vec())
}

/// Puts a ciphertext of at least 4 bytes into an envelope.
pub fn close(ciphertext: &[u8]) -> String {
    let mut bytes = [MAGIC, &VERSION.to_be_bytes(), ciphertext].concat();
    let checksum = crc32(&bytes);
    bytes.extend_from_slice(&checksum.to_be_bytes());
    STANDARD.encode(bytes)
}

/// CRC-32 as in IEEE 802.3, bit by bit: an envelope is a few dozen bytes.
fn crc32(bytes: &[u8]) -> u32 {
    let mut register = u32::MAX;
    for byte in bytes {
        register ^= u32::from(*byte);
        for _ in 0..8 {
            let feedback = if register & 1 == 1 { 0xEDB8_8320 } else { 0 };
            register = register >> 1 ^ feedback;
        }
    }
    !register
}

#[cfg(test)]
mod tests {
    use super::{EnvelopeError, close, crc32, open};

    const KNOWN: &str = "ZXNjeAAAAAHz5ePy5fTB4+Pl8/PL5fnJxPD7";

    #[test]
    fn opens_what_the_reference_closed() {
        let ciphertext = open(KNOWN.as_bytes()).unwrap();
        let plain: Vec<u8> = ciphertext.iter().map(|byte| byte.wrapping_sub(128)).collect();
        assert_eq!(plain, b"secretAccessKey");
        assert_eq!(close(&ciphertext), KNOWN);
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    }

    #[test]
    fn refuses_what_is_none() {
        use base64::{Engine, engine::general_purpose::STANDARD};
        let with = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = STANDARD.decode(KNOWN).unwrap();
            change(&mut bytes);
            open(STANDARD.encode(bytes).as_bytes()).unwrap_err()
        };
        assert_eq!(open(b"!!").unwrap_err().to_string(), "illegal base64 data at input byte 0");
        assert_eq!(open(b"AAAA").unwrap_err().to_string(), "EOF");
        assert_eq!(with(&|bytes| bytes[0] = b'x'), EnvelopeError::Header);
        assert_eq!(with(&|bytes| bytes[9] ^= 1), EnvelopeError::Checksum);
        assert_eq!(with(&|bytes| bytes.truncate(15)), EnvelopeError::Short);
        let other = with(&|bytes| {
            bytes[7] = 2;
            bytes.truncate(bytes.len() - 4);
            let checksum = crc32(bytes);
            bytes.extend_from_slice(&checksum.to_be_bytes());
        });
        assert_eq!(other, EnvelopeError::Version);
    }
}
