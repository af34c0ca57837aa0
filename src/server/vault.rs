//! Secrets at rest: the key, and what is sealed with it.
//!
//! A ciphertext belongs to one environment: its id is part of what is authenticated, so that nobody can read a
//! secret by pasting its ciphertext into an environment of their own.

use std::{
    io,
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    rand::{SecureRandom, SystemRandom},
};
use zeroize::Zeroizing;

use super::{keyfile, random::NoRandomness, store::EnvironmentId};
use crate::{
    lang::{
        envelope,
        seal::{self, Found, Plaintext, SealError},
    },
    secret::Secret,
};

/// Bytes of the key.
const KEY_LEN: usize = 32;

/// Bytes of an environment's id.
const ID_LEN: usize = 16;

/// What the text in a key file begins with.
const PREFIX: &str = "esc-injector-key-1:";

/// Largest key file that is read: a few times a key.
const MAX_KEY_FILE: u64 = 1024;

/// Sealed into a database, to tell its key from others.
const CHECK: &[u8] = b"this is the key";

/// The environment of nothing: it seals the check.
const NOBODY: EnvironmentId = EnvironmentId(0);

/// Seals and opens.
#[derive(Debug)]
pub(super) struct Vault(LessSafeKey);

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Reading or making the file.
    #[error("can't use {} as the key file", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others could read it.
    #[error("everybody on this machine can use {0}: chmod 600 {0}", path.display())]
    Mode {
        /// The file.
        path: PathBuf,
    },
    /// It holds something else.
    #[error("{} holds no key of this program", path.display())]
    Content {
        /// The file.
        path: PathBuf,
    },
    /// The system has none.
    #[error("the system gives no random numbers")]
    NoRandomness,
}

impl Vault {
    /// A key that nobody keeps.
    pub(super) fn ephemeral() -> Result<Self, KeyError> {
        Self::from_bytes(&*random_key()?).ok_or(KeyError::NoRandomness)
    }

    /// The key in a file.
    pub(super) fn read(path: &Path) -> Result<Self, KeyError> {
        let unusable = |source| KeyError::File { path: path.to_owned(), source };
        let text = keyfile::read(path, MAX_KEY_FILE).map_err(unusable)?;
        let text = text.ok_or_else(|| KeyError::Mode { path: path.to_owned() })?;
        text.expose_str()
            .and_then(|text| text.trim().strip_prefix(PREFIX))
            .and_then(|text| STANDARD.decode(text).ok().map(Zeroizing::new))
            .and_then(|bytes| Self::from_bytes(&bytes))
            .ok_or_else(|| KeyError::Content { path: path.to_owned() })
    }

    /// Makes a key and its file, which must not be there yet. On the disk before anything is sealed with it.
    pub(super) fn create(path: &Path) -> Result<Self, KeyError> {
        let unusable = |source| KeyError::File { path: path.to_owned(), source };
        let bytes = random_key()?;
        let text = Zeroizing::new(format!("{PREFIX}{}\n", STANDARD.encode(bytes.as_slice())));
        keyfile::create(path, text.as_bytes()).map_err(unusable)?;
        Self::from_bytes(bytes.as_slice()).ok_or(KeyError::NoRandomness)
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        UnboundKey::new(&AES_256_GCM, bytes).ok().map(|key| Self(LessSafeKey::new(key)))
    }

    /// What tells this key from others.
    pub(super) fn check(&self) -> Result<Vec<u8>, NoRandomness> {
        self.encrypt(NOBODY, CHECK)
    }

    /// Whether [`Vault::check`] of the same key has given this.
    pub(super) fn passes(&self, check: &[u8]) -> bool {
        self.decrypt(check).is_some_and(|(id, plain)| id == NOBODY && *plain == CHECK)
    }

    /// Seals the secrets of a definition that belongs to an environment. Ciphertexts of it stay as they are;
    /// those of others are sealed anew if `may_open` says so, and refused if not.
    pub(super) fn seal(
        &self,
        id: EnvironmentId,
        text: &str,
        may_open: &mut dyn FnMut(EnvironmentId) -> bool,
    ) -> Result<String, SealError> {
        let random = |_: NoRandomness| "the system gives no random numbers".to_owned();
        seal::seal(text, &mut |found| match found {
            Found::Plain(plain) => self
                .encrypt(id, &plain.encode())
                .map(|content| Some(envelope::close(&content)))
                .map_err(random),
            Found::Sealed(text) => {
                let (from, plain) = self.unwrap(&text, may_open)?;
                if from == id {
                    return Ok(None);
                }
                let content = self.encrypt(id, &plain.encode()).map_err(random)?;
                Ok(Some(envelope::close(&content)))
            }
        })
    }

    /// Seals anew what another key has sealed, for the same environments.
    pub(super) fn reseal(&self, before: &Self, id: EnvironmentId, text: &str) -> Result<String, SealError> {
        let random = |_: NoRandomness| "the system gives no random numbers".to_owned();
        seal::seal(text, &mut |found| {
            let (id, plain) = match found {
                Found::Plain(plain) => (id, plain),
                Found::Sealed(text) => before.unwrap(&text, &mut |_| true)?,
            };
            let content = self.encrypt(id, &plain.encode()).map_err(random)?;
            Ok(Some(envelope::close(&content)))
        })
    }

    /// Seals a text that stands in no definition yet.
    pub(super) fn seal_text(&self, id: EnvironmentId, text: Secret) -> Result<String, NoRandomness> {
        let plain = Plaintext { value: text, source: Secret::from("") };
        Ok(envelope::close(&self.encrypt(id, &plain.encode())?))
    }

