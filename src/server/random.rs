//! What nobody can guess, and how it is told apart without keeping it.

use std::fmt::Write;

use ring::{
    digest::{SHA256, digest},
    rand::{SecureRandom, SystemRandom},
};

use crate::secret::Secret;

/// The system's source of randomness fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system gives no random numbers")]
pub struct NoRandomness;

/// A token is only ever compared and kept by its digest.
pub(super) type Digest = [u8; 32];

/// The digest of a token.
pub(super) fn digest_of(token: &[u8]) -> Digest {
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, token).as_ref());
    out
}

/// An access token that nobody can guess.
pub fn new_token() -> Result<Secret, NoRandomness> {
    Ok(Secret::from(format!("pul-{}", hex(&random::<20>()?))))
}

/// Bytes in hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a string can't fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Random bytes that nobody can guess.
pub(super) fn random<const N: usize>() -> Result<[u8; N], NoRandomness> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| NoRandomness)?;
    Ok(bytes)
}
