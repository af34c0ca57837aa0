//! A certificate and key in two files, read again when they change.
//!
//! The content is polled. Kubelet replaces a Secret's files by swapping a `..data` symlink, which no watch on the
//! files themselves ever hears of; two small reads every few seconds always do.

use std::{
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use ring::digest;
use zeroize::Zeroizing;

use super::{Certificate, CertificateError, Served};
use crate::{codes::admission::STALE_CERTIFICATE, webhook::metrics::Metrics};

/// Largest file that is read: a chain of a dozen certificates has a tenth of it.
const MAX_BYTES: u64 = 512 * 1024;

/// Where the certificate chain and its key are.
#[derive(Debug, Clone)]
pub struct CertificateFiles {
    /// PEM chain, leaf first.
    pub certificate: PathBuf,
    /// PEM key.
    pub key: PathBuf,
}

/// Why the files give no certificate.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// One of them can't be read.
    #[error("reading {}: {source}", path.display())]
    Read {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// One of them is no certificate or key, by its size.
    #[error("{} is larger than {MAX_BYTES} bytes", path.display())]
    TooLarge {
        /// Which one.
        path: PathBuf,
    },
    /// The certificate was replaced while the key was read.
    #[error("{} changed while it was read", path.display())]
    Changing {
        /// The certificate.
        path: PathBuf,
    },
    /// They were read, but don't make a certificate.
    #[error("certificate {}, key {}: {source}", certificate.display(), key.display())]
    Unusable {
        /// The certificate.
        certificate: PathBuf,
        /// The key.
        key: PathBuf,
        /// Why.
        source: CertificateError,
    },
}

/// What both files held at one moment.
struct Pair {
    certificate: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
}

/// Tells one content of the files from another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::webhook) struct Fingerprint([u8; 2 * digest::SHA256_OUTPUT_LEN]);

impl CertificateFiles {
    /// Reads and checks both files.
    pub(in crate::webhook) fn load(&self) -> Result<(Certificate, Fingerprint), FilesError> {
        let pair = self.read()?;
        Ok((self.parse(&pair)?, pair.fingerprint()))
    }

    /// Reads the certificate on both sides of the key: when it is the same, the key is of the same generation.
    fn read(&self) -> Result<Pair, FilesError> {
        let certificate = read(&self.certificate)?;
        let key = Zeroizing::new(read(&self.key)?);
        if read(&self.certificate)? != certificate {
            return Err(FilesError::Changing { path: self.certificate.clone() });
        }
        Ok(Pair { certificate, key })
    }

    fn parse(&self, pair: &Pair) -> Result<Certificate, FilesError> {
        Certificate::from_pem(&pair.certificate, &pair.key).map_err(|source| FilesError::Unusable {
            certificate: self.certificate.clone(),
            key: self.key.clone(),
            source,
        })
    }

    /// The files' certificate, if they no longer hold what `known` was taken of.
    fn load_if_changed(&self, known: &Fingerprint) -> Result<Option<(Certificate, Fingerprint)>, FilesError> {
        let pair = self.read()?;
        let fingerprint = pair.fingerprint();
        if fingerprint == *known {
            return Ok(None);
        }
        Ok(Some((self.parse(&pair)?, fingerprint)))
    }
}

impl Pair {
    fn fingerprint(&self) -> Fingerprint {
        let mut both = [0; 2 * digest::SHA256_OUTPUT_LEN];
        let digests = [&self.certificate, &*self.key].map(|text| digest::digest(&digest::SHA256, text));
        for (place, digest) in both.chunks_exact_mut(digest::SHA256_OUTPUT_LEN).zip(&digests) {
            place.copy_from_slice(digest.as_ref());
        }
        Fingerprint(both)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, FilesError> {
    let failed = |source| FilesError::Read { path: path.to_owned(), source };
    let mut content = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(MAX_BYTES + 1).read_to_end(&mut content).map_err(failed)?;
    if content.len() as u64 > MAX_BYTES {
        return Err(FilesError::TooLarge { path: path.to_owned() });
    }
    Ok(content)
}

/// Polls the files and serves what they hold, forever. What can't be used changes nothing but a log line and a count.
pub(in crate::webhook) async fn follow(
    files: CertificateFiles,
    mut known: Fingerprint,
    every: Duration,
    served: Arc<Served>,
    metrics: Metrics,
) {
    let files = Arc::new(files);
    let mut complaint = None;
    loop {
        tokio::time::sleep(every).await;
        let (reader, fingerprint) = (Arc::clone(&files), known.clone());
        // On a thread of its own: a file system that hangs must not hold up admissions.
        let loaded = tokio::task::spawn_blocking(move || reader.load_if_changed(&fingerprint)).await;
        match loaded {
            Ok(Ok(None)) => complaint = None,
            Ok(Ok(Some((certificate, fingerprint)))) => {
                served.replace(&certificate);
                metrics.certificate(&certificate);
                known = fingerprint;
                complaint = None;
                let until = certificate.not_after().map(httpdate::fmt_http_date);
                tracing::info!(until, "serving the changed certificate");
            }
            Ok(Err(error)) => {
                metrics.certificate_reload_failed();
                let error = error.to_string();
                // Counted each time, said once: polls are many.
                if complaint.as_ref() != Some(&error) {
                    let code = STALE_CERTIFICATE.id();
                    tracing::warn!(code, error, "keeping the former certificate");
                    complaint = Some(error);
                }
            }
            // The runtime is going down.
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    fn write(path: &Path, text: &str) {
        let mut file =
            std::fs::OpenOptions::new().write(true).create(true).truncate(true).open(path).unwrap();
        io::Write::write_all(&mut file, text.as_bytes()).unwrap();
    }

    fn files_of(directory: &Path) -> CertificateFiles {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["esc.esc.svc".to_owned()]).unwrap();
        let files =
            CertificateFiles { certificate: directory.join("tls.crt"), key: directory.join("tls.key") };
        write(&files.certificate, &params.self_signed(&key).unwrap().pem());
        write(&files.key, &key.serialize_pem());
        files
    }

    #[test]
    fn errors_name_the_file_and_the_reason() {
        let directory = tempfile::tempdir().unwrap();
        let files = files_of(directory.path());
        let missing = CertificateFiles { key: directory.path().join("absent.key"), ..files.clone() };
        let error = missing.load().unwrap_err().to_string();
        assert!(error.contains("absent.key") && error.contains("No such file"), "{error}");

        let other = tempfile::tempdir().unwrap();
        let mixed = CertificateFiles { key: files_of(other.path()).key, ..files.clone() };
        let error = mixed.load().unwrap_err().to_string();
        assert!(error.contains("tls.crt") && error.contains("does not belong"), "{error}");

        write(&files.key, &"x".repeat(600 * 1024));
        assert!(matches!(files.load(), Err(FilesError::TooLarge { .. })));
    }

    #[test]
    fn only_changed_content_is_loaded() {
        let directory = tempfile::tempdir().unwrap();
        let files = files_of(directory.path());
        let (_, known) = files.load().unwrap();
        assert!(files.load_if_changed(&known).unwrap().is_none());
        let key = KeyPair::generate().unwrap();
        write(&files.key, &key.serialize_pem());
        assert!(matches!(files.load_if_changed(&known), Err(FilesError::Unusable { .. })));
        files_of(directory.path());
        assert!(files.load_if_changed(&known).unwrap().is_some());
    }
}