    /// Opens one ciphertext of an environment.
    pub(super) fn open_text(&self, id: EnvironmentId, ciphertext: &str) -> Result<Secret, String> {
        self.unwrap(ciphertext, &mut |found| found == id).map(|(_, plain)| plain.into_value())
    }

    /// Opens the secrets of a definition, as far as they belong to environments that `may_open` names.
    pub(super) fn open(
        &self,
        text: &str,
        may_open: &mut dyn FnMut(EnvironmentId) -> bool,
    ) -> Result<Secret, SealError> {
        seal::unseal(text, &mut |text| self.unwrap(text, may_open).map(|(_, plain)| plain))
    }

    fn unwrap(
        &self,
        text: &str,
        may_open: &mut dyn FnMut(EnvironmentId) -> bool,
    ) -> Result<(EnvironmentId, Plaintext), String> {
        let content =
            envelope::open(text.as_bytes()).map_err(|error| format!("invalid ciphertext: {error}"))?;
        self.opened(&content, may_open)
    }

    /// What an envelope of a definition hides, if it belongs to an environment that `may_open` names.
    pub(super) fn reveal(
        &self,
        content: &[u8],
        may_open: &mut dyn FnMut(EnvironmentId) -> bool,
    ) -> Result<Secret, String> {
        self.opened(content, may_open).map(|(_, plain)| plain.into_value())
    }

    fn opened(
        &self,
        content: &[u8],
        may_open: &mut dyn FnMut(EnvironmentId) -> bool,
    ) -> Result<(EnvironmentId, Plaintext), String> {
        let foreign = || "invalid ciphertext: it does not belong to this environment".to_owned();
        // What can't be opened and what may not be look the same.
        let (id, plain) = self.decrypt(content).ok_or_else(foreign)?;
        if !may_open(id) {
            return Err(foreign());
        }
        Plaintext::decode(&plain).map(|plain| (id, plain)).ok_or_else(foreign)
    }

    /// Id, nonce, ciphertext and tag.
    fn encrypt(&self, id: EnvironmentId, plain: &[u8]) -> Result<Vec<u8>, NoRandomness> {
        let id = id.0.to_be_bytes();
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).map_err(|_| NoRandomness)?;
        let mut sealed = plain.to_vec();
        self.0
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(id), &mut sealed)
            .map_err(|_| NoRandomness)?;
        Ok([id.as_slice(), &nonce, &sealed].concat())
    }

    fn decrypt(&self, content: &[u8]) -> Option<(EnvironmentId, Zeroizing<Vec<u8>>)> {
        let (id, rest) = content.split_first_chunk::<ID_LEN>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        let mut sealed = Zeroizing::new(sealed.to_vec());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let length = self.0.open_in_place(nonce, Aad::from(*id), &mut sealed).ok()?.len();
        sealed.truncate(length);
        Some((EnvironmentId(u128::from_be_bytes(*id)), sealed))
    }
}

fn random_key() -> Result<Zeroizing<[u8; KEY_LEN]>, KeyError> {
    let mut key = Zeroizing::new([0; KEY_LEN]);
    SystemRandom::new().fill(key.as_mut_slice()).map_err(|_| KeyError::NoRandomness)?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write, os::unix::fs::PermissionsExt};

    use super::{KeyError, Vault};
    use crate::server::store::EnvironmentId;

    const TEXT: &str = "values:\n  a: {fn::secret: c4n4ry} # note\n";

    #[test]
    fn opens_what_it_sealed_byte_for_byte_and_only_for_its_environment() {
        let vault = Vault::ephemeral().unwrap();
        let (mine, other) = (EnvironmentId(1), EnvironmentId(2));
        let sealed = vault.seal(mine, TEXT, &mut |_| false).unwrap();
        assert!(!sealed.contains("c4n4ry") && sealed.ends_with("} # note\n"), "{sealed}");
        let open = |text: &str, id| vault.open(text, &mut |found| found == id);
        assert_eq!(open(&sealed, mine).unwrap().expose_str(), Some(TEXT));
        let error = open(&sealed, other).unwrap_err();
        assert_eq!(error.summary, "invalid ciphertext: it does not belong to this environment");
        // Sealing again changes nothing; for another environment it needs leave, and then belongs to that one.
        assert_eq!(vault.seal(mine, &sealed, &mut |id| id == mine).unwrap(), sealed);
        assert!(vault.seal(other, &sealed, &mut |id| id == other).is_err());
        let moved = vault.seal(other, &sealed, &mut |_| true).unwrap();
        assert_eq!(open(&moved, other).unwrap().expose_str(), Some(TEXT));
        assert!(open(&moved, mine).is_err());
        // The same text never gives the same ciphertext.
        assert_ne!(vault.seal(mine, TEXT, &mut |_| false).unwrap(), sealed);
        let stranger = Vault::ephemeral().unwrap();
        assert!(stranger.open(&sealed, &mut |_| true).is_err());
        assert!(vault.passes(&vault.check().unwrap()) && !stranger.passes(&vault.check().unwrap()));
    }

    #[test]
    fn keeps_its_key_in_a_file_that_only_its_owner_reads_and_takes_none_that_everybody_can() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        assert!(matches!(Vault::read(&path), Err(KeyError::File { .. })));
        let vault = Vault::create(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(Vault::read(&path).unwrap().passes(&vault.check().unwrap()));
        assert!(Vault::create(&path).is_err(), "a key is never replaced");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o604)).unwrap();
        assert!(matches!(Vault::read(&path), Err(KeyError::Mode { .. })));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let mut file = fs::OpenOptions::new().write(true).truncate(true).open(&path).unwrap();
        file.write_all(b"esc-injector-key-1:AAAA\n").unwrap();
        assert!(matches!(Vault::read(&path), Err(KeyError::Content { .. })));
    }
}
