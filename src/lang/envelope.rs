//! The envelope in which ciphertexts stand in a definition: base64 of magic, version, content and checksum.
//!
//! The content is whatever the server's cipher makes; the envelope only tells a ciphertext from other text, and a
//! damaged one from a whole one. Errors carry the reference's words and never the text.

use base64::{Engine, engine::general_purpose::STANDARD};

const MAGIC: &[u8; 4] = b"escx";
const VERSION: u32 = 1;

/// Least length of a decoded envelope: magic, version, checksum, and four bytes of content.
const LEAST: usize = 16;

/// Why a text is no envelope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// Not base64.
    #[error("invalid ciphertext: illegal base64 data at input byte {0}")]
    Base64(usize),
    /// Too short to be one.
    #[error("invalid ciphertext: EOF")]
    Short,
    /// It begins with something else.
    #[error("invalid ciphertext: invalid header")]
    Header,
    /// It is damaged.
    #[error("invalid ciphertext: invalid checksum")]
    Checksum,
    /// It was made by something newer.
    #[error("invalid ciphertext: unsupported version")]
    Version,
}

/// Puts content into an envelope.
pub fn wrap(content: &[u8]) -> String {
    let mut bytes = [MAGIC.as_slice(), &VERSION.to_be_bytes(), content].concat();
    let checksum = crc32(&bytes);
    bytes.extend_from_slice(&checksum.to_be_bytes());
    STANDARD.encode(bytes)
}

/// Takes the content out of an envelope.
pub fn unwrap(text: &str) -> Result<Vec<u8>, EnvelopeError> {
    let bytes = STANDARD.decode(text).map_err(|error| {
        EnvelopeError::Base64(match error {
            base64::DecodeError::InvalidByte(at, _) => at,
            base64::DecodeError::InvalidLastSymbol { offset, .. } => offset,
            _ => text.len(),
        })
    })?;
    if bytes.len() < LEAST {
        return Err(EnvelopeError::Short);
    }
    let (signed, checksum) = bytes.split_last_chunk::<4>().ok_or(EnvelopeError::Short)?;
    let (magic, rest) = signed.split_first_chunk::<4>().ok_or(EnvelopeError::Short)?;
    let (version, content) = rest.split_first_chunk::<4>().ok_or(EnvelopeError::Short)?;
    if magic != MAGIC {
        return Err(EnvelopeError::Header);
    }
    if crc32(signed) != u32::from_be_bytes(*checksum) {
        return Err(EnvelopeError::Checksum);
    }
    if u32::from_be_bytes(*version) != VERSION {
        return Err(EnvelopeError::Version);
    }
    Ok(content.to_vec())
}

/// CRC-32 as in IEEE 802.3. Bit by bit: secrets are short, and a table would be larger than they are.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(
            crc ^ u32::from(byte),
            |crc, _| {
                if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 }
            },
        )
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{EnvelopeError, STANDARD, crc32, unwrap, wrap};
    use base64::Engine;

    /// The published vector: its cipher adds 128 to every byte.
    const VECTOR: &str = "ZXNjeAAAAAHz5ePy5fTB4+Pl8/PL5fnJxPD7";

    #[test]
    fn reads_the_published_vector() {
        let content: Vec<u8> = b"secretAccessKey".iter().map(|byte| byte ^ 0x80).collect();
        assert_eq!(unwrap(VECTOR), Ok(content.clone()));
        assert_eq!(wrap(&content), VECTOR);
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    }

    #[test]
    fn says_what_is_wrong_in_the_reference_s_words() {
        let damaged = |at: usize, byte: u8| {
            let mut bytes = STANDARD.decode(VECTOR).unwrap();
            bytes[at] = byte;
            STANDARD.encode(bytes)
        };
        let mut newer = STANDARD.decode(VECTOR).unwrap();
        newer[7] = 2;
        let end = newer.len() - 4;
        let checksum = crc32(&newer[..end]).to_be_bytes();
        newer[end..].copy_from_slice(&checksum);
        for (text, expected) in [
            ("AAAA".to_owned(), EnvelopeError::Short),
            (String::new(), EnvelopeError::Short),
            ("!!".to_owned(), EnvelopeError::Base64(0)),
            (damaged(0, b'x'), EnvelopeError::Header),
            (damaged(9, 0), EnvelopeError::Checksum),
            (STANDARD.encode(newer), EnvelopeError::Version),
        ] {
            assert_eq!(unwrap(&text), Err(expected), "{text}");
        }
        assert_eq!(EnvelopeError::Short.to_string(), "invalid ciphertext: EOF");
    }

    proptest! {
        #[test]
        fn gives_back_what_was_put_in(content in proptest::collection::vec(any::<u8>(), 4..200)) {
            prop_assert_eq!(unwrap(&wrap(&content)), Ok(content));
        }

        #[test]
        fn never_panics(text in "[A-Za-z0-9+/=!]{0,60}") {
            let _ = unwrap(&text);
        }
    }
}
